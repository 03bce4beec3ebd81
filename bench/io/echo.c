/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a TCP echo server on Bide against one written by hand on epoll.
 *
 * Each server is a process of its own on one core, the load (bench/load.h) a process on another; a
 * machine with one core shares it. Both servers are alive and connected throughout, and the load
 * turns to the one and the other in slices of about a second: raw, bide, raw, bide. The ratio is
 * formed within each such pair. CPU time is the server process's own, by its CPU clock, over its
 * slices. In a closed loop the load takes about as much CPU time as a server: where the load is the
 * limit, the ratio says little and the CPU time of a message all (the "busy" column shows it).
 *
 * System calls are counted apart, by ptrace between two marked messages, as tracing is slow: a
 * traced server finds more messages waiting at each poll than it would otherwise, which favours
 * either server alike. Only loopback is used.
 */
#include <bide.h>

#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"
#include "calls.h"
#include "load.h"
#include "processes.h"
#include "raw_echo.h"

enum {
    COUNTS = 3,
    COUNTED_CONNECTIONS = 100,
    MESSAGE_BYTES = 64,
    MARK = 'M',
    BUSY_PERCENT = 80,
};

static const int connection_counts[COUNTS] = {1, 100, 1000};
static int pairs = 9;
static double slice_seconds = 1;
static long counted_messages = 20000;

/* The servers. A marked message begins or ends the counting of system calls. */

static void look_for_mark(const char *bytes)
{
    if (bytes[0] == MARK)
        bench_calls_mark();
}

static int echo(bide_stream *stream, void *is_counted)
{
    const char *data;
    ssize_t got;

    while ((got = bide_peek(stream, &data, 1)) > 0) {
        if (is_counted != NULL)
            look_for_mark(data);
        if (bide_write(stream, data, (size_t)got) != got || bide_skip(stream, (size_t)got) != got)
            break;
    }
    return 0;
}

struct start {
    int port_to; /* write the port here */
    bool is_counted;
};

static int bide_server(void *arg)
{
    struct start *start = arg;
    bide_listener *listener;
    char address[64];
    int port, err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err == 0)
        err = bide_listener_address(listener, address, sizeof address);
    if (err < 0)
        return err;
    port = atoi(strrchr(address, ':') + 1);
    bench_write_all(start->port_to, &port, sizeof port);
    return bide_serve(listener, echo, start->is_counted ? start : NULL);
}

static int raw_server(void *arg)
{
    static struct raw_server server;
    struct start *start = arg;
    int port = raw_listen(&server);

    if (start->is_counted)
        server.on_message = look_for_mark;
    bench_write_all(start->port_to, &port, sizeof port);
    raw_run(&server, raw_serve);
}

static int run_bide_server(void *arg)
{
    return bide_run(bide_server, arg, NULL);
}

enum { RAW, BIDE, SERVERS };

static const struct {
    const char *name;
    int (*run)(void *start);
} servers[SERVERS] = {{"raw epoll", raw_server}, {"bide", run_bide_server}};

struct process {
    pid_t pid;
    int port;   /* of a server */
    int socket; /* to the load */
};

/* A counted server waits for its tracer before it listens, so its port is read later. */
static struct process start_server(int which, bool is_counted)
{
    struct process process = {.socket = -1};
    int ends[2];

    if (pipe(ends) < 0)
        bench_die("pipe");
    process.pid = bench_fork_pinned(bench_server_core);
    if (process.pid == 0) {
        struct start start = {.port_to = ends[1], .is_counted = is_counted};
        close(ends[0]);
        if (is_counted && !bench_calls_begin())
            _exit(1);
        servers[which].run(&start);
        _exit(1);
    }
    close(ends[1]);
    if (is_counted) {
        process.socket = ends[0];
        return process;
    }
    bench_read_all(ends[0], &process.port, sizeof process.port);
    close(ends[0]);
    return process;
}

static void stop(const struct process *process)
{
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    if (process->socket >= 0)
        close(process->socket);
}

/* The load: a process that takes orders. */

struct order {
    int server;
    double seconds;
};

static struct load_shape shape(int connections)
{
    return (struct load_shape){connections, MESSAGE_BYTES, 1};
}

static void be_load(int socket, const int *ports, int connections)
{
    static struct load loads[SERVERS];
    struct order order;

    for (int i = 0; i < SERVERS; i++)
        load_connect(&loads[i], ports[i], shape(connections));
    while (read(socket, &order, sizeof order) == sizeof order) {
        struct load_result result = load_run(&loads[order.server], 0, order.seconds, LONG_MAX);
        bench_write_all(socket, &result, sizeof result);
    }
    _exit(0);
}

static struct process start_load(const int *ports, int connections)
{
    struct process process = {.port = 0};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        bench_die("socketpair");
    process.pid = bench_fork_pinned(bench_load_core);
    if (process.pid == 0) {
        close(ends[0]);
        be_load(ends[1], ports, connections);
    }
    close(ends[1]);
    process.socket = ends[0];
    return process;
}

/* User time alone, as the kernel samples it: coarse, so only for sums of slices. */
static double user_seconds(pid_t pid)
{
    char path[64], text[512];
    const char *field;
    FILE *file;
    size_t bytes;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return NAN;
    bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = '\0';
    /* The fourteenth field; the name, the second, may hold spaces but ends at the last ')'. */
    field = strrchr(text, ')');
    for (int skip = 0; field != NULL && skip < 12; skip++)
        field = strchr(field + 1, ' ');
    return field == NULL ? NAN : atof(field) / (double)sysconf(_SC_CLK_TCK);
}

/* The figures of one server with one number of connections, a sample a slice. */
struct figures {
    double rate[BENCH_ROUNDS_MOST];
    double cpu_us[BENCH_ROUNDS_MOST]; /* of a message */
    double busy[BENCH_ROUNDS_MOST];   /* CPU time by time, percent */
    double p50_us[BENCH_ROUNDS_MOST];
    double p99_us[BENCH_ROUNDS_MOST];
    double messages;
    double user_us; /* of a message */
};

static void run_slice(const struct process *load, const struct process *server, int which,
                      double seconds, struct figures *figures, int sample)
{
    struct order order = {.server = which, .seconds = seconds};
    struct load_result result;
    double cpu = bench_cpu_seconds(server->pid);

    bench_write_all(load->socket, &order, sizeof order);
    bench_read_all(load->socket, &result, sizeof result);
    if (sample < 0)
        return;
    cpu = bench_cpu_seconds(server->pid) - cpu;
    figures->rate[sample] = result.messages / result.seconds;
    figures->cpu_us[sample] = cpu * 1e6 / result.messages;
    figures->busy[sample] = cpu * 100 / result.seconds;
    figures->p50_us[sample] = result.p50_us;
    figures->p99_us[sample] = result.p99_us;
    figures->messages += result.messages;
}

static struct figures figures[COUNTS][SERVERS];

static void measure(int count)
{
    struct process processes[SERVERS], load;
    double user[SERVERS];
    int ports[SERVERS];

    for (int i = 0; i < SERVERS; i++) {
        processes[i] = start_server(i, false);
        ports[i] = processes[i].port;
    }
    load = start_load(ports, connection_counts[count]);
    for (int i = 0; i < SERVERS; i++) {
        run_slice(&load, &processes[i], i, slice_seconds / 4, NULL, -1);
        user[i] = user_seconds(processes[i].pid);
    }
    for (int pair = 0; pair < pairs; pair++)
        for (int i = 0; i < SERVERS; i++)
            run_slice(&load, &processes[i], i, slice_seconds, &figures[count][i], pair);
    for (int i = 0; i < SERVERS; i++) {
        struct figures *all = &figures[count][i];
        all->user_us = (user_seconds(processes[i].pid) - user[i]) * 1e6 / all->messages;
        stop(&processes[i]);
    }
    stop(&load);
}

/* System calls. */

static struct bench_calls calls[SERVERS];
static double calls_each[SERVERS] = {NAN, NAN};

/* The load of a counted server: warm up, mark, the messages, mark. */
static void be_counted_load(int port_from)
{
    static struct load all, mark;
    int port;

    bench_read_all(port_from, &port, sizeof port);
    load_connect(&all, port, shape(COUNTED_CONNECTIONS));
    load_connect(&mark, port, shape(1));
    mark.message[0] = MARK;
    load_run(&all, 0, 1e9, COUNTED_CONNECTIONS * 10);
    load_run(&mark, 0, 1e9, 1);
    load_run(&all, 0, 1e9, counted_messages);
    load_send(&mark, &mark.connections[0], 1, 0); /* the last the server sees */
    pause();
}

static void count_calls(int which)
{
    struct process server = start_server(which, true);
    pid_t load = bench_fork_pinned(bench_load_core);

    if (load == 0)
        be_counted_load(server.socket);
    /* The first mark's answer and the second mark's message make up one message more. */
    if (bench_calls_count(server.pid, &calls[which]))
        calls_each[which] = (double)calls[which].total / (double)(counted_messages + 1);
    else
        stop(&server);
    kill(load, SIGKILL);
    waitpid(load, NULL, 0);
}

/* What was seen. */

static void print_figures(int count)
{
    for (int i = 0; i < SERVERS; i++) {
        const struct figures *all = &figures[count][i];
        struct bench_spread rate = bench_spread_of(all->rate, pairs);
        printf("%5d %-10s %9.0f %9.0f %9.0f %7.2f %7.2f %5.0f %8.1f %8.1f\n",
               connection_counts[count], servers[i].name, rate.median, rate.least, rate.most,
               bench_spread_of(all->cpu_us, pairs).median, all->user_us,
               bench_spread_of(all->busy, pairs).median, bench_spread_of(all->p50_us, pairs).median,
               bench_spread_of(all->p99_us, pairs).median);
    }
    printf("      bide/raw, pair by pair:");
    for (int pair = 0; pair < pairs; pair++)
        printf(" %.3f", figures[count][BIDE].rate[pair] / figures[count][RAW].rate[pair]);
    printf("\n      the same of CPU time a message: %.3f\n",
           bench_ratios_of(figures[count][BIDE].cpu_us, figures[count][RAW].cpu_us, pairs).median);
    if (connection_counts[count] >= 100 &&
        bench_spread_of(figures[count][RAW].busy, pairs).median < BUSY_PERCENT)
        printf(
            "      note: neither server was busy: other programs took the cores, or the load is\n"
            "      the limit; trust the ratio of CPU times more\n");
    fflush(stdout);
}

static void print_calls(int which)
{
    static const struct {
        const char *name;
        long number;
    } known[] = {
        {"recvfrom", SYS_recvfrom},         {"sendto", SYS_sendto},
#ifdef SYS_epoll_wait
        {"epoll_wait", SYS_epoll_wait},
#endif
        {"epoll_pwait", SYS_epoll_pwait},
#ifdef SYS_epoll_pwait2
        {"epoll_pwait2", SYS_epoll_pwait2},
#endif
        {"epoll_ctl", SYS_epoll_ctl},
    };
    long rest = calls[which].total;

    printf("system calls a message, %-10s", servers[which].name);
    if (isnan(calls_each[which])) {
        printf(" not counted: this process may not trace\n");
        return;
    }
    printf(" %.3f:", calls_each[which]);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        long count = calls[which].each[known[i].number];
        if (count > 0)
            printf(" %s %.3f,", known[i].name, (double)count / (double)(counted_messages + 1));
        rest -= count;
    }
    printf(" others %.3f\n", (double)rest / (double)(counted_messages + 1));
}

static void json_server(const char *key, const struct figures *all)
{
    char name[64];
    const struct {
        const char *suffix;
        const double *samples;
    } spreads[] = {
        {"per_s", all->rate},    {"cpu_us", all->cpu_us}, {"busy_percent", all->busy},
        {"p50_us", all->p50_us}, {"p99_us", all->p99_us},
    };

    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
        snprintf(name, sizeof name, "%s_%s", key, spreads[i].suffix);
        bench_json_spread(name, bench_spread_of(spreads[i].samples, pairs));
    }
    snprintf(name, sizeof name, "%s_user_us", key);
    bench_json_number(name, all->user_us);
}

static void print_json(void)
{
    char key[64];

    bench_json_open("io/echo");
    bench_json_title("TCP echo, 64 B, a closer look");
    printf(",\"by\":\"connections\"");
    bench_json_number("pairs", pairs);
    bench_json_number("slice_s", slice_seconds);
    for (int count = 0; count < COUNTS; count++) {
        const struct figures *both = figures[count];
        snprintf(key, sizeof key, "raw_%d", connection_counts[count]);
        json_server(key, &both[RAW]);
        snprintf(key, sizeof key, "bide_%d", connection_counts[count]);
        json_server(key, &both[BIDE]);
        snprintf(key, sizeof key, "ratio_%d", connection_counts[count]);
        bench_json_spread(key, bench_ratios_of(both[BIDE].rate, both[RAW].rate, pairs));
        snprintf(key, sizeof key, "cpu_ratio_%d", connection_counts[count]);
        bench_json_spread(key, bench_ratios_of(both[BIDE].cpu_us, both[RAW].cpu_us, pairs));
    }
    bench_json_number("raw_calls_per_message", calls_each[RAW]);
    bench_json_number("bide_calls_per_message", calls_each[BIDE]);
    bench_json_close();
}

int main(void)
{
    static const char *const targets[COUNTS] = {"ratio_1", "ratio_100", "ratio_1000"};
    struct rlimit files;

    if (bench_is_quick()) {
        pairs = 7;
        slice_seconds = 0.1;
        counted_messages = 5000;
    }
    /* The load holds two connections for each of the most. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    bench_choose_cores();
    printf("Echo: TCP on loopback, %d-byte messages, one under way on each connection; server and\n"
           "load on %s; %d pairs of slices of %g s, raw and bide in turn;\n"
           "CPU (all, and user alone) in us of the server a message, latencies in us.\n",
           MESSAGE_BYTES, bench_load_core >= 0 ? "a core each" : "the same core", pairs,
           slice_seconds);
    printf("%5s %-10s %9s %9s %9s %7s %7s %5s %8s %8s\n", "conns", "server", "median/s", "least",
           "most", "CPU", "user", "busy%", "p50", "p99");
    for (int count = 0; count < COUNTS; count++) {
        measure(count);
        print_figures(count);
    }
    for (int i = 0; i < SERVERS; i++) {
        count_calls(i);
        print_calls(i);
    }
    for (int count = 0; count < COUNTS; count++)
        bench_target_least(
            targets[count],
            bench_ratios_of(figures[count][BIDE].rate, figures[count][RAW].rate, pairs).median,
            0.95);
    bench_target_most("bide_calls_per_message", calls_each[BIDE], 2.05);
    print_json();
    return 0;
}
