/* SPDX-License-Identifier: MIT */
/*
 * datagrams.h - what the tests of datagram sockets share.
 */
#ifndef BIDE_TESTS_DATAGRAMS_H
#define BIDE_TESTS_DATAGRAMS_H

#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"
#include "test.h"

/* Run a scenario as a loop's first task; no descriptor may be left. */
static inline int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static inline bide_datagram *opened(const char *addr, const bide_datagram_options *options)
{
    bide_datagram *datagram = NULL;

    CHECK_EQ(bide_datagram_open(addr, options, &datagram), 0);
    return datagram;
}

static inline bide_address local_of(bide_datagram *datagram)
{
    bide_address address;

    CHECK_EQ(bide_datagram_local_address(datagram, &address), 0);
    return address;
}

/* Two sockets on loopback ("udp://127.0.0.1:0") or "unix:"; each connected to the other. */
static inline void datagram_pair(const char *addr, bide_datagram *ends[2])
{
    for (int i = 0; i < 2; i++)
        ends[i] = opened(addr, NULL);
    for (int i = 0; i < 2; i++) {
        bide_address peer = local_of(ends[!i]);
        CHECK_EQ(bide_datagram_connect(ends[i], &peer), 0);
    }
}

static inline void close_both(bide_datagram *ends[2])
{
    bide_datagram_close(ends[0]);
    bide_datagram_close(ends[1]);
}

/* Take so many datagrams, which have been sent; there are no more. */
static inline void drain(bide_datagram *datagram, int expected)
{
    struct pollfd readable = {.fd = bide_datagram_fd(datagram), .events = POLLIN};
    char buf[64];

    for (int i = 0; i < expected; i++) {
        CHECK_EQ(poll(&readable, 1, 10000), 1);
        CHECK(recv(readable.fd, buf, sizeof buf, MSG_DONTWAIT) >= 0);
    }
    CHECK(recv(readable.fd, buf, sizeof buf, MSG_DONTWAIT) < 0);
}

#endif
