/* Chunks of a picture's row as three planes of float, and back. */
#ifndef NIGHTLIFT_PLANES_H
#define NIGHTLIFT_PLANES_H

#include "kernels.h"

typedef struct {
    float channel[3][CHUNK];
} Planes;

/* Pixels that are taken apart and put together at once. */
#define LANES 16

typedef float Floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

/* Compilers make vector instructions of loops over every third value, but slow ones; so the shuffles are spelled out. */
INLINE void load_lanes(const uint8_t *codes, int64_t i, Planes *planes) {
    Bytes low = *(const Bytes *)codes, middle = *(const Bytes *)(codes + 16), high = *(const Bytes *)(codes + 32);
    Bytes red = __builtin_shufflevector(low, middle, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, -1, -1, -1, -1, -1);
    Bytes green = __builtin_shufflevector(low, middle, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, -1, -1, -1, -1, -1);
    Bytes blue = __builtin_shufflevector(low, middle, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, -1, -1, -1, -1, -1, -1);
    red = __builtin_shufflevector(red, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
    green = __builtin_shufflevector(green, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
    blue = __builtin_shufflevector(blue, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
    *(Floats *)(planes->channel[0] + i) = __builtin_convertvector(red, Floats);
    *(Floats *)(planes->channel[1] + i) = __builtin_convertvector(green, Floats);
    *(Floats *)(planes->channel[2] + i) = __builtin_convertvector(blue, Floats);
}

INLINE Bytes cut_off(const float *values) {
    return __builtin_convertvector(__builtin_convertvector(*(const Floats *)values, Ints), Bytes);
}

INLINE void store_lanes(uint8_t *codes, int64_t i, const Planes *planes) {
    Bytes red = cut_off(planes->channel[0] + i), green = cut_off(planes->channel[1] + i);
    Bytes blue = cut_off(planes->channel[2] + i);
    Bytes low = __builtin_shufflevector(red, green, 0, 16, -1, 1, 17, -1, 2, 18, -1, 3, 19, -1, 4, 20, -1, 5);
    Bytes middle = __builtin_shufflevector(red, green, 21, -1, 6, 22, -1, 7, 23, -1, 8, 24, -1, 9, 25, -1, 10, 26);
    Bytes high = __builtin_shufflevector(red, green, -1, 11, 27, -1, 12, 28, -1, 13, 29, -1, 14, 30, -1, 15, 31, -1);
    *(Bytes *)codes = __builtin_shufflevector(low, blue, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
    *(Bytes *)(codes + 16) =
        __builtin_shufflevector(middle, blue, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
    *(Bytes *)(codes + 32) =
        __builtin_shufflevector(high, blue, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
}

/* `count` pixels from the one at `start`, counted over the whole picture. */
INLINE void load(const void *pixels, int deep, int64_t start, int64_t count, Planes *planes) {
    int64_t i = 0;
    if (deep) {
        const uint16_t *restrict codes = (const uint16_t *)pixels + 3 * start;
        for (; i < count; i++)
            for (int c = 0; c < 3; c++) planes->channel[c][i] = codes[3 * i + c];
    } else {
        const uint8_t *restrict codes = (const uint8_t *)pixels + 3 * start;
        for (; i + LANES <= count; i += LANES) load_lanes(codes + 3 * i, i, planes);
        for (; i < count; i++)
            for (int c = 0; c < 3; c++) planes->channel[c][i] = codes[3 * i + c];
    }
}

/* Values in the codes' range, cut off behind the point. */
INLINE void store(void *pixels, int deep, int64_t start, int64_t count, const Planes *planes) {
    int64_t i = 0;
    if (deep) {
        uint16_t *restrict codes = (uint16_t *)pixels + 3 * start;
        for (; i < count; i++)
            for (int c = 0; c < 3; c++) codes[3 * i + c] = (uint16_t)(int32_t)planes->channel[c][i];
    } else {
        uint8_t *restrict codes = (uint8_t *)pixels + 3 * start;
        for (; i + LANES <= count; i += LANES) store_lanes(codes + 3 * i, i, planes);
        for (; i < count; i++)
            for (int c = 0; c < 3; c++) codes[3 * i + c] = (uint8_t)(int32_t)planes->channel[c][i];
    }
}

#endif
