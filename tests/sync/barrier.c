/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - a generation passes together or not at all.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_barrier barrier = BIDE_BARRIER_INIT(3);

static async(int, waits, int, unused)
{
    (void)unused;
    return bide_barrier_wait(&barrier);
}

enum { PARTIES = 4, ROUNDS = 5 };
static int arrivals[ROUNDS], lasts[ROUNDS];

static async(int, goes_round, struct sweep *, at)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result;
        bide_sleep(BIDE_MS(sweep_random(at, 3)));
        arrivals[i]++;
        result = bide_barrier_wait(&barrier);
        CHECK(result == 0 || result == 1);
        CHECK_EQ(arrivals[i], PARTIES); /* nobody passes before all are there */
        lasts[i] += result;
    }
    return 0;
}

static int goes_round_together(void *arg)
{
    task(int) tasks[PARTIES];

    memset(arrivals, 0, sizeof arrivals);
    memset(lasts, 0, sizeof lasts);
    bide_barrier_init(&barrier, PARTIES);
    for (int i = 0; i < PARTIES; i++)
        tasks[i] = spawn(goes_round, arg);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(await(tasks[i]), 0);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_EQ(lasts[i], 1);
    CHECK_EQ(bide_barrier_waiting(&barrier), 0);
    return 0;
}

/*
 * Goal:   round after round, nobody passes before all have arrived, and one of each round gets 1.
 * Method: four tasks that come after random times, five rounds, two hundred seeds.
 */
TEST(barrier, generations_pass_together_and_repeat)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sweep at = {.random = test_seed() + seed};
        CHECK_EQ(bide_test_run(goes_round_together, &at, seed, NULL), 0);
    }
}

static int last_gets_one(void *arg)
{
    bide_barrier alone = BIDE_BARRIER_INIT(1);
    task(int) first, second;

    (void)arg;
    bide_barrier_init(&barrier, 3);
    CHECK_EQ(bide_barrier_waiting(&barrier), 0);
    first = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_waiting(&barrier), 1);
    second = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_waiting(&barrier), 2);
    CHECK(!is_done(first) && !is_done(second));
    CHECK_EQ(bide_barrier_wait(&barrier), 1);
    CHECK_EQ(bide_now(), BIDE_MS(2)); /* did not wait */
    CHECK_EQ(bide_barrier_waiting(&barrier), 0);
    CHECK_EQ(await(first), 0);
    CHECK_EQ(await(second), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_barrier_wait(&alone), 1);
    return 0;
}

/*
 * Goal:   the last to arrive gets 1 and does not wait, the others get 0; one party is always last.
 * Method: two that wait, counted, and a third.
 */
TEST(barrier, last_to_arrive_gets_one)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(last_gets_one, NULL, seed, NULL), 0);
}

static async(int, waits_for_a_while, bide_time, timeout)
{
    int err = -1;

    with_timeout (timeout)
        err = bide_barrier_wait(&barrier);
    return err;
}

static int takes_arrivals_back(void *arg)
{
    task(int) cancelled, late, first, second;

    (void)arg;
    bide_barrier_init(&barrier, 3);
    cancelled = spawn(waits, 0);
    late = spawn(waits_for_a_while, BIDE_MS(1));
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(await(late), -ETIMEDOUT);
    first = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_waiting(&barrier), 2);
    cancel(cancelled); /* has not run yet when the next arrives: it counts no more all the same */
    CHECK_EQ(bide_barrier_waiting(&barrier), 1);
    second = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(await(cancelled), -ECANCELED);
    CHECK_EQ(bide_barrier_waiting(&barrier), 2);
    CHECK(!is_done(first) && !is_done(second));
    CHECK(!bide_barrier_is_broken(&barrier));
    CHECK_EQ(bide_barrier_wait(&barrier), 1);
    CHECK_EQ(await(first) + await(second), 0);
    return 0;
}

static int arrives_in_the_turn_of_the_cancel(void *arg)
{
    task(int) cancelled;

    (void)arg;
    bide_barrier_init(&barrier, 2);
    for (int i = 0; i < 5; i++) {
        cancelled = spawn(waits, 0);
        bide_sleep(BIDE_MS(1));
        cancel(cancelled);
        CHECK_EQ(waits_for_a_while(BIDE_MS(1)), -ETIMEDOUT);
        CHECK_EQ(await(cancelled), -ECANCELED);
        CHECK_EQ(bide_barrier_waiting(&barrier), 0);
    }
    cancelled = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_wait(&barrier), 1);
    cancel(cancelled); /* has passed */
    CHECK_EQ(await(cancelled), 0);
    return 0;
}

/*
 * Goal:   a cancel or a deadline takes the arrival back, at once, and the others wait on for as
 *         many as are missing; who has passed has passed.
 * Method: a cancel, a deadline, an arrival in the turn of the cancel, a cancel in the turn of the
 *         last arrival; under many seeds.
 */
TEST(barrier, cancelled_arrival_is_taken_back)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        CHECK_EQ(bide_test_run(takes_arrivals_back, NULL, seed, NULL), 0);
        CHECK_EQ(bide_test_run(arrives_in_the_turn_of_the_cancel, NULL, seed, NULL), 0);
    }
}

static int three_of_four(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[4];
    int passed = 0, last = 0;

    bide_barrier_init(&barrier, 3);
    for (int i = 0; i < 4; i++)
        tasks[i] = spawn(waits_for_a_while, BIDE_MS(10));
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 4; i++) {
        int result = await(tasks[i]);
        CHECK(result >= 0 || result == -ETIMEDOUT || (result == -ECANCELED && i == at->victim));
        passed += result >= 0;
        last += result == 1;
    }
    CHECK_EQ(passed, 3); /* three of the four, as only one is cancelled */
    CHECK_EQ(last, 1);
    CHECK_EQ(bide_barrier_waiting(&barrier), 0);
    return 0;
}

/*
 * Goal:   whenever one is cancelled, three of the other four pass together.
 * Method: four come to a barrier of three; cancel each, before it runs and while it waits.
 */
TEST(barrier, cancel_at_any_moment_keeps_the_count)
{
    sweep(three_of_four, 4, 3);
}

static int aborts_and_resets(void *arg)
{
    task(int) tasks[2];

    (void)arg;
    bide_barrier_init(&barrier, 3);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++)
            tasks[i] = spawn(waits, 0);
        bide_sleep(BIDE_MS(1));
        if (round == 0)
            bide_barrier_abort(&barrier);
        else
            bide_barrier_reset(&barrier);
        CHECK_EQ(bide_barrier_is_broken(&barrier), round == 0);
        CHECK_EQ(bide_barrier_waiting(&barrier), 0);
        cancel(tasks[0]); /* its wait has ended already */
        for (int i = 0; i < 2; i++)
            CHECK_EQ(await(tasks[i]), -EPIPE);
        if (round == 0) {
            CHECK_EQ(bide_barrier_wait(&barrier), -EPIPE);
            bide_barrier_abort(&barrier);
            CHECK_EQ(bide_barrier_wait(&barrier), -EPIPE);
            bide_barrier_reset(&barrier);
            CHECK(!bide_barrier_is_broken(&barrier));
        }
    }
    for (int i = 0; i < 2; i++)
        tasks[i] = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_wait(&barrier), 1); /* whole again */
    bide_barrier_abort(&barrier);             /* those have passed */
    CHECK_EQ(await(tasks[0]) + await(tasks[1]), 0);
    return 0;
}

/*
 * Goal:   abort sends all away with -EPIPE, those that come later too, until a reset; reset sends
 *         away only those that wait.
 * Method: both while two wait; arrivals afterwards; an abort right after the last arrival.
 */
TEST(barrier, abort_breaks_and_reset_mends)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(aborts_and_resets, NULL, seed, NULL), 0);
}

static int waits_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    bide_barrier_init(&barrier, 1);
    with_timeout (0)
        CHECK_EQ(bide_barrier_wait(&barrier), -ETIMEDOUT);
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_barrier_wait(&barrier), -ECANCELED);
        bide_barrier_abort(&barrier);
        CHECK_EQ(bide_barrier_wait(&barrier), -ECANCELED);
    }
    return 0;
}

/*
 * Goal:   in a scope that fired wait returns the code and does not count as an arrival.
 * Method: a barrier of one, which nobody would wait at; then a broken one.
 */
TEST(barrier, wait_in_a_fired_scope_is_no_arrival)
{
    CHECK_EQ(bide_test_run(waits_in_fired_scopes, NULL, 0, NULL), 0);
}

static async(int, waits_on, bide_barrier *, on)
{
    return bide_barrier_wait(on);
}

static int last_frees_it(void *arg)
{
    bide_barrier *made = malloc(sizeof *made);
    task(int) first;

    (void)arg;
    bide_barrier_init(made, 2);
    first = spawn(waits_on, made);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_barrier_wait(made), 1);
    free(made);
    return await(first);
}

/*
 * Goal:   who was let through touches the barrier no more: the last to arrive may free it.
 * Method: it does; the address sanitizer watches.
 */
TEST(barrier, may_be_freed_by_the_last)
{
    CHECK_EQ(bide_test_run(last_frees_it, NULL, 0, NULL), 0);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int waits_without_end(void *arg)
{
    task(int) bystander;

    bide_barrier_init(&barrier, 1);
    for (int broken = 0; broken < 2; broken++) {
        bystander = spawn(looks_on, 10);
        while (!is_done(bystander))
            CHECK_EQ(bide_barrier_wait(&barrier), broken ? -EPIPE : 1);
        CHECK_EQ(await(bystander), 0);
        bide_barrier_abort(&barrier);
    }
    (void)arg;
    return 0;
}

/*
 * Goal:   a task that never has to wait at a barrier, or ignores that it is broken, lets the others
 *         run.
 * Method: loops that end only when a bystander has had its turns.
 */
TEST(barrier, passing_at_once_starves_nobody)
{
    CHECK_EQ(bide_test_run(waits_without_end, NULL, 0, NULL), 0);
}

static int waits_at_none(void *arg)
{
    bide_barrier zeroed;

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    return bide_barrier_wait(&zeroed);
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: a barrier of 0 parties; a wait outside of a task.
 */
TEST(barrier, mistakes_abort_and_say_why)
{
    EXPECT_DEATH(bide_test_run(waits_at_none, NULL, 0, NULL),
                 "task 'main' #1 (the first) waits at a barrier of 0 parties");
    EXPECT_DEATH(bide_barrier_wait(&barrier), "bide_barrier_wait was called outside of a task");
}
