/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - spawning and awaiting a task that does nothing.
 *
 * All rounds run in one loop, so stacks come from its pool, as they do in a program that has been
 * running for a while. "one by one" spawns a task and awaits it; "in batches" spawns 1,000 and then
 * awaits them in the same order. A direct call of the same function shows what is left when no task
 * is made. Peers do the same in both ways. This program replaces malloc and its like by functions
 * that count; a forked copy of it is traced and its system calls are counted.
 */
#include <bide.h>

#include "calls.h"
#include "peers.h"

enum { BATCH = 1000, COUNTED = 100000 };

static size_t tasks = 1000000; /* in a round */
static int rounds = 15;

/* Counting allocators. Only glibc has other names for the real ones. */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1

static long allocations;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations++;
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    allocations++;
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *memory = aligned_alloc(alignment, bytes);

    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}
#endif

static __attribute__((noinline)) bide_async(int, empty)
{
    __asm__ volatile(""); /* not to be optimised away where it is called directly */
    return 0;
}

static void one_by_one(size_t count)
{
    for (size_t i = 0; i < count; i++)
        bide_await(bide_spawn(empty));
}

static void in_batches(size_t count)
{
    bide_task(int) handles[BATCH];

    for (size_t done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            handles[i] = bide_spawn(empty);
        for (int i = 0; i < BATCH; i++)
            bide_await(handles[i]);
    }
}

static double one_by_one_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    one_by_one(tasks);
    return (bench_now_ns() - start) / (double)tasks;
}

static double in_batches_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    in_batches(tasks);
    return (bench_now_ns() - start) / (double)tasks;
}

static double call_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < tasks; i++)
        empty();
    return (bench_now_ns() - start) / (double)tasks;
}

static struct bench_contender contenders[] = {
    BENCH_FCONTEXT,
    {.name = "spawn + await, one by one", .key = "one_by_one_ns", .round = one_by_one_round},
    {.name = "spawn + await, batches of 1,000", .key = "in_batches_ns", .round = in_batches_round},
    {.name = "direct call", .key = "call_ns", .round = call_round},
};
enum {
    FCONTEXT,
    ONE_BY_ONE,
    IN_BATCHES,
    CALL,
    CONTENDERS = sizeof contenders / sizeof *contenders
};

static struct peer_match one_match = {
    .title = "Beside peers, one by one, ns",
    .workload = "spawn_one_by_one",
    .contenders = {{.name = "Bide", .key = "one_by_one", .round = one_by_one_round}},
    .own = 1,
};

static struct peer_match batch_match = {
    .title = "Beside peers, batches of 1,000, ns a task",
    .workload = "spawn_in_batches",
    .contenders = {{.name = "Bide", .key = "in_batches", .round = in_batches_round}},
    .own = 1,
};

static double allocations_each = NAN;
static double calls_each = NAN;

static int measure(void *unused)
{
    (void)unused;
    bench_interleave(contenders, CONTENDERS, rounds, FCONTEXT);
    peer_match_run(&one_match, rounds);
    peer_match_run(&batch_match, rounds);
#ifdef COUNTS_ALLOCATIONS
    allocations = 0;
    one_by_one(COUNTED);
    in_batches(COUNTED);
    allocations_each = (double)allocations / (2 * COUNTED);
#endif
    return 0;
}

static int be_traced(void *unused)
{
    (void)unused;
    one_by_one(BATCH);
    in_batches(BATCH);
    bench_calls_mark();
    one_by_one(COUNTED);
    in_batches(COUNTED);
    bench_calls_mark();
    return 0;
}

static void count_calls(void)
{
    static struct bench_calls calls;
    pid_t child = fork();

    if (child < 0)
        bench_die("fork");
    if (child == 0)
        _exit(!bench_calls_begin() || bide_run(be_traced, NULL, NULL) != 0);
    if (bench_calls_count(child, &calls))
        calls_each = (double)calls.total / (2 * COUNTED);
}

int main(void)
{
    if (bench_is_quick()) {
        tasks /= 10;
        rounds = 7;
    }
    printf("Spawn: ns to spawn an empty task and await it, stacks from the pool; %d interleaved\n"
           "rounds of %zu tasks.\n",
           rounds, tasks);
    bench_fcontext_say();
    printf("Allocations and system calls are counted over %d tasks each way.\n", COUNTED);
    peers_start();
    fflush(stdout);
    count_calls();
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    bench_print_contenders(contenders, CONTENDERS, 2, "to fcontext");
    if (isnan(calls_each))
        printf("(this process may not trace: system calls were not counted)\n");
    peer_match_print(&one_match);
    peer_match_print(&batch_match);
    printf("\n");
    bench_target_most("one_by_one_ns_to_fcontext", contenders[ONE_BY_ONE].ratio.median, 7);
    bench_target_most("allocations_per_task", allocations_each, 0);
    bench_target_most("calls_per_task", calls_each, 0);

    bench_json_open("async/spawn");
    bench_json_title("Spawn and await");
    bench_json_number("rounds", rounds);
    bench_json_contenders(contenders, CONTENDERS, "to_fcontext");
    peers_json();
    peer_match_json_others(&one_match);
    peer_match_json_others(&batch_match);
    bench_json_number("allocations_per_task", allocations_each);
    bench_json_number("calls_per_task", calls_each);
    bench_json_close();
    return 0;
}
