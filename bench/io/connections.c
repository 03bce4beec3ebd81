/* SPDX-License-Identifier: MIT */
/*
 * connections.c - what connections cost: new ones a second, and memory of idle ones.
 *
 * The servers are those of bench/io/echo_peers.c. First each request has a connection of its own:
 * connect, send 64 bytes, wait until they have come back, close; 100 of these are under way. Then a
 * fresh server gets 10,000 connections, each of which carries one message and stays: what its
 * process has grown by then is its memory, sockets of the kernel not included. Only loopback is
 * used.
 */
#include "echo_servers.h"
#include "load.h"

enum { UNDER_WAY = 100, MESSAGE_BYTES = 64, FIRST_CONNECTIONS = 10 };

static struct bench_figures figures[ECHO_SERVERS];
static double memory_bytes[ECHO_SERVERS][BENCH_ROUNDS_MOST];
static int rounds = 5, idle_connections = 10000;
static double slice_seconds = 0.5;

/* New connections. */

/* One more of those that are under way. */
static void make_request(struct load *load, struct load_connection *connection, int port)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    double now = bench_now_ns();

    connection->fd = server_connect(port);
    if (connection->fd < 0 || epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        bench_die("the load's connection");
    bench_reset_on_close(connection->fd);
    load_send(load, connection, 1, now);
}

static void be_connecting_load(const struct bench_server *server, const void *unused,
                               struct bench_turn *turn)
{
    static struct load load;
    static struct load_connection connections[UNDER_WAY];
    struct epoll_event events[UNDER_WAY];
    double start = bench_now_ns() + slice_seconds / 4 * 1e9, now = 0;
    bool is_warm = false;

    (void)unused;
    load.shape = (struct load_shape){UNDER_WAY, MESSAGE_BYTES, 1};
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < UNDER_WAY; i++)
        make_request(&load, &connections[i], server->port);
    while (!is_warm || now < start + slice_seconds * 1e9) {
        int count = epoll_wait(load.epoll_fd, events, UNDER_WAY, -1);
        for (int i = 0; i < count; i++) {
            struct load_connection *connection = events[i].data.ptr;
            if (load_receive(&load, connection, &now) == 0)
                continue;
            close(connection->fd);
            make_request(&load, connection, server->port);
        }
        if (!is_warm && now >= start) {
            struct load_result result;
            is_warm = true;
            start = now;
            load_start(&load, &result);
            turn->cpu_seconds = bench_cpu_seconds(server->pid);
        }
    }
    turn->cpu_seconds = bench_cpu_seconds(server->pid) - turn->cpu_seconds;
    turn->seconds = (now - start) / 1e9;
    turn->requests = (double)load.done;
    turn->p50_us = load_percentile_us(&load, 0.5);
    turn->p99_us = load_percentile_us(&load, 0.99);
    turn->p999_us = load_percentile_us(&load, 0.999);
}

static bool take_turn(const struct bench_server *server, const void *contest,
                      struct bench_turn *turn)
{
    return server_take_load(server, contest, be_connecting_load, turn);
}

/* Memory. */

static double resident_bytes(pid_t pid)
{
    char path[64];
    double pages = NAN;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%*f %lf", &pages) != 1)
        pages = NAN;
    if (file != NULL)
        fclose(file);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* Connections that have each carried a message. */
static void connect_idle(struct load *load, const struct bench_server *server, int connections)
{
    load_connect(load, server->port, (struct load_shape){connections, MESSAGE_BYTES, 1});
    for (int i = 0; i < connections; i++)
        bench_reset_on_close(load->connections[i].fd);
    load_run(load, 0, SERVER_TURN_SECONDS_MOST, connections);
    server_rest(server);
}

/* The few connections before make the server touch what it has in any case. */
static void be_idle_load(const struct bench_server *server, const void *unused,
                         struct bench_turn *turn)
{
    static struct load first, all;
    double before;

    (void)unused;
    connect_idle(&first, server, FIRST_CONNECTIONS);
    before = resident_bytes(server->pid);
    connect_idle(&all, server, idle_connections);
    turn->requests = (resident_bytes(server->pid) - before) / idle_connections;
}

static void weigh(int round)
{
    for (int i = 0; i < ECHO_SERVERS; i++) {
        struct bench_turn turn;
        memory_bytes[i][round] = NAN;
        if (!server_start(&echo_servers[i]))
            continue;
        if (server_take_load(&echo_servers[i], NULL, be_idle_load, &turn))
            memory_bytes[i][round] = turn.requests;
        else
            printf("(%s failed)\n", echo_servers[i].name);
        server_stop(&echo_servers[i]);
    }
}

static void print_memory(void)
{
    printf("\nmemory of a connection, in bytes, with %d idle ones\n", idle_connections);
    printf("%-24s %10s %10s %10s\n", "", "median", "least", "most");
    for (int i = 0; i < ECHO_SERVERS; i++) {
        struct bench_spread spread = bench_spread_of(memory_bytes[i], rounds);
        if (echo_servers[i].is_missing)
            continue;
        printf("%-24s", echo_servers[i].name);
        bench_print_cell(10, 0, spread.median);
        bench_print_cell(10, 0, spread.least);
        bench_print_cell(10, 0, spread.most);
        printf("\n");
    }
    fflush(stdout);
}

int main(void)
{
    if (bench_is_quick()) {
        rounds = 1;
        idle_connections = 1000;
        slice_seconds = 0.15;
    }
    bench_choose_cores();
    printf("Echo on loopback; server and load on %s; %d rounds, the servers in turn.\n",
           bench_load_core >= 0 ? "a core each" : "the same core", rounds);
    servers_find(echo_servers, ECHO_SERVERS);

    printf("\na connection for each request, %d under way, slices of %g s; CPU time of the server\n"
           "a request and latencies in us\n",
           UNDER_WAY, slice_seconds);
    echo_servers_start();
    servers_compete(echo_servers, ECHO_SERVERS, figures, rounds, take_turn, NULL);
    servers_print(echo_servers, ECHO_SERVERS, figures, ECHO_RAW, true);
    echo_servers_stop();

    echo_servers[ECHO_BIDE_SPINNING].is_missing = true; /* it weighs the same */
    if (bench_need_files((rlim_t)idle_connections + 100)) {
        for (int round = 0; round < rounds; round++)
            weigh(round);
        print_memory();
    } else {
        printf("(memory skipped: this process may not have so many descriptors)\n");
        for (int i = 0; i < ECHO_SERVERS; i++)
            memory_bytes[i][0] = NAN;
    }
    for (int i = 0; i < ECHO_SERVERS; i++) {
        bench_json_open("io/connections");
        printf(",\"series\":\"connect\",\"title\":\"TCP echo, a connection for each request\"");
        bench_json_number("connections", UNDER_WAY);
        figures_json(&echo_servers[i], &figures[i], "raw", &figures[ECHO_RAW]);
        bench_json_number("idle_connections", idle_connections);
        bench_json_spread("idle_bytes", bench_spread_of(memory_bytes[i], rounds));
        bench_json_close();
    }
    return 0;
}
