/* SPDX-License-Identifier: MIT */
/*
 * sync_locks.h - operations on what tasks exclude each other with, or wait for each other at.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_LOCKS_H
#define BIDE_TESTS_STRESS_SYNC_LOCKS_H

#include "stress/sync_flows.h"

/* --- Mutex and condition -------------------------------------------------------------------- */

static bool may_lock(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.mutexes[wait->index].holder < 0;
}

static void mutex_taken(struct actor *a, int i)
{
    MUST(w.mutexes[i].holder < 0);
    w.mutexes[i].holder = a->number;
    a->mutexes |= 1u << i;
}

static void mutex_left(struct actor *a, int i)
{
    MUST(w.mutexes[i].holder == a->number);
    w.mutexes[i].holder = -1;
    a->mutexes &= ~(1u << i);
}

static int lock(struct actor *a, int i)
{
    int result =
        PARK(a, "mutex_lock", WAIT(.line = LINE(LOCKERS, i), .may_go_on = may_lock, .index = i),
             bide_mutex_lock(&w.mutexes[i].mutex));

    MUST(result == 0 || is_cancel(result));
    if (result == 0)
        mutex_taken(a, i);
    return result;
}

static int try_lock(struct actor *a, int i)
{
    bool is_free = w.mutexes[i].mutex.bide__owner == NULL;
    int result =
        TRY(a, "mutex_try_lock", LINE(LOCKERS, i), bide_mutex_try_lock(&w.mutexes[i].mutex));

    MUST(result == (is_free ? 0 : -EBUSY));
    if (result == 0)
        mutex_taken(a, i);
    return result;
}

static void unlock(struct actor *a, int i)
{
    mutex_left(a, i);
    bide_mutex_unlock(&w.mutexes[i].mutex);
}

static void op_mutex(struct actor *a)
{
    int i = pick(a, MUTEXES);

    if ((a->mutexes & 1u << i) != 0)
        return;
    if ((one_in(a, 4) ? try_lock(a, i) : lock(a, i)) < 0)
        return;
    nested(a);
    unlock(a, i);
}

/* Asleep for the mutex, which nobody holds. */
static bool may_lock_again(const struct actor *a, const struct wait *wait)
{
    return strcmp(a->task->waiter->what, "bide_cond_wait") != 0 && may_lock(a, wait);
}

static bool awaits_signal(const struct actor *a, const struct wait *wait)
{
    (void)a, (void)wait;
    return false;
}

static int cond_wait(struct actor *a, int i)
{
    struct call call;
    int result;

    call_begin(a, &call, "cond_wait");
    call_waits(&call, WAIT(.line = LINE(SIGNALED, i), .what = "bide_cond_wait",
                           .may_go_on = awaits_signal, .index = i));
    call_waits(&call, WAIT(.may_go_on = may_lock_again, .index = i));
    mutex_left(a, i);
    result = bide_cond_wait(&w.mutexes[i].cond, &w.mutexes[i].mutex);
    mutex_taken(a, i);
    call_end(a, &call, result, LINE(SIGNALED, i));
    MUST(result == 0 || is_cancel(result));
    w.mutexes[i].owed -= result == 0;
    MUST(w.mutexes[i].owed >= 0);
    return result;
}

/* Each signal is one successful wait, when anybody waits. */
static void cond_signal(int i, bool all)
{
    int waiting = sleepers(awaits_signal, i, NULL);

    w.mutexes[i].owed += all ? waiting : waiting > 0;
    if (all)
        bide_cond_broadcast(&w.mutexes[i].cond);
    else
        bide_cond_signal(&w.mutexes[i].cond);
}

/* No other mutex is held meanwhile: locking again could not be canceled out of a circle. */
static void op_cond(struct actor *a)
{
    int i = pick(a, MUTEXES);

    if (one_in(a, 2)) {
        cond_signal(i, one_in(a, 4));
        return;
    }
    if (a->mutexes != 0 || lock(a, i) < 0)
        return;
    cond_wait(a, i);
    if (one_in(a, 3))
        nested(a);
    unlock(a, i);
}

/* --- Semaphore ------------------------------------------------------------------------------ */

/* There is enough for who is first in line. */
static bool may_take(const struct actor *a, const struct wait *wait)
{
    return is_first(a, wait) && bide_sem_value(&w.sems[wait->index].sem) >= wait->need;
}

static int acquire(struct actor *a, int i, size_t n)
{
    int result =
        PARK(a, "sem_acquire_n",
             WAIT(.line = LINE(TAKERS, i), .may_go_on = may_take, .index = i, .need = n),
             n == 1 ? bide_sem_acquire(&w.sems[i].sem) : bide_sem_acquire_n(&w.sems[i].sem, n));

    MUST(result == 0 || is_cancel(result));
    if (result == 0) {
        w.sems[i].held += n;
        MUST(w.sems[i].held + bide_sem_value(&w.sems[i].sem) <= w.sems[i].permits);
    }
    return result;
}

static void release(int i, size_t n)
{
    w.sems[i].held -= n;
    bide_sem_release_n(&w.sems[i].sem, n);
}

static void op_sem(struct actor *a)
{
    int i = pick(a, SEMS), result;
    size_t n = 1 + (size_t)pick(a, (int)w.sems[i].permits);

    if (one_in(a, 4)) {
        result =
            TRY(a, "sem_try_acquire_n", LINE(TAKERS, i), bide_sem_try_acquire_n(&w.sems[i].sem, n));
        MUST(result == 0 || result == -EAGAIN);
        w.sems[i].held += result == 0 ? n : 0;
    } else {
        result = acquire(a, i, n);
    }
    if (result < 0)
        return;
    nested(a);
    release(i, n);
}

/* --- Read-write lock ------------------------------------------------------------------------ */

static bool may_write(const struct actor *a, const struct wait *wait)
{
    return w.rwlocks[wait->index].writer < 0 && w.rwlocks[wait->index].readers == 0 &&
           is_first(a, wait);
}

static bool may_read(const struct actor *a, const struct wait *wait)
{
    return w.rwlocks[wait->index].writer < 0 && is_first(a, wait);
}

static int read_lock(struct actor *a, int i, bool tries)
{
    bide_rwlock *it = &w.rwlocks[i].lock;
    int result =
        tries ? TRY(a, "rwlock_try_read_lock", LINE(READERS_AND_WRITERS, i),
                    bide_rwlock_try_read_lock(it))
              : PARK(a, "rwlock_read_lock",
                     WAIT(.line = LINE(READERS_AND_WRITERS, i), .may_go_on = may_read, .index = i),
                     bide_rwlock_read_lock(it));

    MUST(result == 0 || is_cancel(result) || (tries && result == -EBUSY));
    if (result < 0)
        return result;
    MUST(w.rwlocks[i].writer < 0);
    w.rwlocks[i].readers++;
    a->rwlocks |= 1u << i;
    return 0;
}

static int write_lock(struct actor *a, int i, bool tries)
{
    bide_rwlock *it = &w.rwlocks[i].lock;
    int result =
        tries ? TRY(a, "rwlock_try_write_lock", LINE(READERS_AND_WRITERS, i),
                    bide_rwlock_try_write_lock(it))
              : PARK(a, "rwlock_write_lock",
                     WAIT(.line = LINE(READERS_AND_WRITERS, i), .may_go_on = may_write, .index = i),
                     bide_rwlock_write_lock(it));

    MUST(result == 0 || is_cancel(result) || (tries && result == -EBUSY));
    if (result < 0)
        return result;
    MUST(w.rwlocks[i].writer < 0 && w.rwlocks[i].readers == 0);
    w.rwlocks[i].writer = a->number;
    a->rwlocks |= 1u << i;
    return 0;
}

static void read_unlock(struct actor *a, int i)
{
    MUST(w.rwlocks[i].writer < 0 && w.rwlocks[i].readers > 0);
    w.rwlocks[i].readers--;
    a->rwlocks &= ~(1u << i);
    bide_rwlock_read_unlock(&w.rwlocks[i].lock);
}

static void write_unlock(struct actor *a, int i)
{
    MUST(w.rwlocks[i].writer == a->number && w.rwlocks[i].readers == 0);
    w.rwlocks[i].writer = -1;
    a->rwlocks &= ~(1u << i);
    bide_rwlock_write_unlock(&w.rwlocks[i].lock);
}

static void op_rwlock(struct actor *a)
{
    int i = pick(a, RWLOCKS);
    bool writes = one_in(a, 3), tries = one_in(a, 5);

    if ((a->rwlocks & 1u << i) != 0)
        return;
    if ((writes ? write_lock(a, i, tries) : read_lock(a, i, tries)) < 0)
        return;
    nested(a);
    if (writes)
        write_unlock(a, i);
    else
        read_unlock(a, i);
}

/* --- Event, barrier, once, waitgroup -------------------------------------------------------- */

static bool is_set(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return bide_event_is_set(&w.events[wait->index]);
}

static int event_wait(struct actor *a, int i)
{
    int result =
        PARK(a, "event_wait", WAIT(.line = LINE(WATCHERS, i), .may_go_on = is_set, .index = i),
             bide_event_wait(&w.events[i]));

    MUST(result == 0 || is_cancel(result));
    return result;
}

static void op_event(struct actor *a)
{
    int i = pick(a, EVENTS);

    switch (pick(a, 5)) {
    case 0: bide_event_set(&w.events[i]); break;
    case 1: bide_event_clear(&w.events[i]); break;
    default: event_wait(a, i);
    }
}

static bool may_pass(const struct actor *a, const struct wait *wait)
{
    (void)a, (void)wait;
    return bide_barrier_is_broken(&w.barrier.barrier) ||
           sleepers(may_pass, 0, NULL) >= (int)w.barrier.parties;
}

static int barrier_wait(struct actor *a)
{
    int result = PARK(a, "barrier_wait", WAIT(.line = LINE(PARTIES, 0), .may_go_on = may_pass),
                      bide_barrier_wait(&w.barrier.barrier));

    MUST(result == 0 || result == 1 || result == -EPIPE || is_cancel(result));
    w.barrier.firsts += result == 1;
    w.barrier.others += result == 0;
    return result;
}

static void op_barrier(struct actor *a)
{
    int dice = pick(a, 16);

    if (dice == 0)
        bide_barrier_abort(&w.barrier.barrier);
    else if (dice < 3)
        bide_barrier_reset(&w.barrier.barrier);
    else
        barrier_wait(a);
    MUST(dice >= 3 || sleepers(may_pass, 0, NULL) == 0);
}

static bool may_start(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.onces[wait->index].runner < 0;
}

struct attempt {
    struct actor *a;
    int index;
    bool was_run;
    bool must_succeed;
};

static void op_sleep(struct actor *a);

static int run_once(void *arg)
{
    struct attempt *attempt = arg;
    struct actor *a = attempt->a;
    int i = attempt->index, result = 7 + a->number;

    MUST(w.onces[i].runner < 0 && w.onces[i].successes == 0 && !attempt->was_run);
    attempt->was_run = true;
    w.onces[i].runner = a->number;
    for (int n = pick(a, 3); n > 0; n--)
        op_sleep(a);
    MUST(w.onces[i].runner == a->number);
    w.onces[i].runner = -1;
    if (!attempt->must_succeed && !one_in(a, 6))
        return -EIO;
    w.onces[i].successes++;
    w.onces[i].result = result;
    return result;
}

static int do_once(struct actor *a, int i, bool must_succeed)
{
    struct attempt attempt = {.a = a, .index = i, .must_succeed = must_succeed};
    struct call call;
    int result;

    call_begin(a, &call, "once_do");
    call_waits(&call, WAIT(.line = LINE(CALLERS, i), .may_go_on = may_start, .index = i));
    result = bide_once_do(&w.onces[i].once, run_once, &attempt);
    call_end(a, &call, result, LINE(CALLERS, i));
    if (result >= 0)
        MUST(w.onces[i].successes == 1 && result == w.onces[i].result);
    else
        MUST(attempt.was_run ? result == -EIO : is_cancel(result));
    return result;
}

static void op_once(struct actor *a)
{
    do_once(a, pick(a, ONCES), false);
}

static bool is_done_with(const struct actor *a, const struct wait *wait)
{
    (void)a, (void)wait;
    return w.waitgroup.count == 0;
}

static int waitgroup_wait(struct actor *a)
{
    int result =
        PARK(a, "waitgroup_wait", WAIT(.line = LINE(JOINERS, QUEUES), .may_go_on = is_done_with),
             bide_waitgroup_wait(&w.waitgroup.group));

    MUST(result == 0 || is_cancel(result));
    return result;
}

static void waitgroup_add(int count)
{
    w.waitgroup.count += count;
    if (count == -1)
        bide_waitgroup_done(&w.waitgroup.group);
    else
        bide_waitgroup_add(&w.waitgroup.group, count);
}

static void op_waitgroup(struct actor *a)
{
    int count = 1 + pick(a, 3);

    if (one_in(a, 2)) {
        waitgroup_wait(a);
        return;
    }
    waitgroup_add(count);
    nested(a);
    for (; count > 0; count--)
        waitgroup_add(-1);
}

/* --- Time ----------------------------------------------------------------------------------- */

/* As the bucket that it should be; exact where time stands still between a wake-up and a turn. */
static bool rate_has(uint64_t permits)
{
    return w.rate.full_at - (w.rate.burst - (int64_t)permits) * w.rate.cost <= bide_now();
}

static bool may_spend(const struct actor *a, const struct wait *wait)
{
    return w.is_virtual && is_first(a, wait) && rate_has(wait->need);
}

static int rate_acquire(struct actor *a, int64_t n, bool tries)
{
    int result =
        tries ? TRY(a, "rate_try_acquire_n", LINE(SPENDERS, 0),
                    bide_rate_try_acquire_n(&w.rate.rate, n))
              : PARK(a, "rate_acquire_n",
                     WAIT(.line = LINE(SPENDERS, 0), .may_go_on = may_spend, .need = (uint64_t)n),
                     bide_rate_acquire_n(&w.rate.rate, n));

    MUST(result == 0 || is_cancel(result) || (tries && result == -EAGAIN));
    if (result < 0)
        return result;
    MUST(rate_has((uint64_t)n) || !w.is_virtual);
    w.rate.full_at = (w.rate.full_at > bide_now() ? w.rate.full_at : bide_now()) + n * w.rate.cost;
    return 0;
}

static void op_rate(struct actor *a)
{
    rate_acquire(a, 1 + pick(a, (int)w.rate.burst), one_in(a, 4));
}

static bool may_tick(const struct actor *a, const struct wait *wait)
{
    (void)a, (void)wait;
    return w.is_virtual && w.ticker.policy != BIDE_TICK_DELAY &&
           w.ticker.start + (w.ticker.ticks + 1) * w.ticker.interval <= bide_now();
}

static int64_t tick(struct actor *a)
{
    int64_t result =
        PARK(a, "ticker_wait", WAIT(.may_go_on = may_tick), bide_ticker_wait(&w.ticker.ticker));

    MUST(result > 0 || is_cancel(result));
    MUST(result <= 1 || w.ticker.policy == BIDE_TICK_SKIP);
    if (result > 0)
        w.ticker.ticks += result;
    MUST(w.ticker.ticks <= (bide_now() - w.ticker.start) / w.ticker.interval);
    if (result > 0 && w.ticker.policy == BIDE_TICK_SKIP && w.is_virtual)
        MUST(w.ticker.start + (w.ticker.ticks + 1) * w.ticker.interval > bide_now());
    return result;
}

static void op_tick(struct actor *a)
{
    tick(a);
}

static void op_sleep(struct actor *a)
{
    bide_time before = bide_now(), time = some_time(a);
    int result = PARK(a, "sleep", WAIT(.may_go_on = never), bide_sleep(time));

    MUST(is_cancel(result) || (result == 0 && bide_now() >= before + time));
}

static void op_yield(struct actor *a)
{
    struct call call;

    call_begin(a, &call, "yield");
    int result = bide_yield();
    call_end(a, &call, result, NULL);
    MUST(result == 0 || is_cancel(result));
}

#endif
