/* SPDX-License-Identifier: MIT */
/*
 * sys_pipe.h - the calls of descriptors that are no sockets: pipes, terminals, devices.
 */
#ifndef BIDE__BASE_SYS_PIPE_H
#define BIDE__BASE_SYS_PIPE_H

#include <sys/uio.h>

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
 * writev(2) to a pipe, without a SIGPIPE: sys_pipe.c says how. What a test build clips is the first
 * piece.
 */
ssize_t bide__sys_pipe_write(int fd, const struct iovec *pieces, size_t count);

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
