/* Causal attention within each sequence of a packed batch, in float32. */
#pragma once

#include "rows.h"

#define QUERIES (4 * HEIGHT) /* queries of a task */

typedef struct {
    int64_t heads, kv_heads, width; /* width of a head */
    int64_t stride;                 /* of a row of queries, keys and values */
} Heads;

/* Where the keys and values of a sequence lie: for each head, keys in panels of PANEL
 * tokens, values in panels of PANEL dimensions. */
typedef struct {
    int64_t first;  /* row */
    int64_t length;
    int64_t padded; /* length, up to a multiple of PANEL */
    float *keys, *values;
} Sequence;

static inline int64_t up_to(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Rotate a row's queries and keys, and lay out its keys and values. */
static void prepare_row(const Heads *heads, const Sequence *sequence, int64_t position,
                        float *row, const float *cos, const float *sin)
{
    const int64_t width = heads->width, wide = up_to(width, PANEL);
    const float factor = 1.0f / sqrtf((float)width);
    for (int64_t h = 0; h < heads->heads; h++) {
        float *query = row + h * width;
        rotate(query, cos, sin, width);
        for (int64_t i = 0; i < width; i++) query[i] *= factor;
    }
    float *key = row + heads->heads * width, *value = key + heads->kv_heads * width;
    for (int64_t h = 0; h < heads->kv_heads; h++, key += width, value += width) {
        rotate(key, cos, sin, width);
        float *to = sequence->keys + h * sequence->padded * width;
        to += position / PANEL * PANEL * width + position % PANEL;
        for (int64_t i = 0; i < width; i++) to[i * PANEL] = key[i];
        to = sequence->values + h * sequence->padded * wide + position * PANEL;
        for (int64_t i = 0; i < width; i += PANEL, to += sequence->padded * PANEL) {
            int64_t count = width - i < PANEL ? width - i : PANEL;
            memcpy(to, value + i, sizeof(float) * count);
        }
    }
}

/* Scores → weights, not divided by their sum. RETURNS: 1 / sum. */
static float soften(float *scores, int64_t visible, int64_t padded)
{
    const int64_t whole = up_to(visible, LANES);
    for (int64_t i = visible; i < whole; i++) scores[i] = -INFINITY;
    Lanes most = load(scores);
    for (int64_t i = LANES; i < whole; i += LANES) most = larger(load(scores + i), most);
    const Lanes top = spread(peak(most));
    Lanes total = {0};
    for (int64_t i = 0; i < whole; i += LANES) {
        Lanes weight = exponential(load(scores + i) - top);
        store(scores + i, weight);
        total += weight;
    }
    for (int64_t i = whole; i < padded; i++) scores[i] = 0.0f;
    return 1.0f / sum(total);
}

/* Queries first … first + height - 1 of a sequence, at most HEIGHT. */
static void attend_tile(const Heads *heads, const Sequence *sequence, int64_t head,
                        int64_t first, int height, const float *qkv, float *scores,
                        float *out, int64_t out_stride)
{
    const int64_t width = heads->width, wide = up_to(width, PANEL);
    const int64_t kv_head = head / (heads->heads / heads->kv_heads);
    const int64_t visible = first + height, padded = up_to(visible, PANEL);
    const int64_t row = sequence->first + first;
    const float *query = qkv + row * heads->stride + head * width;
    const float *keys = sequence->keys + kv_head * sequence->padded * width;
    const float *values = sequence->values + kv_head * sequence->padded * wide;
    Lanes sums[2 * HEIGHT];
    float inverse[HEIGHT];
    for (int64_t key = 0; key < visible; key += PANEL) {
        multiply_rows(height, query, heads->stride, keys + key * width, width, sums);
        for (int r = 0; r < height; r++) {
            store(scores + r * sequence->padded + key, sums[2 * r]);
            store(scores + r * sequence->padded + key + LANES, sums[2 * r + 1]);
        }
    }
    for (int r = 0; r < height; r++)
        inverse[r] = soften(scores + r * sequence->padded, first + r + 1, padded);
    out += row * out_stride + head * width;
    for (int64_t i = 0; i < width; i += PANEL, values += sequence->padded * PANEL) {
        const int64_t count = width - i < PANEL ? width - i : PANEL;
        multiply_rows(height, scores, sequence->padded, values, visible, sums);
        for (int r = 0; r < height; r++) {
            Lanes both[2] = {sums[2 * r] * inverse[r], sums[2 * r + 1] * inverse[r]};
            memcpy(out + r * out_stride + i, both, sizeof(float) * count);
        }
    }
}
