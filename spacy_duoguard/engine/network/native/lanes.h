/* Vectors of 32-bit lanes, and what the compiler has no operator for. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define HEIGHT 12 /* rows of a tile: 24 of 32 registers hold sums */
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES 8
#define HEIGHT 6 /* 12 of 16 */
#else
#error "needs AVX2 and FMA"
#endif

#define PANEL (2 * LANES) /* columns of a tile */

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float Loaded __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

enum { FLOAT32, BFLOAT16, INT8 };

static inline int supported(int kind)
{
#if defined(__AVX512BF16__)
    if (kind == BFLOAT16) return 1;
#endif
#if defined(__AVX512VNNI__)
    if (kind == INT8) return 1;
#endif
    return kind == FLOAT32;
}

static inline Lanes load(const float *from) { return *(const Loaded *)from; }

static inline void store(float *to, Lanes x) { *(Loaded *)to = x; }

static inline Lanes spread(float x) { return x - (Lanes){0}; }

static inline Lanes either(Bits mask, Lanes yes, Lanes no)
{
    return (Lanes)((mask & (Bits)yes) | (~mask & (Bits)no));
}

static inline Lanes larger(Lanes a, Lanes b) { return either(a > b, a, b); }

static inline Lanes absolute(Lanes x) { return (Lanes)((Bits)x & 0x7fffffff); }

static inline float sum(Lanes x)
{
    float total = 0.0f;
    for (int i = 0; i < LANES; i++) total += x[i];
    return total;
}

static inline float peak(Lanes x)
{
    float most = x[0];
    for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* To the nearest integer, ties to even; for |x| < 2^22. */
static inline Bits nearest(Lanes x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (Bits)(x + shift) - 0x4b400000;
}

/* e^x, to 2 units in the last place; 0 below -87, and NaN stays NaN. */
static inline Lanes exponential(Lanes x)
{
    Lanes bounded = either(x < -87.0f, spread(-87.0f), x);
    bounded = either(bounded > 88.0f, spread(88.0f), bounded);
    Bits power = nearest(bounded * 1.44269504f);
    Lanes n = __builtin_convertvector(power, Lanes);
    Lanes r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    Lanes y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    y = y * (Lanes)((power + 127) << 23);
    return either(x < -87.0f, (Lanes){0}, either(x == x, y, x));
}
