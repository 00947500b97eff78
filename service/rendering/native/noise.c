/* How noisy a picture is, place by place. */
#include "planes.h"

INLINE float size_of_bend(const float *values) { return __builtin_fabsf(values[0] - 2 * values[1] + values[2]); }

/* Second differences of second differences, their mean size in blocks: of the channels' mean, and of their differences.
 *
 * pixels   [height, width, 3], code values; sides at least 3
 * step     every so many pixels, down and across, one is looked at, with its eight neighbours
 * down, across   how many are looked at: (height - 3) / step + 1, and so on
 * rows, columns  of blocks, into which these are divided as evenly as may be; at most `down` and `across`
 * grey_unit, colour_unit   by which the sizes are multiplied
 * result   [rows, columns, 2], written: first of grey, then the mean of red's difference to green and of blue's
 */
KERNEL(measure_noise)
(const void *pixels, int32_t deep, int64_t width, int64_t step, int64_t down, int64_t across, int64_t rows,
 int64_t columns, float grey_unit, float colour_unit, float *result, int64_t *next) {
    float third = grey_unit / 3, half = colour_unit / 2;
    float grey[CHUNK], red_green[CHUNK], blue_green[CHUNK], sizes[2][CHUNK];
    Planes above, line, below;
    int64_t at_once = (CHUNK - 3) / step + 1;
    for (int64_t row; (row = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < rows;) {
        int64_t top = row * down / rows, bottom = (row + 1) * down / rows;
        float *found = result + 2 * row * columns;
        for (int64_t j = 0; j < 2 * columns; j++) found[j] = 0;
        for (int64_t y = top; y < bottom; y++) {
            int64_t column = 0;
            for (int64_t start = 0; start < across; start += at_once) {
                int64_t places = at_most(at_once, across - start), count = (places - 1) * step + 3;
                int64_t at = y * step * width + start * step;
                load(pixels, deep, at, count, &above);
                load(pixels, deep, at + width, count, &line);
                load(pixels, deep, at + 2 * width, count, &below);
                for (int64_t x = 0; x < count; x++) {
                    float second_difference[3];
                    for (int c = 0; c < 3; c++)
                        second_difference[c] = above.channel[c][x] - 2 * line.channel[c][x] + below.channel[c][x];
                    grey[x] = second_difference[0] + second_difference[1] + second_difference[2];
                    red_green[x] = second_difference[0] - second_difference[1];
                    blue_green[x] = second_difference[2] - second_difference[1];
                }
                if (step == 1) {
                    for (int64_t x = 0; x < places; x++) {
                        sizes[0][x] = size_of_bend(grey + x);
                        sizes[1][x] = size_of_bend(red_green + x) + size_of_bend(blue_green + x);
                    }
                } else {
                    for (int64_t x = 0; x < places; x++) {
                        sizes[0][x] = size_of_bend(grey + x * step);
                        sizes[1][x] = size_of_bend(red_green + x * step) + size_of_bend(blue_green + x * step);
                    }
                }
                for (int64_t x = 0; x < places;) {
                    int64_t edge = (column + 1) * across / columns, stop = at_most(edge - start, places);
                    float sums[2] = {0, 0};
                    for (; x < stop; x++) {
                        sums[0] += sizes[0][x];
                        sums[1] += sizes[1][x];
                    }
                    found[2 * column] += sums[0];
                    found[2 * column + 1] += sums[1];
                    if (start + x == edge) column++;
                }
            }
        }
        for (int64_t column = 0; column < columns; column++) {
            int64_t places = (bottom - top) * ((column + 1) * across / columns - column * across / columns);
            found[2 * column] *= third / (float)places;
            found[2 * column + 1] *= half / (float)places;
        }
    }
}
