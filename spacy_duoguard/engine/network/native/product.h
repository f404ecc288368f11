/* Matrix products. A word is 32 bits of a row: one float32, two bfloat16 or four int8.
 *
 * Weights lie in panels of PANEL columns: for each word, PANEL words side by side.
 * Activations lie in tiles of up to HEIGHT rows: for each word, the rows side by side.
 * The sums of a tile and a panel stay in registers. Each is added up in the same order
 * whatever the height, so a row's output doesn't depend on the other rows.
 */
#pragma once

#include "lanes.h"

typedef struct {
    const void *weight;  /* (panels, words, PANEL) words */
    const float *scale;  /* (columns,), of int8 */
    const float *bias;   /* (columns,) or NULL */
    int64_t panels, words;
} Product;

/* The rows that enter a product. */
typedef struct {
    int64_t kind, words, height, rows;
    char *data;        /* (tiles, words, height) words */
    float *scale;      /* (rows,), of int8 */
    int32_t *offset;   /* (rows,), what weights of 128 would add */
} Tiles;

#define INLINE static inline __attribute__((always_inline))

INLINE void sums_float32(int height, const float *a, int64_t row, int64_t word,
                         const Lanes *b, int64_t words, Lanes *out)
{
    Lanes sums[HEIGHT][2] = {{{0}}};
    for (int64_t k = 0; k < words; k++) {
        Lanes left = b[2 * k], right = b[2 * k + 1];
#pragma GCC unroll 16
        for (int r = 0; r < height; r++) {
            Lanes x = spread(a[r * row + k * word]);
            sums[r][0] += x * left;
            sums[r][1] += x * right;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < height; r++) out[2 * r] = sums[r][0], out[2 * r + 1] = sums[r][1];
}

#if defined(__AVX512BF16__)
INLINE void sums_bfloat16(int height, const int32_t *a, const Lanes *b, int64_t words,
                          Lanes *out)
{
    __m512 sums[HEIGHT][2] = {{{0}}};
    for (int64_t k = 0; k < words; k++) {
        __m512bh left = (__m512bh)b[2 * k], right = (__m512bh)b[2 * k + 1];
#pragma GCC unroll 16
        for (int r = 0; r < height; r++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32(a[r + k * height]);
            sums[r][0] = _mm512_dpbf16_ps(sums[r][0], x, left);
            sums[r][1] = _mm512_dpbf16_ps(sums[r][1], x, right);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < height; r++) out[2 * r] = sums[r][0], out[2 * r + 1] = sums[r][1];
}
#else
#define sums_bfloat16(...) __builtin_trap()
#endif

#if defined(__AVX512VNNI__)
/* Not the intrinsic: with it, GCC keeps half of the sums in memory. */
#define ADD_PRODUCTS(sums, weights, x)                                                 \
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(x))

INLINE void sums_int8(int height, const int32_t *a, const Lanes *b, int64_t words,
                      Lanes *out)
{
    Lanes sums[HEIGHT][2] = {{{0}}};
    for (int64_t k = 0; k < words; k++) {
        Lanes left = b[2 * k], right = b[2 * k + 1];
#pragma GCC unroll 16
        for (int r = 0; r < height; r++) {
            Bits x = a[r + k * height] - (Bits){0};
            ADD_PRODUCTS(sums[r][0], left, x);
            ADD_PRODUCTS(sums[r][1], right, x);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < height; r++) out[2 * r] = sums[r][0], out[2 * r + 1] = sums[r][1];
}
#else
#define sums_int8(...) __builtin_trap()
#endif

#if HEIGHT == 12
#define BY_HEIGHT(height, CALL)                                                        \
    switch (height) {                                                                  \
    case 1: CALL(1); break;                                                            \
    case 2: CALL(2); break;                                                            \
    case 3: CALL(3); break;                                                            \
    case 4: CALL(4); break;                                                            \
    case 5: CALL(5); break;                                                            \
    case 6: CALL(6); break;                                                            \
    case 7: CALL(7); break;                                                            \
    case 8: CALL(8); break;                                                            \
    case 9: CALL(9); break;                                                            \
    case 10: CALL(10); break;                                                          \
    case 11: CALL(11); break;                                                          \
    default: CALL(12);                                                                 \
    }
#else
#define BY_HEIGHT(height, CALL)                                                        \
    switch (height) {                                                                  \
    case 1: CALL(1); break;                                                            \
    case 2: CALL(2); break;                                                            \
    case 3: CALL(3); break;                                                            \
    case 4: CALL(4); break;                                                            \
    case 5: CALL(5); break;                                                            \
    default: CALL(6);                                                                  \
    }
#endif

/* Rows that lie `stride` apart, float32, times a panel. */
static void multiply_rows(int height, const float *a, int64_t stride, const float *panel,
                          int64_t words, Lanes *out)
{
    const Lanes *b = (const Lanes *)panel;
#define CALL(h) sums_float32(h, a, stride, 1, b, words, out)
    BY_HEIGHT(height, CALL)
#undef CALL
}

static void multiply_tile(const Tiles *tiles, int64_t tile, const void *panel, Lanes *out)
{
    const int64_t words = tiles->words, height = tiles->height;
    const char *a = tiles->data + 4 * tile * words * height;
    const Lanes *b = panel;
    switch (tiles->kind) {
#define CALL(h) sums_float32(h, (const float *)a, 1, h, b, words, out)
    case FLOAT32: BY_HEIGHT(height, CALL) break;
#undef CALL
#define CALL(h) sums_bfloat16(h, (const int32_t *)a, b, words, out)
    case BFLOAT16: BY_HEIGHT(height, CALL) break;
#undef CALL
#define CALL(h) sums_int8(h, (const int32_t *)a, b, words, out)
    case INT8: BY_HEIGHT(height, CALL) break;
#undef CALL
    }
}
