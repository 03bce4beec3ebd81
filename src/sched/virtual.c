/* SPDX-License-Identifier: MIT */
/*
 * virtual.c - the host of tests: time passes only when every task sleeps, and then jumps to the
 * next deadline.
 */
#include "sched/virtual.h"

#include <errno.h>

#include "base/list.h"
#include "sched/inbox.h"
#include "sched/loop.h"

static bide_time virtual_now(struct bide__host *host)
{
    return BIDE__CONTAINER(host, struct bide__virtual, host)->now;
}

static void virtual_wait(struct bide__host *host, struct bide_loop *loop, bide_time deadline)
{
    struct bide__virtual *clock = BIDE__CONTAINER(host, struct bide__virtual, host);

    if (deadline == BIDE_FOREVER && loop->inbox.is_open)
        sem_wait(&loop->inbox.bell.semaphore); /* interrupted, the loop comes back */
    else if (deadline > clock->now && deadline != BIDE_FOREVER)
        clock->now = deadline;
}

static void ring(struct bide__inbox *inbox)
{
    int before = errno;

    sem_post(&inbox->bell.semaphore);
    errno = before;
}

static void close_bell(struct bide__inbox *inbox)
{
    sem_destroy(&inbox->bell.semaphore);
}

static int open_bell(struct bide__host *host, struct bide__inbox *inbox)
{
    (void)host;
    sem_init(&inbox->bell.semaphore, 0, 0);
    inbox->wake = ring;
    inbox->close = close_bell;
    return 0;
}

void bide__virtual_init(struct bide__virtual *clock, uint64_t seed)
{
    *clock = (struct bide__virtual){
        .host = {.now = virtual_now, .wait = virtual_wait, .open = open_bell, .seed = seed},
    };
}
