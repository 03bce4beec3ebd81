/* SPDX-License-Identifier: MIT */
/*
 * virtual.h - the host of tests: time passes only when every task sleeps.
 */
#ifndef BIDE__SCHED_VIRTUAL_H
#define BIDE__SCHED_VIRTUAL_H

#include "sched/host.h"

struct bide__virtual {
    struct bide__host host;
    bide_time now;
};

/* A clock at 0. A seed other than 0 permutes the ready queue. */
void bide__virtual_init(struct bide__virtual *clock, uint64_t seed);

#endif
