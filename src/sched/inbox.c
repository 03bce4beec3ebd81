/* SPDX-License-Identifier: MIT */
/*
 * inbox.c - posts: pushing them from anywhere, running them on the loop.
 */
#include "sched/inbox.h"

#include <limits.h>
#include <stdlib.h>

#include "sched/local.h"
#include "sched/loop.h"
#include "sched/waitq.h"

struct bide__post bide__inbox_shut_mark;

int bide__inbox_open(struct bide_loop *loop)
{
    int err;

    if (loop->inbox.is_open)
        return 0;
    err = loop->host->open(loop->host, &loop->inbox);
    if (err == 0)
        loop->inbox.is_open = true;
    return err;
}

void bide__inbox_keep(struct bide_loop *loop)
{
    atomic_fetch_add_explicit(&loop->inbox.holders, 1, memory_order_relaxed);
}

void bide__inbox_hold(struct bide_loop *loop)
{
    bide__inbox_keep(loop);
    atomic_fetch_add(&loop->inbox.posters, 1);
}

void bide__inbox_forget(struct bide_loop *loop)
{
    struct bide__inbox *inbox = &loop->inbox;
    /* Release pairs with acquire: all that others did with the loop comes before its end. */
    unsigned before = atomic_fetch_sub_explicit(&inbox->holders, 1, memory_order_acq_rel);

    bide__assert(before > 0);
    if (before > 1)
        return;
    if (inbox->is_open)
        inbox->close(inbox);
    free(inbox->slots);
    free(loop);
}

void bide__inbox_release(struct bide_loop *loop)
{
    unsigned before = atomic_fetch_sub(&loop->inbox.posters, 1);

    bide__assert(before > 0);
    /* Without posters the sleep may be a deadlock: the loop looks again. */
    if (before == 1 && atomic_load(&loop->inbox.is_asleep))
        loop->inbox.wake(&loop->inbox);
    bide__inbox_forget(loop);
}

bool bide__inbox_push(struct bide_loop *loop, struct bide__post *post)
{
    struct bide__inbox *inbox = &loop->inbox;
    struct bide__post *head = atomic_load_explicit(&inbox->head, memory_order_relaxed);

    do {
        if (head == &bide__inbox_shut_mark)
            return false;
        post->next = head;
    } while (!atomic_compare_exchange_weak(&inbox->head, &head, post));
    if (head == NULL && atomic_load(&inbox->is_asleep))
        inbox->wake(inbox);
    return true;
}

/*
 * Posts run in the place of a task, so that they may do what any task does but wait: calls that
 * could wait find a cancelled task that must not park, and none runs out of budget.
 */
static void run_all(struct bide_loop *loop, struct bide__post *newest)
{
    struct bide__post *oldest = NULL, *next;
    struct bide_task *before = loop->current;
    int budget = loop->budget;

    bide__assert(before == &loop->root);
    for (; newest != NULL; newest = next) {
        next = newest->next;
        newest->next = oldest;
        oldest = newest;
    }
    loop->current = &loop->poster;
    loop->budget = INT_MAX;
    loop->poster.sanitizer = loop->root.sanitizer; /* they run on the same stack */
    for (; oldest != NULL; oldest = next) {
        next = oldest->next;
        oldest->run(oldest);
        bide__locals_drop(&loop->poster); /* each starts without any */
    }
    bide__assert(loop->current == &loop->poster && loop->poster.waiter == &bide__calling_back);
    loop->current = before;
    loop->budget = budget;
}

void bide__inbox_run(struct bide_loop *loop)
{
    /* Pairs with the push: what the poster wrote before is seen. */
    run_all(loop, atomic_exchange(&loop->inbox.head, NULL));
}

struct here {
    struct bide__post post;
    void (*fn)(void *arg);
    void *arg;
};

static void call_here(struct bide__post *post)
{
    const struct here *here = BIDE__CONTAINER(post, struct here, post);

    here->fn(here->arg);
}

void bide__inbox_call(struct bide_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct here here = {.post = {.run = call_here}, .fn = fn, .arg = arg};

    run_all(loop, &here.post);
}

void bide__inbox_shut(struct bide_loop *loop)
{
    struct bide__post *newest = atomic_exchange(&loop->inbox.head, &bide__inbox_shut_mark);

    bide__assert(newest != &bide__inbox_shut_mark);
    run_all(loop, newest);
}
