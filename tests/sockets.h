/* SPDX-License-Identifier: MIT */
/*
 * sockets.h - the other side of the tests: plain sockets, and streams of kinds that tests need.
 */
#ifndef BIDE_TESTS_SOCKETS_H
#define BIDE_TESTS_SOCKETS_H

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/socket.h"
#include "test.h"

/* A connected pair of TCP sockets over loopback; both block. */
static inline void tcp_sockets(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(listener >= 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, bytes), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(ends[0] >= 0);
    CHECK_EQ(connect(ends[0], (struct sockaddr *)&address, bytes), 0);
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(ends[1] >= 0);
    CHECK_EQ(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    close(listener);
}

/* Make a stream of the running loop of a connected socket, which it owns then. */
static inline bide_stream *stream_of(int number)
{
    bide_stream *stream;
    int family;
    socklen_t bytes = sizeof family;

    CHECK_EQ(fcntl(number, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(getsockopt(number, SOL_SOCKET, SO_DOMAIN, &family, &bytes), 0);
    CHECK_EQ(bide__socket_stream(bide__epoll_of(bide__loop_here), number, family, &stream), 0);
    return stream;
}

/* A connected pair, AF_INET or AF_UNIX: one end a stream of the running loop, the other plain. */
static inline void stream_and_socket(int family, bide_stream **stream, int *plain)
{
    int ends[2];

    if (family == AF_INET)
        tcp_sockets(ends);
    else
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *stream = stream_of(ends[0]);
    *plain = ends[1];
}

/* A plain socket connected to an address in Bide's own text form; blocking. -1 when refused. */
static inline int plain_dial(const char *text)
{
    bide_address addresses[BIDE__ADDRESSES_MOST];
    int number;

    CHECK(bide__address_parse(text, "tcp", addresses) > 0);
    number = socket(addresses[0].bide__any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(number >= 0);
    if (connect(number, &addresses[0].bide__any, addresses[0].bide__bytes) == 0)
        return number;
    close(number);
    return -1;
}

/* Raise the soft limit of descriptors as far as it goes, or set it; returns what it is now. */
static inline long descriptor_limit(long wanted)
{
    struct rlimit limit;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur =
        wanted > 0 && (rlim_t)wanted < limit.rlim_max ? (rlim_t)wanted : limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return (long)limit.rlim_cur;
}

/* Streams that never park: one gives zero bytes for ever, the other takes everything. */
static inline ssize_t endless_read(bide_stream *stream, void *buf, size_t bytes)
{
    (void)stream;
    memset(buf, 0, bytes);
    return (ssize_t)bytes;
}

static inline ssize_t bottomless_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    size_t bytes = 0;

    (void)stream;
    for (size_t i = 0; i < count; i++)
        bytes += pieces[i].iov_len;
    return (ssize_t)bytes;
}

static inline void never_parking_close(bide_stream *stream)
{
    (void)stream;
}

static inline void never_parking_destroy(bide_stream *stream)
{
    free(stream);
}

static inline bide_stream *never_parking_stream(void)
{
    static const struct bide__stream_ops ops = {
        .read = endless_read,
        .write = bottomless_write,
        .close = never_parking_close,
        .destroy = never_parking_destroy,
    };
    bide_stream *stream = malloc(sizeof *stream);

    CHECK(stream != NULL);
    bide__stream_init(stream, &ops);
    return stream;
}

#endif
