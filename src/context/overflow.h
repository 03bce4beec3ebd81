/* SPDX-License-Identifier: MIT */
/*
 * overflow.h - a readable report when a stack runs into its guard.
 *
 * The fault arrives on an alternate signal stack, since the task's own is full. A fault inside a
 * guard of this thread's pool is reported, every other one goes to the handler that was there
 * before; then the instruction faults again under the default action, so that the core file shows
 * the place.
 */
#ifndef BIDE__CONTEXT_OVERFLOW_H
#define BIDE__CONTEXT_OVERFLOW_H

#include <signal.h>
#include <stdbool.h>

#include "context/stack.h"

struct bide__overflow {
    const struct bide__stack_pool *pool;
    void (*report)(void *arg); /* runs in the signal handler: async-signal-safe calls only */
    void *arg;
    void *memory; /* our alternate stack; NULL when the thread had one already */
    size_t memory_bytes;
    stack_t before;
    struct bide__overflow *outer; /* of a loop that began before on this thread */
};

/*
 * Watch this thread until bide__overflow_stop. Returns 0 or a negative errno, and then nothing is
 * watched.
 */
int bide__overflow_start(struct bide__overflow *overflow, const struct bide__stack_pool *pool,
                         void (*report)(void *arg), void *arg);
void bide__overflow_stop(struct bide__overflow *overflow);

#endif
