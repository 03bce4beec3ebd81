/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels: order, waiting, closing, freeing and mistakes. What random runs with cancels
 * lose or double is counted in stress/channels.c.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

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
    CHECK_EQ(bide_test_run(call_body, &body, seed, NULL), 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

/* What tasks did, in their order. */
static int noted[64], noted_count;

static void note(int value)
{
    noted[noted_count++] = value;
}

static async(int, sends, chan(int), c, int, value)
{
    int err = chan_send(c, value);

    if (err == 0)
        note(value);
    return err;
}

/* What it received, or the error. */
static async(int, receives, chan(int), c)
{
    int value = -1;
    int err = chan_recv(c, &value);

    CHECK(err == 0 || value == -1); /* untouched on failure */
    return err < 0 ? err : value;
}

static void goes_round(void)
{
    chan(int) c = chan_new(int, 3);
    int next_in = 0, next_out = 0, value;

    CHECK_EQ(chan_try_recv(c, &value), -EAGAIN);
    for (int round = 0; round < 20; round++) {
        int fill = 1 + round % 3;
        for (int i = 0; i < fill; i++)
            CHECK_EQ(i % 2 ? chan_send(c, next_in++) : chan_try_send(c, next_in++), 0);
        CHECK_EQ(chan_len(c), fill);
        if (fill == 3)
            CHECK_EQ(chan_try_send(c, 99), -EAGAIN);
        for (int i = 0; i < fill; i++) {
            CHECK_EQ(i % 2 ? chan_try_recv(c, &value) : chan_recv(c, &value), 0);
            CHECK_EQ(value, next_out++);
        }
        CHECK_EQ(chan_len(c), 0);
    }
    CHECK_EQ(bide_now(), 0);
    chan_free(c);
}

/*
 * Goal:   a buffered channel takes as many values as it has room for, and gives them back in order.
 * Method: one task fills and empties a buffer of 3, with each form of call, so that it wraps at
 *         every place.
 */
TEST(chan, buffer_keeps_order_and_count)
{
    run(goes_round);
}

static void hands_over(void)
{
    chan(int) c = chan_new(int, 0);
    int value = -1;
    task(int) t = spawn(sends, c, 7);

    CHECK_EQ(chan_try_recv(c, &value), -EAGAIN);
    CHECK_EQ(chan_try_send(c, 1), -EAGAIN);
    bide_yield();
    CHECK(!is_done(t));
    CHECK_EQ(chan_len(c), 0); /* there is no place but the sender's own */
    CHECK_EQ(chan_recv(c, &value), 0);
    CHECK_EQ(value, 7);
    CHECK_EQ(await(t), 0);

    t = spawn(sends, c, 8);
    bide_yield();
    CHECK_EQ(chan_try_recv(c, &value), 0);
    CHECK_EQ(value, 8);
    CHECK_EQ(await(t), 0);

    t = spawn(receives, c);
    bide_yield();
    CHECK_EQ(chan_send(c, 9), 0); /* the receiver waits already */
    CHECK(!is_done(t));
    CHECK_EQ(chan_try_send(c, 10), -EAGAIN); /* it takes one, and is about to run */
    CHECK_EQ(await(t), 9);

    t = spawn(receives, c);
    bide_yield();
    CHECK_EQ(chan_try_send(c, 11), 0);
    CHECK_EQ(await(t), 11);
    chan_free(c);
}

/*
 * Goal:   unbuffered, a send returns once somebody has the value, whoever comes first.
 * Method: sender first, receiver first, and either side without waiting.
 */
TEST(chan, unbuffered_hands_over_from_task_to_task)
{
    run(hands_over);
}

static void serves_in_order(void)
{
    chan(int) c = chan_new(int, 2);
    task(int) tasks[6];
    int value;

    for (int i = 0; i < 6; i++) {
        tasks[i] = spawn(sends, c, i);
        bide_yield();
    }
    CHECK_EQ(chan_len(c), 2);
    CHECK_EQ(noted_count, 2); /* the other four wait */
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(chan_recv(c, &value), 0);
        CHECK_EQ(value, i);
        CHECK_EQ(chan_len(c), i < 4 ? 2 : 5 - i); /* refilled at once by who waits longest */
    }
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(await(tasks[i]), 0);
        CHECK_EQ(noted[i], i);
    }

    for (int i = 0; i < 6; i++)
        tasks[i] = spawn(receives, c);
    bide_yield();
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(chan_send(c, 10 + i), 0);
        CHECK_EQ(chan_len(c), 0); /* straight into the receiver's hands */
    }
    for (int i = 0; i < 6; i++)
        CHECK_EQ(await(tasks[i]), 10 + i);
    chan_free(c);
}

/*
 * Goal:   waiting senders and receivers are served in the order in which they came; a receive from
 *         a full buffer lets the first waiting sender in; a waiting receiver needs no buffer.
 * Method: six of each on a buffer of 2, the state of the buffer looked at after each step.
 */
TEST(chan, waiters_are_served_first_in_first_out)
{
    run(serves_in_order);
}

static void closes(void)
{
    chan(int) c = chan_new(int, 2);
    chan(int) empty = chan_new(int, 2);
    task(int) senders[3], receivers[3];
    int value = -1;

    CHECK_EQ(chan_send(c, 1), 0);
    CHECK_EQ(chan_send(c, 2), 0);
    for (int i = 0; i < 3; i++) {
        senders[i] = spawn(sends, c, 10 + i);
        receivers[i] = spawn(receives, empty);
    }
    bide_yield();
    chan_close(c);
    chan_close(empty);
    chan_close(c);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(await(senders[i]), -EPIPE);
        CHECK_EQ(await(receivers[i]), -EPIPE);
    }
    CHECK_EQ(chan_send(c, 3), -EPIPE);
    CHECK_EQ(chan_try_send(c, 3), -EPIPE);
    CHECK_EQ(chan_len(c), 2);
    CHECK_EQ(chan_recv(c, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(chan_try_recv(c, &value), 0);
    CHECK_EQ(value, 2);
    CHECK_EQ(chan_recv(c, &value), -EPIPE);
    CHECK_EQ(chan_try_recv(c, &value), -EPIPE);
    CHECK_EQ(value, 2);
    CHECK_EQ(chan_recv(empty, &value), -EPIPE);
    chan_free(c);
    chan_free(empty);

    c = chan_new(int, 0);
    senders[0] = spawn(sends, c, 1);
    bide_yield();
    chan_close(c);
    CHECK_EQ(chan_try_recv(c, &value), -EPIPE); /* that value was not sent */
    chan_free(c); /* before the sender's turn, who touches it no more */
    CHECK_EQ(await(senders[0]), -EPIPE);
}

/*
 * Goal:   closing wakes all who wait with -EPIPE, lets no value in, and takes none away that is in.
 * Method: three waiting on either side; a full buffer, an empty one, none; closed twice; each call
 *         afterwards.
 */
TEST(chan, close_wakes_everybody_and_keeps_what_was_sent)
{
    run(closes);
}

static void times_out(void)
{
    chan(int) c = chan_new(int, 0);
    int value = -1;

    with_timeout (BIDE_MS(10)) {
        CHECK_EQ(chan_recv(c, &value), -ETIMEDOUT);
    }
    CHECK_EQ(bide_now(), BIDE_MS(10));
    CHECK_EQ(chan_try_send(c, 1), -EAGAIN); /* nobody waits any more */
    task(int) t = spawn(sends, c, 2);
    CHECK_EQ(chan_recv(c, &value), 0);
    CHECK_EQ(value, 2);
    CHECK_EQ(await(t), 0);

    with_timeout (BIDE_MS(10)) {
        CHECK_EQ(chan_send(c, 3), -ETIMEDOUT);
    }
    CHECK_EQ(chan_try_recv(c, &value), -EAGAIN); /* what was not sent does not arrive */
    chan_free(c);
}

/*
 * Goal:   a receive that times out swallows no later value, a send that does leaves none behind.
 * Method: virtual clock: time out at 10 ms, then look from the other side.
 */
TEST(chan, timeout_leaves_nothing_behind)
{
    run(times_out);
}

static void fired_scope(void)
{
    chan(int) c = chan_new(int, 2);
    bide_scope scope = BIDE_SCOPE_INIT;
    int value = -1;

    CHECK_EQ(chan_send(c, 1), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(chan_send(c, 2), -ECANCELED);
        CHECK_EQ(chan_recv(c, &value), -ECANCELED);
        CHECK_EQ(chan_len(c), 1);
        CHECK_EQ(chan_try_send(c, 3), 0); /* no parking points: for cleanup */
        CHECK_EQ(chan_try_recv(c, &value), 0);
        CHECK_EQ(value, 1);
    }
    chan_free(c);
}

/*
 * Goal:   inside a scope that has fired a send or a receive does nothing, even when it need not
 *         wait.
 * Method: a buffer with a value and with room.
 */
TEST(chan, fired_scope_lets_nothing_through)
{
    run(fired_scope);
}

static void woken_then_cancelled(void)
{
    chan(int) c = chan_new(int, 0);
    task(int) t = spawn(receives, c);
    int value;

    bide_yield();
    CHECK_EQ(chan_send(c, 5), 0);
    cancel(t);
    CHECK_EQ(await(t), 5); /* it was delivered */

    t = spawn(sends, c, 6);
    bide_yield();
    CHECK_EQ(chan_recv(c, &value), 0);
    cancel(t);
    CHECK_EQ(await(t), 0);

    t = spawn(receives, c);
    bide_yield();
    cancel(t);
    CHECK_EQ(chan_try_send(c, 7), -EAGAIN); /* cancelled first: it takes nothing */
    CHECK_EQ(await(t), -ECANCELED);
    t = spawn(sends, c, 8);
    bide_yield();
    cancel(t);
    CHECK_EQ(chan_try_recv(c, &value), -EAGAIN);
    CHECK_EQ(await(t), -ECANCELED);
    chan_free(c);
}

/*
 * Goal:   a value handed over is delivered, though a cancel comes before the receiver's turn; and a
 *         receiver that was cancelled is handed nothing. The same for senders.
 * Method: both orders of the two in one turn.
 */
TEST(chan, cancel_before_or_after_the_hand_over)
{
    run(woken_then_cancelled);
}

static void skips_cancelled(void)
{
    chan(int) c = chan_new(int, 0);
    task(int) tasks[5];
    int value;

    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(receives, c);
    bide_yield();
    cancel(tasks[0]);
    cancel(tasks[1]);
    cancel(tasks[3]);
    CHECK_EQ(chan_send(c, 1), 0);
    CHECK_EQ(chan_send(c, 2), 0);
    CHECK_EQ(chan_try_send(c, 3), -EAGAIN);
    CHECK_EQ(await(tasks[0]), -ECANCELED);
    CHECK_EQ(await(tasks[1]), -ECANCELED);
    CHECK_EQ(await(tasks[2]), 1);
    CHECK_EQ(await(tasks[3]), -ECANCELED);
    CHECK_EQ(await(tasks[4]), 2);

    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(sends, c, i);
    bide_yield();
    cancel(tasks[0]);
    cancel(tasks[2]);
    for (int i = 1; i < 5; i++)
        if (i != 2) {
            CHECK_EQ(chan_recv(c, &value), 0);
            CHECK_EQ(value, i);
        }
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), i == 0 || i == 2 ? -ECANCELED : 0);

    tasks[0] = spawn(sends, c, 0);
    tasks[1] = spawn(sends, c, 1);
    bide_yield();
    cancel(tasks[0]);
    cancel(tasks[1]);
    chan_free(c); /* nobody waits: they have been woken, and touch it no more */
    CHECK_EQ(await(tasks[0]), -ECANCELED);
    CHECK_EQ(await(tasks[1]), -ECANCELED);
}

/*
 * Goal:   those who were cancelled and have not run yet are passed over, keep their places from
 *         nobody, and do not hinder the channel's end.
 * Method: cancel some of five, serve the others in the same turn; free in the same turn.
 */
TEST(chan, cancelled_waiters_are_passed_over)
{
    run(skips_cancelled);
}

static int turns;

static async(void, counts_turns)
{
    while (bide_yield() == 0)
        turns++;
}

static void does_not_starve(void)
{
    chan(int) c = chan_new(int, 1);
    task(void) t = spawn(counts_turns);
    int value;

    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(chan_send(c, i), 0);
        CHECK_EQ(chan_recv(c, &value), 0);
    }
    CHECK(turns >= 2 * 1000 / 64 - 2);
    turns = 0;
    chan_close(c);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(i % 2 ? chan_send(c, i) : chan_recv(c, &value), -EPIPE);
    CHECK(turns >= 1000 / 64 - 2);
    cancel(t);
    await(t);
    chan_free(c);
}

/*
 * Goal:   a task whose channel calls never wait lets others run all the same, also when they only
 *         fail.
 * Method: a bystander's turns are counted.
 */
TEST(chan, calls_that_never_wait_starve_nobody)
{
    run(does_not_starve);
}

static void costs_nothing(void)
{
    chan(int) c = chan_new(int, 0);
    task(int) t = spawn(receives, c);

    bide_yield();
    bide__fault_reset();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(chan_send(c, i), 0);
        CHECK_EQ(await(t), i);
        t = spawn(receives, c);
        bide_yield();
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0);
    CHECK_EQ(bide__fault_system_calls(), 0);
    chan_close(c);
    CHECK_EQ(await(t), -EPIPE);
    chan_free(c);
}

/*
 * Goal:   sending and receiving allocate nothing and ask nothing of the kernel.
 * Method: counted at the seam.
 */
TEST(chan, hand_over_makes_no_call)
{
    run(costs_nothing);
}

/*
 * Goal:   without memory, and for a size that cannot be, chan_new returns NULL; NULL may be freed.
 * Method: the allocation fails; sizes that overflow.
 */
TEST(chan, new_without_memory_returns_null)
{
    chan(int) c;

    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    c = chan_new(int, 4);
    CHECK(c == NULL);
    chan_free(c);
    c = chan_new(int, SIZE_MAX);
    CHECK(c == NULL);
    c = chan_new(int, SIZE_MAX / 4);
    CHECK(c == NULL);
    c = chan_new(int, PTRDIFF_MAX / 4);
    CHECK(c == NULL);
    bide__fault_reset();
    c = chan_new(int, 4); /* outside of a task: made before the loop */
    CHECK(c != NULL);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 1);
    CHECK_EQ(chan_try_send(c, 1), 0);
    chan_close(c);
    chan_free(c);
}

static void frees_too_early(void)
{
    chan(int) c = chan_new(int, 0);
    task(int) t = spawn(receives, c);

    bide_yield();
    EXPECT_DEATH(chan_free(c), "chan_free: task 'receives'");
    chan_close(c);
    CHECK_EQ(await(t), -EPIPE);
    chan_free(c);

    c = chan_new(int, 0);
    t = spawn(sends, c, 1);
    bide_yield();
    EXPECT_DEATH(chan_free(c), "still waits in it, in chan_send; close the channel first");
    chan_close(c);
    CHECK_EQ(await(t), -EPIPE);
    chan_free(c);
}

static void uses_null(void)
{
    chan(int) c = NULL;
    int value;

    EXPECT_DEATH(chan_send(c, 1), "chan_send at 'chan_send' at ");
    EXPECT_DEATH(chan_recv(c, &value), "the channel is NULL");
    EXPECT_DEATH(chan_try_send(c, 1), "chan_try_send: the channel is NULL");
    EXPECT_DEATH(chan_try_recv(c, &value), "chan_try_recv: the channel is NULL");
    EXPECT_DEATH(chan_close(c), "chan_close: the channel is NULL");
    EXPECT_DEATH((void)chan_len(c), "chan_len: the channel is NULL");
    chan_free(c);
}

/*
 * Goal:   mistakes end in one clear line: freeing under a waiter names it, NULL is named, and who
 *         waits outside of a task is told.
 * Method: each of them.
 */
TEST(chan, mistakes_abort)
{
    chan(int) c = chan_new(int, 1);
    int value;

    run(frees_too_early);
    run(uses_null);
    EXPECT_DEATH(chan_send(c, 1), "chan_send was called outside of a task");
    EXPECT_DEATH(chan_recv(c, &value), "chan_recv was called outside of a task");
    chan_free(c);
}

static void locks_up(void)
{
    chan(int) c = chan_new(int, 0);
    int value;

    task(int) t = spawn(sends, c, 1);
    CHECK_EQ(chan_recv(c, &value), 0);
    CHECK_EQ(await(t), 0);
    CHECK_EQ(chan_recv(c, &value), -ECANCELED);
    chan_free(c);
}

/*
 * Goal:   a receive that nobody can serve is reported with its place, and ends with -ECANCELED
 *         (fault 54).
 * Method: the only task receives.
 */
TEST(chan, deadlock_report_names_call_and_line)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = locks_up;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), -EDEADLK);
    const struct kept_report *report = reports_get(&seen, BIDE_REPORT_DEADLOCK, 1);
    CHECK(report != NULL); /* the first one is the headline */
    CHECK_CONTAINS(report->message, "sleeps in chan_recv");
    CHECK_CONTAINS(report->message, "chan.c:");
    CHECK_CONTAINS(report->message, "in locks_up()");
}
