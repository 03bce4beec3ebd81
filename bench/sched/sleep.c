/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - a million sleeping tasks: what they cost in memory, and how long they take to start and
 * to end.
 *
 * Each run is a fresh process, forked for it. One task spawns all others, with guarded stacks of
 * 64 KiB as a program with a million tasks would choose (smaller ones share their page tables with
 * more others), and yields; then each of them has armed an hour's timer and sleeps, and the memory
 * of the process is read. Then all are cancelled and awaited. On a virtual machine the first touch
 * of memory that the host has yet to provide is slow: so a first run, "cold", is printed apart, and
 * the targets speak of the median of those after it, "warm".
 */
#include <bide.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { TASKS = 1000000, TASKS_QUICK = 100000, STACK_BYTES = 64 * 1024, WARM_RUNS = 3 };

static size_t tasks = TASKS;

static bide_task(int) *handles;
static size_t started, canceled;

struct result {
    double start_s;
    double end_s;
    double resident_bytes; /* each */
    double table_bytes;    /* each, of page tables */
    double mappings;       /* added */
};

static bide_async(int, sleeper)
{
    int err;

    started++;
    err = bide_sleep(BIDE_SEC(3600));
    canceled += err == -ECANCELED;
    return 0;
}

/* A line of /proc/self/status, in bytes. */
static double status_bytes(const char *name)
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

static double mapping_count(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    long count = 0;
    int letter;

    if (file == NULL)
        bench_die("/proc/self/maps");
    while ((letter = getc(file)) != EOF)
        count += letter == '\n';
    fclose(file);
    return (double)count;
}

static int run_sleepers(void *arg)
{
    struct result *result = arg;
    double resident = status_bytes("VmRSS"), tables = status_bytes("VmPTE");
    double mappings = mapping_count();
    double start = bench_now_ns();

    for (size_t i = 0; i < tasks; i++) {
        handles[i] = bide_spawn_with(&(bide_spawn_options){.stack_bytes = STACK_BYTES}, sleeper);
        if (handles[i] == NULL)
            return bide_spawn_error();
    }
    while (started < tasks)
        bide_yield();
    result->start_s = (bench_now_ns() - start) / 1e9;
    result->resident_bytes = (status_bytes("VmRSS") - resident) / (double)tasks;
    result->table_bytes = (status_bytes("VmPTE") - tables) / (double)tasks;
    result->mappings = mapping_count() - mappings;

    start = bench_now_ns();
    for (size_t i = 0; i < tasks; i++)
        bide_cancel(handles[i]);
    for (size_t i = 0; i < tasks; i++)
        bide_await(handles[i]);
    result->end_s = (bench_now_ns() - start) / 1e9;
    return canceled == tasks ? 0 : -EPROTO;
}

static void be_run(int out)
{
    struct result result;
    int err;

    /* Touched now, so that it is not counted. */
    handles = malloc(tasks * sizeof *handles);
    if (handles == NULL)
        bench_die("malloc");
    memset(handles, 1, tasks * sizeof *handles);
    err = bide_run(run_sleepers, &result, NULL);
    if (err != 0) {
        fprintf(stderr, "the run failed: %s\n", strerror(-err));
        _exit(1);
    }
    _exit(write(out, &result, sizeof result) != sizeof result);
}

static struct result fork_run(const char *name)
{
    struct result result;
    int ends[2], status;
    pid_t child;

    if (pipe(ends) < 0 || (child = fork()) < 0)
        bench_die("fork");
    if (child == 0)
        be_run(ends[1]);
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        exit(1);
    close(ends[0]);
    waitpid(child, &status, 0);
    printf("%-6s %12.2f %12.2f %16.0f %16.0f %12.0f\n", name, result.start_s, result.end_s,
           result.resident_bytes, result.table_bytes, result.mappings);
    fflush(stdout);
    return result;
}

static void json_run(const char *name, const struct result *result)
{
    printf(",\"%s\":{\"start_s\":%.3f,\"end_s\":%.3f,\"resident_bytes\":%.0f,"
           "\"table_bytes\":%.0f,\"mappings\":%.0f}",
           name, result->start_s, result->end_s, result->resident_bytes, result->table_bytes,
           result->mappings);
}

static int compare_start(const void *a, const void *b)
{
    double x = ((const struct result *)a)->start_s, y = ((const struct result *)b)->start_s;

    return (x > y) - (x < y);
}

int main(void)
{
    struct result cold, warm, warm_runs[WARM_RUNS];

    if (bench_is_quick())
        tasks = TASKS_QUICK;
    printf(
        "Sleep: %zu sleeping tasks with guarded stacks of 64 KiB, each run in a fresh process;\n"
        "seconds until all sleep, seconds to cancel and await all, resident bytes and page-table\n"
        "bytes a task, mappings added.\n",
        tasks);
    printf("%-6s %12s %12s %16s %16s %12s\n", "", "start", "end", "resident/task", "tables/task",
           "mappings");
    fflush(stdout);
    cold = fork_run("cold");
    for (int i = 0; i < WARM_RUNS; i++)
        warm_runs[i] = fork_run("warm");
    qsort(warm_runs, WARM_RUNS, sizeof *warm_runs, compare_start);
    warm = warm_runs[WARM_RUNS / 2];
    bench_target_most("warm_resident_bytes", warm.resident_bytes, 4608);
    bench_target_most("warm_start_s", warm.start_s, 5.0 * (double)tasks / TASKS);

    bench_json_open("sched/sleep");
    bench_json_number("tasks", (double)tasks);
    json_run("cold", &cold);
    json_run("warm", &warm);
    bench_json_close();
    return 0;
}
