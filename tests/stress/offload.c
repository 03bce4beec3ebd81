/* SPDX-License-Identifier: MIT */
/*
 * offload.c - jobs in great numbers, and cancels that race with threads: nothing is lost, nothing
 * comes twice.
 */
/* timeout: 300 */
#include "jobs.h"

#include <bide/testing.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/random.h"
#include "reports.h"

static int scaled(int count)
{
    return TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU() ? count / 20
                                                                                : count;
}

enum { SENDERS = 100 };

static async(long, sends, atomic_int *, ran, int, first, int, count)
{
    long sum = 0;

    for (int i = first; i < first + count; i++)
        sum += await(offload(counts_up, ran, i));
    return sum;
}

static int conserves(void *unused)
{
    int each = scaled(100000) / SENDERS;
    atomic_int ran = 0;
    task(long) all[SENDERS];
    long sum = 0, total = (long)each * SENDERS;

    (void)unused;
    for (int i = 0; i < SENDERS; i++)
        all[i] = spawn(sends, &ran, i * each, each);
    for (int i = 0; i < SENDERS; i++)
        sum += await(all[i]);
    CHECK_EQ(sum, total * (total - 1) / 2);
    CHECK_EQ(atomic_load(&ran), total);
    return 0;
}

/*
 * Goal:   a hundred thousand jobs run once each, and each result reaches the one who asked.
 * Method: a hundred tasks, with room for all of them and for a few; sums of numbers.
 */
TEST(offload, hundred_thousand_jobs_run_once_each)
{
    bide_options few = {.threads_max = 3, .jobs_max = 2};

    CHECK_EQ(bide_run(conserves, NULL, NULL), 0);
    CHECK_EQ(bide_run(conserves, NULL, &few), 0);
}

/* Do nothing for a random while, up to some microseconds. */
static void dawdle(uint64_t *state)
{
    for (volatile uint64_t n = bide__random_next(state) % 3000; n > 0; n--)
        ;
}

static async(int, dawdles, atomic_int *, ran, uint64_t, seed)
{
    dawdle(&seed);
    atomic_fetch_add(ran, 1);
    return 1;
}

struct outcome {
    int results, cancels, detached;
};

enum { WAYS = 5 };

/* One job, and one way to get rid of it. */
static void one_race(int way, atomic_int *ran, uint64_t *state, struct outcome *outcome)
{
    task(int) job = offload(dawdles, ran, bide__random_next(state) | 1);
    bool lets_run = bide__random_next(state) % 2;
    int value = 0, got = 0;

    if (lets_run)
        CHECK_EQ(bide_yield(), 0);
    dawdle(state);
    switch (way) {
    case 0: /* a cancel: what await then says is the end of it */
        cancel(job);
        got = await(job);
        break;
    case 1:
        with_timeout (BIDE_US(bide__random_next(state) % 10))
            got = await(job);
        break;
    case 2: /* the time is over, and it is asked again */
        got = await_for(job, BIDE_US(bide__random_next(state) % 10), &value);
        CHECK(got == -ETIMEDOUT || (got == 0 && value == 1));
        got = got == 0 ? value : await(job);
        CHECK_EQ(got, 1);
        break;
    case 3:
        detach(job);
        outcome->detached++;
        return;
    default: /* two share it, and one gives up */
        future_share(job);
        with_timeout (BIDE_US(bide__random_next(state) % 10))
            got = await(job);
        CHECK(got == 1 || got == -ETIMEDOUT);
        got = await(job);
        CHECK_EQ(got, 1);
    }
    CHECK(got == 1 || got == -ECANCELED || got == -ETIMEDOUT);
    outcome->results += got == 1;
    outcome->cancels += got != 1;
}

static int races(void *arg)
{
    uint64_t state = test_seed();
    int count = scaled(100000);
    struct outcome outcome = {0};
    atomic_int *ran = arg;

    for (int i = 0; i < count; i++)
        one_race(i % WAYS, ran, &state, &outcome);
    CHECK_EQ(outcome.results + outcome.cancels + outcome.detached, count);
    CHECK(outcome.cancels > 0 && outcome.results > count / WAYS);
    /* The rest runs by the loop's end: at least what was wanted, at most all. */
    return outcome.results + outcome.detached;
}

/*
 * Goal:   a cancel that races with the end of a job leaves a result or the cancel, never both nor
 *         neither (fault 50), whichever is first.
 * Method: many jobs of a random length, cancelled, timed out, detached or shared after a random
 *         while; every result that was promised has run.
 */
TEST(offload, cancel_races_with_the_end)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    int promised;
    atomic_int ran = 0;

    options.threads_max = 2;
    promised = bide_run(races, &ran, &options);
    CHECK(promised > 0);
    CHECK(atomic_load(&ran) >= promised);
    CHECK_EQ(seen.count, 0);
}

/* Work that a task waits for, raced by a cancel: on the task's stack, so it must be waited for. */
static async(int, offers_its_stack, uint64_t, seed)
{
    atomic_int here = 0;

    with_shield (BIDE_FOREVER)
        CHECK_EQ(await(offload(dawdles, &here, seed)), 1);
    CHECK_EQ(atomic_load(&here), 1);
    return bide_canceled();
}

static int shielded(void *unused)
{
    uint64_t state = test_seed();

    (void)unused;
    for (int i = 0; i < scaled(20000); i++) {
        task(int) t = spawn(offers_its_stack, bide__random_next(&state) | 1);
        CHECK_EQ(bide_yield(), 0);
        dawdle(&state);
        cancel(t);
        CHECK_EQ(await(t), -ECANCELED);
    }
    return 0;
}

/*
 * Goal:   under a shield a job may use its caller's stack: the await does not return before it.
 * Method: cancel the caller at random moments. AddressSanitizer sees what comes too late.
 */
TEST(offload, shielded_await_outlasts_its_job)
{
    CHECK_EQ(bide_run(shielded, NULL, NULL), 0);
}

static int ends_early(void *arg)
{
    atomic_int *ran = arg;
    uint64_t state = (uint64_t)atomic_load(ran) * 2 + test_seed();

    for (uint64_t n = bide__random_next(&state) % 12; n > 0; n--)
        detach(offload(dawdles, ran, bide__random_next(&state) | 1));
    dawdle(&state);
    return 0;
}

/*
 * Goal:   a loop that ends while its jobs do drops each once or not at all: as many have run or
 *         were reported as there were (fault 42).
 * Method: many loops with no time for their jobs, which end at any moment around the loop's end.
 */
TEST(offload, end_of_the_loop_races_with_its_jobs)
{
    int count = scaled(5000) + 100;

    for (int i = 0; i < count; i++) {
        static atomic_int ran; /* jobs that were dropped add to it when all is over */
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        options.threads_max = 3;
        options.jobs_drain_ns = i % 2 == 0 ? -1 : BIDE_US(20);
        CHECK_EQ(bide_run(ends_early, &ran, &options), 0);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_JOB_DROPPED), seen.count);
    }
    threads_gone();
}

static void *runs_a_loop(void *arg)
{
    *(int *)arg = bide_run(conserves, NULL, &(bide_options){.threads_max = 4});
    return NULL;
}

/*
 * Goal:   loops on several threads have a pool each, and do not meet.
 * Method: two at once; ThreadSanitizer looks on.
 */
TEST(offload, two_loops_have_a_pool_each)
{
    pthread_t threads[2];
    int results[2] = {1, 1};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, runs_a_loop, &results[i]), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(results[i], 0);
    }
}
