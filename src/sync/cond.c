/* SPDX-License-Identifier: MIT */
/*
 * cond.c - waiting until something that a mutex guards has changed.
 *
 * A task gets into line before it hands the mutex on, and nothing runs in between: no signal falls
 * into the gap. Whether a signal or a cancel took it out of the line, it locks the mutex again.
 */
#include <bide/sync/cond.h>

#include "sync/line.h"
#include "sync/mutex.h"

void bide_cond_init(bide_cond *cond)
{
    *cond = (bide_cond)BIDE_COND_INIT;
}

int bide_cond_wait(bide_cond *cond, bide_mutex *mutex)
{
    struct bide_task *self = bide__task_need("bide_cond_wait");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "bide_cond_wait");
    int result;

    bide__mutex_need(mutex, self, "bide_cond_wait");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__mutex_hand_on(mutex);
    result = bide__line_stand(&cond->bide__waiting, &waiter);
    bide__mutex_lock_again(mutex, self);
    bide__assert(mutex->bide__owner == self);
    return result;
}

void bide_cond_signal(bide_cond *cond)
{
    struct bide__waiter *first = bide__waitq_first(&cond->bide__waiting);

    if (first != NULL)
        bide__line_hand(first, 0);
}

void bide_cond_broadcast(bide_cond *cond)
{
    bide__line_hand_all(&cond->bide__waiting, 0);
}
