/* SPDX-License-Identifier: MIT */
/*
 * future.c - a future is a task without a coroutine: a control block, and room for a value.
 *
 * So whatever waits for tasks waits for futures. Blocks are carved from slabs and stay until the
 * loop ends, as tasks' do: a handle that has been spent is recognised.
 */
#include <bide/async/future.h>

#include <errno.h>
#include <string.h>

#include "async/future.h"
#include "async/handle.h"
#include "base/sys.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { BLOCK_ALIGN = 64, INLINE_BYTES = 32, SLAB_BLOCKS = 32 };

struct future {
    struct bide_task task; /* its frame points to the value */
    uint32_t shares;       /* handles that are still to be awaited or detached */
    uint32_t claimed;      /* of those, being awaited now */
    int failure;           /* of a job that did fail: its result, below 0 (runtime/offload.c) */
    unsigned width;        /* of a signed integer, else 0 */
    size_t bytes;          /* of the value */
    struct future *next_free;
    void *large;        /* a value that does not fit inside; kept for the next one */
    size_t large_bytes; /* what it has room for */
    _Alignas(16) unsigned char value[INLINE_BYTES];
} __attribute__((aligned(BLOCK_ALIGN)));

struct slab {
    struct slab *next;
    struct future *blocks; /* aligned, in the memory that follows */
};

/* All futures of a loop. */
struct bide__futures {
    struct bide__at_stop at_stop;
    struct slab *slabs;
    struct future *free;
};

static struct future *future_of(struct bide_task *task)
{
    bide__assert(task->is_future);
    return BIDE__CONTAINER(task, struct future, task);
}

static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct bide__futures *futures = BIDE__CONTAINER(at_stop, struct bide__futures, at_stop);

    for (struct slab *slab = futures->slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        for (int i = 0; i < SLAB_BLOCKS; i++) {
            struct future *future = &slab->blocks[i];
            if (future->task.state != BIDE__TASK_FREE)
                bide__report(loop, BIDE_REPORT_NOT_AWAITED, 0, &future->task, NULL,
                             "%s was made and %s, and %u of its shares were never awaited; await "
                             "or detach each",
                             bide__task_label(&future->task).text,
                             future->task.state == BIDE__TASK_DONE ? "fulfilled" : "never set",
                             (unsigned)future->shares);
            free(future->large);
        }
        free(slab);
    }
    free(futures);
    loop->futures = NULL;
}

static struct bide__futures *futures_of(struct bide_loop *loop)
{
    if (loop->futures == NULL) {
        struct bide__futures *futures = bide__alloc_zeroed(1, sizeof *futures);
        if (futures == NULL)
            return NULL;
        futures->at_stop.stop = stop;
        bide__list_append(&loop->at_stop, &futures->at_stop.link);
        loop->futures = futures;
    }
    return loop->futures;
}

static bool carve(struct bide_loop *loop, struct bide__futures *futures)
{
    size_t bytes = sizeof(struct slab) + SLAB_BLOCKS * sizeof(struct future) + BLOCK_ALIGN;
    struct slab *slab = bide__alloc_zeroed(1, bytes);
    uintptr_t first;

    if (slab == NULL)
        return false;
    first = ((uintptr_t)(slab + 1) + BLOCK_ALIGN - 1) & ~(uintptr_t)(BLOCK_ALIGN - 1);
    slab->blocks = (struct future *)first;
    slab->next = futures->slabs;
    futures->slabs = slab;
    for (int i = SLAB_BLOCKS - 1; i >= 0; i--) {
        struct future *future = &slab->blocks[i];
        future->task.loop = loop;
        future->task.is_future = true;
        future->task.name = "future";
        future->next_free = futures->free;
        futures->free = future;
    }
    return true;
}

/* Room for a value of so many bytes; NULL without memory. */
static void *room(struct future *future, size_t bytes)
{
    void *large;

    if (bytes <= INLINE_BYTES)
        return future->value;
    if (bytes <= future->large_bytes)
        return future->large;
    large = bide__realloc(future->large, bytes);
    if (large != NULL) {
        future->large = large;
        future->large_bytes = bytes;
    }
    return large;
}

uintptr_t bide__future_new(size_t bytes, unsigned width, const bide_site *site)
{
    struct bide_loop *loop = bide__loop_need("future_new");
    struct bide__futures *futures = futures_of(loop);
    struct future *future;
    void *value;

    if (futures == NULL || (futures->free == NULL && !carve(loop, futures)))
        return 0;
    future = futures->free;
    value = room(future, bytes);
    if (value == NULL)
        return 0;
    futures->free = future->next_free;
    bide__assert(future->task.state == BIDE__TASK_FREE);
    bide__assert(future->claimed == 0);
    future->shares = 1;
    future->failure = 0;
    future->width = width;
    future->bytes = bytes;
    future->task.frame = value;
    future->task.state = BIDE__TASK_LIVE;
    future->task.canceled = 0;
    future->task.failure = 0;
    future->task.is_watched = false;
    future->task.is_given_up = false;
    future->task.site = site;
    future->task.id = ++loop->next_id;
    return bide__handle_of(&future->task);
}

void bide__future_drop(struct bide_task *task)
{
    struct future *future = future_of(task);
    struct bide__futures *futures = task->loop->futures;

    uint32_t generation = task->generation;

    bide__assert(task->state != BIDE__TASK_FREE && future->shares > 0);
    /*
     * Nobody is left to take it, but some may still be told, and then take or share it: the last
     * share is theirs until they have returned.
     */
    if (future->shares == 1)
        bide__task_cancel(task, -ECANCELED);
    if (task->generation != generation || --future->shares > 0)
        return;
    task->state = BIDE__TASK_FREE;
    task->generation++;
    future->next_free = futures->free;
    futures->free = future;
}

void bide__future_give_up(struct bide_task *task)
{
    uint32_t generation = task->generation;
    const struct future *future = future_of(task);

    if (task->state == BIDE__TASK_DONE && future->failure < 0 && future->shares == 1) {
        bide__report_job_failed(task->loop, task->site, future->failure);
    }
    task->is_given_up = true;
    bide__future_drop(task);
    if (task->generation == generation)
        task->is_given_up = false;
}

void bide__result_fail(void *result, unsigned width, int code)
{
    switch (width) {
    case sizeof(int8_t): *(int8_t *)result = (int8_t)(code < INT8_MIN ? INT8_MIN : code); break;
    case sizeof(int16_t):
        *(int16_t *)result = (int16_t)(code < INT16_MIN ? INT16_MIN : code);
        break;
    case sizeof(int32_t): *(int32_t *)result = code; break;
    case sizeof(int64_t): *(int64_t *)result = code; break;
    default: break;
    }
}

/* Until it is set, the room for the value is free for what stands for an error. */
static void fail_value(struct future *future, int code)
{
    memset(future->task.frame, 0, future->bytes);
    bide__result_fail(future->task.frame, future->width, code);
}

/* The future to set, or NULL when nobody wants it any more; aborts over a second time. */
static struct future *to_fulfil(uintptr_t handle, const char *call)
{
    struct bide_task *task = bide__handle_block(handle);

    bide__task_need(call);
    if (task == NULL)
        bide__misuse("%s: the future is NULL: there was no memory for it", call);
    if (!task->is_future)
        bide__misuse("%s: %s is a task: only its own return fulfils it", call,
                     bide__task_label(task).text);
    if (task->state == BIDE__TASK_FREE || bide__handle_of(task) != handle || task->canceled != 0)
        return NULL;
    if (task->state == BIDE__TASK_DONE)
        bide__misuse("%s: %s has %s already; a future is fulfilled once", call,
                     bide__task_label(task).text, task->failure < 0 ? "failed" : "its value");
    return future_of(task);
}

int bide__future_set(uintptr_t handle, const void *value, size_t bytes)
{
    struct future *future = to_fulfil(handle, "future_set");

    if (future == NULL)
        return -ECANCELED;
    bide__assert(bytes == future->bytes);
    memcpy(future->task.frame, value, bytes);
    bide__task_fulfil(&future->task, 0);
    return 0;
}

void bide__future_set_by_job(uintptr_t handle, const void *value, size_t bytes, int failure)
{
    future_of(bide__handle_block(handle))->failure = failure;
    bide__future_set(handle, value, bytes);
}

int bide__future_fail(uintptr_t handle, int error)
{
    struct future *future = to_fulfil(handle, "future_fail");

    if (error >= 0)
        bide__misuse("future_fail: %d is no negative errno", error);
    if (future == NULL)
        return -ECANCELED;
    bide__task_fulfil(&future->task, error);
    return 0;
}

void bide__future_share(uintptr_t handle)
{
    struct bide_task *task = bide__handle_task(handle, "future_share", NULL);

    bide__task_need("future_share");
    if (!task->is_future)
        bide__misuse("future_share: %s is a task, and a task has one owner; share a future that it "
                     "sets",
                     bide__task_label(task).text);
    future_of(task)->shares++;
}

int bide__future_error(uintptr_t handle)
{
    const struct bide_task *task = bide__handle_task(handle, "future_error", NULL);

    return task->state == BIDE__TASK_DONE ? task->failure : -EINPROGRESS;
}

void bide__future_claim(struct bide_task *task, const char *call, const bide_site *site)
{
    struct future *future = future_of(task);

    if (future->claimed >= future->shares)
        bide__misuse("%s%s%s: %s has %u share(s), and as many tasks await it already; give each a "
                     "share of its own (bide_future_share)",
                     call, site != NULL ? " at " : "",
                     site != NULL ? bide__site_label(site).text : "", bide__task_label(task).text,
                     (unsigned)future->shares);
    future->claimed++;
}

void bide__future_unclaim(struct bide_task *task)
{
    struct future *future = future_of(task);

    bide__assert(future->claimed > 0);
    future->claimed--;
}

/* One who waits. */
struct wait {
    struct bide__watch watch;
    struct bide__waiter waiter;
};

static void wake(struct bide__watch *watch, struct bide_task *future)
{
    (void)future;
    bide__wake(&BIDE__CONTAINER(watch, struct wait, watch)->waiter, 0);
}

int bide__future_wait(struct bide_task *task, bide_time deadline, const char *what,
                      const bide_site *site)
{
    struct bide_task *self = bide__task_need(what);
    struct wait wait = {.watch.ended = wake, .waiter = BIDE__WAITER(wait.waiter, what)};
    int err = 0;

    bide__future_claim(task, what, site);
    if (task->state == BIDE__TASK_DONE) {
        bide__budget_spend(self->loop);
    } else if (self->cancel_code != 0) {
        err = bide__cancel_seen(self);
    } else {
        wait.waiter.awaits = task;
        wait.waiter.site = site;
        bide__task_watch(task, &wait.watch);
        err = bide__park_until(&wait.waiter, deadline, -ETIMEDOUT);
        bide__list_remove(&wait.watch.link);
    }
    bide__future_unclaim(task);
    return task->state == BIDE__TASK_DONE ? 0 : err;
}

void *bide__future_take(struct bide_task *task, int code)
{
    struct future *future = future_of(task);

    if (task->state != BIDE__TASK_DONE)
        fail_value(future, code);
    else if (task->failure < 0)
        fail_value(future, task->failure);
    bide__future_drop(task);
    return task->frame;
}

_Static_assert(sizeof(struct bide__watch) <= sizeof((bide_callback *)0)->bide__watch,
               "the public struct holds a watch");

static struct bide__watch *watch_of(bide_callback *callback)
{
    return (struct bide__watch *)(void *)callback->bide__watch;
}

static void call_back(struct bide__watch *watch, struct bide_task *task)
{
    bide_callback *callback =
        (bide_callback *)(void *)((char *)watch - offsetof(bide_callback, bide__watch));

    (void)task;
    callback->bide__function(callback->bide__arg);
}

void bide__on_done(uintptr_t handle, bide_callback *callback, void (*function)(void *arg),
                   void *arg)
{
    struct bide_task *task = bide__handle_task(handle, "on_done", NULL);
    struct bide__watch *watch = watch_of(callback);

    *watch = (struct bide__watch){.ended = call_back};
    bide__list_init(&watch->link);
    callback->bide__function = function;
    callback->bide__arg = arg;
    if (task->state == BIDE__TASK_DONE)
        function(arg);
    else
        bide__task_watch(task, watch);
}

void bide_on_done_remove(bide_callback *callback)
{
    bide__list_remove(&watch_of(callback)->link);
}
