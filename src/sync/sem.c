/* SPDX-License-Identifier: MIT */
/*
 * sem.c - permits, handed out strictly in order.
 *
 * Whenever nothing is under way, the first in line asks for more than there is; else it would have
 * been served. What can make it fit is a release, or that the first leaves the line because it was
 * cancelled: both end in serve().
 */
#include <bide/sync/sem.h>

#include <errno.h>

#include "sync/line.h"
#include "sync/owner.h"

/* Somebody in line. */
struct request {
    struct bide__waiter waiter;
    size_t permits;
};

/* Hand out what there is, to as many as it suffices for, from the head of the line. */
static void serve(bide_sem *sem)
{
    struct bide__waiter *first;

    while ((first = bide__waitq_first(&sem->bide__waiting)) != NULL) {
        const struct request *request = BIDE__CONTAINER(first, struct request, waiter);
        bide__assert(request->permits > 0);
        if (request->permits > sem->bide__permits)
            break;
        sem->bide__permits -= request->permits;
        bide__line_hand(first, 0);
    }
}

static bool take(bide_sem *sem, size_t permits)
{
    if (permits == 0)
        return true;
    if (permits > sem->bide__permits || !bide__line_is_empty(&sem->bide__waiting))
        return false;
    sem->bide__permits -= permits;
    return true;
}

__attribute__((noinline)) static int wait_for(bide_sem *sem, size_t permits)
{
    struct request request = {
        .waiter = BIDE__WAITER(request.waiter, "bide_sem_acquire"),
        .permits = permits,
    };
    int err = bide__line_stand(&sem->bide__waiting, &request.waiter);

    bide__assert(err <= 0);
    if (err != 0)
        serve(sem); /* those behind may fit */
    return err;
}

void bide_sem_init(bide_sem *sem, size_t permits)
{
    *sem = (bide_sem)BIDE_SEM_INIT(permits);
}

__attribute__((noinline)) static int acquire_any(bide_sem *sem, size_t permits)
{
    int err = bide__line_enter(bide__task_need("bide_sem_acquire"));

    if (err != 0)
        return err;
    return __builtin_expect(take(sem, permits), 1) ? 0 : wait_for(sem, permits);
}

/* Whether they are there, and nobody came before. */
static inline bool may_take(const bide_sem *sem, size_t permits)
{
    return __builtin_expect(permits <= sem->bide__permits, 1) &&
           __builtin_expect(bide__line_is_empty(&sem->bide__waiting), 1);
}

int bide_sem_acquire(bide_sem *sem)
{
    if (!may_take(sem, 1) || !bide__is_plain(bide__loop_here))
        return acquire_any(sem, 1);
    sem->bide__permits--;
    return 0;
}

int bide_sem_acquire_n(bide_sem *sem, size_t permits)
{
    if (!may_take(sem, permits) || !bide__is_plain(bide__loop_here))
        return acquire_any(sem, permits);
    sem->bide__permits -= permits;
    return 0;
}

int bide_sem_try_acquire(bide_sem *sem)
{
    return bide_sem_try_acquire_n(sem, 1);
}

int bide_sem_try_acquire_n(bide_sem *sem, size_t permits)
{
    return take(sem, permits) ? 0 : -EAGAIN;
}

__attribute__((noinline)) static void release_any(bide_sem *sem, size_t permits)
{
    size_t before = sem->bide__permits;

    if (__builtin_add_overflow(before, permits, &sem->bide__permits))
        bide__misuse("bide_sem_release: %s gives %zu permits to a semaphore that has %zu: more "
                     "than SIZE_MAX; give back what was taken, once",
                     bide__caller_label().text, permits, before);
    serve(sem);
}

void bide_sem_release(bide_sem *sem)
{
    if (__builtin_expect(sem->bide__permits < SIZE_MAX, 1) &&
        bide__line_is_empty(&sem->bide__waiting))
        sem->bide__permits++;
    else
        release_any(sem, 1);
}

void bide_sem_release_n(bide_sem *sem, size_t permits)
{
    release_any(sem, permits);
}

size_t bide_sem_value(const bide_sem *sem)
{
    return sem->bide__permits;
}
