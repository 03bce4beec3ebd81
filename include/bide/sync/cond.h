/* SPDX-License-Identifier: MIT */
/*
 * cond.h - waiting until something that a mutex guards has changed.
 *
 *     int err = bide_mutex_lock(&lock);
 *     if (err < 0)
 *         return err;
 *     while (count == 0 && err == 0)
 *         err = bide_cond_wait(&changed, &lock);     // holds the lock again, whatever it returns
 *     ...
 *     bide_mutex_unlock(&lock);
 */
#ifndef BIDE_SYNC_COND_H
#define BIDE_SYNC_COND_H

#include <bide/base/api.h>
#include <bide/base/list.h>
#include <bide/sync/mutex.h>

/*
 * Embed it, and start it with BIDE_COND_INIT, bide_cond_init or zeroed memory; not to look into.
 * It needs no destroying. Freeing or initialising it while tasks wait on it is a mistake that goes
 * unnoticed.
 */
typedef struct bide_cond {
    struct bide__list bide__waiting;
} bide_cond;

/* clang-format off */
#define BIDE_COND_INIT {{NULL, NULL}}
/* clang-format on */

/**
 * Make a condition that nobody waits on.
 *
 * @param cond  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_cond_init(bide_cond *cond);

/**
 * Unlock a mutex, wait for a signal, and lock the mutex again.
 *
 * The mutex is held again whenever this returns. There are no spurious wake-ups: 0 means that a
 * signal or broadcast was meant for this task. Still, others may have held the mutex since then, so
 * look again at what was waited for. Waiting with a mutex that the task does not hold aborts.
 *
 * @param cond   borrowed until the call returns
 * @param mutex  borrowed, held by the caller; the same one for all who wait on this cond
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no signal was taken, and the mutex is held
 * Blocks:  until signalled, then until the mutex is free.
 * Cancel:  safe: a signal that came first is returned as 0. Locking again cannot be cancelled.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_cond_wait(bide_cond *cond, bide_mutex *mutex);

/**
 * Wake the task that has waited longest, if any does.
 *
 * Nothing is remembered when nobody waits. Never switches. Whether the caller holds the mutex is
 * its own choice.
 *
 * @param cond  borrowed for the call
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_cond_signal(bide_cond *cond);

/**
 * Wake every task that waits.
 *
 * They lock the mutex one after the other, in the order in which they began to wait.
 *
 * @param cond  borrowed for the call
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_cond_broadcast(bide_cond *cond);

#endif
