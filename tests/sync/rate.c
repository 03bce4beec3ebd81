/* SPDX-License-Identifier: MIT */
/*
 * rate.c - a token bucket gives out what flows into it, exactly, in order, whoever gives up.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>

#include "reports.h"
#include "test.h"

static void run(int (*body)(void *))
{
    CHECK_EQ(bide_test_run(body, NULL, 0, NULL), 0);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static bide_rate fixed = BIDE_RATE_INIT(3, 10, 4);

static int starts_full(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        CHECK_EQ(i % 2 ? bide_rate_acquire(&fixed) : bide_rate_try_acquire(&fixed), 0);
    CHECK_EQ(bide_now(), 0);
    CHECK_EQ(bide_rate_try_acquire(&fixed), -EAGAIN);
    for (int i = 1; i <= 30; i++) {
        CHECK_EQ(bide_rate_acquire(&fixed), 0);
        CHECK_EQ(bide_now(), (i * 10 + 2) / 3);
    }
    bide_sleep(3); /* 0.9 of one since the last */
    CHECK_EQ(bide_rate_try_acquire(&fixed), -EAGAIN);
    bide_sleep(1);
    CHECK_EQ(bide_rate_try_acquire(&fixed), 0);
    CHECK_EQ(bide_rate_try_acquire(&fixed), -EAGAIN);
    bide_sleep(BIDE_SEC(86400)); /* no more than it holds */
    CHECK_EQ(bide_rate_try_acquire_n(&fixed, 4), 0);
    CHECK_EQ(bide_rate_try_acquire(&fixed), -EAGAIN);
    return 0;
}

/*
 * Goal:   a bucket starts full, refills evenly, holds no more than its burst, and gives each permit
 *         at the first nanosecond at which it is there.
 * Method: three for each 10 ns, from a static initialiser.
 */
TEST(rate, permits_flow_in_evenly)
{
    run(starts_full);
    bide_rate rate = BIDE_RATE_INIT(1, BIDE_SEC(1000000), 1);
    CHECK_EQ(bide_rate_try_acquire(&rate), 0); /* outside a loop, on the true clock */
    CHECK_EQ(bide_rate_try_acquire(&rate), -EAGAIN);
}

static int another_clock(void *arg)
{
    bide_rate *rate = arg;

    bide_sleep(BIDE_SEC(1));
    CHECK_EQ(bide_rate_acquire_n(rate, 5), 0);
    return bide_now() == BIDE_SEC(1) ? 0 : bide_now() == BIDE_SEC(2) ? 1 : 2;
}

static int spends(void *arg)
{
    bide_sleep(BIDE_SEC(1000));
    return bide_rate_acquire_n(arg, 5);
}

/*
 * Goal:   a bucket used under a clock that lies behind the last one is empty at the most.
 * Method: two loops with virtual clocks, each starting at 0.
 */
TEST(rate, clock_that_starts_anew_does_not_starve)
{
    bide_rate rate = BIDE_RATE_INIT(5, 1000000000, 5);

    CHECK_EQ(bide_test_run(spends, &rate, 0, NULL), 0);
    CHECK_EQ(bide_test_run(another_clock, &rate, 0, NULL), 1);
}

static int is_exact(void *arg)
{
    const int64_t permits[] = {7, 1, 999999937, INT64_C(1) << 40};
    const bide_time per_ns[] = {1000003, BIDE_SEC(86400 * 365), BIDE_SEC(1), BIDE_SEC(60)};

    (void)arg;
    for (int i = 0; i < 4; i++) {
        bide_rate rate = BIDE_RATE_INIT(permits[i], per_ns[i], INT64_MAX);
        bide_time start = bide_now();
        __extension__ __int128 taken = 0;

        CHECK_EQ(bide_rate_acquire_n(&rate, INT64_MAX), 0);
        for (int64_t step = 0; step < 100; step++) {
            int64_t n = i == 1 ? 1 : step * step * 1000 + 1;
            CHECK_EQ(bide_rate_acquire_n(&rate, n), 0);
            taken += n;
            CHECK_EQ(bide_now() - start, (taken * per_ns[i] + permits[i] - 1) / permits[i]);
        }
    }
    return 0;
}

/*
 * Goal:   over any length of time exactly as much is given out as has flowed in.
 * Method: rates that do not divide, for up to a hundred years, against a sum in 128 bits.
 */
TEST(rate, arithmetic_is_exact_over_years)
{
    run(is_exact);
}

static int order[100], order_count; /* of permits that were taken since it was set to 0 */

static async(int, acquires, bide_rate *, rate, int64_t, n)
{
    int err = bide_rate_acquire_n(rate, n);

    if (err == 0 && order_count < 100)
        order[order_count++] = (int)n;
    return err;
}

static int is_fair(void *arg)
{
    bide_rate rate = BIDE_RATE_INIT(1, 10, 5);
    task(int) tasks[4];
    const int64_t wanted[] = {5, 1, 3, 0};

    (void)arg;
    CHECK_EQ(bide_rate_acquire_n(&rate, 3), 0);
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn(acquires, &rate, wanted[i]);
        bide_yield();
    }
    CHECK_EQ(bide_rate_try_acquire(&rate), -EAGAIN); /* two are there, but not for it */
    CHECK_EQ(bide_rate_try_acquire_n(&rate, 0), -EAGAIN);
    const bide_time due[] = {30, 40, 70, 70};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(await(tasks[i]), 0);
        CHECK_EQ(bide_now(), due[i]);
        CHECK_EQ(order[i], wanted[i]);
    }
    return 0;
}

/*
 * Goal:   waiting tasks are served in the order in which they came: nobody overtakes one that waits
 *         for many.
 * Method: small and large wishes behind each other, and a try among them.
 */
TEST(rate, tasks_are_served_in_order)
{
    run(is_fair);
}

static int moves_up(void *arg)
{
    int victim = *(int *)arg;
    const int64_t wanted[] = {4, 2, 3};
    bide_rate *rate = malloc(sizeof *rate);
    task(int) tasks[3];
    bide_time due = 0;

    *rate = (bide_rate)BIDE_RATE_INIT(1, 10, 5);
    CHECK_EQ(bide_rate_acquire_n(rate, 5), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn(acquires, rate, wanted[i]);
        bide_yield();
    }
    bide_sleep(25); /* two are there, and a half */
    if (victim < 3)
        cancel(tasks[victim]);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(await(tasks[i]), i == victim ? -ECANCELED : 0);
        if (i != victim)
            due += wanted[i] * 10;
        CHECK_EQ(bide_now(), due > 25 ? due : 25);
    }
    free(rate); /* no timer is left in it */
    bide_sleep(1000);
    return 0;
}

/*
 * Goal:   a waiter that is cancelled takes nothing, and those behind it move up: at once, if what
 *         is there will do for them.
 * Method: cancel each of three in turn, and none; the times tell.
 */
TEST(rate, cancelled_waiter_takes_nothing)
{
    for (int victim = 0; victim <= 3; victim++)
        CHECK_EQ(bide_test_run(moves_up, &victim, 0, NULL), 0);
}

static int all_give_up(void *arg)
{
    bide_rate *rate = malloc(sizeof *rate);
    task(int) tasks[3];

    (void)arg;
    *rate = (bide_rate)BIDE_RATE_INIT(1, 10, 5);
    CHECK_EQ(bide_rate_acquire_n(rate, 5), 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(acquires, rate, 1);
    bide_sleep(5);
    cancel(tasks[0]);
    cancel(tasks[1]);
    cancel(tasks[2]);
    task(int) late = spawn(acquires, rate, 2); /* joins before those have run */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(tasks[i]), -ECANCELED);
    with_timeout (5) {
        CHECK_EQ(bide_rate_acquire(rate), -ETIMEDOUT);
        CHECK_EQ(bide_rate_acquire(rate), -ETIMEDOUT); /* a level, also if it need not wait */
        CHECK_EQ(bide_rate_acquire_n(rate, 0), -ETIMEDOUT);
    }
    CHECK_EQ(await(late), 0);
    CHECK_EQ(bide_now(), 20);
    with_timeout (5)
        CHECK_EQ(bide_rate_acquire(rate), -ETIMEDOUT);
    free(rate);
    bide_sleep(1000);
    return 0;
}

/*
 * Goal:   when all who wait give up, no timer stays behind, and nothing was taken.
 * Method: cancel three at once while another joins; deadlines; the bucket's memory is freed while
 *         time goes on.
 */
TEST(rate, bucket_can_go_when_nobody_waits)
{
    for (uint64_t seed = 0; seed < 50; seed++)
        CHECK_EQ(bide_test_run(all_give_up, NULL, seed, NULL), 0);
}

/* Tasks that take random numbers of permits, and give up or are cancelled at random. */
enum { TAKERS = 6 };

struct crowd {
    bide_rate rate;
    int64_t permits, burst;
    bide_time per_ns;
    uint64_t state;
    int64_t taken;
};

static async(int, takes, struct crowd *, crowd)
{
    for (int i = 0; i < 10; i++) {
        int64_t n = (int64_t)(random_next(&crowd->state) % (uint64_t)(crowd->burst + 1));
        int err = 0;
        with_timeout (BIDE_NS(random_next(&crowd->state) % 40))
            err = bide_rate_acquire_n(&crowd->rate, n);
        CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
        if (err == 0)
            crowd->taken += n;
        CHECK((crowd->taken - crowd->burst) * crowd->per_ns <= bide_now() * crowd->permits);
        bide_sleep(BIDE_NS(random_next(&crowd->state) % 5));
    }
    return 0;
}

static int crowds(void *arg)
{
    struct crowd *crowd = arg;
    task(int) tasks[TAKERS];

    for (int i = 0; i < TAKERS; i++)
        tasks[i] = spawn(takes, crowd);
    for (int i = 0; i < TAKERS / 2; i++) {
        bide_sleep(BIDE_NS(random_next(&crowd->state) % 20));
        cancel(tasks[i]);
    }
    for (int i = 0; i < TAKERS; i++)
        await(tasks[i]);
    /* What is missing from a full bucket is no more than what was taken: nothing leaked. */
    bide_time before = bide_now();
    CHECK_EQ(bide_rate_acquire_n(&crowd->rate, crowd->burst), 0);
    CHECK((bide_now() - before) * crowd->permits < crowd->burst * crowd->per_ns + crowd->permits);
    crowd->taken += crowd->burst;
    CHECK((crowd->taken - crowd->burst) * crowd->per_ns <= bide_now() * crowd->permits);
    return 0;
}

/*
 * Goal:   however waits end, never more is given out than was there, and nobody waits for ever.
 * Method: a crowd whose members time out and are cancelled, under hundreds of seeds and several
 *         rates; what was taken is summed up.
 */
TEST(rate, crowd_never_takes_more_than_flows_in)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct crowd crowd = {
            .permits = 1 + (int64_t)(seed % 7),
            .per_ns = 1 + (int64_t)(seed % 11),
            .burst = 1 + (int64_t)(seed % 5),
            .state = test_seed() + seed,
        };
        crowd.rate = (bide_rate)BIDE_RATE_INIT(crowd.permits, crowd.per_ns, crowd.burst);
        CHECK_EQ(bide_test_run(crowds, &crowd, seed, NULL), 0);
    }
}

static int hundred_wait(void *arg)
{
    bide_rate rate = BIDE_RATE_INIT(1, 10, 1);
    task(int) tasks[100];
    bide_stats before, after;

    (void)arg;
    CHECK_EQ(bide_rate_acquire(&rate), 0);
    for (int i = 0; i < 100; i++)
        tasks[i] = spawn(acquires, &rate, 1);
    for (int i = 0; i < 100; i++) {
        order_count = 0;
        bide_loop_stats(&before);
        CHECK_EQ(await(tasks[i]), 0);
        bide_loop_stats(&after);
        CHECK_EQ(bide_now(), (i + 1) * 10);
        CHECK_EQ(after.sleeps, before.sleeps + 1);
    }
    return 0;
}

/*
 * Goal:   many who wait cost one timer: the loop wakes once for each permit, for its owner alone.
 * Method: count the loop's sleeps.
 */
TEST(rate, only_the_first_waiter_has_a_timer)
{
    run(hundred_wait);
}

static int extremes(void *arg)
{
    bide_rate slow = BIDE_RATE_INIT(1, INT64_MAX, INT64_MAX);
    bide_rate fast = BIDE_RATE_INIT(INT64_MAX, 1, INT64_MAX);
    bide_rate even = BIDE_RATE_INIT(INT64_MAX, INT64_MAX, INT64_MAX);

    (void)arg;
    CHECK_EQ(bide_rate_acquire_n(&slow, INT64_MAX), 0);
    CHECK_EQ(bide_rate_acquire_n(&fast, INT64_MAX), 0);
    CHECK_EQ(bide_rate_acquire_n(&even, INT64_MAX), 0);
    CHECK_EQ(bide_rate_acquire_n(&fast, INT64_MAX), 0);
    CHECK_EQ(bide_now(), 1);
    with_timeout (BIDE_SEC(1) - 1)
        CHECK_EQ(bide_rate_acquire(&slow), -ETIMEDOUT);
    CHECK_EQ(bide_rate_acquire_n(&even, BIDE_SEC(2)), 0);
    CHECK_EQ(bide_now(), BIDE_SEC(2));
    CHECK_EQ(bide_rate_acquire_n(&even, INT64_MAX - BIDE_SEC(2) - 1), 0);
    CHECK_EQ(bide_now(), BIDE_FOREVER - 1);
    CHECK_EQ(bide_rate_acquire_n(&fast, INT64_MAX), 0);
    CHECK_EQ(bide_rate_try_acquire(&fast), -EAGAIN);
    CHECK_EQ(bide_rate_acquire(&slow), -ECANCELED); /* never: a deadlock, which is reported */
    return 0;
}

/*
 * Goal:   the largest numbers overflow nothing, and a permit beyond all time is never.
 * Method: INT64_MAX for each of the three.
 */
TEST(rate, extreme_numbers_saturate)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(extremes, NULL, 0, &options), -EDEADLK);
    CHECK_CONTAINS(reports_get(&seen, BIDE_REPORT_DEADLOCK, 1)->message, "in rate_acquire");
}

static int refuses(void *arg)
{
    bide_rate rate = BIDE_RATE_INIT(1, 1, 3);

    (void)arg;
    CHECK_EQ(bide_rate_acquire_n(&rate, 4), -EINVAL);
    CHECK_EQ(bide_rate_acquire_n(&rate, -1), -EINVAL);
    CHECK_EQ(bide_rate_acquire_n(&rate, INT64_MIN), -EINVAL);
    CHECK_EQ(bide_rate_try_acquire_n(&rate, 4), -EINVAL);
    CHECK_EQ(bide_rate_try_acquire_n(&rate, -1), -EINVAL);
    CHECK_EQ(bide_rate_acquire_n(&rate, 0), 0);
    CHECK_EQ(bide_rate_try_acquire_n(&rate, 3), 0);
    CHECK_EQ(bide_rate_acquire_n(&rate, 0), 0);
    return 0;
}

/*
 * Goal:   a number of permits that the bucket can never hold is refused, and takes nothing.
 * Method: one more than the burst, and less than none.
 */
TEST(rate, impossible_numbers_are_refused)
{
    run(refuses);
}

static async(int, bystander, const bool *, ends, int *, turns)
{
    while (!*ends && bide_yield() == 0)
        ++*turns;
    return 0;
}

static int never_waits(void *arg)
{
    bide_rate rate = BIDE_RATE_INIT(1, 1, 1000000);
    bool ends = false;
    int turns = 0;
    task(int) other = spawn(bystander, &ends, &turns);

    (void)arg;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(bide_rate_acquire(&rate), 0);
    CHECK(turns > 100);
    ends = true;
    await(other);
    return 0;
}

/*
 * Goal:   a task that always finds a permit lets others run.
 * Method: count a bystander's turns.
 */
TEST(rate, calls_that_do_not_wait_spend_the_budget)
{
    run(never_waits);
}

static int acquires_of(void *rate)
{
    return bide_rate_acquire(rate);
}

/*
 * Goal:   mistakes end the process with a line that says what to change.
 * Method: each one in a process of its own.
 */
TEST(rate, misuse_aborts_with_one_line)
{
    bide_rate none = {0}, backward = BIDE_RATE_INIT(1, -1, 1), fine = BIDE_RATE_INIT(1, 1, 1);

    EXPECT_DEATH(bide_test_run(acquires_of, &none, 0, NULL), "must be more than 0");
    EXPECT_DEATH(bide_rate_try_acquire(&backward), "they are 1, -1 and 1");
    EXPECT_DEATH(bide_rate_acquire(&fine), "bide_rate_acquire was called outside of a task");
}
