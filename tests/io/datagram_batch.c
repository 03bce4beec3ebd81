/* SPDX-License-Identifier: MIT */
/*
 * datagram_batch.c - many messages a call, and rows of datagrams that are cut and joined.
 */
#include "datagrams.h"

#include <netinet/udp.h>

static const char *const pairs[] = {"udp://127.0.0.1:0", "udp://[::1]:0", "unix:"};
enum { PAIRS = 3, ROOM = 128 };

/* So many messages with a buffer of `size` bytes each. */
struct mail {
    bide_message messages[ROOM];
    char *memory;
};

static void mail_make(struct mail *mail, size_t size)
{
    memset(mail, 0, sizeof *mail);
    mail->memory = calloc(ROOM, size);
    CHECK(mail->memory != NULL);
    for (size_t i = 0; i < ROOM; i++)
        mail->messages[i] = (bide_message){.buf = mail->memory + i * size, .size = size};
}

static void mail_free(struct mail *mail)
{
    free(mail->memory);
}

/* Numbered messages of 4 bytes. */
static void mail_number(struct mail *mail, int count)
{
    for (int i = 0; i < count; i++) {
        memcpy(mail->messages[i].buf, &i, sizeof i);
        mail->messages[i].bytes = sizeof i;
    }
}

static async(int, receives_many, bide_datagram *, datagram, bide_message *, messages, int, count)
{
    return bide_datagram_recv_many(datagram, messages, count);
}

static int moves_batches(void *arg)
{
    bide_datagram *ends[2];
    struct mail out, in;
    bide_address at;
    int got = 0;

    datagram_pair(arg, ends);
    at = local_of(ends[0]);
    mail_make(&out, 8);
    mail_make(&in, 8);
    mail_number(&out, ROOM);
    task(int) reader = spawn(receives_many, ends[1], in.messages, 5);
    CHECK_EQ(bide_yield(), 0);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 3), 3);
    CHECK_EQ(await(reader), 3); /* not all five */
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(in.messages[i].bytes, 4);
        CHECK_EQ(*(int *)in.messages[i].buf, i);
        CHECK_EQ(in.messages[i].segment_bytes, 0);
        CHECK(!in.messages[i].is_truncated);
        CHECK(bide_address_equal(&in.messages[i].address, &at));
        CHECK_EQ(out.messages[i].sent_bytes, 4);
    }
    CHECK_EQ(in.messages[3].bytes, 0);
    CHECK(bide_address_equal(&in.messages[3].address, &(bide_address){.bide__bytes = 0}));

    if (strcmp(arg, "unix:") != 0) { /* whose queue takes but a few */
        CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, ROOM), ROOM);
        while (got < ROOM) {
            int more = bide_datagram_recv_many(ends[1], in.messages, ROOM);
            CHECK(more > 0 && more <= BIDE_MESSAGES_MOST);
            for (int i = 0; i < more; i++)
                CHECK_EQ(*(int *)in.messages[i].buf, got++);
        }
    }
    CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 0), 0);
    CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, -1), -EINVAL);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 0), 0);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, -1), -EINVAL);

    out.messages[0].bytes = 0; /* an empty one, one that does not fit, one that does */
    out.messages[1] = (bide_message){.buf = out.memory, .bytes = 9};
    out.messages[2] = (bide_message){.buf = out.memory, .bytes = 8};
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 3), 3);
    CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 9), 3);
    CHECK_EQ(in.messages[0].bytes, 0);
    CHECK(!in.messages[0].is_truncated);
    CHECK_EQ(in.messages[1].bytes, 8);
    CHECK(in.messages[1].is_truncated);
    CHECK_EQ(in.messages[2].bytes, 8);
    CHECK(!in.messages[2].is_truncated);
    mail_free(&out);
    mail_free(&in);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a batch takes what is there and waits for the first alone; lengths, senders, cuts and the
 *         order are right, and messages beyond those received are untouched.
 * Method: fewer than asked for, more than one call takes, none, and lengths around the buffer's.
 */
TEST(datagram_batch, batches_keep_order_and_lengths)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(moves_batches, (void *)pairs[i]), 0);
}

static int costs_little(void *arg)
{
    bide_datagram *ends[2];
    struct mail out, in;

    (void)arg;
    datagram_pair("udp://127.0.0.1:0", ends);
    mail_make(&out, 8);
    mail_make(&in, 8);
    mail_number(&out, ROOM);
    bide__fault_reset();
    for (int i = 0; i < 20; i++) {
        task(int) reader = spawn(receives_many, ends[1], in.messages, 50);
        CHECK_EQ(bide_yield(), 0);
        CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 40), 40);
        CHECK_EQ(await(reader), 40);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_SEND), 20);
    CHECK(bide__fault_count(BIDE__CALL_RECV) <= 21); /* a short batch leaves an empty queue */
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKOPT), 0);
    mail_free(&out);
    mail_free(&in);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a batch that waits costs one call to receive and one to send.
 * Method: twenty of forty messages each, counted.
 */
TEST(datagram_batch, costs_a_call_each_way)
{
    CHECK_EQ(run(costs_little, NULL), 0);
}

static int refused_between(void *arg)
{
    bide_datagram *client = opened(NULL, NULL), *server = opened("udp://127.0.0.1:0", NULL);
    bide_address at = local_of(server);
    struct mail in;

    (void)arg;
    mail_make(&in, 8);
    CHECK_EQ(bide_datagram_connect(client, &at), 0);
    for (int i = 0; i < 4; i++) {
        bide_address to = local_of(client);
        char text[64];
        snprintf(text, sizeof text, "udp://127.0.0.1:%u", bide_address_port(&to));
        CHECK_EQ(bide_address_parse(text, &to), 0);
        CHECK_EQ(bide_datagram_send(server, "x", 1, &to), 1);
    }
    bide_datagram_close(server);
    task(int) first = spawn(receives_many, client, in.messages, 10);
    CHECK_EQ(await(first), 4);
    task(int) second = spawn(receives_many, client, in.messages, 10);
    CHECK_EQ(bide_yield(), 0);
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), 1);
    CHECK_EQ(await(second), -ECONNREFUSED);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_datagram_recv_many(client, in.messages, 10), -ETIMEDOUT);
    mail_free(&in);
    bide_datagram_close(client);
    return 0;
}

/*
 * Goal:   after a short batch an error still wakes the receiver, once.
 * Method: four of ten messages, wait, then the refusal of a closed port.
 */
TEST(datagram_batch, refusal_wakes_after_a_short_batch)
{
    CHECK_EQ(run(refused_between, NULL), 0);
}

static int stops_at_errors(void *arg)
{
    bide_datagram *ends[2];
    static char large[70000];
    struct mail out, in;

    (void)arg;
    datagram_pair("udp://127.0.0.1:0", ends);
    mail_make(&out, 8);
    mail_make(&in, 8);
    mail_number(&out, 5);
    out.messages[2] = (bide_message){.buf = large, .bytes = sizeof large};
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 5), 2);
    CHECK_EQ(out.messages[1].sent_bytes, 4);
    CHECK_EQ(out.messages[2].sent_bytes, 0);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages + 2, 3), -EMSGSIZE);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages + 3, 2), 2);
    CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 10), 4);
    drain(ends[1], 0);

    /* A refusal that comes after progress is the next send's. */
    mail_number(&out, ROOM);
    bide__fault_fail(BIDE__CALL_SEND, 2, 1, -ECONNREFUSED);
    CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, ROOM), BIDE_MESSAGES_MOST);
    CHECK_EQ(bide_datagram_send(ends[0], "a", 1, NULL), -ECONNREFUSED);
    CHECK_EQ(bide_datagram_send(ends[0], "a", 1, NULL), 1);
    drain(ends[1], BIDE_MESSAGES_MOST + 1);

    for (int i = 1; i <= 2; i++) { /* interrupted, then out of room for ever: cancelled */
        bide__fault_fail(BIDE__CALL_SEND, 1, 2, -EINTR);
        bide__fault_fail(BIDE__CALL_RECV, 1, 2, -EINTR);
        CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 3), 3);
        CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 10), 3);
        bide__fault_fail(BIDE__CALL_SEND, (uint64_t)i, 1000, -EAGAIN);
        with_timeout (BIDE_MS(2))
            CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, ROOM),
                     i == 1 ? -ETIMEDOUT : BIDE_MESSAGES_MOST);
        drain(ends[1], i == 1 ? 0 : BIDE_MESSAGES_MOST);
        CHECK_EQ(out.messages[0].sent_bytes, i == 1 ? 0 : 4);
        CHECK_EQ(out.messages[BIDE_MESSAGES_MOST].sent_bytes, 0);
        bide__fault_reset();
        close_both(ends); /* no event comes for room that was there all the time */
        datagram_pair("udp://127.0.0.1:0", ends);
    }
    with_timeout (-1) {
        CHECK_EQ(bide_datagram_send_many(ends[0], out.messages, 3), -ETIMEDOUT);
        CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 3), -ETIMEDOUT);
    }
    drain(ends[1], 0);
    bide__fault_fail(BIDE__CALL_RECV, 1, 1, -ENOMEM);
    CHECK_EQ(bide_datagram_recv_many(ends[1], in.messages, 3), -ENOMEM);
    mail_free(&out);
    mail_free(&in);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a batch that ends early says how far it got, and the next call why; a cancel is told the
 *         same way; EINTR is not seen.
 * Method: a message too large in the middle; injected errors at the first and the second call.
 */
TEST(datagram_batch, partial_batches_are_counted)
{
    CHECK_EQ(run(stops_at_errors, NULL), 0);
}

static async(int, sends_many, bide_datagram *, datagram, bide_message *, messages, int, count)
{
    return bide_datagram_send_many(datagram, messages, count);
}

static int fills_unix_queue(void *arg)
{
    bide_datagram *server = opened("unix:", NULL), *client = opened("unix:", NULL);
    bide_address at = local_of(server);
    struct mail out, in;
    int got = 0, sent;

    mail_make(&out, 8);
    mail_make(&in, 8);
    mail_number(&out, ROOM);
    if (arg == NULL)
        CHECK_EQ(bide_datagram_connect(client, &at), 0);
    for (int i = 0; arg != NULL && i < ROOM; i++)
        out.messages[i].address = at;
    task(int) sender = spawn(sends_many, client, out.messages, ROOM);
    CHECK_EQ(bide_sleep(BIDE_MS(3)), 0);
    CHECK(!is_done(sender));
    while (got < ROOM) {
        int more = 0;
        with_timeout (BIDE_SEC(20))
            more = bide_datagram_recv_many(server, in.messages, ROOM);
        CHECK(more > 0);
        for (int i = 0; i < more; i++)
            CHECK_EQ(*(int *)in.messages[i].buf, got++);
    }
    CHECK_EQ(await(sender), ROOM);

    sender = spawn(sends_many, client, out.messages, ROOM);
    CHECK_EQ(bide_sleep(BIDE_MS(3)), 0);
    cancel(sender);
    sent = await(sender);
    CHECK(sent > 0 && sent < ROOM);
    drain(server, sent);
    sender = spawn(sends_many, client, out.messages, ROOM);
    CHECK_EQ(bide_sleep(BIDE_MS(3)), 0);
    bide_datagram_close(client);
    CHECK_EQ(await(sender), -EBADF); /* though some were sent: there is no next call */
    mail_free(&out);
    mail_free(&in);
    bide_datagram_close(server);
    return 0;
}

/*
 * Goal:   a batch waits for a Unix peer's queue and goes on; cancelled, it counts what was sent.
 * Method: more messages than the queue takes, connected and by address.
 */
TEST(datagram_batch, waits_for_a_full_unix_queue)
{
    CHECK_EQ(run(fills_unix_queue, NULL), 0);
    CHECK_EQ(run(fills_unix_queue, ""), 0);
}

enum { ROW = 1000, SEGMENT = 300 }; /* three datagrams of 300 bytes, one of 100 */

/* Send a plain message, a row and a plain message, and check what arrives at a plain receiver. */
static void send_row(bide_datagram *ends[2])
{
    static char row[ROW], in[2000];
    const ssize_t lengths[] = {3, SEGMENT, SEGMENT, SEGMENT, ROW - 3 * SEGMENT, 5};
    bide_message out[3] = {
        {.buf = "abc", .bytes = 3, .segment_bytes = 3}, /* a row of one is a datagram */
        {.buf = row, .bytes = ROW, .segment_bytes = SEGMENT},
        {.buf = "defgh", .bytes = 5, .segment_bytes = 100},
    };
    size_t at = 0;

    for (size_t i = 0; i < ROW; i++)
        row[i] = (char)(i * 7);
    CHECK_EQ(bide_datagram_send_many(ends[0], out, 3), 3);
    CHECK_EQ(out[1].sent_bytes, ROW);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        CHECK_EQ(bide_datagram_recv(ends[1], in, sizeof in, NULL), lengths[i]);
        if (i >= 1 && i <= 4) {
            CHECK(memcmp(in, row + at, (size_t)lengths[i]) == 0);
            at += (size_t)lengths[i];
        }
    }
    drain(ends[1], 0);
}

static bool kernel_segments(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int err = setsockopt(fd, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &(int){0}, sizeof(int));

    close(fd);
    return err == 0;
}

static int sends_rows(void *arg)
{
    static const int refusals[] = {-EIO, -EINVAL, -EMSGSIZE, -ENOPROTOOPT, -EOPNOTSUPP};
    const bool is_unix = strcmp(arg, "unix:") == 0;
    bide_datagram *ends[2];

    datagram_pair(arg, ends);
    bide__fault_reset();
    send_row(ends);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKOPT), !is_unix);
    if (!is_unix && kernel_segments())
        CHECK_EQ(bide__fault_count(BIDE__CALL_SEND), 1);
    send_row(ends);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKOPT), !is_unix); /* asked once */
    close_both(ends);

    /* A kernel that has never heard of it. */
    datagram_pair(arg, ends);
    bide__fault_fail(BIDE__CALL_SOCKOPT, 1, 1, -ENOPROTOOPT);
    send_row(ends);
    bide__fault_reset();
    send_row(ends);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SEND), 3); /* before it, it, after it */
    close_both(ends);

    /* A route or device that refuses: the row leads its batch. */
    datagram_pair(arg, ends);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0] && !is_unix; i++) {
        static char row[ROW], in[2000];
        bide_message out = {.buf = row, .bytes = ROW, .segment_bytes = SEGMENT};
        bide__fault_fail(BIDE__CALL_SEND, 1, 1, refusals[i]);
        CHECK_EQ(bide_datagram_send_many(ends[0], &out, 1), 1);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(bide_datagram_recv(ends[1], in, sizeof in, NULL), k < 3 ? SEGMENT : 100);
        bide__fault_fail(BIDE__CALL_SEND, 1, 2, refusals[i]);
        CHECK_EQ(bide_datagram_send_many(ends[0], &out, 1), refusals[i]); /* and no, really */
        CHECK_EQ(out.sent_bytes, 0);
        drain(ends[1], 0);
    }
    close_both(ends);
    return 0;
}

/*
 * Goal:   a row arrives as its datagrams, in order among its neighbours, whether the kernel cuts it
 *         or we do.
 * Method: the kernel as it is; the probe failing; the send failing in each way it is known to.
 */
TEST(datagram_batch, rows_are_cut_by_the_kernel_or_here)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(sends_rows, (void *)pairs[i]), 0);
}

static int cuts_long_rows(void *arg)
{
    static char row[60000], in[2000];
    bide_message out = {.buf = row, .bytes = sizeof row, .segment_bytes = 400}; /* 150 of them */
    bide_datagram *ends[2];

    (void)arg;
    datagram_pair("udp://127.0.0.1:0", ends);
    CHECK_EQ(bide_datagram_send_many(ends[0], &out, 1), 1);
    for (int i = 0; i < 150; i++)
        CHECK_EQ(bide_datagram_recv(ends[1], in, sizeof in, NULL), 400);
    close_both(ends);

    /* Cut here, and cancelled in the middle: sent_bytes tells how far. */
    datagram_pair("udp://127.0.0.1:0", ends);
    bide__fault_fail(BIDE__CALL_SOCKOPT, 1, 1, -ENOPROTOOPT);
    bide__fault_fail(BIDE__CALL_SEND, 2, 1000, -EAGAIN);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_datagram_send_many(ends[0], &out, 1), -ETIMEDOUT);
    bide__fault_reset();
    CHECK_EQ(out.sent_bytes, BIDE_MESSAGES_MOST * 400);
    drain(ends[1], BIDE_MESSAGES_MOST);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a row of more datagrams than the kernel or one batch takes is sent; one that is cancelled
 *         in the middle says how far it got.
 * Method: 150 datagrams; no room after the first batch.
 */
TEST(datagram_batch, long_rows_are_gone_on_with)
{
    CHECK_EQ(run(cuts_long_rows, NULL), 0);
}

static int joins(void *arg)
{
    const bide_datagram_options options = {.gro = true};
    bide_datagram *server = opened("udp://127.0.0.1:0", &options), *client, *echoed;
    static char row[ROW];
    bide_message out = {.buf = row, .bytes = ROW, .segment_bytes = SEGMENT};
    struct mail in;
    size_t got = 0, datagrams = 0;

    (void)arg;
    client = opened("udp://127.0.0.1:0", NULL);
    echoed = opened("udp://127.0.0.1:0", NULL);
    for (size_t i = 0; i < ROW; i++)
        row[i] = (char)(i * 7);
    mail_make(&in, 65536);
    out.address = local_of(server);
    CHECK_EQ(bide_datagram_recv(server, row, ROW, NULL), -EINVAL);
    CHECK_EQ(bide_datagram_send_many(client, &out, 1), 1);
    while (got < ROW) {
        int count = bide_datagram_recv_many(server, in.messages, ROOM);
        CHECK(count > 0);
        for (int i = 0; i < count; i++) {
            bide_message *message = &in.messages[i];
            size_t step = message->segment_bytes > 0 ? message->segment_bytes : message->bytes;
            CHECK(step == SEGMENT || (step == 100 && message->bytes == 100));
            CHECK(step < message->bytes || message->segment_bytes == 0);
            CHECK(memcmp(message->buf, row + got, message->bytes) == 0);
            datagrams += (message->bytes + step - 1) / step;
            got += message->bytes;
            message->address = local_of(echoed);
        }
        CHECK_EQ(bide_datagram_send_many(server, in.messages, count), count); /* as it came */
    }
    CHECK_EQ(got, ROW);
    CHECK_EQ(datagrams, 4);
    drain(echoed, 4);
    mail_free(&in);
    bide_datagram_close(server);
    bide_datagram_close(client);
    bide_datagram_close(echoed);
    return 0;
}

static int joins_nothing(void *arg)
{
    const bide_datagram_options options = {.gro = true};
    bide_datagram *server;

    bide__fault_fail(BIDE__CALL_SOCKOPT, 1, 1, -ENOPROTOOPT); /* the one option there is */
    server = opened("udp://127.0.0.1:0", &options);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKOPT), 1);
    bide__fault_reset();
    bide_datagram_close(server);
    return joins(arg);
}

/*
 * Goal:   with options.gro the bytes and the datagrams' lengths are the same, joined or not, and a
 *         joined message can be sent on; where the kernel knows nothing of it, opening succeeds.
 * Method: send a row, add up what comes, echo it to a plain socket; then with the option refused.
 */
TEST(datagram_batch, gro_joins_and_is_told)
{
    bide__fault_reset();
    CHECK_EQ(run(joins_nothing, NULL), 0);
}
