/* The pass over full-size pixels that writes the result: an affine map enlarged and applied, or a picture blended. */
#include "grade.h"

/* Slopes of a map that mixes colours, and its offset. */
#define MOST_TERMS 4

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
} Enlarged;

/* Of a picture of `rows` rows. */
INLINE Enlarged enlarged(const float *values, int64_t terms, int64_t height, int64_t width, int64_t rows) {
    return (Enlarged){
        .values = values, .terms = terms, .height = height, .width = width, .down = (double)height / (double)rows};
}

/* Turn to the `count` columns from `start` on, of the picture's `width`. */
INLINE void begin(Enlarged *map, int64_t start, int64_t count, int64_t width) {
    double across = (double)map->width / (double)width;
    map->held = -2;
    for (int64_t i = 0; i < count; i++) {
        double place = ((double)(start + i) + 0.5) * across - 0.5;
        if (place < 0) place = 0;
        if (place > (double)(map->width - 1)) place = (double)(map->width - 1);
        int32_t left = (int32_t)place;
        if (left > map->width - 2) left = map->width > 1 ? (int32_t)(map->width - 2) : 0;
        map->left[i] = left;
        map->fraction[i] = (float)(place - left);
    }
}

INLINE void enlarge_row(Enlarged *map, int64_t row, int64_t count) {
    int64_t next = map->width > 1 ? 3 : 0;
    for (int64_t term = 0; term < map->terms; term++) {
        const float *restrict line = map->values + 3 * map->width * (term * map->height + row);
        for (int c = 0; c < 3; c++) {
            float *restrict result = map->rows[row % 2][term][c];
            for (int64_t i = 0; i < count; i++) {
                const float *at = line + 3 * (int64_t)map->left[i] + c;
                result[i] = at[0] + map->fraction[i] * (at[next] - at[0]);
            }
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
        if (top != map->held + 1) enlarge_row(map, top, count);
        if (top + 1 < map->height) {
            enlarge_row(map, top + 1, count);
        } else { /* below the last row it goes on as it is */
            for (int64_t term = 0; term < map->terms; term++)
                for (int c = 0; c < 3; c++)
                    for (int64_t i = 0; i < count; i++)
                        map->rows[(top + 1) % 2][term][c][i] = map->rows[top % 2][term][c][i];
        }
        map->held = top;
    }
    return (float)(place - (double)top);
}

#define UPPER(map, term, c) (map).rows[(map).held % 2][term][c]
#define LOWER(map, term, c) (map).rows[((map).held + 1) % 2][term][c]
#define BETWEEN(upper, lower, part, i) ((upper)[i] + (part) * ((lower)[i] - (upper)[i]))

/* y = m0 * red + m1 * green + m2 * blue + m3, of the same map or of another. */
INLINE void mix(const Planes *source, const Enlarged *matrix, float part, const float *offset_above[3],
                const float *offset_below[3], float offset_part, int64_t count, Planes *result) {
    const float *restrict red = source->channel[0], *restrict green = source->channel[1];
    const float *restrict blue = source->channel[2];
    for (int c = 0; c < 3; c++) {
        const float *restrict u0 = UPPER(*matrix, 0, c), *restrict l0 = LOWER(*matrix, 0, c);
        const float *restrict u1 = UPPER(*matrix, 1, c), *restrict l1 = LOWER(*matrix, 1, c);
        const float *restrict u2 = UPPER(*matrix, 2, c), *restrict l2 = LOWER(*matrix, 2, c);
        const float *restrict above = offset_above[c], *restrict below = offset_below[c];
        float *restrict y = result->channel[c];
        for (int64_t i = 0; i < count; i++)
            y[i] = BETWEEN(above, below, offset_part, i) + BETWEEN(u0, l0, part, i) * red[i] +
                   BETWEEN(u1, l1, part, i) * green[i] + BETWEEN(u2, l2, part, i) * blue[i];
    }
}

/* Enlarge an affine map, apply it and grade.
 *
 * pixels   [height, width, 3], x in code values
 * matrix   [terms, matrix_height, matrix_width, 3], the slopes. With 1 term y = m0 * x + b, channel by channel; with 3
 *          terms y = m0 * red + m1 * green + m2 * blue + b.
 * base     [base_height, base_width, 3], b in code values, on a grid of its own
 * white, blend, protect, tone, tone_steps   as in `Grade`
 * result   as `pixels`, written
 */
KERNEL(apply_map)
(const void *pixels, int32_t deep, int64_t height, int64_t width, const float *matrix, int64_t terms,
 int64_t matrix_height, int64_t matrix_width, const float *base, int64_t base_height, int64_t base_width, float white,
 float blend, float protect, const float *tone, int64_t tone_steps, void *result, int64_t *next) {
    Grade how = {white, blend, protect, tone_steps, tone};
    Enlarged slopes = enlarged(matrix, terms, matrix_height, matrix_width, height);
    Enlarged offsets = enlarged(base, 1, base_height, base_width, height);
    Planes source, mapped;
    for (int64_t first; (first = take_strip(next)) < height;) {
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = at_most(CHUNK, width - start);
            begin(&slopes, start, count, width);
            begin(&offsets, start, count, width);
            for (int64_t y = first; y < at_most(first + STRIP, height); y++) {
                float part = reach(&slopes, y, count), offset_part = reach(&offsets, y, count);
                const float *above[3], *below[3];
                for (int c = 0; c < 3; c++) {
                    above[c] = UPPER(offsets, 0, c);
                    below[c] = LOWER(offsets, 0, c);
                }
                load(pixels, deep, y * width + start, count, &source);
                if (terms == 1) {
                    for (int c = 0; c < 3; c++) {
                        const float *restrict upper = UPPER(slopes, 0, c), *restrict lower = LOWER(slopes, 0, c);
                        for (int64_t i = 0; i < count; i++)
                            mapped.channel[c][i] = BETWEEN(above[c], below[c], offset_part, i) +
                                                   BETWEEN(upper, lower, part, i) * source.channel[c][i];
                    }
                } else {
                    mix(&source, &slopes, part, above, below, offset_part, count, &mapped);
                }
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
                const float *above[3], *below[3];
                const float *restrict from = means + 3 * (y * width + start);
                float *restrict to = base + 3 * (y * width + start);
                for (int c = 0; c < 3; c++) {
                    above[c] = UPPER(map, 3, c);
                    below[c] = LOWER(map, 3, c);
                }
                for (int64_t i = 0; i < count; i++)
                    for (int c = 0; c < 3; c++) source.channel[c][i] = from[3 * i + c];
                mix(&source, &map, part, above, below, part, count, &mapped);
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
