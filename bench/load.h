/* SPDX-License-Identifier: MIT */
/*
 * load.h - the load on an echo server: a raw epoll loop, the same for every server.
 *
 * A closed loop: each connection has so many messages under way, one or more, and sends the next
 * when one has come back. Those that came back together are followed by as many in one send.
 * Latency is from before the send to after the read that completed the message.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "processes.h"

enum {
    LOAD_DEPTH_MOST = 16,
    LOAD_BYTES_MOST = 64 * 1024, /* under way on a connection */
    LOAD_EVENTS = 256,
    /* Latencies: 32 buckets for each power of two of nanoseconds, so 3 % apart. */
    LOAD_FINE_BITS = 5,
    LOAD_BUCKETS = 64 << LOAD_FINE_BITS,
};

struct load_shape {
    int connections;
    int message_bytes;
    int depth; /* messages under way on each connection */
};

struct load_connection {
    int fd;
    int unsent; /* bytes that the socket did not take yet */
    int come;   /* bytes that have come back of the oldest message under way */
    unsigned oldest;
    unsigned newest; /* the next one's place in the ring */
    double sent_ns[LOAD_DEPTH_MOST];
};

struct load {
    struct load_shape shape;
    int epoll_fd;
    pid_t server; /* whose CPU time is taken; 0 for none */
    struct load_connection *connections;
    long waiting; /* messages under way */
    long done;
    long sent;
    uint32_t latencies[LOAD_BUCKETS];
    char message[LOAD_BYTES_MOST];
};

/* What one slice of load has measured. */
struct load_result {
    double seconds;
    double messages;
    double p50_us;
    double p99_us;
    double p999_us;
    double cpu_seconds; /* of the server */
};

static inline int load_bucket(double ns)
{
    uint64_t value = ns < 1 ? 1 : (uint64_t)ns;
    int bits = 63 - __builtin_clzll(value);

    if (bits < LOAD_FINE_BITS)
        return (int)value;
    return (bits - LOAD_FINE_BITS + 1) << LOAD_FINE_BITS |
           (int)(value >> (bits - LOAD_FINE_BITS) & ((1 << LOAD_FINE_BITS) - 1));
}

/* The lower end of a bucket. */
static inline double load_bucket_ns(int bucket)
{
    int bits = bucket >> LOAD_FINE_BITS;
    uint64_t fine = (uint64_t)(bucket & ((1 << LOAD_FINE_BITS) - 1));

    if (bits == 0)
        return (double)fine;
    return (double)(((uint64_t)1 << LOAD_FINE_BITS | fine) << (bits - 1));
}

static inline double load_percentile_us(const struct load *load, double part)
{
    long below = 0;

    for (int i = 0; i < LOAD_BUCKETS; i++) {
        below += load->latencies[i];
        if (below > 0 && (double)below >= part * (double)load->done)
            return load_bucket_ns(i) / 1e3;
    }
    return NAN;
}

/* Connect to 127.0.0.1. */
static inline void load_connect(struct load *load, int port, struct load_shape shape)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    memset(load, 0, sizeof *load);
    load->shape = shape;
    load->connections = calloc((size_t)shape.connections, sizeof *load->connections);
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->connections == NULL || load->epoll_fd < 0)
        bench_die("the load");
    for (int i = 0; i < shape.connections; i++) {
        struct load_connection *connection = &load->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0 ||
            epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            bench_die("the load's connection");
        connection->fd = fd;
    }
}

/* What the socket does not take now is tried again when something comes back, as it will. */
static inline void load_push(struct load *load, struct load_connection *connection)
{
    while (connection->unsent > 0) {
        ssize_t sent = send(connection->fd, load->message, (size_t)connection->unsent,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            bench_die("the load's send");
        connection->unsent -= (int)sent;
    }
}

static inline void load_send(struct load *load, struct load_connection *connection, int messages,
                             double now)
{
    for (int i = 0; i < messages; i++)
        connection->sent_ns[connection->newest++ % LOAD_DEPTH_MOST] = now;
    load->waiting += messages;
    load->sent += messages;
    connection->unsent += messages * load->shape.message_bytes;
    load_push(load, connection);
}

/* Something has come: returns how many messages it completes. */
static inline int load_receive(struct load *load, struct load_connection *connection, double *now)
{
    static char buf[LOAD_BYTES_MOST];
    ssize_t got = recv(connection->fd, buf, sizeof buf, MSG_DONTWAIT);
    int done = 0;

    if (got <= 0)
        bench_die("the server ended a connection");
    connection->come += (int)got;
    load_push(load, connection);
    if (connection->come < load->shape.message_bytes)
        return 0;
    *now = bench_now_ns();
    for (; connection->come >= load->shape.message_bytes; done++) {
        double sent = connection->sent_ns[connection->oldest++ % LOAD_DEPTH_MOST];
        load->latencies[load_bucket(*now - sent)]++;
        connection->come -= load->shape.message_bytes;
    }
    load->waiting -= done;
    load->done += done;
    return done;
}

static inline double load_cpu_seconds(const struct load *load)
{
    return load->server > 0 ? bench_cpu_seconds(load->server) : NAN;
}

/* Begin to count. */
static inline void load_start(struct load *load, struct load_result *result)
{
    load->done = 0;
    memset(load->latencies, 0, sizeof load->latencies);
    result->cpu_seconds = load_cpu_seconds(load);
}

/*
 * Load the server for so many seconds, or with so many messages, until all have come back. What
 * happens in the seconds of warming up does not count, and neither do messages that come back after
 * the end.
 */
static inline struct load_result load_run(struct load *load, double warm_seconds, double seconds,
                                          long messages)
{
    struct epoll_event events[LOAD_EVENTS];
    double start = bench_now_ns() + warm_seconds * 1e9, now = 0;
    struct load_result result = {.messages = 0};
    bool is_warm = warm_seconds <= 0;
    double end = is_warm ? start + seconds * 1e9 : INFINITY;

    load->sent = 0;
    load_start(load, &result);
    for (int i = 0; i < load->shape.connections && load->sent < messages; i++)
        load_send(load, &load->connections[i], load->shape.depth, bench_now_ns());
    while (load->waiting > 0) {
        int count = epoll_wait(load->epoll_fd, events, LOAD_EVENTS, -1);
        if (count < 0)
            bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct load_connection *connection = events[i].data.ptr;
            int done = load_receive(load, connection, &now);
            if (done > 0 && now < end && load->sent < messages)
                load_send(load, connection, done, now);
        }
        if (!is_warm && now >= start) {
            is_warm = true;
            start = now;
            end = start + seconds * 1e9;
            load_start(load, &result);
        } else if (result.messages == 0 && (now >= end || load->waiting == 0)) {
            result.messages = (double)load->done;
            result.seconds = (now - start) / 1e9;
            result.p50_us = load_percentile_us(load, 0.5);
            result.p99_us = load_percentile_us(load, 0.99);
            result.p999_us = load_percentile_us(load, 0.999);
            result.cpu_seconds = load_cpu_seconds(load) - result.cpu_seconds;
        }
    }
    return result;
}

#endif
