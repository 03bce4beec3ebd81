/* SPDX-License-Identifier: MIT */
/*
 * datagram_life.c - datagram sockets under waiting tasks: closed, cancelled, full, interrupted.
 */
#include "datagrams.h"

static const char *const pairs[] = {"udp://127.0.0.1:0", "udp://[::1]:0", "unix:"};
enum { PAIRS = 3 };

static async(ssize_t, receives, bide_datagram *, datagram)
{
    char buf[16];

    return bide_datagram_recv(datagram, buf, sizeof buf, NULL);
}

static int closes_under_reader(void *arg)
{
    bide_datagram *ends[2];
    bide_message message = {.size = 0};
    bide_stats before, after;
    bide_address at;
    char buf[8];

    datagram_pair(arg, ends);
    task(ssize_t) reader = spawn(receives, ends[0]);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK_EQ(bide_datagram_recv(ends[0], buf, 1, NULL), -EBUSY);
    CHECK_EQ(bide_datagram_recv_many(ends[0], &message, 1), -EBUSY);
    CHECK_EQ(bide_datagram_send(ends[0], "a", 1, NULL), 1); /* sending goes on meanwhile */
    bide_loop_stats(&before);
    bide_datagram_close(ends[0]);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(reader));
    CHECK_EQ(after.sleeps, before.sleeps); /* within the tick */
    CHECK_EQ(await(reader), -EBADF);
    bide_datagram_close(ends[1]);

    /* The number behind our back: told by the next that takes it over. */
    datagram_pair(arg, ends);
    reader = spawn(receives, ends[0]);
    CHECK_EQ(bide_yield(), 0);
    close(bide_datagram_fd(ends[0]));
    bide_datagram *other = opened(arg, NULL);
    CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(bide_datagram_recv(ends[0], buf, 1, NULL), -EBADF);
    CHECK_EQ(bide_datagram_recv_many(ends[0], &message, 1), -EBADF);
    CHECK_EQ(bide_datagram_send(ends[0], "a", 1, NULL), -EBADF);
    CHECK_EQ(bide_datagram_send_many(ends[0], &message, 1), -EBADF);
    CHECK_EQ(bide_datagram_local_address(ends[0], &at), -EBADF);
    CHECK_EQ(bide_datagram_peer_address(ends[0], &at), -EBADF);
    at = local_of(other);
    CHECK_EQ(bide_datagram_connect(ends[0], &at), -EBADF);
    CHECK_EQ(bide_datagram_fd(ends[0]), -EBADF);
    bide_datagram_close(ends[0]);
    CHECK(bide_datagram_fd(other) >= 0);
    bide_datagram_close(other);
    bide_datagram_close(ends[1]);
    return 0;
}

/*
 * Goal:   closing wakes the receiver with -EBADF in the same tick; a second receiver gets -EBUSY;
 *         a socket whose number was closed behind our back says -EBADF and harms nobody.
 * Method: park one, try another, close; close the plain number and let a new socket take it.
 */
TEST(datagram_life, close_wakes_the_receiver)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(closes_under_reader, (void *)pairs[i]), 0);
}

static async(ssize_t, sends_until_full, bide_datagram *, datagram, const bide_address *, to, int,
             most, int *, sent)
{
    char data[1000] = "";

    while (*sent < most) {
        ssize_t got = bide_datagram_send(datagram, data, sizeof data, to);
        if (got < 0)
            return got;
        ++*sent;
    }
    return 0;
}

enum { SENDERS = 3, EACH = 400 };

static int fills_unix_queue(void *arg)
{
    const bool by_address = arg != NULL;
    bide_datagram *server = opened("unix:", NULL), *client = opened("unix:", NULL);
    bide_address at = local_of(server);
    bide_task(ssize_t) senders[SENDERS];
    int sent[SENDERS] = {0}, received = 0;
    char buf[1000];

    if (!by_address)
        CHECK_EQ(bide_datagram_connect(client, &at), 0);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = spawn(sends_until_full, client, by_address ? &at : NULL, EACH, &sent[i]);
    CHECK_EQ(bide_sleep(BIDE_MS(10)), 0);
    for (int i = 0; i < SENDERS; i++)
        CHECK(!is_done(senders[i]));
    cancel(senders[0]); /* in the queue of senders, or the one that waits for the descriptor */
    CHECK_EQ(await(senders[0]), -ECANCELED);
    while (received < sent[0] + (SENDERS - 1) * EACH) {
        with_timeout (BIDE_SEC(20))
            CHECK_EQ(bide_datagram_recv(server, buf, sizeof buf, NULL), 1000);
        received++;
    }
    for (int i = 1; i < SENDERS; i++)
        CHECK_EQ(await(senders[i]), 0);
    drain(server, 0); /* none twice */

    /* And closing wakes them all. */
    for (int i = 0; i < SENDERS; i++) {
        sent[i] = 0;
        senders[i] = spawn(sends_until_full, client, by_address ? &at : NULL, EACH, &sent[i]);
    }
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    bide_datagram_close(client);
    for (int i = 0; i < SENDERS; i++)
        CHECK_EQ(await(senders[i]), -EBADF);
    drain(server, sent[0] + sent[1] + sent[2]);
    bide_datagram_close(server);
    return 0;
}

/*
 * Goal:   senders to a full Unix queue wait and go on, all of them; a cancelled one's datagrams are
 *         those it counted; closing wakes them.
 * Method: three tasks on one socket, connected and by address (where no event tells).
 */
TEST(datagram_life, full_unix_queue_makes_senders_wait)
{
    CHECK_EQ(run(fills_unix_queue, NULL), 0);
    CHECK_EQ(run(fills_unix_queue, ""), 0);
}

static int fails_and_waits(void *arg)
{
    bide_datagram *ends[2];
    char buf[8];
    int sent = 0;

    datagram_pair(arg, ends);
    for (int i = 0; i < 3; i++) { /* interrupted: tried again */
        bide__fault_fail(BIDE__CALL_SEND, 1, 3, -EINTR);
        CHECK_EQ(bide_datagram_send(ends[0], "abc", 3, NULL), 3);
        bide__fault_fail(BIDE__CALL_RECV, 1, 3, -EINTR);
        CHECK_EQ(bide_datagram_recv(ends[1], buf, sizeof buf, NULL), 3);
    }
    bide__fault_fail(BIDE__CALL_RECV, 1, 1, -ENOMEM);
    CHECK_EQ(bide_datagram_recv(ends[1], buf, sizeof buf, NULL), -ENOMEM);
    /* No room, and no event: cancelled, and nothing was sent. */
    bide__fault_fail(BIDE__CALL_SEND, 1, 1, -EAGAIN);
    task(ssize_t) sender = spawn(sends_until_full, ends[0], NULL, 1, &sent);
    CHECK_EQ(bide_yield(), 0);
    cancel(sender);
    CHECK_EQ(await(sender), -ECANCELED);
    drain(ends[1], 0);
    with_timeout (-1) {
        CHECK_EQ(bide_datagram_send(ends[0], "a", 1, NULL), -ETIMEDOUT);
        CHECK_EQ(bide_datagram_recv(ends[1], buf, 1, NULL), -ETIMEDOUT);
    }
    drain(ends[1], 0);
    /* A receiver that is cancelled while a datagram comes loses none, in both orders. */
    for (int order = 0; order < 2; order++) {
        ssize_t got;
        task(ssize_t) reader = spawn(receives, ends[1]);
        CHECK_EQ(bide_yield(), 0);
        if (order == 0)
            cancel(reader);
        CHECK_EQ(send(bide_datagram_fd(ends[0]), "abc", 3, 0), 3);
        if (order == 1)
            CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
        cancel(reader);
        got = await(reader);
        CHECK(got == -ECANCELED || (order == 1 && got == 3));
        drain(ends[1], got != 3);
    }
    close_both(ends);
    return 0;
}

/*
 * Goal:   EINTR is never seen; a cancel at each parking point leaves nothing sent and nothing lost.
 * Method: injected errors; a datagram that comes before and after a cancel.
 */
TEST(datagram_life, cancel_and_interruption_lose_nothing)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(fails_and_waits, (void *)pairs[i]), 0);
}

static async(int, stands_by, int *, turns)
{
    while (bide_yield() == 0)
        ++*turns;
    return 0;
}

static int never_waits(void *arg)
{
    bide_datagram *ends[2];
    bide_message message;
    char buf[8];
    int turns = 0;

    datagram_pair(arg, ends);
    task(int) bystander = spawn(stands_by, &turns);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(bide_datagram_send(ends[0], "abc", 3, NULL), 3);
        CHECK_EQ(bide_datagram_recv(ends[1], buf, sizeof buf, NULL), 3);
        message = (bide_message){.buf = buf, .size = sizeof buf, .bytes = 3};
        CHECK_EQ(bide_datagram_send_many(ends[0], &message, 1), 1);
        CHECK_EQ(bide_datagram_recv_many(ends[1], &message, 1), 1);
    }
    CHECK(turns >= 4000 / 64);
    turns = 0;
    for (int i = 0; i < 1000; i++) /* nor does who ignores an error keep the others waiting */
        CHECK_EQ(bide_datagram_send_many(ends[0], &message, -1), -EINVAL);
    CHECK(turns >= 1000 / 64);
    cancel(bystander);
    CHECK_EQ(await(bystander), 0);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a task whose calls never have to wait leaves turns to the others.
 * Method: a bystander that counts its turns.
 */
TEST(datagram_life, calls_that_do_not_wait_leave_turns)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(never_waits, (void *)pairs[i]), 0);
}

static int closes_twice(void *arg)
{
    bide_datagram *datagram = opened("unix:", NULL);

    (void)arg;
    task(ssize_t) reader = spawn(receives, datagram);
    CHECK_EQ(bide_yield(), 0);
    bide_datagram_close(datagram); /* the memory stays while the reader is inside */
    bide_datagram_close(datagram);
    await(reader);
    return 0;
}

/*
 * Goal:   closing twice and calls outside a task end the process with one clear line.
 * Method: in a child; the first close while a reader still is inside.
 */
TEST(datagram_life, misuse_aborts)
{
    bide_datagram *datagram;

    EXPECT_DEATH(bide_run(closes_twice, NULL, NULL), "this socket is closed already");
    EXPECT_DEATH(bide_datagram_open(NULL, NULL, &datagram), "bide_datagram_open");
}
