/* SPDX-License-Identifier: MIT */
/*
 * sem.c - permits are neither lost nor made, and handed out strictly in order.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_sem sem = BIDE_SEM_INIT(0);
static int order[16], order_count;

/* Take permits and keep them. */
static async(int, takes, int, number, size_t, permits)
{
    int err = bide_sem_acquire_n(&sem, permits);

    if (err == 0)
        order[order_count++] = number;
    return err;
}

static int counts(void *arg)
{
    bide_sem from_init, zeroed, four = BIDE_SEM_INIT(4);

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    CHECK_EQ(bide_sem_value(&zeroed), 0);
    CHECK_EQ(bide_sem_try_acquire(&zeroed), -EAGAIN);
    memset(&from_init, 0xa5, sizeof from_init);
    bide_sem_init(&from_init, 2);
    CHECK_EQ(bide_sem_value(&from_init), 2);
    CHECK_EQ(bide_sem_acquire(&from_init), 0);
    CHECK_EQ(bide_sem_value(&from_init), 1);

    CHECK_EQ(bide_sem_acquire_n(&four, 3), 0);
    CHECK_EQ(bide_sem_try_acquire_n(&four, 2), -EAGAIN);
    CHECK_EQ(bide_sem_try_acquire(&four), 0);
    CHECK_EQ(bide_sem_try_acquire(&four), -EAGAIN);
    CHECK_EQ(bide_sem_value(&four), 0);
    CHECK_EQ(bide_sem_acquire_n(&four, 0), 0);
    CHECK_EQ(bide_sem_try_acquire_n(&four, 0), 0);
    bide_sem_release_n(&four, 0);
    CHECK_EQ(bide_sem_value(&four), 0);
    bide_sem_release(&four);
    bide_sem_release_n(&four, 5); /* more than it began with */
    CHECK_EQ(bide_sem_value(&four), 6);
    CHECK_EQ(bide_sem_try_acquire_n(&four, 6), 0);
    return 0;
}

/*
 * Goal:   without a line, permits are a number; 0 of them are always there.
 * Method: semaphores from the initialiser, from zeroed memory and from bide_sem_init.
 */
TEST(sem, value_follows_what_is_taken_and_given)
{
    CHECK_EQ(bide_test_run(counts, NULL, 0, NULL), 0);
}

static int large_request_first(void *arg)
{
    task(int) large, small[3];

    (void)arg;
    order_count = 0;
    bide_sem_init(&sem, 2);
    large = spawn(takes, 0, 4);
    bide_sleep(BIDE_MS(1));
    for (int i = 0; i < 3; i++) {
        small[i] = spawn(takes, 1 + i, 1);
        bide_sleep(BIDE_MS(1));
    }
    CHECK_EQ(order_count, 0);
    CHECK_EQ(bide_sem_value(&sem), 2);
    CHECK_EQ(bide_sem_try_acquire(&sem), -EAGAIN); /* would fit, but others came first */
    CHECK_EQ(bide_sem_acquire_n(&sem, 0), 0);
    bide_sem_release(&sem);
    CHECK_EQ(bide_sem_value(&sem), 3);
    bide_sem_release_n(&sem, 3); /* four for the large one, two for small ones */
    CHECK_EQ(bide_sem_value(&sem), 0);
    CHECK_EQ(order_count, 0); /* does not switch */
    CHECK_EQ(await(large), 0);
    CHECK_EQ(await(small[0]), 0);
    CHECK_EQ(await(small[1]), 0);
    CHECK(!is_done(small[2]));
    bide_sem_release(&sem);
    CHECK_EQ(await(small[2]), 0);
    CHECK_EQ(order_count, 4);
    return 0;
}

/*
 * Goal:   a large request at the head is overtaken neither by smaller ones behind it nor by try.
 * Method: permits that would do for the small ones; then a release that does for some of them too.
 */
TEST(sem, large_request_is_not_overtaken)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(large_request_first, NULL, seed, NULL), 0);
}

static int serves_in_order(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    order_count = 0;
    bide_sem_init(&sem, 0);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn(takes, i, 1);
        bide_sleep(BIDE_MS(1));
    }
    for (int i = 0; i < 5; i++) {
        bide_sem_release(&sem);
        CHECK_EQ(bide_sem_try_acquire(&sem), -EAGAIN); /* it is the waiter's already */
        CHECK_EQ(await(tasks[i]), 0);
        CHECK_EQ(order[i], i);
    }
    return 0;
}

/*
 * Goal:   permits go to tasks in the order of asking, and are theirs from the release on.
 * Method: five in line, a release each.
 */
TEST(sem, waiters_are_served_first_in_first_out)
{
    CHECK_EQ(bide_test_run(serves_in_order, NULL, 0, NULL), 0);
}

static async(int, takes_for_a_while, int, number, size_t, permits, bide_time, timeout)
{
    int err = 1;

    with_timeout (timeout)
        err = takes(number, permits);
    return err;
}

static int head_gives_up(void *arg)
{
    bool by_deadline = *(bool *)arg;
    task(int) large, small[3];

    order_count = 0;
    bide_sem_init(&sem, 2);
    large = spawn(takes_for_a_while, 0, 3, by_deadline ? BIDE_MS(10) : BIDE_FOREVER);
    bide_sleep(BIDE_MS(1));
    for (int i = 0; i < 3; i++) {
        small[i] = spawn(takes, 1 + i, 1);
        bide_sleep(BIDE_MS(1));
    }
    if (!by_deadline)
        cancel(large);
    CHECK_EQ(await(large), by_deadline ? -ETIMEDOUT : -ECANCELED);
    CHECK_EQ(await(small[0]), 0);
    CHECK_EQ(await(small[1]), 0);
    bide_sleep(BIDE_MS(1));
    CHECK(!is_done(small[2]));
    cancel(small[2]);
    CHECK_EQ(await(small[2]), -ECANCELED);
    CHECK_EQ(bide_sem_value(&sem), 0);
    return 0;
}

/*
 * Goal:   when the head of the line gives up, those behind that now fit are served, no others.
 * Method: a large request in front of three small ones, two of which fit; cancel and deadline.
 */
TEST(sem, head_that_gives_up_lets_the_others_in)
{
    for (int by_deadline = 0; by_deadline < 2; by_deadline++)
        for (uint64_t seed = 0; seed < 100; seed++) {
            bool deadline = by_deadline;
            CHECK_EQ(bide_test_run(head_gives_up, &deadline, seed, NULL), 0);
        }
}

static async(int, takes_then_sleeps, size_t, permits)
{
    CHECK_EQ(bide_sem_acquire_n(&sem, permits), 0);
    CHECK_EQ(bide_sleep(1), -ECANCELED);
    bide_sem_release_n(&sem, permits);
    return 0;
}

static int releases_and_cancels(void *arg)
{
    task(int) first, second;

    (void)arg;
    bide_sem_init(&sem, 0);
    first = spawn(takes_then_sleeps, 2);
    bide_sleep(BIDE_MS(1));
    second = spawn(takes, 1, 3);
    bide_sleep(BIDE_MS(1));
    bide_sem_release_n(&sem, 2);
    cancel(first);
    cancel(second);
    CHECK_EQ(bide_sem_value(&sem), 0);
    CHECK_EQ(await(first), 0);
    CHECK_EQ(await(second), -ECANCELED);
    CHECK_EQ(bide_sem_value(&sem), 2);
    return 0;
}

/*
 * Goal:   permits that were handed over are delivered, even to who is cancelled before its turn;
 *         who was cancelled first gets none.
 * Method: release for the first of two and cancel both, in one turn.
 */
TEST(sem, handed_over_permit_survives_a_cancel)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(releases_and_cancels, NULL, seed, NULL), 0);
}

static int takes_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    bide_sem_init(&sem, 3);
    with_timeout (0) {
        CHECK_EQ(bide_sem_acquire(&sem), -ETIMEDOUT);
        CHECK_EQ(bide_sem_acquire_n(&sem, 2), -ETIMEDOUT);
        CHECK_EQ(bide_sem_acquire_n(&sem, 0), -ETIMEDOUT);
        CHECK_EQ(bide_sem_try_acquire(&sem), 0);
        bide_sem_release(&sem);
    }
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_sem_acquire(&sem), -ECANCELED);
    }
    CHECK_EQ(bide_sem_value(&sem), 3);
    return 0;
}

/*
 * Goal:   in a scope that fired acquire returns the code and takes nothing, though there is some.
 * Method: a passed deadline, and a cancelled scope.
 */
TEST(sem, acquire_in_a_fired_scope_takes_nothing)
{
    CHECK_EQ(bide_test_run(takes_in_fired_scopes, NULL, 0, NULL), 0);
}

enum { PERMITS = 5 };
static int in_use;

/* Take and give back random numbers of permits a few times, some of it with a time limit. */
static async(int, comes_and_goes, struct sweep *, at, int, rounds)
{
    for (int i = 0; i < rounds; i++) {
        int permits = 1 + sweep_random(at, PERMITS), err = 1;
        with_timeout (sweep_random(at, 3) == 0 ? BIDE_MS(sweep_random(at, 3)) : BIDE_FOREVER)
            err = bide_sem_acquire_n(&sem, (size_t)permits);
        if (err == -ECANCELED)
            return err;
        if (err == -ETIMEDOUT)
            continue;
        CHECK_EQ(err, 0);
        in_use += permits;
        CHECK(in_use <= PERMITS);
        err = bide_sleep(BIDE_MS(sweep_random(at, 3)));
        in_use -= permits;
        bide_sem_release_n(&sem, (size_t)permits);
        if (err < 0)
            return err;
    }
    return 0;
}

static int comes_and_goes_cancelled(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[5];

    in_use = 0;
    bide_sem_init(&sem, PERMITS);
    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(comes_and_goes, at, 4);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 5; i++) {
        int err = await(tasks[i]);
        CHECK(err == 0 || (err == -ECANCELED && i == at->victim));
    }
    CHECK_EQ(in_use, 0);
    CHECK_EQ(bide_sem_value(&sem), PERMITS);
    CHECK_EQ(bide_sem_try_acquire_n(&sem, PERMITS), 0); /* nobody is left in line */
    return 0;
}

/*
 * Goal:   whatever is cancelled or times out, no permit is lost or made, and nobody waits for ever.
 * Method: five tasks with requests of all sizes, two thousand runs; the number in use is counted.
 */
TEST(sem, cancel_at_any_moment_conserves_permits)
{
    sweep(comes_and_goes_cancelled, 5, 9);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++) {
        CHECK_EQ(bide_sem_value(&sem), 1);
        CHECK_EQ(bide_yield(), 0);
    }
    return 0;
}

static int takes_without_end(void *arg)
{
    task(int) bystander = spawn(looks_on, 10);

    (void)arg;
    bide_sem_init(&sem, 1);
    while (!is_done(bystander)) {
        CHECK_EQ(bide_sem_acquire(&sem), 0);
        bide_sem_release(&sem);
    }
    return await(bystander);
}

/*
 * Goal:   a task that never has to wait for permits lets the others run, with none in its hands.
 * Method: a loop that ends only when a bystander has had its turns.
 */
TEST(sem, uncontended_acquire_starves_nobody)
{
    CHECK_EQ(bide_test_run(takes_without_end, NULL, 0, NULL), 0);
}

static int gives_too_many(void *arg)
{
    (void)arg;
    bide_sem_init(&sem, SIZE_MAX - 1);
    bide_sem_release(&sem);
    CHECK_EQ(bide_sem_value(&sem), SIZE_MAX);
    bide_sem_release(&sem);
    return 0;
}

static int releases(void *arg)
{
    bide_sem_release(arg);
    return 0;
}

static int releases_from_another_loop(void *arg)
{
    bide_sem_init(&sem, 0);
    go(takes, 0, 1);
    bide_sleep(BIDE_MS(1));
    return bide_test_run(releases, arg, 0, NULL);
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: each in a process of its own.
 */
TEST(sem, mistakes_abort_and_say_why)
{
    EXPECT_DEATH(bide_test_run(gives_too_many, NULL, 0, NULL),
                 "bide_sem_release: task 'main' #1 (the first) gives 1 permits to a semaphore");
    EXPECT_DEATH(bide_test_run(releases_from_another_loop, &sem, 0, NULL),
                 "serves the tasks of one loop");
    EXPECT_DEATH(bide_sem_acquire(&sem), "bide_sem_acquire was called outside of a task");
}
