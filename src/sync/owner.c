/* SPDX-License-Identifier: MIT */
/*
 * owner.c - what is said when a lock's owner is not the one it should be.
 */
#include "sync/owner.h"

#include <stdio.h>

static bool has_ended(struct bide__held held)
{
    return held.owner->state != BIDE__TASK_LIVE || held.owner->generation != held.generation;
}

struct bide__label bide__caller_label(void)
{
    const struct bide_loop *loop = bide__loop_here;
    struct bide__label label = {"code outside of a task"};

    if (loop != NULL && loop->current != &loop->root)
        label = bide__task_label(loop->current);
    return label;
}

void bide__owner_check(struct bide__held held, const struct bide_task *self, const char *call)
{
    bide__assert(held.owner != NULL && self == self->loop->current);
    if (has_ended(held))
        bide__misuse("%s: %s would wait for ever: a task locked this %s and ended without "
                     "unlocking it",
                     call, bide__task_label(self).text, held.noun);
    if (held.owner == self)
        bide__misuse("%s: %s holds this %s already, and would wait for itself; unlock it first, or "
                     "do not lock it twice",
                     call, bide__task_label(self).text, held.noun);
}

void bide__owner_differs(struct bide__held held, const struct bide_task *self, const char *call)
{
    char holder[300] = "nobody does";

    bide__assert(held.owner != self || has_ended(held));
    if (held.owner != NULL && has_ended(held))
        snprintf(holder, sizeof holder, "a task that has ended does");
    else if (held.owner != NULL)
        snprintf(holder, sizeof holder, "%s does", bide__task_label(held.owner).text);
    bide__misuse("%s: %s does not hold this %s, %s; lock it in the same task first", call,
                 bide__task_label(self).text, held.noun, holder);
}
