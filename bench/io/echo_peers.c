/* SPDX-License-Identifier: MIT */
/*
 * echo_peers.c - TCP echo: Bide, a server by hand on epoll, and servers of other libraries.
 *
 * All do the same: read up to 64 KiB, write it back, on one thread of one core. The load
 * (bench/load.h) keeps so many messages under way on each connection. For each turn it is a new
 * process with new connections, so that only one server has any; every connection has carried
 * messages before the turn counts. See bench/servers.h for the method, and bench/io/echo.c for a
 * closer look at Bide and the server by hand. Only loopback is used.
 */
#include <bide.h>

#include "load.h"
#include "raw_echo.h"
#include "servers.h"

enum { BIDE, RAW, SERVERS = 9, TURN_SECONDS_MOST = 60 };

static void run_bide(int port_to);
static void run_raw(int port_to);

#define PEER(library, title, needed)                                                               \
    {                                                                                              \
        .key = library, .name = title, .needs = needed, .has_version = true,                       \
        .words = {"peers/" library "_echo", "0"},                                                  \
    }

static struct bench_server servers[SERVERS] = {
    [BIDE] = {.key = "bide", .name = "Bide", .run = run_bide},
    [RAW] = {.key = "raw", .name = "epoll by hand", .run = run_raw},
    PEER("libuv", "libuv", "uv.h"),
    PEER("libevent", "libevent", "event2/event.h"),
    PEER("asio", "Boost.Asio", "boost/asio.hpp"),
    PEER("state_threads", "State Threads", "st.h"),
    PEER("go", "Go", "the go command"),
    {.key = "uvloop",
     .name = "uvloop",
     .needs = "Python's module uvloop",
     .has_version = true,
     .words = {"peers/asyncio_echo", "0", "uvloop"}},
    PEER("asyncio", "asyncio", "python3"),
};

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

static struct bench_figures figures[CONTESTS][SERVERS];
static bool was_held[CONTESTS];
static int rounds = 5;
static double slice_seconds = 0.5;

/* The servers of this program. */

static int echo(bide_stream *stream, void *unused)
{
    char buf[64 * 1024];
    ssize_t got;

    (void)unused;
    while ((got = bide_read(stream, buf, sizeof buf)) > 0)
        if (bide_write(stream, buf, (size_t)got) != got)
            break;
    return 0;
}

static int serve(void *port_to)
{
    bide_listener *listener;
    char address[64];
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err == 0)
        err = bide_listener_address(listener, address, sizeof address);
    if (err < 0)
        return err;
    dprintf(*(int *)port_to, "%s\n", strrchr(address, ':') + 1);
    return bide_serve(listener, echo, NULL);
}

static void run_bide(int port_to)
{
    bide_run(serve, &port_to, NULL);
}

static void run_raw(int port_to)
{
    static struct raw_server server;

    dprintf(port_to, "%d\n", raw_listen(&server));
    raw_run(&server, raw_serve);
}

/* One turn: a process that connects, loads, and goes. */
_Noreturn static void be_load(const struct bench_server *server, const struct load_shape *shape,
                              int result_to)
{
    static struct load load;
    struct load_result result;

    alarm(TURN_SECONDS_MOST);
    load_connect(&load, server->port, *shape);
    load.server = server->pid;
    load_run(&load, 0, TURN_SECONDS_MOST, (long)shape->connections * shape->depth);
    result = load_run(&load, slice_seconds / 4, slice_seconds, LONG_MAX);
    bench_write_all(result_to, &result, sizeof result);
    /* Ends by reset: tens of thousands of connections that linger would stop new ones. */
    for (int i = 0; i < shape->connections; i++)
        setsockopt(load.connections[i].fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger));
    _exit(0);
}

static bool take_turn(const struct bench_server *server, const struct load_shape *shape,
                      struct bench_turn *turn)
{
    struct load_result result;
    int ends[2];
    bool is_done;
    pid_t load;

    if (pipe2(ends, O_CLOEXEC) < 0)
        bench_die("pipe2");
    load = bench_fork_pinned(bench_load_core);
    if (load == 0)
        be_load(server, shape, ends[1]);
    close(ends[1]);
    is_done = read(ends[0], &result, sizeof result) == (ssize_t)sizeof result;
    close(ends[0]);
    waitpid(load, NULL, 0);
    *turn = (struct bench_turn){
        .seconds = result.seconds,
        .requests = result.messages,
        .cpu_seconds = result.cpu_seconds,
        .p50_us = result.p50_us,
        .p99_us = result.p99_us,
        .p999_us = result.p999_us,
    };
    return is_done;
}

static void hold(int index)
{
    const struct contest *contest = &contests[index];
    struct bench_turn turn;

    printf("\n%s, %d connection%s\n", contest->title, contest->shape.connections,
           contest->shape.connections > 1 ? "s" : "");
    if (!bench_need_files((rlim_t)contest->shape.connections + 100)) {
        printf("(skipped: this process may not have so many descriptors)\n");
        return;
    }
    was_held[index] = true;
    for (int i = 0; i < SERVERS; i++)
        figures[index][i].has_failed = !server_start(&servers[i]);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < SERVERS; i++) {
            struct bench_figures *of = &figures[index][i];
            if (of->has_failed)
                continue;
            if (!take_turn(&servers[i], &contest->shape, &turn)) {
                printf("(%s failed)\n", servers[i].name);
                of->has_failed = true;
                server_stop(&servers[i]);
                continue;
            }
            server_rest(&servers[i]);
            figures_add(of, &turn);
        }
    }
    for (int i = 0; i < SERVERS; i++) {
        server_stop(&servers[i]);
        servers[i].port = 0;
    }
    figures_print_heading("epoll");
    for (int i = 0; i < SERVERS; i++)
        figures_print(servers[i].name, &figures[index][i], &figures[index][RAW]);
    if (contest->shape.connections >= 100 &&
        figures_spread(&figures[index][RAW], figures[index][RAW].busy).median < SERVER_BUSY_PERCENT)
        printf("note: the servers were not busy: other programs took the cores, or the load is\n"
               "the limit; trust CPU times more\n");
    fflush(stdout);
}

static void print_json(int index)
{
    const struct contest *contest = &contests[index];

    for (int i = 0; i < SERVERS && was_held[index]; i++) {
        bench_json_open("io/echo_peers");
        printf(",\"series\":\"%s\"", contest->series);
        bench_json_number("connections", contest->shape.connections);
        bench_json_number("message_bytes", contest->shape.message_bytes);
        bench_json_number("depth", contest->shape.depth);
        figures_json(&servers[i], &figures[index][i], "raw", &figures[index][RAW]);
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
    servers_find(servers, SERVERS);
    for (int i = 0; i < CONTESTS; i++)
        if (contests[i].is_quick || !bench_is_quick())
            hold(i);
    for (int i = 0; i < CONTESTS; i++)
        print_json(i);
    return 0;
}
