/* SPDX-License-Identifier: MIT */
/*
 * offload.c - typed calls on threads: a job of the pool behind a future.
 *
 * The job's memory holds the frame, with arguments and result, and belongs to whoever has the job:
 * the loop, then the thread, then the loop again, which copies the result into the future. The two
 * find out of each other's end by a watch on the future.
 */
#include <bide/runtime/offload.h>

#include <errno.h>
#include <stdlib.h>

#include <bide/async/future.h>

#include "async/future.h"
#include "async/handle.h"
#include "base/sys.h"
#include "runtime/pool.h"
#include "sched/report.h"
#include "sched/task.h"

enum { FRAME_ALIGN = 64 };

struct bide__offloaded {
    struct bide__job job;
    struct bide__watch watch; /* on the future, while it is wanted */
    uintptr_t future;
    bool is_wanted;      /* somebody may still take the result */
    atomic_uint keepers; /* of one that is dropped: the loop until it has let go, and the thread */
    bool is_detached;    /* nobody may, and nobody has cancelled it: a failure is to be reported */
    int (*run)(void *frame);
    void *frame; /* the result comes first in it */
    size_t result_bytes;
    int failure; /* the result, when it is a negative integer */
};

static struct bide__offloaded *offloaded_of(struct bide__job *job)
{
    return BIDE__CONTAINER(job, struct bide__offloaded, job);
}

static void work(struct bide__job *job)
{
    struct bide__offloaded *self = offloaded_of(job);

    self->failure = self->run(self->frame);
}

static void abandon(struct bide__job *job)
{
    struct bide__offloaded *self = offloaded_of(job);

    if (atomic_fetch_sub_explicit(&self->keepers, 1, memory_order_acq_rel) == 1)
        free(self);
}

/* The loop ends while it runs: whoever still has the future gets no result. */
static void drop(struct bide__job *job)
{
    struct bide__offloaded *self = offloaded_of(job);

    if (self->is_wanted) {
        bide__list_remove(&self->watch.link);
        bide__future_fail(self->future, -ECANCELED);
    }
    abandon(job);
}

static void done(struct bide__job *job, int code)
{
    struct bide__offloaded *self = offloaded_of(job);

    if (self->is_wanted) {
        bide__list_remove(&self->watch.link);
        if (code < 0)
            bide__future_fail(self->future, code);
        else
            bide__future_set_by_job(self->future, self->frame, self->result_bytes, self->failure);
    } else if (self->is_detached && code == 0 && self->failure < 0) {
        bide__report_job_failed(job->loop, job->site, self->failure);
    }
    free(self);
}

/* The future ended without us: it was cancelled, or nobody is left who has it. */
static void no_longer_wanted(struct bide__watch *watch, struct bide_task *future)
{
    struct bide__offloaded *self = BIDE__CONTAINER(watch, struct bide__offloaded, watch);

    self->is_wanted = false;
    self->is_detached = future->is_given_up;
    if (!self->is_detached && bide__pool_take_back(&self->job))
        free(self);
}

struct bide__spawned bide__offload_make(const bide_site *site, const bide_spawn_options *options,
                                        int (*run)(void *frame), size_t frame_bytes)
{
    struct bide_loop *loop = bide__loop_need("offload");
    size_t result_bytes = BIDE__KIND_BYTES(options->bide__kind);
    struct bide__offloaded *self = bide__alloc(sizeof *self + FRAME_ALIGN + frame_bytes);
    uintptr_t future, after = (uintptr_t)self + sizeof *self;
    struct bide_task *task;

    future = self == NULL
                 ? 0
                 : bide__future_new(result_bytes, BIDE__KIND_WIDTH(options->bide__kind), site);
    if (future == 0) {
        free(self);
        loop->spawn_error = -ENOMEM;
        bide__report(loop, BIDE_REPORT_SPAWN_FAILED, -ENOMEM, NULL, site,
                     "%s cannot be offloaded: no memory", bide__site_label(site).text);
        return (struct bide__spawned){0};
    }
    *self = (struct bide__offloaded){
        .job = {.work = work, .done = done, .abandon = abandon, .drop = drop, .site = site},
        .keepers = 2,
        .watch.ended = no_longer_wanted,
        .future = future,
        .is_wanted = true,
        .run = run,
        .frame = (void *)((after + FRAME_ALIGN - 1) & ~(uintptr_t)(FRAME_ALIGN - 1)),
        .result_bytes = result_bytes,
    };
    task = bide__handle_block(future);
    task->name = site->name;
    bide__task_watch(task, &self->watch);
    options->bide__offload->job = self;
    return (struct bide__spawned){.handle = future, .frame = self->frame};
}

void bide__offload_start(struct bide__offload *offload)
{
    struct bide__offloaded *self = offload->job;
    int err;

    if (self == NULL)
        return;
    err = bide__pool_submit(bide__loop_here, BIDE__LANE_WORK, &self->job);
    if (err == 0)
        return;
    bide__list_remove(&self->watch.link);
    bide__future_fail(self->future, err);
    free(self);
}
