/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes as streams: every byte, both ends closing, and never a signal.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "test.h"

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
    return (char)(position * 131 + (position >> 8) * 29);
}

static async(ssize_t, reads, bide_stream *, in)
{
    char buf[16];

    return bide_read(in, buf, sizeof buf);
}

static async(ssize_t, writes, bide_stream *, out, size_t, bytes)
{
    static char data[4 << 20];

    for (size_t i = 0; i < bytes; i++)
        data[i] = byte_at(i);
    return bide_write(out, data, bytes);
}

static async(int, writes_and_ends, bide_stream *, out, size_t, bytes)
{
    CHECK_EQ(writes(out, bytes), (ssize_t)bytes);
    return bide_shutdown_write(out);
}

/* Read to the end, comparing every byte. Returns how many came. */
static size_t drain(bide_stream *in)
{
    static char buf[100000];
    size_t done = 0;
    ssize_t got;

    while ((got = bide_read(in, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            if (buf[i] != byte_at(done + (size_t)i))
                CHECK_EQ(buf[i], byte_at(done + (size_t)i));
        done += (size_t)got;
    }
    CHECK_EQ(got, 0);
    return done;
}

static int carries_bytes(void *arg)
{
    const size_t limits[] = {0, 1000, 17};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        const size_t bytes = i == 0 ? 3 << 20 : 50000;
        bide_stream *ends[2];

        CHECK_EQ(bide_pipe(ends), 0);
        bide__fault_limit(BIDE__CALL_READ, limits[i]);
        bide__fault_limit(BIDE__CALL_WRITE, limits[i]);
        task(int) writer = spawn(writes_and_ends, ends[1], bytes);
        CHECK_EQ(drain(ends[0]), bytes);
        CHECK_EQ(await(writer), 0);
        bide_close(ends[0]);
        bide_close(ends[1]);
    }
    return 0;
}

/*
 * Goal:   what is written to a pipe is read from it, and then its end.
 * Method: 3 MiB, many times its buffer; and less in short reads and writes.
 */
TEST(pipe, carries_every_byte_and_the_end)
{
    CHECK_EQ(run(carries_bytes, NULL), 0);
}

static int writes_pieces(void *arg)
{
    bide_stream *ends[2];
    char line[64];

    (void)arg;
    for (size_t limit = 0; limit < 12; limit++) {
        const struct iovec pieces[] = {{"", 0}, {"ab", 2}, {"", 0}, {"cdefg", 5}, {"\n", 1}};
        CHECK_EQ(bide_pipe(ends), 0);
        bide__fault_limit(BIDE__CALL_WRITE, limit);
        CHECK_EQ(bide_writev(ends[1], pieces, 5), 8);
        CHECK_EQ(bide_printf(ends[1], "%d\n", 42), 3);
        CHECK_EQ(bide_read_line(ends[0], line, sizeof line), 8);
        CHECK_STR(line, "abcdefg\n");
        CHECK_EQ(bide_read_line(ends[0], line, sizeof line), 3);
        bide_close(ends[0]);
        bide_close(ends[1]);
    }
    return 0;
}

/*
 * Goal:   pieces, formatted text and lines work as on every stream.
 * Method: five pieces, two of them empty, cut at every byte.
 */
TEST(pipe, writes_pieces_in_order)
{
    CHECK_EQ(run(writes_pieces, NULL), 0);
}

static int uses_wrong_ends(void *arg)
{
    bide_stream *ends[2];
    char byte, text[32];

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    CHECK_EQ(bide_read(ends[1], &byte, 1), -EBADF);
    CHECK_EQ(bide_write(ends[0], "x", 1), -EBADF);
    CHECK_EQ(bide_shutdown_write(ends[0]), -EBADF);
    CHECK_EQ(bide_stream_set_nodelay(ends[0], true), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_local_address(ends[0], text, sizeof text), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_peer_address(ends[0], text, sizeof text), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_set_keepalive(ends[0], BIDE_SEC(1), BIDE_SEC(1), 1), -EOPNOTSUPP);
    CHECK(fcntl(bide_stream_fd(ends[0]), F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(bide_stream_fd(ends[1]), F_GETFD) & FD_CLOEXEC);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   an end refuses what the other one is for, and what sockets are for.
 * Method: every such call.
 */
TEST(pipe, wrong_direction_is_ebadf)
{
    CHECK_EQ(run(uses_wrong_ends, NULL), 0);
}

/* From here on this kernel is one that does not know the flag, if it ever did. */
static void forget_the_flag(void)
{
    bide_stream *ends[2];

    CHECK_EQ(bide_pipe(ends), 0);
    bide__fault_fail(BIDE__CALL_WRITE, 1, 1, -EOPNOTSUPP);
    bide_write(ends[1], "x", 1);
    bide_close(ends[0]);
    bide_close(ends[1]);
}

static int loses_reader(void *arg)
{
    bide_stream *ends[2];
    ssize_t wrote;

    if (*(bool *)arg)
        forget_the_flag();
    CHECK_EQ(bide_pipe(ends), 0);
    task(ssize_t) writer = spawn(writes, ends[1], 1 << 20);
    bide_sleep(BIDE_MS(5));
    CHECK(!is_done(writer));
    bide_close(ends[0]);
    wrote = await(writer);
    CHECK(wrote > 0 && wrote < 1 << 20);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_write(ends[1], "x", 1), -EPIPE);
    bide_close(ends[1]);
    return 0;
}

/* SIGPIPE as the program has it: 0 deadly, 1 blocked, 2 blocked and pending, 3 ignored. */
static void lose_reader_with(int disposition, bool is_old_kernel)
{
    sigset_t set, seen;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(disposition == 1 || disposition == 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    if (disposition == 2)
        raise(SIGPIPE);
    signal(SIGPIPE, disposition == 3 ? SIG_IGN : SIG_DFL);
    CHECK_EQ(run(loses_reader, &is_old_kernel), 0);
    sigpending(&seen);
    CHECK_EQ(sigismember(&seen, SIGPIPE), disposition == 2);
    sigprocmask(SIG_BLOCK, NULL, &seen);
    CHECK_EQ(sigismember(&seen, SIGPIPE), disposition == 1 || disposition == 2);
}

/*
 * Goal:   a pipe that nobody reads any more is -EPIPE: no signal is raised or left pending, and the
 *         mask is the program's.
 * Method: close the reader under a parked writer, on this kernel and as on one without the flag;
 *         with SIGPIPE deadly, blocked, ignored.
 */
TEST(pipe, reader_gone_is_epipe_and_no_signal)
{
    for (int old = 0; old <= 1; old++)
        for (int disposition = 0; disposition <= 3; disposition++)
            if (disposition != 2)
                lose_reader_with(disposition, old);
}

/*
 * Goal:   a SIGPIPE that was pending before stays the program's.
 * Method: as above, with one raised and blocked; in a case of its own, as it stays pending.
 */
TEST(pipe, pending_sigpipe_is_left_alone)
{
    lose_reader_with(2, false);
    lose_reader_with(2, true);
}

static int writer_leaves(void *arg)
{
    bide_stream *ends[2];

    for (int how = 0; how < 3; how++) {
        CHECK_EQ(bide_pipe(ends), 0);
        if (how == 2)
            CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
        task(ssize_t) reader = spawn(reads, ends[0]);
        if (*(bool *)arg)
            bide_sleep(BIDE_MS(1)); /* it sleeps when the end comes */
        if (how == 0)
            CHECK_EQ(bide_shutdown_write(ends[1]), 0);
        bide_close(ends[1]);
        CHECK_EQ(await(reader), how == 2 ? 3 : 0);
        CHECK_EQ(reads(ends[0]), 0);
        bide_close(ends[0]);
    }
    return 0;
}

/*
 * Goal:   a hang-up alone wakes the reader, and what was written before it is read first.
 * Method: shut down or close the writer, before and while the reader sleeps.
 */
TEST(pipe, hang_up_is_the_end)
{
    bool parked[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(writer_leaves, &parked[i]), 0);
}

static int shuts_down(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
    CHECK_EQ(bide_shutdown_write(ends[1]), 0);
    CHECK_EQ(bide_shutdown_write(ends[1]), 0);
    CHECK_EQ(bide_write(ends[1], "x", 1), -EPIPE);
    CHECK_EQ(bide_stream_fd(ends[1]), -EBADF);
    CHECK_EQ(reads(ends[0]), 3);
    CHECK_EQ(reads(ends[0]), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);

    CHECK_EQ(bide_pipe(ends), 0);
    task(ssize_t) writer = spawn(writes, ends[1], 1 << 20);
    bide_sleep(BIDE_MS(1));
    CHECK(!is_done(writer));
    CHECK_EQ(bide_shutdown_write(ends[1]), 0);
    ssize_t wrote = await(writer);
    CHECK(wrote > 0 && wrote < 1 << 20);
    CHECK_EQ(bide_write(ends[1], "x", 1), -EPIPE);
    CHECK_EQ(drain(ends[0]), (size_t)wrote);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   shutting down writing closes the write end: the reader sees the end, writes are -EPIPE,
 *         and a writer that waits tells what it has written.
 * Method: with and without a parked writer; then read all.
 */
TEST(pipe, shutdown_write_is_the_end)
{
    CHECK_EQ(run(shuts_down, NULL), 0);
}

static int closes_under_waiters(void *arg)
{
    bide_stream *in[2], *out[2];
    bide_stats before, after;

    (void)arg;
    CHECK_EQ(bide_pipe(in), 0);
    CHECK_EQ(bide_pipe(out), 0);
    task(ssize_t) reader = spawn(reads, in[0]);
    task(ssize_t) writer = spawn(writes, out[1], 1 << 20);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK(!is_done(reader) && !is_done(writer));
    CHECK_EQ(reads(in[0]), -EBUSY);
    CHECK_EQ(bide_write(out[1], "x", 1), -EBUSY);
    bide_loop_stats(&before);
    bide_close(in[0]);
    bide_close(out[1]);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(reader) && is_done(writer));
    CHECK_EQ(after.sleeps, before.sleeps); /* within the tick */
    CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(await(writer), -EBADF);
    bide_close(in[1]);
    bide_close(out[0]);
    return 0;
}

/*
 * Goal:   closing wakes reader and writer with -EBADF at once; a second of either is -EBUSY.
 * Method: park both for 20 ms, close, yield once.
 */
TEST(pipe, close_wakes_waiters_with_ebadf)
{
    CHECK_EQ(run(closes_under_waiters, NULL), 0);
}

static int cancels_in_turn(void *arg)
{
    bide_stream *ends[2];
    ssize_t wrote;
    char byte;

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(bide_read(ends[0], &byte, 1), -ETIMEDOUT);
    task(ssize_t) reader = spawn(reads, ends[0]);
    bide_sleep(BIDE_MS(1));
    cancel(reader);
    CHECK_EQ(await(reader), -ECANCELED);
    task(ssize_t) writer = spawn(writes, ends[1], 1 << 20);
    bide_sleep(BIDE_MS(1));
    cancel(writer);
    wrote = await(writer);
    CHECK(wrote > 0 && wrote < 1 << 20);
    bide_close(ends[1]);
    CHECK_EQ(drain(ends[0]), (size_t)wrote);
    bide_close(ends[0]);
    return 0;
}

/*
 * Goal:   a cancelled read takes nothing, a cancelled write tells what it has written.
 * Method: cancel and time out both while they wait, then count what is in the pipe.
 */
TEST(pipe, cancel_loses_no_byte)
{
    CHECK_EQ(run(cancels_in_turn, NULL), 0);
}

static int interrupted(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    bide__fault_fail(BIDE__CALL_WRITE, 1, 3, -EINTR);
    CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
    bide__fault_fail(BIDE__CALL_READ, 1, 3, -EINTR);
    CHECK_EQ(reads(ends[0]), 3);
    CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
    bide_sleep(BIDE_MS(1)); /* the short read has made the next one wait */
    bide__fault_fail(BIDE__CALL_READ, 1, 1, -EIO);
    CHECK_EQ(reads(ends[0]), -EIO);
    bide__fault_fail(BIDE__CALL_WRITE, 1, 1, -EIO);
    CHECK_EQ(bide_write(ends[1], "abc", 3), -EIO);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   an interrupted call is made again; any other error is the caller's.
 * Method: EINTR three times, EIO once.
 */
TEST(pipe, interrupted_calls_are_made_again)
{
    CHECK_EQ(run(interrupted, NULL), 0);
}

static int fails_in_turn(void *arg)
{
    const enum bide__call calls[] = {BIDE__CALL_PIPE, BIDE__CALL_ALLOC, BIDE__CALL_EPOLL_CTL,
                                     BIDE__CALL_FILE};
    bide_stream *ends[2], *untouched = (bide_stream *)&ends;

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0); /* the table of descriptors is there */
    bide_close(ends[0]);
    bide_close(ends[1]);
    for (int i = 0; i < 4; i++) {
        int before = test_open_fds(), err = -1;
        for (uint64_t nth = 1; err < 0; nth++) {
            ends[0] = ends[1] = untouched;
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, i == 0 ? -EMFILE : -ENOMEM);
            err = bide_pipe(ends);
            CHECK(err == 0 || err == (i == 0 ? -EMFILE : -ENOMEM));
            CHECK(err == 0 || (ends[0] == untouched && ends[1] == untouched));
            CHECK(err == 0 || test_open_fds() == before);
        }
        CHECK(bide__fault_count(calls[i]) > 0);
        bide_close(ends[0]);
        bide_close(ends[1]);
    }
    return 0;
}

/*
 * Goal:   a pipe that cannot be made leaves nothing behind.
 * Method: every system call and allocation fails in turn; descriptors counted.
 */
TEST(pipe, failed_pipe_leaves_nothing)
{
    CHECK_EQ(run(fails_in_turn, NULL), 0);
}

static int without_kernel(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_pipe(ends), -EOPNOTSUPP);
    return 0;
}

/*
 * Goal:   on a virtual clock there are no descriptors.
 * Method: ask.
 */
TEST(pipe, virtual_clock_has_none)
{
    CHECK_EQ(bide_test_run(without_kernel, NULL, 0, NULL), 0);
}

static int closed_behind_our_back(void *arg)
{
    bide_stream *ends[2];
    int number;

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    number = bide_stream_fd(ends[0]);
    task(ssize_t) reader = spawn(reads, ends[0]);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(close(number), 0);
    with_timeout (BIDE_SEC(20))
        CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(bide_stream_fd(ends[0]), -EBADF);
    bide_close(ends[0]);
    CHECK_EQ(bide_write(ends[1], "x", 1), -EPIPE);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a plain close() of an end's descriptor ends its waits with -EBADF.
 * Method: park a reader and close the number.
 */
TEST(pipe, closed_behind_our_back_is_ebadf)
{
    CHECK_EQ(run(closed_behind_our_back, NULL), 0);
}

static int costs(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_pipe(ends), 0);
    CHECK_EQ(bide_write(ends[1], "x", 1), 1); /* finds out what the kernel knows */
    CHECK_EQ(reads(ends[0]), 1);
    bide__fault_reset();
    for (int i = 0; i < 100; i++) {
        task(ssize_t) reader = spawn(reads, ends[0]);
        bide_yield();
        CHECK_EQ(bide_write(ends[1], "ping", 4), 4);
        CHECK_EQ(await(reader), 4);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_WRITE), 100);
    CHECK_EQ(bide__fault_count(BIDE__CALL_READ), 100);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a message costs one write and one read.
 * Method: a hundred of them to a reader that waits, counted.
 */
TEST(pipe, message_costs_two_calls)
{
    CHECK_EQ(run(costs, NULL), 0);
}
