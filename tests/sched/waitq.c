/* SPDX-License-Identifier: MIT */
/*
 * waitq.c - parking and waking: every waiter is resumed by exactly one of wake, timer and cancel.
 */
#include "sched/waitq.h"

#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "test.h"

static struct bide__list queue = {&queue, &queue};

static int order[16], order_count;

static async(int, waits_in_queue, int, number)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "test");

    bide__list_append(&queue, &waiter.link);
    int result = bide__park(&waiter);
    order[order_count++] = number;
    return result;
}

static int wakes_in_order(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(waits_in_queue, i);
    bide_yield();
    for (int i = 0; i < 5; i++) {
        struct bide__waiter *waiter = bide__waitq_first(&queue);
        CHECK(bide__wake(waiter, 10 + i));
        CHECK(!bide__wake(waiter, 99)); /* it is about to run with the first result */
    }
    CHECK(bide__waitq_first(&queue) == NULL);
    CHECK_EQ(order_count, 0); /* waking does not switch */
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(await(tasks[i]), 10 + i);
        CHECK_EQ(order[i], i);
    }
    return 0;
}

/*
 * Goal:   waiters are woken in the order in which they came, each once, with the waker's result.
 * Method: five tasks in a queue; a second wake of each is refused.
 */
TEST(waitq, wake_is_first_in_first_out_and_happens_once)
{
    CHECK_EQ(bide_test_run(wakes_in_order, NULL, 0, NULL), 0);
}

static int wakes_all(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    bide__wake_all(&queue, 1); /* nobody: harmless */
    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(waits_in_queue, i);
    bide_yield();
    bide__wake_all(&queue, -EPIPE);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), -EPIPE);
    return 0;
}

/*
 * Goal:   all waiters of a queue get the one result.
 * Method: five of them, and an empty queue.
 */
TEST(waitq, wake_all_empties_the_queue)
{
    CHECK_EQ(bide_test_run(wakes_all, NULL, 0, NULL), 0);
    CHECK_EQ(order_count, 5);
}

/* One waiter, one permit, and three who may want to resume the waiter in the same instant. */
struct race {
    struct bide__waiter *waiter; /* NULL once it runs */
    int permits;                 /* handed over by a wake that took */
    bool waker_first;
};

static async(int, races_to_wait, struct race *, race)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "race");

    bide__list_append(&queue, &waiter.link);
    race->waiter = &waiter;
    int result = bide__park_until(&waiter, BIDE_MS(5), -ETIMEDOUT);
    race->waiter = NULL;
    CHECK(bide__list_is_empty(&queue));
    return result;
}

static async(void, races_to_wake, struct race *, race)
{
    bide_sleep_until(BIDE_MS(5));
    if (race->waiter != NULL && bide__wake(race->waiter, 1))
        race->permits--;
}

static int timer_against_wake(void *arg)
{
    struct race *race = arg;
    task(int) waiter;
    task(void) waker;

    if (race->waker_first) {
        waker = spawn(races_to_wake, race);
        bide_yield();
        waiter = spawn(races_to_wait, race);
    } else {
        waiter = spawn(races_to_wait, race);
        bide_yield();
        waker = spawn(races_to_wake, race);
    }
    int result = await(waiter);
    await(waker);
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(race->permits, result == 1 ? 0 : 1); /* never both, never neither */
    CHECK(result == 1 || result == -ETIMEDOUT);
    return result == 1;
}

/*
 * Goal:   when a timer and a wake-up come in the same instant, exactly one of them has resumed the
 *         waiter, and the waker knows which.
 * Method: both are due at 5 ms; armed in both orders, under many seeds; a permit is counted. Each
 *         outcome is seen.
 */
TEST(waitq, timer_against_wake_has_exactly_one_outcome)
{
    int woken = 0, total = 0;

    for (int first = 0; first < 2; first++)
        for (uint64_t seed = 0; seed < 100; seed++, total++) {
            struct race race = {.permits = 1, .waker_first = first};
            woken += bide_test_run(timer_against_wake, &race, seed, NULL);
        }
    CHECK(woken < total); /* the timer is armed first in half of them, and both fire in one poll */
}

static async(int, cancels_at_five, task(int), victim)
{
    bide_sleep_until(BIDE_MS(5));
    cancel(victim);
    return 0;
}

static int cancel_against_wake(void *arg)
{
    struct race *race = arg;
    task(int) waiter = spawn(races_to_wait, race);
    task(int) canceller;
    task(void) waker;

    if (race->waker_first) {
        waker = spawn(races_to_wake, race);
        canceller = spawn(cancels_at_five, waiter);
    } else {
        canceller = spawn(cancels_at_five, waiter);
        waker = spawn(races_to_wake, race);
    }
    await(canceller);
    await(waker);
    int result = await(waiter);
    CHECK_EQ(race->permits, result == 1 ? 0 : 1);
    CHECK(result == 1 || result == -ECANCELED || result == -ETIMEDOUT);
    return 0;
}

/*
 * Goal:   the same with a cancel beside the other two: a cancelled waiter has eaten no permit.
 * Method: all three are due at 5 ms, in both orders, under many seeds.
 */
TEST(waitq, cancel_against_wake_loses_no_permit)
{
    for (int first = 0; first < 2; first++)
        for (uint64_t seed = 0; seed < 100; seed++) {
            struct race race = {.permits = 1, .waker_first = first};
            CHECK_EQ(bide_test_run(cancel_against_wake, &race, seed, NULL), 0);
        }
}

static int early_wake(void *arg)
{
    struct race race = {.permits = 1};
    task(int) waiter = spawn(races_to_wait, &race);

    (void)arg;
    bide_yield();
    CHECK(bide__wake(race.waiter, 1));
    CHECK_EQ(await(waiter), 1);
    CHECK_EQ(bide_now(), 0);
    bide_sleep(BIDE_SEC(1)); /* past the deadline that was taken back */
    return 0;
}

/*
 * Goal:   a wake-up takes the timer back, whose memory is gone by the time it was due.
 * Method: wake at 0 ms what times out at 5 ms, then let a second pass.
 */
TEST(waitq, wake_disarms_the_timer)
{
    CHECK_EQ(bide_test_run(early_wake, NULL, 0, NULL), 0);
}
