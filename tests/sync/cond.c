/* SPDX-License-Identifier: MIT */
/*
 * cond.c - signals reach exactly those they are for, and the mutex is held whatever comes back.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_mutex lock = BIDE_MUTEX_INIT;
static bide_cond changed = BIDE_COND_INIT;
static int order[16], order_count;

/* Wait once. Checks that this task holds the mutex then: unlocking anything else would abort. */
static async(int, waits, int, number)
{
    int err = bide_mutex_lock(&lock);

    if (err < 0)
        return err;
    err = bide_cond_wait(&changed, &lock);
    CHECK_EQ(bide_mutex_try_lock(&lock), -EBUSY);
    order[order_count++] = number;
    bide_mutex_unlock(&lock);
    return err;
}

static int signals_one_by_one(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    order_count = 0;
    bide_cond_signal(&changed); /* nobody waits: nothing is remembered */
    bide_cond_broadcast(&changed);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn(waits, i);
        bide_sleep(BIDE_MS(1));
    }
    CHECK_EQ(bide_mutex_try_lock(&lock), 0); /* waiting has unlocked it */
    bide_mutex_unlock(&lock);
    for (int i = 0; i < 3; i++) {
        bide_cond_signal(&changed);
        CHECK_EQ(order_count, i); /* does not switch */
        bide_sleep(BIDE_MS(1));
        CHECK_EQ(order_count, i + 1);
    }
    bide_cond_broadcast(&changed);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(order[i], i);
    return 0;
}

/*
 * Goal:   a signal wakes the one that waited longest, a broadcast all, and neither is remembered.
 * Method: signals before anyone waits, then three signals for five, then a broadcast; seeds.
 */
TEST(cond, signal_wakes_the_first_and_broadcast_all)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(signals_one_by_one, NULL, seed, NULL), 0);
}

static int broadcasts_while_held(void *arg)
{
    task(int) tasks[4];

    (void)arg;
    order_count = 0;
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn(waits, i);
        bide_sleep(BIDE_MS(1));
    }
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    bide_cond_broadcast(&changed);
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(order_count, 0); /* they are woken, and in line for the mutex */
    bide_mutex_unlock(&lock);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(await(tasks[i]), 0);
        CHECK_EQ(order[i], i);
    }
    return 0;
}

/*
 * Goal:   who is woken while another holds the mutex returns only when it is his, in order.
 * Method: a broadcast by a holder that sleeps.
 */
TEST(cond, wait_returns_with_the_mutex_held_in_order)
{
    CHECK_EQ(bide_test_run(broadcasts_while_held, NULL, 0, NULL), 0);
}

static async(int, waits_for_a_while, int, number, bide_time, timeout)
{
    int err = 1;

    with_timeout (timeout)
        err = waits(number);
    return err;
}

static int gives_up_while_held(void *arg)
{
    task(int) cancelled = spawn(waits, 0), late = spawn(waits_for_a_while, 1, BIDE_MS(7));

    (void)arg;
    order_count = 0;
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    cancel(cancelled);
    bide_sleep(BIDE_MS(1));
    cancel(cancelled); /* in line for the mutex now: does not take it out */
    bide_sleep(BIDE_MS(20));
    CHECK(!is_done(cancelled) && !is_done(late));
    bide_cond_signal(&changed); /* nobody waits any more */
    bide_mutex_unlock(&lock);
    CHECK_EQ(await(cancelled), -ECANCELED);
    CHECK_EQ(await(late), -ETIMEDOUT);
    CHECK_EQ(order_count, 2);
    return 0;
}

/*
 * Goal:   a wait that is cancelled or times out returns with the mutex held, however long that
 *         takes, and cannot be cancelled out of locking it.
 * Method: another holds the mutex meanwhile; a second cancel comes while the first one's task is in
 *         line.
 */
TEST(cond, cancelled_wait_holds_the_mutex_again)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(gives_up_while_held, NULL, seed, NULL), 0);
}

static int is_cancelled_in_line_for_the_mutex(void *arg)
{
    task(int) signalled, late, behind;

    (void)arg;
    signalled = spawn(waits, 0);
    bide_sleep(BIDE_US(1));
    late = spawn(waits_for_a_while, 1, BIDE_MS(2));
    bide_sleep(BIDE_MS(1));
    order_count = 0;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    bide_cond_signal(&changed);
    bide_sleep(BIDE_MS(5));
    behind = spawn(waits_for_a_while, 2, BIDE_MS(1)); /* gets no further than to the lock call */
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(await(behind), -ETIMEDOUT);
    cancel(signalled);
    cancel(late);
    bide_sleep(BIDE_MS(5));
    CHECK(!is_done(signalled) && !is_done(late));
    bide_mutex_unlock(&lock);
    CHECK_EQ(await(signalled) + await(late), -ETIMEDOUT);
    CHECK_EQ(order_count, 2);
    return 0;
}

/*
 * Goal:   a cancel that finds a task in line for the mutex leaves it there, and what its wait
 *         returns is what ended the wait.
 * Method: one that was signalled and one that timed out, both cancelled while another holds the
 *         mutex; an ordinary lock call gives up meanwhile.
 */
TEST(cond, cancel_does_not_reach_the_locking)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(is_cancelled_in_line_for_the_mutex, NULL, seed, NULL), 0);
}

static int signals_then_cancels(void *arg)
{
    bool cancel_first = *(bool *)arg;
    task(int) first, second;

    first = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    second = spawn(waits, 1);
    bide_sleep(BIDE_MS(1));
    order_count = 0;
    if (cancel_first)
        cancel(first);
    bide_cond_signal(&changed);
    if (!cancel_first)
        cancel(first);
    CHECK_EQ(await(first), cancel_first ? -ECANCELED : 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(order_count, cancel_first ? 2 : 1);
    if (!cancel_first)
        bide_cond_signal(&changed);
    CHECK_EQ(await(second), 0);
    return 0;
}

/*
 * Goal:   a signal is taken by one task, or goes to the next: a cancel swallows none.
 * Method: signal and cancel the first of two in one turn, in both orders, under many seeds.
 */
TEST(cond, cancel_swallows_no_signal)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++)
        for (uint64_t seed = 0; seed < 100; seed++) {
            bool first = cancel_first;
            CHECK_EQ(bide_test_run(signals_then_cancels, &first, seed, NULL), 0);
        }
}

static int two_signals_for_three(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[3];
    int woken = 0;

    order_count = 0;
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(waits, i);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    bide_sleep_until(BIDE_MS(10));
    bide_cond_signal(&changed);
    if (sweep_random(at, 2) == 0)
        bide_yield();
    bide_cond_signal(&changed);
    bide_sleep(BIDE_MS(1));
    for (int i = 0; i < 3; i++)
        woken += is_done(tasks[i]);
    CHECK_EQ(woken, 3); /* two by the signals, one by the cancel */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(tasks[i]), i == at->victim ? -ECANCELED : 0);
    CHECK_EQ(bide_mutex_try_lock(&lock), 0);
    bide_mutex_unlock(&lock);
    return 0;
}

/* Cells that are filled and emptied by tasks which wait for each other. */
enum { CELLS = 2, ITEMS = 6 };
static int filled, put_count, taken_count;
static bide_cond not_full = BIDE_COND_INIT, not_empty = BIDE_COND_INIT;

static async(int, fills, int, count)
{
    for (int i = 0; i < count; i++) {
        int err = bide_mutex_lock(&lock);
        if (err < 0)
            return err;
        while (filled == CELLS && err == 0)
            err = bide_cond_wait(&not_full, &lock);
        if (err == 0) {
            CHECK(filled < CELLS);
            filled++;
            put_count++;
            bide_cond_signal(&not_empty);
        }
        bide_mutex_unlock(&lock);
        if (err < 0)
            return err;
    }
    return 0;
}

static async(int, drains, int, count)
{
    for (int i = 0; i < count; i++) {
        int err = bide_mutex_lock(&lock);
        if (err < 0)
            return err;
        while (filled == 0 && err == 0)
            err = bide_cond_wait(&not_empty, &lock);
        if (err == 0) {
            CHECK(filled > 0);
            filled--;
            taken_count++;
            bide_cond_signal(&not_full);
        }
        bide_mutex_unlock(&lock);
        bide_sleep(BIDE_MS(1));
        if (err < 0)
            return err;
    }
    return 0;
}

static int fills_and_drains(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[4];

    filled = put_count = taken_count = 0;
    tasks[0] = spawn(fills, ITEMS);
    tasks[1] = spawn(drains, ITEMS);
    tasks[2] = spawn(fills, ITEMS);
    tasks[3] = spawn(drains, ITEMS);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    bide_sleep(BIDE_SEC(1));
    if (at->victim % 2 == 0) /* what is left of the other kind waits for ever */
        cancel(tasks[1]), cancel(tasks[3]);
    else
        cancel(tasks[0]), cancel(tasks[2]);
    for (int i = 0; i < 4; i++)
        await(tasks[i]);
    CHECK_EQ(put_count - taken_count, filled);
    CHECK(taken_count >= put_count - CELLS);
    CHECK(at->victim % 2 == 0 ? filled == 0 : put_count == 2 * ITEMS || filled == CELLS);
    return 0;
}

/*
 * Goal:   whenever a waiter is cancelled, every signal finds one that waits, and no item is lost.
 * Method: two signals for three of whom one is cancelled; and two that fill with two that drain, of
 *         whom each is cancelled at each moment: the others go on to the end.
 */
TEST(cond, cancel_at_any_moment_loses_nothing)
{
    sweep(two_signals_for_three, 3, 9);
    sweep(fills_and_drains, 4, 8);
}

static int waits_in_fired_scopes(void *arg)
{
    task(int) other;

    (void)arg;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    other = spawn(waits, 1);
    bide_sleep(BIDE_MS(1));
    order_count = 0;
    with_timeout (0)
        CHECK_EQ(bide_cond_wait(&changed, &lock), -ETIMEDOUT);
    with_timeout (BIDE_MS(2)) {
        bide_sleep(BIDE_MS(5));
        CHECK_EQ(bide_cond_wait(&changed, &lock), -ETIMEDOUT);
    }
    cancel(other);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(order_count, 0);
    bide_mutex_unlock(&lock); /* was held all the time */
    CHECK_EQ(await(other), -ECANCELED);
    return 0;
}

/*
 * Goal:   in a scope that fired wait returns at once and does not let go of the mutex.
 * Method: a passed deadline, while another task is in line for the mutex.
 */
TEST(cond, wait_in_a_fired_scope_keeps_the_mutex)
{
    CHECK_EQ(bide_test_run(waits_in_fired_scopes, NULL, 0, NULL), 0);
}

static int starts_in_three_ways(void *arg)
{
    bide_cond conds[3] = {BIDE_COND_INIT};

    (void)arg;
    memset(&conds[1], 0, sizeof conds[1]);
    memset(&conds[2], 0xa5, sizeof conds[2]);
    bide_cond_init(&conds[2]);
    for (int i = 0; i < 3; i++) {
        bide_cond_signal(&conds[i]);
        CHECK_EQ(bide_mutex_lock(&lock), 0);
        with_timeout (BIDE_MS(1))
            CHECK_EQ(bide_cond_wait(&conds[i], &lock), -ETIMEDOUT);
        bide_mutex_unlock(&lock);
        bide_cond_broadcast(&conds[i]);
    }
    return 0;
}

/*
 * Goal:   the initialiser, zeroed memory and bide_cond_init make the same thing.
 * Method: signal, wait and broadcast on each.
 */
TEST(cond, starts_from_initialiser_zeroes_or_init)
{
    CHECK_EQ(bide_test_run(starts_in_three_ways, NULL, 0, NULL), 0);
}

static int body_of_a_mistake(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run(void (*body)(void))
{
    bide_test_run(body_of_a_mistake, &body, 0, NULL);
}

static async(int, takes_and_ends, int, unused)
{
    (void)unused;
    return bide_mutex_lock(&lock);
}

static void waits_with_a_free_mutex(void)
{
    bide_cond_wait(&changed, &lock);
}

static void waits_with_a_mutex_of_another(void)
{
    spawn(takes_and_ends, 0);
    bide_yield();
    bide_cond_wait(&changed, &lock);
}

static async(int, signals_and_ends_with_the_mutex, int, unused)
{
    (void)unused;
    bide_mutex_lock(&lock);
    bide_cond_signal(&changed);
    return 0;
}

static void is_woken_by_one_that_ends_with_the_mutex(void)
{
    bide_mutex_lock(&lock);
    spawn(signals_and_ends_with_the_mutex, 0);
    bide_cond_wait(&changed, &lock);
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: each in a process of its own.
 */
TEST(cond, mistakes_abort_and_name_the_tasks)
{
    EXPECT_DEATH(run(waits_with_a_free_mutex),
                 "bide_cond_wait: task 'main' #1 (the first) does not hold this mutex, nobody");
    EXPECT_DEATH(run(waits_with_a_mutex_of_another), "does not hold this mutex, a task that has");
    EXPECT_DEATH(run(is_woken_by_one_that_ends_with_the_mutex),
                 "bide_cond_wait: task 'main' #1 (the first) would wait for ever");
    EXPECT_DEATH(bide_cond_wait(&changed, &lock), "bide_cond_wait was called outside of a task");
}

static int leaves_waiters_behind(void *arg)
{
    (void)arg;
    order_count = 0;
    go(waits, 0);
    go(waits, 1);
    bide_sleep(BIDE_MS(1));
    return 0;
}

/*
 * Goal:   waiters unwind when the loop ends, each with the mutex held in turn.
 * Method: two detached ones outlive the first task.
 */
TEST(cond, waiters_unwind_with_the_loop)
{
    CHECK_EQ(bide_test_run(leaves_waiters_behind, NULL, 0, NULL), 0);
    CHECK_EQ(order_count, 2);
}
