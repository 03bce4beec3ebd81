/* SPDX-License-Identifier: MIT */
/*
 * echo.c - an echo server with libuv.
 *
 * What was read is written at once, without a request (uv_try_write); only what the socket does not
 * take is kept for a request of its own, and reading pauses until that is done. So one read buffer
 * serves all connections.
 */
#include <uv.h>

#include "peers/echo.h"

struct connection {
    uv_tcp_t tcp; /* first: its address is the connection's */
    uv_write_t request;
    char *rest; /* what the request writes */
};

static char read_buf[ECHO_BUFFER_BYTES];

static void need(int err, const char *what)
{
    if (err == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void on_close(uv_handle_t *handle)
{
    struct connection *connection = (struct connection *)handle;

    free(connection->rest);
    free(connection);
}

static void end(struct connection *connection)
{
    if (!uv_is_closing((uv_handle_t *)connection))
        uv_close((uv_handle_t *)connection, on_close);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buf, sizeof read_buf);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void on_written(uv_write_t *request, int err)
{
    struct connection *connection = (struct connection *)request->handle;

    free(connection->rest);
    connection->rest = NULL;
    if (err < 0)
        end(connection);
    else
        need(uv_read_start(request->handle, on_alloc, on_read), "uv_read_start");
}

static void write_later(struct connection *connection, const char *bytes, size_t count)
{
    uv_buf_t rest;

    connection->rest = malloc(count);
    echo_need(connection->rest != NULL, "malloc");
    memcpy(connection->rest, bytes, count);
    rest = uv_buf_init(connection->rest, (unsigned)count);
    uv_read_stop((uv_stream_t *)connection);
    need(uv_write(&connection->request, (uv_stream_t *)connection, &rest, 1, on_written),
         "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct connection *connection = (struct connection *)stream;
    uv_buf_t all = uv_buf_init(buf->base, (unsigned)(got > 0 ? got : 0));
    int sent;

    if (got == 0)
        return; /* nothing there */
    sent = got < 0 ? (int)got : uv_try_write(stream, &all, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        end(connection);
    else if (sent < got)
        write_later(connection, buf->base + sent, (size_t)(got - sent));
}

static void on_connection(uv_stream_t *listener, int err)
{
    struct connection *connection = calloc(1, sizeof *connection);

    need(err, "uv_listen");
    echo_need(connection != NULL, "calloc");
    need(uv_tcp_init(listener->loop, &connection->tcp), "uv_tcp_init");
    need(uv_accept(listener, (uv_stream_t *)connection), "uv_accept");
    need(uv_read_start((uv_stream_t *)connection, on_alloc, on_read), "uv_read_start");
}

int main(int argc, char **argv)
{
    char version[64];
    uv_tcp_t listener;
    int fd;

    snprintf(version, sizeof version, "libuv %s", uv_version_string());
    fd = echo_listen(argc, argv, version);
    need(uv_tcp_init(uv_default_loop(), &listener), "uv_tcp_init");
    need(uv_tcp_open(&listener, fd), "uv_tcp_open");
    need(uv_listen((uv_stream_t *)&listener, ECHO_BACKLOG, on_connection), "uv_listen");
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
