/* SPDX-License-Identifier: MIT */
/*
 * generator.c - a generator is a task that its consumer switches to, and that switches back.
 *
 *     fresh ----gen_next----> running ---yield---> between two values ---gen_next---> running ...
 *       |                        |                         |
 *       +--free------------------+--the body returns-------+--free or cancel: unwinds----> done
 *
 * Fresh and between two values it is parked, with a waiter in its frame, so that a cancel finds it
 * as it finds every parked task. Whoever asks for the next value awaits it, as the owner of a task
 * does: a wait in its body parks both, a cancel passes on, its end wakes the asker. On either side
 * the switch is the last act (see bide__park_last), and what would be returned is found in the
 * generator.
 */
#include <bide/async/generator.h>

#include <errno.h>

#include "async/handle.h"
#include "sched/report.h"
#include "sched/waitq.h"

_Static_assert(sizeof(struct bide__waiter) <= sizeof((struct bide__generator *)0)->waiter &&
                   sizeof(struct bide__waiter) <= sizeof((struct bide__generator *)0)->asker,
               "the public struct holds two waiters");

static struct bide__waiter *waiter_of(struct bide__generator *generator)
{
    return (struct bide__waiter *)(void *)generator->waiter;
}

static struct bide__waiter *asker_of(struct bide__generator *generator)
{
    return (struct bide__waiter *)(void *)generator->asker;
}

/* Asleep, without switching. */
static void lay_down(struct bide__waiter *waiter, struct bide_task *task)
{
    if (__builtin_expect(task->waiter != NULL, 0))
        bide__park_refused(task);
    waiter->task = task;
    task->waiter = waiter;
}

/* Awake, without becoming ready: somebody will switch to it. */
static void pick_up(struct bide__waiter *waiter, struct bide_task *task)
{
    bide__assert(waiter->task == task && task->waiter == waiter);
    waiter->task = NULL;
    task->waiter = NULL;
}

struct bide__spawned bide__generate(const bide_site *site, const bide_spawn_options *options,
                                    int (*run)(void *frame), size_t frame_bytes)
{
    struct bide_loop *loop = bide__task_need("generate")->loop;
    struct bide__generator *generator;
    struct bide__waiter *waiter;
    struct bide_task *task;
    int err = bide__task_make(loop, site, options, run, frame_bytes, &task);

    if (err < 0) {
        loop->spawn_error = err;
        return (struct bide__spawned){0};
    }
    task->is_generator = true;
    generator = task->frame;
    generator->stopped = -ECANCELED;
    waiter = waiter_of(generator);
    *waiter = (struct bide__waiter)BIDE__WAITER(*waiter, "a generator, for gen_next or gen_free");
    *asker_of(generator) = (struct bide__waiter)BIDE__WAITER(*asker_of(generator), "gen_next");
    asker_of(generator)->passes_cancel = true;
    asker_of(generator)->awaits = task;
    if (task->cancel_code == 0)
        lay_down(waiter, task);
    else
        bide__ready_push(loop, task); /* of a loop that ends: it is over before it begins */
    return (struct bide__spawned){.handle = bide__handle_of(task), .frame = task->frame};
}

bool bide__generator_begin(struct bide__generator *generator)
{
    return generator->stopped == 0;
}

_Noreturn static void __attribute__((cold))
busy(const struct bide_task *task, const char *call, const bide_site *site)
{
    bide__misuse("%s%s%s: %s is running: its values go to one task at a time, and not to itself",
                 call, site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "",
                 bide__task_label(task).text);
}

_Noreturn static void __attribute__((cold)) astray(const struct bide_task *self)
{
    bide__misuse("yield_value: it belongs to another generator than the running one, which is %s",
                 bide__task_label(self).text);
}

_Noreturn static void __attribute__((cold))
misused(uintptr_t handle, const char *call, const bide_site *site)
{
    const char *at = site != NULL ? " at " : "";
    struct bide__label where = {""};

    if (site != NULL)
        where = bide__site_label(site);
    if (handle == 0)
        bide__misuse("%s%s%s: the generator is NULL: there was no memory for its stack "
                     "(bide_spawn_error says why)",
                     call, at, where.text);
    bide__misuse("%s%s%s: this generator was already freed", call, at, where.text);
}

static inline struct bide_task *task_of(uintptr_t handle, const char *call, const bide_site *site)
{
    struct bide_task *task = bide__handle_block(handle);

    if (__builtin_expect(task == NULL || !bide__handle_is_owned(task, handle), 0))
        misused(handle, call, site);
    if (__builtin_expect(task->awaiter != NULL && task->state != BIDE__TASK_DONE, 0))
        busy(task, call, site);
    return task;
}

void bide__gen_next(uintptr_t handle, const void **value, const bide_site *site)
{
    struct bide_task *self = bide__task_need("gen_next");
    struct bide_loop *loop = self->loop;
    struct bide__generator *generator;
    struct bide__waiter *asker;
    struct bide_task *task;

    bide__budget_spend(loop); /* first: others may run, and nothing seen before it would hold */
    task = task_of(handle, "gen_next", site);
    generator = task->frame;
    asker = asker_of(generator);
    if (__builtin_expect(task->state == BIDE__TASK_DONE, 0))
        return;
    asker->owner = self;
    asker->site = site;
    task->awaiter = asker;
    generator->value = value;
    if (__builtin_expect(self->cancel_code != 0, 0))
        bide__task_cancel(task, self->cancel_code);
    lay_down(asker, self);
    if (__builtin_expect(task->waiter != waiter_of(generator), 0)) {
        if (task == self)
            busy(task, "gen_next", site);
        bide__switch_away(loop, self); /* a cancel has made it ready already */
        return;
    }
    pick_up(waiter_of(generator), task);
    generator->stopped = 0;
    bide__switch_last(loop, self, task);
}

void bide__generator_yield(struct bide__generator *generator, const void *value)
{
    struct bide_task *self = bide__task_need("yield_value");
    struct bide__waiter *asker = asker_of(generator);
    struct bide_task *owner = asker->owner;

    if (__builtin_expect(self->frame != generator, 0))
        astray(self);
    if (__builtin_expect(self->cancel_code != 0, 0)) {
        generator->stopped = bide__cancel_seen(self);
        return;
    }
    bide__assert(self->awaiter == asker);
    generator->stopped = -ECANCELED; /* unless gen_next comes */
    *generator->value = value;
    self->awaiter = NULL;
    lay_down(waiter_of(generator), self);
    pick_up(asker, owner);
    bide__switch_last(self->loop, self, owner);
}

void bide__gen_free(uintptr_t handle)
{
    struct bide_task *self, *task;
    struct bide__waiter waiter = BIDE__WAITER(waiter, "gen_free");

    if (handle == 0)
        return;
    self = bide__task_need("gen_free");
    task = task_of(handle, "gen_free", NULL);
    if (task->state != BIDE__TASK_DONE) {
        waiter.passes_cancel = true;
        waiter.awaits = task;
        waiter.owner = self;
        task->awaiter = &waiter;
        if (task == self)
            busy(task, "gen_free", NULL);
        bide__task_cancel(task, -ECANCELED);
        if (task->waiter == waiter_of(task->frame))
            bide__wake(task->waiter, -ECANCELED); /* under a shield, too: nobody will ask again */
        bide__park(&waiter);
        bide__assert(task->state == BIDE__TASK_DONE);
    }
    bide__task_release(task);
}
