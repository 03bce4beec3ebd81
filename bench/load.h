/* SPDX-License-Identifier: MIT */
/*
 * load.h - the load on an echo server: a raw epoll loop, the same for every server.
 *
 * A closed loop: each connection sends a message, waits until all of it has come back, and sends
 * the next. Latency is from before the send to after the read that completed the message.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum {
    LOAD_MESSAGE_BYTES = 64,
    LOAD_CONNECTIONS_MOST = 1000,
    LOAD_EVENTS = 256,
    /* Latencies: 32 buckets for each power of two of nanoseconds, so 3 % apart. */
    LOAD_FINE_BITS = 5,
    LOAD_BUCKETS = 64 << LOAD_FINE_BITS,
};

struct load_connection {
    int fd;
    int come; /* bytes of the message that have come back */
    double sent_ns;
};

struct load {
    int epoll_fd;
    int count;
    struct load_connection connections[LOAD_CONNECTIONS_MOST];
    long waiting; /* messages under way */
    long done;
    long sent;
    uint32_t latencies[LOAD_BUCKETS];
    char message[LOAD_MESSAGE_BYTES];
};

/* What one slice of load has measured. */
struct load_result {
    double seconds;
    double messages;
    double p50_us;
    double p99_us;
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
static inline void load_connect(struct load *load, int port, int count)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    memset(load, 0, sizeof *load);
    load->count = count;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll_fd < 0)
        bench_die("epoll_create1");
    for (int i = 0; i < count; i++) {
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

static inline void load_send(struct load *load, struct load_connection *connection, double now)
{
    connection->sent_ns = now;
    connection->come = 0;
    load->waiting++;
    load->sent++;
    if (send(connection->fd, load->message, sizeof load->message, MSG_NOSIGNAL) !=
        (ssize_t)sizeof load->message)
        bench_die("the load's send");
}

/* Something has come: true when it completes the message. */
static inline bool load_receive(struct load *load, struct load_connection *connection, double *now)
{
    char buf[LOAD_MESSAGE_BYTES];
    ssize_t got = recv(connection->fd, buf, sizeof buf, MSG_DONTWAIT);

    if (got <= 0)
        bench_die("the server ended a connection");
    connection->come += (int)got;
    if (connection->come < LOAD_MESSAGE_BYTES)
        return false;
    *now = bench_now_ns();
    load->latencies[load_bucket(*now - connection->sent_ns)]++;
    load->waiting--;
    load->done++;
    return true;
}

/* Load the server for so many seconds, or with so many messages, until all have come back. */
static inline struct load_result load_run(struct load *load, double seconds, long messages)
{
    struct epoll_event events[LOAD_EVENTS];
    double start = bench_now_ns(), now = start, end = start + seconds * 1e9;
    struct load_result result = {.messages = 0};

    load->sent = load->done = 0;
    memset(load->latencies, 0, sizeof load->latencies);
    for (int i = 0; i < load->count && load->sent < messages; i++)
        load_send(load, &load->connections[i], bench_now_ns());
    while (load->waiting > 0) {
        int count = epoll_wait(load->epoll_fd, events, LOAD_EVENTS, -1);
        if (count < 0)
            bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct load_connection *connection = events[i].data.ptr;
            if (load_receive(load, connection, &now) && now < end && load->sent < messages)
                load_send(load, connection, now);
        }
        if (now < end || result.messages == 0) {
            result.messages = (double)load->done;
            result.seconds = (now - start) / 1e9;
        }
    }
    result.p50_us = load_percentile_us(load, 0.5);
    result.p99_us = load_percentile_us(load, 0.99);
    return result;
}

#endif
