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

/* The same, but nobody will run it before bide__ready_push or bide__switch_to. */
int bide__task_make(struct bide_loop *loop, const bide_site *site,
                    const bide_spawn_options *options, int (*run)(void *frame), size_t frame_bytes,
                    struct bide_task **out);

/*
 * Somebody who wants to be told of a task's end beside its owner; embedded where it is used, which
 * must outlive it or remove it (bide__list_remove(&watch->link)).
 */
struct bide__watch {
    struct bide__list link;
    /* Called in the context of the ending task, which is DONE; unlinked before. Must not park. */
    void (*ended)(struct bide__watch *watch, struct bide_task *task);
};

/* Watch a task that is LIVE. Watches are told in the order in which they came. */
void bide__task_watch(struct bide_task *task, struct bide__watch *watch);

/* Tell and remove all watches. */
void bide__task_tell(struct bide_task *task);

/* The end of a future: its result, or `failure` in its place, is there. */
void bide__task_fulfil(struct bide_task *future, int failure);

/*
 * Put the control block and stack of a task that is done back into the pool. Its frame stays
 * readable until the next spawn.
 */
static inline void bide__task_release(struct bide_task *task)
{
    bide__assert(task->state == BIDE__TASK_DONE);
    task->state = BIDE__TASK_FREE;
    task->generation++;
    bide__stack_release(&task->loop->stacks, &task->stack);
}

/* Say that a detached task failed. */
__attribute__((noinline, cold)) void bide__task_failed(const struct bide_task *task);

/* Release a detached task that is done; when it failed, say so. */
static inline void bide__task_let_go(struct bide_task *task)
{
    if (__builtin_expect(task->failure < 0, 0) && !task->is_member)
        bide__task_failed(task);
    bide__task_release(task);
}

/*
 * Ask a task to end, its parking calls returning `code` from now on. Goes on to the task it awaits,
 * and so on. A future fails with the code.
 */
void bide__task_cancel(struct bide_task *task, int code);

#endif
