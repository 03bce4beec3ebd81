/* SPDX-License-Identifier: MIT */
/*
 * waitgroup.c - wait returns when everything that was added is done, and not before.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_waitgroup group = BIDE_WAITGROUP_INIT;
static int working;

static async(int, works, bide_time, length)
{
    int err = bide_sleep(length);

    working--;
    bide_waitgroup_done(&group);
    return err;
}

static async(int, waits, int, unused)
{
    (void)unused;
    return bide_waitgroup_wait(&group);
}

static int works_and_waits(void *arg)
{
    struct sweep *at = arg;

    bide_waitgroup_init(&group);
    CHECK_EQ(bide_waitgroup_wait(&group), 0); /* nothing was added */
    for (int round = 0; round < 3; round++) {
        task(int) waiting[2];
        for (int i = 0; i < 2; i++)
            waiting[i] = NULL;
        for (int i = 0; i < 5; i++) {
            working++;
            bide_waitgroup_add(&group, 1);
            go(works, BIDE_MS(sweep_random(at, 4)));
        }
        for (int i = 0; i < 2; i++)
            waiting[i] = spawn(waits, 0);
        CHECK_EQ(bide_waitgroup_wait(&group), 0);
        CHECK_EQ(working, 0);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(await(waiting[i]), 0);
    }
    return 0;
}

/*
 * Goal:   wait returns when all is done, in every task that waits, and it can be used again.
 * Method: five works of random length, three waiters, three rounds, two hundred seeds.
 */
TEST(waitgroup, wait_returns_when_all_is_done)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sweep at = {.random = test_seed() + seed};
        CHECK_EQ(bide_test_run(works_and_waits, &at, seed, NULL), 0);
    }
}

static int begins_again_at_once(void *arg)
{
    bide_waitgroup zeroed;
    task(int) waiting;

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    CHECK_EQ(bide_waitgroup_wait(&zeroed), 0);
    bide_waitgroup_init(&group);
    bide_waitgroup_add(&group, 3);
    waiting = spawn(waits, 0);
    bide_sleep(BIDE_MS(1));
    bide_waitgroup_add(&group, -2);
    bide_waitgroup_add(&group, 0);
    bide_sleep(BIDE_MS(1));
    CHECK(!is_done(waiting));
    bide_waitgroup_done(&group);
    bide_waitgroup_add(&group, 1); /* the next round: whoever was woken returns all the same */
    cancel(waiting);               /* it was woken before */
    CHECK_EQ(await(waiting), 0);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(bide_waitgroup_wait(&group), -ETIMEDOUT);
    bide_waitgroup_done(&group);
    return 0;
}

/*
 * Goal:   a count of 0 wakes those who wait then, even when it rises or they are cancelled before
 *         their turn.
 * Method: done, add and cancel in one turn; negative numbers and 0 are added as well.
 */
TEST(waitgroup, zero_wakes_even_when_the_count_rises_again)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(begins_again_at_once, NULL, seed, NULL), 0);
}

static int cancelled_at_any_time(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[3];

    bide_waitgroup_init(&group);
    working = 2;
    bide_waitgroup_add(&group, 2);
    go(works, BIDE_MS(1));
    go(works, BIDE_MS(2));
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(waits, 0);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 3; i++) {
        int err = await(tasks[i]);
        CHECK((err == 0 && working == 0) || (err == -ECANCELED && i == at->victim));
    }
    return 0;
}

/*
 * Goal:   whenever a waiter is cancelled, the others wait on, to the end.
 * Method: three wait for 2 ms; cancel each at each moment.
 */
TEST(waitgroup, cancel_at_any_moment_strands_nobody)
{
    sweep(cancelled_at_any_time, 3, 3);
}

static int waits_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    bide_waitgroup_init(&group);
    for (int count = 0; count < 2; count++) {
        bide_waitgroup_add(&group, count);
        with_timeout (0)
            CHECK_EQ(bide_waitgroup_wait(&group), -ETIMEDOUT);
    }
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_waitgroup_wait(&group), -ECANCELED);
    }
    return 0;
}

/*
 * Goal:   in a scope that fired wait returns the code at once, whatever the count is.
 * Method: a passed deadline, and a cancelled scope.
 */
TEST(waitgroup, wait_in_a_fired_scope_says_so)
{
    CHECK_EQ(bide_test_run(waits_in_fired_scopes, NULL, 0, NULL), 0);
}

static async(int, finishes, bide_waitgroup *, on)
{
    bide_sleep(BIDE_MS(1));
    bide_waitgroup_done(on);
    return 0;
}

static int waiter_frees_it(void *arg)
{
    bide_waitgroup *made = malloc(sizeof *made);

    (void)arg;
    bide_waitgroup_init(made);
    bide_waitgroup_add(made, 1);
    go(finishes, made);
    CHECK_EQ(bide_waitgroup_wait(made), 0);
    free(made);
    return 0;
}

/*
 * Goal:   who waited may free it: done touches it no more.
 * Method: it does; the address sanitizer watches.
 */
TEST(waitgroup, may_be_freed_after_wait)
{
    CHECK_EQ(bide_test_run(waiter_frees_it, NULL, 0, NULL), 0);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int waits_without_end(void *arg)
{
    task(int) bystander = spawn(looks_on, 10);

    (void)arg;
    bide_waitgroup_init(&group);
    while (!is_done(bystander))
        CHECK_EQ(bide_waitgroup_wait(&group), 0);
    return await(bystander);
}

/*
 * Goal:   a task that waits again and again for what is done lets the others run.
 * Method: a loop that ends only when a bystander has had its turns.
 */
TEST(waitgroup, wait_for_nothing_starves_nobody)
{
    CHECK_EQ(bide_test_run(waits_without_end, NULL, 0, NULL), 0);
}

static int adds(void *arg)
{
    bide_waitgroup_init(&group);
    bide_waitgroup_add(&group, 1);
    bide_waitgroup_add(&group, *(long *)arg);
    return 0;
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: more done than added, by one and by as many as can be; too many; outside of a task.
 */
TEST(waitgroup, mistakes_abort_and_say_why)
{
    long down = -2, far_down = LONG_MIN, up = LONG_MAX;

    EXPECT_DEATH(bide_test_run(adds, &down, 0, NULL),
                 "task 'main' #1 (the first) adds -2 to a count of 1: more is done than was added");
    EXPECT_DEATH(bide_test_run(adds, &far_down, 0, NULL), "more is done than was added");
    EXPECT_DEATH(bide_test_run(adds, &up, 0, NULL), "to a count of 1: more than LONG_MAX");
    EXPECT_DEATH(bide_waitgroup_done(&group), "code outside of a task adds -1 to a count of 0");
    EXPECT_DEATH(bide_waitgroup_wait(&group), "bide_waitgroup_wait was called outside of a task");
}
