/* SPDX-License-Identifier: MIT */
/*
 * rwlock.h - a lock that many tasks hold for reading, or one for writing.
 *
 * Fair by order of arrival: a writer that waits keeps readers that come later out, so it gets its
 * turn; readers that follow each other in line go in together. For that reason a reader must not
 * lock again what it holds: it would wait behind a writer that waits for it.
 */
#ifndef BIDE_SYNC_RWLOCK_H
#define BIDE_SYNC_RWLOCK_H

#include <bide/base/api.h>
#include <bide/base/list.h>
#include <bide/sched/task.h>

/*
 * Embed it, and start it with BIDE_RWLOCK_INIT, bide_rwlock_init or zeroed memory; not to look
 * into. It needs no destroying. Freeing or initialising it while a call on it has not returned, in
 * a task that was cancelled as well, is a mistake that goes unnoticed.
 */
typedef struct bide_rwlock {
    struct bide__list bide__waiting;
    struct bide_task *bide__writer; /* NULL when none holds it */
    uint32_t bide__writer_generation;
    size_t bide__readers; /* how many hold it; 0 while a writer does */
} bide_rwlock;

/* clang-format off */
#define BIDE_RWLOCK_INIT {{NULL, NULL}, NULL, 0, 0}
/* clang-format on */

/**
 * Make a lock that is free.
 *
 * @param lock  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_rwlock_init(bide_rwlock *lock);

/**
 * Lock for reading, together with other readers.
 *
 * Aborts in the task that holds it for writing, and when the writer waited for has ended without
 * unlocking.
 *
 * @param lock  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the lock is not held
 * Blocks:  while a writer holds it, or others wait that came first.
 * Cancel:  safe. One that comes after the lock was handed over is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rwlock_read_lock(bide_rwlock *lock);

/**
 * Lock for writing, alone.
 *
 * Aborts in the task that holds it for writing already, and when the writer waited for has ended
 * without unlocking. A reader cannot become a writer without unlocking first: it would wait for
 * itself.
 *
 * @param lock  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the lock is not held, and readers that waited
 *                           behind this call are let in
 * Blocks:  while others hold it, or wait that came first.
 * Cancel:  safe. One that comes after the lock was handed over is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rwlock_write_lock(bide_rwlock *lock);

/**
 * Lock for reading if that needs no waiting.
 *
 * @param lock  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -EBUSY  a writer holds it, or others wait in line
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rwlock_try_read_lock(bide_rwlock *lock);

/**
 * Lock for writing if that needs no waiting.
 *
 * @param lock  borrowed until it is unlocked
 *
 * Returns 0, or
 *   -EBUSY  somebody holds it, maybe this task, or others wait in line
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rwlock_try_write_lock(bide_rwlock *lock);

/**
 * Unlock what was locked for reading.
 *
 * Never switches. Aborts when no reader holds it; which task a reader is, is not remembered.
 *
 * @param lock  borrowed for the call
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_rwlock_read_unlock(bide_rwlock *lock);

/**
 * Unlock what this task locked for writing.
 *
 * Never switches. Unlocking what the task does not hold for writing aborts.
 *
 * @param lock  borrowed for the call
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a scope that has fired as well.
 * Threads: the task that holds it.
 */
BIDE_API void bide_rwlock_write_unlock(bide_rwlock *lock);

#endif
