/* SPDX-License-Identifier: MIT */
/*
 * demo.c - start hello_http, load it from this second process, and check every reply.
 *
 * Usage: demo [--clients N] [--seconds N] [--json]
 *
 * Each client is a task with a keep-alive connection of its own: it sends a request, compares the
 * reply with what it has to be, and sends the next. Afterwards the load goes on for a moment while
 * the server's system calls are counted, by the kernel's tracepoint or else with ptrace: neither
 * disturbs what was measured. The exit status is 0 when every reply was right and the server ended
 * with status 0 after SIGTERM.
 */
#define _GNU_SOURCE /* pipe2 */
#include <bide.h>
#include <bide/short.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIME BIDE_SEC(10) /* for the server to listen, and for all clients to connect */
#define REPLY_TIME BIDE_SEC(10) /* after the end of the load, for the last replies */
#define END_TIME BIDE_SEC(10)   /* for the server to end after SIGTERM */
#define COUNT_TIME BIDE_MS(250) /* for counting system calls */

enum { COUNT_CLIENTS = 100 }; /* few: replies under way at the end are the error in it */

static const char request_text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char reply_before[] = "HTTP/1.1 200 OK\r\nDate: ";
static const char reply_date[] = "Aaa, 00 Aaa 0000 00:00:00 GMT"; /* A, a, 0: any such */
static const char reply_after[] = "\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"
                                  "Hello, world\n";

enum {
    BEFORE_BYTES = sizeof reply_before - 1,
    DATE_BYTES = sizeof reply_date - 1,
    AFTER_BYTES = sizeof reply_after - 1,
    REPLY_BYTES = BEFORE_BYTES + DATE_BYTES + AFTER_BYTES,
};

/* --- Latencies: a histogram with 128 buckets for each power of two */

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS) * STEPS };

static struct {
    uint64_t counts[BUCKETS];
    uint64_t total;
    bide_time most;
} latencies;

static void latency_add(bide_time ns)
{
    uint64_t value = (uint64_t)ns;
    unsigned shift = value < STEPS ? 0 : 63 - STEP_BITS - (unsigned)__builtin_clzll(value);

    latencies.counts[shift * STEPS + (value >> shift)]++;
    latencies.total++;
    if (ns > latencies.most)
        latencies.most = ns;
}

/* The latency that so many of a thousand replies did not exceed: a bucket's upper end. */
static bide_time latency_at(unsigned per_mille)
{
    uint64_t left = (latencies.total * per_mille + 999) / 1000;
    unsigned at = 0;
    bide_time ns;

    while (at < BUCKETS - 1 && latencies.counts[at] < left)
        left -= latencies.counts[at++];
    if (at < 2 * STEPS)
        return at;
    ns = (bide_time)((((uint64_t)at % STEPS + STEPS + 1) << (at / STEPS - 1)) - 1);
    return ns < latencies.most ? ns : latencies.most;
}

/* --- The load */

static struct {
    bide_time stop_at;        /* clients send nothing new after that */
    bool is_measured;         /* latencies count */
    _Atomic uint64_t replies; /* all that were right; the counting thread reads it */
    uint64_t errors;
    char first_error[256];
} load;

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (load.errors++ == 0)
        vsnprintf(load.first_error, sizeof load.first_error, format, args);
    va_end(args);
    load.stop_at = 0;
    return false;
}

static bool is_date(const char *text)
{
    for (size_t i = 0; i < DATE_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        char kind = isupper(c) ? 'A' : islower(c) ? 'a' : isdigit(c) ? '0' : text[i];
        if (kind != reply_date[i] && text[i] != reply_date[i])
            return false;
    }
    return true;
}

static bool is_right(const char *reply)
{
    return memcmp(reply, reply_before, BEFORE_BYTES) == 0 && is_date(reply + BEFORE_BYTES) &&
           memcmp(reply + BEFORE_BYTES + DATE_BYTES, reply_after, AFTER_BYTES) == 0;
}

/* Read a reply of the right length, and no byte more. Returns whether it was that. */
static bool read_reply(bide_stream *stream, char reply[REPLY_BYTES + 1])
{
    size_t bytes = 0;

    while (bytes < REPLY_BYTES) {
        ssize_t got = bide_read(stream, reply + bytes, REPLY_BYTES + 1 - bytes);
        if (got <= 0) {
            return fail("a reply of %zu bytes of %d, then %s", bytes, REPLY_BYTES,
                        got == 0 ? "the end of the connection" : strerror((int)-got));
        }
        bytes += (size_t)got;
    }
    return bytes == REPLY_BYTES || fail("more than %d bytes of reply", REPLY_BYTES);
}

static async(int, client, bide_stream *, stream)
{
    char reply[REPLY_BYTES + 1];
    bide_time before = bide_now();

    while (before < load.stop_at) {
        ssize_t sent = bide_write(stream, request_text, sizeof request_text - 1);
        bide_time after;

        if (sent != sizeof request_text - 1)
            return fail("a request could not be sent: %s", sent < 0 ? strerror((int)-sent) : "cut");
        if (!read_reply(stream, reply))
            return 0;
        after = bide_now();
        if (!is_right(reply))
            return fail("a wrong reply: %.*s", REPLY_BYTES, reply);
        if (load.is_measured)
            latency_add(after - before);
        atomic_fetch_add_explicit(&load.replies, 1, memory_order_relaxed);
        before = after;
    }
    return 0;
}

static async(bide_stream *, connect_one, const char *, address)
{
    bide_stream *stream = NULL;
    int err = 0;

    with_timeout (START_TIME) {
        err = bide_dial(address, &stream);
    }
    if (err < 0)
        fail("cannot connect to %s: %s", address, strerror(-err));
    return stream;
}

/* --- What the run found */

struct report {
    bool is_json;
    unsigned clients, seconds;
    FILE *words; /* for what is meant for people */
    char address[128];
    pid_t server;
    long client_before, client_during, server_before, server_during; /* resident bytes */
    uint64_t tasks, requests;
    double elapsed_s;
    const char *counted_by; /* NULL: not counted, for the reason below */
    char not_counted[128];
    double calls_per_request;
    int server_status; /* as waitpid gives it */
};

/* Resident bytes of a process; 0 when they cannot be read. */
static long resident_bytes(pid_t pid)
{
    char path[64];
    long pages = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* 1234567 as "1,234,567", in one of four buffers in turn. */
static const char *grouped(double number)
{
    static char texts[4][40];
    static unsigned turn;
    char digits[32], *text = texts[turn++ % 4], *to = text;
    int count = snprintf(digits, sizeof digits, "%.0f", number);

    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

/* --- Running the load */

/* Show how it goes until the time is over, and look at the memory while all clients are at work. */
static void follow(struct report *report, bide_time start, bide_time end)
{
    bool is_terminal = isatty(fileno(report->words));
    bide_time every = is_terminal ? BIDE_MS(200) : BIDE_SEC(1), last = start;
    uint64_t shown = 0;

    while (load.errors == 0 && last < end) {
        bide_time next = last + every < end ? last + every : end, now;
        uint64_t replies;
        bide_stats stats;

        bide_sleep_until(next - BIDE_MS(50));
        bide_loop_stats(&stats);
        report->tasks = stats.tasks_living;
        report->client_during = resident_bytes(getpid());
        report->server_during = resident_bytes(report->server);
        bide_sleep_until(next);
        replies = load.replies;
        now = bide_now();
        fprintf(report->words, "%s%5.1f s  %s requests, %s/s%s", is_terminal ? "\r" : "",
                (double)(now - start) / 1e9, grouped((double)replies),
                grouped((double)(replies - shown) * 1e9 / (double)(now - last)),
                is_terminal ? "    " : "\n");
        fflush(report->words);
        shown = replies;
        last = now;
    }
    if (is_terminal)
        fputs("\n", report->words);
}

static void connect_all(const struct report *report, bide_stream **streams)
{
    task(bide_stream *) *tasks = calloc(report->clients, sizeof *tasks);

    for (unsigned i = 0; tasks != NULL && i < report->clients; i++)
        tasks[i] = spawn(connect_one, report->address);
    for (unsigned i = 0; i < report->clients; i++)
        if (tasks == NULL || tasks[i] == NULL || (streams[i] = await(tasks[i])) == NULL)
            fail("client %u is not connected", i + 1);
    free(tasks);
}

static void start_clients(bide_stream **streams, task(int) *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if ((clients[i] = spawn(client, streams[i])) == NULL)
            fail("no task for client %u: %s", i + 1, strerror(-bide_spawn_error()));
}

/* After load.stop_at; what is not there in time is one more error. */
static void end_clients(task(int) *clients, unsigned count)
{
    with_timeout (REPLY_TIME) {
        for (unsigned i = 0; i < count; i++)
            if (clients[i] != NULL)
                await(clients[i]);
    }
}

static void measure(struct report *report, bide_stream **streams, task(int) *clients)
{
    bide_time start = bide_now(), end = start + BIDE_SEC(report->seconds);

    load.stop_at = end;
    load.is_measured = true;
    start_clients(streams, clients, report->clients);
    follow(report, start, end);
    end_clients(clients, report->clients);
    report->elapsed_s = (double)(bide_now() - start) / 1e9;
    report->requests = load.replies;
    load.is_measured = false;
}

/* --- Counting the server's system calls while the load goes on */

struct count {
    pid_t server;
    uint64_t calls, replies;
    int error; /* why ptrace was refused */
    _Atomic bool is_done;
};

static bool count_by_tracepoint(struct count *count)
{
    struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event};
    FILE *file = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "re");
    uint64_t first = 0, last = 0, replies = load.replies;
    bool is_known = file != NULL && fscanf(file, "%llu", &event.config) == 1, is_read = false;
    int fd = -1;

    if (file != NULL)
        fclose(file);
    if (is_known)
        fd = (int)syscall(SYS_perf_event_open, &event, count->server, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return false;
    if (read(fd, &first, sizeof first) == sizeof first) {
        bide_sleep(COUNT_TIME);
        is_read = read(fd, &last, sizeof last) == sizeof last;
    }
    count->calls = last - first;
    count->replies = load.replies - replies;
    close(fd);
    return is_read;
}

/* Stop the server at the start and the end of each system call, on a thread of its own: ptrace
 * waits by blocking. */
static void *trace(void *arg)
{
    struct count *count = arg;
    uint64_t stops = 0, replies = load.replies;
    bide_time end = bide_now() + COUNT_TIME;
    int status = 0, signal_number = 0;

    if (ptrace(PTRACE_SEIZE, count->server, NULL, PTRACE_O_TRACESYSGOOD) < 0 ||
        ptrace(PTRACE_INTERRUPT, count->server, NULL, NULL) < 0) {
        count->error = errno;
    } else {
        while (waitpid(count->server, &status, __WALL) > 0 && WIFSTOPPED(status)) {
            bool is_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
            stops += is_call;
            if (stops % 2 == 0 && bide_now() >= end)
                break;
            signal_number = is_call || status >> 16 != 0 ? 0 : WSTOPSIG(status);
            ptrace(PTRACE_SYSCALL, count->server, NULL, signal_number);
        }
        ptrace(PTRACE_DETACH, count->server, NULL, NULL);
    }
    count->calls = stops / 2;
    count->replies = load.replies - replies;
    count->is_done = true;
    return NULL;
}

static bool count_by_ptrace(struct count *count)
{
    pthread_t thread;

    count->error = pthread_create(&thread, NULL, trace, count);
    if (count->error != 0)
        return false;
    while (!count->is_done)
        bide_sleep(BIDE_MS(5));
    pthread_join(thread, NULL);
    return count->error == 0;
}

static void count_calls(struct report *report, bide_stream **streams, task(int) *clients)
{
    struct count count = {.server = report->server};
    unsigned some = report->clients < COUNT_CLIENTS ? report->clients : COUNT_CLIENTS;

    load.stop_at = BIDE_FOREVER;
    start_clients(streams, clients, some);
    bide_sleep(BIDE_MS(20));
    report->counted_by = count_by_tracepoint(&count) ? "tracepoint"
                         : count_by_ptrace(&count)   ? "ptrace"
                                                     : NULL;
    load.stop_at = 0;
    end_clients(clients, some);
    snprintf(report->not_counted, sizeof report->not_counted, "no tracepoint, and no ptrace: %s",
             strerror(count.error));
    if (report->counted_by != NULL && count.replies > 0)
        report->calls_per_request = (double)count.calls / (double)count.replies;
}

/* --- The server */

/* Start the hello_http that lies beside this program, with its output in a pipe. Returns the end to
 * read from. */
static int start_server(pid_t *pid)
{
    char path[4096];
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - sizeof "hello_http");
    int ends[2];

    if (bytes < 0)
        return -errno;
    path[bytes] = '\0';
    strcpy(strrchr(path, '/') + 1, "hello_http");
    if (access(path, X_OK) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *pid = fork();
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, "--port", "0", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (*pid > 0)
        return ends[0];
    close(ends[0]);
    return -EAGAIN;
}

/* Read "listening on http://HOST:PORT/", which comes in one piece, and make it one to dial. */
static void read_address(int fd, char address[128])
{
    char line[128] = "", host[100];

    with_timeout (START_TIME) {
        if (bide_wait_fd(fd, BIDE_READ) > 0 && read(fd, line, sizeof line - 1) < 0)
            line[0] = '\0';
    }
    if (sscanf(line, "listening on http://%99[^/]/", host) == 1)
        snprintf(address, 128, "tcp://%s", host);
    else
        fail("the server did not say where it listens");
}

/* Ask the server to end. Returns its status as waitpid gives it. */
static int end_server(pid_t pid)
{
    bide_time end = bide_now() + END_TIME;
    int status = -1;

    kill(pid, SIGTERM);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (bide_now() >= end)
            kill(pid, SIGKILL);
        bide_sleep(BIDE_MS(5));
    }
    return status;
}

/* --- The program */

static double bytes_each(long before, long during, unsigned count)
{
    return during < before ? 0 : (double)(during - before) / count;
}

static void print_table(const struct report *report)
{
    static const char *const names[] = {"50", "99", "99.9"};
    static const unsigned per_mille[] = {500, 990, 999};
    int status = report->server_status;

    printf("\n  requests               %s\n", grouped((double)report->requests));
    printf("  requests/s             %s\n", grouped((double)report->requests / report->elapsed_s));
    for (unsigned i = 0; i < 3; i++)
        printf("  latency, p%-13s%.3f ms\n", names[i], (double)latency_at(per_mille[i]) / 1e6);
    printf("  latency, max           %.3f ms\n", (double)latencies.most / 1e6);
    printf("  connections            %s\n", grouped(report->clients));
    printf("  tasks, client side     %s\n", grouped((double)report->tasks));
    printf("  memory, client         %s bytes a task\n",
           grouped(bytes_each(report->client_before, report->client_during, report->clients)));
    printf("  memory, server         %s bytes a connection\n",
           grouped(bytes_each(report->server_before, report->server_during, report->clients)));
    if (report->counted_by != NULL)
        printf("  server's system calls  %.3f a request (by %s, afterwards)\n",
               report->calls_per_request, report->counted_by);
    else
        printf("  server's system calls  not counted: %s\n", report->not_counted);
    printf("  server ended with      %s %d\n", WIFEXITED(status) ? "status" : "signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    if (load.errors == 0)
        printf("  replies                every one right, byte by byte\n");
    else
        printf("  WRONG                  %s, the first: %s\n", grouped((double)load.errors),
               load.first_error);
}

static void print_json(const struct report *report, bool is_right_run)
{
    char calls[32] = "null";

    if (report->counted_by != NULL)
        snprintf(calls, sizeof calls, "%.4f", report->calls_per_request);
    printf("{\"ok\": %s, \"errors\": %" PRIu64 ", \"server_status\": %d, \"connections\": %u, "
           "\"tasks\": %" PRIu64 ", \"seconds\": %.3f, \"requests\": %" PRIu64 ", "
           "\"requests_per_s\": %.0f, \"p50_ns\": %" PRId64 ", \"p99_ns\": %" PRId64 ", "
           "\"p99_9_ns\": %" PRId64 ", \"max_ns\": %" PRId64 ", \"client_bytes_per_task\": %.0f, "
           "\"server_bytes_per_connection\": %.0f, \"server_calls_per_request\": %s}\n",
           is_right_run ? "true" : "false", load.errors, report->server_status, report->clients,
           report->tasks, report->elapsed_s, report->requests,
           (double)report->requests / report->elapsed_s, latency_at(500), latency_at(990),
           latency_at(999), latencies.most,
           bytes_each(report->client_before, report->client_during, report->clients),
           bytes_each(report->server_before, report->server_during, report->clients), calls);
}

/* Everything between the server's start and its end. */
static void run(struct report *report, int server_output)
{
    bide_stream **streams = calloc(report->clients, sizeof *streams);
    task(int) *clients = calloc(report->clients, sizeof *clients);

    read_address(server_output, report->address);
    if (streams == NULL || clients == NULL)
        fail("no memory for so many clients");
    report->client_before = resident_bytes(getpid());
    report->server_before = resident_bytes(report->server);
    if (load.errors == 0)
        connect_all(report, streams);
    if (load.errors == 0) {
        fprintf(report->words, "%s clients for %u s at http%s/, process %ld\n",
                grouped(report->clients), report->seconds, report->address + strlen("tcp"),
                (long)report->server);
        measure(report, streams, clients);
    }
    if (load.errors == 0)
        count_calls(report, streams, clients);
    for (unsigned i = 0; streams != NULL && i < report->clients; i++)
        bide_close(streams[i]);
    free(clients);
    free(streams);
}

static bool read_options(struct report *report, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool is_clients = strcmp(argv[i], "--clients") == 0;
        char *end = NULL;
        if (strcmp(argv[i], "--json") == 0) {
            report->is_json = true;
        } else if ((is_clients || strcmp(argv[i], "--seconds") == 0) && i + 1 < argc) {
            unsigned long number = strtoul(argv[++i], &end, 10);
            if (*end != '\0' || number == 0 || number > (is_clients ? 1000000 : 86400))
                return false;
            *(is_clients ? &report->clients : &report->seconds) = (unsigned)number;
        } else {
            return false;
        }
    }
    report->words = report->is_json ? stderr : stdout;
    return true;
}

async_main
{
    struct report report = {
        .clients = 1000, .seconds = 5, .elapsed_s = 1, .not_counted = "the load had failed"};
    struct rlimit descriptors;
    int server_output;

    if (!read_options(&report, argc, argv)) {
        fprintf(stderr, "usage: demo [--clients N] [--seconds N] [--json]\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        descriptors.rlim_cur = descriptors.rlim_max;
        setrlimit(RLIMIT_NOFILE, &descriptors);
    }
    server_output = start_server(&report.server);
    if (server_output < 0) {
        fprintf(stderr, "demo: cannot start hello_http: %s\n", strerror(-server_output));
        return 1;
    }
    run(&report, server_output);
    report.server_status = end_server(report.server);
    close(server_output);

    bool is_right_run = load.errors == 0 && report.requests > 0 && report.server_status == 0;
    report.is_json ? print_json(&report, is_right_run) : print_table(&report);
    return is_right_run ? 0 : 1;
}
