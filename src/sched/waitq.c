/* SPDX-License-Identifier: MIT */
/*
 * waitq.c - the one place where a task stops running. The rules stand in waitq.h.
 */
#include "sched/waitq.h"

#include <errno.h>

#include "sched/report.h"

struct bide__waiter bide__calling_back = BIDE__WAITER(bide__calling_back, "a callback");

void bide__park_refused(const struct bide_task *self)
{
    bide__assert(self->waiter == &bide__calling_back);
    if (self == &self->loop->poster)
        bide__misuse("a function that was posted to the loop would have to wait, which it must "
                     "not; let it set a future, or spawn a task that waits");
    bide__misuse("a callback of on_done that runs in %s would have to wait, which it must not; let "
                 "it set a future, or spawn a task that waits",
                 bide__task_label(self).text);
}

int bide__park(struct bide__waiter *waiter)
{
    struct bide_loop *loop = bide__loop_here;
    struct bide_task *self = loop->current;

    bide__assert(self != &loop->root);
    if (__builtin_expect(self->waiter != NULL, 0))
        bide__park_refused(self);
    waiter->task = self;
    self->waiter = waiter;
    bide__switch_away(loop, self);
    bide__assert(self->waiter == NULL && waiter->task == NULL);
    return waiter->result;
}

bool bide__wake(struct bide__waiter *waiter, int result)
{
    struct bide_task *task = waiter->task;

    if (task == NULL)
        return false;
    bide__assert(task->waiter == waiter && task->state == BIDE__TASK_LIVE);
    bide__list_remove(&waiter->link);
    waiter->task = NULL;
    waiter->result = result;
    task->waiter = NULL;
    bide__ready_push(task->loop, task);
    return true;
}

void bide__wake_all(struct bide__list *queue, int result)
{
    struct bide__waiter *waiter;

    while ((waiter = bide__waitq_first(queue)) != NULL)
        bide__wake(waiter, result);
}

/* A waiter's time limit, on the parked task's stack beside it. */
struct limit {
    struct bide__timer timer;
    struct bide__waiter *waiter;
    int result;
};

static void limit_reached(struct bide__timer *timer)
{
    struct limit *limit = BIDE__CONTAINER(timer, struct limit, timer);

    bide__wake(limit->waiter, limit->result);
}

int bide__park_until(struct bide__waiter *waiter, bide_time deadline, int at_deadline)
{
    struct bide_loop *loop = bide__loop_here;
    struct limit limit = {.waiter = waiter, .result = at_deadline};
    int result;

    if (deadline == BIDE_FOREVER)
        return bide__park(waiter);
    bide__timer_init(&limit.timer, limit_reached);
    bide__wheel_add(&loop->timers, &limit.timer, deadline);
    result = bide__park(waiter);
    bide__wheel_remove(&loop->timers, &limit.timer);
    return result;
}
