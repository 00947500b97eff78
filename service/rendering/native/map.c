/* The pass over full-size pixels that writes the result: an affine map enlarged and applied, or a picture blended. */
#include "grade.h"

/* Slopes of a map that mixes colours, and its offset. */
#define MOST_TERMS 4

typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

INLINE int64_t rounded(int64_t count) { return (count + 3) / 4 * 4; }

/* A map [terms, height, width, 3] that is being enlarged, linearly, for the pixels of one chunk of columns.
 *
 * Pixel centres are at half-integers in map and picture, and the map's border values reach to the picture's border.
 * Columns are enlarged once for each row of the map; between two of them coefficients change linearly.
 */
typedef struct {
    const float *values;
    int64_t terms, height, width;
    double down;                           /* rows of the map in one of the picture */
    int64_t held;                          /* the upper of the two rows at hand; -2: none is */
    int32_t left[CHUNK];                   /* of each pixel, the column of the map left of it */
    float fraction[CHUNK];                 /* how far it is from there to the next, 0 to 1 */
    float rows[2][MOST_TERMS][3][CHUNK];   /* enlarged; row i of the map lies at i % 2 */
    float steps[MOST_TERMS][3][CHUNK];     /* from the upper row to the lower */
} Enlarged;

/* Of a picture of `rows` rows. */
INLINE Enlarged enlarged(const float *values, int64_t terms, int64_t height, int64_t width, int64_t rows) {
    return (Enlarged){
        .values = values, .terms = terms, .height = height, .width = width, .down = (double)height / (double)rows};
}

/* Turn to the `count` columns from `start` on, of the picture's `width`. */
INLINE void begin(Enlarged *map, int64_t start, int64_t count, int64_t width) {
    double across = (double)map->width / (double)width, last = (double)(map->width - 1);
    map->held = -2;
    for (int64_t i = 0; i < rounded(count); i++) {
        double place = ((double)(start + i) + 0.5) * across - 0.5;
        place = place < 0 ? 0 : place > last ? last : place;
        int32_t left = (int32_t)at_least(at_most((int64_t)place, map->width - 2), 0);
        map->left[i] = left;
        map->fraction[i] = (float)(place - left);
    }
}

/* The pixel at `place` and a share of the way to its right neighbour; of the result's four values three count. */
INLINE Four stretched(const float *line, int32_t place, float fraction) {
    Four left = *(const Four *)(line + 3 * (int64_t)place), right = *(const Four *)(line + 3 * (int64_t)place + 2);
    right = __builtin_shufflevector(right, right, 1, 2, 3, -1);
    return left + fraction * (right - left);
}

INLINE void enlarge_row(Enlarged *map, int64_t row, int64_t count) {
    for (int64_t term = 0; term < map->terms; term++) {
        const float *restrict line = map->values + 3 * map->width * (term * map->height + row);
        float(*restrict result)[CHUNK] = map->rows[row % 2][term];
        if (map->width == 1) {
            for (int c = 0; c < 3; c++)
                for (int64_t i = 0; i < count; i++) result[c][i] = line[c];
            continue;
        }
        for (int64_t i = 0; i < count; i += 4) {
            Four one = stretched(line, map->left[i], map->fraction[i]);
            Four two = stretched(line, map->left[i + 1], map->fraction[i + 1]);
            Four three = stretched(line, map->left[i + 2], map->fraction[i + 2]);
            Four four = stretched(line, map->left[i + 3], map->fraction[i + 3]);
            Four red_green = __builtin_shufflevector(one, two, 0, 4, 1, 5);
            Four blue = __builtin_shufflevector(one, two, 2, 6, -1, -1);
            Four more_red_green = __builtin_shufflevector(three, four, 0, 4, 1, 5);
            Four more_blue = __builtin_shufflevector(three, four, 2, 6, -1, -1);
            *(Four *)(result[0] + i) = __builtin_shufflevector(red_green, more_red_green, 0, 1, 4, 5);
            *(Four *)(result[1] + i) = __builtin_shufflevector(red_green, more_red_green, 2, 3, 6, 7);
            *(Four *)(result[2] + i) = __builtin_shufflevector(blue, more_blue, 0, 1, 4, 5);
        }
    }
}

/* Have the rows above and below a row of the picture at hand; returns how far it is from the upper to the lower. */
INLINE float reach(Enlarged *map, int64_t y, int64_t count) {
    double place = ((double)y + 0.5) * map->down - 0.5;
    if (place < 0) place = 0;
    int64_t top = (int64_t)place;
    if (top > map->height - 1) top = map->height - 1;
    if (top != map->held) {
        int64_t bottom = at_most(top + 1, map->height - 1); /* below the last row it goes on as it is */
        if (top != map->held + 1) enlarge_row(map, top, count);
        if (bottom != top) enlarge_row(map, bottom, count);
        for (int64_t term = 0; term < map->terms; term++)
            for (int c = 0; c < 3; c++) {
                const float *restrict upper = map->rows[top % 2][term][c], *restrict lower = map->rows[bottom % 2][term][c];
                for (int64_t i = 0; i < count; i++) map->steps[term][c][i] = lower[i] - upper[i];
            }
        map->held = top;
    }
    return (float)(place - (double)top);
}

/* One channel of a term in a row of the picture: `first[i] + part * step[i]`. */
typedef struct {
    const float *first, *step;
    float part;
} Line;

INLINE Line line_of(const Enlarged *map, int64_t term, int c, float part) {
    return (Line){map->rows[map->held % 2][term][c], map->steps[term][c], part};
}

#define AT(line, i) ((line).first[i] + (line).part * (line).step[i])

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

/* Enlarge an affine map, apply it and grade.
 *
 * pixels   [height, width, 3], x in code values
 * matrix   [terms, matrix_height, matrix_width, 3], the slopes. With 1 term y = m0 * x + b, channel by channel; with 3
 *          terms y = m0 * red + m1 * green + m2 * blue + b.
 * base     [base_height, base_width, 3], b in code values, on a grid of its own
 * white, blend, protect, tone, tone_steps   as in `Grade`
 * result   as `pixels`, written from the row that `next` says up to `last`
 */
KERNEL(apply_map)
(const void *pixels, int32_t deep, int64_t height, int64_t width, const float *matrix, int64_t terms,
 int64_t matrix_height, int64_t matrix_width, const float *base, int64_t base_height, int64_t base_width, float white,
 float blend, float protect, const float *tone, int64_t tone_steps, int64_t last, void *result, int64_t *next) {
    Grade how = {white, blend, protect, tone_steps, tone};
    Enlarged slopes = enlarged(matrix, terms, matrix_height, matrix_width, height);
    Enlarged offsets = enlarged(base, 1, base_height, base_width, height);
    Planes source, mapped;
    for (int64_t first; (first = take_strip(next)) < last;) {
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = at_most(CHUNK, width - start);
            begin(&slopes, start, count, width);
            begin(&offsets, start, count, width);
            for (int64_t y = first; y < at_most(first + STRIP, last); y++) {
                float part = reach(&slopes, y, count), offset_part = reach(&offsets, y, count);
                load(pixels, deep, y * width + start, count, &source);
                if (terms == 1)
                    scale(&source, &slopes, part, &offsets, 0, offset_part, count, &mapped);
                else
                    mix(&source, &slopes, part, &offsets, 0, offset_part, count, &mapped);
                grade(&source, &mapped, count, &how);
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

/* Grade an enhanced picture of full size: `pixels`, `enhanced` and `result` are 8-bit, `count` pixels of any shape.
 *
 * white, blend, protect, tone, tone_steps   as in `Grade`
 */
KERNEL(blend)
(const uint8_t *pixels, const uint8_t *enhanced, int64_t pixel_count, float white, float blend, float protect,
 const float *tone, int64_t tone_steps, uint8_t *result, int64_t *next) {
    Grade how = {white, blend, protect, tone_steps, tone};
    Planes source, mapped;
    int64_t chunks = (pixel_count + CHUNK - 1) / CHUNK;
    for (int64_t first; (first = take_strip(next)) < chunks;) {
        for (int64_t chunk = first; chunk < at_most(first + STRIP, chunks); chunk++) {
            int64_t start = chunk * CHUNK, count = at_most(CHUNK, pixel_count - start);
            load(pixels, 0, start, count, &source);
            load(enhanced, 0, start, count, &mapped);
            grade(&source, &mapped, count, &how);
            store(result, 0, start, count, &mapped);
        }
    }
}
