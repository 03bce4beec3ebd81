/* SPDX-License-Identifier: MIT */
/*
 * datagram.c - a UDP echo server on Bide against one written by hand on epoll, both with batches.
 *
 * As in echo.c each server is a process on one core, the load a process on another, and the load
 * turns to the one and the other in slices: raw, bide, raw, bide. It keeps so many datagrams of 64
 * bytes under way to one server and counts those that come back; what is lost (none, mostly) it
 * replaces after a tenth of a second. Either server takes up to 64 datagrams a call and sends them
 * back to where they came from with another. Only loopback is used.
 */
#include <bide.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "bench.h"
#include "processes.h"

enum { DATAGRAM_BYTES = 64, BATCH = 64, COUNTS = 3 };

static const int under_way[COUNTS] = {1, 32, 128};
static int pairs = 9;
static double slice_seconds = 1;

/* A batch for recvmmsg and sendmmsg. */
struct raw_batch {
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH];
    struct sockaddr_in addresses[BATCH];
    char data[BATCH][DATAGRAM_BYTES];
};

static void raw_prepare(struct raw_batch *batch, int count, bool has_addresses)
{
    for (int i = 0; i < count; i++) {
        batch->pieces[i] = (struct iovec){batch->data[i], DATAGRAM_BYTES};
        batch->headers[i].msg_hdr = (struct msghdr){
            .msg_name = has_addresses ? &batch->addresses[i] : NULL,
            .msg_namelen = has_addresses ? sizeof batch->addresses[i] : 0,
            .msg_iov = &batch->pieces[i],
            .msg_iovlen = 1,
        };
    }
}

/* A socket on a free port of 127.0.0.1. */
static int raw_socket(int flags, int *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0)
        bench_die("a socket");
    *port = ntohs(address.sin_port);
    return fd;
}

/* The servers. */

/* Take what is there and send it back; a short batch shows that the socket is empty. */
static void raw_serve(int fd, struct raw_batch *batch)
{
    int got, sent;

    do {
        raw_prepare(batch, BATCH, true);
        got = recvmmsg(fd, batch->headers, BATCH, 0, NULL);
        if (got < 0 && errno != EAGAIN)
            bench_die("recvmmsg");
        for (int i = 0; i < got; i++)
            batch->pieces[i].iov_len = batch->headers[i].msg_len;
        for (int done = 0; done < got; done += sent) {
            sent = sendmmsg(fd, batch->headers + done, (unsigned)(got - done), 0);
            if (sent < 0)
                break; /* no room: dropped, as the network would */
        }
    } while (got == BATCH);
}

static int raw_server(int port_to)
{
    static struct raw_batch batch;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int port, fd = raw_socket(SOCK_NONBLOCK, &port), epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        bench_die("epoll_ctl");
    bench_write_all(port_to, &port, sizeof port);
    for (;;) {
        if (epoll_wait(epoll_fd, &event, 1, -1) > 0)
            raw_serve(fd, &batch);
        else if (errno != EINTR)
            bench_die("epoll_wait");
    }
}

static int bide_server(void *port_to)
{
    static char data[BATCH][DATAGRAM_BYTES];
    static bide_message messages[BATCH];
    bide_datagram *socket;
    bide_address address;
    int port, got, err = bide_datagram_open("udp://127.0.0.1:0", NULL, &socket);

    if (err == 0)
        err = bide_datagram_local_address(socket, &address);
    if (err < 0)
        return err;
    port = bide_address_port(&address);
    bench_write_all(*(int *)port_to, &port, sizeof port);
    for (int i = 0; i < BATCH; i++)
        messages[i] = (bide_message){.buf = data[i], .size = sizeof data[i]};
    while ((got = bide_datagram_recv_many(socket, messages, BATCH)) > 0)
        bide_datagram_send_many(socket, messages, got);
    return got;
}

static int run_bide_server(int port_to)
{
    return bide_run(bide_server, &port_to, NULL);
}

enum { RAW, BIDE, SERVERS };

static const struct {
    const char *name;
    int (*run)(int port_to);
} servers[SERVERS] = {{"raw epoll", raw_server}, {"bide", run_bide_server}};

struct process {
    pid_t pid;
    int port;   /* of a server */
    int socket; /* to the load */
};

static struct process start_server(int which)
{
    struct process process = {.socket = -1};
    int ends[2];

    if (pipe(ends) < 0)
        bench_die("pipe");
    process.pid = bench_fork_pinned(bench_server_core);
    if (process.pid == 0) {
        close(ends[0]);
        servers[which].run(ends[1]);
        _exit(1);
    }
    close(ends[1]);
    bench_read_all(ends[0], &process.port, sizeof process.port);
    close(ends[0]);
    return process;
}

/* The load: a process that takes orders. */

struct order {
    int server;
    double seconds;
};

struct result {
    double messages;
    double seconds;
    double lost;
};

static struct result load_run(int fd, int wanted, double seconds)
{
    static struct raw_batch out, in;
    double start = bench_now_ns(), end = start + seconds * 1e9, now;
    struct result result = {.messages = 0};
    int missing = wanted;

    raw_prepare(&out, BATCH, false);
    raw_prepare(&in, BATCH, false);
    do {
        int got;
        while (missing > 0) {
            int sent = sendmmsg(fd, out.headers, (unsigned)(missing < BATCH ? missing : BATCH), 0);
            if (sent < 0)
                bench_die("sendmmsg");
            missing -= sent;
        }
        got = recvmmsg(fd, in.headers, BATCH, MSG_WAITFORONE, NULL);
        if (got < 0 && errno != EAGAIN)
            bench_die("recvmmsg");
        if (got < 0)
            result.lost += wanted;
        missing = got < 0 ? wanted : got;
        result.messages += got < 0 ? 0 : got;
        now = bench_now_ns();
    } while (now < end);
    /* What still is under way must not come in the next slice. */
    for (int left = wanted - missing, got; left > 0; left -= got)
        if ((got = recvmmsg(fd, in.headers, BATCH, MSG_WAITFORONE, NULL)) < 0)
            break;
    result.seconds = (now - start) / 1e9;
    return result;
}

static void be_load(int socket, const int *ports, int wanted)
{
    int fds[SERVERS], port;
    struct order order;

    for (int i = 0; i < SERVERS; i++) {
        struct sockaddr_in to = {
            .sin_family = AF_INET,
            .sin_port = htons((uint16_t)ports[i]),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        const struct timeval patience = {.tv_usec = 100000};
        fds[i] = raw_socket(0, &port);
        if (connect(fds[i], (struct sockaddr *)&to, sizeof to) < 0 ||
            setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
            bench_die("the load");
    }
    while (read(socket, &order, sizeof order) == sizeof order) {
        struct result result = load_run(fds[order.server], wanted, order.seconds);
        bench_write_all(socket, &result, sizeof result);
    }
    _exit(0);
}

static struct process start_load(const int *ports, int wanted)
{
    struct process process = {.port = 0};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        bench_die("socketpair");
    process.pid = bench_fork_pinned(bench_load_core);
    if (process.pid == 0) {
        close(ends[0]);
        be_load(ends[1], ports, wanted);
    }
    close(ends[1]);
    process.socket = ends[0];
    return process;
}

static void stop(const struct process *process)
{
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    if (process->socket >= 0)
        close(process->socket);
}

/* The figures of one server, a sample a slice. */
struct figures {
    double rate[BENCH_ROUNDS_MOST];
    double cpu_us[BENCH_ROUNDS_MOST]; /* of a datagram there and back */
    double lost;
};

static struct figures figures[COUNTS][SERVERS];

static void run_slice(const struct process *load, const struct process *server, int which,
                      double seconds, struct figures *all, int sample)
{
    struct order order = {.server = which, .seconds = seconds};
    struct result result;
    double cpu = bench_cpu_seconds(server->pid);

    bench_write_all(load->socket, &order, sizeof order);
    bench_read_all(load->socket, &result, sizeof result);
    if (sample < 0)
        return;
    all->rate[sample] = result.messages / result.seconds;
    all->cpu_us[sample] = (bench_cpu_seconds(server->pid) - cpu) * 1e6 / result.messages;
    all->lost += result.lost;
}

static void measure(int count)
{
    struct process processes[SERVERS], load;
    int ports[SERVERS];

    for (int i = 0; i < SERVERS; i++) {
        processes[i] = start_server(i);
        ports[i] = processes[i].port;
    }
    load = start_load(ports, under_way[count]);
    for (int pair = -1; pair < pairs; pair++)
        for (int i = 0; i < SERVERS; i++)
            run_slice(&load, &processes[i], i, slice_seconds, &figures[count][i], pair);
    for (int i = 0; i < SERVERS; i++)
        stop(&processes[i]);
    stop(&load);
}

static void print_figures(int count)
{
    const struct figures *both = figures[count];

    for (int i = 0; i < SERVERS; i++) {
        struct bench_spread rate = bench_spread_of(both[i].rate, pairs);
        printf("%9d %-10s %10.0f %10.0f %10.0f %8.3f %6.0f\n", under_way[count], servers[i].name,
               rate.median, rate.least, rate.most, bench_spread_of(both[i].cpu_us, pairs).median,
               both[i].lost);
    }
    printf("          bide/raw: %.3f, of CPU time a datagram: %.3f\n",
           bench_ratios_of(both[BIDE].rate, both[RAW].rate, pairs).median,
           bench_ratios_of(both[BIDE].cpu_us, both[RAW].cpu_us, pairs).median);
    fflush(stdout);
}

static void print_json(void)
{
    bench_json_open("io/datagram");
    bench_json_title("UDP echo, 64 B");
    printf(",\"by\":\"datagrams under way\"");
    bench_json_number("pairs", pairs);
    bench_json_number("slice_s", slice_seconds);
    for (int count = 0; count < COUNTS; count++) {
        const struct figures *both = figures[count];
        char key[64];
        for (int i = 0; i < SERVERS; i++) {
            const char *name = i == RAW ? "raw" : "bide";
            snprintf(key, sizeof key, "%s_%d_per_s", name, under_way[count]);
            bench_json_spread(key, bench_spread_of(both[i].rate, pairs));
            snprintf(key, sizeof key, "%s_%d_cpu_us", name, under_way[count]);
            bench_json_spread(key, bench_spread_of(both[i].cpu_us, pairs));
            snprintf(key, sizeof key, "%s_%d_lost", name, under_way[count]);
            bench_json_number(key, both[i].lost);
        }
        snprintf(key, sizeof key, "ratio_%d", under_way[count]);
        bench_json_spread(key, bench_ratios_of(both[BIDE].rate, both[RAW].rate, pairs));
        snprintf(key, sizeof key, "cpu_ratio_%d", under_way[count]);
        bench_json_spread(key, bench_ratios_of(both[BIDE].cpu_us, both[RAW].cpu_us, pairs));
    }
    bench_json_close();
}

int main(void)
{
    if (bench_is_quick()) {
        pairs = 5;
        slice_seconds = 0.05;
    }
    bench_choose_cores();
    printf("Datagrams: UDP echo on loopback, %d bytes, batches of up to %d a call; server and load "
           "on\n%s; %d pairs of slices of %g s, raw and bide in turn; CPU in us of the server\n"
           "a datagram.\n",
           DATAGRAM_BYTES, BATCH, bench_load_core >= 0 ? "a core each" : "the same core", pairs,
           slice_seconds);
    printf("%9s %-10s %10s %10s %10s %8s %6s\n", "under way", "server", "median/s", "least", "most",
           "CPU", "lost");
    for (int count = 0; count < COUNTS; count++) {
        measure(count);
        print_figures(count);
    }
    bench_target_least(
        "ratio_128",
        bench_ratios_of(figures[COUNTS - 1][BIDE].rate, figures[COUNTS - 1][RAW].rate, pairs)
            .median,
        0.95);
    print_json();
    return 0;
}
