/* SPDX-License-Identifier: MIT */
/*
 * host.h - all that the scheduler sees of the outside: what time is it, wait until something
 * happens, and be woken from another thread.
 *
 * The real host is the epoll reactor (reactor/epoll.c), the test host a virtual clock
 * (sched/virtual.c).
 */
#ifndef BIDE__SCHED_HOST_H
#define BIDE__SCHED_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <bide/base/time.h>

struct bide_loop;
struct bide__inbox;

/* A deadline that has passed: look, and do not wait. */
#define BIDE__DO_NOT_WAIT INT64_MIN

struct bide__host {
    /* Nanoseconds, never going back. */
    bide_time (*now)(struct bide__host *host);

    /*
     * Wait until the deadline or an event, whichever comes first, and wake the tasks whose events
     * came. May return early without any. BIDE_FOREVER only when `watched` is not 0.
     */
    void (*wait)(struct bide__host *host, struct bide_loop *loop, bide_time deadline);

    /* Set up what wakes a waiting loop from outside. Returns 0 or a negative errno. */
    int (*open)(struct bide__host *host, struct bide__inbox *inbox);

    /*
     * Parked tasks that an outside event can wake. 0, with no timer armed and no task ready, is a
     * deadlock.
     */
    uint64_t watched;

    bool may_spin; /* time passes, and events come, while the loop does not wait */

    /* Not 0: the ready queue is permuted by this generator's state before every turn. */
    uint64_t seed;
};

#endif
