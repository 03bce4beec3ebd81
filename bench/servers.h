/* SPDX-License-Identifier: MIT */
/*
 * servers.h - servers side by side: ours, one by hand and those of peers, under the same load.
 *
 * Each server is a process of its own on one core, the load on another; a machine with one core
 * shares it. They are loaded in turn, round after round, and a ratio is formed within each round.
 * Before each turn the benchmark waits until the server before it has come to rest. CPU time is the
 * server process's own, by its CPU clock. A server that fails once is left out of that contest.
 *
 * A server of ours or one by hand is a function; a peer's is a program, in peers/ beside the
 * benchmark (bench/peers/echo.h), and says itself which version it is.
 */
#ifndef BENCH_SERVERS_H
#define BENCH_SERVERS_H

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "processes.h"

enum { SERVER_WORDS_MOST = 8, SERVER_BUSY_PERCENT = 80, SERVER_TURN_SECONDS_MOST = 60 };

struct bench_server {
    const char *key;                      /* in JSON */
    const char *name;                     /* with the version, once that is known */
    void (*run)(int port_to);             /* writes its port there as text; NULL for a program: */
    const char *words[SERVER_WORDS_MOST]; /* its path from here, or name, and arguments */
    const char *needs;                    /* what it is built with */
    bool has_version;                     /* for "version" in place of the first argument */
    bool is_missing;
    char version[64];
    pid_t pid;
    bool has_port; /* that was chosen before; else the server writes it */
    int port;
};

/* A path that is given from the directory of the benchmark, else the name as it is. */
static inline void bench_beside(const char *name, char path[PATH_MAX])
{
    char *end;
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 128);

    if (bytes < 0)
        bench_die("/proc/self/exe");
    path[bytes] = '\0';
    end = strrchr(path, '/') + 1;
    if (strchr(name, '/') == NULL || name[0] == '/')
        end = path;
    snprintf(end, (size_t)(PATH_MAX - (end - path)), "%s", name);
}

static inline bool server_ask_version(struct bench_server *server)
{
    char command[PATH_MAX + 128], path[PATH_MAX];
    FILE *output;
    bool has_line;

    bench_beside(server->words[0], path);
    snprintf(command, sizeof command, "exec '%s' version %s 2> /dev/null", path,
             server->words[2] != NULL ? server->words[2] : "");
    output = popen(command, "re");
    if (output == NULL)
        bench_die("popen");
    has_line = fgets(server->version, sizeof server->version, output) != NULL;
    if (pclose(output) != 0 || !has_line)
        return false;
    server->version[strcspn(server->version, "\n")] = '\0';
    server->name = server->version;
    return true;
}

/* See which servers there are, and name those that are not. */
static inline void servers_find(struct bench_server *servers, int count)
{
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        if (servers[i].run != NULL || servers[i].is_missing)
            continue;
        bench_beside(servers[i].words[0], path);
        if (strchr(path, '/') != NULL && access(path, X_OK) != 0)
            servers[i].is_missing = true;
        else if (servers[i].has_version)
            servers[i].is_missing = !server_ask_version(&servers[i]);
        if (servers[i].is_missing)
            printf("(skipped: %s; there where %s is)\n", servers[i].name, servers[i].needs);
    }
}

_Noreturn static inline void server_be(const struct bench_server *server, int output)
{
    char path[PATH_MAX];

    if (server->run != NULL) {
        server->run(output);
        _exit(1);
    }
    bench_beside(server->words[0], path);
    if (dup2(output, STDOUT_FILENO) >= 0)
        execvp(path, (char *const *)(uintptr_t)server->words);
    _exit(127);
}

/* A port that is free now. */
static inline int server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0)
        bench_die("a free port");
    close(fd);
    return ntohs(address.sin_port);
}

/* A connection to a server, or -1. */
static inline int server_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        bench_die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline void server_stop(struct bench_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

/* Start it and wait until it listens. False, with a line that says so, when it does not. */
static inline bool server_start(struct bench_server *server)
{
    char line[128] = "";
    const char *port;
    bool is_there = false;
    int ends[2];

    if (server->is_missing)
        return false;
    if (pipe2(ends, O_CLOEXEC) < 0)
        bench_die("pipe2");
    server->pid = bench_fork_pinned(bench_server_core);
    if (server->pid == 0)
        server_be(server, ends[1]);
    close(ends[1]);
    if (!server->has_port) {
        FILE *output = fdopen(ends[0], "r");
        if (output == NULL)
            bench_die("fdopen");
        is_there = fgets(line, sizeof line, output) != NULL;
        port = strrchr(line, ':') != NULL ? strrchr(line, ':') + 1 : line;
        server->port = atoi(port);
        is_there = is_there && server->port > 0;
        fclose(output);
    } else {
        for (int tries = 0; tries < 500 && !is_there; tries++) {
            int fd = server_connect(server->port);
            is_there = fd >= 0;
            if (is_there)
                close(fd);
            else
                usleep(10000);
        }
        close(ends[0]);
    }
    if (is_there)
        return true;
    printf("(skipped: %s did not start)\n", server->name);
    server->is_missing = true;
    server_stop(server);
    return false;
}

/* Wait until it does nothing any more, for instance about connections that have ended. */
static inline void server_rest(const struct bench_server *server)
{
    double now = bench_cpu_seconds(server->pid), before;

    for (int tries = 0; tries < 200; tries++) {
        before = now;
        usleep(10000);
        now = bench_cpu_seconds(server->pid);
        if (!(now - before > 0.0002))
            return;
    }
}

/* Descriptors: as many as one may have, or so many more where the limit can be lifted. */
static inline bool bench_need_files(rlim_t least)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    if (files.rlim_max < least)
        files.rlim_max = least;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return true;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur >= least;
}

/* What one server did in one contest, a sample a round. */

struct bench_turn {
    double seconds;
    double requests;
    double cpu_seconds;
    double p50_us, p99_us, p999_us;
};

struct bench_figures {
    int samples;
    bool has_failed;
    double per_s[BENCH_ROUNDS_MOST];
    double cpu_us[BENCH_ROUNDS_MOST]; /* of a request */
    double busy[BENCH_ROUNDS_MOST];   /* CPU time by time, percent */
    double p50_us[BENCH_ROUNDS_MOST];
    double p99_us[BENCH_ROUNDS_MOST];
    double p999_us[BENCH_ROUNDS_MOST];
};

static inline void figures_add(struct bench_figures *to, const struct bench_turn *turn)
{
    int i = to->samples++;

    to->per_s[i] = turn->requests / turn->seconds;
    to->cpu_us[i] = turn->cpu_seconds * 1e6 / turn->requests;
    to->busy[i] = turn->cpu_seconds * 100 / turn->seconds;
    to->p50_us[i] = turn->p50_us;
    to->p99_us[i] = turn->p99_us;
    to->p999_us[i] = turn->p999_us;
}

/* NaN for a server that failed. */
static inline struct bench_spread figures_spread(const struct bench_figures *of,
                                                 const double *samples)
{
    if (of->has_failed || of->samples == 0)
        return (struct bench_spread){NAN, NAN, NAN};
    return bench_spread_of(samples, of->samples);
}

static inline struct bench_spread figures_ratio(const struct bench_figures *of,
                                                const double *samples,
                                                const struct bench_figures *to,
                                                const double *to_samples)
{
    if (of->has_failed || to->has_failed || of->samples == 0 || of->samples != to->samples)
        return (struct bench_spread){NAN, NAN, NAN};
    return bench_ratios_of(samples, to_samples, of->samples);
}

/* One turn of one server; false when it failed. */
typedef bool bench_take_turn(const struct bench_server *server, const void *contest,
                             struct bench_turn *turn);

/* The servers in turn, round after round; but for quick runs, after one that does not count. */
static inline void servers_compete(struct bench_server *servers, int count,
                                   struct bench_figures *figures, int rounds, bench_take_turn *take,
                                   const void *contest)
{
    for (int i = 0; i < count; i++)
        figures[i].has_failed = servers[i].is_missing;
    for (int round = bench_is_quick() ? 0 : -1; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            struct bench_turn turn = {.seconds = 0};
            if (figures[i].has_failed)
                continue;
            if (take(&servers[i], contest, &turn)) {
                if (round >= 0)
                    figures_add(&figures[i], &turn);
            } else {
                printf("(%s failed)\n", servers[i].name);
                figures[i].has_failed = true;
            }
            server_rest(&servers[i]);
        }
    }
}

/* A turn whose load is a process of its own, which fills in the turn. */
typedef void bench_be_load(const struct bench_server *server, const void *contest,
                           struct bench_turn *turn);

static inline bool server_take_load(const struct bench_server *server, const void *contest,
                                    bench_be_load *be_load, struct bench_turn *turn)
{
    int ends[2];
    bool is_done;
    pid_t load;

    if (pipe2(ends, O_CLOEXEC) < 0)
        bench_die("pipe2");
    load = bench_fork_pinned(bench_load_core);
    if (load == 0) {
        alarm(SERVER_TURN_SECONDS_MOST);
        be_load(server, contest, turn);
        bench_write_all(ends[1], turn, sizeof *turn);
        _exit(0);
    }
    close(ends[1]);
    is_done = read(ends[0], turn, sizeof *turn) == (ssize_t)sizeof *turn;
    close(ends[0]);
    waitpid(load, NULL, 0);
    return is_done;
}

/* Closing ends the connection by a reset: tens of thousands that linger would stop new ones. */
static inline void bench_reset_on_close(int fd)
{
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
}

static inline void figures_print_heading(const char *to)
{
    char ratio[32];

    snprintf(ratio, sizeof ratio, "to %s", to);
    printf("%-24s %10s %10s %10s %9s %7s %7s %8s %5s %8s %8s %8s\n", "", "median/s", "least",
           "most", ratio, "least", "most", "CPU us", "busy%", "p50", "p99", "p99.9");
}

static inline void figures_print(const char *name, const struct bench_figures *of,
                                 const struct bench_figures *to)
{
    struct bench_spread rate = figures_spread(of, of->per_s);
    struct bench_spread ratio = figures_ratio(of, of->per_s, to, to->per_s);

    printf("%-24s", name);
    bench_print_cell(10, 0, rate.median);
    bench_print_cell(10, 0, rate.least);
    bench_print_cell(10, 0, rate.most);
    bench_print_cell(9, 2, ratio.median);
    bench_print_cell(7, 2, ratio.least);
    bench_print_cell(7, 2, ratio.most);
    bench_print_cell(8, 2, figures_spread(of, of->cpu_us).median);
    bench_print_cell(5, 0, figures_spread(of, of->busy).median);
    bench_print_cell(8, 0, figures_spread(of, of->p50_us).median);
    bench_print_cell(8, 0, figures_spread(of, of->p99_us).median);
    bench_print_cell(8, 0, figures_spread(of, of->p999_us).median);
    printf("\n");
}

/* All of them, and a word of warning where they had little to do but should have had much. */
static inline void servers_print(const struct bench_server *servers, int count,
                                 const struct bench_figures *figures, int to, bool is_load_high)
{
    figures_print_heading("epoll");
    for (int i = 0; i < count; i++)
        if (!servers[i].is_missing)
            figures_print(servers[i].name, &figures[i], &figures[to]);
    if (is_load_high && figures_spread(&figures[to], figures[to].busy).median < SERVER_BUSY_PERCENT)
        printf("note: the servers were not busy: other programs took the cores, or the load is\n"
               "the limit; trust CPU times more\n");
    fflush(stdout);
}

/* Within a JSON line of one server in one contest. */
static inline void figures_json(const struct bench_server *server, const struct bench_figures *of,
                                const char *ratio_suffix, const struct bench_figures *to)
{
    char key[64];

    printf(",\"server\":\"%s\",\"name\":\"%s\"", server->key, server->name);
    bench_json_number("rounds", of->samples);
    bench_json_spread("per_s", figures_spread(of, of->per_s));
    bench_json_spread("cpu_us", figures_spread(of, of->cpu_us));
    bench_json_spread("busy_percent", figures_spread(of, of->busy));
    bench_json_spread("p50_us", figures_spread(of, of->p50_us));
    bench_json_spread("p99_us", figures_spread(of, of->p99_us));
    bench_json_spread("p999_us", figures_spread(of, of->p999_us));
    snprintf(key, sizeof key, "per_s_to_%s", ratio_suffix);
    bench_json_spread(key, figures_ratio(of, of->per_s, to, to->per_s));
    snprintf(key, sizeof key, "cpu_us_to_%s", ratio_suffix);
    bench_json_spread(key, figures_ratio(of, of->cpu_us, to, to->cpu_us));
}

#endif
