/* SPDX-License-Identifier: MIT */
/*
 * async.c - mistakes that were made in the typed macros and in await.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "reports.h"
#include "test.h"

struct large {
    char bytes[60000];
};

static async(int, last_byte, struct large, l)
{
    bide_yield();
    return l.bytes[sizeof l.bytes - 1];
}

static int passes_large(void *arg)
{
    static struct large large;

    (void)arg;
    large.bytes[sizeof large.bytes - 1] = 9;
    return await(spawn_with(&(bide_spawn_options){.stack_bytes = 1}, last_byte, large));
}

/*
 * Goal:   the stack has room for large arguments and for the copy that the call makes of them. It
 *         had room for one.
 * Method: 60,000 bytes on the smallest stack, where both would just not have fitted.
 */
TEST(async, large_argument_on_the_smallest_stack)
{
    bide_options options = {.stack_bytes = 1 << 20};

    CHECK_EQ(bide_test_run(passes_large, NULL, 0, &options), 9);
}

static async(int, plain, int, n)
{
    return n;
}

static async(int, takes, task(int), t)
{
    return await(t);
}

static int nests(void *arg)
{
    (void)arg;
    CHECK_EQ(go(takes, spawn(plain, 1)), 0);
    return await(spawn(takes, spawn(takes, spawn_with(NULL, plain, await(spawn(plain, 7))))));
}

/*
 * Goal:   spawn may stand among the arguments of spawn, and of go.
 * Method: three deep. The inner one was left unexpanded, since the outer passed its arguments on by
 *         ##.
 */
TEST(async, spawn_among_the_arguments_of_spawn)
{
    CHECK_EQ(bide_test_run(nests, NULL, 0, NULL), 7);
}

#if !defined(__clang__) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" /* false ones abound there */
#endif

static int assigns_in_block(void *arg)
{
    int err;

    (void)arg;
    with_timeout (1)
        err = bide_sleep(BIDE_SEC(1));
    return err; /* a warning here is an error in this build */
}

/*
 * Goal:   the compiler knows that the block of a scope runs: what is assigned in it is not "maybe
 *         uninitialized".
 * Method: compile it with warnings.
 */
TEST(async, value_assigned_in_a_scope_draws_no_warning)
{
    CHECK_EQ(bide_test_run(assigns_in_block, NULL, 0, NULL), -ETIMEDOUT);
}

static task(int) own;

static async(int, awaits_own)
{
    return await(own);
}

static int awaits_one_that_awaits_itself(void *arg)
{
    (void)arg;
    own = spawn(awaits_own);
    return await(own);
}

/*
 * Goal:   a task that awaits itself is told so, also when its owner awaits it already, as owners
 *         do.
 * Method: the message named the owner as the reason. The owner gets what the task then returns.
 */
TEST(async, self_await_of_an_awaited_task_is_named)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(awaits_one_that_awaits_itself, NULL, 0, &options), -EDEADLK);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 1);
    CHECK_CONTAINS(seen.kept[0].message, "task 'awaits_own' #2");
    CHECK_CONTAINS(seen.kept[0].message, "awaits itself");
}

static async(int, seven)
{
    bide_yield();
    return 7;
}

static async(int, waits_a_while, task(int), t)
{
    int out;

    if (await_for(t, BIDE_SEC(1), &out) < 0) /* gcc called `out` maybe uninitialised here */
        return -1;
    return out;
}

static int awaits_what_another_was_woken_for(void *arg)
{
    task(int) t = spawn(seven), waiter = spawn(waits_a_while, t);

    (void)arg;
    while (!is_done(t))
        bide_yield();
    await(t); /* the waiter has been woken and has not run */
    return await(waiter);
}

static void second_owner(void)
{
    for (uint64_t seed = 0; seed < 200; seed++)
        bide_test_run(awaits_what_another_was_woken_for, NULL, seed, NULL);
}

/*
 * Goal:   a task that has ended while somebody awaits it is still that somebody's.
 * Method: await it after its end, before its waiter has run. That took the result away.
 */
TEST(async, second_owner_after_the_end_is_refused)
{
    EXPECT_DEATH(second_owner(), "is already awaited by task 'waits_a_while'");
}

static task(int) loop_a, loop_b;

static async(int, waits_briefly)
{
    int out;

    return await_for(loop_b, BIDE_MS(10), &out);
}

static async(int, waits_for_a)
{
    return await(loop_a);
}

static int cycle_with_an_end(void *arg)
{
    (void)arg;
    loop_a = spawn(waits_briefly);
    loop_b = spawn(waits_for_a);
    bide_sleep(BIDE_MS(20));
    return await(loop_b);
}

/*
 * Goal:   a cycle of awaits one of which is limited in time is none: it ends.
 * Method: A awaits B for ten milliseconds, B awaits A. It was called endless and aborted.
 */
TEST(async, cycle_that_times_out_is_no_cycle)
{
    CHECK_EQ(bide_test_run(cycle_with_an_end, NULL, 0, NULL), -ETIMEDOUT);
}

static async(int, nothing)
{
    return 0;
}

static int uses_one_block_often(void *arg)
{
    task(int) stale = spawn(nothing);

    (void)arg;
    await(stale);
    for (int i = 1; i < 65536; i++)
        await(spawn(nothing));
    task(int) other = spawn(nothing);
    CHECK(other != stale);
    return await(stale);
}

/*
 * Goal:   a stale handle is recognised after 65,536 tasks in the same control block. The count had
 *         16 bits.
 * Method: so many tasks, one after the other, then the first handle again.
 */
TEST(async, stale_handle_is_recognised_for_long)
{
    EXPECT_DEATH(bide_test_run(uses_one_block_often, NULL, 0, NULL), "this handle is spent");
}

static async(int, waits_for, task(int), t)
{
    return await(t);
}

static int builds_a_chain_at_its_end(void *arg)
{
    task(int) last = spawn(seven);

    (void)arg;
    for (int i = 0; i < 30000; i++) {
        last = spawn(waits_for, last);
        bide_yield();
    }
    return await(last);
}

/*
 * Goal:   a chain of awaits that grows at its end costs the same at every length. Each new await
 *         looked through the whole chain for a cycle.
 * Method: 30,000 links; the case's time limit would not do for the square of that.
 */
TEST(async, chain_that_grows_at_its_end)
{
    CHECK_EQ(bide_run(builds_a_chain_at_its_end, NULL, NULL), 7);
}

static future(int) given_up;
static int taken;

static void takes_a_share(void *unused)
{
    (void)unused;
    taken = await(future_share(given_up));
}

static void takes_the_last(void *unused)
{
    (void)unused;
    taken = await(given_up);
}

static void keeps_a_share(void *unused)
{
    (void)unused;
    (void)future_share(given_up);
}

static int gives_up_under_callbacks(void *arg)
{
    void (*const callbacks[])(void *) = {takes_a_share, takes_the_last, keeps_a_share};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        bide_callback callback;
        given_up = future_new(int);
        taken = 0;
        on_done(given_up, &callback, callbacks[i], NULL);
        detach(given_up);
        if (i == 2)
            taken = await(given_up);
        CHECK_EQ(taken, -ECANCELED);
        future(int) next = future_new(int), other = future_new(int);
        CHECK(next != other);
        detach(next);
        detach(other);
    }
    return 0;
}

/*
 * Goal:   a callback of a future whose last share is given up may take or share it.
 * Method: each; the block was put on the free list twice.
 */
TEST(async, callback_of_a_future_given_up_may_take_it)
{
    CHECK_EQ(bide_test_run(gives_up_under_callbacks, NULL, 0, NULL), 0);
}

static task(int) slow;

static void waits_in_callback(void *unused)
{
    (void)unused;
    taken = bide_sleep(BIDE_MS(1));
    await(slow);
}

static int calls_back_to_wait(void *arg)
{
    bide_callback callback;
    task(int) t = spawn(seven);

    (void)arg;
    slow = spawn(seven);
    on_done(t, &callback, waits_in_callback, NULL);
    await(t);
    return 0;
}

/*
 * Goal:   a callback that would have to wait is told so, naming the task, and others return at
 *         once.
 * Method: it ended in an assertion of ours.
 */
TEST(async, callback_that_waits_is_named)
{
    EXPECT_DEATH(bide_test_run(calls_back_to_wait, NULL, 0, NULL),
                 "a callback of on_done that runs in task 'seven' #2");
}

static future(int) inner_future;
static int sleeps_before, sleeps_after;

static void sets_another(void *arg)
{
    (void)arg;
    sleeps_before = bide_sleep(1);
    future_set(inner_future, 1);
    with_shield (BIDE_SEC(1))
        bide_now();
    sleeps_after = bide_sleep(1);
}

static void tells_nobody(void *arg)
{
    (void)arg;
}

static int calls_back_in_a_callback(void *arg)
{
    bide_callback outer_callback, inner_callback;
    future(int) outer = future_new(int);

    (void)arg;
    inner_future = future_new(int);
    on_done(outer, &outer_callback, sets_another, NULL);
    on_done(inner_future, &inner_callback, tells_nobody, NULL);
    future_set(outer, 1);
    CHECK_EQ(sleeps_before, -ECANCELED);
    CHECK_EQ(sleeps_after, -ECANCELED);
    CHECK_EQ(bide_sleep(1), 0); /* and outside of it all is as before */
    return await(outer) + await(inner_future) - 2;
}

/*
 * Goal:   a callback stays one that must not wait, whatever it does and leaves.
 * Method: fulfil another future that is watched, and leave a shield; then sleep.
 */
TEST(async, callback_stays_cancelled)
{
    CHECK_EQ(bide_test_run(calls_back_in_a_callback, NULL, 0, NULL), 0);
}

static task(int) ring_joiner;
static bool is_ring_closed_late;
static int ring_of_awaiter, ring_of_joiner;

static async(int, sleeps_for, bide_time, ns)
{
    return bide_sleep(ns);
}

static async(int, awaits_its_joiner)
{
    bide_sleep(10);
    return ring_of_awaiter = await(ring_joiner);
}

static async(int, joins_its_awaiter)
{
    task(int) other = spawn(sleeps_for, is_ring_closed_late ? 10 : 1);
    task(int) awaiter = spawn(awaits_its_joiner);

    with_timeout (200) {
        ring_of_joiner = await_all(other, awaiter);
    }
    await(other);
    if (ring_of_joiner == -EDEADLK) { /* then the other one waits for us, and gets this */
        detach(awaiter);
        return 3;
    }
    await(awaiter);
    return 4;
}

static int joins_in_a_ring(void *arg)
{
    (void)arg;
    ring_of_awaiter = ring_of_joiner = 1;
    ring_joiner = spawn(joins_its_awaiter);
    bide_sleep(1000);
    if (ring_of_joiner == -EDEADLK) {
        CHECK_EQ(ring_of_awaiter, 3);
    } else {
        CHECK_EQ(ring_of_joiner, 0);
        CHECK_EQ(ring_of_awaiter, -EDEADLK); /* which has spent the handle */
    }
    return 0;
}

/*
 * Goal:   a ring that is closed through await_all is found by whoever closes it, also when the
 *         joiner is just about to go on. No timeout ended it.
 * Method: a task awaits the one that joins it and another; the other ends before, or at that time.
 */
TEST(async, ring_through_await_all_is_found)
{
    struct reports seen = {0};

    bide_options quiet = REPORTS_INTO(&seen);

    for (uint64_t seed = 0; seed < 40; seed++) {
        is_ring_closed_late = seed % 2;
        CHECK_EQ(bide_test_run(joins_in_a_ring, NULL, seed, &quiet), 0);
    }
}

static int waits_in_callback_under_a_shield;

static void sends_under_a_shield(void *arg)
{
    chan(int) silent = arg;
    int value;

    with_shield (BIDE_SEC(1)) {
        if (waits_in_callback_under_a_shield == 0)
            chan_recv(silent, &value);
        else
            chan_send(silent, 1);
    }
}

static int calls_back_to_wait_for_a_channel(void *arg)
{
    bide_callback callback;
    task(int) t = spawn(seven);

    (void)arg;
    on_done(t, &callback, sends_under_a_shield, chan_new(int, 0));
    await(t);
    return 0;
}

/*
 * Goal:   a channel call that would wait in a callback, under a shield, is told so like any other.
 * Method: it ended in an assertion of ours.
 */
TEST(async, callback_that_waits_for_a_channel_is_named)
{
    for (int i = 0; i < 2; i++) {
        waits_in_callback_under_a_shield = i;
        EXPECT_DEATH(bide_test_run(calls_back_to_wait_for_a_channel, NULL, 0, NULL),
                     "a callback of on_done that runs in task 'seven'");
    }
}
