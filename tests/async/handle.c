/* SPDX-License-Identifier: MIT */
/*
 * handle.c - a handle serves once: every mistake with one is found and named.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "reports.h"
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
    bide_test_settle();
    detach(t);
}

static void awaits_outside(void)
{
    await((task(int))(uintptr_t)&call_body);
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

/* What a loop says when its tasks await each other. */
static struct reports run_cycle(int (*body)(void *), int result)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(body, NULL, 0, &options), result);
    return seen;
}

#define AWAITS_ITSELF(T, name)                                                                     \
    static task(T) own_##name;                                                                     \
    static async(T, awaits_own_##name)                                                             \
    {                                                                                              \
        return await(own_##name);                                                                  \
    }                                                                                              \
    static int self_await_##name(void *arg)                                                        \
    {                                                                                              \
        (void)arg;                                                                                 \
        own_##name = spawn(awaits_own_##name);                                                     \
        bide_yield();                                                                              \
        bide_yield();                                                                              \
        bide_stats stats;                                                                          \
        bide_loop_stats(&stats);                                                                   \
        CHECK_EQ(stats.tasks_living, 1);                                                           \
        CHECK_EQ(stats.tasks_failed, 1);                                                           \
        return 3;                                                                                  \
    }                                                                                              \
    static int self_await_while_awaited_##name(void *arg)                                          \
    {                                                                                              \
        (void)arg;                                                                                 \
        own_##name = spawn(awaits_own_##name);                                                     \
        return (int)await(own_##name);                                                             \
    }
AWAITS_ITSELF(int, int)
AWAITS_ITSELF(long, long)
AWAITS_ITSELF(long long, llong)
AWAITS_ITSELF(short, short)
AWAITS_ITSELF(int8_t, int8)

/*
 * Goal:   a task that awaits itself gets -EDEADLK in whatever signed integer it returns, and one
 *         line is said about it; its handle is given up, as by detach, unless somebody awaits it.
 * Method: five widths; alone: it fails as a detached task does and nothing is left over; awaited by
 *         its owner: that one gets the result.
 */
TEST(handle, self_await_is_edeadlk_in_every_signed_width)
{
    int (*const alone[])(void *) = {self_await_int, self_await_long, self_await_llong,
                                    self_await_short, self_await_int8};
    int (*const awaited[])(void *) = {
        self_await_while_awaited_int, self_await_while_awaited_long, self_await_while_awaited_llong,
        self_await_while_awaited_short, self_await_while_awaited_int8};

    for (int i = 0; i < 5; i++) {
        struct reports seen = run_cycle(alone[i], 3);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 1);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), 1);
        CHECK_EQ(seen.count, 2);
        CHECK_CONTAINS(seen.kept[0].message, "awaits itself");
        CHECK_CONTAINS(seen.kept[0].message, "task 'awaits_own_");
        CHECK_EQ(seen.kept[0].error, -EDEADLK);
        CHECK_EQ(seen.kept[1].error, -EDEADLK);

        seen = run_cycle(awaited[i], -EDEADLK);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 1);
        CHECK_EQ(seen.count, 1);
        CHECK_CONTAINS(seen.kept[0].message, "awaits itself");
    }
}

static task(int) ring[3];
static int ring_results[3];

static async(int, awaits_next, int, i)
{
    return ring_results[i] = await(ring[(i + 1) % 3]);
}

static int awaits_in_a_ring(void *arg)
{
    bide_stats stats;

    (void)arg;
    for (int i = 0; i < 3; i++)
        ring[i] = spawn(awaits_next, i);
    bide_sleep(1);
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ring_results[i], -EDEADLK); /* the other two got it as a result */
    return 0;
}

static int awaits_in_an_awaited_ring(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        ring[i] = spawn(awaits_next, i);
    return await(ring[0]);
}

/*
 * Goal:   a ring of awaits is undone where it closes: a report a task, each with the place where it
 *         waits, and -EDEADLK for the one that closed it; the others end after it.
 * Method: three tasks, alone, and while the first of them has an owner who awaits it: there nothing
 *         is given up, and there is no second owner.
 */
TEST(handle, ring_of_awaits_is_reported_and_undone)
{
    struct reports seen = run_cycle(awaits_in_a_ring, 0);

    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 4);
    CHECK_CONTAINS(seen.kept[0].message, "closes a cycle of tasks that await each other");
    CHECK_CONTAINS(seen.kept[0].message, "'await' at ");
    CHECK_CONTAINS(seen.kept[1].message, "task 'awaits_next' #2 (spawned at ");
    CHECK_CONTAINS(seen.kept[1].message, "awaits awaits_next at 'await' at ");
    CHECK_CONTAINS(seen.kept[2].message, "task 'awaits_next' #3 (spawned at ");
    CHECK_CONTAINS(seen.kept[3].message, "would await the first of them");
    /* The first one's handle was given up, so its result had nobody. */
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), 1);
    CHECK_EQ(seen.count, 5);

    seen = run_cycle(awaits_in_an_awaited_ring, -EDEADLK);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 4);
    CHECK_EQ(seen.count, 4);
}

/*
 * Goal:   the same under every order of events.
 * Method: the ring under many seeds; whoever closes it, all three return -EDEADLK.
 */
TEST(handle, ring_of_awaits_is_undone_in_any_order)
{
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        memset(ring_results, 0, sizeof ring_results);
        CHECK_EQ(bide_test_run(awaits_in_a_ring, NULL, seed, &options), 0);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 4);
        CHECK_EQ(seen.count, 5);
    }
}

static task(int) limited;

static async(int, awaits_itself_for)
{
    int out = 5;

    CHECK_EQ(await_for(limited, BIDE_SEC(1), &out), -EDEADLK);
    CHECK_EQ(await_for(limited, 0, &out), -EDEADLK);
    CHECK_EQ(out, 5);
    return 8;
}

static int self_await_for(void *arg)
{
    (void)arg;
    limited = spawn(awaits_itself_for);
    bide_sleep(1);
    return await(limited); /* the handle is still owned */
}

/*
 * Goal:   await_for on the caller itself says -EDEADLK, reports it, and takes nothing away.
 * Method: twice, the second time without a timeout; then the owner awaits the handle.
 */
TEST(handle, await_for_in_a_cycle_reports_and_keeps_the_handle)
{
    struct reports seen = run_cycle(self_await_for, 8);

    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 2);
    CHECK_EQ(seen.count, 2);
    CHECK_CONTAINS(seen.kept[0].message, "'await_for' at ");
    CHECK_CONTAINS(seen.kept[0].message, "awaits itself");
}

struct two_words {
    long a, b;
};
static task(void) own_void;
static task(struct two_words) own_struct;
static task(unsigned) own_unsigned;

static async(void, awaits_own_void)
{
    await(own_void);
}

static async(struct two_words, awaits_own_struct)
{
    return await(own_struct);
}

static async(unsigned, awaits_own_unsigned)
{
    return await(own_unsigned);
}

static void self_await_void(void)
{
    own_void = spawn(awaits_own_void);
    await(own_void);
}

static void self_await_struct(void)
{
    own_struct = spawn(awaits_own_struct);
    await(own_struct);
}

static void self_await_unsigned(void)
{
    own_unsigned = spawn(awaits_own_unsigned);
    await(own_unsigned);
}

static async(int, awaits_own_void_for)
{
    own_void = spawn(awaits_own_void);
    return await_for(own_void, BIDE_SEC(1), NULL);
}

static void await_of_self_await(void)
{
    await(spawn(awaits_own_void_for));
}

/*
 * Goal:   where the result cannot say -EDEADLK a cycle aborts, with the cycle named first and what
 *         to do instead.
 * Method: results of void, a struct and an unsigned integer, each in a child.
 */
TEST(handle, cycle_aborts_where_the_result_has_no_error)
{
    EXPECT_DEATH(run(self_await_void), "awaits itself");
    EXPECT_DEATH(run(self_await_void), "its result is no signed integer");
    EXPECT_DEATH(run(self_await_struct), "awaits itself");
    EXPECT_DEATH(run(self_await_struct), "use await_for where a cycle is possible");
    EXPECT_DEATH(run(self_await_unsigned), "its result is no signed integer");
    EXPECT_DEATH(run(await_of_self_await), "its result is no signed integer");
}

static task(int) parent;

static async(int, awaits_parent)
{
    return await(parent);
}

static async(int, awaits_child)
{
    int result = await(spawn(awaits_parent));

    CHECK_EQ(result, -EDEADLK);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0); /* nothing was cancelled by it */
    return 4;
}

static int child_awaits_parent(void *arg)
{
    bide_stats stats;

    (void)arg;
    parent = spawn(awaits_child);
    bide_sleep(BIDE_MS(2));
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    return 0;
}

/*
 * Goal:   after a cycle was undone its tasks go on as if nothing had been, and a handle that was
 *         given up is freed at the task's end.
 * Method: a child awaits its parent, which awaits the child and nobody else awaits.
 */
TEST(handle, tasks_go_on_after_a_cycle)
{
    struct reports seen = run_cycle(child_awaits_parent, 0);

    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 3);
    CHECK_EQ(seen.count, 3);
}
