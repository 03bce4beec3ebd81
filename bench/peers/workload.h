/* SPDX-License-Identifier: MIT */
/*
 * workload.h - the main function of a peer's program (bench/peers.h) that is written in C.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { SELECT_CHANNELS = 8, BUFFERED_CAPACITY = 128, GIVE_UP_SECONDS = 120 };

struct workload {
    const char *name;
    void (*run)(size_t operations); /* start the threads, do so many operations, join the threads */
};

/* The list ends with a NULL name. */
static inline int workload_main(int argc, char **argv, const char *version,
                                const struct workload *workloads)
{
    size_t operations = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    double start;

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
    workloads->run(operations);
    start = bench_now_ns();
    workloads->run(operations);
    return printf("%.3f\n", (bench_now_ns() - start) / (double)operations) < 0;
}

#endif
