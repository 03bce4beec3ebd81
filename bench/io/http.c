/* SPDX-License-Identifier: MIT */
/*
 * http.c - HTTP/1.1: examples/hello_http, a responder by hand on epoll, nginx and Go, under wrk.
 *
 * Each answers every request with the same thirteen bytes of text, on one thread of one core; nginx
 * has one worker and logs nothing. wrk keeps one request, or 16, under way on each of 100
 * connections. See bench/servers.h for the method. Without pipelining wrk takes as much time for a
 * request as the servers do: then compare CPU times. Latencies are wrk's, which adds those that it
 * would have seen had it not waited for a late answer. Only loopback is used.
 */
#include <ftw.h>
#include <string.h>

#include "raw_http.h"
#include "servers.h"

enum { BIDE, RAW, NGINX, GO, SERVERS, CONNECTIONS = 100, CONTESTS = 2 };

static void run_raw(int port_to);

static struct bench_server servers[SERVERS] = {
    [BIDE] = {.key = "bide",
              .name = "Bide's hello_http",
              .needs = "BIDE_EXAMPLES",
              .words = {"../examples/hello_http", "--port", "0"}},
    [RAW] = {.key = "raw", .name = "epoll by hand", .run = run_raw},
    [NGINX] = {.key = "nginx", .name = "nginx", .needs = "the nginx command"},
    [GO] = {.key = "go",
            .name = "Go",
            .needs = "the go command",
            .has_version = true,
            .words = {"peers/go_http", "0"}},
};

static const int depths[CONTESTS] = {1, 16};
static struct bench_figures figures[CONTESTS][SERVERS];
static int rounds = 5, turn_seconds = 2;

/* A directory of this run's own, for the files of wrk and nginx. */
static char directory[64] = "/tmp/bide_bench_XXXXXX";

/* Several requests in one string are sent together. wrk says the rest in words; this in figures. */
static const char wrk_script[] =
    "function init(words)\n"
    "    local depth = tonumber(words[1])\n"
    "    if depth == 1 then return end\n"
    "    local together = string.rep(wrk.format(), depth)\n"
    "    request = function() return together end\n"
    "end\n"
    "function done(all, latency)\n"
    "    local wrong = all.errors.connect + all.errors.read + all.errors.write +\n"
    "        all.errors.status + all.errors.timeout\n"
    "    print(string.format('figures %d %d %f %f %f %d', all.requests, all.duration,\n"
    "        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), wrong))\n"
    "end\n";

static const char nginx_configuration[] = "daemon off;\n"
                                          "master_process off;\n"
                                          "worker_processes 1;\n"
                                          "pid nginx.pid;\n"
                                          "error_log stderr crit;\n"
                                          "events { worker_connections 1024; }\n"
                                          "http {\n"
                                          "    access_log off;\n"
                                          "    keepalive_requests 1000000000;\n"
                                          "    client_body_temp_path body;\n"
                                          "    proxy_temp_path proxy;\n"
                                          "    fastcgi_temp_path fastcgi;\n"
                                          "    uwsgi_temp_path uwsgi;\n"
                                          "    scgi_temp_path scgi;\n"
                                          "    default_type text/plain;\n"
                                          "    server {\n"
                                          "        listen 127.0.0.1:%d backlog=4096;\n"
                                          "        location / { return 200 \"Hello, world\\n\"; }\n"
                                          "    }\n"
                                          "}\n";

static void run_raw(int port_to)
{
    static struct raw_server server;

    dprintf(port_to, "%d\n", raw_listen(&server));
    raw_run(&server, raw_http_serve);
}

/* Servers of the system often lie where only root looks. */
static bool find_command(const char *name, char path[PATH_MAX])
{
    static const char more[] = "/usr/local/sbin:/usr/sbin:/sbin";
    char places[4096];
    const char *at = getenv("PATH");

    snprintf(places, sizeof places, "%s:%s", at != NULL ? at : "", more);
    for (at = places; *at != '\0'; at += strspn(at, ":")) {
        int bytes = (int)strcspn(at, ":");
        snprintf(path, PATH_MAX, "%.*s/%s", bytes, at, name);
        if (access(path, X_OK) == 0)
            return true;
        at += bytes;
    }
    return false;
}

static FILE *create_file(const char *name)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "we");
    if (file == NULL)
        bench_die(path);
    return file;
}

/* It takes no port 0: one that was free a moment ago is taken. */
static void prepare_nginx(void)
{
    static char program[PATH_MAX], configuration[128];
    struct bench_server *nginx = &servers[NGINX];
    char command[PATH_MAX + 32];
    FILE *file;

    if (!find_command("nginx", program)) {
        printf("(skipped: no nginx found; Debian: nginx-light)\n");
        nginx->is_missing = true;
        return;
    }
    snprintf(command, sizeof command, "exec '%s' -v 2>&1", program);
    file = popen(command, "re"); /* nginx version: nginx/1.22.1 */
    if (file == NULL)
        bench_die("popen");
    if (fscanf(file, "nginx version: nginx/%32s", nginx->version + strlen("nginx ")) == 1) {
        memcpy(nginx->version, "nginx ", strlen("nginx "));
        nginx->name = nginx->version;
    }
    pclose(file);

    nginx->has_port = true;
    nginx->port = server_free_port();
    snprintf(configuration, sizeof configuration, "%s/nginx.conf", directory);
    file = create_file("nginx.conf");
    fprintf(file, nginx_configuration, nginx->port);
    fclose(file);
    memcpy(nginx->words, (const char *[]){program, "-p", directory, "-c", configuration},
           5 * sizeof *nginx->words);
}

/* Whether it gives the answer that all give. */
static bool answers(const struct bench_server *server)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const char head[] = "HTTP/1.1 200 OK\r\n", body[] = "\r\n\r\nHello, world\n";
    char answer[1024] = "";
    size_t bytes = 0;
    int fd = server_connect(server->port);
    struct timeval patience = {.tv_usec = 100000}; /* the one by hand does not close */

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bench_write_all(fd, request, sizeof request - 1);
    for (ssize_t got = 1; got > 0 && bytes < sizeof answer - 1;
         bytes += (size_t)(got > 0 ? got : 0))
        got = recv(fd, answer + bytes, sizeof answer - 1 - bytes, 0);
    close(fd);
    return strncmp(answer, head, sizeof head - 1) == 0 && bytes > sizeof body &&
           strcmp(answer + bytes - (sizeof body - 1), body) == 0;
}

static void prepare(void)
{
    FILE *file;

    if (mkdtemp(directory) == NULL)
        bench_die(directory);
    file = create_file("wrk.lua");
    fputs(wrk_script, file);
    fclose(file);
    prepare_nginx();
    servers_find(servers, SERVERS);
    for (int i = 0; i < SERVERS; i++) {
        if (!server_start(&servers[i]) || answers(&servers[i]))
            continue;
        printf("(skipped: %s does not answer as it should)\n", servers[i].name);
        server_stop(&servers[i]);
        servers[i].is_missing = true;
    }
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)kind;
    (void)place;
    return remove(path);
}

static void clean_up(void)
{
    for (int i = 0; i < SERVERS; i++)
        server_stop(&servers[i]);
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static bool take_turn(const struct bench_server *server, const void *contest,
                      struct bench_turn *turn)
{
    int depth = *(const int *)contest;
    char script[128], url[64], seconds[16], deep[16], line[256];
    const char *words[] = {"wrk", "-t1",  "-c100", "-d", seconds, "--timeout", "20",
                           "-s",  script, url,     "--", deep,    NULL};
    double microseconds = 0, wrong = -1, cpu = bench_cpu_seconds(server->pid);
    FILE *output;
    int ends[2];
    pid_t wrk;

    snprintf(script, sizeof script, "%s/wrk.lua", directory);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", server->port);
    snprintf(seconds, sizeof seconds, "%ds", turn_seconds);
    snprintf(deep, sizeof deep, "%d", depth);
    if (pipe2(ends, O_CLOEXEC) < 0)
        bench_die("pipe2");
    wrk = bench_fork_pinned(bench_load_core);
    if (wrk == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execvp("wrk", (char *const *)(uintptr_t)words);
        _exit(127);
    }
    close(ends[1]);
    output = fdopen(ends[0], "r");
    if (output == NULL)
        bench_die("fdopen");
    while (fgets(line, sizeof line, output) != NULL)
        sscanf(line, "figures %lf %lf %lf %lf %lf %lf", &turn->requests, &microseconds,
               &turn->p50_us, &turn->p99_us, &turn->p999_us, &wrong);
    fclose(output);
    waitpid(wrk, NULL, 0);
    turn->seconds = microseconds / 1e6;
    if (depth > 1) /* it takes them for requests that came late, and adds what it then missed */
        turn->p50_us = turn->p99_us = turn->p999_us = NAN;
    turn->cpu_seconds = bench_cpu_seconds(server->pid) - cpu;
    return wrong == 0 && turn->requests > 0;
}

static void hold(int index)
{
    printf("\n%d request%s under way on each connection\n", depths[index],
           depths[index] > 1 ? "s" : "");
    servers_compete(servers, SERVERS, figures[index], rounds, take_turn, &depths[index]);
    servers_print(servers, SERVERS, figures[index], RAW, true);
}

int main(void)
{
    char path[PATH_MAX];

    if (!find_command("wrk", path)) {
        printf("(skipped: no wrk found; Debian: wrk)\n");
        return 0;
    }
    if (bench_is_quick())
        rounds = turn_seconds = 1;
    bench_choose_cores();
    printf("wrk -t1 -c%d and servers on %s; %d rounds of %d s, the servers in turn; CPU time of\n"
           "the server a request and latencies in us.\n",
           CONNECTIONS, bench_load_core >= 0 ? "a core each" : "the same core", rounds,
           turn_seconds);
    prepare();
    for (int i = 0; i < CONTESTS; i++)
        hold(i);
    clean_up();
    for (int contest = 0; contest < CONTESTS; contest++) {
        for (int i = 0; i < SERVERS; i++) {
            bench_json_open("io/http");
            printf(",\"series\":\"http_%d\",\"title\":\"HTTP/1.1 under wrk, %d under way on each\"",
                   depths[contest], depths[contest]);
            bench_json_number("connections", CONNECTIONS);
            bench_json_number("depth", depths[contest]);
            figures_json(&servers[i], &figures[contest][i], "raw", &figures[contest][RAW]);
            bench_json_close();
        }
    }
    return 0;
}
