/* Maps and fields of a small picture's size, enlarged linearly over a large one, row by row. */
#ifndef NIGHTLIFT_ENLARGE_H
#define NIGHTLIFT_ENLARGE_H

#include "kernels.h"

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

#endif
