/* SPDX-License-Identifier: MIT */
/*
 * fds.h - what the tests of descriptor sets share: pipes, and the next event or its absence.
 */
#ifndef BIDE_TESTS_REACTOR_FDS_H
#define BIDE_TESTS_REACTOR_FDS_H

#include <bide.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

static inline int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static inline void make_pipe(int ends[2])
{
    CHECK_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static inline void put(int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
}

static inline void get(int fd)
{
    char byte;

    CHECK_EQ(read(fd, &byte, 1), 1);
}

static inline void close_both(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

/* What the next is, which has to be there at once. */
static inline int next_of(bide_fds *fds, int *fd)
{
    int events = -EAGAIN;

    with_timeout (BIDE_SEC(5))
        events = bide_fds_next(fds, fd);
    return events;
}

/* Nothing is ready, and nothing comes. */
static inline bool is_quiet(bide_fds *fds)
{
    int fd = -7, events = 0;

    with_timeout (BIDE_MS(5))
        events = bide_fds_next(fds, &fd);
    CHECK_EQ(fd, -7);
    return events == -ETIMEDOUT;
}

/* So many inner and outer polls happened during 50 ms of waiting. */
static inline uint64_t polls_while_quiet(bide_fds *fds)
{
    bide_stats before, after;
    int fd, err = 0;

    bide_loop_stats(&before);
    bide__fault_reset();
    with_timeout (BIDE_MS(50))
        err = bide_fds_next(fds, &fd);
    CHECK_EQ(err, -ETIMEDOUT);
    bide_loop_stats(&after);
    return bide__fault_count(BIDE__CALL_EPOLL_WAIT) + after.polls - before.polls;
}

#endif
