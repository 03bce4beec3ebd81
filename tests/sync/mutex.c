/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - one holder at a time, in the order of asking, whatever is cancelled.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>

#include "reports.h"
#include "sync/sweep.h"
#include "test.h"

static bide_mutex lock = BIDE_MUTEX_INIT;
static int inside, order[16], order_count;

/* Lock, stay for so long, unlock. Checks that nobody else is inside. */
static async(int, visits, int, number, bide_time, stay)
{
    int err = bide_mutex_lock(&lock);

    if (err < 0)
        return err;
    CHECK_EQ(inside++, 0);
    order[order_count++] = number;
    bide_sleep(stay);
    CHECK_EQ(--inside, 0);
    bide_mutex_unlock(&lock);
    return 0;
}

static int visits_in_order(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    order_count = 0;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn(visits, i, BIDE_MS(1));
        bide_sleep(BIDE_MS(1)); /* it is in line now */
    }
    CHECK_EQ(order_count, 0);
    bide_mutex_unlock(&lock);
    CHECK_EQ(order_count, 0); /* unlocking does not switch */
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), 0);
    CHECK_EQ(order_count, 5);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(order[i], i);
    CHECK_EQ(bide_now(), BIDE_MS(10));
    CHECK_EQ(bide_mutex_try_lock(&lock), 0); /* free in the end */
    bide_mutex_unlock(&lock);
    return 0;
}

/*
 * Goal:   one task holds the mutex, and it goes round in the order of asking.
 * Method: five ask while it is held, and stay a millisecond each; a hundred seeds.
 */
TEST(mutex, lock_is_exclusive_and_first_in_first_out)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(visits_in_order, NULL, seed, NULL), 0);
}

static int unlocks_and_asks_again(void *arg)
{
    task(int) waiting;

    (void)arg;
    order_count = 0;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    waiting = spawn(visits, 0, 0);
    bide_sleep(BIDE_MS(1));
    bide_mutex_unlock(&lock);
    CHECK_EQ(bide_mutex_try_lock(&lock), -EBUSY); /* it has not run, and holds it all the same */
    CHECK_EQ(visits(1, 0), 0);
    CHECK_EQ(order[0], 0);
    CHECK_EQ(order[1], 1);
    return await(waiting);
}

/*
 * Goal:   ownership passes at the unlock: neither try_lock nor lock overtakes who was in line.
 * Method: unlock and ask again in the same turn, under many seeds.
 */
TEST(mutex, unlock_hands_over_and_nobody_overtakes)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(unlocks_and_asks_again, NULL, seed, NULL), 0);
}

static async(int, tries, bide_mutex *, mutex)
{
    return bide_mutex_try_lock(mutex);
}

static int tries_all(void *arg)
{
    bide_mutex mine = BIDE_MUTEX_INIT, zeroed, made;

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    memset(&made, 0xa5, sizeof made);
    bide_mutex_init(&made);
    for (int i = 0; i < 3; i++) {
        bide_mutex *each = i == 0 ? &mine : i == 1 ? &zeroed : &made;
        CHECK_EQ(bide_mutex_try_lock(each), 0);
        CHECK_EQ(bide_mutex_try_lock(each), -EBUSY);
        CHECK_EQ(await(spawn(tries, each)), -EBUSY);
        bide_mutex_unlock(each);
        CHECK_EQ(bide_mutex_lock(each), 0);
        bide_mutex_unlock(each);
    }
    return 0;
}

/*
 * Goal:   try_lock takes what is free and says -EBUSY to everyone else, the holder too.
 * Method: mutexes from the initialiser, from zeroed memory and from bide_mutex_init.
 */
TEST(mutex, try_lock_is_busy_while_held)
{
    CHECK_EQ(bide_test_run(tries_all, NULL, 0, NULL), 0);
}

static async(int, visits_for_a_while, int, number, bide_time, timeout)
{
    int err = 1;

    with_timeout (timeout)
        err = visits(number, 0);
    return err;
}

static int waiters_give_up(void *arg)
{
    task(int) tasks[4];

    (void)arg;
    order_count = 0;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn(visits_for_a_while, i, i == 2 ? BIDE_MS(10) : BIDE_FOREVER);
        bide_sleep(BIDE_MS(1));
    }
    cancel(tasks[0]);
    bide_sleep(BIDE_MS(20));
    bide_mutex_unlock(&lock);
    CHECK_EQ(await(tasks[0]), -ECANCELED);
    CHECK_EQ(await(tasks[1]), 0);
    CHECK_EQ(await(tasks[2]), -ETIMEDOUT);
    CHECK_EQ(await(tasks[3]), 0);
    CHECK_EQ(order_count, 2);
    CHECK_EQ(order[0], 1);
    CHECK_EQ(order[1], 3);
    return 0;
}

/*
 * Goal:   who is cancelled or times out in line does not hold the mutex, and the others move up.
 * Method: four in line; the first is cancelled, the third has a deadline.
 */
TEST(mutex, waiter_that_gives_up_leaves_the_line)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(waiters_give_up, NULL, seed, NULL), 0);
}

static int locks_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_mutex_lock(&lock), -ECANCELED);
        CHECK_EQ(bide_mutex_try_lock(&lock), 0);
        CHECK_EQ(bide_mutex_lock(&lock), -ECANCELED);
        bide_mutex_unlock(&lock);
    }
    with_timeout (0)
        CHECK_EQ(bide_mutex_lock(&lock), -ETIMEDOUT);
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    bide_mutex_unlock(&lock);
    return 0;
}

/*
 * Goal:   in a scope that fired lock returns the code, even when the mutex is free, and does not
 *         hold it; try_lock and unlock work.
 * Method: a cancelled scope and a passed deadline.
 */
TEST(mutex, lock_in_a_fired_scope_takes_nothing)
{
    CHECK_EQ(bide_test_run(locks_in_fired_scopes, NULL, 0, NULL), 0);
}

static async(int, takes_and_ends, int, unused)
{
    (void)unused;
    return bide_mutex_lock(&lock);
}

static async(int, locks_and_sleeps, bide_scope *, scope)
{
    int slept = 1;

    with_scope (scope) {
        CHECK_EQ(bide_mutex_lock(&lock), 0);
        slept = bide_sleep(1);
        bide_mutex_unlock(&lock);
    }
    return slept;
}

static int hands_over_then_cancels(void *arg)
{
    task(int) first, second, third;
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    first = spawn(locks_and_sleeps, &scope);
    bide_sleep(BIDE_MS(1));
    second = spawn(takes_and_ends, 0);
    bide_sleep(BIDE_MS(1));
    third = spawn(visits, 3, 0);
    bide_sleep(BIDE_MS(1));
    order_count = 0;
    bide_mutex_unlock(&lock);
    cancel(first);
    cancel(second);
    CHECK_EQ(await(first), -ECANCELED); /* from its sleep: the lock call said 0 */
    CHECK_EQ(await(second), -ECANCELED);
    CHECK_EQ(await(third), 0);
    CHECK_EQ(order_count, 1);
    return 0;
}

/*
 * Goal:   a mutex that was handed over is held, even when its new holder is cancelled before its
 *         turn: lock returns 0, and the next call sees the cancel.
 * Method: unlock, then cancel the next in line, and the one behind it, in the same turn.
 */
TEST(mutex, handed_over_mutex_survives_a_cancel)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(hands_over_then_cancels, NULL, seed, NULL), 0);
}

static int cancelled_at_any_time(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[4];
    int visited = 0;

    order_count = 0;
    for (int i = 0; i < 4; i++)
        tasks[i] = spawn(visits, i, BIDE_MS(1 + sweep_random(at, 2)));
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 4; i++) {
        int err = await(tasks[i]);
        CHECK(err == 0 || (err == -ECANCELED && i == at->victim));
        visited += err == 0;
    }
    CHECK_EQ(visited, order_count);
    CHECK_EQ(inside, 0);
    CHECK_EQ(bide_mutex_try_lock(&lock), 0); /* nothing holds it, nothing is left in line */
    bide_mutex_unlock(&lock);
    return 0;
}

/*
 * Goal:   whenever a task is cancelled, the mutex stays exclusive and is free in the end.
 * Method: four tasks that each hold it for one or two milliseconds; cancel each at each moment.
 */
TEST(mutex, cancel_at_any_moment_keeps_it_whole)
{
    sweep(cancelled_at_any_time, 4, 9);
}

/* What is taken and never given back on purpose, in a child that dies. */
static int body_of_a_mistake(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run(void (*body)(void))
{
    bide_test_run(body_of_a_mistake, &body, 0, NULL);
}

static void unlocks_what_is_free(void)
{
    bide_mutex_unlock(&lock);
}

static void unlocks_what_another_holds(void)
{
    spawn(visits, 0, BIDE_SEC(1));
    bide_yield();
    bide_mutex_unlock(&lock);
}

static void locks_twice(void)
{
    bide_mutex_lock(&lock);
    bide_mutex_lock(&lock);
}

static void waits_for_one_that_is_done(void)
{
    spawn(takes_and_ends, 0);
    bide_yield();
    bide_mutex_lock(&lock);
}

static void waits_for_one_whose_block_it_has(void)
{
    await(spawn(takes_and_ends, 0));
    await(spawn(takes_and_ends, 0));
}

static void unlocks_what_an_ended_task_holds(void)
{
    await(spawn(takes_and_ends, 0));
    bide_mutex_unlock(&lock);
}

/*
 * Goal:   a mistake is one clear line that names the tasks, and an abort.
 * Method: each in a process of its own.
 */
TEST(mutex, mistakes_abort_and_name_the_tasks)
{
    EXPECT_DEATH(run(unlocks_what_is_free),
                 "bide_mutex_unlock: task 'main' #1 (the first) does not hold this mutex, nobody "
                 "does");
    EXPECT_DEATH(run(unlocks_what_another_holds), "does not hold this mutex, task 'visits' #2");
    EXPECT_DEATH(run(locks_twice), "bide_mutex_lock: task 'main' #1 (the first) holds this mutex");
    EXPECT_DEATH(run(waits_for_one_that_is_done), "ended without unlocking it");
    EXPECT_DEATH(run(waits_for_one_whose_block_it_has), "ended without unlocking it");
    EXPECT_DEATH(run(unlocks_what_an_ended_task_holds), "a task that has ended does");
    EXPECT_DEATH(bide_mutex_lock(&lock), "bide_mutex_lock was called outside of a task");
    EXPECT_DEATH(bide_mutex_try_lock(&lock), "bide_mutex_try_lock was called outside of a task");
    EXPECT_DEATH(bide_mutex_unlock(&lock), "bide_mutex_unlock was called outside of a task");
}

static int unlocks_from_another_loop(void *arg)
{
    bide_mutex_unlock(arg);
    return 0;
}

static void shares_it_between_loops(void)
{
    bide_mutex mutex = BIDE_MUTEX_INIT;

    bide_mutex_lock(&mutex);
    bide_test_run(unlocks_from_another_loop, &mutex, 0, NULL);
}

/*
 * Goal:   a task of another loop is not the holder.
 * Method: a loop inside a task of a loop.
 */
TEST(mutex, unlock_from_another_loop_aborts)
{
    EXPECT_DEATH(run(shares_it_between_loops), "does not hold this mutex");
}

static async(int, frees, bide_mutex *, mutex)
{
    CHECK_EQ(bide_mutex_lock(mutex), 0);
    bide_mutex_unlock(mutex);
    free(mutex);
    return 0;
}

static int next_holder_frees_it(void *arg)
{
    bide_mutex *mutex = calloc(1, sizeof *mutex);
    task(int) next;

    (void)arg;
    CHECK_EQ(bide_mutex_lock(mutex), 0);
    next = spawn(frees, mutex);
    bide_sleep(BIDE_MS(1));
    bide_mutex_unlock(mutex);
    return await(next);
}

/*
 * Goal:   unlock does not touch the mutex once it was handed over: the next holder may free it.
 * Method: it does; the address sanitizer watches.
 */
TEST(mutex, next_holder_may_free_it)
{
    CHECK_EQ(bide_test_run(next_holder_frees_it, NULL, 0, NULL), 0);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++) {
        CHECK_EQ(bide_mutex_try_lock(&lock), 0); /* nobody yields while holding it */
        bide_mutex_unlock(&lock);
        CHECK_EQ(bide_yield(), 0);
    }
    return 0;
}

static int locks_without_end(void *arg)
{
    task(int) bystander = spawn(looks_on, 10);

    (void)arg;
    while (!is_done(bystander)) {
        CHECK_EQ(bide_mutex_lock(&lock), 0);
        bide_mutex_unlock(&lock);
    }
    return await(bystander);
}

static int locks_in_vain_without_end(void *arg)
{
    task(int) bystander = spawn(looks_on, 10);

    (void)arg;
    with_timeout (0)
        while (!is_done(bystander))
            CHECK_EQ(bide_mutex_lock(&lock), -ETIMEDOUT);
    return await(bystander);
}

/*
 * Goal:   a task that locks and unlocks without ever waiting lets the others run, and never in the
 *         middle, which would make them line up; nor does one that ignores a cancel stop them.
 * Method: a loop that ends only when a bystander has had its turns.
 */
TEST(mutex, uncontended_locking_starves_nobody)
{
    CHECK_EQ(bide_test_run(locks_without_end, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_run(locks_in_vain_without_end, NULL, 0, NULL), 0);
}

static int waits_for_a_holder_that_waits(void *arg)
{
    task(int) waiting;

    (void)arg;
    CHECK_EQ(bide_mutex_lock(&lock), 0);
    waiting = spawn(visits, 0, 0);
    CHECK_EQ(await(waiting), -ECANCELED);
    bide_mutex_unlock(&lock);
    return 0;
}

/*
 * Goal:   tasks that wait for each other are reported with the call they sleep in.
 * Method: the holder awaits a task that wants the mutex.
 */
TEST(mutex, deadlock_names_the_lock_call)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(waits_for_a_holder_that_waits, NULL, 0, &options), -EDEADLK);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 3);
    CHECK_CONTAINS(seen.kept[1].message, "sleeps in");
    CHECK_CONTAINS(seen.kept[2].message, "sleeps in bide_mutex_lock");
}
