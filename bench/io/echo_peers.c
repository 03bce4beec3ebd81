/* SPDX-License-Identifier: MIT */
/*
 * echo_peers.c - TCP echo: Bide, a server by hand on epoll, and servers of other libraries.
 *
 * All do the same (bench/echo_servers.h), on one thread of one core. The load
 * (bench/load.h) keeps so many messages under way on each connection. For each turn it is a new
 * process with new connections, so that only one server has any; every connection has carried
 * messages before the turn counts. See bench/servers.h for the method, and bench/io/echo.c for a
 * closer look at Bide and the server by hand. Only loopback is used.
 */
#include "echo_servers.h"
#include "load.h"

static const struct contest {
    const char *series; /* contests that differ in connections only */
    const char *title;
    struct load_shape shape;
    bool is_quick;
} contests[] = {
    {"echo_64", "64 B", {1, 64, 1}, false},
    {"echo_64", "64 B", {100, 64, 1}, true},
    {"echo_64", "64 B", {1000, 64, 1}, false},
    {"echo_64", "64 B", {10000, 64, 1}, false},
    {"echo_64_deep", "64 B, 16 deep", {100, 64, 16}, false},
    {"echo_4096", "4 KiB", {100, 4096, 1}, false},
    {"echo_4096_deep", "4 KiB, 16 deep", {1, 4096, 16}, false},
    {"echo_4096_deep", "4 KiB, 16 deep", {100, 4096, 16}, false},
    {"echo_4096_deep", "4 KiB, 16 deep", {1000, 4096, 16}, false},
    {"echo_4096_deep", "4 KiB, 16 deep", {10000, 4096, 16}, false},
};
enum { CONTESTS = sizeof contests / sizeof *contests };

static struct bench_figures figures[CONTESTS][ECHO_SERVERS];
static bool was_held[CONTESTS];
static int rounds = 5;
static double slice_seconds = 0.5;

/* One turn: a process that connects, loads, and goes. */
static void be_load(const struct bench_server *server, const void *contest, struct bench_turn *turn)
{
    static struct load load;
    const struct load_shape *shape = &((const struct contest *)contest)->shape;
    struct load_result result;

    load_connect(&load, server->port, *shape);
    load.server = server->pid;
    for (int i = 0; i < shape->connections; i++)
        bench_reset_on_close(load.connections[i].fd);
    load_run(&load, 0, SERVER_TURN_SECONDS_MOST, (long)shape->connections * shape->depth);
    result = load_run(&load, slice_seconds / 4, slice_seconds, LONG_MAX);
    *turn = (struct bench_turn){
        .seconds = result.seconds,
        .requests = result.messages,
        .cpu_seconds = result.cpu_seconds,
        .p50_us = result.p50_us,
        .p99_us = result.p99_us,
        .p999_us = result.p999_us,
    };
}

static bool take_turn(const struct bench_server *server, const void *contest,
                      struct bench_turn *turn)
{
    return server_take_load(server, contest, be_load, turn);
}

static void hold(int index)
{
    const struct contest *contest = &contests[index];

    printf("\n%s, %d connection%s\n", contest->title, contest->shape.connections,
           contest->shape.connections > 1 ? "s" : "");
    if (!bench_need_files((rlim_t)contest->shape.connections + 100)) {
        printf("(skipped: this process may not have so many descriptors)\n");
        return;
    }
    was_held[index] = true;
    echo_servers[ECHO_BIDE_SPINNING].is_missing = contest->shape.connections > 1;
    echo_servers_start();
    servers_compete(echo_servers, ECHO_SERVERS, figures[index], rounds, take_turn, contest);
    servers_print(echo_servers, ECHO_SERVERS, figures[index], ECHO_RAW,
                  contest->shape.connections > 1);
    echo_servers_stop();
}

static void print_json(int index)
{
    const struct contest *contest = &contests[index];

    for (int i = 0; i < ECHO_SERVERS && was_held[index]; i++) {
        if (i == ECHO_BIDE_SPINNING && figures[index][i].samples == 0)
            continue; /* took no part */
        bench_json_open("io/echo_peers");
        printf(",\"series\":\"%s\",\"title\":\"TCP echo, %s\"", contest->series, contest->title);
        bench_json_number("connections", contest->shape.connections);
        bench_json_number("message_bytes", contest->shape.message_bytes);
        bench_json_number("depth", contest->shape.depth);
        figures_json(&echo_servers[i], &figures[index][i], "raw", &figures[index][ECHO_RAW]);
        bench_json_close();
    }
}

int main(void)
{
    if (bench_is_quick()) {
        rounds = 3;
        slice_seconds = 0.15;
    }
    bench_choose_cores();
    printf("TCP echo on loopback; server and load on %s; %d rounds of slices of %g s, the servers\n"
           "in turn; CPU time of the server a message and latencies in us.\n",
           bench_load_core >= 0 ? "a core each" : "the same core", rounds, slice_seconds);
    servers_find(echo_servers, ECHO_SERVERS);
    for (int i = 0; i < CONTESTS; i++)
        if (contests[i].is_quick || !bench_is_quick())
            hold(i);
    for (int i = 0; i < CONTESTS; i++)
        print_json(i);
    return 0;
}
