/* What happens to rows between the products. */
#pragma once

#include "product.h"

/* A batch's rows: `height` as equal as tiles of at most HEIGHT rows allow. */
static void shape_tiles(Tiles *tiles, int64_t kind, int64_t words, int64_t rows)
{
    const int64_t count = (rows + HEIGHT - 1) / HEIGHT;
    tiles->kind = kind, tiles->words = words, tiles->rows = rows;
    tiles->height = count ? (rows + count - 1) / count : 0;
}

static inline int64_t count_tiles(const Tiles *tiles)
{
    return tiles->rows ? (tiles->rows + tiles->height - 1) / tiles->height : 0;
}

static inline Lanes scaled(const float *x, const float *weight, int64_t i)
{
    return weight ? load(x + i) * load(weight + i) : load(x + i);
}

static void row_to_bfloat16(const float *x, const float *weight, float factor,
                            int64_t size, char *out)
{
#if defined(__AVX512BF16__)
    for (int64_t i = 0; i < size; i += PANEL) {
        Lanes low = scaled(x, weight, i) * factor;
        Lanes high = scaled(x, weight, i + LANES) * factor;
        __m512bh both = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
        memcpy(out + 2 * i, &both, sizeof both);
    }
#else
    (void)x, (void)weight, (void)factor, (void)size, (void)out;
#endif
}

/* Symmetric, with the row's own scale. A row that isn't finite gets a scale that isn't. */
static void row_to_int8(const float *x, const float *weight, float factor, int64_t size,
                        char *out, float *scale, int32_t *offset)
{
    typedef int8_t Bytes __attribute__((vector_size(LANES)));
    Lanes most = {0}, invalid = {0};
    for (int64_t i = 0; i < size; i += LANES) {
        Lanes value = scaled(x, weight, i) * factor;
        most = larger(absolute(value), most);
        invalid += value * 0.0f;
    }
    float top = peak(most);
    top = top > 1e-12f ? top : 1e-12f;
    const float steps = factor * (127.0f / top);
    Bits total = {0};
    for (int64_t i = 0; i < size; i += LANES) {
        Bits rounded = nearest(scaled(x, weight, i) * steps);
        Bytes bytes = __builtin_convertvector(rounded, Bytes);
        memcpy(out + i, &bytes, sizeof bytes);
        total += rounded;
    }
    int32_t added = 0;
    for (int i = 0; i < LANES; i++) added += total[i];
    *scale = top / 127.0f + sum(invalid);
    *offset = 128 * added;
}

/* x * weight * factor, as row `row` of the tiles. `words` is scratch for one row. */
static void write_row(Tiles *tiles, int64_t row, const float *x, const float *weight,
                      float factor, int32_t *words)
{
    const int64_t height = tiles->height;
    int32_t *to = (int32_t *)tiles->data + row / height * tiles->words * height;
    to += row % height;
    if (tiles->kind == INT8) {
        row_to_int8(x, weight, factor, 4 * tiles->words, (char *)words,
                    tiles->scale + row, tiles->offset + row);
    } else if (tiles->kind == BFLOAT16) {
        row_to_bfloat16(x, weight, factor, 2 * tiles->words, (char *)words);
    } else {
        for (int64_t i = 0; i < tiles->words; i += LANES)
            store((float *)words + i, scaled(x, weight, i) * factor);
    }
    for (int64_t k = 0; k < tiles->words; k++) to[k * height] = words[k];
}

static float norm_factor(const float *x, int64_t size, int64_t padded, float eps)
{
    Lanes squares = {0};
    for (int64_t i = 0; i < padded; i += LANES) squares += load(x + i) * load(x + i);
    return 1.0f / sqrtf(sum(squares) / (float)size + eps);
}

static inline Lanes silu(Lanes x) { return x / (1.0f + exponential(-x)); }

/* Rotate pairs (i, i + width / 2) of a head. */
static void rotate(float *head, const float *cos, const float *sin, int64_t width)
{
    const int64_t half = width / 2;
    for (int64_t i = 0; i < half; i++) {
        const float first = head[i], second = head[i + half];
        head[i] = first * cos[i] - second * sin[i];
        head[i + half] = second * cos[i] + first * sin[i];
    }
}
