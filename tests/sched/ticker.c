/* SPDX-License-Identifier: MIT */
/*
 * ticker.c - ticks stay on their schedule, and each policy does what it says with those missed.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>

#include "reports.h"
#include "sched/loop.h"
#include "sched/virtual.h"
#include "test.h"

static void run(int (*body)(void *))
{
    CHECK_EQ(bide_test_run(body, NULL, 0, NULL), 0);
}

static const enum bide_tick_policy policies[] = {BIDE_TICK_BURST, BIDE_TICK_DELAY, BIDE_TICK_SKIP};

/* Keep the processor for so long: time that passes while nobody sleeps. */
static void hog(bide_time ns)
{
    BIDE__CONTAINER(bide__loop_here->host, struct bide__virtual, host)->now += ns;
}

static int ticks_on_time(void *arg)
{
    enum { INTERVAL = 333 };

    (void)arg;
    for (int p = 0; p < 3; p++) {
        bide_ticker ticker;
        bide_time start = bide_now();
        bide_ticker_init(&ticker, INTERVAL, policies[p]);
        for (int i = 1; i <= 1000; i++) {
            CHECK_EQ(bide_ticker_wait(&ticker), 1);
            CHECK_EQ(bide_now(), start + (bide_time)i * INTERVAL);
            bide_sleep(i * 7 % INTERVAL); /* work that is done in time */
        }
    }
    return 0;
}

/*
 * Goal:   whatever the policy, a loop that is done before the next tick sees each at its time, the
 *         first one interval after the start, without drift.
 * Method: 1000 ticks of an odd interval, with work of changing length between them.
 */
TEST(ticker, ticks_do_not_drift)
{
    run(ticks_on_time);
}

/* Start at 0 with an interval of 10, be busy until `busy`, then take ticks; "time:count " each. */
static void take_ticks(enum bide_tick_policy policy, bide_time busy, int ticks,
                       const char *expected)
{
    bide_ticker ticker;
    bide_time start = bide_now();
    char text[128];
    int length = 0;

    bide_ticker_init(&ticker, 10, policy);
    bide_sleep(busy);
    for (int i = 0; i < ticks; i++) {
        int64_t count = bide_ticker_wait(&ticker);
        length += snprintf(text + length, sizeof text - (size_t)length, "%lld:%lld ",
                           (long long)(bide_now() - start), (long long)count);
    }
    CHECK_STR(text, expected);
}

static int comes_late(void *arg)
{
    (void)arg;
    take_ticks(BIDE_TICK_BURST, 35, 5, "35:1 35:1 35:1 40:1 50:1 ");
    take_ticks(BIDE_TICK_DELAY, 35, 4, "35:1 45:1 55:1 65:1 ");
    take_ticks(BIDE_TICK_SKIP, 35, 4, "35:3 40:1 50:1 60:1 ");
    take_ticks(BIDE_TICK_BURST, 14, 3, "14:1 20:1 30:1 ");
    take_ticks(BIDE_TICK_DELAY, 14, 3, "14:1 24:1 34:1 ");
    take_ticks(BIDE_TICK_SKIP, 14, 3, "14:1 20:1 30:1 ");
    take_ticks(BIDE_TICK_BURST, 20, 3, "20:1 20:1 30:1 "); /* just as the next one is due */
    take_ticks(BIDE_TICK_DELAY, 20, 3, "20:1 30:1 40:1 ");
    take_ticks(BIDE_TICK_SKIP, 20, 3, "20:2 30:1 40:1 ");
    for (int p = 0; p < 3; p++)
        take_ticks(policies[p], 10, 3, "10:1 20:1 30:1 "); /* not late */
    return 0;
}

/*
 * Goal:   ticks that were missed come at once, push the schedule, or are left out and counted.
 * Method: late by less than an interval, by just one, by several, and by nothing; each policy.
 */
TEST(ticker, late_ticks_follow_the_policy)
{
    run(comes_late);
}

static async(int, hogs_at, bide_time, at, bide_time, ns)
{
    bide_sleep_until(at);
    hog(ns);
    return 0;
}

/* The same while the task waits in time, and another keeps the processor from 9 to 9 + ns. */
static void wake_late(enum bide_tick_policy policy, bide_time ns, const char *expected)
{
    bide_time start = bide_now();
    task(int) other = spawn(hogs_at, start + 9, ns);

    take_ticks(policy, 0, 4, expected);
    await(other);
}

static int wakes_late(void *arg)
{
    (void)arg;
    for (int p = 0; p < 3; p++)
        wake_late(policies[p], 4, "13:1 20:1 30:1 40:1 ");
    wake_late(BIDE_TICK_BURST, 25, "34:1 34:1 34:1 40:1 ");
    wake_late(BIDE_TICK_DELAY, 25, "34:1 44:1 54:1 64:1 ");
    wake_late(BIDE_TICK_SKIP, 25, "34:3 40:1 50:1 60:1 ");
    return 0;
}

/*
 * Goal:   a task that waited in time is not late because its wake-up took a little: no policy lets
 *         that shift the schedule. It is when an interval or more has gone by.
 * Method: another task keeps the processor while the tick becomes due.
 */
TEST(ticker, slow_wake_up_does_not_shift_the_schedule)
{
    run(wakes_late);
}

static async(int64_t, waits_for_tick, bide_ticker *, ticker)
{
    return bide_ticker_wait(ticker);
}

static int cancels(void *arg)
{
    (void)arg;
    for (int p = 0; p < 3; p++) {
        bide_ticker ticker;
        bide_time start = bide_now();

        bide_ticker_init(&ticker, 10, policies[p]);
        with_timeout (4)
            CHECK_EQ(bide_ticker_wait(&ticker), -ETIMEDOUT);
        task(int64_t) waiter = spawn(waits_for_tick, &ticker);
        bide_sleep(2);
        cancel(waiter);
        CHECK_EQ(await(waiter), -ECANCELED);
        CHECK_EQ(bide_ticker_wait(&ticker), 1);
        CHECK_EQ(bide_now() - start, 10);
        bide_sleep_until(start + 20);
        with_timeout (0)
            CHECK_EQ(bide_ticker_wait(&ticker), -ETIMEDOUT); /* although one is due */
        CHECK_EQ(bide_ticker_wait(&ticker), 1);
        CHECK_EQ(bide_now() - start, 20);
        int64_t count = 0;
        with_timeout (10) /* due in the same instant */
            count = bide_ticker_wait(&ticker);
        with_timeout (5)
            CHECK_EQ(bide_ticker_wait(&ticker), count == 1 ? -ETIMEDOUT : 1);
    }
    return 0;
}

/*
 * Goal:   a wait that is cancelled or times out takes no tick, due or not: the next one gets it.
 * Method: cancel before the tick, when it is due, and in the same instant; each policy.
 */
TEST(ticker, cancel_loses_no_tick)
{
    run(cancels);
}

static int resets(void *arg)
{
    bide_ticker ticker;

    (void)arg;
    bide_ticker_init(&ticker, 10, BIDE_TICK_BURST);
    bide_sleep(35);
    bide_ticker_reset(&ticker);
    CHECK_EQ(bide_ticker_wait(&ticker), 1);
    CHECK_EQ(bide_now(), 45);
    task(int64_t) waiter = spawn(waits_for_tick, &ticker);
    bide_sleep(3);
    bide_ticker_reset(&ticker);
    CHECK_EQ(await(waiter), 1);
    CHECK_EQ(bide_now(), 58);

    waiter = spawn(waits_for_tick, &ticker); /* put off, and then cancelled */
    bide_sleep(9);
    bide_ticker_reset(&ticker);
    bide_sleep(2);
    CHECK(!is_done(waiter));
    cancel(waiter);
    CHECK_EQ(await(waiter), -ECANCELED);
    return 0;
}

/*
 * Goal:   a reset forgets what was missed and starts anew, for a task that waits as well.
 * Method: reset after 3.5 intervals, and during a wait.
 */
TEST(ticker, reset_starts_anew)
{
    run(resets);
}

static async(int, counts_ticks, bide_ticker *, ticker, int *, ticks)
{
    while (bide_ticker_wait(ticker) == 1)
        ++*ticks;
    return 0;
}

static int shares(void *arg)
{
    bide_ticker ticker;
    task(int) waiters[3];
    int ticks = 0;

    (void)arg;
    bide_ticker_init(&ticker, 10, BIDE_TICK_SKIP);
    for (int i = 0; i < 3; i++)
        waiters[i] = spawn(counts_ticks, &ticker, &ticks);
    bide_sleep(105);
    CHECK_EQ(ticks, 10);
    for (int i = 0; i < 3; i++)
        cancel(waiters[i]);
    for (int i = 0; i < 3; i++)
        await(waiters[i]);
    return 0;
}

static async(int, takes_and_cancels, bide_ticker *, ticker, task(int64_t) *, other)
{
    CHECK_EQ(bide_ticker_wait(ticker), 1);
    cancel(*other); /* which was woken for this tick as well, and has not run since */
    return 0;
}

static int loses_and_is_cancelled(void *arg)
{
    bide_ticker ticker;
    task(int64_t) loser;

    (void)arg;
    bide_ticker_init(&ticker, 10, BIDE_TICK_SKIP);
    task(int) winner = spawn(takes_and_cancels, &ticker, &loser);
    loser = spawn(waits_for_tick, &ticker);
    CHECK_EQ(await(winner), 0);
    CHECK_EQ(await(loser), -ECANCELED);
    CHECK_EQ(bide_now(), 10);
    CHECK_EQ(bide_ticker_wait(&ticker), 1);
    CHECK_EQ(bide_now(), 20);
    return 0;
}

/*
 * Goal:   of several tasks that wait for one ticker, each tick goes to one.
 * Method: three of them, under many seeds; and one that is cancelled just as it finds its tick
 *         gone.
 */
TEST(ticker, each_tick_goes_to_one_task)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(shares, NULL, seed, NULL), 0);
    run(loses_and_is_cancelled);
}

static int goes_far(void *arg)
{
    enum bide_tick_policy policy = *(const enum bide_tick_policy *)arg;
    bide_ticker ticker, never;

    bide_ticker_init(&ticker, 1, BIDE_TICK_SKIP);
    bide_ticker_init(&never, BIDE_FOREVER, policy);
    with_timeout (BIDE_SEC(1))
        CHECK_EQ(bide_ticker_wait(&never), -ETIMEDOUT);
    bide_sleep_until(INT64_MAX / 2 + 10);
    CHECK_EQ(bide_ticker_wait(&ticker), INT64_MAX / 2 + 10);
    CHECK_EQ(bide_ticker_wait(&ticker), 1);
    CHECK_EQ(bide_now(), INT64_MAX / 2 + 11);
    bide_ticker_init(&ticker, INT64_MAX / 2 - 20, policy);
    CHECK_EQ(bide_ticker_wait(&ticker), 1);
    with_timeout (1) /* beyond all time */
        CHECK_EQ(bide_ticker_wait(&ticker), -ETIMEDOUT);
    bide_sleep_until(BIDE_FOREVER - 1);
    bide_ticker_init(&ticker, 1, policy);
    CHECK_EQ(bide_ticker_wait(&ticker), -ECANCELED); /* a deadlock, which is reported */
    return 0;
}

/*
 * Goal:   times beyond all time mean never, and nothing overflows.
 * Method: the longest and the shortest interval, over centuries.
 */
TEST(ticker, extreme_intervals_saturate)
{
    for (int p = 0; p < 3; p++) {
        enum bide_tick_policy policy = policies[p];
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);

        CHECK_EQ(bide_test_run(goes_far, &policy, 0, &options), -EDEADLK);
        CHECK_CONTAINS(reports_get(&seen, BIDE_REPORT_DEADLOCK, 1)->message, "in ticker_wait");
    }
}

static async(int, bystander, const bool *, ends, int *, turns)
{
    while (!*ends && bide_yield() == 0)
        ++*turns;
    return 0;
}

static int catches_up(void *arg)
{
    bide_ticker ticker;
    bool ends = false;
    int turns = 0;

    (void)arg;
    bide_ticker_init(&ticker, 1, BIDE_TICK_BURST);
    bide_sleep(10000);
    task(int) other = spawn(bystander, &ends, &turns);
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(bide_ticker_wait(&ticker), 1);
    CHECK_EQ(bide_now(), 10000);
    CHECK(turns > 100);
    ends = true;
    await(other);
    return 0;
}

/*
 * Goal:   a burst of missed ticks does not keep other tasks from running.
 * Method: 10,000 of them, and a bystander whose turns are counted.
 */
TEST(ticker, burst_spends_the_budget)
{
    run(catches_up);
}

static int waits_without_a_start(void *arg)
{
    bide_ticker ticker = {0};

    (void)arg;
    return (int)bide_ticker_wait(&ticker);
}

/*
 * Goal:   mistakes end the process with a line that says what to change.
 * Method: each one in a process of its own.
 */
TEST(ticker, misuse_aborts_with_one_line)
{
    bide_ticker ticker = {0};

    EXPECT_DEATH(bide_ticker_init(&ticker, 0, BIDE_TICK_BURST), "must be more than 0 ns, not 0");
    EXPECT_DEATH(bide_ticker_init(&ticker, -5, BIDE_TICK_BURST), "must be more than 0 ns, not -5");
    EXPECT_DEATH(bide_ticker_init(&ticker, INT64_MIN, BIDE_TICK_SKIP), "more than 0 ns");
    EXPECT_DEATH(bide_ticker_init(&ticker, 1, (enum bide_tick_policy)7), "no policy 7");
    EXPECT_DEATH(bide_ticker_reset(&ticker), "not started with bide_ticker_init");
    EXPECT_DEATH(bide_test_run(waits_without_a_start, NULL, 0, NULL), "not started with");
    bide_ticker_init(&ticker, 1, BIDE_TICK_BURST); /* outside a loop: fine */
    EXPECT_DEATH(bide_ticker_wait(&ticker), "bide_ticker_wait was called outside of a task");
}
