/* SPDX-License-Identifier: MIT */
/*
 * await.c - waiting for a task, giving up, and what a cancel does on the way.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run_seeded(void (*body)(void), uint64_t seed)
{
    CHECK_EQ(bide_test_run(call_body, &body, seed, NULL), 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static async(int, sleeps, bide_time, timeout, int, result)
{
    int err = bide_sleep(timeout);

    return err < 0 ? err : result;
}

static void awaits(void)
{
    task(int) slow = spawn(sleeps, BIDE_MS(3), 30);
    task(int) quick = spawn(sleeps, BIDE_MS(1), 10);

    CHECK(!is_done(slow));
    CHECK_EQ(await(slow), 30);
    CHECK_EQ(bide_now(), BIDE_MS(3));
    CHECK(is_done(quick)); /* it keeps its result until somebody asks */
    CHECK_EQ(await(quick), 10);
    CHECK_EQ(bide_now(), BIDE_MS(3));
}

/*
 * Goal:   await waits for a running task and returns at once from one that has ended.
 * Method: two sleepers, the slower awaited first.
 */
TEST(await, waits_for_running_and_not_for_ended_tasks)
{
    run(awaits);
}

static void awaits_for(void)
{
    int out = -1;
    task(int) t = spawn(sleeps, BIDE_MS(10), 5);

    CHECK_EQ(await_for(t, BIDE_MS(4), &out), -ETIMEDOUT);
    CHECK_EQ(bide_now(), BIDE_MS(4));
    CHECK_EQ(await_for(t, 0, &out), -ETIMEDOUT);
    CHECK_EQ(await_for(t, -1, &out), -ETIMEDOUT);
    CHECK_EQ(await_for(t, INT64_MIN, &out), -ETIMEDOUT);
    CHECK_EQ(bide_now(), BIDE_MS(4));
    CHECK_EQ(out, -1); /* untouched on failure */
    CHECK_EQ(await_for(t, BIDE_FOREVER, &out), 0);
    CHECK_EQ(out, 5);
    CHECK_EQ(bide_now(), BIDE_MS(10));
    t = spawn(sleeps, 0, 6);
    bide_sleep(1);
    CHECK_EQ(await_for(t, 0, NULL),
             0); /* it has ended: no time is needed, and nobody wants the result */
}

/*
 * Goal:   await_for gives up in time, leaves the task and its handle alone, and takes the result
 *         when there is one.
 * Method: short, no, negative and endless timeouts on one task.
 */
TEST(await, await_for_gives_up_and_leaves_the_task_running)
{
    run(awaits_for);
}

static int outcomes[2];

static async(int, ends_at, bide_time, at)
{
    CHECK_EQ(bide_sleep_until(at), 0);
    return 7;
}

static void times_out_in_the_same_tick(void)
{
    int out = -1;
    task(int) t = spawn(ends_at, BIDE_MS(5));

    if (bide_yield() < 0)
        return;
    int err = await_for(t, BIDE_MS(5), &out);
    CHECK_EQ(bide_now(), BIDE_MS(5));
    outcomes[err == 0]++;
    if (err == 0) {
        CHECK_EQ(out, 7);
    } else {
        CHECK_EQ(err, -ETIMEDOUT);
        CHECK_EQ(out, -1);
        CHECK_EQ(await(t), 7);
    }
}

/*
 * Goal:   a timeout and an end in the same instant give the result or the timeout, never both,
 *         never neither, and the handle stays valid exactly when the call failed.
 * Method: both at 5 ms under many seeds; the other way to the result is taken when the first
 *         failed.
 */
TEST(await, await_for_against_completion_has_one_outcome)
{
    for (uint64_t seed = 0; seed < 200; seed++)
        run_seeded(times_out_in_the_same_tick, seed);
    CHECK_EQ(outcomes[0] + outcomes[1], 200);
    CHECK(outcomes[0] > 0 && outcomes[1] > 0);
}

static async(int, awaits_with_limit, task(int), t, int *, out)
{
    int err = await_for(t, BIDE_SEC(1), out);

    if (err < 0) {
        cancel(t);
        CHECK_EQ(await(t), -ECANCELED);
    }
    return err;
}

static void cancels_await_for(void)
{
    int out = -1;
    task(int) t = spawn(sleeps, BIDE_MS(10), 5);
    task(int) waiter = spawn(awaits_with_limit, t, &out);

    CHECK_EQ(bide_test_settle(), 0);
    cancel(waiter);
    CHECK_EQ(await(waiter), -ECANCELED);
    CHECK_EQ(out, -1);
    CHECK_EQ(bide_now(), 0);

    task(int) other = spawn(sleeps, BIDE_MS(10), 5);
    with_timeout (BIDE_MS(2)) {
        CHECK_EQ(await_for(other, BIDE_SEC(1), &out), -ETIMEDOUT);
        CHECK_EQ(await_for(other, BIDE_SEC(1), &out),
                 -ETIMEDOUT); /* at once: the scope has fired */
    }
    CHECK_EQ(bide_now(), BIDE_MS(2));
    CHECK(!is_done(other));
    CHECK_EQ(await(other), 5);
}

/*
 * Goal:   a cancel of the caller ends await_for and does not go on to the awaited task.
 * Method: cancel the caller; and an enclosing deadline.
 */
TEST(await, await_for_keeps_a_cancel_to_the_caller)
{
    run(cancels_await_for);
}

static async(int, links, int, n)
{
    return n == 0 ? bide_sleep(BIDE_SEC(1)) : await(spawn(links, n - 1)) - 1;
}

static void cancels_chain(void)
{
    task(int) chain = spawn(links, 5);
    CHECK_EQ(bide_test_settle(), 0);
    cancel(chain);
    CHECK_EQ(await(chain), -ECANCELED - 5);
    CHECK_EQ(bide_now(), 0);

    chain = spawn(links, 5);
    cancel(chain); /* none of the others has been spawned yet */
    CHECK_EQ(await(chain), -ECANCELED - 5);
    CHECK_EQ(bide_now(), 0);

    with_timeout (BIDE_MS(10)) {
        CHECK_EQ(await(spawn(links, 5)), -ETIMEDOUT - 5);
        CHECK_EQ(bide_now(), BIDE_MS(10));
        CHECK_EQ(await(spawn(links, 5)), -ETIMEDOUT - 5); /* at once: the scope has fired */
    }
    CHECK_EQ(bide_now(), BIDE_MS(10));
}

/*
 * Goal:   a cancel goes down a chain of awaits to whoever sleeps, and each link then returns its
 *         own result.
 * Method: cancel while it sleeps, before it has begun, and by a deadline around the await.
 */
TEST(await, cancel_passes_through_a_chain)
{
    run(cancels_chain);
}

static int cancels_long_chain(void *arg)
{
    int length = *(int *)arg;
    task(int) chain = spawn(links, length);

    CHECK_EQ(bide_test_settle(), 0);
    CHECK_EQ(bide_now(), 0);
    cancel(chain);
    return await(chain);
}

/*
 * Goal:   a cancel goes down a long chain without recursion: stacks do not depend on its length.
 * Method: 10,000 tasks that await one another (1,000 under a sanitizer), each on the smallest
 *         stack.
 */
TEST(await, cancel_passes_through_ten_thousand_awaits)
{
    bide_options options = {.stack_bytes = 1};
    int length = TEST_UNDER_SANITIZER() ? 1000 : 10000;

    CHECK_EQ(bide_test_run(cancels_long_chain, &length, 0, &options), -ECANCELED - length);
}

static async(int, swallows_cancel)
{
    int err = bide_sleep(BIDE_SEC(1));

    CHECK_EQ(err, -ECANCELED);
    with_shield (BIDE_SEC(1))
        CHECK_EQ(bide_sleep(BIDE_MS(3)), 0);
    return 42;
}

static async(int, awaits_one, task(int), t)
{
    int result = await(t);

    CHECK_EQ(bide_yield(), -ECANCELED);
    return result;
}

static void awaited_decides(void)
{
    task(int) t = spawn(awaits_one, spawn(swallows_cancel));

    CHECK_EQ(bide_test_settle(), 0);
    cancel(t);
    CHECK_EQ(await(t), 42);
    CHECK_EQ(bide_now(), BIDE_MS(3));
}

/*
 * Goal:   await returns what the awaited task returns, even when the awaiting one was cancelled
 *         meanwhile.
 * Method: the awaited task cleans up for 3 ms under a shield and then returns a result of its own.
 */
TEST(await, result_of_the_awaited_task_counts_after_a_cancel)
{
    run(awaited_decides);
}

static async(int, awaits_shielded, task(int), t)
{
    int result = -1;

    with_shield (BIDE_SEC(1))
        result = await(t);
    CHECK_EQ(bide_yield(), -ECANCELED);
    return result;
}

static async(int, awaits_shielded_too_long, task(int), t)
{
    int result = -1;

    with_shield (BIDE_MS(1))
        result = await(t);
    return result;
}

static void awaits_under_shields(void)
{
    task(int) t = spawn(awaits_shielded, spawn(sleeps, BIDE_MS(5), 8));
    bide_yield();
    cancel(t);
    CHECK_EQ(await(t), 8);
    CHECK_EQ(bide_now(), BIDE_MS(5));

    t = spawn(awaits_shielded_too_long, spawn(sleeps, BIDE_SEC(5), 8));
    bide_yield();
    cancel(t);
    CHECK_EQ(await(t), -ETIMEDOUT); /* the shield's limit */
    CHECK_EQ(bide_now(), BIDE_MS(6));
}

/*
 * Goal:   a cancel does not reach what is awaited under a shield; the shield's limit does.
 * Method: an awaited task that ends within the limit, and one that does not.
 */
TEST(await, shield_keeps_the_cancel_from_the_awaited_task)
{
    run(awaits_under_shields);
}

static void detaches(void)
{
    bide_stats stats;
    task(int) running = spawn(sleeps, BIDE_MS(1), 1);
    task(int) ended = spawn(sleeps, 0, 1);

    CHECK_EQ(bide_test_settle(), 0);
    CHECK(is_done(ended) && !is_done(running));
    CHECK_EQ(detach(running), 0);
    CHECK_EQ(detach(ended), 0);
    bide_sleep(BIDE_MS(2));
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    CHECK_EQ(stats.stacks_pooled, stats.stacks_made - 1);
}

/*
 * Goal:   detach gives up a running task, which goes on, and one that has ended; both free their
 *         stack at the end.
 * Method: one of each; count tasks and pooled stacks.
 */
TEST(await, detach_of_running_and_ended_tasks_frees_them)
{
    run(detaches);
}

struct pair {
    task(int) first, second;
    int result;
};

static async(int, awaits_first, struct pair *, pair)
{
    return await(pair->first);
}

static async(int, awaits_second_for, struct pair *, pair)
{
    int out;

    bide_yield();
    pair->result = await_for(pair->second, BIDE_SEC(1), &out);
    return 1;
}

static void closes_cycle_with_await_for(void)
{
    struct pair pair = {0};

    pair.first = spawn(awaits_second_for, &pair);
    pair.second = spawn(awaits_first, &pair);
    CHECK_EQ(await(pair.second), 1);
    CHECK_EQ(pair.result, -EDEADLK);
    CHECK_EQ(bide_now(), 0);
}

static task(int) myself;

static async(int, awaits_itself_for)
{
    return await_for(myself, BIDE_SEC(1), NULL);
}

static void awaits_itself_limited(void)
{
    myself = spawn(awaits_itself_for);
    task(int) same = myself;
    CHECK_EQ(await(same), -EDEADLK);
}

/*
 * Goal:   await_for on a task that waits for the caller, or on the caller, is refused with -EDEADLK
 *         at once.
 * Method: a cycle of two that await_for closes, and a task that waits for itself.
 */
TEST(await, await_for_in_a_cycle_is_edeadlk)
{
    run(closes_cycle_with_await_for);
    run(awaits_itself_limited);
}

static int last_result;

static async(int, maybe_canceled, int, turns)
{
    for (int i = 0; i < turns; i++)
        if (bide_yield() < 0)
            return -ECANCELED;
    return 1;
}

static async(void, cancels_later, task(int), t, int, turns)
{
    for (int i = 0; i < turns; i++)
        bide_yield();
    if (!is_done(t))
        cancel(t);
}

static int cancel_turns;

static void cancel_against_completion(void)
{
    task(int) t = spawn(maybe_canceled, 3);
    task(void) canceller = spawn(cancels_later, t, cancel_turns);

    await(canceller);
    last_result = await(t);
    CHECK(last_result == 1 || last_result == -ECANCELED);
}

/*
 * Goal:   a cancel that races with the end gives the one or the other, and the handle gives it
 *         once.
 * Method: cancel after k turns for every k around the end, under several seeds; both outcomes are
 *         seen.
 */
TEST(await, cancel_against_completion_has_one_outcome)
{
    int canceled = 0, total = 0;

    for (cancel_turns = 0; cancel_turns < 8; cancel_turns++)
        for (uint64_t seed = 0; seed < 30; seed++, total++) {
            run_seeded(cancel_against_completion, seed);
            canceled += last_result == -ECANCELED;
        }
    CHECK(canceled > 0 && canceled < total);
}
