/* SPDX-License-Identifier: MIT */
/*
 * sys_pipe.h - the calls of descriptors that are no sockets: pipes, terminals, devices.
 */
#ifndef BIDE__BASE_SYS_PIPE_H
#define BIDE__BASE_SYS_PIPE_H

#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

#include "base/sys.h"

/* Both ends non-blocking. */
static inline int bide__sys_pipe(int ends[2])
{
    BIDE__FAULT(BIDE__CALL_PIPE);
    return bide__sys_result(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
}

/* F_GETFL: the mode of the open file description, or a negative errno. */
static inline int bide__sys_mode(int fd)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(fcntl(fd, F_GETFL));
}

/* How many bytes to ask for at once, as bide__sys_recv_most: a short read must not lie. */
static inline size_t bide__sys_read_most(size_t bytes)
{
    return BIDE__FAULT_CLIP(BIDE__CALL_READ, bytes);
}

static inline ssize_t bide__sys_read(int fd, void *buf, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_READ);
    ssize_t got = read(fd, buf, bytes);
    return got < 0 ? -errno : got;
}

static inline ssize_t bide__sys_writev(int fd, const struct iovec *pieces, size_t count)
{
    BIDE__FAULT(BIDE__CALL_WRITE);
    ssize_t wrote = writev(fd, pieces, (int)count);
    return wrote < 0 ? -errno : wrote;
}

/*
 * The same without waiting, whatever the description's mode (RWF_NOWAIT): -EOPNOTSUPP where the
 * kernel, or this kind of file, knows no such thing.
 */
static inline ssize_t bide__sys_read_nowait(int fd, void *buf, size_t bytes)
{
#if defined SYS_preadv2 && defined RWF_NOWAIT
    struct iovec piece = {.iov_base = buf, .iov_len = bytes};

    BIDE__FAULT(BIDE__CALL_READ);
    /* By number, as older C libraries lack it; an offset of -1 in both halves is none. */
    ssize_t got = syscall(SYS_preadv2, fd, &piece, 1L, -1L, -1L, RWF_NOWAIT);
    return got >= 0 ? got : errno == ENOSYS || errno == EPERM ? -EOPNOTSUPP : -errno;
#else
    (void)fd, (void)buf, (void)bytes;
    return -EOPNOTSUPP;
#endif
}

static inline ssize_t bide__sys_write_nowait(int fd, const struct iovec *pieces, size_t count)
{
#if defined SYS_pwritev2 && defined RWF_NOWAIT
    BIDE__FAULT(BIDE__CALL_WRITE);
    ssize_t wrote = syscall(SYS_pwritev2, fd, pieces, count, -1L, -1L, RWF_NOWAIT);
    return wrote >= 0 ? wrote : errno == ENOSYS || errno == EPERM ? -EOPNOTSUPP : -errno;
#else
    (void)fd, (void)pieces, (void)count;
    return -EOPNOTSUPP;
#endif
}

/* 1 when a call of that direction (POLLIN, POLLOUT) would not wait, 0, or a negative errno. */
static inline int bide__sys_is_ready(int fd, short events)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(poll(&(struct pollfd){.fd = fd, .events = events}, 1, 0));
}

/* SO_TYPE: SOCK_STREAM, ... */
static inline int bide__sys_socket_type(int fd)
{
    int type;
    socklen_t bytes = sizeof type;

    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    int result = bide__sys_result(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes));
    return result < 0 ? result : type;
}

/* A number of our own for somebody else's open file description. */
static inline int bide__sys_duplicate(int fd)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static inline int bide__sys_set_cloexec(int fd)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

/*
 * A terminal, but not the master of a pseudoterminal: to open that again makes another terminal
 * (pts(4)).
 */
static inline bool bide__sys_is_terminal(int fd)
{
    struct termios modes;
    unsigned number;

    return tcgetattr(fd, &modes) == 0 && ioctl(fd, TIOCGPTN, &number) < 0;
}

/* Open what a descriptor refers to once more, for an open file description of our own (proc(5)). */
static inline int bide__sys_reopen(int fd, int access)
{
    char path[40];

    BIDE__FAULT(BIDE__CALL_OPEN);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return bide__sys_result(open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
}

/*
 * writev(2) to a pipe, without a SIGPIPE: sys_pipe.c says how. What a test build clips is the first
 * piece.
 */
ssize_t bide__sys_pipe_write(int fd, const struct iovec *pieces, size_t count);

/*
 * Move bytes to or from a pipe within the kernel. The pipe does not wait; whether the other side
 * does, its mode says.
 */
static inline ssize_t bide__sys_splice(int from, int to, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_SPLICE);
    ssize_t moved = splice(from, NULL, to, NULL, BIDE__FAULT_CLIP(BIDE__CALL_SPLICE, bytes),
                           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    return moved < 0 ? -errno : moved;
}

/*
 * Between the two no SIGPIPE reaches the program that a call of this thread raises; and none that
 * others sent is lost. The thread must not switch in between.
 */
struct bide__sigpipe {
    bool was_blocked; /* by the program */
    bool was_pending; /* then: ours and its own are one */
};

void bide__sigpipe_hold(struct bide__sigpipe *held);

/* `is_raised`: a call in between said -EPIPE. */
void bide__sigpipe_release(const struct bide__sigpipe *held, bool is_raised);

#endif
