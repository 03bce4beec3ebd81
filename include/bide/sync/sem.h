/* SPDX-License-Identifier: MIT */
/*
 * sem.h - a number of permits that tasks take and give back.
 *
 *     static bide_sem uploads = BIDE_SEM_INIT(4);      // at most four at a time
 *
 *     int err = bide_sem_acquire(&uploads);
 *     if (err < 0)
 *         return err;
 *     ...
 *     bide_sem_release(&uploads);
 */
#ifndef BIDE_SYNC_SEM_H
#define BIDE_SYNC_SEM_H

#include <bide/base/api.h>
#include <bide/base/list.h>

/*
 * Embed it, and start it with BIDE_SEM_INIT or bide_sem_init; zeroed memory has no permits. Not to
 * look into. It needs no destroying. Freeing or initialising it while a call on it has not
 * returned, in a task that was cancelled as well, is a mistake that goes unnoticed.
 */
typedef struct bide_sem {
    struct bide__list bide__waiting;
    size_t bide__permits;
} bide_sem;

/* clang-format off */
#define BIDE_SEM_INIT(permits) {{NULL, NULL}, (size_t)(permits)}
/* clang-format on */

/**
 * Make a semaphore.
 *
 * @param sem      borrowed; filled
 * @param permits  how many there are at first
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_sem_init(bide_sem *sem, size_t permits);

/**
 * Take one permit, waiting until there is one.
 *
 * Tasks are served strictly in the order in which they asked.
 *
 * @param sem  borrowed until the call returns
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no permit was taken
 * Blocks:  until the permit is there and all who came first are served.
 * Cancel:  safe. One that comes after the permit was handed over is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_sem_acquire(bide_sem *sem);

/**
 * Take several permits at once, waiting until there are as many.
 *
 * All or none: nothing is held while waiting. A large request at the head of the line is not
 * overtaken by smaller ones that would fit; when it is cancelled they are served.
 *
 * @param sem      borrowed until the call returns
 * @param permits  how many; 0 takes none and does not wait
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no permit was taken
 * Blocks:  until the permits are there and all who came first are served.
 * Cancel:  safe. One that comes after the permits were handed over is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_sem_acquire_n(bide_sem *sem, size_t permits);

/**
 * Take one permit if that needs no waiting.
 *
 * @param sem  borrowed for the call
 *
 * Returns 0, or
 *   -EAGAIN  there is none, or others wait in line; none was taken
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_sem_try_acquire(bide_sem *sem);

/**
 * Take several permits if that needs no waiting.
 *
 * @param sem      borrowed for the call
 * @param permits  how many; 0 always succeeds
 *
 * Returns 0, or
 *   -EAGAIN  there are too few, or others wait in line; none was taken
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_sem_try_acquire_n(bide_sem *sem, size_t permits);

/**
 * Give one permit back, or add one.
 *
 * Never switches. Any task may do so, also one that took none.
 *
 * @param sem  borrowed for the call
 *
 * Returns nothing; more than SIZE_MAX free permits abort.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_sem_release(bide_sem *sem);

/**
 * Give several permits back, or add some.
 *
 * @param sem      borrowed for the call
 * @param permits  how many
 *
 * Returns nothing; more than SIZE_MAX free permits abort.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_sem_release_n(bide_sem *sem, size_t permits);

/**
 * Tell how many permits are free.
 *
 * @param sem  borrowed for the call
 *
 * Returns the number. Above 0 while tasks wait, when the first of them asked for more.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API size_t bide_sem_value(const bide_sem *sem);

#endif
