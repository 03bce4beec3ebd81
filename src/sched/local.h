/* SPDX-License-Identifier: MIT */
/*
 * local.h - task-local values, as a task's birth and death see them.
 *
 * task->locals means something only while task->has_locals is set.
 */
#ifndef BIDE__SCHED_LOCAL_H
#define BIDE__SCHED_LOCAL_H

#include "sched/loop.h"

struct bide__locals;

/* Let a new task see what another one sees now. Cannot fail. */
void bide__locals_share(struct bide_task *from, struct bide_task *to);

/* Drop what the task sees; called at its end, in it when it can still run. */
void bide__locals_drop(struct bide_task *task);

#endif
