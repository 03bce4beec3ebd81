/* SPDX-License-Identifier: MIT */
/*
 * post.c - functions that other threads and signal handlers let a loop call.
 *
 * What is posted lies in one of a fixed number of slots, since neither locks nor memory can be had
 * in a signal handler. A slot is taken by setting its bit, and given back by clearing it: a handler
 * that interrupts a poster at any instruction just takes another one.
 */
#include "runtime/post.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include <bide/runtime/post.h>

#include "base/sys.h"
#include "sched/loop.h"

/* Words that every processor can change without a lock, which a handler must not take. */
typedef unsigned long word;

enum { SLOTS = 1024, WORD_BITS = sizeof(word) * CHAR_BIT, WORDS = SLOTS / WORD_BITS };

_Static_assert(ATOMIC_LONG_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "no locks below");

struct slot {
    struct bide__post post;
    void (*fn)(void *arg);
    void *arg;
    struct slots *slots;
};

struct slots {
    _Atomic(word) taken[WORDS];
    struct slot slots[SLOTS];
};

/* NULL when all are taken. */
static struct slot *take(struct slots *slots)
{
    for (unsigned at = 0; at < WORDS; at++) {
        word taken = atomic_load_explicit(&slots->taken[at], memory_order_relaxed);

        while (taken != ULONG_MAX) {
            unsigned bit = (unsigned)__builtin_ctzl(~taken);
            /* Acquire pairs with the release below: the slot was read to its end. */
            if (atomic_compare_exchange_weak_explicit(&slots->taken[at], &taken, taken | 1UL << bit,
                                                      memory_order_acquire, memory_order_relaxed))
                return &slots->slots[at * WORD_BITS + bit];
        }
    }
    return NULL;
}

static void give_back(struct slot *slot)
{
    struct slots *slots = slot->slots;
    unsigned number = (unsigned)(slot - slots->slots);

    atomic_fetch_and_explicit(&slots->taken[number / WORD_BITS], ~(1UL << number % WORD_BITS),
                              memory_order_release);
}

static void call(struct bide__post *post)
{
    struct slot *slot = BIDE__CONTAINER(post, struct slot, post);
    void (*fn)(void *arg) = slot->fn;
    void *arg = slot->arg;

    give_back(slot); /* first: fn may post */
    fn(arg);
}

int bide__post_open(struct bide_loop *loop)
{
    struct slots *slots;
    int err;

    if (loop->inbox.slots != NULL)
        return 0;
    err = bide__inbox_open(loop);
    if (err < 0)
        return err;
    slots = bide__alloc_zeroed(1, sizeof *slots);
    if (slots == NULL)
        return -ENOMEM;
    loop->inbox.slots = slots;
    return 0;
}

bide_loop *bide_loop_hold(bide_loop *loop)
{
    if (loop == NULL) {
        loop = bide__loop_need("bide_loop_hold");
        if (bide__post_open(loop) < 0)
            return NULL;
    }
    bide__inbox_hold(loop);
    return loop;
}

void bide_loop_release(bide_loop *loop)
{
    if (loop != NULL)
        bide__inbox_release(loop);
}

int bide_post(bide_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct slots *slots = loop->inbox.slots;
    struct slot *slot = take(slots);

    if (slot == NULL)
        return -EAGAIN;
    slot->post.run = call;
    slot->fn = fn;
    slot->arg = arg;
    slot->slots = slots;
    if (bide__inbox_push(loop, &slot->post))
        return 0;
    give_back(slot);
    return -ESHUTDOWN;
}
