/* SPDX-License-Identifier: MIT */
/*
 * broadcast.c - every receiver sees every message, or is told how many it missed.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "base/random.h"
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

static async(int, receives, broadcast(int), b, bide_cursor *, cursor)
{
    int value = -1;
    int err = broadcast_recv(b, cursor, &value);

    CHECK(err == 0 || value == -1);
    return err < 0 ? err : value;
}

static void keeps_the_last(void)
{
    broadcast(int) b = broadcast_new(int, 3);
    bide_cursor early = broadcast_subscribe(b), late, whole = BIDE_CURSOR_INIT;
    int value = -1;

    CHECK_EQ(broadcast_try_recv(b, &early, &value), -EAGAIN);
    CHECK_EQ(broadcast_send(b, 0), 0);
    late = broadcast_subscribe(b); /* only what comes from now on */
    CHECK_EQ(broadcast_try_recv(b, &late, &value), -EAGAIN);
    CHECK_EQ(broadcast_send(b, 1), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(broadcast_recv(b, &early, &value), 0);
        CHECK_EQ(value, i);
    }
    CHECK_EQ(broadcast_try_recv(b, &late, &value), 0);
    CHECK_EQ(value, 1);

    for (int i = 2; i < 12; i++) {
        CHECK_EQ(broadcast_send(b, i), 0);
        CHECK_EQ(broadcast_try_recv(b, &late, &value), 0); /* this one keeps up */
        CHECK_EQ(value, i);
    }
    value = -1;
    CHECK_EQ(broadcast_recv(b, &early, &value), -EOVERFLOW);
    CHECK_EQ(value, -1);
    CHECK_EQ(early.missed, 7); /* 2 to 8; 9, 10 and 11 are kept */
    for (int i = 9; i < 12; i++) {
        CHECK_EQ(broadcast_recv(b, &early, &value), 0);
        CHECK_EQ(value, i);
    }
    CHECK_EQ(early.missed, 7);
    CHECK_EQ(broadcast_try_recv(b, &early, &value), -EAGAIN);

    CHECK_EQ(broadcast_send(b, 12), 0);
    CHECK_EQ(broadcast_try_recv(b, &whole, &value), -EOVERFLOW);
    CHECK_EQ(whole.missed, 10);
    bide_cursor copy = whole;
    CHECK_EQ(broadcast_recv(b, &whole, &value), 0);
    CHECK_EQ(value, 10);
    CHECK_EQ(broadcast_recv(b, &copy, &value), 0); /* a copy goes its own way from there */
    CHECK_EQ(value, 10);
    broadcast_free(b);
}

/*
 * Goal:   each cursor sees each message in order; one that falls behind is told how many it missed
 *         and goes on with the oldest kept.
 * Method: a ring of 3 and 13 messages; cursors that keep up, fall behind, start late, start at the
 *         very first message, and a copy.
 */
TEST(broadcast, cursors_see_everything_or_are_told)
{
    run(keeps_the_last);
}

static void wakes_all(void)
{
    broadcast(int) b = broadcast_new(int, 1);
    bide_cursor cursors[4];
    task(int) tasks[4];

    for (int i = 0; i < 4; i++) {
        cursors[i] = broadcast_subscribe(b);
        tasks[i] = spawn(receives, b, &cursors[i]);
    }
    bide_yield();
    for (int i = 1; i < 4; i++)
        CHECK_EQ(broadcast_send(b, i), 0); /* 2 and 3 come before anybody's turn */
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(await(tasks[i]), 1); /* who waited has missed nothing so far */
        int value;
        CHECK_EQ(broadcast_recv(b, &cursors[i], &value), -EOVERFLOW);
        CHECK_EQ(cursors[i].missed, 1);
        CHECK_EQ(broadcast_recv(b, &cursors[i], &value), 0);
        CHECK_EQ(value, 3);
    }
    broadcast_free(b);
}

/*
 * Goal:   what is sent reaches all who wait, though it is overwritten before their turn.
 * Method: four wait on a ring of 1; three messages in one turn.
 */
TEST(broadcast, message_is_handed_to_all_who_wait)
{
    run(wakes_all);
}

static void closes(void)
{
    broadcast(int) b = broadcast_new(int, 2);
    bide_cursor cursor = broadcast_subscribe(b), behind = cursor;
    int value = -1;
    task(int) t;

    CHECK_EQ(broadcast_send(b, 1), 0);
    CHECK_EQ(broadcast_recv(b, &cursor, &value), 0);
    t = spawn(receives, b, &cursor);
    bide_yield();
    broadcast_close(b);
    broadcast_close(b);
    CHECK_EQ(broadcast_send(b, 2), -EPIPE);
    CHECK_EQ(await(t), -EPIPE);
    CHECK_EQ(broadcast_recv(b, &cursor, &value), -EPIPE);
    CHECK_EQ(broadcast_try_recv(b, &cursor, &value), -EPIPE);
    CHECK_EQ(broadcast_recv(b, &behind, &value), 0); /* what was sent is still there */
    CHECK_EQ(value, 1);
    CHECK_EQ(broadcast_recv(b, &behind, &value), -EPIPE);
    cursor = broadcast_subscribe(b);
    CHECK_EQ(broadcast_recv(b, &cursor, &value), -EPIPE);
    broadcast_free(b);

    b = broadcast_new(int, 1);
    cursor = broadcast_subscribe(b);
    t = spawn(receives, b, &cursor);
    bide_yield();
    CHECK_EQ(broadcast_send(b, 5), 0);
    broadcast_free(b); /* before the receiver's turn, who has its message */
    CHECK_EQ(await(t), 5);
}

/*
 * Goal:   closing wakes who waits, and takes away nothing that was sent; a woken receiver outlives
 *         the broadcast.
 * Method: cursors at the end and behind it; each call after the close; free before a turn.
 */
TEST(broadcast, close_keeps_what_was_sent)
{
    run(closes);
}

static void cancels(void)
{
    broadcast(int) b = broadcast_new(int, 4);
    bide_cursor cursor = broadcast_subscribe(b);
    int value = -1;

    with_timeout (BIDE_MS(1)) {
        CHECK_EQ(broadcast_recv(b, &cursor, &value), -ETIMEDOUT);
        CHECK_EQ(broadcast_send(b, 1), 0);                        /* no parking point */
        CHECK_EQ(broadcast_recv(b, &cursor, &value), -ETIMEDOUT); /* at once */
    }
    CHECK_EQ(value, -1);
    CHECK_EQ(broadcast_recv(b, &cursor, &value), 0);
    CHECK_EQ(value, 1);

    task(int) t = spawn(receives, b, &cursor);
    bide_yield();
    cancel(t);
    CHECK_EQ(broadcast_send(b, 2), 0);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_EQ(broadcast_recv(b, &cursor, &value), 0); /* the cancelled call has taken nothing */
    CHECK_EQ(value, 2);

    t = spawn(receives, b, &cursor);
    bide_yield();
    CHECK_EQ(broadcast_send(b, 3), 0);
    cancel(t);
    CHECK_EQ(await(t), 3); /* it was delivered before */
    CHECK_EQ(broadcast_try_recv(b, &cursor, &value), -EAGAIN);

    t = spawn(receives, b, &cursor);
    bide_yield();
    cancel(t);
    broadcast_free(b);
    CHECK_EQ(await(t), -ECANCELED);
}

/*
 * Goal:   a cancelled receive takes nothing, one that was served has its message.
 * Method: timeout, fired scope, cancel before and after a send in one turn, free after a cancel.
 */
TEST(broadcast, cancel_loses_no_message)
{
    run(cancels);
}

static uint64_t seed_now;

enum { MESSAGES = 200, RECEIVERS = 4 };

/* Receives under random timeouts until the end: the messages that it saw and missed add up. */
static async(void, follows, broadcast(int), b, uint64_t, state)
{
    bide_cursor cursor = BIDE_CURSOR_INIT;
    uint64_t seen = 0, missed = 0;
    int err = 0, value;

    while (err != -EPIPE) {
        with_timeout ((bide_time)bide__random_below(&state, 4)) {
            err = broadcast_recv(b, &cursor, &value);
        }
        if (err == 0)
            CHECK_EQ(value, seen++ + missed); /* in order, and none twice */
        else if (err == -EOVERFLOW)
            missed += cursor.missed;
        else
            CHECK(err == -EPIPE || err == -ETIMEDOUT);
        if (bide__random_below(&state, 8) == 0)
            bide_sleep(bide__random_below(&state, 20));
    }
    CHECK_EQ(seen + missed, MESSAGES);
}

static void many(void)
{
    uint64_t state = seed_now * 2 + 1;
    broadcast(int) b = broadcast_new(int, 1 + bide__random_below(&state, 8));
    task(void) tasks[RECEIVERS];

    for (int i = 0; i < RECEIVERS; i++)
        tasks[i] = spawn(follows, b, bide__random_next(&state) | 1);
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_EQ(broadcast_send(b, i), 0);
        if (bide__random_below(&state, 3) != 0)
            bide_sleep(bide__random_below(&state, 3));
    }
    broadcast_close(b);
    for (int i = 0; i < RECEIVERS; i++)
        await(tasks[i]);
    broadcast_free(b);
}

/*
 * Goal:   each receiver has each message once and in order, or counted as missed, whatever times
 *         out meanwhile (fault 51).
 * Method: one sender and four receivers with random pauses and timeouts, 300 seeds.
 */
TEST(broadcast, seen_and_missed_add_up)
{
    for (seed_now = 1; seed_now <= 300; seed_now++)
        run_seeded(many, seed_now);
}

static int turns;

static async(void, counts_turns)
{
    while (bide_yield() == 0)
        turns++;
}

static void does_not_starve(void)
{
    broadcast(int) b = broadcast_new(int, 1);
    task(void) t = spawn(counts_turns);
    bide_cursor cursor = broadcast_subscribe(b);
    int value;

    for (int i = 0; i < 500; i++) {
        CHECK_EQ(broadcast_send(b, i), 0);
        CHECK_EQ(broadcast_recv(b, &cursor, &value), 0);
    }
    broadcast_close(b);
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(broadcast_send(b, i), -EPIPE);
        CHECK_EQ(broadcast_recv(b, &cursor, &value), -EPIPE);
    }
    CHECK(turns >= 2000 / 64 - 2);
    cancel(t);
    await(t);
    broadcast_free(b);
}

/*
 * Goal:   senders, which never wait, and receivers that need not wait let others run.
 * Method: a bystander's turns are counted, before and after a close.
 */
TEST(broadcast, calls_that_never_wait_starve_nobody)
{
    run(does_not_starve);
}

static void mistakes(void)
{
    broadcast(int) b = broadcast_new(int, 1), null = NULL;
    bide_cursor cursor = broadcast_subscribe(b), foreign = {.bide__next = 5};
    int value;

    EXPECT_DEATH(broadcast_send(null, 1), "broadcast_send: the broadcast is NULL");
    EXPECT_DEATH(broadcast_recv(null, &cursor, &value), "broadcast_recv: the broadcast is NULL");
    EXPECT_DEATH(broadcast_try_recv(null, &cursor, &value), "broadcast_try_recv: the broadcast");
    EXPECT_DEATH(broadcast_subscribe(null), "broadcast_subscribe: the broadcast is NULL");
    EXPECT_DEATH(broadcast_close(null), "broadcast_close: the broadcast is NULL");
    EXPECT_DEATH((void)broadcast_new(int, 0), "broadcast_new: the capacity is 0");
    EXPECT_DEATH(broadcast_recv(b, &foreign, &value), "cursor is ahead of the broadcast");
    broadcast_free(null);

    task(int) t = spawn(receives, b, &cursor);
    bide_yield();
    EXPECT_DEATH(broadcast_free(b), "broadcast_free: task 'receives'");
    EXPECT_DEATH(broadcast_free(b), "still waits in it, in broadcast_recv; close it first");
    broadcast_close(b);
    CHECK_EQ(await(t), -EPIPE);
    broadcast_free(b);
}

/*
 * Goal:   mistakes end in one clear line.
 * Method: each of them.
 */
TEST(broadcast, mistakes_abort)
{
    broadcast(int) b = broadcast_new(int, 1);
    bide_cursor cursor = BIDE_CURSOR_INIT;
    int value;

    run(mistakes);
    EXPECT_DEATH(broadcast_send(b, 1), "broadcast_send was called outside of a task");
    EXPECT_DEATH(broadcast_recv(b, &cursor, &value), "broadcast_recv was called outside");
    broadcast_free(b);
}

/*
 * Goal:   without memory, and for a size that cannot be, broadcast_new returns NULL.
 * Method: the allocation fails; a size that overflows.
 */
TEST(broadcast, new_without_memory_returns_null)
{
    broadcast(int) b;

    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    b = broadcast_new(int, 4);
    CHECK(b == NULL);
    b = broadcast_new(int, SIZE_MAX / 2);
    CHECK(b == NULL);
    b = broadcast_new(int, SIZE_MAX / 4);
    CHECK(b == NULL);
}

static void locks_up(void)
{
    broadcast(int) b = broadcast_new(int, 1);
    bide_cursor cursor = broadcast_subscribe(b);
    int value;

    CHECK_EQ(broadcast_recv(b, &cursor, &value), -ECANCELED);
    broadcast_free(b);
}

/*
 * Goal:   who waits for ever is reported with its place (fault 54).
 * Method: the only task receives.
 */
TEST(broadcast, deadlock_report_names_call_and_line)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = locks_up;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), -EDEADLK);
    const struct kept_report *report = reports_get(&seen, BIDE_REPORT_DEADLOCK, 1);
    CHECK(report != NULL);
    CHECK_CONTAINS(report->message, "sleeps in broadcast_recv");
    CHECK_CONTAINS(report->message, "in locks_up()");
}
