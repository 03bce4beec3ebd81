/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - the time, and letting it pass.
 */
#include <bide/sched/sleep.h>

#include "base/sys.h"
#include "sched/waitq.h"

bide_time bide_now(void)
{
    struct bide_loop *loop = bide__loop_here;

    return loop != NULL ? bide__loop_now(loop) : bide__sys_now();
}

int bide_sleep_until(bide_time deadline)
{
    struct bide_task *self = bide__task_need("bide_sleep");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "sleep");

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (deadline <= bide__loop_now(self->loop))
        return bide_yield();
    return bide__park_until(&waiter, deadline, 0);
}

int bide_sleep(bide_time timeout)
{
    bide__task_need("bide_sleep");
    return bide_sleep_until(bide__deadline_after(timeout));
}

int bide_yield(void)
{
    struct bide_task *self = bide__task_need("bide_yield");
    struct bide_loop *loop = self->loop;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (__builtin_expect(self->waiter != NULL, 0))
        bide__park_refused(self);
    bide__ready_push(loop, self);
    bide__switch_away(loop, self);
    return self->cancel_code;
}
