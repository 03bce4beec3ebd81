/* SPDX-License-Identifier: MIT */
/*
 * host_tasks.h - what the three programs host_*.c let a host's loop run: an echo server, its
 * clients, and a first task that stays until the host lets it go.
 */
#ifndef HOST_TASKS_H
#define HOST_TASKS_H

#include <bide.h>
#include <bide/short.h>

#include <stdio.h>
#include <string.h>

enum { HOST_CLIENTS = 20, HOST_LINES = 5, HOST_TICKS = 20 };

struct host_tasks {
    int replies;      /* that were what they should be */
    bool are_idle;    /* the clients are done: all that live wait for descriptors or a post */
    bide_event leave; /* to be set by a post of the host */
    int steps;        /* of the loop; the host counts them */
    int ticks;        /* of the host's own timer */
    int idle_ticks;   /* of them while the tasks were idle, and the steps in that time */
    int idle_steps;
};

static inline int host_echo(bide_stream *stream, void *unused)
{
    ssize_t copied = bide_copy(stream, stream);

    (void)unused;
    return copied < 0 ? (int)copied : 0;
}

static inline async(int, host_server, bide_listener *, listener)
{
    return bide_serve(listener, host_echo, NULL);
}

static inline async(int, host_client, const char *, address, struct host_tasks *, tasks)
{
    char reply[16];
    bide_stream *stream;
    int err = bide_dial(address, &stream);

    if (err < 0)
        return err;
    defer(bide_close, stream);
    for (int i = 0; i < HOST_LINES && err >= 0; i++) {
        err = (int)bide_write(stream, "hello\n", 6);
        if (err >= 0 && bide_read_line(stream, reply, sizeof reply) > 0)
            tasks->replies += strcmp(reply, "hello\n") == 0;
        if (err >= 0)
            err = bide_sleep(BIDE_MS(3));
    }
    return err < 0 ? err : 0;
}

/* The first task; `arg` is a struct host_tasks. */
static inline int host_first_task(void *arg)
{
    struct host_tasks *tasks = arg;
    char address[64];
    bide_group clients = {0};
    bide_listener *listener;
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    bide_listener_address(listener, address, sizeof address);
    task(int) serving = spawn(host_server, listener);
    with_group (&clients) {
        for (int i = 0; i < HOST_CLIENTS; i++)
            spawn_in(&clients, host_client, address, tasks);
    }
    tasks->are_idle = true;
    err = bide_event_wait(&tasks->leave);
    cancel(serving);
    await(serving);
    return err;
}

/* To be posted by the host. */
static inline void host_lets_go(void *arg)
{
    struct host_tasks *tasks = arg;

    bide_event_set(&tasks->leave);
}

/* Called by the host's own timer: after enough ticks beside idle tasks it lets them go. */
static inline void host_ticked(struct host_tasks *tasks, bide_loop *loop)
{
    static int steps_before;

    tasks->ticks++;
    if (!tasks->are_idle)
        return;
    if (tasks->idle_ticks++ == 0)
        steps_before = tasks->steps;
    tasks->idle_steps = tasks->steps - steps_before;
    if (tasks->idle_ticks == HOST_TICKS)
        bide_post(loop, host_lets_go, tasks);
}

/* The program's status: the host's timer went on meanwhile, and idle tasks left it in peace. */
static inline int host_verdict(const char *name, const struct host_tasks *tasks, int result)
{
    printf("%s: %d replies in %d steps beside %d ticks; %d steps in %d ticks without work\n", name,
           tasks->replies, tasks->steps, tasks->ticks, tasks->idle_steps, tasks->idle_ticks);
    return result == 0 && tasks->replies == HOST_CLIENTS * HOST_LINES && tasks->steps > 0 &&
                   tasks->ticks > HOST_TICKS && tasks->idle_steps <= 5
               ? 0
               : 1;
}

#endif
