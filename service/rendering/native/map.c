/* The pass over full-size pixels that writes the result: an affine map enlarged and applied, or a picture blended. */
#include "enlarge.h"
#include "grade.h"

/* y = m0 * x + b, channel by channel. */
INLINE void scale(const Planes *source, const Enlarged *slopes, float part, const Enlarged *offsets, int64_t offset,
                  float offset_part, int64_t count, Planes *result) {
    for (int c = 0; c < 3; c++) {
        Line slope = line_of(slopes, 0, c, part), base = line_of(offsets, offset, c, offset_part);
        const float *restrict x = source->channel[c];
        float *restrict y = result->channel[c];
        for (int64_t i = 0; i < count; i++) y[i] = AT(base, i) + AT(slope, i) * x[i];
    }
}

/* y = m0 * red + m1 * green + m2 * blue + b. */
INLINE void mix(const Planes *source, const Enlarged *slopes, float part, const Enlarged *offsets, int64_t offset,
                float offset_part, int64_t count, Planes *result) {
    const float *restrict red = source->channel[0], *restrict green = source->channel[1];
    const float *restrict blue = source->channel[2];
    for (int c = 0; c < 3; c++) {
        Line m0 = line_of(slopes, 0, c, part), m1 = line_of(slopes, 1, c, part), m2 = line_of(slopes, 2, c, part);
        Line base = line_of(offsets, offset, c, offset_part);
        float *restrict y = result->channel[c];
        for (int64_t i = 0; i < count; i++)
            y[i] = AT(base, i) + AT(m0, i) * red[i] + AT(m1, i) * green[i] + AT(m2, i) * blue[i];
    }
}

/* The field of shadows in the row at hand. */
INLINE void gather_factors(const Enlarged *field, float part, int64_t count, Factors *result) {
    Line slope = line_of(field, 0, 0, part), offset = line_of(field, 0, 1, part);
    for (int64_t i = 0; i < count; i++) {
        result->slope[i] = AT(slope, i);
        result->offset[i] = AT(offset, i);
    }
}

/* Enlarge an affine map, apply it and grade.
 *
 * pixels   [height, width, 3], x in code values
 * matrix   [terms, matrix_height, matrix_width, 3], the slopes. With 1 term y = m0 * x + b, channel by channel; with 3
 *          terms y = m0 * red + m1 * green + m2 * blue + b.
 * base     [base_height, base_width, 3], b in code values, on a grid of its own
 * white, blend, protect, tone, tone_steps, gate, curve, curve_steps   as in `Grade`
 * field    [field_height, field_width, 3], slope and offset of the factors of shadows, the slope for code values, and
 *          a third number that means nothing; no rows: shadows is 0
 * most, middle   as in `Grade`
 * result   as `pixels`, written from the row that `next` says up to `last`
 */
KERNEL(apply_map)
(const void *pixels, int32_t deep, int64_t height, int64_t width, const float *matrix, int64_t terms,
 int64_t matrix_height, int64_t matrix_width, const float *base, int64_t base_height, int64_t base_width, float white,
 float blend, float protect, const float *tone, int64_t tone_steps, float gate, const float *curve,
 int64_t curve_steps, const float *field, int64_t field_height, int64_t field_width, float most, float middle,
 int64_t last, void *result, int64_t *next) {
    Grade how = {white, blend, protect, tone_steps, tone, gate, curve_steps, curve, most, middle};
    Enlarged slopes = enlarged(matrix, terms, matrix_height, matrix_width, height);
    Enlarged offsets = enlarged(base, 1, base_height, base_width, height);
    Enlarged factors = enlarged(field, 1, field_height, field_width, height);
    Planes source, mapped;
    Factors shadows;
    for (int64_t first; (first = take_strip(next)) < last;) {
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = at_most(CHUNK, width - start);
            begin(&slopes, start, count, width);
            begin(&offsets, start, count, width);
            if (field_height > 0) begin(&factors, start, count, width);
            for (int64_t y = first; y < at_most(first + STRIP, last); y++) {
                float part = reach(&slopes, y, count), offset_part = reach(&offsets, y, count);
                if (field_height > 0) gather_factors(&factors, reach(&factors, y, count), count, &shadows);
                load(pixels, deep, y * width + start, count, &source);
                if (terms == 1)
                    scale(&source, &slopes, part, &offsets, 0, offset_part, count, &mapped);
                else
                    mix(&source, &slopes, part, &offsets, 0, offset_part, count, &mapped);
                grade(&source, &mapped, count, &how, field_height > 0 ? &shadows : 0);
                store(result, deep, y * width + start, count, &mapped);
            }
        }
    }
}

/* Enlarge an affine map and apply it to a small picture in float.
 *
 * means    [height, width, 3], x
 * matrix   [4, matrix_height, matrix_width, 3]; y = m0 * red + m1 * green + m2 * blue + m3
 * white    by which the result is multiplied
 * base     [height, width, 3], written: white * y
 */
KERNEL(light_base)
(const float *means, int64_t height, int64_t width, const float *matrix, int64_t matrix_height, int64_t matrix_width,
 float white, float *base, int64_t *next) {
    Enlarged map = enlarged(matrix, 4, matrix_height, matrix_width, height);
    Planes source, mapped;
    for (int64_t first; (first = take_strip(next)) < height;) {
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = at_most(CHUNK, width - start);
            begin(&map, start, count, width);
            for (int64_t y = first; y < at_most(first + STRIP, height); y++) {
                float part = reach(&map, y, count);
                const float *restrict from = means + 3 * (y * width + start);
                float *restrict to = base + 3 * (y * width + start);
                for (int64_t i = 0; i < count; i++)
                    for (int c = 0; c < 3; c++) source.channel[c][i] = from[3 * i + c];
                mix(&source, &map, part, &map, 3, part, count, &mapped);
                for (int64_t i = 0; i < count; i++)
                    for (int c = 0; c < 3; c++) to[3 * i + c] = white * mapped.channel[c][i];
            }
        }
    }
}

/* Grade an enhanced picture of full size.
 *
 * pixels, enhanced   [height, width, 3], x and y
 * white to middle    as in `apply_map`
 * result   [height, width, 3], written from the row that `next` says up to `last`
 */
KERNEL(blend)
(const uint8_t *pixels, const uint8_t *enhanced, int64_t height, int64_t width, float white, float blend,
 float protect, const float *tone, int64_t tone_steps, float gate, const float *curve, int64_t curve_steps,
 const float *field, int64_t field_height, int64_t field_width, float most, float middle, int64_t last,
 uint8_t *result, int64_t *next) {
    Grade how = {white, blend, protect, tone_steps, tone, gate, curve_steps, curve, most, middle};
    Enlarged factors = enlarged(field, 1, field_height, field_width, height);
    Planes source, mapped;
    Factors shadows;
    for (int64_t first; (first = take_strip(next)) < last;) {
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = at_most(CHUNK, width - start);
            if (field_height > 0) begin(&factors, start, count, width);
            for (int64_t y = first; y < at_most(first + STRIP, last); y++) {
                if (field_height > 0) gather_factors(&factors, reach(&factors, y, count), count, &shadows);
                load(pixels, 0, y * width + start, count, &source);
                load(enhanced, 0, y * width + start, count, &mapped);
                grade(&source, &mapped, count, &how, field_height > 0 ? &shadows : 0);
                store(result, 0, y * width + start, count, &mapped);
            }
        }
    }
}
