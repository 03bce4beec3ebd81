/* SPDX-License-Identifier: MIT */
/*
 * task.c - a task's birth, death and cancellation.
 */
#include "sched/task.h"

#include <errno.h>
#include <limits.h>

#include "sched/local.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { FRAME_ALIGN = 64 };

_Static_assert(sizeof(struct bide_task) - sizeof(struct bide__sanitizer) <= 192,
               "a control block takes three cache lines");
_Static_assert(offsetof(struct bide_task, run) == 64 || sizeof(void *) != 8,
               "what a switch touches takes one");

/*
 * The first and last thing that runs on a task's stack. Returns the context to go on with.
 *
 * Where many tasks are started and end one after the other, each line of each stack comes from far
 * away; those that bide__next fetches ahead end where this function's frame does. So what is called
 * here in every task's life takes next to nothing of the stack.
 */
BIDE__UNWATCHED static void *task_main(void *arg)
{
    struct bide_task *self = arg;
    struct bide_loop *loop = self->loop;
    struct bide_task *next;

    bide__sanitizer_arrive(&self->sanitizer);
    self->failure = self->run(self->frame);
    bide__assert(loop->current == self && self->scope == NULL && self->waiter == NULL);
    if (__builtin_expect(self->has_locals, 0))
        bide__locals_drop(self);
    self->state = BIDE__TASK_DONE;
    loop->stats.tasks_living--;
    if (self->is_member)
        loop->member_ended(self);
    if (__builtin_expect(self->is_watched, 0))
        bide__task_tell(self);
    if (self->awaiter != NULL)
        bide__wake(self->awaiter, 0);
    else if (self->is_detached)
        bide__task_let_go(self);
    next = bide__next(loop);
    bide__sanitizer_leave(&self->sanitizer, &next->sanitizer, true);
    return next->sp;
}

static int spawn_refused(struct bide_loop *loop, const bide_site *site, int err, const char *why)
{
    bide__report(loop, BIDE_REPORT_SPAWN_FAILED, err, NULL, site, "cannot spawn %s: %s",
                 bide__site_label(site).text, why);
    return err;
}

static int stack_class(struct bide_loop *loop, size_t stack_bytes, size_t frame_bytes)
{
    if (stack_bytes == 0)
        stack_bytes = (size_t)1 << loop->default_class;
    if (stack_bytes < loop->stacks.least_bytes)
        stack_bytes = loop->stacks.least_bytes;
    /*
     * Large arguments and results lie at the stack's top, are copied when the call passes them by
     * value, and once more by code that is not optimised or that a sanitizer watches: all that
     * beside the stack that was asked for.
     */
    if (frame_bytes > stack_bytes / 8)
        stack_bytes += 3 * frame_bytes;
    return bide__stack_class_of(&loop->stacks, stack_bytes);
}

int bide__task_make(struct bide_loop *loop, const bide_site *site,
                    const bide_spawn_options *options, int (*run)(void *frame), size_t frame_bytes,
                    struct bide_task **out)
{
    struct bide__stack *stack;
    struct bide_task *task;
    int class_index = loop->default_class;
    int err;

    if ((options != NULL && options->stack_bytes != 0) || frame_bytes > 4096)
        class_index = stack_class(loop, options ? options->stack_bytes : 0, frame_bytes);
    if (class_index < 0)
        return spawn_refused(loop, site, class_index, "no stack can be that large");
    if (loop->options.tasks_max != 0 && loop->stats.tasks_living >= loop->options.tasks_max)
        return spawn_refused(loop, site, -EAGAIN,
                             "as many tasks live as bide_options.tasks_max allows");
    stack = bide__stack_reuse(&loop->stacks, class_index);
    if (stack == NULL && (err = bide__stack_make(&loop->stacks, class_index, &stack)) < 0)
        return spawn_refused(loop, site, err, bide__stack_explain(&loop->stacks));

    task = BIDE__CONTAINER(stack, struct bide_task, stack);
    bide__assert(task->state == BIDE__TASK_FREE);
    task->frame = (void *)(((uintptr_t)stack->top - frame_bytes) & ~(uintptr_t)(FRAME_ALIGN - 1));
    task->waiter = NULL;
    task->awaiter = NULL;
    task->scope = NULL;
    /* Of a loop that ends all tasks are cancelled; what cleanup under a shield spawns is spared. */
    task->canceled = loop->is_ending && loop->current->cancel_code != 0 ? -ECANCELED : 0;
    task->cancel_code = task->canceled;
    task->state = BIDE__TASK_LIVE;
    task->is_detached = false;
    task->is_watched = false;
    task->is_member = false;
    task->is_generator = false;
    task->is_drained = false;
    task->has_locals = false;
    if (__builtin_expect(loop->current->has_locals, 0))
        bide__locals_share(loop->current, task);
    task->run = run;
    task->loop = loop;
    task->site = site;
    task->name = options != NULL && options->name != NULL ? options->name
                 : site != NULL                           ? site->name
                                                          : "main";
    task->id = ++loop->next_id;
    /* Not beside tasks_living: loads of both at once would wait for what an end has just stored. */
    loop->stats.tasks_spawned++;
    if (options != NULL && options->measure_stack)
        bide__stack_forget(&loop->stacks, stack, stack->low + bide__stack_bytes(stack));
    bide__sanitizer_start(&task->sanitizer, stack->low, bide__stack_bytes(stack));
    if (frame_bytes > FRAME_ALIGN)
        bide__sanitizer_frame(task->frame, frame_bytes);
    task->sp = bide__context_make(task->frame, task_main, task);
    if (++loop->stats.tasks_living > loop->stats.tasks_most)
        loop->stats.tasks_most = loop->stats.tasks_living;
    *out = task;
    return 0;
}

int bide__task_spawn(struct bide_loop *loop, const bide_site *site,
                     const bide_spawn_options *options, int (*run)(void *frame), size_t frame_bytes,
                     struct bide_task **out)
{
    int err = bide__task_make(loop, site, options, run, frame_bytes, out);

    if (err == 0)
        bide__ready_push(loop, *out);
    return err;
}

void bide__task_watch(struct bide_task *task, struct bide__watch *watch)
{
    bide__assert(task->state == BIDE__TASK_LIVE);
    if (!task->is_watched)
        bide__list_init(&task->watches);
    task->is_watched = true;
    bide__list_append(&task->watches, &watch->link);
}

/*
 * Callbacks run in the middle of whatever ends the task, maybe on a stack that is about to go. So
 * no call may switch there: those that can wait return -ECANCELED at once, those that would have to
 * wait all the same find this waiter, and none runs out of budget.
 */
void bide__task_tell(struct bide_task *task)
{
    struct bide_loop *loop = task->loop;
    struct bide_task *self = loop->current;
    struct bide__list watches;
    int budget = loop->budget;

    bide__assert(task->state == BIDE__TASK_DONE &&
                 (self->waiter == NULL || self->waiter == &bide__calling_back));
    struct bide__waiter *waiter = self->waiter;
    loop->budget = INT_MAX;
    self->waiter = &bide__calling_back;
    self->cancel_code = -ECANCELED;
    bide__list_init(&watches);
    bide__list_splice(&watches, &task->watches);
    task->is_watched = false; /* a future may be gone, and its block another's, after each call */
    while (!bide__list_is_empty(&watches)) {
        struct bide__watch *watch = BIDE__CONTAINER(watches.next, struct bide__watch, link);
        bide__list_remove(&watch->link);
        watch->ended(watch, task);
    }
    loop->budget = budget;
    self->waiter = waiter;
    self->cancel_code = (int16_t)bide__cancel_code_in(self, self->scope);
}

void bide__task_fulfil(struct bide_task *future, int failure)
{
    bide__assert(future->is_future && future->state == BIDE__TASK_LIVE);
    future->failure = failure;
    future->state = BIDE__TASK_DONE;
    if (future->is_watched)
        bide__task_tell(future);
}

void bide__task_failed(const struct bide_task *task)
{
    struct bide_loop *loop = task->loop;

    bide__assert(task->failure < 0);
    loop->stats.tasks_failed++;
    bide__report(loop, BIDE_REPORT_TASK_FAILED, task->failure, task, NULL,
                 "%s failed with %d, and nobody awaits it", bide__task_label(task).text,
                 task->failure);
}

void bide__task_cancel(struct bide_task *task, int code)
{
    bide__assert(code < 0);
    while (task != NULL && task->state == BIDE__TASK_LIVE && task->canceled == 0) {
        struct bide_task *awaited = NULL;

        task->canceled = (int16_t)code;
        if (task->is_future) {
            bide__task_fulfil(task, code);
            return;
        }
        if (task->waiter != NULL && task->waiter->passes_cancel)
            awaited = task->waiter->awaits;
        bide__cancel_deliver(task);
        code = task->cancel_code;
        task = code != 0 ? awaited : NULL;
    }
}

const char *bide_task_name(void)
{
    struct bide_loop *loop = bide__loop_here;

    return loop == NULL || loop->current == &loop->root ? "" : loop->current->name;
}

size_t bide_stack_peak(void)
{
    struct bide_loop *loop = bide__loop_here;

    if (loop == NULL || loop->current == &loop->root || loop->current == &loop->poster)
        return 0;
    return bide__stack_peak(&loop->stacks, &loop->current->stack);
}

size_t bide_stack_least(void)
{
    return bide__loop_need("bide_stack_least")->stacks.least_bytes;
}
