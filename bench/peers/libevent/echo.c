/* SPDX-License-Identifier: MIT */
/*
 * echo.c - an echo server with libevent's buffered events.
 *
 * What was read moves from the input buffer to the output buffer without being copied. A high mark
 * on the input cannot hold back a peer that does not read, as the input is always emptied: so
 * reading pauses while much waits to be written. Whatever one asks for, the library reads 4 KiB at
 * a time.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "peers/echo.h"

enum { WAITING_MOST = 4 * ECHO_BUFFER_BYTES };

static void on_read(struct bufferevent *connection, void *unused)
{
    struct evbuffer *out = bufferevent_get_output(connection);

    (void)unused;
    evbuffer_add_buffer(out, bufferevent_get_input(connection));
    if (evbuffer_get_length(out) > WAITING_MOST)
        bufferevent_disable(connection, EV_READ);
}

/* All is written. */
static void on_written(struct bufferevent *connection, void *unused)
{
    (void)unused;
    if (!(bufferevent_get_enabled(connection) & EV_READ))
        bufferevent_enable(connection, EV_READ);
}

static void on_end(struct bufferevent *connection, short what, void *unused)
{
    (void)what;
    (void)unused;
    bufferevent_free(connection);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int bytes, void *unused)
{
    struct bufferevent *connection =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address;
    (void)bytes;
    (void)unused;
    echo_need(connection != NULL, "bufferevent_socket_new");
    bufferevent_set_max_single_write(connection, ECHO_BUFFER_BYTES);
    bufferevent_setcb(connection, on_read, on_written, on_end, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
    struct event_config *config = event_config_new();
    struct event_base *base;
    char version[64];
    int fd;

    snprintf(version, sizeof version, "libevent %s", event_get_version());
    fd = echo_listen(argc, argv, version);
    echo_need(config != NULL, "event_config_new");
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    /* Each write that follows a read would else cost two more system calls. */
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(config);
    echo_need(base != NULL, "event_base_new_with_config");
    echo_need(evconnlistener_new(base, on_connection, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd) != NULL,
              "evconnlistener_new");
    return event_base_dispatch(base);
}
