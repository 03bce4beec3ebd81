/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - time: in which order sleepers wake, what extreme timeouts do, and that it is never
 * early.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "test.h"

static char trace[256];

static void note(char c)
{
    size_t length = strlen(trace);

    CHECK(length + 1 < sizeof trace);
    trace[length] = c;
}

static int sleeps_a_year(void *arg)
{
    const bide_time year = BIDE_SEC(365 * 86400);
    bide_stats before, after;

    (void)arg;
    CHECK_EQ(bide_now(), 0);
    bide_loop_stats(&before);
    CHECK_EQ(bide_sleep(year), 0);
    CHECK_EQ(bide_now(), year);
    bide_loop_stats(&after);
    CHECK(after.polls - before.polls <= 16); /* one a level of the timer wheel at the most */
    return 0;
}

/*
 * Goal:   on the virtual clock a year is a jump, not a wait.
 * Method: sleep a year; the clock shows it, and the loop polled a few times only.
 */
TEST(sleep, year_takes_no_time_on_the_virtual_clock)
{
    CHECK_EQ(bide_test_run(sleeps_a_year, NULL, 0, NULL), 0);
}

static async(int, sleeps, char, letter, bide_time, timeout)
{
    bide_time start = bide_now();

    CHECK_EQ(bide_sleep(timeout), 0);
    CHECK_EQ(bide_now(), start + timeout);
    note(letter);
    return 0;
}

static int sleeps_in_disorder(void *arg)
{
    (void)arg;
    go(sleeps, 'f', BIDE_SEC(100));
    go(sleeps, 'c', BIDE_MS(5));
    go(sleeps, 'a', 1);
    go(sleeps, 'd', BIDE_MS(5)); /* as long as c, and later */
    go(sleeps, 'b', BIDE_US(1));
    go(sleeps, 'e', BIDE_MS(5) + 1);
    return bide_sleep(BIDE_SEC(200));
}

/*
 * Goal:   sleepers wake at their time to the nanosecond, in the order of their deadlines, equal
 *         ones in the order in which they fell asleep.
 * Method: six in disorder, two of them equal, others a nanosecond apart.
 */
TEST(sleep, wakes_in_the_order_of_deadlines)
{
    CHECK_EQ(bide_test_run(sleeps_in_disorder, NULL, 0, NULL), 0);
    CHECK_STR(trace, "abcdef");
}

static async(int, marks, char, letter)
{
    note(letter);
    return 0;
}

static int sleeps_not_at_all(void *arg)
{
    const bide_time none[] = {0, -1, INT64_MIN};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        go(marks, 'a');
        CHECK_EQ(bide_sleep(none[i]), 0);
        note('.');
        go(marks, 'b');
        CHECK_EQ(bide_sleep_until(none[i]), 0);
        note('.');
    }
    CHECK_EQ(bide_now(), 0);
    return 0;
}

/*
 * Goal:   a timeout of 0 or less, and a deadline in the past, let the other ready tasks run once
 *         and take no time.
 * Method: 0, -1 and the most negative number, with one other task ready each time.
 */
TEST(sleep, zero_and_negative_yield_once)
{
    CHECK_EQ(bide_test_run(sleeps_not_at_all, NULL, 0, NULL), 0);
    CHECK_STR(trace, "a.b.a.b.a.b.");
}

static async(int, sleeps_for, bide_time, timeout)
{
    return bide_sleep(timeout);
}

static int sleeps_at_limits(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_sleep(5), 0);
    task(int) forever = spawn(sleeps_for, BIDE_FOREVER);
    task(int) too_long = spawn(sleeps_for, BIDE_FOREVER - 1); /* saturates: 5 ns have passed */
    task(int) longest = spawn(sleeps_for, BIDE_FOREVER - 6);
    CHECK_EQ(await(longest), 0);
    CHECK_EQ(bide_now(), BIDE_FOREVER - 1);
    CHECK(!is_done(forever) && !is_done(too_long));
    cancel(forever);
    cancel(too_long);
    CHECK_EQ(await(forever), -ECANCELED);
    CHECK_EQ(await(too_long), -ECANCELED);
    return 0;
}

/*
 * Goal:   timeouts too long to add to the clock never wrap: they last until cancelled. The longest
 *         that fits ends.
 * Method: INT64_MAX, one less, and the one that reaches the last nanosecond there is.
 */
TEST(sleep, longest_timeouts_saturate)
{
    CHECK_EQ(bide_test_run(sleeps_at_limits, NULL, 0, NULL), 0);
}

enum { NAPS = 20 };

static int naps(void *arg)
{
    bide_stats before, after;

    (void)arg;
    bide_loop_stats(&before);
    for (int i = 0; i < NAPS; i++) {
        bide_time start = bide_now();
        CHECK_EQ(bide_sleep(BIDE_US(50)), 0);
        CHECK(bide_now() - start >= BIDE_US(50));
    }
    bide_loop_stats(&after);
    CHECK(after.sleeps - before.sleeps <= NAPS);
    CHECK(after.polls - before.polls <= NAPS);
    return 0;
}

/*
 * Goal:   on the real clock a sleep is never early, and costs one poll and no more than one wait in
 *         the kernel.
 * Method: twenty naps of 50 us. A poll that comes too late (a busy machine) finds the time passed
 *         and waits not.
 */
TEST(sleep, short_sleep_is_one_wait_and_never_early)
{
    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP("it knows no epoll_pwait2");
    bide__fault_reset();
    CHECK_EQ(bide_run(naps, NULL, NULL), 0);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2) >= 1);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2) <= NAPS);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_WAIT), 0);
}

/*
 * Goal:   a kernel without epoll_pwait2 is asked once; sleeping is as exact without it.
 * Method: let the call fail with -ENOSYS; the naps hold as before.
 */
TEST(sleep, short_sleep_without_epoll_pwait2_is_never_early)
{
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, UINT64_MAX, -ENOSYS);
    CHECK_EQ(bide_run(naps, NULL, NULL), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2), 1);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_WAIT) >= 1);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_WAIT) <= NAPS);
}

static int sleeps_once(void *arg)
{
    (void)arg;
    return bide_sleep(BIDE_MS(20));
}

/*
 * Goal:   a signal that interrupts the wait shortens no sleep.
 * Method: let the first five waits end with -EINTR.
 */
TEST(sleep, interrupted_wait_is_taken_up_again)
{
    bide_time start = bide_now();

    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, 5, -EINTR);
    CHECK_EQ(bide_run(sleeps_once, NULL, NULL), 0);
    CHECK(bide_now() - start >= BIDE_MS(20));
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2) > 1);
}

static async(int, yields, char, letter, int, times)
{
    for (int i = 0; i < times; i++) {
        note(letter);
        CHECK_EQ(bide_yield(), 0);
    }
    return 0;
}

static int yields_around(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_yield(), 0); /* nobody else */
    go(yields, 'a', 3);
    go(yields, 'b', 3);
    go(yields, 'c', 2);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(bide_yield(), 0);
        note('.');
    }
    return 0;
}

/*
 * Goal:   yield lets every other ready task run once, in order, and returns at once when there is
 *         none.
 * Method: three tasks that leave their letter, and the first task a dot.
 */
TEST(sleep, yield_lets_each_other_task_run_once)
{
    CHECK_EQ(bide_test_run(yields_around, NULL, 0, NULL), 0);
    CHECK_STR(trace, "abc.abc.ab..");
}

/*
 * Goal:   the clock can be read anywhere; sleeping needs a task.
 * Method: outside of a loop, read it twice and try to sleep.
 */
TEST(sleep, outside_of_a_task_there_is_time_but_no_sleep)
{
    bide_time start = bide_now();

    CHECK(start > 0);
    CHECK(bide_now() >= start);
    EXPECT_DEATH(bide_sleep(1), "bide: bide_sleep was called outside of a task");
    EXPECT_DEATH(bide_yield(), "bide: bide_yield was called outside of a task");
}
