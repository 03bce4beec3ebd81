/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the loop's own doings: fairness, counting, deadlock, ending, loops in loops.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "context/sanitizer.h"
#include "reports.h"
#include "test.h"

static async(int, yields_until, const bool *, stop)
{
    int turns = 0;

    for (; !*stop; turns++)
        CHECK_EQ(bide_yield(), 0);
    return turns;
}

static int yielders_beside_a_timer(void *arg)
{
    bool stop = false;
    task(int) ping = spawn(yields_until, &stop);
    task(int) pong = spawn(yields_until, &stop);

    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    stop = true;
    int a = await(ping), b = await(pong);
    CHECK(a > 0 && b > 0);
    CHECK(a - b <= 1 && b - a <= 1);
    return 0;
}

/*
 * Goal:   two tasks that yield to each other for ever starve no timer, nor one another.
 * Method: on the real clock, a third one sleeps five times and then stops them. A starved one would
 *         never end.
 */
TEST(loop, yielding_pair_does_not_starve_timers)
{
    CHECK_EQ(bide_run(yielders_beside_a_timer, NULL, NULL), 0);
}

static async(int, rearms_until, const bool *, stop)
{
    int turns = 0;

    for (; !*stop; turns++) {
        CHECK_EQ(bide_sleep(0), 0);
        with_timeout (0)
            CHECK_EQ(bide_sleep(1), -ETIMEDOUT);
    }
    return turns;
}

static int rearming_beside_a_timer(void *arg)
{
    bool stop = false;
    task(int) busy = spawn(rearms_until, &stop);

    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    stop = true;
    CHECK(await(busy) > 0);
    return 0;
}

/*
 * Goal:   a task that sleeps for no time over and over starves no other.
 * Method: on the real clock, beside a sleeper that stops it.
 */
TEST(loop, zero_timeouts_do_not_starve_timers)
{
    CHECK_EQ(bide_run(rearming_beside_a_timer, NULL, NULL), 0);
}

enum { YIELDS = 1000 };

static async(int, yields, int, times)
{
    for (int i = 0; i < times; i++)
        bide_yield();
    return 0;
}

static int counts_turns(void *arg)
{
    bide_stats before, after;
    task(int) other = spawn(yields, YIELDS);

    (void)arg;
    bide_loop_stats(&before);
    for (int i = 0; i < YIELDS; i++)
        bide_yield();
    bide_loop_stats(&after);
    CHECK_EQ(after.turns - before.turns, 2 * YIELDS);
    CHECK(after.polls > before.polls); /* even though somebody was always ready */
    CHECK_EQ(after.sleeps, before.sleeps);
    return await(other);
}

/*
 * Goal:   each time a task is given the processor counts as one turn, across polls; polls happen
 *         although there is always a ready task, and do not wait then.
 * Method: two tasks yield a thousand times each: two thousand turns.
 */
TEST(loop, turns_are_counted_exactly)
{
    CHECK_EQ(bide_test_run(counts_turns, NULL, 0, NULL), 0);
    CHECK_EQ(bide_run(counts_turns, NULL, NULL), 0);
}

static int unwound;

static async(int, sleeps_on, int, depth)
{
    int err = depth == 0 ? bide_sleep(BIDE_FOREVER) : await(spawn(sleeps_on, depth - 1));

    unwound++;
    return err;
}

static int runs_into_deadlock(void *arg)
{
    (void)arg;
    task(int) other = spawn(sleeps_on, 0);
    task(int) chain = spawn(sleeps_on, 2);
    CHECK_EQ(await(other), -ECANCELED);
    CHECK_EQ(await(chain), -ECANCELED);
    unwound++;
    return 5;
}

/*
 * Goal:   when every task sleeps and nothing can wake them, each is named with what it waits for
 *         and where; then all are cancelled and unwind, and the run ends with -EDEADLK.
 * Method: a sleeper for ever, a chain of awaits, and the first task; on both hosts.
 */
TEST(loop, deadlock_is_reported_for_each_task_and_unwinds)
{
    for (int real = 0; real < 2; real++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        int result = real ? bide_run(runs_into_deadlock, NULL, &options)
                          : bide_test_run(runs_into_deadlock, NULL, 0, &options);

        CHECK_EQ(result, -EDEADLK);
        CHECK_EQ(unwound, 5);
        unwound = 0;
        CHECK_EQ(seen.count, 6);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 6);
        CHECK_CONTAINS(seen.kept[0].message, "5 task(s) sleep");
        CHECK_STR(seen.kept[1].task, "main");
        CHECK_CONTAINS(seen.kept[1].message,
                       "'main' #1 (the first) sleeps in await of task 'sleeps_on' #2");
        CHECK_CONTAINS(seen.kept[1].message, "loop.c:");
        CHECK_CONTAINS(seen.kept[1].message, "in runs_into_deadlock()");
        CHECK_CONTAINS(seen.kept[2].message, "#2 (spawned at ");
        CHECK_CONTAINS(seen.kept[2].message, "sleeps in sleep");
        for (int i = 0; i < 6; i++)
            CHECK_EQ(seen.kept[i].error, -EDEADLK);
    }
}

static void deadlocks(void *arg)
{
    CHECK_EQ(bide_run(runs_into_deadlock, arg, NULL), -EDEADLK);
}

/*
 * Goal:   without on_report the same lines go to standard error.
 * Method: capture it.
 */
TEST(loop, deadlock_is_printed_by_default)
{
    int status = -1;
    char *text = test_capture_stderr(deadlocks, NULL, &status);

    CHECK_EQ(status, 0);
    CHECK_CONTAINS(text, "bide: deadlock: 5 task(s) sleep");
    CHECK_CONTAINS(text, "bide: deadlock: task 'main' #1");
    free(text);
}

static async(int, shielded_for_ever)
{
    with_shield (BIDE_FOREVER)
        bide_sleep(BIDE_FOREVER);
    return 0;
}

static int leaves_one_shielded_for_ever(void *arg)
{
    (void)arg;
    go(shielded_for_ever);
    return bide_sleep(1);
}

/*
 * Goal:   a task that hides from the cancel and can never wake does not hang the loop: the loop
 *         ends and says so.
 * Method: a sleep for ever under a shield without limit.
 */
TEST(loop, task_that_no_cancel_reaches_is_reported_and_dropped)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(leaves_one_shielded_for_ever, NULL, 0, &options), -EDEADLK);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 3);
    CHECK_CONTAINS(seen.kept[2].message, "sleeps on after it was cancelled");
}

static int inner_runs;

static int inner_body(void *arg)
{
    (void)arg;
    task(int) t = spawn(yields, 10);
    CHECK_EQ(bide_sleep(BIDE_US(10)), 0);
    CHECK_EQ(await(t), 0);
    inner_runs++;
    return 3;
}

static async(int, counts_on, int *, count)
{
    while (bide_yield() == 0)
        ++*count;
    return 0;
}

static int outer_body(void *arg)
{
    int count = 0;
    char marker[1000];

    (void)arg;
    task(int) busy = spawn(counts_on, &count);
    bide_yield();
    int before = count;
    for (size_t i = 0; i < sizeof marker; i++)
        marker[i] = (char)i;
    CHECK_EQ(bide_run(inner_body, NULL, NULL), 3);
    CHECK_EQ(bide_test_run(inner_body, NULL, 7, NULL), 3);
    for (size_t i = 0; i < sizeof marker; i++)
        CHECK_EQ(marker[i], (char)i);
    CHECK_EQ(count, before); /* the inner loops held this one */
    CHECK_STR(bide_task_name(), "main");
    bide_yield();
    CHECK(count > before);
    cancel(busy);
    return await(busy);
}

/*
 * Goal:   a loop may run inside a task of another; it holds that one's tasks, which go on
 *         afterwards.
 * Method: both hosts inside both hosts, with tasks on each level.
 */
TEST(loop, loop_inside_a_task_holds_the_outer_one)
{
    CHECK_EQ(bide_run(outer_body, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(outer_body, NULL, 0, NULL), 0);
    CHECK_EQ(inner_runs, 4);
}

static async(int, owns_memory)
{
    char *memory = malloc(1000);
    int err = bide_sleep(BIDE_FOREVER);

    free(memory);
    return err;
}

static int exits_with_owners(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        go(owns_memory);
    bide_yield();
    exit(0);
}

static void runs_and_exits(void *arg)
{
    bide_run(exits_with_owners, arg, NULL);
}

/*
 * Goal:   memory that only suspended tasks point to is no leak, and exit() inside a task ends the
 *         process in order.
 * Method: a thousand tasks sleep on a block each; then exit(0). Under LeakSanitizer the child would
 *         fail otherwise.
 */
TEST(loop, exit_inside_a_task_with_suspended_owners_is_no_leak)
{
    int status = -1;
    char *text = test_capture_stderr(runs_and_exits, NULL, &status);

    CHECK_STR(text, "");
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    free(text);
}

static void at_exit(void)
{
    fputs(" and cleaned up", stderr);
}

static int exits_with_buffered_text(void *arg)
{
    static char buffer[1000];

    (void)arg;
    setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
    atexit(at_exit);
    fputs("flushed", stderr);
    exit(9);
}

static void exits_buffered(void *arg)
{
    bide_run(exits_with_buffered_text, arg, NULL);
}

/*
 * Goal:   exit() inside a task runs atexit functions and flushes stdio.
 * Method: buffered text, an atexit function and an exit status, seen from outside.
 */
TEST(loop, exit_inside_a_task_flushes)
{
    int status = -1;
    char *text = test_capture_stderr(exits_buffered, NULL, &status);

    CHECK_STR(text, "flushed and cleaned up");
    CHECK_EQ(WEXITSTATUS(status), 9);
    free(text);
}

static async(int, counts_many, uint64_t, count)
{
    for (uint64_t i = 0; i < count; i++)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int yields_quietly(void *arg)
{
    (void)arg;
    task(int) a = spawn(counts_many, 50000);
    task(int) b = spawn(counts_many, 50000);
    bide_yield();
    uint64_t calls = bide__fault_system_calls(), allocations = bide__fault_count(BIDE__CALL_ALLOC);
    for (int i = 0; i < 49000; i++)
        bide_yield();
    CHECK_EQ(bide__fault_system_calls(), calls);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), allocations);
    return await(a) + await(b);
}

/*
 * Goal:   switching between ready tasks costs no system call and no allocation.
 * Method: count both over some 150,000 yields on the real loop.
 */
TEST(loop, yield_makes_no_system_call)
{
    CHECK_EQ(bide_run(yields_quietly, NULL, NULL), 0);
}
