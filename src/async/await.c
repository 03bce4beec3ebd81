/* SPDX-License-Identifier: MIT */
/*
 * await.c - handles: owning a task, waiting for it, giving it up.
 *
 * A handle is the control block's address with the block's generation in the bits around it.
 * Control blocks stay mapped as long as the loop lives, so a handle that was already awaited or
 * detached is recognised, even when its block serves another task by now: that is what makes
 * "awaited twice" a clear line instead of a wrong result.
 */
#include <bide/async/async.h>

#include <errno.h>

#include "sched/report.h"
#include "sched/task.h"
#include "sched/waitq.h"

/* Of the generation, so many bits lie below the address (control blocks are aligned to 64 bytes),
 * and the others above it (user addresses have 48 bits on all our 64-bit architectures). */
enum { LOW_BITS = 6, HIGH_SHIFT = 48 };

#if UINTPTR_MAX > 0xffffffffu
enum { GENERATIONS = 1 << 22 };
#define ADDRESS_BITS ((((uintptr_t)1 << HIGH_SHIFT) - 1) & ~(((uintptr_t)1 << LOW_BITS) - 1))
#define HIGH_PART(generation) ((uintptr_t)((generation) >> LOW_BITS) << HIGH_SHIFT)
#else
enum { GENERATIONS = 1 << LOW_BITS };
#define ADDRESS_BITS (~(((uintptr_t)1 << LOW_BITS) - 1))
#define HIGH_PART(generation) (uintptr_t)0
#endif

static uintptr_t handle_of(const struct bide_task *task)
{
    uint32_t generation = task->generation % GENERATIONS;

    return (uintptr_t)task | HIGH_PART(generation) | (generation & ((1u << LOW_BITS) - 1));
}

_Noreturn static void handle_spent(const char *call, const bide_site *site)
{
    bide__misuse(
        "%s%s%s: this handle is spent: its task was already awaited or detached, and a handle "
        "serves once",
        call, site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "");
}

/* The task of a handle that is owned; aborts over any other. */
static struct bide_task *task_of(uintptr_t handle, const char *call, const bide_site *site)
{
    struct bide_task *task = (struct bide_task *)(handle & ADDRESS_BITS);

    if (task == NULL)
        bide__misuse("%s%s%s: the handle is NULL: its spawn failed (bide_spawn_error says why)",
                     call, site != NULL ? " at " : "",
                     site != NULL ? bide__site_label(site).text : "");
    if (task->state == BIDE__TASK_FREE || handle_of(task) != handle || task->is_detached)
        handle_spent(call, site);
    return task;
}

struct bide__spawned bide__spawn(const bide_site *site, const bide_spawn_options *options,
                                 int (*run)(void *frame), size_t frame_bytes)
{
    struct bide_loop *loop = bide__task_need("spawn")->loop;
    struct bide_task *task;
    int err = bide__task_spawn(loop, site, options, run, frame_bytes, &task);

    if (__builtin_expect(err < 0, 0)) {
        loop->spawn_error = err;
        return (struct bide__spawned){0};
    }
    return (struct bide__spawned){.handle = handle_of(task), .frame = task->frame};
}

int bide_spawn_error(void)
{
    return bide__loop_need("bide_spawn_error")->spawn_error;
}

/*
 * Whether the task awaits `self`, directly or through others, and none of them for a limited time.
 * Nobody does whom nobody awaits: a chain that grows at its end costs one look each.
 */
static bool awaits(const struct bide_task *task, const struct bide_task *self)
{
    if (self->awaiter == NULL)
        return task == self;
    while (task != NULL && task != self)
        task = task->waiter != NULL && task->waiter->passes_cancel ? task->waiter->awaits : NULL;
    return task == self;
}

/* Print the cycle, a line a task, and abort. */
_Noreturn static void cycle_found(const struct bide_task *self, const struct bide_task *task,
                                  const bide_site *site)
{
    if (task == self)
        bide__misuse("%s: %s awaits itself", bide__site_label(site).text,
                     bide__task_label(self).text);
    bide__say("%s closes a cycle of tasks that await each other, which would never end:",
              bide__site_label(site).text);
    for (; task != self; task = task->waiter->awaits)
        bide__say("    %s awaits %s at %s", bide__task_label(task).text, task->waiter->awaits->name,
                  bide__site_label(task->waiter->site).text);
    bide__misuse("    %s would await the first of them", bide__task_label(self).text);
}

/* A task has one owner: whoever awaits it, until that call has returned. */
static void refuse_second_owner(const struct bide_task *task, const char *call,
                                const bide_site *site)
{
    if (task->awaiter != NULL)
        bide__misuse("%s%s%s: %s is already awaited by %s; a task has one owner", call,
                     site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "",
                     bide__task_label(task).text, bide__task_label(task->awaiter->owner).text);
}

void *bide__await(uintptr_t handle, const bide_site *site)
{
    struct bide_task *self = bide__task_need("await");
    struct bide_task *task = task_of(handle, "await", site);
    void *result;

    if (task->state != BIDE__TASK_DONE) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "await");

        if (awaits(task, self))
            cycle_found(self, task, site);
        refuse_second_owner(task, "await", site);
        waiter.passes_cancel = true;
        waiter.awaits = task;
        waiter.owner = self;
        waiter.site = site;
        task->awaiter = &waiter;
        if (self->cancel_code != 0)
            bide__task_cancel(task, -ECANCELED);
        bide__park(&waiter);
        bide__assert(task->state == BIDE__TASK_DONE);
    } else {
        refuse_second_owner(task, "await", site);
    }
    result = task->frame;
    bide__task_release(task);
    return result;
}

int bide__await_for(uintptr_t handle, bide_time timeout, void **result, const bide_site *site)
{
    struct bide_task *self = bide__task_need("await_for");
    struct bide_task *task = task_of(handle, "await_for", site);

    if (task->state != BIDE__TASK_DONE) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "await_for");
        int err;

        if (awaits(task, self))
            return -EDEADLK;
        refuse_second_owner(task, "await_for", site);
        if (self->cancel_code != 0)
            return bide__cancel_seen(self);
        if (timeout <= 0)
            return -ETIMEDOUT;
        waiter.awaits = task;
        waiter.owner = self;
        waiter.site = site;
        task->awaiter = &waiter;
        err = bide__park_until(&waiter, bide__deadline_after(timeout), -ETIMEDOUT);
        task->awaiter = NULL;
        if (err < 0 && task->state != BIDE__TASK_DONE)
            return err;
    } else {
        refuse_second_owner(task, "await_for", site);
    }
    *result = task->frame;
    bide__task_release(task);
    return 0;
}

int bide__detach(uintptr_t handle)
{
    struct bide_task *self = bide__task_need("detach");
    struct bide_task *task;

    if (handle == 0)
        return self->loop->spawn_error;
    task = task_of(handle, "detach", NULL);
    refuse_second_owner(task, "detach", NULL);
    if (task->state == BIDE__TASK_DONE) {
        bide__task_let_go(task);
        return 0;
    }
    task->is_detached = true;
    if (self->loop->is_ending)
        bide__task_cancel(task, -ECANCELED); /* nobody is left who would */
    return 0;
}

void bide__cancel(uintptr_t handle)
{
    bide__task_need("cancel");
    bide__task_cancel(task_of(handle, "cancel", NULL), -ECANCELED);
}

bool bide__is_done(uintptr_t handle)
{
    bide__task_need("is_done");
    return task_of(handle, "is_done", NULL)->state == BIDE__TASK_DONE;
}
