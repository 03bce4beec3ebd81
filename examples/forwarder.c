/* SPDX-License-Identifier: MIT */
/*
 * forwarder.c - a proxy for any protocol: what comes in here goes on there, and back.
 *
 *     forwarder tcp://127.0.0.1:8080 unix:/run/app.sock
 *
 * Each connection has a group of two tasks, one a direction. An end of stream is passed on and ends
 * its own direction only (a client that has asked its last question still gets the answer); an
 * error on either side ends both. Without arguments it forwards to an echo server of its own, and
 * checks what comes back.
 */
#include <bide.h>
#include <bide/short.h>

#include <stdio.h>
#include <string.h>

#define DIAL_LIMIT BIDE_SEC(10)

/* One direction, until its source ends. */
static async(int, pump, bide_stream *, to, bide_stream *, from)
{
    ssize_t copied;

    do /* a copy that was cut short tells its length first, and then why */
        copied = bide_copy(to, from);
    while (copied > 0);
    return copied < 0 ? (int)copied : bide_shutdown_write(to);
}

/* Runs as a task for each connection; the client's stream is closed after it. */
static int forward(bide_stream *client, void *target)
{
    bide_group both = BIDE_GROUP_INIT;
    bide_stream *server;
    int err = 0;

    with_timeout (DIAL_LIMIT)
        err = bide_dial(target, &server);
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", (const char *)target, strerror(-err));
        return 0;
    }
    defer(bide_close, server);
    with_group (&both) {
        spawn_in(&both, pump, server, client);
        spawn_in(&both, pump, client, server);
    }
    return 0; /* which of the two hung up on the other is theirs to know */
}

static async(int, forwards, bide_listener *, listener, const char *, target)
{
    return bide_serve(listener, forward, (void *)target);
}

/* The check: a client asks, ends its side, and must get all of it back through the forwarder. */

enum { ASKED_BYTES = 3 << 20, CLIENTS = 3 };

static char asked[ASKED_BYTES];

static int echo(bide_stream *stream, void *unused)
{
    (void)unused;
    while (bide_copy(stream, stream) > 0)
        ;
    bide_write(stream, "bye", 3); /* after the client's end */
    return 0;
}

static async(int, echoes, bide_listener *, listener)
{
    return bide_serve(listener, echo, NULL);
}

static async(int, asks, bide_stream *, stream)
{
    ssize_t wrote = bide_write(stream, asked, sizeof asked);

    return wrote < 0 ? (int)wrote : bide_shutdown_write(stream);
}

static async(int, client, const char *, address)
{
    static const char end[] = "bye";
    char got[4096];
    size_t done = 0;
    bide_stream *stream;
    ssize_t bytes;
    int err = bide_dial(address, &stream);

    if (err < 0)
        return err;
    defer(bide_close, stream);
    task(int) asking = spawn(asks, stream);
    while ((bytes = bide_read(stream, got, sizeof got)) > 0)
        for (ssize_t i = 0; i < bytes; i++, done++)
            if (done >= ASKED_BYTES + 3 ||
                got[i] != (done < ASKED_BYTES ? asked[done] : end[done - ASKED_BYTES]))
                err = 1;
    if (await(asking) < 0 || bytes < 0 || done != ASKED_BYTES + 3)
        err = 1;
    printf("%zu bytes came back%s\n", done, err == 0 ? "" : ", and were wrong");
    return err;
}

static int check(void)
{
    bide_listener *server, *forwarder;
    bide_group clients = BIDE_GROUP_INIT;
    char target[64], address[64];
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &server);

    if (err < 0)
        return err;
    defer(bide_listener_close, server);
    err = bide_listen("tcp://127.0.0.1:0", NULL, &forwarder);
    if (err < 0)
        return err;
    defer(bide_listener_close, forwarder);
    bide_listener_address(server, target, sizeof target);
    bide_listener_address(forwarder, address, sizeof address);
    for (size_t i = 0; i < sizeof asked; i++)
        asked[i] = (char)(i * 131 + i / 1000);

    task(int) echoing = spawn(echoes, server);
    task(int) forwarding = spawn(forwards, forwarder, target);
    clients.collect_all = true;
    with_group (&clients) {
        for (int i = 0; i < CLIENTS; i++)
            spawn_in(&clients, client, address);
    }
    cancel(forwarding); /* each ends with its last connection */
    await(forwarding);
    cancel(echoing);
    await(echoing);
    return clients.error;
}

async_main
{
    bide_listener *listener;
    int err;

    if (argc == 1)
        return check() == 0 ? 0 : 1;
    if (argc != 3) {
        fprintf(stderr, "usage: %s [LISTEN TARGET]\n", argv[0]);
        return 2;
    }
    err = bide_listen(argv[1], NULL, &listener);
    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    return forwards(listener, argv[2]);
}
