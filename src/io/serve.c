/* SPDX-License-Identifier: MIT */
/*
 * serve.c - a task for every connection.
 *
 * The server lives on the stack of the task that serves; its connections hang on a list in it, each
 * in its own task's frame. The call does not return before the last has left the list.
 */
#include <bide/io/serve.h>

#include <errno.h>

#include <bide/sched/scope.h>
#include <bide/sched/sleep.h>

#include "io/listener.h"
#include "io/stream.h"
#include "sched/task.h"

/* After a spawn that failed: memory may come back when a connection ends. */
#define SPAWN_PAUSE BIDE_MS(10)

struct server {
    struct bide__list connections;
    unsigned count;
    bide_listener *listener;
    int (*handler)(bide_stream *stream, void *arg);
    void *arg;
};

/* The frame of a connection's task. */
struct connection {
    struct bide__list link;
    struct bide_task *task;
    struct server *server;
    bide_stream *stream;
};

static int connection_run(void *frame)
{
    struct connection *connection = frame;
    struct server *server = connection->server;
    bide_stream *stream = connection->stream;
    int result;

    bide__stream_hold(stream); /* the handler may close it */
    result = server->handler(stream, server->arg);
    if (!stream->is_closed)
        bide_close(stream);
    bide__stream_let_go(stream);
    bide__list_remove(&connection->link);
    server->count--;
    bide__listener_stir(server->listener);
    return result;
}

static int connection_start(struct server *server, bide_stream *stream, size_t stack_bytes)
{
    static const bide_site site = {__FILE__, __LINE__, "bide_serve", "connection"};
    const bide_spawn_options options = {.stack_bytes = stack_bytes};
    struct connection *connection;
    struct bide_task *task;
    int err = bide__task_spawn(bide__loop_here, &site, stack_bytes != 0 ? &options : NULL,
                               connection_run, sizeof *connection, &task);

    if (err < 0)
        return err;
    task->is_detached = true;
    task->is_drained = true;
    connection = task->frame;
    *connection = (struct connection){.task = task, .server = server, .stream = stream};
    bide__list_append(&server->connections, &connection->link);
    server->count++;
    return 0;
}

/* Wait until a connection has ended; or the listener, as bide__listener_rest says. */
static int wait_ended(struct server *server)
{
    return bide__listener_rest(server->listener, BIDE_FOREVER, "serve, for a connection to end");
}

static int serve_next(struct server *server)
{
    const bide_listen_options *options = bide__listener_options(server->listener);
    bide_stream *stream;
    int err;

    if (options->connections_max != 0 && server->count >= options->connections_max)
        return wait_ended(server);
    err = bide_accept(server->listener, &stream);
    if (err < 0)
        return err;
    err = connection_start(server, stream, options->stack_bytes);
    if (err < 0) {
        bide_close(stream);
        err = bide__listener_rest(server->listener, bide__deadline_after(SPAWN_PAUSE),
                                  "serve, short of memory");
    }
    return err;
}

/*
 * Let the connections end by themselves for a while, then cancel them, and wait for the last one.
 */
static void drain(struct server *server, bide_time grace)
{
    if (bide__loop_here->drain_until != 0) /* of a shutdown, which knows better */
        grace = bide__loop_here->drain_until - bide_now();
    bide_with_shield (grace < 0 ? 0 : grace) {
        while (server->count > 0 && wait_ended(server) != -ETIMEDOUT)
            ;
    }
    for (struct bide__list *at = server->connections.next; at != &server->connections;
         at = at->next)
        bide__task_cancel(BIDE__CONTAINER(at, struct connection, link)->task, -ECANCELED);
    bide_with_shield (BIDE_FOREVER) {
        while (server->count > 0)
            wait_ended(server);
    }
}

int bide_serve(bide_listener *listener, int (*handler)(bide_stream *stream, void *arg), void *arg)
{
    struct server server = {.listener = listener, .handler = handler, .arg = arg};
    int err = 0;

    bide__task_need("bide_serve");
    bide__list_init(&server.connections);
    bide__listener_hold(listener);
    while (err >= 0)
        err = serve_next(&server);
    if (err != -EBUSY)
        bide__listener_stop(listener);
    drain(&server, bide__listener_options(listener)->grace_ns);
    bide__listener_let_go(listener);
    return err;
}
