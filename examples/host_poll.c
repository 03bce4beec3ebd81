/* SPDX-License-Identifier: MIT */
/*
 * host_poll.c - a program with a poll() loop and a timer of its own, which steps Bide's loop
 * besides.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host_tasks.h"

/* What poll takes: rounded up, and no more than it can count. */
static int milliseconds(bide_time ns)
{
    bide_time ms = ns / BIDE_MS(1) + (ns % BIDE_MS(1) > 0);

    return ns == BIDE_FOREVER ? -1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Poll what the program polls anyway, and the loop's descriptor, for no longer than it allows. */
static int run(bide_loop *loop, int ticker, struct host_tasks *tasks)
{
    struct pollfd fds[] = {
        {.fd = bide_loop_fd(loop), .events = POLLIN},
        {.fd = ticker, .events = POLLIN},
    };

    for (;;) {
        uint64_t ticks;

        if (poll(fds, 2, milliseconds(bide_loop_next_timeout(loop))) < 0 && errno != EINTR)
            return -errno;
        if (fds[1].revents != 0 && read(ticker, &ticks, sizeof ticks) > 0)
            host_ticked(tasks, loop);
        if (fds[0].revents != 0 || bide_loop_next_timeout(loop) == 0) {
            tasks->steps++;
            if (bide_loop_step(loop, 0) == 0)
                return 0; /* every task has ended */
        }
    }
}

int main(void)
{
    struct itimerspec every = {{.tv_nsec = 5000000}, {.tv_nsec = 5000000}};
    struct host_tasks tasks = {0};
    int ticker = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), result;
    bide_loop *loop;

    if (ticker < 0 || timerfd_settime(ticker, 0, &every, NULL) < 0 ||
        bide_loop_open(host_first_task, &tasks, NULL, &loop) < 0)
        return 1;
    run(loop, ticker, &tasks);
    result = bide_loop_close(loop);
    close(ticker);
    return host_verdict("poll", &tasks, result);
}
