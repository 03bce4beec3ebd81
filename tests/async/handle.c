/* SPDX-License-Identifier: MIT */
/*
 * handle.c - a handle serves once: every mistake with one is found and named.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run(void (*body)(void))
{
    CHECK_EQ(bide_test_run(call_body, &body, 0, NULL), 0);
}

static async(int, sleeps, bide_time, timeout, int, result)
{
    int err = bide_sleep(timeout);

    return err < 0 ? err : result;
}

static task(int) myself;

static async(int, awaits_itself)
{
    return await(myself);
}

static void awaits_self(void)
{
    myself = spawn(awaits_itself);
    await(myself);
}

static task(int) ring[3];

static async(int, awaits_next, int, i)
{
    return await(ring[(i + 1) % 3]);
}

static void awaits_in_a_ring(void)
{
    for (int i = 0; i < 3; i++)
        ring[i] = spawn(awaits_next, i);
    bide_sleep(BIDE_SEC(1));
}

static void awaits_in_an_awaited_ring(void)
{
    for (int i = 0; i < 3; i++)
        ring[i] = spawn(awaits_next, i);
    await(ring[0]);
}

static void awaits_twice(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    await(t);
    await(t);
}

static void awaits_after_detach(void)
{
    task(int) t = spawn(sleeps, BIDE_SEC(1), 1);

    detach(t);
    await(t);
}

static void detaches_twice(void)
{
    task(int) t = spawn(sleeps, BIDE_SEC(1), 1);

    detach(t);
    detach(t);
}

static void awaits_stale(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    CHECK_EQ(await(t), 1);
    task(int) next = spawn(sleeps, 0, 2); /* in the same control block */
    CHECK(((uintptr_t)t & 0xffffffc0) == ((uintptr_t)next & 0xffffffc0));
    CHECK(t != next);
    await(t);
}

static void cancels_stale(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    CHECK_EQ(await(t), 1);
    cancel(t);
}

static void asks_stale(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    CHECK_EQ(await(t), 1);
    (void)is_done(t);
}

static void awaits_null(void)
{
    task(int) t = NULL;

    await(t);
}

static void cancels_null(void)
{
    task(int) t = NULL;

    cancel(t);
}

static async(int, awaits_given, task(int), t)
{
    return await(t);
}

static void two_await_one(void)
{
    task(int) t = spawn(sleeps, BIDE_SEC(1), 1);

    go(awaits_given, t);
    bide_yield();
    await(t);
}

static void detaches_awaited(void)
{
    task(int) t = spawn(sleeps, BIDE_SEC(1), 1);

    go(awaits_given, t);
    bide_yield();
    bide_yield();
    detach(t);
}

static void awaits_outside(void)
{
    await((task(int))(uintptr_t)&ring);
}

/*
 * Goal:   each mistake with a handle aborts with one line that says what and where, in release
 *         builds too.
 * Method: every one in a child.
 */
TEST(handle, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run(awaits_twice), "await at 'await' at ");
    EXPECT_DEATH(run(awaits_twice), "in awaits_twice(): this handle is spent");
    EXPECT_DEATH(run(awaits_after_detach), "this handle is spent");
    EXPECT_DEATH(run(detaches_twice), "bide: detach: this handle is spent");
    EXPECT_DEATH(run(awaits_stale), "in awaits_stale(): this handle is spent");
    EXPECT_DEATH(run(cancels_stale), "bide: cancel: this handle is spent");
    EXPECT_DEATH(run(asks_stale), "bide: is_done: this handle is spent");
    EXPECT_DEATH(run(awaits_null), "in awaits_null(): the handle is NULL");
    EXPECT_DEATH(run(cancels_null), "bide: cancel: the handle is NULL");
    EXPECT_DEATH(run(two_await_one), "is already awaited by task 'awaits_given'");
    EXPECT_DEATH(run(detaches_awaited), "bide: detach: task 'sleeps' #2");
    EXPECT_DEATH(awaits_outside(), "bide: await was called outside of a task");
}

/*
 * Goal:   waits that could never end are found when they begin: of a task for itself, and around a
 *         ring.
 * Method: one task, and three; the ring's report names each with the place where it waits.
 */
TEST(handle, cycle_of_awaits_aborts_and_names_the_tasks)
{
    EXPECT_DEATH(run(awaits_self), "task 'awaits_itself' #2");
    EXPECT_DEATH(run(awaits_self), "awaits itself");
    EXPECT_DEATH(run(awaits_in_a_ring), "closes a cycle of tasks that await each other");
    EXPECT_DEATH(run(awaits_in_a_ring), "task 'awaits_next' #2 (spawned at ");
    EXPECT_DEATH(run(awaits_in_a_ring), "awaits awaits_next at 'await' at ");
    EXPECT_DEATH(run(awaits_in_a_ring), "would await the first of them");
    EXPECT_DEATH(run(awaits_in_an_awaited_ring), "closes a cycle of tasks that await each other");
}
