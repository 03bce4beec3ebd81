/* SPDX-License-Identifier: MIT */
/*
 * task.h - a task's birth, death and cancellation.
 */
#ifndef BIDE__SCHED_TASK_H
#define BIDE__SCHED_TASK_H

#include "sched/loop.h"

/*
 * Make a task ready that will call run(frame) on a stack of its own, `frame` being `frame_bytes`
 * uninitialised bytes at the stack's top, aligned to 64. Never switches. `out` is untouched on
 * failure, which has been reported:
 * -ENOMEM, -EAGAIN (tasks_max), -EINVAL (no such stack size).
 */
int bide__task_spawn(struct bide_loop *loop, const bide_site *site,
                     const bide_spawn_options *options, int (*run)(void *frame), size_t frame_bytes,
                     struct bide_task **out);

/*
 * Put the control block and stack of a task that is done back into the pool. Its frame stays
 * readable until the next spawn.
 */
void bide__task_release(struct bide_task *task);

/* Release a detached task that is done; when it failed, say so. */
void bide__task_let_go(struct bide_task *task);

/* Ask a task to end. Goes on to the task it awaits, and so on. */
void bide__task_cancel(struct bide_task *task);

#endif
