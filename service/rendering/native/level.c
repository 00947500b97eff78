/* Which of the compiled levels this processor can run. Compiled for the least of them. */
#include "kernels.h"

#ifdef __x86_64__
#include <cpuid.h>

/* Bits of the psABI's levels (System V ABI, AMD64 supplement, "x86-64 micro-architecture levels"). */
enum {
    V2_ECX = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23, /* SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT */
    V3_ECX = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29,         /* FMA, MOVBE, OSXSAVE, AVX, F16C */
    V3_EBX = 1 << 3 | 1 << 5 | 1 << 8,                                /* BMI1, AVX2, BMI2 */
    V3_EXTENDED = 1 << 5,                                             /* LZCNT */
    V4_EBX = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30,                   /* AVX-512 F, DQ, CD, BW */
    AVX_STATE = 0x06,                                                 /* registers that the system saves */
    AVX512_STATE = 0xe6,
};
static const unsigned AVX512_VL = 1u << 31;

static unsigned saved_state(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* 2, 3 or 4; 0 if the processor is older. */
__attribute__((visibility("default"))) int32_t best_level(void) {
    unsigned a, b, c, d, features = 0, extended = 0;
    if (!__get_cpuid(1, &a, &b, &features, &d) || (features & V2_ECX) != V2_ECX) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !__get_cpuid(0x80000001, &a, &d, &extended, &d)) return 2;
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    if ((features & V3_ECX) != V3_ECX || (b & V3_EBX) != V3_EBX || !(extended & V3_EXTENDED)) return 2;
    unsigned state = saved_state();
    if ((state & AVX_STATE) != AVX_STATE) return 2;
    unsigned wanted = V4_EBX | AVX512_VL;
    return (b & wanted) == wanted && (state & AVX512_STATE) == AVX512_STATE ? 4 : 3;
}

#else

/* 1: the least that every 64-bit processor of this kind has. */
__attribute__((visibility("default"))) int32_t best_level(void) { return 1; }

#endif
