/* SPDX-License-Identifier: MIT */
/*
 * waitgroup.c - waiting until a number of things are done. Nobody is in line while the count is 0.
 */
#include <bide/sync/waitgroup.h>

#include "sync/line.h"
#include "sync/owner.h"

void bide_waitgroup_init(bide_waitgroup *group)
{
    *group = (bide_waitgroup)BIDE_WAITGROUP_INIT;
}

void bide_waitgroup_add(bide_waitgroup *group, long count)
{
    long before = group->bide__count;

    bide__assert(before >= 0);
    bide__assert(before > 0 || bide__line_is_empty(&group->bide__waiting));
    if (__builtin_add_overflow(before, count, &group->bide__count))
        bide__misuse("bide_waitgroup_add: %s adds %ld to a count of %ld: more than LONG_MAX",
                     bide__caller_label().text, count, before);
    if (group->bide__count < 0)
        bide__misuse("bide_waitgroup_done: %s adds %ld to a count of %ld: more is done than was "
                     "added; add before the work starts, and call done once for each",
                     bide__caller_label().text, count, before);
    if (group->bide__count == 0)
        bide__line_hand_all(&group->bide__waiting, 0);
}

void bide_waitgroup_done(bide_waitgroup *group)
{
    bide_waitgroup_add(group, -1);
}

int bide_waitgroup_wait(bide_waitgroup *group)
{
    struct bide_task *self = bide__task_need("bide_waitgroup_wait");

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (group->bide__count > 0)
        return bide__line_wait(&group->bide__waiting, "bide_waitgroup_wait");
    bide__budget_spend(self->loop);
    return 0;
}
