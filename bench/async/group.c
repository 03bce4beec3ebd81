/* SPDX-License-Identifier: MIT */
/*
 * group.c - a group of 100,000 tasks that do nothing, from the first spawn to the end of its block.
 *
 * Beside it as many tasks that are spawned and then awaited, in the same order. All rounds run in
 * one loop and the first does not count, so stacks come from its pool; they have 64 KiB, as a
 * program with so many tasks would choose. All tasks are alive at once: what is measured is mostly
 * how far their stacks and control blocks lie apart.
 */
#include <bide.h>

#include "peers.h"

enum { TASKS_MOST = 100000, STACK_BYTES = 64 * 1024 };

static size_t tasks = TASKS_MOST; /* in a round */
static int rounds = 15;

static const bide_spawn_options small = {.stack_bytes = STACK_BYTES};

static bide_async(int, nothing)
{
    return 0;
}

static double group_round(size_t unused)
{
    bide_group group = BIDE_GROUP_INIT;
    double start = bench_now_ns();

    (void)unused;
    bide_with_group (&group) {
        for (size_t i = 0; i < tasks; i++)
            if (bide_spawn_in_with(&group, &small, nothing) < 0)
                abort();
    }
    return (bench_now_ns() - start) / (double)tasks;
}

static double await_round(size_t unused)
{
    static bide_task(int) handles[TASKS_MOST];
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < tasks; i++)
        handles[i] = bide_spawn_with(&small, nothing);
    for (size_t i = 0; i < tasks; i++)
        bide_await(handles[i]);
    return (bench_now_ns() - start) / (double)tasks;
}

static struct peer_match match = {
    .title = "Tasks that do nothing, ns a task",
    .workload = "group",
    .operations = TASKS_MOST,
    .contenders = {{.name = "Bide, group", .key = "group", .round = group_round},
                   {.name = "Bide, spawn all + await all", .key = "await", .round = await_round},
                   PEERS_FCONTEXT},
    .own = 3,
};

static int measure(void *unused)
{
    (void)unused;
    peer_match_run(&match, rounds);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        tasks /= 4;
        match.operations = tasks;
        rounds = 5;
    }
    printf(
        "Groups: ns to spawn a task into a group and have it ended, %zu at once; %d interleaved\n"
        "rounds. Go: a WaitGroup; State Threads: threads joined one by one.\n",
        tasks, rounds);
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    peer_match_print(&match);

    bench_json_open("async/group");
    bench_json_title("Group, a task of it");
    bench_json_number("rounds", rounds);
    bench_json_number("tasks", (double)tasks);
    peers_json();
    peer_match_json(&match);
    bench_json_close();
    return 0;
}
