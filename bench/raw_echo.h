/* SPDX-License-Identifier: MIT */
/*
 * raw_echo.h - an echo server as one writes it by hand on epoll: what Bide is measured against.
 *
 * Edge-triggered, registered once for both directions. It reads until the socket is known to be
 * empty, which a short read shows as well as EAGAIN does (epoll(7)), and writes back what it read;
 * only when the peer does not take all of it is the rest kept, and reading pauses until it has
 * gone. One read buffer serves all connections.
 */
#ifndef BENCH_RAW_ECHO_H
#define BENCH_RAW_ECHO_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { RAW_BUFFER_BYTES = 64 * 1024, RAW_EVENTS = 256, RAW_BACKLOG = 4096 };

struct raw_connection {
    int fd;
    size_t kept; /* bytes not yet written, at the front of rest */
    char *rest;  /* NULL until it is needed */
    int matched; /* for HTTP: bytes of a blank line seen at the end of what was read */
};

struct raw_server {
    int epoll_fd;
    int listen_fd;
    void (*on_message)(const char *bytes); /* called with what was read, before it is written */
    char buf[RAW_BUFFER_BYTES];
};

/* Listen on a free port of 127.0.0.1. */
static inline int raw_listen(struct raw_server *server)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t bytes = sizeof address;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->epoll_fd < 0 || server->listen_fd < 0 ||
        setsockopt(server->listen_fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0 ||
        bind(server->listen_fd, (struct sockaddr *)&address, bytes) < 0 ||
        listen(server->listen_fd, RAW_BACKLOG) < 0 ||
        getsockname(server->listen_fd, (struct sockaddr *)&address, &bytes) < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) < 0)
        bench_die("the raw server");
    return ntohs(address.sin_port);
}

static inline void raw_accept(struct raw_server *server)
{
    int fd;

    while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct raw_connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = {
            .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
            .data.ptr = connection,
        };
        if (connection == NULL)
            bench_die("calloc");
        connection->fd = fd;
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            bench_die("epoll_ctl");
    }
    if (errno != EAGAIN)
        bench_die("accept4");
}

static inline void raw_close(struct raw_connection *connection)
{
    close(connection->fd);
    free(connection->rest);
    free(connection);
}

/* Write, and keep what the peer does not take. False when the connection is over. */
static inline bool raw_write(struct raw_connection *connection, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(connection->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    if (count > 0 && connection->rest == NULL) {
        connection->rest = malloc(RAW_BUFFER_BYTES);
        if (connection->rest == NULL)
            return false;
    }
    if (count > 0)
        memmove(connection->rest, bytes, count);
    connection->kept = count;
    return true;
}

/* Read and write back while there is something. False when the connection is over. */
static inline bool raw_serve(struct raw_server *server, struct raw_connection *connection,
                             uint32_t events)
{
    bool is_ending = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool was_kept = connection->kept > 0;

    if (was_kept && !raw_write(connection, connection->rest, connection->kept))
        return false;
    if (!was_kept && !is_ending && !(events & EPOLLIN))
        return true;
    while (connection->kept == 0) {
        ssize_t got = recv(connection->fd, server->buf, sizeof server->buf, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0)
            return false;
        if (server->on_message != NULL)
            server->on_message(server->buf);
        if (!raw_write(connection, server->buf, (size_t)got))
            return false;
        if ((size_t)got < sizeof server->buf && !is_ending)
            break;
    }
    return true;
}

/* What serves a connection: false when that is over. */
typedef bool raw_serve_fn(struct raw_server *server, struct raw_connection *connection,
                          uint32_t events);

_Noreturn static inline void raw_run(struct raw_server *server, raw_serve_fn *serve)
{
    struct epoll_event events[RAW_EVENTS];

    for (;;) {
        int count = epoll_wait(server->epoll_fd, events, RAW_EVENTS, -1);
        if (count < 0 && errno != EINTR)
            bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct raw_connection *connection = events[i].data.ptr;
            if (connection == NULL)
                raw_accept(server);
            else if (!serve(server, connection, events[i].events))
                raw_close(connection);
        }
    }
}

#endif
