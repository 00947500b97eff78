/* What comes after the network: gamma, exposure, shadows, strength, the gate and protection; `_grade.py` has the
 * formulas. */
#ifndef NIGHTLIFT_GRADE_H
#define NIGHTLIFT_GRADE_H

#include "planes.h"

/* c in the protection curve. */
#define SHADOW_FLOOR 0.15f

/* Up to middle grey, pixels that shadows lift rise at least by this share of what they rose before, and those that
 * shadows darken at most by so many times that: what is brighter than middle grey stays, and no tones swap places. */
#define FLATTEST 0.35f
#define STEEPEST 2.0f

typedef struct {
    float white;         /* the largest code */
    float blend;         /* strength, times the gate where neither exposure nor shadows are asked for: 0 to 1 */
    float protect;       /* 0 to 1, how far p reaches at white */
    int64_t tone_steps;  /* 0: gamma is 1 */
    const float *tone;   /* [tone_steps], y^gamma over y from 0 to 1 */
    float gate;          /* g, 0 to 1, where exposure or shadows are asked for */
    int64_t curve_steps; /* 0: exposure is 0 */
    const float *curve;  /* [curve_steps], E over values from 0 to 1 */
    float most;          /* the factor of dark places that are changed most; above 1 lifts */
    float middle;        /* middle grey, in code values */
} Grade;

/* The factors of shadows along a row: slope * brightest channel + offset, limited. */
typedef struct {
    float slope[CHUNK], offset[CHUNK];
} Factors;

/* Planes by a table over values from 0 to `white`; they are clipped to that, NaN counts as black. */
INLINE void look_up(Planes *planes, int64_t count, float white, const float *table, int64_t steps) {
    float to_index = (float)(steps - 1) / white;
    for (int c = 0; c < 3; c++) {
        float *values = planes->channel[c];
        for (int64_t i = 0; i < count; i++)
            values[i] = white * table[(int32_t)(limited(values[i], white) * to_index + 0.5f)];
    }
}

/* y becomes E(F * (x + g * (y - x))). */
INLINE void relight(const Planes *source, Planes *mapped, int64_t count, const Grade *how, const Factors *shadows) {
    float white = how->white, gate = how->gate;
    for (int c = 0; c < 3; c++) {
        const float *x = source->channel[c];
        float *y = mapped->channel[c];
        for (int64_t i = 0; i < count; i++) y[i] = x[i] + gate * (limited(y[i], white) - x[i]);
    }
    if (shadows) {
        float factors[CHUNK], lowest = smaller(1, how->most), highest = larger(1, how->most), middle = how->middle;
        const float *red = mapped->channel[0], *green = mapped->channel[1], *blue = mapped->channel[2];
        for (int64_t i = 0; i < count; i++) {
            float brightest = larger(larger(red[i], green[i]), blue[i]), distance = middle / larger(brightest, 1);
            float factor = shadows->slope[i] * brightest + shadows->offset[i];
            float least = larger(lowest, smaller(1, STEEPEST + (1 - STEEPEST) * distance));
            float most = smaller(highest, larger(1, FLATTEST + (1 - FLATTEST) * distance));
            factors[i] = smaller(larger(factor, least), most);
        }
        for (int c = 0; c < 3; c++) {
            float *y = mapped->channel[c];
            for (int64_t i = 0; i < count; i++) y[i] *= factors[i];
        }
    }
    if (how->curve_steps > 0) look_up(mapped, count, white, how->curve, how->curve_steps);
}

/* x + blend * (1 - p(x)) * (y - x), ready for `store`, where exposure and shadows have changed y already.
 *
 * source    x in code values
 * mapped    y in code values, overwritten by the result; clipped here, NaN counts as black
 * shadows   null: they are 0
 */
INLINE void grade(const Planes *source, Planes *mapped, int64_t count, const Grade *how, const Factors *shadows) {
    float white = how->white, blend = how->blend, shares[CHUNK];
    if (how->tone_steps > 0) look_up(mapped, count, white, how->tone, how->tone_steps);
    if (shadows || how->curve_steps > 0) relight(source, mapped, count, how, shadows);
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
