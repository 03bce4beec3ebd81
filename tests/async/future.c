/* SPDX-License-Identifier: MIT */
/*
 * future.c - results that arrive by other means than a return: each share has exactly one outcome.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run_seeded(void (*body)(void), uint64_t seed)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, seed, &options), 0);
    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", ""); /* nothing was left over */
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static void run_aloud(void (*body)(void))
{
    bide_test_run(call_body, &body, 0, NULL);
}

static int order[16], order_count;

static async(int, takes, future(int), f, int, number)
{
    int value = await(f);

    order[order_count++] = number;
    return value;
}

static void sets_before_and_after(void)
{
    future(int) f = future_new(int);

    CHECK(f != NULL && !is_done(f));
    CHECK_EQ(future_error(f), -EINPROGRESS);
    CHECK_EQ(future_set(f, 7), 0);
    CHECK(is_done(f));
    CHECK_EQ(future_error(f), 0);
    CHECK_EQ(await(f), 7);

    f = future_new(int);
    task(int) t = spawn(takes, f, 0);
    bide_yield();
    CHECK_EQ(future_set(f, 8), 0);
    CHECK(!is_done(t)); /* setting does not switch */
    CHECK_EQ(await(t), 8);
    CHECK_EQ(future_set(f, 9), -ECANCELED); /* nobody is left to care */
    CHECK_EQ(future_fail(f, -EIO), -ECANCELED);
}

/*
 * Goal:   a value gets from set to await, whichever comes first.
 * Method: both orders; then set once more, when the handle is spent.
 */
TEST(future, value_arrives_in_both_orders)
{
    run(sets_before_and_after);
}

static void shares_out(void)
{
    future(int) f = future_new(int);
    task(int) tasks[6];

    order_count = 0;
    for (int i = 0; i < 6; i++)
        tasks[i] = spawn(takes, i == 0 ? f : future_share(f), i);
    bide_yield();
    CHECK_EQ(future_set(f, 5), 0);
    CHECK_EQ(order_count, 0);
    bide_yield();
    CHECK_EQ(order_count, 6);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(order[i], i);
        CHECK_EQ(await(tasks[i]), 5);
    }
}

static void shares_kept(void)
{
    future(int) f = future_new(int);
    future(int) second = future_share(f), third = future_share(f);

    CHECK_EQ(detach(f), 0); /* one of three */
    CHECK(!is_done(second));
    CHECK_EQ(future_set(second, 4), 0);
    CHECK_EQ(await(second), 4);
    CHECK_EQ(await_for(third, 0, NULL), 0);
}

/*
 * Goal:   with a share each, all who wait get the value, in the order in which they came; the
 *         future goes with the last share, awaited or detached.
 * Method: six waiters; three shares that go in three ways.
 */
TEST(future, shares_serve_several_in_order)
{
    run(shares_out);
    run(shares_kept);
}

static async(int, doubles)
{
    return 2;
}

static void one_share_for_two(void)
{
    future(int) f = future_new(int);

    go(takes, f, 0);
    bide_yield();
    await(f);
}

static void one_share_for_two_after_set(void)
{
    future(int) f = future_new(int);

    go(takes, f, 0);
    bide_yield();
    future_set(f, 1);
    await_for(f, 1, NULL);
}

static void detached_while_awaited(void)
{
    future(int) f = future_new(int);

    go(takes, f, 0);
    bide_yield();
    detach(f);
    bide_yield();
}

static void awaited_twice(void)
{
    future(int) f = future_new(int);

    future_set(f, 1);
    await(f);
    await(f);
}

static void detached_twice(void)
{
    future(int) f = future_new(int);

    detach(f);
    detach(f);
}

static void set_twice(void)
{
    future(int) f = future_new(int);

    future_set(f, 1);
    future_set(f, 1);
}

static void failed_then_set(void)
{
    future(int) f = future_new(int);

    future_fail(f, -EIO);
    future_set(f, 1);
}

static void set_then_failed(void)
{
    future(int) f = future_new(int);

    future_set(f, 1);
    future_fail(f, -EIO);
}

static void set_of_a_task(void)
{
    future_set(spawn(doubles), 1);
}

static void failed_task(void)
{
    future_fail(spawn(doubles), -EIO);
}

static void shared_task(void)
{
    (void)future_share(spawn(doubles));
}

static void failed_without_error(void)
{
    future_fail(future_new(int), 0);
}

static void set_of_null(void)
{
    future_set((future(int))NULL, 1);
}

static void awaited_null(void)
{
    future(int) f = NULL;

    await(f);
}

static void shared_spent(void)
{
    future(int) f = future_new(int);

    detach(f);
    (void)future_share(f);
}

static void asked_spent(void)
{
    future(int) f = future_new(int);

    detach(f);
    (void)future_error(f);
}

static void told_spent(void)
{
    bide_callback callback;
    future(int) f = future_new(int);

    detach(f);
    on_done(f, &callback, (void (*)(void *))0, NULL);
}

static void awaited_stale(void)
{
    future(int) f = future_new(int);

    future_set(f, 1);
    await(f);
    future(int) next = future_new(int); /* in the same block */
    CHECK(((uintptr_t)f & 0xffffffc0) == ((uintptr_t)next & 0xffffffc0) && f != next);
    await(f);
}

static void made_outside(void)
{
    (void)future_new(int);
}

/*
 * Goal:   each mistake with a future aborts with one line.
 * Method: every one in a child.
 */
TEST(future, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run_aloud(one_share_for_two),
                 "has 1 share(s), and as many tasks await it already");
    EXPECT_DEATH(run_aloud(one_share_for_two_after_set), "give each a share of its own");
    EXPECT_DEATH(run_aloud(detached_while_awaited), "bide: detach: ");
    EXPECT_DEATH(run_aloud(awaited_twice), "this handle is spent");
    EXPECT_DEATH(run_aloud(detached_twice), "detach: this handle is spent");
    EXPECT_DEATH(run_aloud(awaited_stale), "this handle is spent");
    EXPECT_DEATH(run_aloud(set_twice), "future_set: task 'future' #2");
    EXPECT_DEATH(run_aloud(set_twice), "has its value already; a future is fulfilled once");
    EXPECT_DEATH(run_aloud(failed_then_set), "future_set: ");
    EXPECT_DEATH(run_aloud(failed_then_set), "has failed already; a future is fulfilled once");
    EXPECT_DEATH(run_aloud(set_then_failed), "future_fail: ");
    EXPECT_DEATH(run_aloud(set_of_a_task), "task 'doubles' #2");
    EXPECT_DEATH(run_aloud(set_of_a_task), "is a task: only its own return fulfils it");
    EXPECT_DEATH(run_aloud(failed_task), "is a task: only its own return fulfils it");
    EXPECT_DEATH(run_aloud(shared_task), "is a task, and a task has one owner");
    EXPECT_DEATH(run_aloud(failed_without_error), "0 is no negative errno");
    EXPECT_DEATH(run_aloud(set_of_null), "future_set: the future is NULL");
    EXPECT_DEATH(run_aloud(awaited_null), "the handle is NULL");
    EXPECT_DEATH(run_aloud(shared_spent), "future_share: this handle is spent");
    EXPECT_DEATH(run_aloud(asked_spent), "this handle is spent");
    EXPECT_DEATH(run_aloud(told_spent), "on_done: this handle is spent");
    EXPECT_DEATH(made_outside(), "bide: future_new was called outside of a task");
}

static void given_up(void)
{
    future(int) f = future_new(int), last = future_share(f);

    cancel(f);
    cancel(f);
    CHECK(is_done(f));
    CHECK_EQ(future_error(f), -ECANCELED);
    CHECK_EQ(future_set(f, 1), -ECANCELED);
    CHECK_EQ(future_fail(f, -EIO), -ECANCELED);
    CHECK_EQ(await(f), -ECANCELED);
    CHECK_EQ(await(last), -ECANCELED);
    CHECK_EQ(future_set(f, 1), -ECANCELED);

    f = future_new(int);
    detach(f);
    CHECK_EQ(future_set(f, 1), -ECANCELED);
    future(int) same_block = future_new(int);
    CHECK_EQ(future_set(f, 1), -ECANCELED); /* not the other one's */
    CHECK(!is_done(same_block));
    detach(same_block);

    f = future_new(int);
    task(int) waiter = spawn(takes, f, 0);
    bide_yield();
    cancel(f); /* wakes who waits */
    CHECK_EQ(await(waiter), -ECANCELED);

    f = future_new(int);
    future_set(f, 6);
    cancel(f); /* too late */
    CHECK_EQ(await(f), 6);
}

/*
 * Goal:   who sets a future that was cancelled, or that nobody owns any more, is told, and does no
 *         harm to the block's next future.
 * Method: cancel before, while somebody waits, and after the value; give all shares up.
 */
TEST(future, set_of_a_future_that_nobody_wants_is_ecanceled)
{
    run(given_up);
}

struct large {
    char bytes[1024];
};

struct small {
    int a, b;
};

#define FAILS(T, error)                                                                            \
    do {                                                                                           \
        future(T) f = future_new(T), again = future_share(f);                                      \
        CHECK_EQ(future_fail(f, error), 0);                                                        \
        CHECK_EQ(future_error(f), error);                                                          \
        CHECK(await(f) == (T)(error));                                                             \
        T out = 1;                                                                                 \
        CHECK_EQ(await_for(again, 0, &out), 0);                                                    \
        CHECK(out == (T)(error));                                                                  \
    } while (0)

#define FAILS_AS_ZERO(T)                                                                           \
    do {                                                                                           \
        static const unsigned char zero[sizeof(T)];                                                \
        future(T) dirty = future_new(T);                                                           \
        T value;                                                                                   \
        memset(&value, 0x55, sizeof value);                                                        \
        CHECK_EQ(future_set(dirty, value), 0);                                                     \
        value = await(dirty);                                                                      \
        CHECK(memcmp(&value, zero, sizeof value) != 0);                                            \
        future(T) f = future_new(T);                                                               \
        CHECK_EQ(future_fail(f, -EIO), 0);                                                         \
        CHECK_EQ(future_error(f), -EIO);                                                           \
        value = await(f);                                                                          \
        CHECK(memcmp(&value, zero, sizeof value) == 0);                                            \
        f = future_new(T);                                                                         \
        cancel(f);                                                                                 \
        CHECK_EQ(future_error(f), -ECANCELED);                                                     \
        value = await(f);                                                                          \
        CHECK(memcmp(&value, zero, sizeof value) == 0);                                            \
    } while (0)

static void fails_in_every_type(void)
{
    FAILS(signed char, -EIO);
    FAILS(short, -EIO);
    FAILS(int, -EIO);
    FAILS(long, -EIO);
    FAILS(long long, -EIO);
    FAILS(int8_t, -ECANCELED);
    FAILS(int16_t, -4095);
    FAILS(int64_t, -4095);
    FAILS(ssize_t, -EPIPE);
    FAILS_AS_ZERO(unsigned);
    FAILS_AS_ZERO(uint64_t);
    FAILS_AS_ZERO(char);
    FAILS_AS_ZERO(float);
    FAILS_AS_ZERO(double);
    FAILS_AS_ZERO(void *);
    FAILS_AS_ZERO(const char *);
    FAILS_AS_ZERO(struct small);
    FAILS_AS_ZERO(struct large);

    future(bool) truth = future_new(bool);
    future_fail(truth, -EIO);
    CHECK(!await(truth));

    future(void) nothing = future_new(void), more = future_share(nothing);
    CHECK_EQ(future_fail(nothing, -EIO), 0);
    CHECK_EQ(future_error(nothing), -EIO);
    await(nothing);
    CHECK_EQ(await_for(more, 0, NULL), 0);
    nothing = future_new(void);
    CHECK_EQ(future_set(nothing, 0), 0);
    CHECK_EQ(future_error(nothing), 0);
    await(nothing);

    task(int) t = spawn(takes, future_new(int), 0);
    CHECK_EQ(future_error(t), -EINPROGRESS);
    cancel(t);
    bide_yield();
    CHECK_EQ(future_error(t), -ECANCELED); /* of a task: its result */
    CHECK_EQ(await(t), -ECANCELED);
    t = spawn(doubles);
    bide_yield();
    CHECK_EQ(future_error(t), 0);
    await(t);
}

/*
 * Goal:   an error comes out of await as itself where the type is a signed integer, else as zero
 *         bytes, and future_error tells it from a value.
 * Method: signed integers of every width; all other sorts of types, in blocks that held a value
 *         before.
 */
TEST(future, error_comes_out_in_every_type)
{
    run(fails_in_every_type);
}

static async(int, waits_briefly, future(int), f)
{
    int value = 1;

    with_timeout (BIDE_MS(1)) {
        value = await(f);
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
    }
    return value;
}

static async(double, waits_for_double, future(double), f)
{
    return await(f);
}

static void awaits_in_cancelled_scopes(void)
{
    future(int) f = future_new(int), rest = future_share(f);
    task(int) t = spawn(waits_briefly, future_share(f));

    CHECK_EQ(await(t), -ETIMEDOUT);
    t = spawn(takes, f, 0);
    bide_yield();
    cancel(t);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK(!is_done(rest)); /* it was not cancelled, and two of three shares are spent */
    CHECK_EQ(future_set(rest, 3), 0);

    bide_scope scope = BIDE_SCOPE_INIT;
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(await(rest), 3); /* it need not wait, and the value would be lost */
        f = future_new(int);
        CHECK_EQ(await(f), -ECANCELED);
        CHECK_EQ(future_set(f, 1), -ECANCELED); /* that was the last share */
    }
    future(double) d = future_new(double);
    task(double) waiter = spawn(waits_for_double, d);
    bide_yield();
    cancel(waiter);
    CHECK(await(waiter) == 0);
    CHECK_EQ(future_set(d, 1), -ECANCELED);
}

/*
 * Goal:   await in a scope that fires returns the scope's error, spends its own share and leaves
 *         the others theirs; a value that is there is not lost.
 * Method: a deadline, a cancel, a scope that had fired before; with other shares and without.
 */
TEST(future, await_in_a_cancelled_scope_spends_its_share)
{
    run(awaits_in_cancelled_scopes);
}

static async(int, waits_limited, future(int), f, bide_time, limit)
{
    int out = 77;
    int err = await_for(f, limit, &out);

    return err < 0 ? (CHECK_EQ(out, 77), err) : out;
}

static void limits_awaits(void)
{
    future(int) f = future_new(int);
    int out = -1;

    CHECK_EQ(await_for(f, 0, &out), -ETIMEDOUT);
    CHECK_EQ(await_for(f, -1, &out), -ETIMEDOUT);
    CHECK_EQ(await_for(f, INT64_MIN, &out), -ETIMEDOUT);
    CHECK_EQ(bide_now(), 0);
    CHECK_EQ(await_for(f, BIDE_MS(2), &out), -ETIMEDOUT);
    CHECK_EQ(bide_now(), BIDE_MS(2));
    CHECK_EQ(out, -1);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(await_for(f, BIDE_FOREVER, &out), -ETIMEDOUT);
    task(int) t = spawn(waits_limited, f, BIDE_FOREVER);
    bide_yield();
    cancel(t);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_EQ(bide_now(), BIDE_MS(3));

    t = spawn(waits_limited, f, BIDE_SEC(1)); /* the share is still there */
    bide_yield();
    CHECK_EQ(future_set(f, 6), 0);
    CHECK_EQ(await(t), 6);

    f = future_new(int);
    future_fail(f, -EIO);
    CHECK_EQ(await_for(f, 0, &out), 0); /* it has ended; how, the result says */
    CHECK_EQ(out, -EIO);
    CHECK_EQ(bide_now(), BIDE_MS(3));
}

/*
 * Goal:   await_for that gives up keeps the share, for the next one to await.
 * Method: no, negative, short and endless limits, a deadline, a cancel; then the value.
 */
TEST(future, await_for_that_gives_up_keeps_the_share)
{
    run(limits_awaits);
}

static void uses_large_values(void)
{
    struct large value;
    uint64_t before = 0;

    for (int round = 0; round < 3; round++) {
        future(struct large) f = future_new(struct large), rest = future_share(f);
        future(int) small = future_new(int);
        memset(&value, 'a' + round, sizeof value);
        CHECK_EQ(future_set(f, value), 0);
        CHECK_EQ(future_set(small, round), 0);
        memset(&value, 0, sizeof value);
        value = await(f);
        CHECK_EQ(value.bytes[0], 'a' + round);
        CHECK_EQ(value.bytes[sizeof value.bytes - 1], 'a' + round);
        CHECK_EQ(await(rest).bytes[1], 'a' + round);
        CHECK_EQ(await(small), round);
        detach(future_new(int)); /* swaps the two blocks' order */
        if (round == 2)
            CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), before);
        before = bide__fault_count(BIDE__CALL_ALLOC);
    }
}

static void reuses_blocks(void)
{
    uint64_t before;

    detach(future_new(struct large));
    before = bide__fault_count(BIDE__CALL_ALLOC);
    for (int i = 0; i < 1000; i++) {
        future(int) f = future_new(int);
        CHECK_EQ(future_set(f, i), 0);
        CHECK_EQ(await(f), i);
        future(struct large) l = future_new(struct large);
        cancel(l);
        CHECK_EQ(await(l).bytes[1023], 0);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), before);
}

/*
 * Goal:   values larger than a block arrive whole, and blocks with their room are used again: no
 *         allocation in a steady state.
 * Method: 1 KiB beside ints, several rounds; count allocations.
 */
TEST(future, large_values_arrive_and_blocks_are_reused)
{
    run(uses_large_values);
    run(reuses_blocks);
}
