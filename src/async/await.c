/* SPDX-License-Identifier: MIT */
/*
 * await.c - owning a task or future: waiting for it, giving it up.
 */
#include <bide/async/async.h>

#include <errno.h>

#include "async/future.h"
#include "async/group.h"
#include "async/handle.h"
#include "sched/report.h"
#include "sched/waitq.h"

struct bide__spawned bide__spawn(const bide_site *site, const bide_spawn_options *options,
                                 int (*run)(void *frame), size_t frame_bytes)
{
    struct bide_loop *loop;
    struct bide_task *task;
    int err;

    if (options != NULL && options->bide__make != NULL)
        return options->bide__make(site, options, run, frame_bytes);
    loop = bide__task_need("spawn")->loop;
    err = options != NULL && options->bide__group != NULL
              ? bide__group_spawn(loop, site, options, run, frame_bytes, &task)
              : bide__task_spawn(loop, site, options, run, frame_bytes, &task);

    if (__builtin_expect(err < 0, 0)) {
        loop->spawn_error = err;
        return (struct bide__spawned){0};
    }
    return (struct bide__spawned){.handle = bide__handle_of(task), .frame = task->frame};
}

int bide_spawn_error(void)
{
    return bide__loop_need("bide_spawn_error")->spawn_error;
}

/* Print the cycle, a line a task. */
static void report_cycle(const struct bide_task *self, const struct bide_task *task,
                         const bide_site *site)
{
    struct bide_loop *loop = self->loop;

    if (task == self) {
        bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, self, NULL, "%s: %s awaits itself",
                     bide__site_label(site).text, bide__task_label(self).text);
        return;
    }
    bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, self, NULL,
                 "%s closes a cycle of tasks that await each other, which would never end:",
                 bide__site_label(site).text);
    for (; task != self && task->waiter != NULL && task->waiter->awaits != NULL;
         task = task->waiter->awaits)
        bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, task, NULL, "    %s awaits %s at %s",
                     bide__task_label(task).text, task->waiter->awaits->name,
                     bide__site_label(task->waiter->site).text);
    if (task != self)
        bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, task, NULL,
                     "    %s waits for its group or race, of which the next one is a part",
                     bide__task_label(task).text);
    bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, self, NULL,
                 "    %s would await the first of them", bide__task_label(self).text);
}

/*
 * The end of an await in a cycle. Where -EDEADLK cannot be told by the result there is no way to go
 * on.
 */
__attribute__((noinline, cold)) static void *
cycle_found(struct bide_task *self, struct bide_task *task, unsigned width, const bide_site *site)
{
    report_cycle(self, task, site);
    if (width == 0)
        bide__misuse("await at %s: its result is no signed integer, which could be -EDEADLK; use "
                     "await_for where a cycle is possible",
                     bide__site_label(site).text);
    if (task->awaiter == NULL) {
        task->is_detached = true;
        if (self->loop->is_ending)
            bide__task_cancel(task, -ECANCELED);
    }
    bide__result_fail(&self->loop->stand_in, width, -EDEADLK);
    return &self->loop->stand_in;
}

/*
 * The result was taken. A callback may do so for the very task that calls it at its end: then the
 * stack is still in use, and goes when the calls have returned.
 */
static inline void release(struct bide_task *task, const struct bide_task *self)
{
    if (__builtin_expect(task != self, 1)) {
        bide__task_release(task);
    } else {
        task->failure = 0;
        task->is_detached = true;
    }
}

void *bide__await(uintptr_t handle, unsigned width, const bide_site *site)
{
    struct bide_task *self = bide__task_need("await");
    struct bide_task *task = bide__handle_task(handle, "await", site);
    void *result;

    if (task->is_future)
        return bide__future_take(task, bide__future_wait(task, BIDE_FOREVER, "await", site));
    if (task->state != BIDE__TASK_DONE) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "await");

        if (bide__handle_leads_to(task, self))
            return cycle_found(self, task, width, site);
        bide__handle_refuse_second_owner(task, "await", site);
        waiter.passes_cancel = true;
        waiter.awaits = task;
        waiter.owner = self;
        waiter.site = site;
        task->awaiter = &waiter;
        if (self->cancel_code != 0)
            bide__task_cancel(task, self->cancel_code);
        bide__park(&waiter);
        bide__assert(task->state == BIDE__TASK_DONE);
    } else {
        bide__handle_refuse_second_owner(task, "await", site);
    }
    result = task->frame;
    release(task, self);
    return result;
}

/* A limit of nothing: an answer at once, which spends of the budget as others do. */
static int too_late(struct bide_task *self)
{
    bide__budget_spend(self->loop);
    return -ETIMEDOUT;
}

int bide__await_for(uintptr_t handle, bide_time timeout, void **result, const bide_site *site)
{
    struct bide_task *self = bide__task_need("await_for");
    struct bide_task *task = bide__handle_task(handle, "await_for", site);

    if (task->is_future) {
        int err;
        if (timeout <= 0 && self->cancel_code == 0 && task->state != BIDE__TASK_DONE)
            return too_late(self);
        err = bide__future_wait(task, bide__deadline_after(timeout), "await_for", site);
        if (err == 0)
            *result = bide__future_take(task, 0);
        return err;
    }
    if (task->state != BIDE__TASK_DONE) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "await_for");
        int err;

        if (bide__handle_leads_to(task, self)) {
            report_cycle(self, task, site);
            return -EDEADLK;
        }
        bide__handle_refuse_second_owner(task, "await_for", site);
        if (self->cancel_code != 0)
            return bide__cancel_seen(self);
        if (timeout <= 0)
            return too_late(self);
        waiter.awaits = task;
        waiter.owner = self;
        waiter.site = site;
        task->awaiter = &waiter;
        err = bide__park_until(&waiter, bide__deadline_after(timeout), -ETIMEDOUT);
        task->awaiter = NULL;
        if (err < 0 && task->state != BIDE__TASK_DONE)
            return err;
    } else {
        bide__handle_refuse_second_owner(task, "await_for", site);
    }
    *result = task->frame;
    release(task, self);
    return 0;
}

int bide__detach(uintptr_t handle)
{
    struct bide_task *self = bide__task_need("detach");
    struct bide_task *task;

    if (handle == 0)
        return self->loop->spawn_error;
    task = bide__handle_task(handle, "detach", NULL);
    if (task->is_future) {
        bide__future_claim(task, "detach", NULL);
        bide__future_unclaim(task);
        bide__future_give_up(task);
        return 0;
    }
    bide__handle_refuse_second_owner(task, "detach", NULL);
    if (task->state == BIDE__TASK_DONE && task != self) {
        bide__task_let_go(task);
        return 0;
    }
    task->is_detached = true; /* lives, or is ending and calls back */
    if (self->loop->is_ending)
        bide__task_cancel(task, -ECANCELED); /* nobody is left who would */
    return 0;
}

void bide__cancel(uintptr_t handle)
{
    bide__task_need("cancel");
    bide__task_cancel(bide__handle_task(handle, "cancel", NULL), -ECANCELED);
}

bool bide__is_done(uintptr_t handle)
{
    bide__task_need("is_done");
    return bide__handle_task(handle, "is_done", NULL)->state == BIDE__TASK_DONE;
}
