/* Predicted maps that tell light from texture, put in order and made to suit a picture; `_affine.py` has the terms. */
#include "kernels.h"

#define VALUES (3 * CHUNK)

/* Weights of luminance as predicted maps have them (Rec. ITU-R BT.601), by colour. */
static const float LUMINANCE[3] = {0.299f, 0.587f, 0.114f};

/* Coefficients of pixels, put in order as terms.
 *
 * coefficients   [pixels, count]
 * order    [terms, 3], for each term and channel of the result the number of its coefficient
 * result   [terms, pixels, 3], written
 * finite   [1], written: 0 if all coefficients are finite, else not a number
 */
KERNEL(deal)
(const float *restrict coefficients, int64_t pixels, int64_t count, const int32_t *restrict order, int64_t terms,
 float *restrict result, float *finite) {
    float nothing = 0; /* times infinity it would be no number */
    for (int64_t j = 0; j < pixels * count; j++) nothing += 0 * coefficients[j];
    *finite = nothing;
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t term = 0; term < terms; term++)
            for (int c = 0; c < 3; c++)
                result[3 * (term * pixels + i) + c] = coefficients[i * count + order[3 * term + c]];
}

/* What a picture wants of a map for light and texture.
 *
 * terms    [5 or 6, pixels, 3]
 * quiet    [pixels], where the picture has no noise, 0 to 1; null: that counts nowhere, and there are 5 terms
 * most     how far texture may grow on its way to the gain of light
 * slopes   [3, pixels, 3], written: the matrix for texture
 * light    [4, pixels, 3], written: what light takes beside that, a matrix and an offset
 */
KERNEL(suit)
(const float *terms, int64_t pixels, const float *quiet, float most, float *slopes, float *light, int64_t *next) {
    float kept[CHUNK], gains[CHUNK], growth[VALUES], shares[VALUES];
    int64_t all = 3 * pixels, chunks = (pixels + CHUNK - 1) / CHUNK;
    for (int64_t first; (first = take_strip(next)) < chunks;) {
        for (int64_t chunk = first; chunk < at_most(first + STRIP, chunks); chunk++) {
            int64_t start = chunk * CHUNK, count = at_most(CHUNK, pixels - start), at = 3 * start;
            const float *gain = terms + 3 * all + at, *offset = terms + 4 * all + at, *clear = terms + 5 * all + at;
            for (int64_t i = 0; i < count; i++) {
                kept[i] = gains[i] = 0;
                for (int c = 0; c < 3; c++) {
                    gains[i] += gain[3 * i + c];
                    for (int64_t term = 0; term < 3; term++) kept[i] += terms[term * all + at + 3 * i + c];
                }
            }
            for (int64_t i = 0; i < count; i++) {
                float ratio = larger(kept[i] / larger(gains[i], 1e-6f), 1e-6f);
                float grown = smaller(larger(1 / ratio, 1), most), share = quiet ? quiet[start + i] : 0;
                for (int c = 0; c < 3; c++) {
                    growth[3 * i + c] = grown;
                    shares[3 * i + c] = share;
                }
            }
            if (quiet)
                for (int64_t j = 0; j < 3 * count; j++) shares[j] = clear[j] > 0 ? shares[j] : 0;
            for (int64_t term = 0; term < 3; term++) {
                const float *restrict from = terms + term * all + at;
                float *restrict to = slopes + term * all + at;
                for (int64_t j = 0; j < 3 * count; j++) to[j] = from[j] * growth[j] * (1 - shares[j]);
                if (quiet) {
                    for (int64_t j = 0; j < 3 * count; j++)
                        to[j] += LUMINANCE[term] * shares[j] * gain[j] * (clear[j] - 1);
                    for (int64_t i = 0; i < count; i++)
                        to[3 * i + term] += shares[3 * i + term] * gain[3 * i + term];
                }
                float *restrict rest = light + term * all + at;
                for (int64_t j = 0; j < 3 * count; j++) rest[j] = -to[j];
                for (int64_t i = 0; i < count; i++) rest[3 * i + term] += gain[3 * i + term];
            }
            float *restrict rest = light + 3 * all + at;
            for (int64_t j = 0; j < 3 * count; j++) rest[j] = offset[j];
        }
    }
}
