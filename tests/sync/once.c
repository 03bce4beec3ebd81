/* SPDX-License-Identifier: MIT */
/*
 * once.c - the function succeeds once, in one task, for all.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_once once = BIDE_ONCE_INIT;
static int running, calls, successes;

/* What the function does: sleep, then fail with its own number when that is negative. */
static int opens(void *arg)
{
    int result = *(int *)arg, err;

    CHECK_EQ(running++, 0);
    calls++;
    err = bide_sleep(BIDE_MS(2));
    CHECK_EQ(--running, 0);
    if (err == 0 && result >= 0)
        successes++;
    return err < 0 ? err : result;
}

static async(int, needs, int, result)
{
    return bide_once_do(&once, opens, &result);
}

static void start_anew(void)
{
    running = calls = successes = 0;
    bide_once_init(&once);
}

static int all_get_the_first_result(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    start_anew();
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn(needs, 7 + i);
        bide_yield();
    }
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), 7);
    CHECK_EQ(needs(99), 7); /* later, too */
    CHECK_EQ(calls, 1);
    CHECK_EQ(bide_now(), BIDE_MS(2));
    return 0;
}

/*
 * Goal:   the function runs once; who waits and who comes later gets its result.
 * Method: five tasks, and one more call afterwards.
 */
TEST(once, first_success_is_the_result_of_all)
{
    CHECK_EQ(bide_test_run(all_get_the_first_result, NULL, 0, NULL), 0);
}

static int next_one_tries(void *arg)
{
    task(int) tasks[4];
    const int results[4] = {-EIO, -ENOENT, 0, 5};

    (void)arg;
    start_anew();
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn(needs, results[i]);
        bide_sleep(BIDE_US(1));
    }
    CHECK_EQ(await(tasks[0]), -EIO);
    CHECK_EQ(await(tasks[1]), -ENOENT);
    CHECK_EQ(await(tasks[2]), 0);
    CHECK_EQ(await(tasks[3]), 0); /* not 5: its own function was not called */
    CHECK_EQ(calls, 3);
    CHECK_EQ(needs(5), 0);
    return 0;
}

static int fails_without_a_successor(void *arg)
{
    (void)arg;
    start_anew();
    CHECK_EQ(needs(-EIO), -EIO);
    CHECK_EQ(needs(-ENOENT), -ENOENT);
    CHECK_EQ(needs(3), 3);
    CHECK_EQ(needs(-EIO), 3);
    CHECK_EQ(calls, 3);
    return 0;
}

/*
 * Goal:   a failure goes to the caller whose function failed; the next that waits, or that comes,
 *         calls its own.
 * Method: two that fail in front of one that succeeds, and failures with nobody in line.
 */
TEST(once, failure_lets_the_next_try)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(next_one_tries, NULL, seed, NULL), 0);
    CHECK_EQ(bide_test_run(fails_without_a_successor, NULL, 0, NULL), 0);
}

static async(int, needs_soon, int, result, bide_time, timeout)
{
    int err = -1;

    with_timeout (timeout)
        err = needs(result);
    return err;
}

static int waiters_and_runner_give_up(void *arg)
{
    task(int) runner, cancelled, late, patient;

    (void)arg;
    start_anew();
    runner = spawn(needs, 1);
    bide_sleep(BIDE_US(1));
    cancelled = spawn(needs, 2);
    bide_sleep(BIDE_US(1));
    late = spawn(needs_soon, 3, BIDE_US(10));
    patient = spawn(needs, 4);
    bide_sleep(BIDE_US(100));
    cancel(cancelled);
    CHECK_EQ(await(cancelled), -ECANCELED);
    CHECK_EQ(await(late), -ETIMEDOUT);
    CHECK_EQ(calls, 1); /* neither of them called it */
    cancel(runner);     /* its function sees that, and fails */
    CHECK_EQ(await(runner), -ECANCELED);
    CHECK_EQ(await(patient), 4);
    CHECK_EQ(calls, 2);
    return 0;
}

/*
 * Goal:   a waiter that gives up has called nothing; a runner that is cancelled inside the function
 *         hands on to the next.
 * Method: a cancel and a deadline in line, then a cancel of the runner.
 */
TEST(once, cancelled_runner_hands_on)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(waiters_and_runner_give_up, NULL, seed, NULL), 0);
}

/* A function that hands on or succeeds, and cancels whoever is next in the same turn. */
static task(int) next_in_line;

static int fails_and_cancels_the_next(void *arg)
{
    bide_sleep(BIDE_MS(1));
    (void)arg;
    return -EIO;
}

static async(int, fails_first, int, unused)
{
    int result;

    (void)unused;
    result = bide_once_do(&once, fails_and_cancels_the_next, NULL);
    cancel(next_in_line);
    return result;
}

static int cancels_who_was_handed_the_turn(void *arg)
{
    task(int) first, last;

    (void)arg;
    start_anew();
    first = spawn(fails_first, 0);
    bide_sleep(BIDE_US(1));
    next_in_line = spawn(needs, 1);
    bide_sleep(BIDE_US(1));
    last = spawn(needs, 2);
    CHECK_EQ(await(first), -EIO);
    CHECK_EQ(await(next_in_line), -ECANCELED);
    CHECK_EQ(await(last), 2);
    CHECK_EQ(calls, 2); /* the cancelled one called its function, which saw the cancel */
    return 0;
}

/*
 * Goal:   the turn to run that was handed over is not lost when its new owner is cancelled first.
 * Method: the cancel comes in the turn in which the turn was handed over.
 */
TEST(once, handed_over_turn_survives_a_cancel)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(cancels_who_was_handed_the_turn, NULL, seed, NULL), 0);
}

static int cancelled_at_any_time(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[4];
    int failed = 0;

    start_anew();
    for (int i = 0; i < 4; i++)
        tasks[i] = spawn(needs, sweep_random(at, 2) == 0 ? -EIO : 8);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 4; i++) {
        int result = await(tasks[i]);
        CHECK(result == 8 || result == -EIO || (result == -ECANCELED && i == at->victim));
        CHECK(result != 8 || successes == 1);
        failed += result < 0;
    }
    CHECK(successes == 1 || failed == 4);
    CHECK_EQ(needs(8), 8);
    CHECK_EQ(successes, 1);
    return 0;
}

/*
 * Goal:   whatever fails or is cancelled, nobody waits for ever and the function succeeds once.
 * Method: four that fail or succeed at random; cancel each at each moment.
 */
TEST(once, cancel_at_any_moment_strands_nobody)
{
    sweep(cancelled_at_any_time, 4, 9);
}

static int does_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_once zeroed, fresh = BIDE_ONCE_INIT;
    int result = 6;

    (void)arg;
    start_anew();
    with_timeout (0)
        CHECK_EQ(needs(1), -ETIMEDOUT);
    CHECK_EQ(calls, 0);
    CHECK_EQ(needs(1), 1);
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(needs(1), -ECANCELED);
    }
    memset(&zeroed, 0, sizeof zeroed);
    CHECK_EQ(bide_once_do(&zeroed, opens, &result), 6);
    CHECK_EQ(bide_once_do(&fresh, opens, &result), 6);
    return 0;
}

/*
 * Goal:   in a scope that fired the call returns the code and runs nothing, also when it is done.
 * Method: before and after; then on zeroed memory and the initialiser, outside of such a scope.
 */
TEST(once, call_in_a_fired_scope_runs_nothing)
{
    CHECK_EQ(bide_test_run(does_in_fired_scopes, NULL, 0, NULL), 0);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int does_without_end(void *arg)
{
    task(int) bystander;

    (void)arg;
    start_anew();
    CHECK_EQ(needs(1), 1);
    bystander = spawn(looks_on, 10);
    while (!is_done(bystander))
        CHECK_EQ(needs(1), 1);
    return await(bystander);
}

/*
 * Goal:   a task that asks again and again for what is done lets the others run.
 * Method: a loop that ends only when a bystander has had its turns.
 */
TEST(once, call_when_done_starves_nobody)
{
    CHECK_EQ(bide_test_run(does_without_end, NULL, 0, NULL), 0);
}

static int recurses(void *arg)
{
    return bide_once_do(&once, recurses, arg);
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: a call from inside the function; a call outside of a task.
 */
TEST(once, mistakes_abort_and_name_the_task)
{
    EXPECT_DEATH(bide_test_run(recurses, NULL, 0, NULL),
                 "bide_once_do: task 'main' #1 (the first) calls it from inside the function");
    EXPECT_DEATH(bide_once_do(&once, opens, NULL), "bide_once_do was called outside of a task");
}
