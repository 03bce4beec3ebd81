/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - a lock that one task of a loop holds at a time.
 *
 *     static bide_mutex lock = BIDE_MUTEX_INIT;
 *
 *     int err = bide_mutex_lock(&lock);       // -ECANCELED, -ETIMEDOUT: not locked
 *     if (err < 0)
 *         return err;
 *     ...                                     // may wait: for I/O, for other tasks
 *     bide_mutex_unlock(&lock);
 *
 * Tasks are never preempted, so code that does not wait needs no lock. A mutex is for what must
 * stay whole across calls that do.
 */
#ifndef BIDE_SYNC_MUTEX_H
#define BIDE_SYNC_MUTEX_H

#include <bide/base/api.h>
#include <bide/base/list.h>
#include <bide/sched/task.h>

/*
 * Embed it, and start it with BIDE_MUTEX_INIT, bide_mutex_init or zeroed memory; not to look into.
 * It needs no destroying. Freeing or initialising it while a call on it has not returned, in a task
 * that was cancelled as well, is a mistake that goes unnoticed.
 */
typedef struct bide_mutex {
    struct bide__list bide__waiting;
    struct bide_task *bide__owner; /* NULL when free; then nobody waits */
    uint32_t bide__owner_generation;
} bide_mutex;

/* clang-format off */
#define BIDE_MUTEX_INIT {{NULL, NULL}, NULL, 0}
/* clang-format on */

/**
 * Make a mutex that is free.
 *
 * @param mutex  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_mutex_init(bide_mutex *mutex);

/**
 * Lock a mutex, waiting until it is free.
 *
 * Tasks get it in the order in which they asked: unlocking hands it to the first that waits, and
 * nobody overtakes. It is not recursive: locking what the task holds already aborts, and so does
 * waiting for a holder that has ended without unlocking.
 *
 * @param mutex  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the mutex is not held
 * Blocks:  while another task holds it.
 * Cancel:  safe. One that comes after the mutex was handed over is seen by the next call: 0 is
 *          returned, and the mutex is held.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_mutex_lock(bide_mutex *mutex);

/**
 * Lock a mutex if that needs no waiting.
 *
 * @param mutex  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -EBUSY  a task holds it, maybe this one
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_mutex_try_lock(bide_mutex *mutex);

/**
 * Unlock a mutex, handing it to the task that has waited longest.
 *
 * Never switches. Unlocking what the task does not hold aborts.
 *
 * @param mutex  borrowed for the call; not touched after it, so the next holder may free it
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: the task that holds it.
 */
BIDE_API void bide_mutex_unlock(bide_mutex *mutex);

#endif
