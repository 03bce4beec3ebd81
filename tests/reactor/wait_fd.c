/* SPDX-License-Identifier: MIT */
/*
 * wait_fd.c - waiting for descriptors that are not ours, whatever their owners do to them.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

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

/* How many descriptors epoll has of ours. */
static uint32_t registered(void)
{
    return bide__epoll_of(bide__loop_here)->registered;
}

static async(int, waits, int, fd, int, events)
{
    return bide_wait_fd(fd, events);
}

static int waits_for_pipe(void *arg)
{
    int ends[2];
    char full[65536] = {0};

    (void)arg;
    CHECK_EQ(pipe2(ends, O_NONBLOCK), 0);
    bide__fault_reset();
    CHECK_EQ(bide_wait_fd(ends[1], BIDE_WRITE), BIDE_WRITE); /* ready already */
    CHECK_EQ(bide_wait_fd(ends[1], BIDE_READ | BIDE_WRITE), BIDE_WRITE);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 4); /* an ADD and a DEL each */
    task(int) reader = spawn(waits, ends[0], BIDE_READ);
    bide_yield();
    CHECK_EQ(registered(), 1);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(await(reader), BIDE_READ);
    CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ), BIDE_READ); /* still: it is a level */
    CHECK_EQ(registered(), 0);

    CHECK_EQ(write(ends[1], full, sizeof full), 61440); /* 15 pages beside the first */
    task(int) writer = spawn(waits, ends[1], BIDE_WRITE);
    bide_sleep(BIDE_MS(1));
    CHECK(!is_done(writer));
    close(ends[0]); /* nobody reads any more: ERR, and nothing else */
    CHECK_EQ(await(writer), BIDE_WRITE);
    close(ends[1]);

    CHECK_EQ(pipe2(ends, O_NONBLOCK), 0);
    reader = spawn(waits, ends[0], BIDE_READ);
    bide_yield();
    close(ends[1]); /* nobody writes any more: HUP, and nothing else */
    CHECK_EQ(await(reader), BIDE_READ);
    close(ends[0]);
    CHECK_EQ(registered(), 0);
    return 0;
}

/*
 * Goal:   a pipe is waited for in each direction; HUP alone and ERR alone wake; nothing stays
 *         registered.
 * Method: write, fill, close either end, counting registrations.
 */
TEST(wait_fd, pipe_in_each_direction)
{
    CHECK_EQ(run(waits_for_pipe, NULL), 0);
}

static int waits_both_ways(void *arg)
{
    int ends[2], one;

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    while (send(ends[0], "0123456789abcdef", 16, 0) > 0)
        ;
    task(int) reader = spawn(waits, ends[0], BIDE_READ);
    task(int) writer = spawn(waits, ends[0], BIDE_WRITE);
    bide_yield();
    CHECK_EQ(registered(), 1);
    CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ), -EBUSY);
    CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ | BIDE_WRITE), -EBUSY);
    CHECK_EQ(send(ends[1], "x", 1, 0), 1);
    CHECK_EQ(await(reader), BIDE_READ);
    CHECK(!is_done(writer));
    CHECK_EQ(registered(), 1);

    task(int) again = spawn(waits, ends[0], BIDE_READ); /* joins the writer */
    CHECK_EQ(await(again), BIDE_READ);
    again = spawn(waits, ends[0], BIDE_READ);
    cancel(again); /* leaves before it has begun */
    CHECK_EQ(await(again), -ECANCELED);
    CHECK(!is_done(writer));
    for (char buf[4096]; recv(ends[1], buf, sizeof buf, 0) > 0;)
        ;
    CHECK_EQ(await(writer), BIDE_WRITE);
    CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ | BIDE_WRITE), BIDE_READ | BIDE_WRITE);
    CHECK_EQ(registered(), 0);

    one = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(bide_wait_fd(one, BIDE_READ | BIDE_WRITE), BIDE_WRITE);
    task(int) counter = spawn(waits, one, BIDE_READ);
    bide_yield();
    CHECK_EQ(write(one, &(uint64_t){1}, 8), 8);
    CHECK_EQ(await(counter), BIDE_READ);
    close(one);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   one task may wait to read while another waits to write, or one for both; a second one in
 *         a direction gets -EBUSY; each is woken by its own event.
 * Method: a full socket; wake the reader, join again, cancel, then make room; an eventfd.
 */
TEST(wait_fd, both_directions)
{
    CHECK_EQ(run(waits_both_ways, NULL), 0);
}

static int waits_badly(void *arg)
{
    int fd = open("/dev/null", O_RDWR), ends[2];
    bide_scope scope = BIDE_SCOPE_INIT;
    FILE *file = tmpfile();

    (void)arg;
    CHECK_EQ(bide_wait_fd(fileno(file), BIDE_READ), BIDE_READ); /* a regular file */
    CHECK_EQ(bide_wait_fd(fileno(file), BIDE_READ | BIDE_WRITE), BIDE_READ | BIDE_WRITE);
    fclose(file);
    CHECK_EQ(bide_wait_fd(fd, 0), -EINVAL);
    CHECK_EQ(bide_wait_fd(fd, 4), -EINVAL);
    CHECK_EQ(bide_wait_fd(fd, BIDE_READ | 8), -EINVAL);
    close(fd);
    CHECK_EQ(bide_wait_fd(fd, BIDE_READ), -EBADF);
    CHECK_EQ(bide_wait_fd(-1, BIDE_READ), -EBADF);
    CHECK_EQ(bide_wait_fd(100000, BIDE_READ), -EBADF);

    CHECK_EQ(pipe(ends), 0);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ), -ETIMEDOUT);
    CHECK_EQ(registered(), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope)
        CHECK_EQ(bide_wait_fd(ends[1], BIDE_WRITE), -ECANCELED);
    task(int) waiter = spawn(waits, ends[0], BIDE_READ);
    bide_yield();
    cancel(waiter);
    CHECK_EQ(await(waiter), -ECANCELED);
    CHECK_EQ(registered(), 0);
    bide__fault_fail(BIDE__CALL_EPOLL_CTL, 1, 1, -ENOSPC);
    CHECK_EQ(bide_wait_fd(ends[1], BIDE_WRITE), -ENOSPC);
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(dup2(ends[1], 900), 900); /* in another row of the table */
    CHECK_EQ(bide_wait_fd(900, BIDE_WRITE), -ENOMEM);
    close(900);
    bide__fault_reset();
    CHECK_EQ(bide_wait_fd(INT_MAX, BIDE_WRITE), -EBADF);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0); /* absurd numbers make no table grow */
    CHECK_EQ(bide_wait_fd(ends[1], BIDE_WRITE), BIDE_WRITE);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   what cannot be waited for, and what ends a wait early, has its error and leaves nothing
 *         registered.
 * Method: regular file, closed, absurd, time-out, cancel, no memory.
 */
TEST(wait_fd, errors_leave_nothing_registered)
{
    CHECK_EQ(run(waits_badly, NULL), 0);
}

enum closing { LATE, REUSED, REUSED_BY_STREAM, REUSED_BY_WAIT, OTHER_WAITS };

static int is_closed_behind_our_back(void *arg)
{
    const enum closing how = *(enum closing *)arg;
    int ends[2], other[2];
    bide_stream *stream = NULL;
    bide_stats before, after;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    task(int) waiter = spawn(waits, ends[0], BIDE_READ);
    bide_sleep(how == LATE ? BIDE_MS(2500) : BIDE_MS(1));
    if (how == LATE)
        close(ends[0]);
    else
        CHECK_EQ(dup2(other[0], ends[0]), ends[0]);
    bide_loop_stats(&before);
    if (how == REUSED_BY_STREAM)
        stream = stream_of(ends[0]);
    if (how == REUSED_BY_WAIT)
        CHECK_EQ(bide_wait_fd(ends[0], BIDE_WRITE), BIDE_WRITE);
    if (how == OTHER_WAITS)
        CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ | BIDE_WRITE), BIDE_WRITE);
    if (how >= REUSED_BY_STREAM) {
        bide_yield();
        bide_loop_stats(&after);
        CHECK(is_done(waiter));
        CHECK(after.sleeps - before.sleeps <= 2);
    }
    with_timeout (BIDE_SEC(10))
        CHECK_EQ(await(waiter), -EBADF);
    if (stream != NULL) {
        char byte;
        CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ), -EBUSY);
        CHECK_EQ(send(other[1], "y", 1, 0), 1);
        CHECK_EQ(bide_read(stream, &byte, 1), 1);
        bide_close(stream);
    } else if (how != LATE) {
        CHECK_EQ(send(other[1], "y", 1, 0), 1);
        CHECK_EQ(bide_wait_fd(ends[0], BIDE_READ), BIDE_READ);
        close(ends[0]);
    }
    CHECK_EQ(registered(), 0);
    close(ends[1]);
    close(other[0]);
    close(other[1]);
    return 0;
}

/*
 * Goal:   a number that is closed under a waiter ends the wait with -EBADF: within seconds by the
 *         sweep, at once when a stream or another wait of ours gets the number; the new owner is
 *         served.
 * Method: close late, when the loop has long been idle; replace the descriptor by dup2 and leave
 *         it, make a stream of it, or wait for it.
 */
TEST(wait_fd, closed_behind_our_back_is_ebadf)
{
    enum closing ways[] = {LATE, REUSED, REUSED_BY_STREAM, REUSED_BY_WAIT, OTHER_WAITS};

    for (int i = 0; i < 5; i++)
        CHECK_EQ(run(is_closed_behind_our_back, &ways[i]), 0);
}

static int stream_is_closed_behind_our_back(void *arg)
{
    bide_stream *stream;
    int plain, number;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    number = bide_stream_fd(stream);
    CHECK_EQ(bide_wait_fd(number, BIDE_WRITE), -EBUSY);
    CHECK_EQ(dup2(plain, number), number); /* the number is a foreign library's now */
    CHECK_EQ(bide_wait_fd(number, BIDE_WRITE), BIDE_WRITE);
    CHECK_EQ(bide_write(stream, "x", 1), -EBADF);
    bide_close(stream);
    CHECK_EQ(close(number), 0); /* still the foreign library's */
    close(plain);
    return 0;
}

/*
 * Goal:   a stream that lost its number to somebody else is no obstacle to waiting for it.
 * Method: replace a stream's descriptor by dup2, wait for the number, close the stream.
 */
TEST(wait_fd, number_of_a_lost_stream_is_free)
{
    CHECK_EQ(run(stream_is_closed_behind_our_back, NULL), 0);
}

static int cancels_and_reopens(void *arg)
{
    const long rounds = *(long *)arg;
    int open = test_open_fds();

    for (long i = 0; i < rounds; i++) {
        int ends[2];
        CHECK_EQ(pipe(ends), 0);
        task(int) waiter = spawn(waits, ends[0], BIDE_READ);
        bide_yield();
        cancel(waiter);
        if (i % 2 == 0) {
            CHECK_EQ(await(waiter), -ECANCELED);
            close(ends[0]);
            close(ends[1]);
        } else { /* closed first, seen later */
            close(ends[0]);
            close(ends[1]);
            CHECK_EQ(await(waiter), -ECANCELED);
        }
    }
    CHECK_EQ(registered(), 0);
    CHECK_EQ(test_open_fds(), open);
    return 0;
}

/*
 * Goal:   a cancelled wait leaves nothing behind that the number's next owner could meet.
 * Method: wait, cancel, close, reopen the same number 100,000 times (a million with
 *         BIDE_TEST_LONG=1), closing before and after the cancelled task has run.
 */
/* timeout: 300 */
TEST(wait_fd, cancel_close_reopen_for_long)
{
    long rounds = getenv("BIDE_TEST_LONG") != NULL ? 1000000 : 100000;

    if (TEST_UNDER_VALGRIND() || TEST_UNDER_SANITIZER() || TEST_UNDER_QEMU())
        rounds /= 20;
    CHECK_EQ(run(cancels_and_reopens, &rounds), 0);
}

static async(int, sleeps_and_reads, int, fd)
{
    char byte;
    int events = bide_wait_fd(fd, BIDE_READ);

    return events == BIDE_READ ? (int)read(fd, &byte, 1) : events;
}

static int waits_long(void *arg)
{
    int ends[2];
    bide_stats before, after;

    (void)arg;
    CHECK_EQ(pipe(ends), 0);
    task(int) reader = spawn(sleeps_and_reads, ends[0]);
    bide_loop_stats(&before);
    bide_sleep(BIDE_SEC(3));
    bide_loop_stats(&after);
    CHECK(after.polls - before.polls <= 8);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(await(reader), 1);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   a wait costs nothing while nothing happens, is no deadlock, and works after the sweep.
 * Method: three idle seconds, polls counted, then an event.
 */
TEST(wait_fd, idle_wait_does_not_poll)
{
    CHECK_EQ(run(waits_long, NULL), 0);
}
