/* SPDX-License-Identifier: MIT */
/*
 * waitgroup.h - waiting until a number of things are done.
 *
 *     bide_waitgroup work = BIDE_WAITGROUP_INIT;
 *
 *     for (int i = 0; i < 10; i++) {
 *         bide_waitgroup_add(&work, 1);
 *         go(part_of_work, i, &work);            // ends in bide_waitgroup_done(&work)
 *     }
 *     bide_waitgroup_wait(&work);
 *
 * A group (with_group) does this for tasks, passes their errors on and cancels them; this is for
 * work that is no task.
 */
#ifndef BIDE_SYNC_WAITGROUP_H
#define BIDE_SYNC_WAITGROUP_H

#include <bide/base/api.h>
#include <bide/base/list.h>

/*
 * Embed it, and start it with BIDE_WAITGROUP_INIT, bide_waitgroup_init or zeroed memory: nothing is
 * to be waited for then. Not to look into. It needs no destroying. Freeing or initialising it while
 * tasks wait for it is a mistake that goes unnoticed; those that were woken touch it no more.
 */
typedef struct bide_waitgroup {
    struct bide__list bide__waiting; /* empty while the count is 0 */
    long bide__count;
} bide_waitgroup;

/* clang-format off */
#define BIDE_WAITGROUP_INIT {{NULL, NULL}, 0}
/* clang-format on */

/**
 * Make a waitgroup with a count of 0.
 *
 * @param group  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_waitgroup_init(bide_waitgroup *group);

/**
 * Add to the count of things that are not done.
 *
 * Never switches. It can be used again after the count was 0; who was woken by that 0 returns, even
 * when the count goes up before its turn.
 *
 * @param group  borrowed for the call
 * @param count  added; when negative, so many are done
 *
 * Returns nothing; a count below 0 or beyond LONG_MAX aborts.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_waitgroup_add(bide_waitgroup *group, long count);

/**
 * Take one off the count; at 0 all who wait are woken.
 *
 * Never switches.
 *
 * @param group  borrowed for the call; not touched after it, so who was woken may free it
 *
 * Returns nothing; a count below 0 aborts.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_waitgroup_done(bide_waitgroup *group);

/**
 * Wait until the count is 0.
 *
 * @param group  borrowed until the call returns, or until the count is 0
 *
 * Returns 0, at once when the count is 0; or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired, before the count was 0 or before the call
 * Blocks:  while the count is above 0.
 * Cancel:  safe: the count stays as it is. One that comes after the 0 is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_waitgroup_wait(bide_waitgroup *group);

#endif
