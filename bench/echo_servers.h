/* SPDX-License-Identifier: MIT */
/*
 * echo_servers.h - the echo servers that are compared: Bide's, one by hand and those of peers.
 *
 * Each reads up to 64 KiB at a time, where its library lets it choose, and writes that back. Bide
 * is there a second time, spinning before it sleeps, for contests in which it would sleep often.
 */
#ifndef BENCH_ECHO_SERVERS_H
#define BENCH_ECHO_SERVERS_H

#include <bide.h>

#include "raw_echo.h"
#include "servers.h"

static int echo_converse(bide_stream *stream, void *unused)
{
    const char *data;
    ssize_t got;

    (void)unused;
    while ((got = bide_peek(stream, &data, 1)) > 0)
        if (bide_write(stream, data, (size_t)got) != got || bide_skip(stream, (size_t)got) != got)
            break;
    return 0;
}

static int echo_serve(void *port_to)
{
    bide_listener *listener;
    char address[64];
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err == 0)
        err = bide_listener_address(listener, address, sizeof address);
    if (err < 0)
        return err;
    dprintf(*(int *)port_to, "%s\n", strrchr(address, ':') + 1);
    return bide_serve(listener, echo_converse, NULL);
}

static void echo_run_bide(int port_to)
{
    bide_run(echo_serve, &port_to, NULL);
}

static void echo_run_bide_spinning(int port_to)
{
    bide_run(echo_serve, &port_to, &(bide_options){.spin_ns = BIDE_US(50)});
}

static void echo_run_raw(int port_to)
{
    static struct raw_server server;

    dprintf(port_to, "%d\n", raw_listen(&server));
    raw_run(&server, raw_serve);
}

enum { ECHO_BIDE, ECHO_BIDE_SPINNING, ECHO_RAW, ECHO_SERVERS = 10 };

#define ECHO_PEER(library, title, needed)                                                          \
    {                                                                                              \
        .key = library, .name = title, .needs = needed, .has_version = true,                       \
        .words = {"peers/" library "_echo", "0"},                                                  \
    }

static struct bench_server echo_servers[ECHO_SERVERS] = {
    [ECHO_BIDE] = {.key = "bide", .name = "Bide", .run = echo_run_bide},
    [ECHO_BIDE_SPINNING] = {.key = "bide_spinning",
                            .name = "Bide, spinning 50 us",
                            .run = echo_run_bide_spinning},
    [ECHO_RAW] = {.key = "raw", .name = "epoll by hand", .run = echo_run_raw},
    ECHO_PEER("libuv", "libuv", "uv.h"),
    ECHO_PEER("libevent", "libevent", "event2/event.h"),
    ECHO_PEER("asio", "Boost.Asio", "boost/asio.hpp"),
    ECHO_PEER("state_threads", "State Threads", "st.h"),
    ECHO_PEER("go", "Go", "the go command"),
    {.key = "uvloop",
     .name = "uvloop",
     .needs = "Python's module uvloop",
     .has_version = true,
     .words = {"peers/asyncio_echo", "0", "uvloop"}},
    ECHO_PEER("asyncio", "asyncio", "python3"),
};

static inline void echo_servers_start(void)
{
    for (int i = 0; i < ECHO_SERVERS; i++)
        server_start(&echo_servers[i]);
}

static inline void echo_servers_stop(void)
{
    for (int i = 0; i < ECHO_SERVERS; i++)
        server_stop(&echo_servers[i]);
}

#endif
