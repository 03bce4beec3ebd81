/* SPDX-License-Identifier: MIT */
/*
 * settle.c - waiting until every other task is asleep.
 *
 * Whoever waits so is in the loop's queue `settling`, which bide__loop_run serves before it lets
 * the host wait: so neither does time pass, nor is it a deadlock. One is served at a time, and the
 * next one not before all tasks sleep again: to each, the others are asleep when it goes on.
 */
#include <bide/testing.h>

#include "sched/waitq.h"

int bide_test_settle(void)
{
    struct bide_task *self = bide__task_need("bide_test_settle");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "settle");

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__waitq_join(&self->loop->settling, &waiter);
    return bide__park(&waiter);
}
