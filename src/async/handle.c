/* SPDX-License-Identifier: MIT */
/*
 * handle.c - what is said of a handle that is not owned.
 */
#include "async/handle.h"

#include "async/combine.h"
#include "async/group.h"
#include "sched/report.h"
#include "sched/waitq.h"

_Noreturn void bide__handle_misused(uintptr_t handle, const char *call, const bide_site *site)
{
    const char *at = site != NULL ? " at " : "";
    struct bide__label where = {""};

    if (site != NULL)
        where = bide__site_label(site);
    if (handle == 0)
        bide__misuse("%s%s%s: the handle is NULL: its spawn failed (bide_spawn_error says why)",
                     call, at, where.text);
    bide__misuse(
        "%s%s%s: this handle is spent: its task was already awaited or detached, and a handle "
        "serves once",
        call, at, where.text);
}

/* Who waits for the task without a limit, or will before it can end; NULL when nobody does. */
static const struct bide_task *waits_for(const struct bide_task *task)
{
    const struct bide__waiter *awaiter = task->awaiter;

    if (awaiter != NULL && (awaiter->passes_cancel || awaiter->awaits == NULL))
        return awaiter->owner;
    if (task->is_member)
        return bide__group_waits_for(task);
    return task->is_watched ? bide__combine_waits_for(task) : NULL;
}

/* It waits for several: in a group that it has opened, in await_all, or in a race. */
static bool waits_for_several(const struct bide_task *task)
{
    const struct bide__waiter *waiter = task->waiter;

    if (waiter != NULL && waiter->awaits == NULL && (waiter->passes_cancel || waiter->owner))
        return true;
    for (const bide_scope *scope = task->scope; scope != NULL; scope = scope->bide__outer)
        if (scope->bide__fired != NULL)
            return true;
    return false;
}

/*
 * Down from the task first: a chain that grows at its end costs one look each. Only who waits for
 * several has to be searched for from below.
 */
bool bide__handle_search(const struct bide_task *task, const struct bide_task *self)
{
    while (task != self && task->waiter != NULL && task->waiter->passes_cancel &&
           task->waiter->awaits != NULL)
        task = task->waiter->awaits;
    if (task == self || !waits_for_several(task))
        return task == self;
    while (self != NULL && self != task)
        self = waits_for(self);
    return self == task;
}

void bide__handle_is_awaited(const struct bide_task *task, const char *call, const bide_site *site)
{
    bide__assert(task->awaiter != NULL);
    bide__misuse("%s%s%s: %s is already awaited by %s; a task has one owner", call,
                 site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "",
                 bide__task_label(task).text, bide__task_label(task->awaiter->owner).text);
}
