/* SPDX-License-Identifier: MIT */
/*
 * memory.h - how much memory this process has.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <string.h>

#include "bench.h"

/* A line of /proc/self/status, in bytes: "VmRSS" is what is resident. */
static inline double bench_status_bytes(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    if (file == NULL)
        bench_die("/proc/self/status");
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kib = atol(line + strlen(name) + 1);
    fclose(file);
    return kib < 0 ? NAN : (double)kib * 1024;
}

#endif
