/* SPDX-License-Identifier: MIT */
/*
 * yield.c - nanoseconds for one bide_yield, among so many ready tasks.
 *
 * So many tasks each yield once a lap; the first of them reads the clock when all have started and
 * again some laps later. The looks at timers that the loop takes every so many switches are part of
 * it. Samples follow each other in one loop. Tasks are awaited in the reverse of the order in which
 * they were spawned: so the pool, which is last in first out, hands the same stacks out in the same
 * order again, neighbours one after the other. "shuffled": in an order that has nothing to do with
 * where stacks and control blocks lie, as in a program that has been running for a while; these are
 * stacks of 128 KiB, which have a pool of their own. The others have 64 KiB, as a program with so
 * many tasks would choose: with the default of 256 KiB ("default stacks") each stack's page has a
 * page table entry in a cache line of its own, and a page table with few others.
 *
 * Then ours beside those of peers, with stacks of 64 KiB where the library lets one choose.
 */
#include <bide.h>

#include "peers.h"

enum {
    TASKS_MOST = 100000,
    SHUFFLED = 1 << 30,
    SPREAD = 1 << 29,
    STACK_BYTES = 64 * 1024,
    SPREAD_STACK_BYTES = 256 * 1024, /* the default */
    SHUFFLED_STACK_BYTES = 128 * 1024,
};

static size_t yields = 4000000; /* in a sample, about */
static int rounds = 15;
static int contender_count;

static struct {
    size_t tasks;
    size_t laps;
    double ns; /* the result */
} sample;

static bide_task(int) handles[TASKS_MOST];

static bide_async(int, yielder, bool, has_watch)
{
    double start;

    bide_yield();
    start = has_watch ? bench_now_ns() : 0;
    for (size_t lap = 0; lap < sample.laps; lap++)
        bide_yield();
    if (has_watch)
        sample.ns = (bench_now_ns() - start) / (double)(sample.laps * sample.tasks);
    return 0;
}

static bide_async(int, nothing)
{
    return 0;
}

static void shuffle_handles(void)
{
    unsigned long long state = 88172645463325252ULL;

    for (size_t i = sample.tasks; i > 1; i--) {
        size_t other;
        bide_task(int) swap = handles[i - 1];
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        other = (size_t)(state % i);
        handles[i - 1] = handles[other];
        handles[other] = swap;
    }
}

static void await_in_reverse(void)
{
    for (size_t i = sample.tasks; i > 0; i--)
        bide_await(handles[i - 1]);
}

/* Leave the stacks of these options in the pool in random order. */
static void shuffle_pool(const bide_spawn_options *options)
{
    for (size_t i = 0; i < sample.tasks; i++)
        handles[i] = bide_spawn_with(options, nothing);
    shuffle_handles();
    await_in_reverse();
}

static double yield_round(size_t parameter)
{
    static const bide_spawn_options shuffled = {.stack_bytes = SHUFFLED_STACK_BYTES};
    static const bide_spawn_options spread = {.stack_bytes = SPREAD_STACK_BYTES};
    static const bide_spawn_options dense = {.stack_bytes = STACK_BYTES};
    static bool has_shuffled;
    const bide_spawn_options *options = parameter & SHUFFLED ? &shuffled
                                        : parameter & SPREAD ? &spread
                                                             : &dense;

    sample.tasks = parameter & ~(size_t)(SHUFFLED | SPREAD);
    sample.laps = yields / sample.tasks;
    if (options == &shuffled && !has_shuffled)
        shuffle_pool(options);
    has_shuffled = has_shuffled || options == &shuffled;
    for (size_t i = 0; i < sample.tasks; i++)
        handles[i] = bide_spawn_with(options, yielder, i == 0);
    await_in_reverse();
    return sample.ns;
}

static struct bench_contender contenders[] = {
    BENCH_FCONTEXT,
    {.name = "1 task, nobody else ready",
     .key = "yield_1_ns",
     .round = yield_round,
     .parameter = 1},
    {.name = "2 tasks", .key = "yield_2_ns", .round = yield_round, .parameter = 2},
    {.name = "100 tasks", .key = "yield_100_ns", .round = yield_round, .parameter = 100},
    {.name = "10,000 tasks", .key = "yield_10000_ns", .round = yield_round, .parameter = 10000},
    {.name = "100,000 tasks", .key = "yield_100000_ns", .round = yield_round, .parameter = 100000},
    {.name = "100,000, default stacks",
     .key = "yield_100000_default_stacks_ns",
     .round = yield_round,
     .parameter = 100000 | SPREAD},
    {.name = "100,000 tasks, shuffled",
     .key = "yield_100000_shuffled_ns",
     .round = yield_round,
     .parameter = 100000 | SHUFFLED},
};
enum {
    FCONTEXT,
    ONE,
    TWO,
    HUNDRED,
    TEN_THOUSAND,
    HUNDRED_THOUSAND,
    SPREAD_OUT,
    IN_DISORDER,
    CONTENDERS = sizeof contenders / sizeof *contenders
};

enum { ROUNDS_AMONG_MANY = 5 }; /* of peers, most of whose time goes into starting so many */

#define BESIDE_PEERS(tasks, text, many)                                                            \
    {                                                                                              \
        .title = "Beside peers, " text " tasks, ns", .workload = "yield_" #tasks,                  \
        .contenders = {{.name = "Bide",                                                            \
                        .key = "yield_" #tasks,                                                    \
                        .round = yield_round,                                                      \
                        .parameter = (tasks)}},                                                    \
        .own = 1, .operations = (many) ? (tasks) : 0                                               \
    }

static struct peer_match matches[] = {
    BESIDE_PEERS(2, "2", false),
    BESIDE_PEERS(100, "100", false),
    BESIDE_PEERS(10000, "10,000", false),
    BESIDE_PEERS(100000, "100,000", true),
};
enum { MATCHES = sizeof matches / sizeof *matches };

static int measure(void *unused)
{
    (void)unused;
    bench_interleave(contenders, contender_count, rounds, FCONTEXT);
    for (int i = 0; i < MATCHES; i++)
        peer_match_run(&matches[i], matches[i].operations > 0 ? ROUNDS_AMONG_MANY : rounds);
    return 0;
}

int main(void)
{
    contender_count = CONTENDERS;
    if (bench_is_quick()) {
        contender_count = IN_DISORDER; /* most of the time would go into its stacks */
        yields /= 8;
        rounds = 7;
    }
    printf("Yield: ns for one bide_yield, task to task, with so many ready tasks; %d interleaved\n"
           "rounds of %zu yields.\n",
           rounds, yields);
    bench_fcontext_say();
    printf(
        "State Threads 1.9 has no yield: sleeps of no time. GNU Pth starts no 100,000 threads in "
        "time.\n");
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    bench_print_contenders(contenders, contender_count, 2, "to fcontext");
    for (int i = 0; i < MATCHES; i++)
        peer_match_print(&matches[i]);
    printf("\n");
    bench_target_most("yield_2_ns_to_fcontext", contenders[TWO].ratio.median, 1.5);
    bench_target_most("yield_100000_ns_to_fcontext", contenders[HUNDRED_THOUSAND].ratio.median, 8);

    bench_json_open("sched/yield");
    bench_json_title("A yield among ready tasks");
    bench_json_number("rounds", rounds);
    bench_json_contenders(contenders, contender_count, "to_fcontext");
    peers_json();
    for (int i = 0; i < MATCHES; i++)
        peer_match_json_others(&matches[i]);
    bench_json_close();
    return 0;
}
