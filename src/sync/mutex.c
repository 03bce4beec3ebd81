/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a lock that goes from hand to hand.
 *
 *      free --lock--> held --unlock, nobody in line--> free
 *                       held --unlock--> held by the first in line, which is made ready
 *
 * A mutex with a line is never free: so nobody can overtake, and a lock call needs to look at the
 * owner alone.
 */
#include "sync/mutex.h"

#include <errno.h>

#include "sync/line.h"
#include "sync/owner.h"

static struct bide__held held_of(const bide_mutex *mutex)
{
    return (struct bide__held){"mutex", mutex->bide__owner, mutex->bide__owner_generation};
}

static void own(bide_mutex *mutex, struct bide_task *task)
{
    mutex->bide__owner = task;
    mutex->bide__owner_generation = task->generation;
}

static bool holds(const bide_mutex *mutex, const struct bide_task *task)
{
    return mutex->bide__owner == task && mutex->bide__owner_generation == task->generation;
}

void bide__mutex_need(const bide_mutex *mutex, const struct bide_task *self, const char *call)
{
    if (__builtin_expect(!holds(mutex, self), 0))
        bide__owner_differs(held_of(mutex), self, call);
}

void bide__mutex_hand_on(bide_mutex *mutex)
{
    struct bide__waiter *first = bide__waitq_first(&mutex->bide__waiting);

    bide__assert(mutex->bide__owner != NULL);
    if (first == NULL) {
        mutex->bide__owner = NULL;
    } else {
        bide__assert(first->task != mutex->bide__owner);
        own(mutex, first->task);
        bide__line_hand(first, 0);
    }
}

void bide__mutex_lock_again(bide_mutex *mutex, struct bide_task *self)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "bide_cond_wait (for the mutex)");
    int result;

    if (mutex->bide__owner == NULL) {
        own(mutex, self);
        return;
    }
    bide__owner_check(held_of(mutex), self, "bide_cond_wait");
    waiter.passes_cancel = true; /* to nobody: a cancel leaves it in line */
    result = bide__line_stand(&mutex->bide__waiting, &waiter);
    bide__assert(result == 0 && holds(mutex, self));
}

void bide_mutex_init(bide_mutex *mutex)
{
    *mutex = (bide_mutex)BIDE_MUTEX_INIT;
}

/* Apart from bide_mutex_lock, which then needs no room on the stack. */
__attribute__((noinline)) static int wait_for(bide_mutex *mutex, struct bide_task *self)
{
    int err;

    bide__owner_check(held_of(mutex), self, "bide_mutex_lock");
    err = bide__line_wait(&mutex->bide__waiting, "bide_mutex_lock");
    bide__assert(err != 0 || holds(mutex, self));
    return err;
}

__attribute__((noinline)) static int lock_any(bide_mutex *mutex)
{
    struct bide_task *self = bide__task_need("bide_mutex_lock");
    int err = bide__line_enter(self);

    if (err != 0)
        return err;
    if (__builtin_expect(mutex->bide__owner != NULL, 0))
        return wait_for(mutex, self);
    own(mutex, self);
    return 0;
}

int bide_mutex_lock(bide_mutex *mutex)
{
    struct bide_loop *loop = bide__loop_here;

    if (__builtin_expect(mutex->bide__owner != NULL, 0) || !bide__is_plain(loop))
        return lock_any(mutex);
    own(mutex, loop->current);
    return 0;
}

int bide_mutex_try_lock(bide_mutex *mutex)
{
    struct bide_task *self = bide__task_need("bide_mutex_try_lock");

    if (mutex->bide__owner != NULL)
        return -EBUSY;
    own(mutex, self);
    return 0;
}

__attribute__((noinline)) static void unlock_any(bide_mutex *mutex)
{
    bide__mutex_need(mutex, bide__task_need("bide_mutex_unlock"), "bide_mutex_unlock");
    bide__mutex_hand_on(mutex);
}

void bide_mutex_unlock(bide_mutex *mutex)
{
    const struct bide_loop *loop = bide__loop_here;

    if (__builtin_expect(loop == NULL || !holds(mutex, loop->current), 0) ||
        !bide__line_is_empty(&mutex->bide__waiting))
        unlock_any(mutex);
    else
        mutex->bide__owner = NULL;
}
