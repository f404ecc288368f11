/* Threads that work on one batch. They are created for it and end with it: nothing
 * waits between batches, and a fork finds none. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* How often a thread looks before it sleeps, some 30 microseconds: a thread that spins
 * for long keeps others, which it waits for, from the core. */
#define LOOKS 1000

typedef struct {
    int size;
    atomic_int arrived;
    atomic_uint phase;
    atomic_llong next; /* the next task of the phase */
    pthread_mutex_t lock;
    pthread_cond_t ended;
} Crew;

static inline void pause_briefly(void)
{
    __builtin_ia32_pause();
}

/* RETURNS: A task below `total` that no other thread has taken, or -1. */
static inline int64_t take(Crew *crew, int64_t total)
{
    int64_t task = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed);
    return task < total ? task : -1;
}

/* Wait until all threads have finished the phase. */
static void meet(Crew *crew)
{
    if (crew->size == 1) {
        atomic_store_explicit(&crew->next, 0, memory_order_relaxed);
        return;
    }
    unsigned phase = atomic_load(&crew->phase);
    if (atomic_fetch_add(&crew->arrived, 1) + 1 == crew->size) {
        atomic_store(&crew->arrived, 0);
        atomic_store(&crew->next, 0);
        pthread_mutex_lock(&crew->lock);
        atomic_store(&crew->phase, phase + 1);
        pthread_cond_broadcast(&crew->ended);
        pthread_mutex_unlock(&crew->lock);
        return;
    }
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load(&crew->phase) != phase) return;
        pause_briefly();
    }
    pthread_mutex_lock(&crew->lock);
    while (atomic_load(&crew->phase) == phase)
        pthread_cond_wait(&crew->ended, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}
