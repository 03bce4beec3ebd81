/* SPDX-License-Identifier: MIT */
/*
 * copy.c - bide_copy from socket to socket against reading and writing the same bytes.
 *
 * A process writes, a process reads, both on one core, and this one copies between them on another:
 * by bide_copy, which splices after a while, and by a loop of bide_read and bide_write through
 * 64 KiB, which is what bide_copy does before. As the other core is the busier one, the copying
 * process's CPU time says more than the time that passes; over loopback it includes what the kernel
 * does for the receiver. Short copies show what trying costs those who never get that far.
 */
#include <bide.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PIECE = 64 * 1024, WRITES = 256 * 1024, BY_COPY = 1, UNIX = 2, SHORT = 4, CASES = 8 };

static size_t bytes_long = (size_t)1 << 30;
static const size_t bytes_short = 100 * 1000;
static double elapsed[CASES][BENCH_ROUNDS_MOST];
static int elapsed_count[CASES];

static void sockets(int ends[2], bool is_unix)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener;

    if (is_unix) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
            bench_die("socketpair");
        return;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, bytes) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) < 0)
        bench_die("listen");
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (struct sockaddr *)&address, bytes) < 0)
        bench_die("connect");
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
}

/* The ends are in[0] ~> in[1], which the copy reads, and out[0], which it writes ~> out[1]. */
static void close_but(const int in[2], const int out[2], int kept)
{
    const int all[] = {in[0], in[1], out[0], out[1]};

    for (int i = 0; i < 4; i++)
        if (all[i] != kept)
            close(all[i]);
}

_Noreturn static void write_and_exit(int fd, size_t bytes)
{
    static char data[WRITES];

    while (bytes > 0) {
        ssize_t wrote = write(fd, data, bytes < WRITES ? bytes : WRITES);
        if (wrote <= 0)
            _exit(1);
        bytes -= (size_t)wrote;
    }
    _exit(0);
}

_Noreturn static void read_and_exit(int fd, size_t bytes)
{
    static char data[WRITES];
    size_t done = 0;
    ssize_t got;

    while ((got = read(fd, data, sizeof data)) > 0)
        done += (size_t)got;
    _exit(done != bytes);
}

/* The copy on one core, both others on another; a machine with one core shares it. */
static void pin(int which)
{
    static cpu_set_t allowed;
    cpu_set_t one;

    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return;
    if (CPU_COUNT(&allowed) < 2)
        return;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET((size_t)core, &allowed) || which-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)core, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

struct job {
    int from;
    int to;
    bool by_copy;
    size_t bytes;
};

static int copies(void *arg)
{
    const struct job *job = arg;
    static char buf[PIECE];
    bide_stream *from, *to;
    size_t done = 0;
    ssize_t got;

    if (bide_stream_of_fd(job->from, &from) < 0 || bide_stream_of_fd(job->to, &to) < 0)
        return 1;
    if (job->by_copy)
        done = (size_t)bide_copy(to, from);
    else
        while ((got = bide_read(from, buf, sizeof buf)) > 0 && bide_write(to, buf, (size_t)got) > 0)
            done += (size_t)got;
    bide_close(from);
    bide_close(to);
    return done == job->bytes ? 0 : 1;
}

/* Copy so many bytes. Returns this process's CPU time in nanoseconds. */
static double copy_once(size_t parameter, size_t bytes)
{
    int in[2], out[2], status;
    struct job job;
    pid_t children[2];
    double cpu;

    sockets(in, parameter & UNIX);
    sockets(out, parameter & UNIX);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] < 0)
            bench_die("fork");
        if (children[i] > 0)
            continue;
        pin(1);
        close_but(in, out, i == 0 ? in[0] : out[1]);
        i == 0 ? write_and_exit(in[0], bytes) : read_and_exit(out[1], bytes);
    }
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    job = (struct job){in[1], out[0], parameter & BY_COPY, bytes};
    cpu = bench_cpu_ns();
    if (bide_run(copies, &job, NULL) != 0)
        bench_die("copy");
    cpu = bench_cpu_ns() - cpu;
    for (int i = 0; i < 2; i++)
        if (waitpid(children[i], &status, 0) < 0 || status != 0)
            bench_die("a process of the benchmark failed");
    return cpu;
}

/* CPU milliseconds for the long copy; microseconds for a short one. */
static double round_of(size_t parameter)
{
    const int times = parameter & SHORT ? 50 : 1;
    double start = bench_now_ns(), cpu = 0, passed;

    for (int i = 0; i < times; i++)
        cpu += copy_once(parameter, parameter & SHORT ? bytes_short : bytes_long);
    passed = (bench_now_ns() - start) / 1e6 / times;
    elapsed[parameter][elapsed_count[parameter]++] = passed;
    return parameter & SHORT ? cpu / 1e3 / times : cpu / 1e6;
}

static void family(const char *heading, size_t family, int rounds)
{
    struct bench_contender contenders[] = {
        {.name = "read and write, CPU", .key = "loop", .round = round_of, .parameter = family},
        {.name = "bide_copy, CPU", .key = "copy", .round = round_of, .parameter = family | BY_COPY},
    };

    printf("%s\n", heading);
    bench_interleave(contenders, 2, rounds, 0);
    bench_print_contenders(contenders, 2, 1, "to loop");
    if (!(family & SHORT))
        for (size_t i = 0; i < 2; i++) /* the first round does not count */
            printf("%-34s %10.1f\n", i ? "bide_copy, passed" : "read and write, passed",
                   bench_spread_of(elapsed[family | i] + 1, rounds).median);
    bench_json_open("io/copy");
    printf(",\"family\":\"%s\",\"bytes\":%zu", family & UNIX ? "unix" : "tcp",
           family & SHORT ? bytes_short : bytes_long);
    bench_json_contenders(contenders, 2, "to_loop");
    bench_json_number("loop_passed", bench_spread_of(elapsed[family] + 1, rounds).median);
    bench_json_number("copy_passed", bench_spread_of(elapsed[family | 1] + 1, rounds).median);
    bench_json_close();
}

int main(void)
{
    int rounds = 9;

    pin(0);
    if (bench_is_quick()) {
        rounds = 2;
        bytes_long = (size_t)64 << 20;
    }
    family("TCP, long, ms", 0, rounds);
    family("Unix, long, ms", UNIX, rounds);
    family("TCP, 100 kB, us", SHORT, rounds);
    return 0;
}
