/* SPDX-License-Identifier: MIT */
/*
 * copy.c - copying between descriptors, where the kernel moves the bytes: none is lost or counted
 * twice, whatever happens in between.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

/* Before a copy splices 256 KiB have gone the other way. */
enum { MUCH = 1000000, PIECE = 64 * 1024 };

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    bide__fault_reset();
    CHECK_EQ(test_open_fds(), before);
    return result;
}

static char byte_at(size_t position)
{
    return (char)(position * 131 + (position >> 8) * 29 + (position >> 16));
}

static const char *much(void)
{
    static char data[MUCH];
    static bool is_filled;

    for (size_t i = 0; i < MUCH && !is_filled; i++)
        data[i] = byte_at(i);
    is_filled = true;
    return data;
}

static async(int, writes_and_ends, bide_stream *, out, size_t, bytes)
{
    ssize_t wrote = bide_write(out, much(), bytes);

    if (wrote == (ssize_t)bytes)
        bide_shutdown_write(out);
    return 0;
}

/* Read on from a position, comparing every byte, until the end, an error or a cancel. */
static async(size_t, reads_on, bide_stream *, in, size_t, position)
{
    char buf[20000];
    ssize_t got;

    while ((got = bide_read(in, buf, sizeof buf)) > 0) {
        CHECK(memcmp(buf, much() + position, (size_t)got) == 0);
        position += (size_t)got;
    }
    return position;
}

static async(ssize_t, copies, bide_stream *, to, bide_stream *, from)
{
    return bide_copy(to, from);
}

enum kind { TCP, UNIX, PIPES, KINDS };

/* Something to copy through: what is written to `feed` comes out of `from`, of `to` at `sink`. */
struct flow {
    bide_stream *feed, *from, *to, *sink;
};

static void connect_two(enum kind kind, bide_stream **writes, bide_stream **reads)
{
    bide_stream *pipe_ends[2];
    int ends[2];

    if (kind == PIPES) {
        CHECK_EQ(bide_pipe(pipe_ends), 0);
        *reads = pipe_ends[0];
        *writes = pipe_ends[1];
        return;
    }
    if (kind == TCP)
        tcp_sockets(ends);
    else
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *writes = stream_of(ends[0]);
    *reads = stream_of(ends[1]);
}

static struct flow flow_of(enum kind in, enum kind out)
{
    struct flow flow;

    connect_two(in, &flow.feed, &flow.from);
    connect_two(out, &flow.to, &flow.sink);
    if (out != PIPES) { /* as little as pipes hold */
        const int bytes = 64 * 1024;
        CHECK_EQ(setsockopt(bide_stream_fd(flow.to), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes),
                 0);
        CHECK_EQ(setsockopt(bide_stream_fd(flow.sink), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes),
                 0);
    }
    return flow;
}

static void flow_end(const struct flow *flow)
{
    bide_close(flow->feed);
    bide_close(flow->from);
    bide_close(flow->to);
    bide_close(flow->sink);
}

static int copies_all(void *arg)
{
    (void)arg;
    for (int in = 0; in < KINDS; in++) {
        for (int out = 0; out < KINDS; out++) {
            struct flow flow = flow_of((enum kind)in, (enum kind)out);
            bide__fault_reset();
            task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
            task(ssize_t) copier = spawn(copies, flow.to, flow.from);
            task(size_t) reader = spawn(reads_on, flow.sink, 0);
            CHECK_EQ(await(copier), MUCH);
            CHECK_EQ(bide_shutdown_write(flow.to), 0);
            CHECK_EQ(await(writer), 0);
            CHECK_EQ(await(reader), MUCH);
            CHECK_EQ(bide_copy(flow.to, flow.from), 0);
            CHECK(bide__fault_count(BIDE__CALL_SPLICE) > 4);
            CHECK_EQ(bide__fault_count(BIDE__CALL_PIPE), 1);
            flow_end(&flow);
        }
    }
    return 0;
}

/*
 * Goal:   a long copy arrives whole and in order, and takes the short way through the kernel.
 * Method: a megabyte between sockets and pipes of all kinds; splices counted.
 */
TEST(copy, long_copy_is_spliced)
{
    CHECK_EQ(run(copies_all, NULL), 0);
}

static int copies_little(void *arg)
{
    struct flow flow = flow_of(TCP, TCP);

    (void)arg;
    bide__fault_reset();
    task(int) writer = spawn(writes_and_ends, flow.feed, 200000);
    task(size_t) reader = spawn(reads_on, flow.sink, 0);
    CHECK_EQ(bide_copy(flow.to, flow.from), 200000);
    bide_shutdown_write(flow.to);
    CHECK_EQ(await(writer), 0);
    CHECK_EQ(await(reader), 200000);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SPLICE), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_PIPE), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_FILE), 0);
    flow_end(&flow);
    return 0;
}

/*
 * Goal:   a short copy pays nothing for the short way.
 * Method: 200 kB; calls counted.
 */
TEST(copy, short_copy_makes_no_pipe)
{
    CHECK_EQ(run(copies_little, NULL), 0);
}

static int given_back; /* cancels that found bytes in the pipe between */

/* Cancel a copy after so many turns, count, copy on. Returns false when it had ended before. */
static bool canceled_at(enum kind in, enum kind out, int nth)
{
    struct flow flow = flow_of(in, out);
    size_t position = 0;
    bool was_canceled = false;
    ssize_t copied;

    task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
    task(ssize_t) copier = spawn(copies, flow.to, flow.from);
    for (int i = 0; i < nth && !is_done(copier); i++) {
        if (i % 3 ==
            2) { /* let the sink take some: with few bytes there, the copier waits for it */
            char buf[30000];
            ssize_t got = 0;
            with_timeout (BIDE_MS(1))
                got = bide_read(flow.sink, buf, sizeof buf);
            if (got > 0) {
                CHECK(memcmp(buf, much() + position, (size_t)got) == 0);
                position += (size_t)got;
            }
        }
        bide_yield();
    }
    if (!is_done(copier)) {
        was_canceled = true;
        cancel(copier);
    }
    copied = await(copier);
    CHECK(copied > 0 || copied == -ECANCELED);
    given_back += bide__stream_buffered(flow.from) > 0;
    if (copied < 0)
        copied = 0;
    task(size_t) reader = spawn(reads_on, flow.sink, position);
    while (copied < MUCH) {
        ssize_t more = bide_copy(flow.to, flow.from);
        CHECK(more > 0);
        copied += more;
    }
    CHECK_EQ(copied, MUCH);
    CHECK_EQ(bide_copy(flow.to, flow.from), 0);
    bide_shutdown_write(flow.to);
    CHECK_EQ(await(reader), MUCH);
    CHECK_EQ(await(writer), 0);
    flow_end(&flow);
    return was_canceled;
}

static int cancels_in_turn(void *arg)
{
    const enum kind kind = *(enum kind *)arg;
    int nth = 0;

    bide__fault_reset();
    while (nth < 200 && canceled_at(kind, kind, nth))
        nth++;
    CHECK(nth > 10);
    CHECK(given_back > 0); /* some cancels met bytes on their way */
    return 0;
}

/*
 * Goal:   wherever a copy is cancelled, it tells what it copied, and the next one goes on there.
 * Method: cancel after every number of turns, sink slow; count and compare every byte.
 */
TEST(copy, cancel_at_every_wait_loses_nothing)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        CHECK_EQ(run(cancels_in_turn, &kind), 0);
}

/* Copy until the destination is full and bytes lie in the pipe between; then let it fail. */
static int loses_destination(void *arg)
{
    const enum kind kind = *(enum kind *)arg;
    struct flow flow = flow_of(kind, kind), rest;
    size_t position;
    ssize_t copied;

    bide__fault_reset();
    task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
    task(ssize_t) copier = spawn(copies, flow.to, flow.from);
    /* A slow reader lets the copy get beyond its start. */
    for (position = 0; bide__fault_count(BIDE__CALL_SPLICE) < 5;) {
        char buf[20000];
        ssize_t got = bide_read(flow.sink, buf, sizeof buf);
        CHECK(got > 0);
        CHECK(memcmp(buf, much() + position, (size_t)got) == 0);
        position += (size_t)got;
    }
    bide_sleep(BIDE_MS(5));
    CHECK(!is_done(copier));
    bide_close(flow.sink);
    copied = await(copier);
    CHECK(copied >= (ssize_t)position && copied < MUCH);
    CHECK(bide_copy(flow.to, flow.from) < 0); /* why it ended */
    CHECK_EQ(bide_copy(flow.to, flow.from), -EPIPE);
    connect_two(kind, &rest.to, &rest.sink);
    task(size_t) reader = spawn(reads_on, rest.sink, (size_t)copied);
    CHECK_EQ(bide_copy(rest.to, flow.from), MUCH - copied);
    bide_shutdown_write(rest.to);
    CHECK_EQ(await(reader), MUCH);
    CHECK_EQ(await(writer), 0);
    bide_close(rest.to);
    bide_close(rest.sink);
    bide_close(flow.feed);
    bide_close(flow.from);
    bide_close(flow.to);
    return 0;
}

/*
 * Goal:   what was on its way when the destination failed stays in the source: and no SIGPIPE.
 * Method: close the sink under a parked copy, then copy what is left elsewhere.
 */
TEST(copy, failed_destination_gives_bytes_back)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        CHECK_EQ(run(loses_destination, &kind), 0);
}

static int fails_in_turn(void *arg)
{
    const struct {
        enum bide__call call;
        int error;
        bool is_told; /* or another way is taken */
    } plans[] = {
        {BIDE__CALL_SPLICE, -EIO, true},    {BIDE__CALL_SPLICE, -EINVAL, false},
        {BIDE__CALL_SPLICE, -EINTR, false}, {BIDE__CALL_PIPE, -EMFILE, false},
        {BIDE__CALL_FILE, -EBADF, false},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        uint64_t made = UINT64_MAX;
        for (uint64_t nth = 1; nth <= made && nth < 12; nth++) {
            struct flow flow = flow_of(TCP, TCP);
            ssize_t copied = 0, some;
            int errors = 0;

            task(size_t) reader = spawn(reads_on, flow.sink, 0);
            task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
            bide__fault_reset();
            bide__fault_fail(plans[i].call, nth, 1, plans[i].error);
            while ((some = bide_copy(flow.to, flow.from)) != 0) {
                if (some > 0)
                    copied += some;
                else
                    errors++;
                CHECK(some > 0 || some == plans[i].error);
            }
            made = bide__fault_count(plans[i].call);
            bide__fault_reset();
            CHECK_EQ(copied, MUCH);
            CHECK_EQ(errors, plans[i].is_told && nth <= made);
            bide_shutdown_write(flow.to);
            CHECK_EQ(await(reader), MUCH);
            CHECK_EQ(await(writer), 0);
            flow_end(&flow);
        }
    }
    return 0;
}

/*
 * Goal:   every call that a copy makes may fail: it is told once, or another way is taken, and no
 *         byte is lost.
 * Method: each call in turn; copy on until the end; compare.
 */
TEST(copy, failing_calls_lose_nothing)
{
    CHECK_EQ(run(fails_in_turn, NULL), 0);
}

static int splices_short(void *arg)
{
    const size_t limits[] = {1, 777, 20000, 65535};

    (void)arg;
    for (int i = 0; i < 4; i++) {
        struct flow flow = flow_of(TCP, UNIX);
        bide__fault_reset();
        bide__fault_limit(BIDE__CALL_SPLICE, limits[i]);
        task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
        task(size_t) reader = spawn(reads_on, flow.sink, 0);
        CHECK_EQ(bide_copy(flow.to, flow.from), MUCH);
        CHECK(bide__fault_count(BIDE__CALL_SPLICE) > 0);
        bide_shutdown_write(flow.to);
        CHECK_EQ(await(reader), MUCH);
        CHECK_EQ(await(writer), 0);
        flow_end(&flow);
    }
    return 0;
}

/*
 * Goal:   splices that move little are no loss.
 * Method: at most 1, 777, 20000, 65535 bytes a call.
 */
TEST(copy, short_splices_lose_nothing)
{
    CHECK_EQ(run(splices_short, NULL), 0);
}

static int closes_under_copy(void *arg)
{
    for (int which = 0; which < 3; which++) {
        struct flow flow = flow_of(*(enum kind *)arg, *(enum kind *)arg);
        char buf[20000];
        ssize_t copied;

        bide__fault_reset();
        task(int) writer = spawn(writes_and_ends, flow.feed, MUCH);
        task(ssize_t) copier = spawn(copies, flow.to, flow.from);
        while (bide__fault_count(BIDE__CALL_SPLICE) < 5)
            CHECK(bide_read(flow.sink, buf, sizeof buf) > 0);
        bide_sleep(BIDE_MS(2));
        CHECK(!is_done(copier)); /* it waits for room */
        if (which == 2)
            CHECK_EQ(bide_shutdown_write(flow.to), 0);
        else
            bide_close(which == 0 ? flow.from : flow.to);
        if (which != 1) /* then it waits on for room */
            while (!is_done(copier) && bide_read(flow.sink, buf, sizeof buf) > 0)
                bide_yield();
        copied = await(copier);
        CHECK(which == 2 ? copied > 0 : copied == -EBADF);
        if (which == 2)
            CHECK_EQ(bide_copy(flow.to, flow.from), -EPIPE);
        cancel(writer);
        CHECK_EQ(await(writer), 0);
        bide_close(flow.feed);
        if (which != 0)
            bide_close(flow.from);
        if (which != 1)
            bide_close(flow.to);
        bide_close(flow.sink);
    }
    return 0;
}

/*
 * Goal:   closing either end under a copy makes it return -EBADF; shutting the destination down is
 *         -EPIPE, after what was copied.
 * Method: while the copy waits for room, with bytes on their way.
 */
TEST(copy, close_under_copy_is_ebadf)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        CHECK_EQ(run(closes_under_copy, &kind), 0);
}

static int echoes(void *arg)
{
    bide_stream *near, *far;
    int ends[2];

    (void)arg;
    tcp_sockets(ends);
    near = stream_of(ends[0]);
    far = stream_of(ends[1]);
    bide__fault_reset();
    task(ssize_t) copier = spawn(copies, far, far);
    task(int) writer = spawn(writes_and_ends, near, MUCH);
    task(size_t) reader = spawn(reads_on, near, 0);
    CHECK_EQ(await(copier), MUCH);
    bide_shutdown_write(far);
    CHECK_EQ(await(reader), MUCH);
    CHECK_EQ(await(writer), 0);
    CHECK(bide__fault_count(BIDE__CALL_SPLICE) > 0);
    bide_close(near);
    bide_close(far);
    return 0;
}

/*
 * Goal:   a stream is copied to itself, also by splicing.
 * Method: echo a megabyte.
 */
TEST(copy, long_echo_is_spliced)
{
    CHECK_EQ(run(echoes, NULL), 0);
}

static int passes_urgent(void *arg)
{
    struct flow flow;
    int in[2];

    (void)arg;
    tcp_sockets(in);
    flow.from = stream_of(in[1]);
    connect_two(TCP, &flow.to, &flow.sink);
    bide__fault_reset();
    task(ssize_t) copier = spawn(copies, flow.to, flow.from);
    task(size_t) reader = spawn(reads_on, flow.sink, 0);
    CHECK_EQ(fcntl(in[0], F_SETFL, O_NONBLOCK), 0);
    for (size_t done = 0; done < MUCH;) {
        ssize_t sent = send(in[0], much() + done, MUCH - done < PIECE ? MUCH - done : PIECE, 0);
        if (sent < 0) {
            CHECK_EQ(bide_wait_fd(in[0], BIDE_WRITE), BIDE_WRITE);
            continue;
        }
        done += (size_t)sent;
        if (done > MUCH / 2 && done < MUCH / 2 + PIECE)
            CHECK_EQ(send(in[0], "!", 1, MSG_OOB), 1);
    }
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(shutdown(in[0], SHUT_WR), 0);
    with_timeout (BIDE_SEC(20))
        CHECK_EQ(await(copier), MUCH);
    bide_shutdown_write(flow.to);
    CHECK_EQ(await(reader), MUCH);
    close(in[0]);
    bide_close(flow.from);
    bide_close(flow.to);
    bide_close(flow.sink);
    return 0;
}

/*
 * Goal:   urgent data in the middle stops no copy.
 * Method: an urgent byte half-way, which is not among what is read (tcp(7)).
 */
TEST(copy, urgent_data_does_not_stop_it)
{
    CHECK_EQ(run(passes_urgent, NULL), 0);
}
