/* SPDX-License-Identifier: MIT */
/*
 * errand.h - a call that blocks and cannot be interrupted, made on a thread that may hang.
 *
 * The errand, with copies of all that it needs, is memory of its own: whoever waits for it may
 * leave at any time. It is freed by the last of those whom it concerns:
 *
 *      nobody waits any more, and it is queued   taken back, by the last who left
 *      nobody waits any more, and it is back     by the last who left
 *      it comes back, and nobody waits           on the loop, by bide__errand_back
 *      the loop has ended meanwhile              on its thread
 */
#ifndef BIDE__IO_ERRAND_H
#define BIDE__IO_ERRAND_H

#include "runtime/pool.h"
#include "sched/waitq.h"

/* Embedded first in what bide__alloc gave. */
struct bide__errand {
    struct bide__job job;
    struct bide__list link; /* for whoever keeps a list of those that are not back yet */
    struct bide__list waiting;
    unsigned users; /* tasks that will look at it: they wait, or were woken just now */
    bool is_back;
    int err;                                    /* what came of it: set by the work */
    void (*empty)(struct bide__errand *errand); /* free what it has beyond its memory; any thread */
};

static inline struct bide__errand *bide__errand_of(struct bide__job *job)
{
    return BIDE__CONTAINER(job, struct bide__errand, job);
}

/* `done` runs on the loop and ends in bide__errand_back; `empty` and `done` may be NULL. */
void bide__errand_init(struct bide__errand *errand, void (*work)(struct bide__job *job),
                       void (*done)(struct bide__job *job, int code),
                       void (*empty)(struct bide__errand *errand));

/* Hand it to a thread that is there for names. Returns 0, or an error, after which it is gone. */
int bide__errand_start(struct bide_loop *loop, struct bide__errand *errand);

/* It has come back: wake whoever waits. */
void bide__errand_back(struct bide__errand *errand, int code);

/* Wait for it. Returns what came of it, or the scope's code; in both cases leave it then. */
int bide__errand_wait(struct bide__errand *errand, const char *what);
void bide__errand_leave(struct bide__errand *errand);

#endif
