/* Chunks of a picture's row as three planes of float, and back. */
#ifndef NIGHTLIFT_PLANES_H
#define NIGHTLIFT_PLANES_H

#include "kernels.h"

typedef struct {
    float channel[3][CHUNK];
} Planes;

/* `count` pixels from the one at `start`, counted over the whole picture. */
INLINE void load(const void *pixels, int deep, int64_t start, int64_t count, Planes *planes) {
    float *restrict red = planes->channel[0], *restrict green = planes->channel[1], *restrict blue = planes->channel[2];
    if (deep) {
        const uint16_t *restrict codes = (const uint16_t *)pixels + 3 * start;
        for (int64_t i = 0; i < count; i++) {
            red[i] = codes[3 * i];
            green[i] = codes[3 * i + 1];
            blue[i] = codes[3 * i + 2];
        }
    } else {
        const uint8_t *restrict codes = (const uint8_t *)pixels + 3 * start;
        for (int64_t i = 0; i < count; i++) {
            red[i] = codes[3 * i];
            green[i] = codes[3 * i + 1];
            blue[i] = codes[3 * i + 2];
        }
    }
}

/* Values in the codes' range, cut off behind the point. */
INLINE void store(void *pixels, int deep, int64_t start, int64_t count, const Planes *planes) {
    const float *restrict red = planes->channel[0], *restrict green = planes->channel[1];
    const float *restrict blue = planes->channel[2];
    if (deep) {
        uint16_t *restrict codes = (uint16_t *)pixels + 3 * start;
        for (int64_t i = 0; i < count; i++) {
            codes[3 * i] = (uint16_t)(int32_t)red[i];
            codes[3 * i + 1] = (uint16_t)(int32_t)green[i];
            codes[3 * i + 2] = (uint16_t)(int32_t)blue[i];
        }
    } else {
        uint8_t *restrict codes = (uint8_t *)pixels + 3 * start;
        for (int64_t i = 0; i < count; i++) {
            codes[3 * i] = (uint8_t)(int32_t)red[i];
            codes[3 * i + 1] = (uint8_t)(int32_t)green[i];
            codes[3 * i + 2] = (uint8_t)(int32_t)blue[i];
        }
    }
}

#endif
