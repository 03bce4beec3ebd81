/* SPDX-License-Identifier: MIT */
/*
 * errand.c - calls that may hang for ever. The rules stand in errand.h.
 */
#include "io/errand.h"

#include <errno.h>
#include <stdlib.h>

/* On the thread: nothing of the loop's is there any more, the list that it was in neither. */
static void abandon(struct bide__job *job)
{
    struct bide__errand *errand = bide__errand_of(job);

    if (errand->empty != NULL)
        errand->empty(errand);
    free(errand);
}

static void discard(struct bide__errand *errand)
{
    bide__assert(errand->users == 0);
    bide__list_remove(&errand->link);
    if (errand->empty != NULL)
        errand->empty(errand);
    free(errand);
}

void bide__errand_back(struct bide__errand *errand, int code)
{
    if (code < 0)
        errand->err = -ESHUTDOWN; /* it never ran */
    errand->is_back = true;
    bide__list_remove(&errand->link);
    bide__wake_all(&errand->waiting, 0);
    if (errand->users == 0)
        discard(errand);
}

static void come_back(struct bide__job *job, int code)
{
    bide__errand_back(bide__errand_of(job), code);
}

void bide__errand_init(struct bide__errand *errand, void (*work)(struct bide__job *job),
                       void (*done)(struct bide__job *job, int code),
                       void (*empty)(struct bide__errand *errand))
{
    errand->job = (struct bide__job){
        .work = work, .done = done != NULL ? done : come_back, .abandon = abandon};
    bide__list_init(&errand->link);
    bide__list_init(&errand->waiting);
    errand->users = 0;
    errand->is_back = false;
    errand->err = 0;
    errand->empty = empty;
}

int bide__errand_start(struct bide_loop *loop, struct bide__errand *errand)
{
    int err = bide__pool_submit(loop, BIDE__LANE_NAMES, &errand->job);

    if (err < 0)
        discard(errand);
    return err;
}

int bide__errand_wait(struct bide__errand *errand, const char *what)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);
    int err;

    errand->users++;
    bide__list_append(&errand->waiting, &waiter.link);
    err = bide__park(&waiter);
    return err < 0 ? err : errand->err;
}

void bide__errand_leave(struct bide__errand *errand)
{
    bide__assert(errand->users > 0);
    if (--errand->users == 0 && (errand->is_back || bide__pool_take_back(&errand->job)))
        discard(errand);
}
