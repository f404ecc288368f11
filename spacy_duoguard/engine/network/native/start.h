/* Memory and threads of one batch, and what Python calls. */
#pragma once

typedef struct {
    Run *run;
    int thread;
} Worker;

static void *start(void *argument)
{
    const Worker *worker = argument;
    /* Held until the size of the crew is known. */
    pthread_mutex_lock(&worker->run->crew.lock);
    pthread_mutex_unlock(&worker->run->crew.lock);
    work(worker->run, worker->thread);
    return NULL;
}

/* RETURNS: Memory that begins at a multiple of 64 bytes, from `*memory` on. Without
 * memory, only counts. */
static void *reserve(char **memory, int64_t *total, int64_t bytes)
{
    bytes = up_to(bytes, 64);
    *total += bytes;
    if (!*memory) return NULL;
    char *reserved = *memory;
    *memory += bytes;
    return reserved;
}

static int64_t most_words(const Model *model)
{
    int64_t most = 0;
    for (int64_t i = 0; i < model->layers; i++) {
        const Layer *layer = model->layer + i;
        const int64_t words[] = {layer->qkv.words, layer->o.words, layer->down.words};
        for (int j = 0; j < 3; j++) most = words[j] > most ? words[j] : most;
    }
    return most;
}

/* Lay out a batch's buffers. RETURNS: Their bytes. */
static int64_t lay_out(Run *run, char *memory, int threads)
{
    const Model *model = run->model;
    const Batch *batch = run->batch;
    const int64_t rows = batch->rows, width = model->head_width, f = sizeof(float);
    const int64_t qkv = (model->heads + 2 * model->kv_heads) * width;
    const int64_t tiled = rows + HEIGHT, words = most_words(model);
    const int64_t block = rows < BLOCK_ROWS ? rows : BLOCK_ROWS;
    int64_t total = 0, longest = 0, tasks = 0, padded = 0;
    for (int64_t s = 0; s < batch->sequences; s++) {
        const int64_t length = batch->bounds[s + 1] - batch->bounds[s];
        longest = length > longest ? length : longest;
        tasks += (length + QUERIES - 1) / QUERIES;
        padded += up_to(length, PANEL);
    }
    run->tasks = tasks;
    run->scratch_size = up_to(words, 64) + HEIGHT * up_to(longest, PANEL);
    run->sequences = reserve(&memory, &total, batch->sequences * sizeof(Sequence));
    run->row_sequence = reserve(&memory, &total, rows * sizeof(int64_t));
    run->task_sequence = reserve(&memory, &total, tasks * sizeof(int64_t));
    run->task_first = reserve(&memory, &total, tasks * sizeof(int64_t));
    run->qkv = reserve(&memory, &total, f * rows * up_to(qkv, PANEL));
    run->attended = reserve(&memory, &total, f * rows * up_to(model->heads * width, PANEL));
    run->inner = reserve(&memory, &total, f * block * model->inner);
    run->scratch = reserve(&memory, &total, f * threads * run->scratch_size);
    run->tiles.data = reserve(&memory, &total, 4 * tiled * words);
    run->tiles.scale = reserve(&memory, &total, f * tiled);
    run->tiles.offset = reserve(&memory, &total, sizeof(int32_t) * tiled);
    const int64_t wide = up_to(width, PANEL), heads = model->kv_heads;
    float *keys = reserve(&memory, &total, f * padded * heads * width);
    float *values = reserve(&memory, &total, f * padded * heads * wide);
    if (!keys) return total;
    for (int64_t s = 0, task = 0; s < batch->sequences; s++) {
        const int64_t begin = batch->bounds[s], length = batch->bounds[s + 1] - begin;
        const int64_t space = up_to(length, PANEL);
        run->sequences[s] = (Sequence){begin, length, space, keys, values};
        keys += space * heads * width;
        values += space * heads * wide;
        for (int64_t i = 0; i < length; i++) run->row_sequence[begin + i] = s;
        for (int64_t i = 0; i < length; i += QUERIES, task++)
            run->task_sequence[task] = s, run->task_first[task] = i;
    }
    /* Padding of the last columns is read, and multiplied by zero. */
    memset(run->attended, 0, f * rows * up_to(model->heads * width, PANEL));
    return total;
}

int64_t duoguard_bytes(const Model *model, const Batch *batch, int threads)
{
    Run run = {.model = model, .batch = batch};
    return lay_out(&run, NULL, threads);
}

/* `memory` has `duoguard_bytes` bytes, and begins at a multiple of 64. */
void duoguard_forward(const Model *model, const Batch *batch, int threads, char *memory)
{
    Run run = {.model = model, .batch = batch};
    lay_out(&run, memory, threads);
    Crew *crew = &run.crew;
    crew->size = 1;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->ended, NULL);
    pthread_t started[threads];
    Worker workers[threads];
    pthread_mutex_lock(&crew->lock);
    for (int i = 1; i < threads; i++) {
        workers[i] = (Worker){&run, crew->size};
        if (pthread_create(&started[crew->size], NULL, start, &workers[i]) == 0)
            crew->size++;
    }
    pthread_mutex_unlock(&crew->lock);
    work(&run, 0);
    for (int i = 1; i < crew->size; i++) pthread_join(started[i], NULL);
    pthread_cond_destroy(&crew->ended);
    pthread_mutex_destroy(&crew->lock);
}

int duoguard_lanes(void) { return LANES; }

int duoguard_supports(int kind) { return supported(kind); }

/* So that Python can check that it describes the same structures. */
int duoguard_sizes(int which)
{
    const int sizes[] = {sizeof(Product), sizeof(Layer), sizeof(Model), sizeof(Batch)};
    return sizes[which];
}
