/* SPDX-License-Identifier: MIT */
/*
 * stream_of_fd.c - streams of descriptors that come from elsewhere: each kind, and its mode.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fault.h"
#include "sides.h"
#include "test.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    bide__fault_reset();
    CHECK_EQ(test_open_fds(), before);
    return result;
}

static int gets_the_same(void *arg)
{
    bide_stream *in, *again, *out, *err;
    char line[8];

    CHECK_EQ(bide_stdin(&in), 0);
    CHECK_EQ(bide_stdout(&out), 0);
    CHECK_EQ(bide_stderr(&err), 0);
    CHECK_EQ(write(*(int *)arg, "one\ntwo\n", 8), 8);
    CHECK_EQ(bide_read_line(in, line, sizeof line), 4);
    CHECK_EQ(bide_stdin(&again), 0);
    CHECK(again == in && in != out && out != err);
    CHECK_EQ(bide_read_line(again, line, sizeof line), 4); /* it was read ahead */
    bide_close(in);
    CHECK_EQ(write(*(int *)arg, "three\n", 6), 6);
    CHECK_EQ(bide_stdin(&again), 0);
    CHECK_EQ(bide_read_line(again, line, sizeof line), 6);
    bide_close(again);
    return 0;
}

/*
 * Goal:   a loop has one standard input, which ends with it; one that was closed is made anew.
 * Method: lines read ahead over two calls, a close, a third; descriptors counted.
 */
TEST(stream_of_fd, loop_has_one_of_each)
{
    struct sides in = make_sides(PIPE, true);

    CHECK_EQ(dup2(in.program, 0), 0);
    CHECK_EQ(run(gets_the_same, &in.other), 0);
    CHECK_EQ(run(gets_the_same, &in.other), 0);
    CHECK(blocks(0) && fcntl(0, F_GETFD) == 0);
}

static int has_none(void *arg)
{
    bide_stream *untouched = (bide_stream *)arg, *in = untouched;

    close(0); /* before, and epoll would have taken the number */
    CHECK_EQ(bide_stdin(&in), -EBADF);
    CHECK(in == untouched);
    return 0;
}

/*
 * Goal:   a program whose standard input is closed is told so.
 * Method: close 0.
 */
TEST(stream_of_fd, closed_input_is_ebadf)
{
    int unused;

    CHECK_EQ(bide_run(has_none, &unused, NULL), 0);
}

static int takes_over(void *arg)
{
    const enum way way = *(enum way *)arg;

    for (int kind = 0; kind < KINDS; kind++) {
        for (int is_nonblocking = 0; is_nonblocking <= 1; is_nonblocking++) {
            struct sides sides = make_sides((enum kind)kind, true);
            int shell = dup(sides.program), number = sides.program;
            bide_stream *stream;
            char line[8];

            CHECK_EQ(fcntl(number, F_SETFD, 0), 0);
            CHECK_EQ(fcntl(number, F_SETFL, is_nonblocking ? O_NONBLOCK : 0), 0);
            bide__fault_reset();
            if (way != OPENS_AGAIN)
                bide__fault_fail(BIDE__CALL_OPEN, 1, UINT64_MAX, -EACCES);
            if (way == POLLS_FIRST && !is_nonblocking)
                bide__fault_fail(BIDE__CALL_READ, 1, 1, -EOPNOTSUPP);
            CHECK_EQ(bide_stream_of_fd(number, &stream), 0);
            CHECK(fcntl(bide_stream_fd(stream), F_GETFD) == FD_CLOEXEC);
            if (is_nonblocking || kind == SOCKETS || way != OPENS_AGAIN)
                CHECK_EQ(bide_stream_fd(stream), number);
            with_timeout (BIDE_MS(2))
                CHECK_EQ(bide_read(stream, line, sizeof line), -ETIMEDOUT);
            CHECK_EQ(write(sides.other, "hello\n", 6), 6);
            CHECK_EQ(bide_read(stream, line, sizeof line), 6);
            if (kind == TERMINAL || kind == SOCKETS) {
                CHECK_EQ(bide_write(stream, "both\n", 5), 5);
                CHECK_EQ(read(sides.other, line, sizeof line), 5);
            } else {
                CHECK_EQ(bide_write(stream, "x", 1), -EBADF);
            }
            CHECK_EQ(!blocks(shell), is_nonblocking);
            bide_close(stream);
            CHECK_EQ(!blocks(shell), is_nonblocking);
            close(shell);
            close(sides.other);
        }
    }
    return 0;
}

/*
 * Goal:   a descriptor that is handed over keeps its mode for whoever else holds a copy.
 * Method: each kind, blocking and not, in each way; read, write, close.
 */
TEST(stream_of_fd, descriptor_keeps_its_mode)
{
    for (enum way way = 0; way < WAYS; way++)
        CHECK_EQ(run(takes_over, &way), 0);
}

static int takes_master(void *arg)
{
    struct sides sides = terminal();
    bide_stream *stream;
    char line[8];
    int before = test_open_fds();

    (void)arg;
    CHECK_EQ(bide_stream_of_fd(sides.other, &stream), 0);
    CHECK_EQ(bide_stream_fd(stream), sides.other); /* not another terminal */
    CHECK_EQ(test_open_fds(), before);
    CHECK_EQ(bide_write(stream, "line\n", 5), 5);
    CHECK_EQ(read(sides.program, line, sizeof line), 5);
    CHECK_EQ(write(sides.program, "reply\n", 6), 6);
    CHECK_EQ(bide_read(stream, line, sizeof line), 6);
    close(sides.program);
    CHECK_EQ(bide_read(stream, line, sizeof line), -EIO);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   the master of a pseudoterminal is served as it is: to open it again would make another.
 * Method: a line each way, then the other side closes.
 */
TEST(stream_of_fd, master_of_a_terminal_is_not_reopened)
{
    CHECK_EQ(run(takes_master, NULL), 0);
}

static int refuses(void *arg)
{
    char path[] = "/tmp/bide-fd-XXXXXX";
    const struct {
        int fd;
        int error;
    } wrong[] = {
        {mkstemp(path), -EPERM},
        {open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EPERM},
        {eventfd(0, EFD_CLOEXEC), -EINVAL},
        {epoll_create1(EPOLL_CLOEXEC), -EINVAL},
        {socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), -EPROTOTYPE},
        {-1, -EBADF},
        {1 << 20, -EBADF},
    };
    bide_stream *stream = (bide_stream *)path;

    (void)arg;
    unlink(path);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(bide_stream_of_fd(wrong[i].fd, &stream), wrong[i].error);
        CHECK(stream == (bide_stream *)path);
        if (wrong[i].error != -EBADF)
            CHECK_EQ(close(wrong[i].fd), 0); /* it stayed ours */
    }
    return 0;
}

/*
 * Goal:   what is no stream is refused, and stays the caller's.
 * Method: a file, a directory, an eventfd, an epoll, a datagram socket, a number that is not open.
 */
TEST(stream_of_fd, what_is_no_stream_is_refused)
{
    CHECK_EQ(run(refuses, NULL), 0);
}

static int without_kernel(void *arg)
{
    bide_stream *stream;

    (void)arg;
    CHECK_EQ(bide_stream_of_fd(0, &stream), -EOPNOTSUPP);
    CHECK_EQ(bide_stdin(&stream), -EOPNOTSUPP);
    CHECK_EQ(bide_stdout(&stream), -EOPNOTSUPP);
    CHECK_EQ(bide_stderr(&stream), -EOPNOTSUPP);
    return 0;
}

/*
 * Goal:   on a virtual clock there are no descriptors.
 * Method: ask for each.
 */
TEST(stream_of_fd, virtual_clock_has_none)
{
    CHECK_EQ(bide_test_run(without_kernel, NULL, 0, NULL), 0);
}

/* Make a stream of descriptor 0, in either way, while calls of a kind fail in turn. */
static int fails_in_turn(void *arg)
{
    const enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_EPOLL_CTL, BIDE__CALL_FILE,
                                     BIDE__CALL_OPEN, BIDE__CALL_SOCKOPT};
    const struct sides *sides = arg;
    const bool blocking = blocks(0);

    for (int moved = 0; moved <= 1; moved++) {
        for (int i = 0; i < 5; i++) {
            uint64_t fired = UINT64_MAX;
            for (uint64_t nth = 1; fired >= nth; nth++) {
                int fd = moved ? fcntl(sides->program, F_DUPFD_CLOEXEC, 3) : 0;
                int before = test_open_fds(), err;
                bide_stream *stream = NULL;
                char line[8];

                bide__fault_reset();
                bide__fault_fail(calls[i], nth, 1, -ENOMEM);
                err = moved ? bide_stream_of_fd(fd, &stream) : bide_stdin(&stream);
                fired = bide__fault_count(calls[i]);
                bide__fault_reset();
                CHECK(err == 0 || err == -ENOMEM);
                if (err < 0) {
                    CHECK(stream == NULL);
                    CHECK_EQ(test_open_fds(), before);
                    if (moved)
                        close(fd);
                    continue;
                }
                CHECK_EQ(write(sides->other, "hello\n", 6), 6);
                CHECK_EQ(bide_read(stream, line, sizeof line), 6); /* it found another way */
                bide_close(stream);
                CHECK_EQ(test_open_fds(), moved ? before - 1 : before);
            }
        }
    }
    CHECK_EQ(blocks(0), blocking);
    return 0;
}

/*
 * Goal:   a stream that cannot be made leaves everything as it was; where there is another way, it
 *         is taken.
 * Method: every call and allocation fails in turn, over each kind, borrowed and moved.
 */
TEST(stream_of_fd, failures_leave_all_as_it_was)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct sides sides = make_sides((enum kind)kind, true);

        CHECK_EQ(dup2(sides.program, 0), 0);
        CHECK_EQ(run(fails_in_turn, &sides), 0);
        close(sides.program);
        close(sides.other);
    }
}

static int uses_asked_device(void *arg)
{
    bide_stream *stream;
    char byte;

    CHECK_EQ(bide_stream_of_fd(*(int *)arg, &stream), 0);
    CHECK_EQ(bide_stream_fd(stream), -EOPNOTSUPP);
    bide__fault_fail(BIDE__CALL_READ, 1, 3, -EINTR);
    CHECK_EQ(bide_read(stream, &byte, 1), 1);
    bide__fault_fail(BIDE__CALL_READ, 1, 1, -EIO);
    CHECK_EQ(bide_read(stream, &byte, 1), -EIO);
    bide__fault_fail(BIDE__CALL_WRITE, 1, 1, -EINTR);
    CHECK_EQ(bide_write(stream, "x", 1), 1);
    bide__fault_fail(BIDE__CALL_WRITE, 1, 1, -ENOSPC);
    CHECK_EQ(bide_write(stream, "x", 1), -ENOSPC);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   a device that epoll refuses is read and written at once; its errors are the caller's.
 * Method: /dev/zero, interrupted and failing.
 */
TEST(stream_of_fd, device_without_readiness_works)
{
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), before = test_open_fds();

    CHECK(zero >= 0);
    CHECK_EQ(bide_run(uses_asked_device, &zero, NULL), 0);
    CHECK_EQ(test_open_fds(), before - 1); /* moved, and closed with the stream */
}
