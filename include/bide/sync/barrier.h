/* SPDX-License-Identifier: MIT */
/*
 * barrier.h - a point that a fixed number of tasks pass together, again and again.
 *
 *     static bide_barrier round = BIDE_BARRIER_INIT(4);
 *
 *     int last = bide_barrier_wait(&round);      // four tasks call it, then four return
 *     if (last == 1)
 *         ...                                    // in one of them
 */
#ifndef BIDE_SYNC_BARRIER_H
#define BIDE_SYNC_BARRIER_H

#include <bide/base/api.h>
#include <bide/base/list.h>

/*
 * Embed it, and start it with BIDE_BARRIER_INIT or bide_barrier_init; not to look into. It needs no
 * destroying. Freeing or initialising it while tasks wait at it is a mistake that goes unnoticed;
 * those that were let through touch it no more.
 */
typedef struct bide_barrier {
    struct bide__list bide__waiting; /* this generation's */
    size_t bide__parties;
    size_t bide__arrived; /* at least as many as wait; more when some of them were cancelled */
    bool bide__is_broken;
} bide_barrier;

/* clang-format off */
#define BIDE_BARRIER_INIT(parties) {{NULL, NULL}, (size_t)(parties), 0, false}
/* clang-format on */

/**
 * Make a barrier.
 *
 * @param barrier  borrowed; filled
 * @param parties  how many tasks pass together; at least 1
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_barrier_init(bide_barrier *barrier, size_t parties);

/**
 * Wait until as many tasks as the barrier has parties have arrived; then all of them go on.
 *
 * It can be used again at once: the next to arrive is the first of the next generation. A barrier
 * of 0 parties aborts.
 *
 * @param barrier  borrowed until the call returns
 *
 * Returns 1 in the task that arrived last, which does not wait, and 0 in the others of the
 * generation; or
 *   -EPIPE  the barrier is broken, or was aborted or reset while the task waited
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the arrival is taken back, the others wait on
 * Blocks:  until the last has arrived.
 * Cancel:  safe. One that comes after the last has arrived is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_barrier_wait(bide_barrier *barrier);

/**
 * Break a barrier: who waits at it, and who comes later, gets -EPIPE.
 *
 * For when a party is lost and the others must not wait for it. Never switches.
 *
 * @param barrier  borrowed for the call
 *
 * Returns nothing; a second time is harmless.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_barrier_abort(bide_barrier *barrier);

/**
 * Make a barrier whole and empty again: those who wait at it get -EPIPE, who comes later waits.
 *
 * @param barrier  borrowed for the call
 *
 * Returns nothing.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_barrier_reset(bide_barrier *barrier);

/**
 * Tell how many tasks wait at a barrier. Counts them one by one.
 *
 * @param barrier  borrowed for the call
 *
 * Returns the number, less than the parties.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API size_t bide_barrier_waiting(const bide_barrier *barrier);

/**
 * Ask whether a barrier is broken.
 *
 * @param barrier  borrowed for the call
 *
 * Returns true between an abort and the next reset.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API bool bide_barrier_is_broken(const bide_barrier *barrier);

#endif
