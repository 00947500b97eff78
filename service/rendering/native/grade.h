/* What comes after the network: gamma, strength, the gate and protection; `_grade.py` has the formula. */
#ifndef NIGHTLIFT_GRADE_H
#define NIGHTLIFT_GRADE_H

#include "planes.h"

/* c in the protection curve. */
#define SHADOW_FLOOR 0.15f

typedef struct {
    float white;        /* the largest code */
    float blend;        /* strength times gate, 0 to 1 */
    float protect;      /* 0 to 1, how far p reaches at white */
    int64_t tone_steps; /* 0: gamma is 1 */
    const float *tone;  /* [tone_steps], y^gamma over y from 0 to 1 */
} Grade;

/* x + blend * (1 - p(x)) * (y - x), ready for `store`.
 *
 * source   x in code values
 * mapped   y in code values, overwritten by the result; clipped here, NaN counts as black
 */
INLINE void grade(const Planes *source, Planes *mapped, int64_t count, const Grade *how) {
    float white = how->white, blend = how->blend, shares[CHUNK];
    if (how->tone_steps > 0) {
        float to_index = (float)(how->tone_steps - 1) / white;
        for (int c = 0; c < 3; c++) {
            float *values = mapped->channel[c];
            for (int64_t i = 0; i < count; i++)
                values[i] = white * how->tone[(int32_t)(limited(values[i], white) * to_index + 0.5f)];
        }
    }
    if (how->protect > 0) {
        float scale = blend * how->protect * SHADOW_FLOOR;
        const float *red = source->channel[0], *green = source->channel[1], *blue = source->channel[2];
        for (int64_t i = 0; i < count; i++) {
            float darkness = 1 - (RED * red[i] + GREEN * green[i] + BLUE * blue[i]) / white;
            shares[i] = blend - scale / __builtin_sqrtf(darkness * darkness + SHADOW_FLOOR * SHADOW_FLOOR);
        }
    } else {
        for (int64_t i = 0; i < count; i++) shares[i] = blend;
    }
    for (int c = 0; c < 3; c++) {
        const float *x = source->channel[c];
        float *y = mapped->channel[c];
        for (int64_t i = 0; i < count; i++) y[i] = x[i] + shares[i] * (limited(y[i], white) - x[i]) + 0.5f;
    }
}

#endif
