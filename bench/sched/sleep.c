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
 *
 * Then the peers, each in a fresh process too: their tasks are cancelled or interrupted and joined,
 * as the library can.
 */
#include <bide.h>

#include <errno.h>
#include <string.h>

#include "fresh.h"
#include "memory.h"

enum {
    TASKS = 1000000,
    TASKS_QUICK = 100000,
    STACK_BYTES = 64 * 1024,
    WARM_RUNS = 3,
    PEER_ROUNDS = 2,
};

static size_t tasks = TASKS;

static bide_task(int) *handles;
static size_t started, canceled;

/* What one run gives, in this order; peers give the first three. */
enum { START_S, END_S, RESIDENT_BYTES, PEER_FIGURES, TABLE_BYTES = 3, MAPPINGS, FIGURES };

struct result {
    double of[FIGURES]; /* bytes are those of one task; table: of page tables; mappings: added */
};

static bide_async(int, sleeper)
{
    int err;

    started++;
    err = bide_sleep(BIDE_SEC(3600));
    canceled += err == -ECANCELED;
    return 0;
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
    double resident = bench_status_bytes("VmRSS"), tables = bench_status_bytes("VmPTE");
    double mappings = mapping_count();
    double start = bench_now_ns();

    for (size_t i = 0; i < tasks; i++) {
        handles[i] = bide_spawn_with(&(bide_spawn_options){.stack_bytes = STACK_BYTES}, sleeper);
        if (handles[i] == NULL)
            return bide_spawn_error();
    }
    while (started < tasks)
        bide_yield();
    result->of[START_S] = (bench_now_ns() - start) / 1e9;
    result->of[RESIDENT_BYTES] = (bench_status_bytes("VmRSS") - resident) / (double)tasks;
    result->of[TABLE_BYTES] = (bench_status_bytes("VmPTE") - tables) / (double)tasks;
    result->of[MAPPINGS] = mapping_count() - mappings;

    start = bench_now_ns();
    for (size_t i = 0; i < tasks; i++)
        bide_cancel(handles[i]);
    for (size_t i = 0; i < tasks; i++)
        bide_await(handles[i]);
    result->of[END_S] = (bench_now_ns() - start) / 1e9;
    return canceled == tasks ? 0 : -EPROTO;
}

static void be_run(size_t unused)
{
    struct result result;
    int err;

    (void)unused;
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
    for (int i = 0; i < FIGURES; i++)
        printf("%.17g ", result.of[i]);
}

static void print_run(const char *name, const double *of, int count)
{
    printf("%-24s", name);
    bench_print_cell(10, 2, of[START_S]);
    bench_print_cell(10, 2, of[END_S]);
    bench_print_cell(14, 0, of[RESIDENT_BYTES]);
    for (int i = PEER_FIGURES; i < count; i++)
        bench_print_cell(12, 0, of[i]);
    printf("\n");
    fflush(stdout);
}

static struct result fork_run(const char *name)
{
    struct fresh ours = {.name = "Bide", .run = be_run};
    struct result result;

    if (!fresh_run(&ours, NULL, tasks, result.of, FIGURES))
        exit(1);
    print_run(name, result.of, FIGURES);
    return result;
}

static void json_run(const char *name, const struct result *result)
{
    printf(",\"%s\":{\"start_s\":%.3f,\"end_s\":%.3f,\"resident_bytes\":%.0f,"
           "\"table_bytes\":%.0f,\"mappings\":%.0f}",
           name, result->of[START_S], result->of[END_S], result->of[RESIDENT_BYTES],
           result->of[TABLE_BYTES], result->of[MAPPINGS]);
}

static int compare_start(const void *a, const void *b)
{
    double x = ((const struct result *)a)->of[START_S];
    double y = ((const struct result *)b)->of[START_S];

    return (x > y) - (x < y);
}

/* Ours takes part anew, so that there is a ratio within each round. */
static struct fresh contenders[] = {
    {.name = "Bide", .key = "bide", .run = be_run},
    {.peer = &peers[PEER_GO]},
    {.peer = &peers[PEER_STATE_THREADS]},
    {.peer = &peers[PEER_PTH]},
    {.peer = &peers[PEER_ASYNCIO]},
    {.peer = &peers[PEER_UVLOOP]},
};
enum { CONTENDERS = sizeof contenders / sizeof *contenders };

static void compete(void)
{
    fresh_find(contenders, CONTENDERS);
    fresh_interleave(contenders, CONTENDERS, "sleep", tasks, PEER_FIGURES,
                     bench_is_quick() ? 1 : PEER_ROUNDS);
    printf("\nBeside peers, medians\n");
    for (int i = 0; i < CONTENDERS; i++) {
        double medians[PEER_FIGURES];
        for (int figure = 0; figure < PEER_FIGURES; figure++)
            medians[figure] = fresh_spread(&contenders[i], figure).median;
        print_run(contenders[i].name, medians, PEER_FIGURES);
    }
    printf("\n");
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
    peers_start();
    printf("%-24s %10s %10s %14s %12s %12s\n", "", "start", "end", "resident/task", "tables/task",
           "mappings");
    fflush(stdout);
    cold = fork_run("cold");
    for (int i = 0; i < WARM_RUNS; i++)
        warm_runs[i] = fork_run("warm");
    qsort(warm_runs, WARM_RUNS, sizeof *warm_runs, compare_start);
    warm = warm_runs[WARM_RUNS / 2];
    compete();
    bench_target_most("warm_resident_bytes", warm.of[RESIDENT_BYTES], 4608);
    bench_target_most("warm_start_s", warm.of[START_S], 5.0 * (double)tasks / TASKS);

    bench_json_open("sched/sleep");
    bench_json_title("Sleeping tasks");
    bench_json_number("tasks", (double)tasks);
    json_run("cold", &cold);
    json_run("warm", &warm);
    peers_json();
    fresh_json(contenders, CONTENDERS, "start", "s", START_S);
    fresh_json(contenders, CONTENDERS, "end", "s", END_S);
    fresh_json(contenders, CONTENDERS, "resident", "bytes", RESIDENT_BYTES);
    bench_json_close();
    return 0;
}
