/* SPDX-License-Identifier: MIT */
/*
 * processes.h - benchmarks of several processes: a server and its load, on a core each.
 */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

/* The cores of the servers and the load; -1 where there are not two. */
static int bench_server_core = -1, bench_load_core = -1;

static inline void bench_choose_cores(void)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2)
        return;
    for (int core = 0; core < CPU_SETSIZE && bench_load_core < 0; core++) {
        if (!CPU_ISSET((size_t)core, &allowed))
            continue;
        if (bench_server_core < 0)
            bench_server_core = core;
        else
            bench_load_core = core;
    }
}

/* A child that ends with this process, on its core. */
static inline pid_t bench_fork_pinned(int core)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child < 0)
        bench_die("fork");
    if (child > 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)core, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    return 0;
}

static inline void bench_read_all(int fd, void *to, size_t bytes)
{
    if (read(fd, to, bytes) != (ssize_t)bytes)
        bench_die("a process of the benchmark ended");
}

static inline void bench_write_all(int fd, const void *from, size_t bytes)
{
    if (write(fd, from, bytes) != (ssize_t)bytes)
        bench_die("a process of the benchmark ended");
}

/* User and system time of a process. */
static inline double bench_cpu_seconds(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return NAN;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
