/* The fit of a local affine map; `_affine.py` says what it computes and why. */
#include "kernels.h"

/* Windows of the fit are 5 x 5 pixels. */
#define RADIUS 2
#define WINDOW (2 * RADIUS + 1)

/* Variance below this share of the squared mean counts as flat. */
#define RELATIVE_EPSILON 1e-3f

/* Keeps black places defined: there variance and mean are zero. */
#define ABSOLUTE_EPSILON 1e-6f

/* How far the map of one place may lie above that of its neighbour, in the neighbour's colour: half a code. */
#define OVERSHOOT (0.5f / 255)

/* Smallest difference between neighbours, code values, that says anything about a slope: pictures are rounded. */
#define RESOLVED (0.5f / 255)

/* Difference between neighbours, code values, from which there is an edge between them and no ramp. */
#define EDGE (4.5f / 255)

/* Values of a chunk, and of what its windows reach beside it. */
#define VALUES (3 * CHUNK)
#define MARGIN (3 * RADIUS)
#define REACHED (VALUES + 2 * MARGIN)

/* A place up to RADIUS beyond an axis, mirrored back into it: the outermost pixel counts twice. */
INLINE int64_t reflected(int64_t place, int64_t length) {
    if (place < 0) place = -1 - place;
    if (place >= length) place = 2 * length - 1 - place;
    return at_most(at_least(place, 0), length - 1);
}

/* Values of a row from MARGIN before `start` to MARGIN after the `count` that follow, reflected at the row's ends. */
INLINE void gather(const float *restrict row, int64_t width, int64_t start, int64_t count, float *restrict values) {
    for (int64_t j = 0; j < count; j++) values[MARGIN + j] = row[start + j];
    for (int64_t pixel = 1; pixel <= RADIUS; pixel++) {
        int64_t left = 3 * reflected(start / 3 - pixel, width);
        int64_t right = 3 * reflected((start + count) / 3 - 1 + pixel, width);
        for (int c = 0; c < 3; c++) {
            values[MARGIN - 3 * pixel + c] = row[left + c];
            values[MARGIN + count + 3 * (pixel - 1) + c] = row[right + c];
        }
    }
}

/* The mean of a window from the sums of its columns, of which `sums` is the first of the same channel. */
INLINE float mean_along(const float *sums) {
    return (sums[0] + sums[3] + sums[6] + sums[9] + sums[12]) * (1.0f / (WINDOW * WINDOW));
}

/* Fit slope and offset in the window around each pixel.
 *
 * source, target   [height, width, 3], code values from 0 to 1; the target is clipped to that
 * slope, offset    [height, width, 3], written
 */
KERNEL(fit)
(const float *source, const float *target, int64_t height, int64_t width, float *slope, float *offset,
 int64_t *next) {
    float x[REACHED], goal[REACHED], sums[4][REACHED];
    for (int64_t first; (first = take_strip(next)) < height;) {
        for (int64_t y = first; y < at_most(first + STRIP, height); y++) {
            for (int64_t start = 0; start < 3 * width; start += VALUES) {
                int64_t count = at_most(VALUES, 3 * width - start), reached = count + 2 * MARGIN;
                for (int i = 0; i < 4; i++)
                    for (int64_t j = 0; j < reached; j++) sums[i][j] = 0;
                for (int64_t step = -RADIUS; step <= RADIUS; step++) {
                    int64_t near = 3 * width * reflected(y + step, height);
                    gather(source + near, width, start, count, x);
                    gather(target + near, width, start, count, goal);
                    for (int64_t j = 0; j < reached; j++) {
                        float clipped = limited(goal[j], 1);
                        sums[0][j] += x[j];
                        sums[1][j] += clipped;
                        sums[2][j] += x[j] * x[j];
                        sums[3][j] += x[j] * clipped;
                    }
                }
                float *restrict slopes = slope + 3 * width * y + start, *restrict offsets = offset + 3 * width * y + start;
                for (int64_t j = 0; j < count; j++) {
                    float mean = mean_along(sums[0] + j), mean_goal = mean_along(sums[1] + j);
                    float variance = larger(0, mean_along(sums[2] + j) - mean * mean);
                    float covariance = mean_along(sums[3] + j) - mean * mean_goal;
                    float steep = covariance / (variance + RELATIVE_EPSILON * mean * mean + ABSOLUTE_EPSILON);
                    slopes[j] = steep;
                    offsets[j] = mean_goal - steep * mean;
                }
            }
        }
    }
}

/* Average slopes and offsets over the same windows.
 *
 * source, slope, offset   [height, width, 3]
 * smooth   [height, width, 3], written: the mean slope
 * value    [height, width, 3], written: what the mean map makes of the source
 */
KERNEL(smooth)
(const float *source, const float *slope, const float *offset, int64_t height, int64_t width, float *smooth,
 float *value, int64_t *next) {
    float slopes[REACHED], offsets[REACHED], sums[2][REACHED];
    for (int64_t first; (first = take_strip(next)) < height;) {
        for (int64_t y = first; y < at_most(first + STRIP, height); y++) {
            for (int64_t start = 0; start < 3 * width; start += VALUES) {
                int64_t count = at_most(VALUES, 3 * width - start), reached = count + 2 * MARGIN;
                int64_t at = 3 * width * y + start;
                for (int i = 0; i < 2; i++)
                    for (int64_t j = 0; j < reached; j++) sums[i][j] = 0;
                for (int64_t step = -RADIUS; step <= RADIUS; step++) {
                    int64_t near = 3 * width * reflected(y + step, height);
                    gather(slope + near, width, start, count, slopes);
                    gather(offset + near, width, start, count, offsets);
                    for (int64_t j = 0; j < reached; j++) {
                        sums[0][j] += slopes[j];
                        sums[1][j] += offsets[j];
                    }
                }
                for (int64_t j = 0; j < count; j++) {
                    smooth[at + j] = mean_along(sums[0] + j);
                    value[at + j] = mean_along(sums[1] + j) + smooth[at + j] * source[at + j];
                }
            }
        }
    }
}

/* Lower limits of slopes to those of the lines to neighbours' results.
 *
 * source, value   of the pixels
 * distance   from them to their neighbours, in values
 * limit      largest slopes allowed, changed in place
 * largest    largest differences to a neighbour, changed in place
 */
INLINE void limit_towards(const float *restrict source, const float *restrict value, int64_t distance, int64_t count,
                          float *restrict limit, float *restrict largest) {
    for (int64_t j = 0; j < count; j++) {
        float run = source[j + distance] - source[j], rise = value[j + distance] - value[j];
        float length = __builtin_fabsf(run);
        rise = (run > 0 ? rise : -rise) + OVERSHOOT;
        limit[j] = smaller(limit[j], length > RESOLVED ? rise / length : __builtin_inff());
        largest[j] = larger(largest[j], length);
    }
}

/* Make slopes flat enough that no map leads past its neighbours' results.
 *
 * Near black a strong curve rises by a hundred codes from one code to the next, and much less after that. Between a
 * steep map and the flatter one beside it, pixels of one colour would get darker on the way: a slow ramp came out as a
 * saw, by up to 14 codes. So the slope is at most that of the line to each neighbour's result: the limiter by which
 * difference schemes stay monotone (van Leer, "Towards the Ultimate Conservative Difference Scheme II", 1974), but for
 * half a code, without which noise would be taken for ramps. Beside edges slopes stay, for there the steep map is what
 * keeps the dark side dark. On LOL's eval15 all scores rise a little: by 0.004 to 0.011 dB and .002 to .004 of SSIM.
 *
 * source, slope, value   [height, width, 3]
 * terms   [2, height, width, 3], written: slopes and offsets; each map keeps its value at its own place
 */
KERNEL(limit)
(const float *source, const float *slope, const float *value, int64_t height, int64_t width, float *terms,
 int64_t *next) {
    float limit[VALUES], largest[VALUES];
    int64_t values = 3 * width;
    for (int64_t first; (first = take_strip(next)) < height;) {
        for (int64_t y = first; y < at_most(first + STRIP, height); y++) {
            for (int64_t start = 0; start < values; start += VALUES) {
                int64_t count = at_most(VALUES, values - start), at = values * y + start;
                const float *here = source + at, *mine = value + at;
                for (int64_t j = 0; j < count; j++) {
                    limit[j] = __builtin_inff();
                    largest[j] = 0;
                }
                if (y > 0) limit_towards(here, mine, -values, count, limit, largest);
                if (y < height - 1) limit_towards(here, mine, values, count, limit, largest);
                int64_t skipped = start > 0 ? 0 : 3, missing = start + count < values ? 0 : 3;
                limit_towards(here + skipped, mine + skipped, -3, count - skipped, limit + skipped, largest + skipped);
                limit_towards(here, mine, 3, count - missing, limit, largest);
                for (int64_t j = 0; j < count; j++) {
                    float steep = slope[at + j];
                    if (largest[j] <= EDGE) steep = smaller(steep, larger(limit[j], 0));
                    terms[at + j] = steep;
                    terms[values * height + at + j] = mine[j] - steep * here[j];
                }
            }
        }
    }
}
