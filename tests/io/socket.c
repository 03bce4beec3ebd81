/* SPDX-License-Identifier: MIT */
/*
 * socket.c - streams over real sockets: what the kernel can do to them, and what they cost.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static async(ssize_t, reads, bide_stream *, in)
{
    char buf[16];

    return bide_read(in, buf, sizeof buf);
}

static async(ssize_t, writes, bide_stream *, out, size_t, bytes)
{
    static const char data[8 << 20];

    return bide_write(out, data, bytes);
}

static int closes_under_waiters(void *arg)
{
    bide_stream *stream;
    bide_stats before, after;
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    task(ssize_t) reader = spawn(reads, stream);
    task(ssize_t) writer = spawn(writes, stream, 8 << 20);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK(!is_done(reader) && !is_done(writer));
    bide_loop_stats(&before);
    bide_close(stream);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(reader) && is_done(writer));
    CHECK_EQ(after.sleeps, before.sleeps); /* within the tick */
    CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(await(writer), -EBADF); /* though some was written: there is no next call */
    close(plain);
    return 0;
}

/*
 * Goal:   closing a stream wakes its reader and writer with -EBADF in the same tick.
 * Method: park both for 20 ms, close, yield once; TCP and Unix.
 */
TEST(socket, close_wakes_waiters_with_ebadf)
{
    int families[] = {AF_INET, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(closes_under_waiters, &families[i]), 0);
}

static int peer_hangs_up(void *arg)
{
    bide_stream *stream;
    int plain;
    char buf[8];
    ssize_t wrote;

    stream_and_socket(*(int *)arg, &stream, &plain);
    task(ssize_t) reader = spawn(reads, stream);
    task(ssize_t) writer = spawn(writes, stream, 8 << 20);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK(!is_done(reader) && !is_done(writer));
    CHECK_EQ(
        setsockopt(plain, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), 0);
    close(plain);
    CHECK(await(reader) <= 0); /* 0 or -ECONNRESET, as the kernel has it; but not for ever */
    wrote = await(writer);
    CHECK(wrote > 0 && wrote < 8 << 20);
    wrote = bide_write(stream, "x", 1);
    CHECK(wrote == -EPIPE || wrote == -ECONNRESET);
    CHECK_EQ(bide_write(stream, "x", 1), -EPIPE); /* and SIGPIPE would have killed us */
    CHECK(bide_read(stream, buf, sizeof buf) <= 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   a hang-up or reset wakes both directions; a write to it is -EPIPE and no signal.
 * Method: park reader and writer, reset the connection from the other side; SIGPIPE is at its
 *         default.
 */
TEST(socket, hang_up_wakes_both_directions)
{
    int families[] = {AF_INET, AF_UNIX};

    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(peer_hangs_up, &families[i]), 0);
}

static int reset_unread(void *arg)
{
    bide_stream *stream;
    int plain;
    bide_stats before, after;
    char byte;

    (void)arg;
    stream_and_socket(AF_INET, &stream, &plain);
    CHECK_EQ(
        setsockopt(plain, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), 0);
    close(plain);
    bide_loop_stats(&before);
    CHECK_EQ(bide_sleep(BIDE_MS(500)), 0);
    bide_loop_stats(&after);
    CHECK(after.polls - before.polls <= 4);
    CHECK_EQ(bide_read(stream, &byte, 1), -ECONNRESET);
    CHECK_EQ(bide_read(stream, &byte, 1), 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   a reset that nobody reads does not make the loop spin.
 * Method: reset, sleep half a second, count polls; the error still is there for the next read.
 */
TEST(socket, reset_with_nobody_reading_is_quiet)
{
    CHECK_EQ(run(reset_unread, NULL), 0);
}

static int data_and_end_together(void *arg)
{
    bide_stream *stream;
    char buf[64];
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    for (int before = 0; before <= 1; before++) {
        if (before) {
            bide_close(stream);
            close(plain);
            stream_and_socket(*(int *)arg, &stream, &plain);
        }
        task(ssize_t) reader = spawn(reads, stream);
        if (before)
            bide_sleep(BIDE_MS(1)); /* the reader sleeps when they come */
        CHECK_EQ(send(plain, "abc", 3, MSG_MORE), 3);
        CHECK_EQ(shutdown(plain, SHUT_WR), 0);
        CHECK_EQ(await(reader), 3);
        with_timeout (BIDE_SEC(10))
            CHECK_EQ(bide_read(stream, buf, sizeof buf), 0);
        CHECK_EQ(bide_write(stream, "still open", 10), 10);
        CHECK_EQ(recv(plain, buf, sizeof buf, 0), 10);
    }
    bide_close(stream);
    close(plain);
    return 0;
}

/*
 * Goal:   the short-read shortcut misses no end of stream that came with the data; the other
 *         direction stays open.
 * Method: data and FIN in one segment, before and while a reader sleeps; counted in sweeps, the
 *         end must come by its own event.
 */
TEST(socket, end_in_the_same_segment_is_seen)
{
    int families[] = {AF_INET, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(data_and_end_together, &families[i]), 0);
}

static int half_closes(void *arg)
{
    bide_stream *stream;
    char buf[16];
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    CHECK_EQ(bide_write(stream, "question", 8), 8);
    CHECK_EQ(bide_shutdown_write(stream), 0);
    CHECK_EQ(bide_write(stream, "x", 1), -EPIPE);
    CHECK_EQ(recv(plain, buf, sizeof buf, MSG_WAITALL), 8);
    CHECK_EQ(recv(plain, buf, sizeof buf, 0), 0);
    task(ssize_t) reader = spawn(reads, stream);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(send(plain, "answer", 6, 0), 6);
    CHECK_EQ(await(reader), 6);
    close(plain);
    CHECK_EQ(bide_read(stream, buf, sizeof buf), 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   reading goes on after writing was shut down.
 * Method: shut down, let the peer see the end and answer.
 */
TEST(socket, reads_go_on_after_shutdown_write)
{
    int families[] = {AF_INET, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(half_closes, &families[i]), 0);
}

static int cancels_partial_write(void *arg)
{
    static char got[1 << 20];
    bide_stream *stream;
    ssize_t wrote, some, counted = 0;
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    task(ssize_t) writer = spawn(writes, stream, 8 << 20);
    bide_sleep(BIDE_MS(20));
    CHECK(!is_done(writer));
    cancel(writer);
    wrote = await(writer);
    CHECK(wrote > 0 && wrote < 8 << 20);
    bide_close(stream);
    while ((some = recv(plain, got, sizeof got, 0)) > 0)
        counted += some;
    CHECK_EQ(counted, wrote);
    close(plain);
    return 0;
}

/*
 * Goal:   a writer parks when the peer does not read, and a cancel tells what was written.
 * Method: 8 MiB into a socket that nobody reads; cancel; then the peer counts.
 */
TEST(socket, canceled_write_tells_what_was_written)
{
    int families[] = {AF_INET, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(cancels_partial_write, &families[i]), 0);
}

/* The number is somebody else's at once: a pipe. */
static int closed_behind_our_back(void *arg)
{
    const bool reused = *(bool *)arg;
    bide_stream *stream;
    int plain, number, pipe_ends[2] = {-1, -1};

    stream_and_socket(AF_UNIX, &stream, &plain);
    number = bide_stream_fd(stream);
    task(ssize_t) reader = spawn(reads, stream);
    CHECK_EQ(bide_sleep(BIDE_MS(1500)), 0); /* later than the first sweep */
    CHECK_EQ(close(number), 0);
    if (reused)
        CHECK_EQ(pipe(pipe_ends), 0);
    with_timeout (BIDE_SEC(20)) {
        CHECK_EQ(await(reader), -EBADF);
    }
    CHECK_EQ(bide_stream_fd(stream), -EBADF);
    CHECK_EQ(bide_write(stream, "x", 1), -EBADF);
    bide_close(stream);
    if (reused)
        CHECK_EQ(write(pipe_ends[1], "x", 1), 1); /* close left it alone */
    close(plain);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}

/*
 * Goal:   a plain close() of a stream's descriptor ends its waits with -EBADF, however late it
 *         comes: no abort, no hang, no harm to the number's next owner.
 * Method: park a reader, wait until the loop has nothing to look at, close, with and without a pipe
 *         taking the number.
 */
TEST(socket, closed_behind_our_back_is_ebadf)
{
    bool reused[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(closed_behind_our_back, &reused[i]), 0);
}

static int number_is_ours_again(void *arg)
{
    bide_stream *old, *fresh;
    bide_stats before, after;
    int plain, other[2], number;

    (void)arg;
    stream_and_socket(AF_UNIX, &old, &plain);
    number = bide_stream_fd(old);
    task(ssize_t) reader = spawn(reads, old);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(close(number), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    CHECK_EQ(other[0], number);
    bide_loop_stats(&before);
    fresh = stream_of(number);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(reader));
    CHECK_EQ(after.sleeps, before.sleeps);
    CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(bide_write(old, "x", 1), -EBADF);
    bide_close(old); /* must not close the fresh one */
    CHECK_EQ(send(other[1], "abc", 3, 0), 3);
    CHECK_EQ(reads(fresh), 3);
    bide_close(fresh);
    close(other[1]);
    close(plain);
    return 0;
}

/*
 * Goal:   when the number becomes a stream of ours again, the former owner's waiter wakes at once,
 *         reads none of the new one's bytes and closes none of its descriptors.
 * Method: close behind our back, make a stream of the same number.
 */
TEST(socket, number_reused_by_a_stream_wakes_the_former)
{
    CHECK_EQ(run(number_is_ours_again, NULL), 0);
}

/* The polls that twenty short sleeps take, with the peer writing before each or not. */
static uint64_t polls_of_sleeps(int plain, bool writes_too)
{
    bide_stats before, after;

    bide_loop_stats(&before);
    for (int i = 0; i < 20; i++) {
        if (writes_too)
            CHECK_EQ(send(plain, "x", 1, 0), 1);
        CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    }
    bide_loop_stats(&after);
    return after.polls - before.polls;
}

static int duplicate_lives_on(void *arg)
{
    bide_stream *stream;
    int plain, copy;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    copy = dup(bide_stream_fd(stream));
    bide_close(stream);
    bide_sleep(BIDE_MS(1));
    CHECK(polls_of_sleeps(plain, true) <= polls_of_sleeps(plain, false) + 5);
    close(copy);
    close(plain);
    return 0;
}

/*
 * Goal:   a closed stream's duplicate wakes the loop no more.
 * Method: dup, close, then let the peer write: no more polls than without.
 */
TEST(socket, duplicate_does_not_wake_the_loop)
{
    CHECK_EQ(run(duplicate_lives_on, NULL), 0);
}

static int stands_idle(void *arg)
{
    bide_stream *streams[10];
    bide_task(ssize_t) readers[10];
    int plain[10];
    uint64_t waits;
    bide_stats before, after;

    (void)arg;
    for (int i = 0; i < 10; i++) {
        stream_and_socket(AF_UNIX, &streams[i], &plain[i]);
        readers[i] = spawn(reads, streams[i]);
    }
    bide_yield();
    bide_loop_stats(&before);
    bide__fault_reset();
    CHECK_EQ(bide_sleep(BIDE_SEC(3)), 0);
    waits = bide__fault_count(BIDE__CALL_EPOLL_WAIT) + bide__fault_count(BIDE__CALL_EPOLL_PWAIT2);
    bide_loop_stats(&after);
    CHECK(waits <= 8); /* the sweep, what it makes the kernel tell again, and the timer */
    CHECK(after.polls - before.polls <= 8);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_CTL) <= 10);
    CHECK_EQ(bide__fault_count(BIDE__CALL_RECV), 0); /* what the kernel told again woke nobody */
    for (int i = 0; i < 10; i++) {
        close(plain[i]);
        CHECK_EQ(await(readers[i]), 0);
        bide_close(streams[i]);
    }
    return 0;
}

/*
 * Goal:   an idle loop uses no processor: beyond one sweep nothing is polled.
 * Method: ten parked readers, three seconds, system calls counted.
 */
TEST(socket, idle_loop_does_not_poll)
{
    CHECK_EQ(run(stands_idle, NULL), 0);
}

static int lives_once(void *arg)
{
    const bide_scope never = BIDE_SCOPE_INIT;
    bide_stream *stream;
    int plain;
    char buf[64];

    (void)arg;
    (void)never;
    bide__fault_reset();
    stream_and_socket(AF_INET, &stream, &plain);
    for (int i = 0; i < 100; i++) {
        task(ssize_t) reader = spawn(reads, stream);
        bide_yield();
        CHECK_EQ(send(plain, "ping", 4, 0), 4);
        CHECK_EQ(await(reader), 4);
        CHECK_EQ(bide_write(stream, "pong", 4), 4);
        CHECK_EQ(recv(plain, buf, sizeof buf, 0), 4);
    }
    with_timeout (BIDE_MS(1))
        CHECK_EQ(bide_read(stream, buf, 1), -ETIMEDOUT);
    bide_close(stream);
    close(plain);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 2);
    return 0;
}

/*
 * Goal:   a descriptor is registered once for its life.
 * Method: a hundred messages, a time-out, a close: one ADD and one DEL.
 */
TEST(socket, one_registration_for_life)
{
    CHECK_EQ(run(lives_once, NULL), 0);
}

static int sets_options(void *arg)
{
    bide_stream *stream;
    int plain, fd, value;
    socklen_t bytes = sizeof value;

    (void)arg;
    stream_and_socket(AF_INET, &stream, &plain);
    fd = bide_stream_fd(stream);
    for (int on = 1; on >= 0; on--) {
        CHECK_EQ(bide_stream_set_nodelay(stream, on), 0);
        CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &bytes), 0);
        CHECK_EQ(value != 0, on);
    }
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_SEC(7), BIDE_MS(2001), 4), 0);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &bytes), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &bytes), 0);
    CHECK_EQ(value, 7);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &value, &bytes), 0);
    CHECK_EQ(value, 3);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &value, &bytes), 0);
    CHECK_EQ(value, 4);
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_FOREVER, BIDE_FOREVER, 1), 0);
    CHECK_EQ(bide_stream_set_keepalive(stream, -1, BIDE_SEC(1), 1), -EINVAL);
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_SEC(1), 0, 1), -EINVAL);
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_SEC(1), BIDE_SEC(1), 0), -EINVAL);
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_SEC(1), BIDE_SEC(1), 128), -EINVAL);
    CHECK_EQ(bide_stream_set_keepalive(stream, 0, 0, 0), 0);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &bytes), 0);
    CHECK_EQ(value, 0);
    bide_close(stream);
    close(plain);

    stream_and_socket(AF_UNIX, &stream, &plain);
    CHECK_EQ(bide_stream_set_nodelay(stream, true), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_set_keepalive(stream, BIDE_SEC(1), BIDE_SEC(1), 1), -EOPNOTSUPP);
    bide_close(stream);
    close(plain);
    return 0;
}

/*
 * Goal:   options reach the kernel, in its units; a stream that has none says so.
 * Method: set, and read back with getsockopt.
 */
TEST(socket, options_are_read_back)
{
    CHECK_EQ(run(sets_options, NULL), 0);
}
