/* SPDX-License-Identifier: MIT */
/*
 * line.h - standing in line: what all locks, events and the like have in common.
 *
 * Each embeds a queue of waiters (sched/waitq.h) in which tasks stand in the order in which they
 * came. A task leaves it in one of two ways: the one ahead of it hands over what it waits for, and
 * then it has it, whatever is cancelled before its turn; or a cancel takes it out, and then nothing
 * was handed to it. The canceller does not know the lock: a lock whose line has to move on when
 * one leaves it sees to that in the task that left, at its next turn.
 */
#ifndef BIDE__SYNC_LINE_H
#define BIDE__SYNC_LINE_H

#include "sched/report.h"
#include "sched/waitq.h"

/*
 * Begin a call that takes something. Returns 0, or the code of a scope that fired. It spends of the
 * budget here and not, as other calls do, when they have succeeded: a task that yields with a lock
 * in its hands makes all who want it line up, and a line that is always handed on never dissolves.
 */
static inline int bide__line_enter(struct bide_task *self)
{
    bide__budget_spend(self->loop);
    return self->cancel_code;
}

/* Nobody stands in it. */
static inline bool bide__line_is_empty(const struct bide__list *line)
{
    return bide__waitq_first(line) == NULL;
}

/* How many stand in it. */
static inline size_t bide__line_length(const struct bide__list *line)
{
    size_t length = 0;

    if (line->next != NULL)
        for (const struct bide__list *node = line->next; node != line; node = node->next)
            length++;
    return length;
}

/* Stand in line with this waiter. Returns what was handed over, or the code of a cancel. */
static inline int bide__line_stand(struct bide__list *line, struct bide__waiter *waiter)
{
    int result;

    bide__waitq_join(line, waiter);
    bide__assert(!bide__list_is_empty(&waiter->link));
    result = bide__park(waiter);
    bide__assert(bide__list_is_empty(&waiter->link));
    return result;
}

/* The same for those who need no more than a place; `what` is the call's public name. */
static inline int bide__line_wait(struct bide__list *line, const char *what)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);

    return bide__line_stand(line, &waiter);
}

/* Hand the first in line what it waits for. It owns that from now on. */
static inline void bide__line_hand(struct bide__waiter *first, int result)
{
    bool handed;

    bide__assert(first->task != NULL);
    if (first->task->loop != bide__loop_here)
        bide__misuse("%s waits in %s on one loop, and was to be woken from another: a lock, event "
                     "or the like serves the tasks of one loop",
                     bide__task_label(first->task).text, first->what);
    handed = bide__wake(first, result);
    bide__assert(handed);
}

/* Hand everyone in line the same. */
static inline void bide__line_hand_all(struct bide__list *line, int result)
{
    struct bide__waiter *first;

    while ((first = bide__waitq_first(line)) != NULL)
        bide__line_hand(first, result);
}

#endif
