/* What all kernels share.
 *
 * Every file is compiled once for each level of instructions (`setup.py`), and the names of its functions end in that
 * level: `shrink_v3`. Python (`_native.py`) calls those that the processor can run, with the GIL released, from as many
 * threads as take part; threads share out the rows by `next`. Kernels allocate nothing and call nothing outside: what
 * they need beside their arguments lies on the stack, in buffers of CHUNK pixels that fit the first cache.
 *
 * Pictures are interleaved, red, green and blue, without gaps between rows; `deep` pictures have codes of 16 bits,
 * others of 8. Maps and small pictures are float. Sizes are int64_t, so that no index overflows.
 */
#ifndef NIGHTLIFT_KERNELS_H
#define NIGHTLIFT_KERNELS_H

#include <stdint.h>

#define JOIN_(name, level) name##_##level
#define JOIN(name, level) JOIN_(name, level)
#define KERNEL(name) __attribute__((visibility("default"))) void JOIN(name, LEVEL)

#define INLINE static inline __attribute__((always_inline))

/* Pixels of a row that are worked on at a time. */
#define CHUNK 128

/* Rows that a thread takes at a time. */
#define STRIP 32

/* Weights of luminance in Rec. ITU-R BT.709, used on code values. */
#define RED 0.2126f
#define GREEN 0.7152f
#define BLUE 0.0722f

INLINE float larger(float one, float other) { return one > other ? one : other; }
INLINE float smaller(float one, float other) { return one < other ? one : other; }
INLINE int64_t at_most(int64_t one, int64_t other) { return one < other ? one : other; }
INLINE int64_t at_least(int64_t one, int64_t other) { return one > other ? one : other; }

/* Limited to 0 and `most`; NaN counts as 0. */
INLINE float limited(float value, float most) { return smaller(value > 0 ? value : 0, most); }

/* The first of the next STRIP rows that no thread has taken; at least the number of rows when none is left. */
INLINE int64_t take_strip(int64_t *next) { return __atomic_fetch_add(next, STRIP, __ATOMIC_RELAXED); }

#endif
