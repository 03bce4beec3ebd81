/* SPDX-License-Identifier: MIT */
/*
 * timers_second.c - a million timers that all come due within one second: CPU seconds of it all.
 *
 * As tasks: each is spawned, sleeps another part of a second, and ends; all are awaited. Stacks of
 * ours have 64 KiB, as a program with so many tasks would choose. In a loop that only spawns, all
 * tasks are alive before the first runs, and most of the time goes into the first touch of as many
 * stacks. "paced": one that yields every so many spawns; tasks that have ended by then leave their
 * stacks to the next ones. Go comes to the same by preempting such a loop.
 *
 * As timers alone, no tasks: a callback for each, which counts; ours are put straight into the
 * running loop's wheel, as there is no public call for that. libuv, libevent and Go wait for whole
 * milliseconds, so where there are so few that a loop sleeps in between they wake up less often.
 *
 * Parts of a second come in an order that is far from sorted. The time is user and system time of
 * the process, from before the first spawn to the end of the last; each run is a fresh process.
 */
#include <bide.h>

#include "base/wheel.h"
#include "fresh.h"
#include "sched/loop.h"

enum {
    TIMERS = 1000000,
    TIMERS_QUICK = 100000,
    STACK_BYTES = 64 * 1024,
    PACE = 1000, /* spawns before a yield */
    TASK_ROUNDS = 2,
    CALLBACK_ROUNDS = 3,
};

static size_t count = TIMERS;
static bool is_paced;

/* As in bench/peers/workload.h. */
static bide_time nap_ns(size_t i)
{
    return (bide_time)(i * 611953 % count * 1000000000 / count);
}

static void print_cpu(double start_ns)
{
    printf("%.4f\n", (bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns) / 1e9);
}

static bide_async(int, nap, bide_time, ns)
{
    return bide_sleep(ns);
}

static int run_tasks(void *unused)
{
    double start = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    bide_group group = BIDE_GROUP_INIT;

    (void)unused;
    bide_with_group (&group) {
        for (size_t i = 0; i < count; i++) {
            if (bide_spawn_in_with(&group, &(bide_spawn_options){.stack_bytes = STACK_BYTES}, nap,
                                   nap_ns(i)) < 0)
                return -ENOMEM;
            if (is_paced && i % PACE == 0)
                bide_yield();
        }
    }
    print_cpu(start);
    return group.error;
}

static size_t fired;
static bide_event all_fired = BIDE_EVENT_INIT;

static void on_timer(struct bide__timer *timer)
{
    (void)timer;
    if (++fired == count)
        bide_event_set(&all_fired);
}

static int run_timers(void *unused)
{
    double start = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    struct bide_loop *loop = bide__loop_need("the benchmark");
    struct bide__timer *timers = malloc(count * sizeof *timers);
    bide_time now = bide_now();

    (void)unused;
    if (timers == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        bide__timer_init(&timers[i], on_timer);
        bide__wheel_add(&loop->timers, &timers[i], now + nap_ns(i));
    }
    bide_event_wait(&all_fired);
    free(timers);
    print_cpu(start);
    return 0;
}

static void be_tasks(size_t unused)
{
    (void)unused;
    if (bide_run(run_tasks, NULL, NULL) != 0)
        exit(1);
}

static void be_paced_tasks(size_t unused)
{
    is_paced = true;
    be_tasks(unused);
}

static void be_timers(size_t unused)
{
    (void)unused;
    if (bide_run(run_timers, NULL, NULL) != 0)
        exit(1);
}

static struct fresh tasks[] = {
    {.name = "Bide", .key = "bide", .run = be_tasks},
    {.name = "Bide, paced", .key = "paced", .run = be_paced_tasks},
    {.peer = &peers[PEER_GO]},
    {.peer = &peers[PEER_STATE_THREADS]},
    {.peer = &peers[PEER_PTH]},
    {.peer = &peers[PEER_ASYNCIO]},
    {.peer = &peers[PEER_UVLOOP]},
};
enum { PLAIN, PACED, TASKS = sizeof tasks / sizeof *tasks };

static struct peer libraries[] = {
    {.key = "libuv", .name = "libuv", .needs = "uv.h", .program = "libuv_timers"},
    {.key = "libevent",
     .name = "libevent",
     .needs = "event2/event.h",
     .program = "libevent_timers"},
    {.key = "asio", .name = "Boost.Asio", .needs = "boost/asio.hpp", .program = "asio_timers"},
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static struct fresh callbacks[] = {
    {.name = "Bide, its loop's wheel", .key = "bide", .run = be_timers},
    {.peer = &libraries[0]},
    {.peer = &libraries[1]},
    {.peer = &libraries[2]},
};
enum { CALLBACKS = sizeof callbacks / sizeof *callbacks };

/* `ours` of the first contenders are ours: there is a ratio of each to the others. */
static void compete(const char *title, struct fresh *contenders, int contender_count, int ours,
                    int rounds)
{
    double unused[1];

    fresh_find(contenders, contender_count);
    /* The first touch of memory that the host has yet to provide does not count. */
    if (!bench_is_quick())
        fresh_run(&contenders[0], "timers", count, unused, 1);
    fresh_interleave(contenders, contender_count, "timers", count, 1,
                     bench_is_quick() ? 1 : rounds);
    printf("\n%s\n%-34s %10s %10s %10s %12s", title, "", "median", "least", "most", "ours to it");
    printf("%s\n", ours > 1 ? "    paced to it" : "");
    for (int i = 0; i < contender_count; i++) {
        struct bench_spread spread = fresh_spread(&contenders[i], 0);
        printf("%-34s", contenders[i].name);
        bench_print_cell(10, 3, spread.median);
        bench_print_cell(10, 3, spread.least);
        bench_print_cell(10, 3, spread.most);
        bench_print_cell(12, 2, fresh_ratio(&contenders[0], &contenders[i], 0).median);
        if (ours > 1)
            bench_print_cell(14, 2, fresh_ratio(&contenders[1], &contenders[i], 0).median);
        printf("\n");
    }
    fflush(stdout);
}

static void json_all_peers(void)
{
    printf(",\"peers\":{\"paced\":\"%s\"", tasks[PACED].name);
    for (int i = 0; i < PEERS; i++)
        peer_json_version(&peers[i], false);
    for (int i = 0; i < LIBRARIES; i++)
        peer_json_version(&libraries[i], false);
    printf("}");
}

static void json_paced_ratios(void)
{
    char key[64];

    for (int i = PACED + 1; i < TASKS; i++) {
        snprintf(key, sizeof key, "tasks_paced_to_%s", tasks[i].key);
        bench_json_spread(key, fresh_ratio(&tasks[PACED], &tasks[i], 0));
    }
}

int main(void)
{
    if (bench_is_quick())
        count = TIMERS_QUICK;
    printf("Timers within one second: CPU seconds for %zu of them, each run in a fresh process.\n",
           count);
    peers_start();
    peers_find(libraries, LIBRARIES);
    fflush(stdout);
    compete("Tasks that each sleep, CPU s", tasks, TASKS, 2, TASK_ROUNDS);
    compete("Timers with callbacks, no tasks, CPU s", callbacks, CALLBACKS, 1, CALLBACK_ROUNDS);
    printf("\n");

    bench_json_open("sched/timers_second");
    bench_json_title("Timers that all come due within a second");
    bench_json_number("timers", (double)count);
    json_all_peers();
    fresh_json(tasks, TASKS, "tasks", "cpu_s", 0);
    json_paced_ratios();
    fresh_json(callbacks, CALLBACKS, "callbacks", "cpu_s", 0);
    bench_json_close();
    return 0;
}
