/* What a small picture hides: how much lies within each of its pixels, and how much of that is as fine as noise. */
#include "kernels.h"

/* Add up samples of one row: of grey, less the first sample of each cell, for sums of large numbers are inexact; its
 * square; and of second differences. */
#define ADD_SAMPLES(name, Code)                                                                              \
    static void name(const Code *restrict line, const int32_t *restrict across, int64_t columns,             \
                     int64_t count, int64_t last, int begins, float *restrict sums) {                        \
        for (int64_t cell = 0; cell < columns; cell++) {                                                     \
            const Code *pixel = line + 3 * (int64_t)across[cell * count];                                    \
            float pivot = begins ? (float)pixel[0] + (float)pixel[1] + (float)pixel[2] : sums[5 * cell + 4]; \
            float grey = 0, square = 0, finest = 0, colour = 0;                                              \
            for (int64_t k = 0; k < count; k++) {                                                            \
                int64_t x = across[cell * count + k];                                                        \
                const Code *here = line + 3 * x;                                                             \
                const Code *left = x > 0 ? here - 3 : here, *right = x < last ? here + 3 : here;             \
                float red = (float)here[0] - 0.5f * ((float)left[0] + (float)right[0]);                      \
                float green = (float)here[1] - 0.5f * ((float)left[1] + (float)right[1]);                    \
                float blue = (float)here[2] - 0.5f * ((float)left[2] + (float)right[2]);                     \
                float sum = (float)here[0] + (float)here[1] + (float)here[2] - pivot;                        \
                grey += sum;                                                                                 \
                square += sum * sum;                                                                         \
                finest += __builtin_fabsf(red + green + blue);                                               \
                colour += __builtin_fabsf(red - green) + __builtin_fabsf(blue - green);                      \
            }                                                                                                \
            sums[5 * cell] += grey;                                                                          \
            sums[5 * cell + 1] += square;                                                                    \
            sums[5 * cell + 2] += finest;                                                                    \
            sums[5 * cell + 3] += colour;                                                                    \
            sums[5 * cell + 4] = pivot;                                                                      \
        }                                                                                                    \
    }
ADD_SAMPLES(add_samples, uint8_t)
ADD_SAMPLES(add_deep_samples, uint16_t)

/* Measure each pixel of a small picture in count x count samples of the large one.
 *
 * pixels   [height, width, 3], code values
 * down     [rows * count], the rows of the large picture that are looked at
 * across   [columns * count], its columns
 * unit     one over the largest code
 * sums     [rows, columns, 5], room to work in
 * result   [rows, columns, 3], written: the deviation of grey, and the mean size of second differences along a row, of
 *          grey and of red and of blue less green; code values from 0 to 1
 */
KERNEL(evidence)
(const void *pixels, int32_t deep, int64_t width, int64_t rows, int64_t columns, int64_t count, const int32_t *down,
 const int32_t *across, float unit, float *sums, float *result, int64_t *next) {
    float samples = (float)(count * count);
    for (int64_t first; (first = take_strip(next)) < rows;) {
        for (int64_t row = first; row < at_most(first + STRIP, rows); row++) {
            float *restrict sum = sums + 5 * row * columns, *restrict out = result + 3 * row * columns;
            for (int64_t j = 0; j < 5 * columns; j++) sum[j] = 0;
            for (int64_t k = 0; k < count; k++) {
                int64_t at = 3 * (int64_t)down[row * count + k] * width;
                if (deep)
                    add_deep_samples((const uint16_t *)pixels + at, across, columns, count, width - 1, k == 0, sum);
                else
                    add_samples((const uint8_t *)pixels + at, across, columns, count, width - 1, k == 0, sum);
            }
            for (int64_t j = 0; j < columns; j++) {
                float mean = sum[5 * j] / samples, variance = sum[5 * j + 1] / samples - mean * mean;
                out[3 * j] = __builtin_sqrtf(variance > 0 ? variance : 0) * unit / 3;
                out[3 * j + 1] = sum[5 * j + 2] / samples * unit / 3;
                out[3 * j + 2] = sum[5 * j + 3] / samples * unit / 2;
            }
        }
    }
}
