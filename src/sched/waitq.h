/* SPDX-License-Identifier: MIT */
/*
 * waitq.h - parking and waking: the one place where a task stops running.
 *
 * A waiter lives on the parked task's own stack. Exactly one of a wake-up, a timer and a cancel
 * resumes the task, and whoever does so first unlinks the waiter and clears waiter->task: so a
 * listed waiter is always a task that is asleep, and a waiter whose task is NULL belongs to one
 * that is about to run again.
 *
 *      running --bide__park--> parked --bide__wake--> ready --its turn--> running
 *
 * A queue is a list head; waiters are served in the order in which they came. One that users embed
 * (in a mutex, an event) starts as zeroed memory: bide__waitq_join makes it whole.
 */
#ifndef BIDE__SCHED_WAITQ_H
#define BIDE__SCHED_WAITQ_H

#include <stdbool.h>

#include "base/list.h"
#include "sched/loop.h"

struct bide__waiter {
    int result;               /* what bide__park returns; first, for bide__park_last */
    bool passes_cancel;       /* a cancel goes on to `awaits` instead of waking */
    struct bide_task *task;   /* asleep when not NULL */
    struct bide__list link;   /* in the queue it waits in, or alone */
    struct bide_task *owner;  /* of the task it awaits: who waits; for reports */
    struct bide_task *awaits; /* the task it waits for, when it waits for one */
    const char *what;         /* for reports: "sleep", "await" */
    const void *near;         /* what the task looks at next; may be fetched before it runs */
    const bide_site *site;    /* for reports: where, when the call knows */
};

/* Ready to be parked with; `what` is static text. */
#define BIDE__WAITER(waiter, text)                                                                 \
    {                                                                                              \
        .link = {&(waiter).link, &(waiter).link}, .what = (text)                                   \
    }

/* Of a task that calls back those who watch an end: it must not park. */
extern struct bide__waiter bide__calling_back;

/* The end of a program that would wait or yield in a callback or a post. */
_Noreturn __attribute__((cold)) void bide__park_refused(const struct bide_task *self);

/* Stop running until somebody wakes the waiter. Returns the waker's result. */
int bide__park(struct bide__waiter *waiter);

/*
 * The same as the last act of a public call, whose caller keeps the waiter and sees its result.
 * The switch then goes from where one task called straight to where another one did. Returns in
 * between would be predicted from the calls of the wrong task wherever the two are not in the same
 * function, each at the price of a switch or two.
 */
static inline void bide__park_last(struct bide_task *self, struct bide__waiter *waiter)
{
    struct bide_loop *loop = self->loop;

    bide__assert(self == loop->current);
    if (__builtin_expect(self->waiter != NULL, 0))
        bide__park_refused(self);
    waiter->task = self;
    self->waiter = waiter;
    bide__switch_last(loop, self, bide__next(loop));
}

/* As bide__park; `at_deadline`, mostly -ETIMEDOUT, when nobody woke it before the deadline. */
int bide__park_until(struct bide__waiter *waiter, bide_time deadline, int at_deadline);

/* Make a parked waiter's task ready. False when something else has woken it already. */
bool bide__wake(struct bide__waiter *waiter, int result);

/* The same for a waiter that is asleep, and in no queue by its own link. */
static inline void bide__wake_unlisted(struct bide__waiter *waiter, int result)
{
    struct bide_task *task = waiter->task;

    bide__assert(task->waiter == waiter && task->state == BIDE__TASK_LIVE);
    waiter->task = NULL;
    waiter->result = result;
    task->waiter = NULL;
    bide__ready_push(task->loop, task);
}

/* Stand at the end of a queue, to be parked with next. */
static inline void bide__waitq_join(struct bide__list *queue, struct bide__waiter *waiter)
{
    if (queue->next == NULL)
        bide__list_init(queue);
    bide__list_append(queue, &waiter->link);
}

/* The first waiter of a queue, or NULL. */
static inline struct bide__waiter *bide__waitq_first(const struct bide__list *queue)
{
    return queue->next == NULL || bide__list_is_empty(queue)
               ? NULL
               : BIDE__CONTAINER(queue->next, struct bide__waiter, link);
}

/* Wake every waiter of a queue with one result. */
void bide__wake_all(struct bide__list *queue, int result);

#endif
