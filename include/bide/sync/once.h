/* SPDX-License-Identifier: MIT */
/*
 * once.h - something that the first who needs it does, for all.
 *
 *     static bide_once opened = BIDE_ONCE_INIT;
 *
 *     int err = bide_once_do(&opened, open_database, "main.db");
 */
#ifndef BIDE_SYNC_ONCE_H
#define BIDE_SYNC_ONCE_H

#include <bide/base/api.h>
#include <bide/base/list.h>
#include <bide/sched/task.h>

/*
 * Embed it, and start it with BIDE_ONCE_INIT, bide_once_init or zeroed memory; not to look into. It
 * needs no destroying. Freeing or initialising it while its function runs or tasks wait for that is
 * a mistake that goes unnoticed.
 */
typedef struct bide_once {
    struct bide__list bide__waiting;
    struct bide_task *bide__runner; /* in whom the function runs, or is about to; NULL for none */
    int bide__result;               /* meaningful once done */
    bool bide__is_done;
} bide_once;

/* clang-format off */
#define BIDE_ONCE_INIT {{NULL, NULL}, NULL, 0, false}
/* clang-format on */

/**
 * Make a once that is still to be done.
 *
 * @param once  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_once_init(bide_once *once);

/**
 * Call a function unless that was done already; wait while another task is doing it.
 *
 * The first result that is not negative settles it for ever: every caller, the one that ran the
 * function, those that waited and those that come later, gets that result. A negative result goes
 * only to the caller that ran it; the next that waits then calls its own `fn` with its own `arg`.
 * Calling from inside `fn` on the same once aborts.
 *
 * @param once  borrowed until the call returns
 * @param fn    called in this task, inside its scopes, at most once; may park
 * @param arg   passed to it
 *
 * Returns the result of the function that succeeded, 0 or more; or what this call's fn returned,
 * when that was negative; or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; fn was not called by this task
 * Blocks:  while another task runs its function, and as long as fn does.
 * Cancel:  safe while waiting. Inside fn it is fn that sees it; when fn fails for that, the next
 *          that waits tries.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_once_do(bide_once *once, int (*fn)(void *arg), void *arg);

#endif
