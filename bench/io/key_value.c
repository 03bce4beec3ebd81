/* SPDX-License-Identifier: MIT */
/*
 * key_value.c - examples/key_value against redis-server, both under redis-benchmark.
 *
 * The servers are processes of their own on one core, alive throughout; redis-benchmark runs on
 * another, a machine with one core shares it. It turns to the one and the other: redis, bide,
 * redis, bide; ratios are formed within each such pair. Redis keeps nothing on disk and has one I/O
 * thread, as is its default. CPU time is the server process's own, by its CPU clock. Without
 * pipelining redis-benchmark takes about as much time for a request as the servers do: where it is
 * the limit, the ratio of rates says little and that of CPU times all (the "busy" column shows it).
 *
 * Only loopback is used, and ports that nobody else has.
 */
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum {
    REDIS,
    BIDE,
    SERVERS,
    SET = 0,
    GET,
    TESTS,
    PIPELINES = 2,
    CONNECTIONS = 50,
    BUSY_PERCENT = 80
};

static const char *const server_names[SERVERS] = {"redis", "bide"};
static const char *const test_names[TESTS] = {"set", "get"};
static const int pipelines[PIPELINES] = {1, 16};
static long requests[PIPELINES] = {100000, 600000};
static int pairs = 7;

static struct server {
    pid_t pid;
    int port;
} servers[SERVERS];

static struct figures {
    double rate[BENCH_ROUNDS_MOST];
    double cpu_us[BENCH_ROUNDS_MOST]; /* of a request */
    double busy[BENCH_ROUNDS_MOST];   /* CPU time by time, percent */
    double p50_us[BENCH_ROUNDS_MOST];
} figures[PIPELINES][TESTS][SERVERS];

/* The cores of the servers and the load; -1 where there are not two. */
static int server_core = -1, load_core = -1;

static void choose_cores(void)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2)
        return;
    for (int core = 0; core < CPU_SETSIZE && load_core < 0; core++) {
        if (!CPU_ISSET((size_t)core, &allowed))
            continue;
        if (server_core < 0)
            server_core = core;
        else
            load_core = core;
    }
}

static void pin(int core)
{
    cpu_set_t one;

    if (core < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)core, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static bool is_there(const char *command)
{
    char path[PATH_MAX];
    const char *at = getenv("PATH");

    for (; at != NULL && *at != '\0'; at += strspn(at, ":")) {
        int bytes = (int)strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s/%s", bytes, at, command);
        if (access(path, X_OK) == 0)
            return true;
        at += bytes;
    }
    return false;
}

/* Start a server that ends with this process. Returns where its output can be read. */
static FILE *start(struct server *server, char *const *arguments)
{
    int ends[2];

    if (pipe(ends) < 0)
        bench_die("pipe");
    fflush(stdout);
    server->pid = fork();
    if (server->pid < 0)
        bench_die("fork");
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(server_core);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

static void stop_servers(void)
{
    for (int i = 0; i < SERVERS; i++) {
        if (servers[i].pid <= 0)
            continue;
        kill(servers[i].pid, SIGKILL);
        waitpid(servers[i].pid, NULL, 0);
        servers[i].pid = 0;
    }
}

_Noreturn static void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    stop_servers();
    exit(1);
}

static void start_bide(char *program)
{
    char address[] = "tcp://127.0.0.1:0";
    FILE *output = start(&servers[BIDE], (char *[]){program, "--listen", address, NULL});
    char line[128];

    if (output == NULL || fgets(line, sizeof line, output) == NULL || strrchr(line, ':') == NULL)
        give_up("key_value did not start");
    servers[BIDE].port = atoi(strrchr(line, ':') + 1);
    fclose(output);
}

/* A connection to a port of loopback, or with port 0 a socket on one that is free. */
static int port_socket(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        bench_die("socket");
    err = *port != 0 ? connect(fd, (struct sockaddr *)&address, bytes)
                     : bind(fd, (struct sockaddr *)&address, bytes);
    if (err == 0 && *port == 0 && getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
        *port = ntohs(address.sin_port);
    if (err == 0)
        return fd;
    close(fd);
    return -1;
}

/* Redis takes no port 0: one that was free a moment ago is taken. */
static void start_redis(void)
{
    struct server *server = &servers[REDIS];
    char port[16];
    FILE *output;

    close(port_socket(&server->port));
    snprintf(port, sizeof port, "%d", server->port);
    output = start(server, (char *[]){"redis-server", "--port", port, "--bind", "127.0.0.1",
                                      "--save", "", "--appendonly", "no", "--daemonize", "no",
                                      "--logfile", "/dev/null", NULL});
    fclose(output);
    for (int tries = 0; tries < 500; tries++) {
        int fd = port_socket(&server->port);
        if (waitpid(server->pid, NULL, WNOHANG) != 0)
            break;
        if (fd >= 0) {
            close(fd);
            return;
        }
        usleep(10000);
    }
    give_up("redis-server did not start");
}

static double cpu_seconds(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return NAN;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * One run of redis-benchmark. Its line of figures: "SET","98039.22","0.26",... with the rate, the
 * mean, the least, the median ... of latencies in milliseconds.
 */
static void run(int pipeline, int test, int which, int sample)
{
    struct figures *to = &figures[pipeline][test][which];
    const struct server *server = &servers[which];
    double rate = NAN, p50_ms = NAN, cpu = cpu_seconds(server->pid);
    char command[256], line[512], said[512] = "redis-benchmark failed";
    FILE *output;

    snprintf(command, sizeof command,
             "exec redis-benchmark -h 127.0.0.1 -p %d -t %s -n %ld -c %d -P %d --csv 2>&1",
             server->port, test_names[test], requests[pipeline], CONNECTIONS, pipelines[pipeline]);
    output = popen(command, "re");
    if (output == NULL)
        bench_die("popen");
    while (fgets(line, sizeof line, output) != NULL)
        if (sscanf(line, "\"%*3[SGET]\",\"%lf\",\"%*f\",\"%*f\",\"%lf\"", &rate, &p50_ms) < 1)
            memcpy(said, line, sizeof said);
    if (pclose(output) != 0 || isnan(rate))
        give_up(said);
    if (sample < 0)
        return;
    cpu = cpu_seconds(server->pid) - cpu;
    to->rate[sample] = rate;
    to->cpu_us[sample] = cpu * 1e6 / (double)requests[pipeline];
    to->busy[sample] = cpu * 100 * rate / (double)requests[pipeline];
    to->p50_us[sample] = p50_ms * 1e3;
}

static void print_figures(int pipeline, int test)
{
    const struct figures *both = figures[pipeline][test];

    for (int i = 0; i < SERVERS; i++) {
        struct bench_spread rate = bench_spread_of(both[i].rate, pairs);
        printf("%s -P %-3d %-6s %9.0f %9.0f %9.0f %8.2f %5.0f %8.0f\n", test_names[test],
               pipelines[pipeline], server_names[i], rate.median, rate.least, rate.most,
               bench_spread_of(both[i].cpu_us, pairs).median,
               bench_spread_of(both[i].busy, pairs).median,
               bench_spread_of(both[i].p50_us, pairs).median);
    }
    printf("     bide/redis, pair by pair:");
    for (int pair = 0; pair < pairs; pair++)
        printf(" %.3f", both[BIDE].rate[pair] / both[REDIS].rate[pair]);
    printf("\n     the same of CPU time a request: %.3f\n",
           bench_ratios_of(both[BIDE].cpu_us, both[REDIS].cpu_us, pairs).median);
    if (bench_spread_of(both[REDIS].busy, pairs).median < BUSY_PERCENT)
        printf(
            "     note: the servers were not busy: other programs took the cores, or the load is\n"
            "     the limit; trust the ratio of CPU times more\n");
    fflush(stdout);
}

static void print_json(void)
{
    char key[64];

    bench_json_open("io/key_value");
    bench_json_title("The example key_value beside redis-server");
    bench_json_number("pairs", pairs);
    for (int pipeline = 0; pipeline < PIPELINES; pipeline++) {
        for (int test = 0; test < TESTS; test++) {
            const struct figures *both = figures[pipeline][test];
            const char *name = test_names[test];
            int deep = pipelines[pipeline];
            for (int i = 0; i < SERVERS; i++) {
                snprintf(key, sizeof key, "%s_%s_%d_per_s", server_names[i], name, deep);
                bench_json_spread(key, bench_spread_of(both[i].rate, pairs));
                snprintf(key, sizeof key, "%s_%s_%d_cpu_us", server_names[i], name, deep);
                bench_json_spread(key, bench_spread_of(both[i].cpu_us, pairs));
                snprintf(key, sizeof key, "%s_%s_%d_p50_us", server_names[i], name, deep);
                bench_json_spread(key, bench_spread_of(both[i].p50_us, pairs));
            }
            snprintf(key, sizeof key, "ratio_%s_%d", name, deep);
            bench_json_spread(key, bench_ratios_of(both[BIDE].rate, both[REDIS].rate, pairs));
            snprintf(key, sizeof key, "cpu_ratio_%s_%d", name, deep);
            bench_json_spread(key, bench_ratios_of(both[BIDE].cpu_us, both[REDIS].cpu_us, pairs));
        }
    }
    bench_json_close();
}

/* The example lies beside the benchmarks' directory; false when it was not built. */
static bool find_example(char program[PATH_MAX])
{
    ssize_t bytes = readlink("/proc/self/exe", program, PATH_MAX - 32);

    if (bytes < 0)
        bench_die("/proc/self/exe");
    program[bytes] = '\0';
    strcpy(strrchr(program, '/'), "/../examples/key_value");
    return access(program, X_OK) == 0;
}

int main(void)
{
    static const char *const targets[PIPELINES][TESTS][2] = {
        {{"ratio_set_1", "cpu_ratio_set_1"}, {"ratio_get_1", "cpu_ratio_get_1"}},
        {{"ratio_set_16", "cpu_ratio_set_16"}, {"ratio_get_16", "cpu_ratio_get_16"}},
    };
    char program[PATH_MAX];

    if (!is_there("redis-server") || !is_there("redis-benchmark")) {
        printf("(skipped: no redis-server or redis-benchmark found; Debian: redis-server)\n");
        return 0;
    }
    if (!find_example(program)) {
        printf("(skipped: examples/key_value is not built)\n");
        return 0;
    }
    if (bench_is_quick()) {
        pairs = 3;
        requests[0] = 5000;
        requests[1] = 40000;
    }
    choose_cores();
    start_redis();
    start_bide(program);
    pin(load_core);

    printf("redis-benchmark -c %d on core %d, servers on core %d (-1: anywhere), %d pairs,\n"
           "%ld requests a run, %ld with -P 16; rates are requests a second\n",
           CONNECTIONS, load_core, server_core, pairs, requests[0], requests[1]);
    printf("%-10s %-6s %9s %9s %9s %8s %5s %8s\n", "", "", "median", "least", "most", "CPU us",
           "busy", "p50 us");
    for (int pipeline = 0; pipeline < PIPELINES; pipeline++) {
        for (int pair = -1; pair < pairs; pair++)
            for (int test = 0; test < TESTS; test++)
                for (int i = 0; i < SERVERS; i++)
                    run(pipeline, test, i, pair);
        for (int test = 0; test < TESTS; test++)
            print_figures(pipeline, test);
    }
    stop_servers();
    for (int pipeline = 0; pipeline < PIPELINES; pipeline++)
        for (int test = 0; test < TESTS; test++) {
            const struct figures *both = figures[pipeline][test];
            bench_target_least(targets[pipeline][test][0],
                               bench_ratios_of(both[BIDE].rate, both[REDIS].rate, pairs).median, 1);
            bench_target_most(targets[pipeline][test][1],
                              bench_ratios_of(both[BIDE].cpu_us, both[REDIS].cpu_us, pairs).median,
                              1);
        }
    print_json();
    return 0;
}
