/* SPDX-License-Identifier: MIT */
/*
 * workload.h - the main function of a peer's program (bench/peers.h) that is written in C.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { SELECT_CHANNELS = 8, BUFFERED_CAPACITY = 128, SPAWN_BATCH = 1000, GIVE_UP_SECONDS = 120 };

/* Either `run` or `once`. */
struct workload {
    const char *name;
    void (*run)(size_t operations); /* start the threads, do so many operations, join the threads */
    size_t tasks;                   /* of a workload that exists with several numbers of them */
    void (*once)(size_t count);     /* prints its figures itself: bench/fresh.h */
};

/* Written before each run; one that must not count its own beginning or end writes it anew. */
static struct {
    size_t tasks;
    size_t operations; /* that were done */
    double start_ns;
    double end_ns; /* 0: when it returns */
} workload;

/* So many laps that `tasks` threads do about so many operations. */
static inline size_t workload_laps(size_t operations)
{
    size_t laps = operations / workload.tasks;

    if (laps == 0)
        laps = 1;
    workload.operations = laps * workload.tasks;
    return laps;
}

/* How long the timer sleeps that was started as number i of so many: each another part of 1 s. */
static inline double workload_nap_ns(size_t i, size_t count)
{
    return (double)(i * 611953 % count) * 1e9 / (double)count;
}

static inline double workload_ns(const struct workload *of, size_t operations)
{
    workload.tasks = of->tasks;
    workload.operations = operations;
    workload.end_ns = 0;
    workload.start_ns = bench_now_ns();
    of->run(operations);
    if (workload.end_ns == 0)
        workload.end_ns = bench_now_ns();
    return (workload.end_ns - workload.start_ns) / (double)workload.operations;
}

/* The list ends with a NULL name. */
static inline int workload_main(int argc, char **argv, const char *version,
                                const struct workload *workloads)
{
    size_t operations = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    if (argc == 2 && strcmp(argv[1], "version") == 0)
        return printf("%s\n", version) < 0;
    if (operations == 0) {
        fprintf(stderr, "usage: %s version | <workload> <operations>\n", argv[0]);
        return 2;
    }
    alarm(GIVE_UP_SECONDS);
    while (workloads->name != NULL && strcmp(workloads->name, argv[1]) != 0)
        workloads++;
    if (workloads->name == NULL)
        return printf("-\n") < 0;
    if (workloads->once != NULL) {
        workloads->once(operations);
        return 0;
    }
    if (workloads->tasks == 0)
        workload_ns(workloads, operations);
    return printf("%.3f\n", workload_ns(workloads, operations)) < 0;
}

#endif
