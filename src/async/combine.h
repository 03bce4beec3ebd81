/* SPDX-License-Identifier: MIT */
/*
 * combine.h - who waits for a task together with others.
 */
#ifndef BIDE__ASYNC_COMBINE_H
#define BIDE__ASYNC_COMBINE_H

#include "sched/task.h"

/* Who waits in await_all for the task, which is watched; NULL when nobody does. */
const struct bide_task *bide__combine_waits_for(const struct bide_task *task);

#endif
