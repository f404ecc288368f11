/* A decoder's layers over a packed batch, for inference on an x86-64 CPU.
 *
 * All threads run through all phases. In each, they take tasks until none is left, and
 * meet at its end. What a task computes doesn't depend on who takes it.
 */
#include "attention.h"
#include "crew.h"

/* Bytes of activations that a task multiplies with its panels: they stay in the cache. */
#define TASK_BYTES (384 << 10)
#define BLOCK_ROWS 252 /* rows of the feed-forward layers computed at once */

typedef struct {
    int64_t kind;
    const float *input_norm, *mlp_norm;
    Product qkv, o, gate_up, down; /* gate_up: LANES columns of each in turn */
} Layer;

typedef struct {
    int64_t size, stride; /* of a row of the residual stream */
    int64_t heads, kv_heads, head_width;
    int64_t inner; /* the stride of the feed-forward layers' inner rows */
    int64_t layers;
    float eps;
    const Layer *layer;
    const float *norm;
} Model;

typedef struct {
    int64_t rows, sequences, scored;
    const int32_t *bounds;      /* (sequences + 1,) */
    const int64_t *scored_rows; /* (scored,) */
    const float *cos, *sin;     /* (longest, head_width / 2) */
    float *x;                   /* (rows, stride). Overwritten. */
    float *out;                 /* (scored, stride) */
} Batch;

enum { SET, ADD, GATE };

typedef struct {
    const Model *model;
    const Batch *batch;
    Crew crew;
    Sequence *sequences;
    int64_t *row_sequence, *task_sequence, *task_first;
    int64_t tasks, scratch_size;
    float *x, *qkv, *attended, *inner, *scratch;
    Tiles tiles;
} Run;

static void finish_tile(const Product *product, const Tiles *tiles, int64_t tile,
                        int64_t panel, int how, const Lanes *sums, float *out,
                        int64_t stride)
{
    const int64_t first = tile * tiles->height, column = panel * PANEL;
    int64_t height = tiles->rows - first;
    if (height > tiles->height) height = tiles->height;
    for (int64_t r = 0; r < height; r++) {
        Lanes values[2] = {sums[2 * r], sums[2 * r + 1]};
        for (int i = 0; i < 2; i++) {
            if (tiles->kind == INT8) {
                Bits whole = (Bits)values[i] - tiles->offset[first + r];
                values[i] = __builtin_convertvector(whole, Lanes);
                values[i] *= tiles->scale[first + r];
                values[i] *= load(product->scale + column + i * LANES);
            }
            if (product->bias) values[i] += load(product->bias + column + i * LANES);
        }
        float *to = out + (first + r) * stride + (how == GATE ? column / 2 : column);
        if (how == GATE) {
            store(to, silu(values[0]) * values[1]);
        } else {
            for (int i = 0; i < 2; i++, to += LANES)
                store(to, how == ADD ? load(to) + values[i] : values[i]);
        }
    }
}

static void multiply(Run *run, const Product *product, int how, float *out,
                     int64_t stride)
{
    const Tiles *tiles = &run->tiles;
    const int64_t count = count_tiles(tiles);
    int64_t per_block = TASK_BYTES / (4 * tiles->words * (tiles->height + !count));
    per_block = per_block < 1 ? 1 : per_block;
    const int64_t blocks = (count + per_block - 1) / per_block;
    int64_t per_chunk = product->panels / (8 * run->crew.size);
    per_chunk = per_chunk < 1 ? 1 : per_chunk > 8 ? 8 : per_chunk;
    const int64_t chunks = (product->panels + per_chunk - 1) / per_chunk;
    Lanes sums[2 * HEIGHT];
    for (int64_t task; (task = take(&run->crew, blocks * chunks)) >= 0;) {
        const int64_t first = task / blocks * per_chunk, tile = task % blocks * per_block;
        for (int64_t p = first; p < first + per_chunk && p < product->panels; p++) {
            const char *panel = (const char *)product->weight;
            panel += 4 * p * product->words * PANEL;
            for (int64_t t = tile; t < tile + per_block && t < count; t++) {
                multiply_tile(tiles, t, panel, sums);
                finish_tile(product, tiles, t, p, how, sums, out, stride);
            }
        }
    }
    meet(&run->crew);
}

/* Rows → tiles: normed if there is a norm, and only those that are chosen, if any. */
static void fill_tiles(Run *run, float *scratch, const float *x, int64_t stride,
                       const float *norm, const int64_t *chosen)
{
    Tiles *tiles = &run->tiles;
    const Model *model = run->model;
    for (int64_t tile; (tile = take(&run->crew, count_tiles(tiles))) >= 0;) {
        int64_t row = tile * tiles->height, stop = row + tiles->height;
        for (; row < stop && row < tiles->rows; row++) {
            const float *from = x + (chosen ? chosen[row] : row) * stride;
            float factor = 1.0f;
            if (norm) factor = norm_factor(from, model->size, model->stride, model->eps);
            write_row(tiles, row, from, norm, factor, (int32_t *)scratch);
        }
    }
    meet(&run->crew);
}

/* Only the first thread calls what it is for; the others wait. */
static void begin_tiles(Run *run, int first, int64_t kind, int64_t words, int64_t rows)
{
    if (first) shape_tiles(&run->tiles, kind, words, rows);
    meet(&run->crew);
}

static void prepare_attention(Run *run, const Heads *heads)
{
    const Batch *batch = run->batch;
    const int64_t half = heads->width / 2, chunk = 16;
    for (int64_t task; (task = take(&run->crew, (batch->rows + chunk - 1) / chunk)) >= 0;)
        for (int64_t i = task * chunk; i < (task + 1) * chunk && i < batch->rows; i++) {
            const Sequence *sequence = run->sequences + run->row_sequence[i];
            const int64_t position = i - sequence->first;
            prepare_row(heads, sequence, position, run->qkv + i * heads->stride,
                        batch->cos + position * half, batch->sin + position * half);
        }
    meet(&run->crew);
}

static void attend(Run *run, const Heads *heads, float *scratch)
{
    const int64_t stride = up_to(heads->heads * heads->width, PANEL);
    for (int64_t task; (task = take(&run->crew, run->tasks * heads->heads)) >= 0;) {
        const int64_t block = task / heads->heads;
        const Sequence *sequence = run->sequences + run->task_sequence[block];
        int64_t first = run->task_first[block], stop = first + QUERIES;
        for (; first < stop && first < sequence->length; first += HEIGHT) {
            int64_t height = sequence->length - first;
            height = height < HEIGHT ? height : HEIGHT;
            attend_tile(heads, sequence, task % heads->heads, first, height, run->qkv,
                        scratch, run->attended, stride);
        }
    }
    meet(&run->crew);
}

static void feed_forward(Run *run, int first, float *scratch, const Layer *layer,
                         float *x, int64_t rows)
{
    const Model *model = run->model;
    for (int64_t start = 0; start < rows; start += BLOCK_ROWS) {
        const int64_t count = rows - start < BLOCK_ROWS ? rows - start : BLOCK_ROWS;
        float *block = x + start * model->stride;
        begin_tiles(run, first, layer->kind, layer->gate_up.words, count);
        fill_tiles(run, scratch, block, model->stride, layer->mlp_norm, NULL);
        multiply(run, &layer->gate_up, GATE, run->inner, model->inner);
        begin_tiles(run, first, layer->kind, layer->down.words, count);
        fill_tiles(run, scratch, run->inner, model->inner, NULL, NULL);
        multiply(run, &layer->down, ADD, block, model->stride);
    }
}

static void work(Run *run, int thread)
{
    const Model *model = run->model;
    const Batch *batch = run->batch;
    const int first = thread == 0;
    float *x = batch->x, *scratch = run->scratch + thread * run->scratch_size;
    const Heads heads = {model->heads, model->kv_heads, model->head_width,
                         up_to((model->heads + 2 * model->kv_heads) * model->head_width,
                               PANEL)};
    const int64_t attended = up_to(model->heads * model->head_width, PANEL);
    for (int64_t i = 0; i < model->layers; i++) {
        const Layer *layer = model->layer + i;
        const int last = i == model->layers - 1;
        begin_tiles(run, first, layer->kind, layer->qkv.words, batch->rows);
        fill_tiles(run, scratch, x, model->stride, layer->input_norm, NULL);
        multiply(run, &layer->qkv, SET, run->qkv, heads.stride);
        prepare_attention(run, &heads);
        attend(run, &heads, scratch);
        const int64_t rows = last ? batch->scored : batch->rows;
        begin_tiles(run, first, layer->kind, layer->o.words, rows);
        if (last) {
            for (int64_t r = 0; first && r < rows; r++)
                memcpy(batch->out + r * model->stride,
                       x + batch->scored_rows[r] * model->stride,
                       sizeof(float) * model->stride);
            x = batch->out;
        }
        fill_tiles(run, scratch, run->attended, attended, NULL,
                   last ? batch->scored_rows : NULL);
        multiply(run, &layer->o, ADD, x, model->stride);
        feed_forward(run, first, scratch, layer, x, rows);
    }
    for (int64_t r = 0; first && r < batch->scored; r++) {
        float *row = batch->out + r * model->stride;
        float factor = norm_factor(row, model->size, model->stride, model->eps);
        for (int64_t i = 0; i < model->stride; i += LANES)
            store(row + i, scaled(row, model->norm, i) * factor);
    }
}

#include "start.h"
