/* SPDX-License-Identifier: MIT */
/*
 * echo.c - an echo server and its clients in one program.
 */
#include <bide.h>
#include <bide/short.h>

#include <stdio.h>
#include <string.h>

/* Runs as a task for each connection; the stream is closed after it. */
static int echo(bide_stream *stream, void *unused)
{
    ssize_t copied = bide_copy(stream, stream);

    (void)unused;
    return copied < 0 ? (int)copied : 0;
}

static async(int, server, bide_listener *, listener)
{
    return bide_serve(listener, echo, NULL);
}

/* Send a line and read it back. */
static async(int, client, const char *, address, int, number)
{
    char line[64], reply[64] = "";
    bide_stream *stream;
    int err = bide_dial(address, &stream);

    if (err < 0)
        return err;
    defer(bide_close, stream);
    snprintf(line, sizeof line, "this is client %d\n", number);
    bide_write(stream, line, strlen(line));
    bide_read_line(stream, reply, sizeof reply);
    fputs(reply, stdout);
    return strcmp(line, reply) == 0 ? 0 : 1;
}

async_main
{
    char address[64];
    bide_listener *listener;
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener); /* any free port */

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    bide_listener_address(listener, address, sizeof address);

    task(int) serving = spawn(server, listener);
    task(int) first = spawn(client, address, 1), second = spawn(client, address, 2);
    int first_err = await(first), second_err = await(second);
    cancel(serving); /* it takes no more connections, and ends with the last of them */
    await(serving);
    return first_err == 0 && second_err == 0 ? 0 : 1;
}
