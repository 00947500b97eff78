/* How noisy a picture is, place by place. */
#include "planes.h"

INLINE float size_of_bend(const float *values) { return __builtin_fabsf(values[0] - 2 * values[1] + values[2]); }

/* Second differences of second differences, their size: of the channels' mean, and of their differences.
 *
 * pixels   [height, width, 3], code values; sides at least 3
 * step     every so many pixels, down and across, one is looked at, with its eight neighbours
 * rows, columns   of the result: (height - 3) / step + 1, and so on
 * grey_unit, colour_unit   by which they are multiplied
 * result   [rows, columns, 2], written: first of grey, then the mean of red's difference to green and of blue's
 */
KERNEL(measure_noise)
(const void *pixels, int32_t deep, int64_t width, int64_t rows, int64_t columns, int64_t step, float grey_unit,
 float colour_unit, float *result, int64_t *next) {
    float third = grey_unit / 3, half = colour_unit / 2;
    float grey[CHUNK], red_green[CHUNK], blue_green[CHUNK];
    Planes above, line, below;
    int64_t at_once = (CHUNK - 3) / step + 1;
    for (int64_t first; (first = take_strip(next)) < rows;) {
        for (int64_t row = first; row < at_most(first + STRIP, rows); row++) {
            for (int64_t start = 0; start < columns; start += at_once) {
                int64_t places = at_most(at_once, columns - start), count = (places - 1) * step + 3;
                int64_t at = row * step * width + start * step;
                load(pixels, deep, at, count, &above);
                load(pixels, deep, at + width, count, &line);
                load(pixels, deep, at + 2 * width, count, &below);
                for (int64_t x = 0; x < count; x++) {
                    float bend[3];
                    for (int c = 0; c < 3; c++)
                        bend[c] = above.channel[c][x] - 2 * line.channel[c][x] + below.channel[c][x];
                    grey[x] = bend[0] + bend[1] + bend[2];
                    red_green[x] = bend[0] - bend[1];
                    blue_green[x] = bend[2] - bend[1];
                }
                float *restrict found = result + 2 * (row * columns + start);
                if (step == 1) {
                    for (int64_t x = 0; x < places; x++) {
                        found[2 * x] = third * size_of_bend(grey + x);
                        found[2 * x + 1] = half * (size_of_bend(red_green + x) + size_of_bend(blue_green + x));
                    }
                } else {
                    for (int64_t x = 0; x < places; x++) {
                        int64_t from = x * step;
                        found[2 * x] = third * size_of_bend(grey + from);
                        found[2 * x + 1] = half * (size_of_bend(red_green + from) + size_of_bend(blue_green + from));
                    }
                }
            }
        }
    }
}
