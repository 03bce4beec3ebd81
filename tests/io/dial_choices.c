/* SPDX-License-Identifier: MIT */
/*
 * dial_choices.c - dialling with options, what it costs, and listening at names.
 *
 * The C library's resolver is the test's own (resolver_stub.h).
 */
#include <bide.h>

#include <bide/short.h>

#include "base/fault.h"
#include "resolver_stub.h"
#include "sockets.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    stub_drain();
    stub_expect_descriptors(before);
    return result;
}

/* A plain listening socket at a port, 0 for any; returns the port. */
static int listen_plain(const char *host, int *port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t bytes = sizeof address;
    int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK_EQ(setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    CHECK_EQ(inet_pton(AF_INET, host, &address.sin_addr), 1);
    CHECK_EQ(bind(number, (struct sockaddr *)&address, bytes), 0);
    CHECK_EQ(listen(number, backlog), 0);
    CHECK_EQ(getsockname(number, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return number;
}

static int counts_calls(void *arg)
{
    int port = 0, listener = listen_plain("127.0.0.1", &port, 64);
    bide_stream *stream;
    char text[64];

    (void)arg;
    snprintf(text, sizeof text, "tcp://127.0.0.1:%d", port);
    bide_yield();
    bide__fault_reset();
    CHECK_EQ(bide_dial(text, &stream), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKET), 1);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 1);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 1);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKOPT), 2); /* SO_ERROR, TCP_NODELAY */
    CHECK_EQ(bide__fault_system_calls() - bide__fault_count(BIDE__CALL_EPOLL_WAIT) -
                 bide__fault_count(BIDE__CALL_EPOLL_PWAIT2),
             5); /* and a poll */
    CHECK_EQ(atomic_load(&stub_calls), 0);
    bide_close(stream);
    close(listener);
    return 0;
}

/*
 * Goal:   one numeric address costs no more calls than connecting takes.
 * Method: count them.
 */
TEST(dial_choices, numeric_address_costs_five_calls)
{
    CHECK_EQ(run(counts_calls, NULL), 0);
}

static int has_choices(void *arg)
{
    int port = 0, listener = listen_plain("127.0.0.1", &port, 64), nodelay = -1;
    socklen_t bytes = sizeof nodelay;
    bide_address local, v6;
    bide_dial_options options = {.local = &local, .nagle = true, .timeout_ns = BIDE_SEC(50)};
    bide_stream *stream;
    char text[64], own[64];

    (void)arg;
    snprintf(text, sizeof text, "tcp://localhost:%d", port);
    CHECK_EQ(bide_address_parse("tcp://127.0.0.9:0", &local), 0);
    CHECK_EQ(bide_dial_with(text, &options, &stream), 0);
    CHECK_EQ(bide_stream_local_address(stream, own, sizeof own), 0);
    CHECK(strncmp(own, "tcp://127.0.0.9:", 16) == 0);
    CHECK_EQ(getsockopt(bide_stream_fd(stream), IPPROTO_TCP, TCP_NODELAY, &nodelay, &bytes), 0);
    CHECK_EQ(nodelay, 0);
    bide_close(stream);
    CHECK_EQ(bide_dial_with(text, NULL, &stream), 0);
    CHECK_EQ(getsockopt(bide_stream_fd(stream), IPPROTO_TCP, TCP_NODELAY, &nodelay, &bytes), 0);
    CHECK(nodelay != 0);
    bide_close(stream);

    CHECK_EQ(bide_address_parse("tcp://[::1]:0", &v6), 0);
    options.local = &v6;
    snprintf(text, sizeof text, "tcp://127.0.0.1:%d", port);
    CHECK_EQ(bide_dial_with(text, &options, &stream), -EADDRNOTAVAIL);
    CHECK_EQ(bide_address_parse("tcp://127.0.0.1:0", &local), 0);
    local.bide__v4.sin_port = htons((uint16_t)port); /* taken by the listener */
    options.local = &local;
    CHECK_EQ(bide_dial_with(text, &options, &stream), -EADDRINUSE);
    options.timeout_ns = -1;
    CHECK_EQ(bide_dial_with(text, &options, &stream), -ETIMEDOUT);
    close(listener);
    return 0;
}

/*
 * Goal:   where to connect from, Nagle's algorithm and a limit can be chosen.
 * Method: bind to another loopback address, to one of the wrong family, to a port that is taken.
 */
TEST(dial_choices, choices_are_kept)
{
    CHECK_EQ(run(has_choices, NULL), 0);
}

static int hangs_in_lookup(void *arg)
{
    const bide_dial_options options = {.timeout_ns = BIDE_MS(20)};
    bide_stream *stream;
    bide_listener *listener;

    (void)arg;
    CHECK_EQ(bide_dial_with("tcp://hang.test:80", &options, &stream), -ETIMEDOUT);
    with_timeout (BIDE_MS(20))
        CHECK_EQ(bide_listen("tcp://hang.test:80", NULL, &listener), -ETIMEDOUT);
    return 0;
}

/*
 * Goal:   dialling and listening end in time although the resolver hangs.
 * Method: a name that is not answered.
 */
TEST(dial_choices, hung_resolver_is_left)
{
    CHECK_EQ(run(hangs_in_lookup, NULL), 0);
}

static int listens_at_names(void *arg)
{
    bide_listener *listener = NULL;
    char text[64];

    (void)arg;
    stub_names[0] = (struct stub_name){"mine.test", {"192.0.2.1", "127.0.0.5"}, 0, 0};
    snprintf(text, sizeof text, "tcp://mine.test:0");
    CHECK_EQ(bide_listen(text, NULL, &listener), 0); /* the first is not this machine's */
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    CHECK(strncmp(text, "tcp://127.0.0.5:", 16) == 0);
    bide_listener_close(listener);
    CHECK_EQ(bide_listen("tcp://nosuch.test:0", NULL, &listener), -ENOENT);
    CHECK_EQ(bide_listen("tcp://localhost:0", NULL, &listener), 0);
    CHECK_EQ(atomic_load(&stub_calls), 2);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a listener may have a name; the address that is this machine's is taken.
 * Method: a name with a foreign address and a loopback one; an unknown one; localhost asks nobody.
 */
TEST(dial_choices, listeners_have_names_too)
{
    CHECK_EQ(run(listens_at_names, NULL), 0);
}
