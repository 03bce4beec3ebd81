/* SPDX-License-Identifier: MIT */
/*
 * handle.c - what is said of a handle that is not owned.
 */
#include "async/handle.h"

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

void bide__handle_refuse_second_owner(const struct bide_task *task, const char *call,
                                      const bide_site *site)
{
    if (task->awaiter != NULL)
        bide__misuse("%s%s%s: %s is already awaited by %s; a task has one owner", call,
                     site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "",
                     bide__task_label(task).text, bide__task_label(task->awaiter->owner).text);
}
