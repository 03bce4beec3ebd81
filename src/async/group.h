/* SPDX-License-Identifier: MIT */
/*
 * group.h - how a spawn becomes a member's.
 */
#ifndef BIDE__ASYNC_GROUP_H
#define BIDE__ASYNC_GROUP_H

#include "sched/task.h"

/*
 * bide__task_spawn into options->bide__group, waiting for a place where there is a limit. Errors of
 * bide__task_spawn, of a cancelled wait, and the group's own code when it is cancelled.
 */
int bide__group_spawn(struct bide_loop *loop, const bide_site *site,
                      const bide_spawn_options *options, int (*run)(void *frame),
                      size_t frame_bytes, struct bide_task **out);

/* Who waits for a member's end: its group's owner. For its first word: who started it. */
const struct bide_task *bide__group_waits_for(const struct bide_task *task);

#endif
