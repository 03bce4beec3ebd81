/* SPDX-License-Identifier: MIT */
/*
 * once.c - something that the first who needs it does, for all.
 *
 *      idle --do--> running --0 or more--> done, for ever; all in line get the result
 *                   running --negative--> running in the first in line, or idle
 *
 * Running is handed from task to task like a lock, so a runner that was cancelled before its turn
 * runs the function all the same; the function sees the cancel.
 */
#include <bide/sync/once.h>

#include <limits.h>

#include "sync/line.h"

/* What is handed to the next runner. No result, and no code of a cancel. */
enum { YOUR_TURN = INT_MIN };

/* Settle it, or let the next one try. */
static void finish(bide_once *once, int result)
{
    struct bide__waiter *first = bide__waitq_first(&once->bide__waiting);

    bide__assert(!once->bide__is_done && once->bide__runner != NULL);
    once->bide__runner = NULL;
    if (result >= 0) {
        once->bide__is_done = true;
        once->bide__result = result;
        bide__line_hand_all(&once->bide__waiting, result);
    } else if (first != NULL) {
        once->bide__runner = first->task;
        bide__line_hand(first, YOUR_TURN);
    }
}

void bide_once_init(bide_once *once)
{
    *once = (bide_once)BIDE_ONCE_INIT;
}

int bide_once_do(bide_once *once, int (*fn)(void *arg), void *arg)
{
    struct bide_task *self = bide__task_need("bide_once_do");
    int result;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (once->bide__is_done) {
        result = once->bide__result;
        bide__budget_spend(self->loop);
        return result;
    }
    if (once->bide__runner == self)
        bide__misuse("bide_once_do: %s calls it from inside the function that it runs, and would "
                     "wait for itself",
                     bide__task_label(self).text);
    if (once->bide__runner != NULL) {
        result = bide__line_wait(&once->bide__waiting, "bide_once_do");
        if (result != YOUR_TURN)
            return result;
    } else {
        once->bide__runner = self;
    }
    bide__assert(once->bide__runner == self && !once->bide__is_done);
    result = fn(arg);
    finish(once, result);
    return result;
}
