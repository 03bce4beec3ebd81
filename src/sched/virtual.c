/* SPDX-License-Identifier: MIT */
/*
 * virtual.c - the host of tests: time passes only when every task sleeps, and then jumps to the
 * next deadline.
 */
#include "sched/virtual.h"

#include "base/list.h"

static bide_time virtual_now(struct bide__host *host)
{
    return BIDE__CONTAINER(host, struct bide__virtual, host)->now;
}

static void virtual_wait(struct bide__host *host, struct bide_loop *loop, bide_time deadline)
{
    struct bide__virtual *clock = BIDE__CONTAINER(host, struct bide__virtual, host);

    (void)loop;
    if (deadline > clock->now && deadline != BIDE_FOREVER)
        clock->now = deadline;
}

void bide__virtual_init(struct bide__virtual *clock, uint64_t seed)
{
    *clock = (struct bide__virtual){
        .host = {.now = virtual_now, .wait = virtual_wait, .seed = seed},
    };
}
