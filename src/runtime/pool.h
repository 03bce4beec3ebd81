/* SPDX-License-Identifier: MIT */
/*
 * pool.h - threads for work that would block the loop.
 *
 * A loop has one pool, made when it is first needed. The pool has lanes, each with a queue and
 * threads of its own, so that what is slow in one way (names) never keeps what is slow in another
 * (files) from running. Threads are started when work waits and none is idle, up to a limit, and
 * end when they have been idle for a while.
 *
 *      submit                          a thread takes it            work returned
 *   -----------> QUEUED ------------------------------> RUNNING ----------------> done(job, 0)
 *   (waits while   |                                      |                       on the loop
 *    too many      +-- bide__pool_take_back: it never     +-- the loop ends first: it is abandoned,
 *    are out)      |   ran, and done is not called            and freed by the thread
 *                  +-- the loop ends: done(job, -ECANCELED)
 *
 * A job is its thread's alone while it runs; before and after it is the loop's.
 *
 * Back-pressure is the loop's own business: a lane has as many slots as jobs may run and wait
 * together. A job has one from its submission until it is back, and then hands it to the first task
 * that waits for one; so nobody overtakes, and a slot is never lost.
 */
#ifndef BIDE__RUNTIME_POOL_H
#define BIDE__RUNTIME_POOL_H

#include "base/list.h"
#include "sched/inbox.h"
#include "sched/loop.h"

enum bide__lane {
    BIDE__LANE_WORK,  /* files, and what users offload */
    BIDE__LANE_NAMES, /* resolvers, which may hang; the loop's end does not wait for them */
    BIDE__LANES
};

enum bide__job_state { BIDE__JOB_QUEUED, BIDE__JOB_RUNNING /* and from then on */ };

struct bide__job {
    struct bide__post post; /* how it comes back */
    struct bide__list link; /* in the lane's queue */
    void (*work)(struct bide__job *job);
    /* On the loop; must not wait. `code` is 0, or -ECANCELED when it never ran. */
    void (*done)(struct bide__job *job, int code);
    /* On its thread, when the loop ended while it ran. NULL for jobs that a task waits for. */
    void (*abandon)(struct bide__job *job);
    /* On the loop, when it ends while the job runs; as `done`. The later of the two frees. */
    void (*drop)(struct bide__job *job);
    const bide_site *site; /* for reports; may be NULL */
    struct bide_loop *loop;
    enum bide__lane lane;
    enum bide__job_state state; /* the lane's lock guards it */
};

/*
 * Queue a job, waiting while all slots are taken. Returns 0, or -ECANCELED, -ETIMEDOUT (a scope
 * fired), -ENOMEM, -EAGAIN (no thread could be started), -ESHUTDOWN (the loop ends): then the job
 * still is the caller's. Under a virtual clock the work is done right here.
 */
int bide__pool_submit(struct bide_loop *loop, enum bide__lane lane, struct bide__job *job);

/* Take a job out of the queue. False when it runs already, or has. */
bool bide__pool_take_back(struct bide__job *job);

/*
 * Do a job and wait for its end. When a scope fires while it is queued, it is taken back and the
 * scope's code returned: then it never ran. Once it runs it is waited for, cancelled or not.
 * Returns 0 when it ran, else what bide__pool_submit returns. `what` is for reports.
 */
int bide__pool_call(enum bide__lane lane, void (*work)(void *arg), void *arg, const char *what);

/* The loop ends, and no task lives: wait for what is left for a while, and tell about the rest. */
void bide__pool_stop(struct bide_loop *loop);

/*
 * The loop has ended, and its inbox is shut. Waits until no thread knows of it any more, but for
 * those whose jobs were dropped.
 */
void bide__pool_free(struct bide_loop *loop);

#endif
