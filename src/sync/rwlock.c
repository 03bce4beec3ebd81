/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - many readers or one writer, in the order in which they came.
 *
 * Held by readers or by a writer, never by both. Who comes while anybody is in line stands behind
 * him, so a writer waits for those that came before it and for no others. The line moves when a
 * holder leaves, and when the first in it is cancelled: both end in serve().
 */
#include <bide/sync/rwlock.h>

#include <errno.h>

#include "sync/line.h"
#include "sync/owner.h"

/* Somebody in line. */
struct request {
    struct bide__waiter waiter;
    bool is_writer;
};

static struct bide__held held_of(const bide_rwlock *lock)
{
    return (struct bide__held){"lock for writing", lock->bide__writer,
                               lock->bide__writer_generation};
}

static void own(bide_rwlock *lock, struct bide_task *task)
{
    bide__assert(lock->bide__readers == 0 && lock->bide__writer == NULL);
    lock->bide__writer = task;
    lock->bide__writer_generation = task->generation;
}

/* Let in whoever may come in, from the head of the line. */
static void serve(bide_rwlock *lock)
{
    struct bide__waiter *first;

    bide__assert(lock->bide__writer == NULL || lock->bide__readers == 0);
    while (lock->bide__writer == NULL && (first = bide__waitq_first(&lock->bide__waiting))) {
        if (!BIDE__CONTAINER(first, struct request, waiter)->is_writer)
            lock->bide__readers++;
        else if (lock->bide__readers == 0)
            own(lock, first->task);
        else
            break;
        bide__line_hand(first, 0);
    }
}

static bool read_at_once(bide_rwlock *lock)
{
    if (lock->bide__writer != NULL || !bide__line_is_empty(&lock->bide__waiting))
        return false;
    lock->bide__readers++;
    return true;
}

static bool write_at_once(bide_rwlock *lock, struct bide_task *self)
{
    if (lock->bide__writer != NULL || lock->bide__readers > 0 ||
        !bide__line_is_empty(&lock->bide__waiting))
        return false;
    own(lock, self);
    return true;
}

__attribute__((noinline)) static int wait_for(bide_rwlock *lock, struct bide_task *self,
                                              bool is_writer, const char *call)
{
    struct request request = {
        .waiter = BIDE__WAITER(request.waiter, call),
        .is_writer = is_writer,
    };
    int err;

    if (lock->bide__writer != NULL)
        bide__owner_check(held_of(lock), self, call);
    err = bide__line_stand(&lock->bide__waiting, &request.waiter);
    if (err != 0)
        serve(lock); /* those behind may be let in */
    else
        bide__assert(is_writer ? lock->bide__writer == self : lock->bide__readers > 0);
    return err;
}

void bide_rwlock_init(bide_rwlock *lock)
{
    *lock = (bide_rwlock)BIDE_RWLOCK_INIT;
}

int bide_rwlock_read_lock(bide_rwlock *lock)
{
    struct bide_task *self = bide__task_need("bide_rwlock_read_lock");
    int err = bide__line_enter(self);

    if (err != 0)
        return err;
    return read_at_once(lock) ? 0 : wait_for(lock, self, false, "bide_rwlock_read_lock");
}

int bide_rwlock_write_lock(bide_rwlock *lock)
{
    struct bide_task *self = bide__task_need("bide_rwlock_write_lock");
    int err = bide__line_enter(self);

    if (err != 0)
        return err;
    return write_at_once(lock, self) ? 0 : wait_for(lock, self, true, "bide_rwlock_write_lock");
}

int bide_rwlock_try_read_lock(bide_rwlock *lock)
{
    return read_at_once(lock) ? 0 : -EBUSY;
}

int bide_rwlock_try_write_lock(bide_rwlock *lock)
{
    struct bide_task *self = bide__task_need("bide_rwlock_try_write_lock");

    return write_at_once(lock, self) ? 0 : -EBUSY;
}

void bide_rwlock_read_unlock(bide_rwlock *lock)
{
    if (lock->bide__readers == 0)
        bide__misuse("bide_rwlock_read_unlock: %s unlocks what no task holds for reading%s",
                     bide__caller_label().text,
                     lock->bide__writer != NULL
                         ? "; a writer holds it: that one calls bide_rwlock_write_unlock"
                         : "; unlock once what was locked once");
    bide__assert(lock->bide__writer == NULL);
    lock->bide__readers--;
    serve(lock);
}

void bide_rwlock_write_unlock(bide_rwlock *lock)
{
    struct bide_task *self = bide__task_need("bide_rwlock_write_unlock");

    if (lock->bide__writer != self || lock->bide__writer_generation != self->generation)
        bide__owner_differs(held_of(lock), self, "bide_rwlock_write_unlock");
    bide__assert(lock->bide__readers == 0);
    lock->bide__writer = NULL;
    serve(lock);
}
