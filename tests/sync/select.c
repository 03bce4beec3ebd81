/* SPDX-License-Identifier: MIT */
/*
 * select.c - waiting for the first of several things: which one, fairly, and nothing left behind.
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
    CHECK_EQ(bide_test_run(call_body, &body, seed, NULL), 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static async(int, sends, chan(int), c, int, value)
{
    return chan_send(c, value);
}

static async(int, receives, chan(int), c)
{
    int value = -1;
    int err = chan_recv(c, &value);

    return err < 0 ? err : value;
}

/* Receives from either: 1000 * the index and the value, or the error. */
static async(int, receives_from, chan(int), a, chan(int), b)
{
    int from_a = -1, from_b = -1;
    int index = select_any(on_recv(a, &from_a), on_recv(b, &from_b));

    if (index < 0) {
        CHECK(from_a == -1 && from_b == -1);
        return index;
    }
    CHECK_EQ(index == 0 ? from_b : from_a, -1);
    return 1000 * index + (index == 0 ? from_a : from_b);
}

static async(int, sends_to, chan(int), a, chan(int), b, int, value)
{
    return select_any(on_send(a, value), on_send(b, value + 1));
}

static void takes_ready(void)
{
    chan(int) a = chan_new(int, 1), b = chan_new(int, 1);
    int value = -1, other = -1;

    CHECK_EQ(select_any(on_recv(a, &value), on_send(b, 5)), 1);
    CHECK_EQ(value, -1);
    CHECK_EQ(chan_len(b), 1);
    CHECK_EQ(select_any(on_recv(a, &other), on_recv(b, &value)), 1);
    CHECK_EQ(value, 5);
    CHECK_EQ(other, -1);
    CHECK_EQ(select_any(on_send(a, 6)), 0);
    CHECK_EQ(select_any(on_send(a, 7), on_recv(a, &value)), 1); /* full: only one can happen */
    CHECK_EQ(value, 6);
    CHECK_EQ(chan_len(a), 0);

    task(int) t = spawn(sends, a, 1);
    task(int) u = spawn(sends, a, 2);
    bide_yield(); /* one value in the buffer, one sender waits */
    CHECK_EQ(select_any(on_recv(a, &value)), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(chan_len(a), 1); /* refilled as by a plain receive */
    CHECK_EQ(select_any(on_recv(a, &value)), 0);
    CHECK_EQ(value, 2);
    CHECK_EQ(await(t), 0);
    CHECK_EQ(await(u), 0);
    chan_free(a);
    chan_free(b);
}

/*
 * Goal:   the one case that can happen happens, and no other: their channels and variables are
 *         untouched.
 * Method: buffers with a value or with room, each form of case.
 */
TEST(select, ready_case_happens_and_no_other)
{
    run(takes_ready);
}

static void waits(void)
{
    chan(int) a = chan_new(int, 0), b = chan_new(int, 0);
    task(int) t = spawn(receives_from, a, b);
    int value;

    bide_yield();
    CHECK_EQ(chan_send(b, 7), 0); /* it waits already */
    CHECK_EQ(chan_try_send(b, 8), -EAGAIN);
    CHECK_EQ(chan_try_send(a, 8), -EAGAIN); /* woken by b: a is out of it */
    CHECK_EQ(await(t), 1007);

    t = spawn(sends_to, a, b, 20);
    bide_yield();
    CHECK_EQ(chan_recv(a, &value), 0);
    CHECK_EQ(value, 20);
    CHECK_EQ(chan_try_recv(b, &value), -EAGAIN);
    CHECK_EQ(await(t), 0);

    for (int i = 0; i < 2; i++) { /* one select serves another, whichever comes first */
        task(int) sender, receiver;
        if (i == 0) {
            sender = spawn(sends_to, a, b, 30);
            bide_yield();
            receiver = spawn(receives_from, NULL, b);
        } else {
            receiver = spawn(receives_from, NULL, b);
            bide_yield();
            sender = spawn(sends_to, a, b, 30);
        }
        CHECK_EQ(await(receiver), 1031);
        CHECK_EQ(await(sender), 1);
    }
    CHECK_EQ(chan_try_recv(a, &value), -EAGAIN);
    chan_free(a);
    chan_free(b);
}

/*
 * Goal:   a select that waits is served by plain calls and by other selects, on one channel only.
 * Method: two unbuffered channels; after each hand-over the other one is tried from outside.
 */
TEST(select, parked_select_is_served_once)
{
    run(waits);
}

static void leaves_nothing(void)
{
    chan(int) a = chan_new(int, 0), b = chan_new(int, 0);
    int value;

    task(int) t = spawn(receives_from, a, b);
    task(int) u = spawn(receives, b); /* behind it in b's line */
    bide_yield();
    CHECK_EQ(chan_send(a, 1), 0);
    CHECK_EQ(chan_send(b, 2), 0); /* passes over the select, which has not run yet */
    CHECK_EQ(await(u), 2);
    CHECK_EQ(await(t), 1);

    t = spawn(sends_to, a, b, 10);
    u = spawn(sends, b, 5);
    bide_yield();
    CHECK_EQ(chan_recv(a, &value), 0);
    CHECK_EQ(value, 10);
    CHECK_EQ(chan_recv(b, &value), 0);
    CHECK_EQ(value, 5);
    CHECK_EQ(await(t), 0);
    CHECK_EQ(await(u), 0);

    t = spawn(receives_from, a, b);
    bide_yield();
    cancel(t);
    CHECK_EQ(chan_try_send(a, 1), -EAGAIN);
    CHECK_EQ(chan_try_send(b, 1), -EAGAIN);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_EQ(chan_try_send(a, 1), -EAGAIN);
    CHECK_EQ(chan_try_send(b, 1), -EAGAIN);

    t = spawn(receives_from, a, b);
    bide_yield();
    CHECK_EQ(chan_send(a, 3), 0);
    cancel(t);
    chan_free(a); /* both: it has what it waited for, and looks at neither again */
    chan_free(b);
    CHECK_EQ(await(t), 3);
}

/*
 * Goal:   whatever ended it, a select that waited leaves nothing behind in any channel.
 * Method: served, cancelled, served and then cancelled; before and after its turn another task
 *         uses the channels, and frees them.
 */
TEST(select, parked_select_leaves_nothing_behind)
{
    run(leaves_nothing);
}

static async(int, does_both, chan(int), c)
{
    int value = -1;
    int index = select_any(on_recv(c, &value), on_send(c, 50));

    return index == 0 ? value : index;
}

static void does_not_meet_itself(void)
{
    chan(int) c = chan_new(int, 0);
    task(int) t = spawn(does_both, c);
    int value;

    bide_yield();
    CHECK(!is_done(t));
    CHECK_EQ(chan_send(c, 1), 0);
    CHECK_EQ(chan_try_recv(c, &value), -EAGAIN); /* its other case is off */
    CHECK_EQ(await(t), 1);
    t = spawn(does_both, c);
    bide_yield();
    CHECK_EQ(chan_recv(c, &value), 0);
    CHECK_EQ(value, 50);
    CHECK_EQ(chan_try_send(c, 1), -EAGAIN);
    CHECK_EQ(await(t), 1);
    t = spawn(does_both, c);
    task(int) u = spawn(does_both, c); /* they meet each other */
    int first = await(t), second = await(u);
    CHECK((first == 50 && second == 1) || (first == 1 && second == 50));
    chan_free(c);
}

/*
 * Goal:   a select that sends to and receives from one channel does not serve itself.
 * Method: unbuffered; then a sender, a receiver, and another such select come.
 */
TEST(select, both_directions_of_one_channel)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        run_seeded(does_not_meet_itself, seed);
}

static void defaults(void)
{
    chan(int) a = chan_new(int, 1), off = NULL;
    int value = -1;

    CHECK_EQ(select_any(on_recv(a, &value), on_default()), 1);
    CHECK_EQ(select_any(on_default(), on_recv(a, &value), on_default()), 0);
    CHECK_EQ(select_any(on_recv(off, &value), on_send(off, 1), on_default()), 2);
    CHECK_EQ(select_any(on_after(0), on_default(), on_after(-1)), 1);
    CHECK_EQ(select_any(on_after(BIDE_MS(1)), on_default()), 1);
    CHECK_EQ(select_any(on_send(a, 1), on_default()), 0);
    CHECK_EQ(select_any(on_default(), on_after(0), on_recv(a, &value)), 2);
    CHECK_EQ(value, 1);

    CHECK_EQ(select_any(on_recv(a, &value), on_after(0)), 1);
    CHECK_EQ(select_any(on_recv(a, &value), on_after(5), on_after(-1)), 2);
    CHECK_EQ(select_any(on_recv(a, &value), on_after(INT64_MIN)), 1);
    CHECK_EQ(select_any(on_send(a, 2), on_after(0)), 0);
    CHECK_EQ(select_any(on_after(0), on_recv(a, &value)), 1);
    CHECK_EQ(bide_now(), 0);
    chan_free(a);
}

/*
 * Goal:   on_default, and an on_after whose time is up, happen exactly when nothing else can, and
 *         never wait.
 * Method: alone, beside each other, beside cases that can and cannot happen.
 */
TEST(select, default_happens_when_nothing_else_can)
{
    run(defaults);
}

static void times_out(void)
{
    chan(int) a = chan_new(int, 0);
    int value = -1;

    CHECK_EQ(select_any(on_recv(a, &value), on_after(BIDE_MS(5))), 1);
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(select_any(on_after(BIDE_MS(9)), on_after(BIDE_MS(2)), on_recv(a, &value),
                        on_after(BIDE_MS(2)), on_after(BIDE_FOREVER)),
             1);
    CHECK_EQ(bide_now(), BIDE_MS(7));
    CHECK_EQ(chan_try_send(a, 1), -EAGAIN);

    task(int) t = spawn(sends, a, 3);
    CHECK_EQ(select_any(on_after(BIDE_MS(9)), on_recv(a, &value)), 1);
    CHECK_EQ(value, 3);
    CHECK_EQ(await(t), 0);
    bide_sleep(BIDE_SEC(1)); /* past the time that was taken back */

    with_timeout (BIDE_MS(3)) {
        CHECK_EQ(select_any(on_recv(a, &value), on_after(BIDE_MS(9))), -ETIMEDOUT);
    }
    with_timeout (BIDE_MS(3)) {
        CHECK_EQ(select_any(on_recv(a, &value), on_after(BIDE_FOREVER)), -ETIMEDOUT);
        CHECK_EQ(select_any(on_default()), -ETIMEDOUT); /* the scope has fired */
    }
    CHECK_EQ(bide_now(), BIDE_MS(7) + BIDE_SEC(1) + BIDE_MS(6));
    chan_free(a);
}

/*
 * Goal:   the earliest on_after ends the wait, unless a value or a scope does so before.
 * Method: virtual clock.
 */
TEST(select, earliest_after_wins)
{
    run(times_out);
}

static void fired_scope(void)
{
    chan(int) a = chan_new(int, 1);
    bide_scope scope = BIDE_SCOPE_INIT;
    int value = -1;

    CHECK_EQ(chan_send(a, 1), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(select_any(on_recv(a, &value)), -ECANCELED);
        CHECK_EQ(chan_len(a), 1);
        CHECK_EQ(value, -1);
    }
    task(int) t = spawn(receives_from, NULL, NULL);
    bide_yield();
    CHECK(!is_done(t));
    cancel(t);
    CHECK_EQ(await(t), -ECANCELED);
    chan_free(a);
}

/*
 * Goal:   inside a scope that has fired a select does nothing, though it could; and one with no
 *         case that can ever happen is still woken by a cancel.
 * Method: a buffer with a value; NULL channels only.
 */
TEST(select, cancel_at_once_and_while_waiting)
{
    run(fired_scope);
}

static void only_null(void)
{
    chan(int) off = NULL;
    int value = -1;

    CHECK_EQ(select_any(on_recv(off, &value), on_send(off, 1)), -ECANCELED);
}

/*
 * Goal:   NULL channels never happen; when nothing ever can, the deadlock report says where
 *         (fault 54).
 * Method: nothing but NULL channels in the only task.
 */
TEST(select, null_channels_never_happen)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = only_null;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), -EDEADLK);
    const struct kept_report *report = reports_get(&seen, BIDE_REPORT_DEADLOCK, 1);
    CHECK(report != NULL);
    CHECK_CONTAINS(report->message, "sleeps in select_any");
    CHECK_CONTAINS(report->message, "in only_null()");
}

/* 1000 * the index and the value; -1 - the index when that channel is closed; or the error. */
static async(int, receives_ok, chan(int), a, chan(int), b)
{
    int value = 7;
    bool ok_a = true, ok_b = true;
    int index = select_any(on_recv_ok(a, &value, &ok_a), on_recv_ok(b, &value, &ok_b));

    if (index < 0)
        return index;
    CHECK(index == 0 ? ok_b : ok_a); /* that of the other is untouched */
    if (index == 0 ? ok_a : ok_b)
        return 1000 * index + value;
    CHECK_EQ(value, 7);
    return -1 - index;
}

static async(int, sends_ok, chan(int), a, chan(int), b)
{
    bool ok_a = true, ok_b = true;
    int index = select_any(on_send_ok(a, 3, &ok_a), on_send_ok(b, 4, &ok_b));

    return index < 0 || (index == 0 ? ok_a : ok_b) ? index : -1 - index;
}

static void closed(void)
{
    chan(int) a = chan_new(int, 0), b = chan_new(int, 1), c = chan_new(int, 0);
    int value = -1;
    bool ok;

    chan_close(c);
    CHECK_EQ(select_any(on_recv(c, &value)), -EPIPE);
    CHECK_EQ(select_any(on_send(c, 1)), -EPIPE);
    CHECK_EQ(select_any(on_recv(a, &value), on_recv(c, &value), on_default()), -EPIPE);
    CHECK_EQ(select_any(on_recv(a, &value), on_recv_ok(c, &value, &ok)), 1);
    CHECK(!ok);
    CHECK_EQ(select_any(on_recv(a, &value), on_send_ok(c, 1, &ok)), 1);
    CHECK(!ok);
    CHECK_EQ(value, -1);

    CHECK_EQ(chan_send(b, 6), 0);
    chan_close(b); /* drained first */
    CHECK_EQ(select_any(on_recv_ok(b, &value, &ok)), 0);
    CHECK(ok);
    CHECK_EQ(value, 6);
    CHECK_EQ(select_any(on_recv_ok(b, &value, &ok)), 0);
    CHECK(!ok);
    CHECK_EQ(value, 6);
    chan_free(a);
    chan_free(b);
    chan_free(c);
}

static void closed_while_waiting(void)
{
    chan(int) a = chan_new(int, 0), b = chan_new(int, 0);
    task(int) t[4] = {spawn(receives_from, a, b), spawn(receives_ok, a, b),
                      spawn(receives_ok, b, a), spawn(receives_ok, NULL, a)};

    bide_yield();
    bide_yield();
    chan_close(b);
    chan_close(a);
    CHECK_EQ(await(t[0]), -EPIPE);
    CHECK_EQ(await(t[1]), -2); /* b was the first */
    CHECK_EQ(await(t[2]), -1);
    CHECK_EQ(await(t[3]), -2);
    chan_free(a);
    chan_free(b);

    a = chan_new(int, 0), b = chan_new(int, 0);
    t[0] = spawn(sends_to, a, b, 1);
    t[1] = spawn(sends_ok, a, b);
    t[2] = spawn(sends_ok, b, a);
    bide_yield();
    bide_yield();
    chan_close(a);
    chan_close(b);
    CHECK_EQ(await(t[0]), -EPIPE);
    CHECK_EQ(await(t[1]), -1);
    CHECK_EQ(await(t[2]), -2);
    chan_free(a);
    chan_free(b);
}

/*
 * Goal:   a closed channel never looks like a value: -EPIPE, or with the _ok forms the index and
 *         false. What was in it before comes first.
 * Method: closed before and while waiting, sending and receiving, beside others and on_default;
 *         variables are untouched.
 */
TEST(select, closed_channel_is_told_apart)
{
    run(closed);
    run(closed_while_waiting);
}

enum { CHANNELS = 8, SELECTS = 8000 };

static int drawn[SELECTS], drawn_count[CHANNELS];

static void draws(void)
{
    chan(int) c[CHANNELS];
    int v;

    memset(drawn_count, 0, sizeof drawn_count);
    for (int i = 0; i < CHANNELS; i++) {
        c[i] = chan_new(int, 1);
        CHECK_EQ(chan_send(c[i], i), 0);
    }
    for (int i = 0; i < SELECTS; i++) {
        drawn[i] =
            select_any(on_recv(c[0], &v), on_recv(c[1], &v), on_recv(c[2], &v), on_recv(c[3], &v),
                       on_recv(c[4], &v), on_recv(c[5], &v), on_recv(c[6], &v), on_recv(c[7], &v));
        CHECK_EQ(v, drawn[i]);
        drawn_count[v]++;
        CHECK_EQ(chan_send(c[v], v), 0);
    }
    for (int i = 0; i < CHANNELS; i++)
        chan_free(c[i]);
}

/*
 * Goal:   cases that can all happen have the same chance; the same seed draws the same ones,
 *         another seed others.
 * Method: 8000 selects among 8 full buffers, counted: 1000 each, with 6 standard deviations of
 *         leeway.
 */
TEST(select, ready_cases_have_equal_chances)
{
    static int first[SELECTS];

    for (uint64_t seed = 0; seed < 4; seed++) {
        run_seeded(draws, seed);
        for (int i = 0; i < CHANNELS; i++)
            CHECK(drawn_count[i] > 1000 - 180 && drawn_count[i] < 1000 + 180);
        if (seed > 0)
            CHECK(memcmp(first, drawn, sizeof first) != 0);
        memcpy(first, drawn, sizeof first);
        run_seeded(draws, seed);
        CHECK_EQ(memcmp(first, drawn, sizeof first), 0);
    }
}

static void sixteen(void)
{
    chan(int) c = chan_new(int, 0), off = NULL;
    int v;
    task(int) t = spawn(sends, c, 9);
    bide__fault_reset();
    CHECK_EQ(select_any(on_recv(off, &v), on_recv(off, &v), on_recv(off, &v), on_recv(off, &v),
                        on_recv(off, &v), on_recv(off, &v), on_recv(off, &v), on_recv(off, &v),
                        on_recv(off, &v), on_recv(off, &v), on_recv(off, &v), on_recv(off, &v),
                        on_recv(off, &v), on_recv(off, &v), on_recv(c, &v), on_recv(c, &v)),
             14);
    CHECK_EQ(v, 9);
    CHECK_EQ(await(t), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0);
    t = spawn(receives_from, c, off);
    bide_yield();
    EXPECT_DEATH(chan_free(c), "chan_free: task 'receives_from'");
    EXPECT_DEATH(chan_free(c), "still waits in it, in select_any; close");
    chan_close(c);
    CHECK_EQ(await(t), -EPIPE);
    chan_free(c);
}

/*
 * Goal:   16 cases work and allocate nothing; freeing a channel under a select aborts.
 * Method: the last two of 16 are served; EXPECT_DEATH.
 */
TEST(select, sixteen_cases_and_mistakes)
{
    int v;
    chan(int) off = NULL;

    run(sixteen);
    EXPECT_DEATH(select_any(on_recv(off, &v)), "select_any was called outside of a task");
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
    int v;

    for (int i = 0; i < 1000; i++)
        CHECK_EQ(select_any(on_send(c, i), on_recv(c, &v), on_default()), i % 2);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(select_any(on_default()), 0);
    CHECK(turns >= 2000 / 64 - 2);
    cancel(t);
    await(t);
    chan_free(c);
}

/*
 * Goal:   selects that never wait let other tasks run.
 * Method: a bystander's turns are counted.
 */
TEST(select, calls_that_never_wait_starve_nobody)
{
    run(does_not_starve);
}
