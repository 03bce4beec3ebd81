/* SPDX-License-Identifier: MIT */
/*
 * scope.c - cancel scopes as a chain on the task.
 *
 * What a parking call has to look at is one number, task->cancel_code, recomputed whenever a scope
 * of the task fires or is left: the outermost fired scope that no shield hides decides.
 */
#include <errno.h>

#include <bide/sched/sleep.h>

#include "sched/task.h"
#include "sched/waitq.h"

_Static_assert(sizeof(struct bide__timer) <= sizeof((bide_scope *)0)->bide__timer,
               "the public struct holds a timer");

static struct bide__timer *timer_of(bide_scope *scope)
{
    return (struct bide__timer *)(void *)scope->bide__timer;
}

int bide__cancel_code_in(const struct bide_task *task, const bide_scope *scope)
{
    int code = 0;

    for (; scope != NULL; scope = scope->bide__outer) {
        if (scope->bide__code != 0)
            code = scope->bide__code;
        if (scope->bide__is_shield)
            return code;
    }
    if (task->waiter == &bide__calling_back)
        return -ECANCELED; /* a callback must not wait, whatever it leaves */
    return task->canceled != 0 ? task->canceled : code;
}

static int16_t visible_code(const struct bide_task *task)
{
    return (int16_t)bide__cancel_code_in(task, task->scope);
}

void bide__cancel_deliver(struct bide_task *task)
{
    struct bide__waiter *waiter = task->waiter;

    task->cancel_code = visible_code(task);
    if (task->cancel_code != 0 && waiter != NULL && !waiter->passes_cancel)
        bide__wake(waiter, task->cancel_code);
    /* Even when a shield keeps the innermost calls going, groups outside of it are cancelled. */
    for (bide_scope *scope = task->scope; scope != NULL; scope = scope->bide__outer)
        if (scope->bide__fired != NULL)
            scope->bide__fired(scope, bide__cancel_code_in(task, scope));
}

static void fire(bide_scope *scope, int code)
{
    struct bide_task *task = scope->bide__task;

    if (scope->bide__code != 0)
        return;
    scope->bide__code = code;
    if (task == NULL)
        return;
    bide__cancel_deliver(task);
    /* Asleep on another task: that one is told instead, and whoever it awaits. */
    if (task->cancel_code != 0 && task->waiter != NULL && task->waiter->passes_cancel)
        bide__task_cancel(task->waiter->awaits, task->cancel_code);
}

static void deadline_passed(struct bide__timer *timer)
{
    fire((bide_scope *)(void *)((char *)timer - offsetof(bide_scope, bide__timer)), -ETIMEDOUT);
}

/* Watch the deadline of an entered scope, which is not BIDE_FOREVER. */
static void arm(struct bide_loop *loop, bide_scope *scope, bide_time now)
{
    if (scope->bide__deadline <= now)
        fire(scope, -ETIMEDOUT);
    else
        bide__wheel_add(&loop->timers, timer_of(scope), scope->bide__deadline);
}

/* Make it the task's innermost scope, with no deadline watched yet. */
static inline void enter(struct bide_task *self, bide_scope *scope)
{
    scope->bide__outer = self->scope;
    scope->bide__task = self;
    self->scope = scope;
    bide__timer_init(timer_of(scope), deadline_passed);
    if (scope->bide__is_shield || scope->bide__code != 0)
        self->cancel_code = visible_code(self);
}

bide_scope *bide__scope_enter(bide_scope *scope)
{
    struct bide_task *self = bide__task_need("with_scope");

    if (scope->bide__task != NULL)
        bide__misuse(
            "with_scope: this scope is already entered by '%s'; a scope serves one block at a "
            "time",
            scope->bide__task->name);
    enter(self, scope);
    if (scope->bide__has_deadline)
        arm(self->loop, scope, bide__loop_now(self->loop));
    return scope;
}

bide_scope *bide__scope_begin(bide_scope *scope, bide_time limit, bool is_timeout, bool is_shield)
{
    struct bide_task *self = bide__task_need("with_timeout");

    scope->bide__code = 0;
    scope->bide__has_deadline = limit != BIDE_FOREVER;
    scope->bide__is_shield = is_shield;
    scope->bide__fired = NULL;
    enter(self, scope);
    if (scope->bide__has_deadline) {
        bide_time now = bide__loop_now(self->loop);
        scope->bide__deadline = is_timeout ? bide__time_after(now, limit) : limit;
        if (scope->bide__deadline != BIDE_FOREVER)
            arm(self->loop, scope, now);
    }
    return scope;
}

void bide__scope_leave(bide_scope **entered)
{
    bide_scope *scope = *entered;
    struct bide_task *self;

    if (scope == NULL)
        return;
    self = scope->bide__task;
    if (self == NULL || self->scope != scope)
        bide__misuse("a scope was left that is not the innermost one entered: blocks must nest");
    bide__wheel_remove(&self->loop->timers, timer_of(scope));
    self->scope = scope->bide__outer;
    scope->bide__task = NULL;
    scope->bide__outer = NULL;
    if (scope->bide__is_shield || scope->bide__code != 0)
        self->cancel_code = visible_code(self);
}

bide_time bide__deadline_after(bide_time timeout)
{
    return timeout == BIDE_FOREVER ? BIDE_FOREVER : bide__time_after(bide_now(), timeout);
}

void bide_scope_set_deadline(bide_scope *scope, bide_time deadline)
{
    scope->bide__deadline = deadline;
    scope->bide__has_deadline = deadline != BIDE_FOREVER;
    if (scope->bide__task == NULL)
        return;
    bide__wheel_remove(&scope->bide__task->loop->timers, timer_of(scope));
    if (scope->bide__has_deadline)
        arm(scope->bide__task->loop, scope, bide__loop_now(scope->bide__task->loop));
}

void bide_scope_set_timeout(bide_scope *scope, bide_time timeout)
{
    bide_scope_set_deadline(scope, bide__deadline_after(timeout));
}

void bide_scope_cancel(bide_scope *scope)
{
    fire(scope, -ECANCELED);
}

bool bide_scope_fired(const bide_scope *scope)
{
    return scope->bide__code != 0;
}

int bide_canceled(void)
{
    return bide__task_need("bide_canceled")->cancel_code;
}
