/* SPDX-License-Identifier: MIT */
/*
 * chat.c - a chat server: one room, for nc or telnet.
 *
 *     chat --listen tcp://0.0.0.0:7000        serves until SIGINT or SIGTERM
 *     chat                                    checks itself, with clients of its own
 *
 * Each member has two tasks: one reads what the member says, one writes what the room says. The
 * room is a broadcast: whoever speaks never waits for anybody, and however many are slow, it keeps
 * the same few lines. Who has not taken a line when it is overwritten is told so and put out, and
 * so is who takes nothing at all.
 */
#include <bide.h>
#include <bide/short.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NAME_TIME BIDE_SEC(60)    /* to choose a name */
#define FAREWELL_TIME BIDE_SEC(1) /* to take the last line */

enum {
    SAID_BYTES = 400, /* the longest line a member may send, and the zero byte */
    NAME_BYTES = 16,
    LINE_BYTES = SAID_BYTES + NAME_BYTES + 16,
    KEPT = 256, /* lines */
    SEND_BUFFER_BYTES = 32 * 1024,
};

/* What is said in the room. */
struct line {
    unsigned from; /* which member, who need not hear it; 0: the room itself */
    unsigned to;   /* which member alone; 0: all */
    char text[LINE_BYTES];
};

struct member {
    struct member *next;
    unsigned number; /* from 1 */
    char name[NAME_BYTES];
    bide_cursor heard;
    const char *why_out; /* NULL: left on their own */
};

struct room {
    broadcast(struct line) lines;
    struct member *members;
    unsigned members_ever;
    bide_time pace;     /* from one line of a member to the next */
    bide_time patience; /* with a member that does not read */
};

/* --- The room */

static __attribute__((format(printf, 4, 5))) void say(struct room *room, unsigned from, unsigned to,
                                                      const char *format, ...)
{
    struct line line = {.from = from, .to = to};
    va_list args;

    va_start(args, format);
    vsnprintf(line.text, sizeof line.text, format, args);
    va_end(args);
    broadcast_send(room->lines, line);
}

static void tell_who(struct room *room, const struct member *asks)
{
    char names[SAID_BYTES] = "";
    size_t length = 0;

    for (struct member *at = room->members; at != NULL && length < sizeof names; at = at->next)
        length += (size_t)snprintf(names + length, sizeof names - length, " %s", at->name);
    say(room, 0, asks->number, "* here:%s%s\n", names, length < sizeof names ? "" : "...");
}

static void join(struct room *room, struct member *me)
{
    me->next = room->members;
    room->members = me;
    me->heard = broadcast_subscribe(room->lines);
    say(room, 0, me->number, "* welcome, %s: /who tells who is here, /quit leaves\n", me->name);
    say(room, me->number, 0, "* %s joined\n", me->name);
}

static void leave(struct room *room, struct member *me)
{
    struct member **at = &room->members;

    while (*at != me)
        at = &(*at)->next;
    *at = me->next;
    if (me->why_out != NULL)
        say(room, 0, 0, "* %s is out: %s\n", me->name, me->why_out);
    else
        say(room, 0, 0, "* %s left\n", me->name);
}

/* --- A member */

/* Read a line, without its end and without what would upset a terminal. Returns as bide_read_line
 * does. */
static ssize_t read_text(bide_stream *stream, char text[SAID_BYTES])
{
    ssize_t bytes = bide_read_line(stream, text, SAID_BYTES);

    if (bytes <= 0)
        return bytes;
    for (ssize_t end = bytes; end > 0 && strchr("\r\n", text[end - 1]) != NULL;)
        text[--end] = '\0';
    for (char *at = text; at < text + strnlen(text, (size_t)bytes); at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    return bytes;
}

static const char *wrong_with(const struct room *room, const char *name)
{
    if (*name == '\0' || strlen(name) >= NAME_BYTES)
        return "a name has 1 to 15 letters";
    for (const char *at = name; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at))
            return "letters and digits, please";
    for (struct member *at = room->members; at != NULL; at = at->next)
        if (strcmp(at->name, name) == 0)
            return "that name is taken";
    return NULL;
}

/* Nothing waits between the look for the name and the joining, so no two get the same. */
static bool introduce(struct room *room, bide_stream *stream, struct member *me)
{
    char text[SAID_BYTES];
    const char *wrong;

    with_timeout (NAME_TIME) {
        bide_printf(stream, "* your name?\n");
        while (read_text(stream, text) > 0) {
            if ((wrong = wrong_with(room, text)) == NULL) {
                strcpy(me->name, text);
                join(room, me);
                return true;
            }
            bide_printf(stream, "* %s\n", wrong);
        }
    }
    return false;
}

/* Write to a member what the room says. */
static async(int, deliver, struct room *, room, bide_stream *, stream, struct member *, me)
{
    struct line line;
    int err;

    while ((err = broadcast_recv(room->lines, &me->heard, &line)) == 0) {
        ssize_t bytes = (ssize_t)strlen(line.text);
        if (line.from == me->number || (line.to != 0 && line.to != me->number))
            continue;
        with_timeout (room->patience) {
            if (bide_write(stream, line.text, (size_t)bytes) != bytes) {
                me->why_out = bide_canceled() == -ETIMEDOUT ? "reads nothing" : me->why_out;
                return -EPIPE;
            }
        }
    }
    if (err == -EOVERFLOW)
        me->why_out = "too slow";
    return err;
}

/* Tell the room what a member says, until that ends. */
static void listen_to(struct room *room, bide_stream *stream, struct member *me)
{
    char text[SAID_BYTES];
    ssize_t bytes;

    while ((bytes = read_text(stream, text)) > 0 && strcmp(text, "/quit") != 0) {
        if (strcmp(text, "/who") == 0)
            tell_who(room, me);
        else if (*text != '\0')
            say(room, me->number, 0, "%s: %s\n", me->name, text);
        bide_sleep(room->pace); /* or one who floods the room would make all others too slow */
    }
    if (bytes == -EMSGSIZE)
        me->why_out = "too long a line";
}

/* A connection, from its first line to its last; bide_serve closes the stream afterwards. */
static int converse(bide_stream *stream, void *arg)
{
    struct room *room = arg;
    struct member me = {.number = ++room->members_ever};
    bide_group both = BIDE_GROUP_INIT;

    setsockopt(bide_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER_BYTES},
               sizeof(int));
    bide_stream_set_keepalive(stream, BIDE_SEC(60), BIDE_SEC(10), 3);
    if (!introduce(room, stream, &me))
        return 0;
    with_group (&both) { /* when one of the two ends, so does the other */
        spawn_in(&both, deliver, room, stream, &me);
        listen_to(room, stream, &me);
        bide_group_cancel(&both);
    }
    leave(room, &me);
    with_timeout (FAREWELL_TIME) {
        if (me.why_out != NULL)
            bide_printf(stream, "* you are out: %s\n", me.why_out);
        /* Closing with bytes unread would reset the connection, and lose the last lines. */
        if (bide_shutdown_write(stream) == 0)
            bide_skip(stream, SIZE_MAX);
    }
    return 0;
}

/* --- The server */

/* The room closes when the serving is cancelled: all hear it, and who has heard it all may go. */
static async(void, close_room, struct room *, room)
{
    bide_sleep(BIDE_FOREVER);
    say(room, 0, 0, "* the server is closing\n");
    broadcast_close(room->lines);
}

static async(int, serve, struct room *, room, bide_listener *, listener)
{
    bide_group all = BIDE_GROUP_INIT;
    int err = 0;

    with_group (&all) {
        spawn_in(&all, close_room, room);
        err = bide_serve(listener, converse, room);
        bide_group_cancel(&all);
    }
    return err;
}

static int run_server(const char *address)
{
    const bide_listen_options options = {.connections_max = 10000, .stack_bytes = 64 * 1024};
    struct room room = {.pace = BIDE_MS(100), .patience = BIDE_SEC(10)};
    bide_listener *listener;
    char text[128];
    int err = bide_listen(address, &options, &listener);

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    room.lines = broadcast_new(struct line, KEPT);
    if (room.lines == NULL)
        return -ENOMEM;
    defer(broadcast_free, room.lines);
    err = bide_shutdown_on(SIGINT, SIGTERM, BIDE_SEC(5));
    if (err < 0)
        return err;
    bide_listener_address(listener, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    err = serve(&room, listener);
    return bide_shutdown_signal() != 0 ? 0 : err;
}

/* --- The check: clients that talk, crash, babble or do not read */

/* So many lines are more than the room and the kernel keep for one member. */
enum { FLOOD = 2000 };
#define FLOOD_LINE "%s%0300d\n"

static struct {
    int right, wrong;
} seen;

static void see(bool is_right, const char *wanted, const char *got)
{
    *(is_right ? &seen.right : &seen.wrong) += 1;
    if (!is_right)
        fprintf(stderr, "chat: wanted: %s      got: %s\n", wanted, got);
}

/* The next line is this one; with `skips`, one of the next. NULL: the connection ends. */
static void expect(bide_stream *client, bool skips, const char *wanted)
{
    char line[LINE_BYTES] = "";
    ssize_t bytes = -ETIMEDOUT;

    with_timeout (BIDE_SEC(30)) {
        do
            bytes = bide_read_line(client, line, sizeof line);
        while (skips && bytes > 0 && (wanted == NULL || strcmp(line, wanted) != 0));
    }
    if (wanted == NULL)
        see(bytes == 0, "the end\n", bytes < 0 ? strerror((int)-bytes) : line);
    else
        see(bytes > 0 && strcmp(line, wanted) == 0, wanted, bytes > 0 ? line : "no line\n");
}

static bide_stream *connect_as(const char *address, const char *name)
{
    bide_stream *client = NULL;
    char welcome[LINE_BYTES];
    int err = bide_dial(address, &client);

    if (err < 0) {
        fprintf(stderr, "chat: cannot connect: %s\n", strerror(-err));
        exit(1);
    }
    snprintf(welcome, sizeof welcome, "* welcome, %s: /who tells who is here, /quit leaves\n",
             name);
    expect(client, false, "* your name?\n");
    bide_printf(client, "%s\n", name);
    expect(client, false, welcome);
    return client;
}

static async(void, flood, bide_stream *, client)
{
    for (int i = 0; i < FLOOD; i++)
        bide_printf(client, FLOOD_LINE, "", i);
}

static void check_talk(const char *address, bide_stream *ann, bide_stream *bob)
{
    bide_stream *client;

    bide_printf(bob, "hello\r\n");
    expect(ann, false, "bob: hello\n");
    bide_printf(ann, "hi\n\n/who\n");
    expect(bob, false, "ann: hi\n");
    expect(ann, false, "* here: bob ann\n");

    /* Names that will not do; and an end before there is one. */
    if (bide_dial(address, &client) == 0) {
        expect(client, false, "* your name?\n");
        bide_printf(client, "ann\n\1%c\377\n", 0);
        expect(client, false, "* that name is taken\n");
        expect(client, false, "* letters and digits, please\n");
        bide_close(client);
    }
    /* Junk in a line, and a line that does not end. */
    client = connect_as(address, "junk");
    expect(ann, false, "* junk joined\n");
    bide_write(client, "\33[2J\7\n", 6);
    expect(ann, false, "junk: ?[2J?\n");
    for (int i = 0; i < 100; i++)
        bide_write(client, "\0\377 no end", 8);
    expect(ann, false, "* junk is out: too long a line\n");
    expect(client, true, "* you are out: too long a line\n");
    expect(client, false, NULL);
    bide_close(client);

    client = connect_as(address, "crash");
    expect(ann, false, "* crash joined\n");
    setsockopt(bide_stream_fd(client), SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
               sizeof(struct linger));
    bide_close(client);
    expect(ann, false, "* crash left\n");

    client = connect_as(address, "quits");
    expect(ann, false, "* quits joined\n");
    bide_printf(client, "/quit\n");
    expect(client, false, NULL);
    bide_close(client);
    expect(ann, false, "* quits left\n");
}

/* One who does not read, or not in time, holds nobody up, and is put out. */
static void check_slow(const char *address, bide_stream *ann, bide_stream *bob, const char *why)
{
    bide_stream *slow = connect_as(address, "slow");
    char wanted[LINE_BYTES], line[LINE_BYTES], out[LINE_BYTES];
    task(void) talking = spawn(flood, bob);
    bool is_out = false;
    int heard = 0;

    snprintf(out, sizeof out, "* slow is out: %s\n", why);
    expect(ann, false, "* slow joined\n");
    with_timeout (BIDE_SEC(30)) {
        while ((heard < FLOOD || !is_out) && bide_read_line(ann, line, sizeof line) > 0) {
            snprintf(wanted, sizeof wanted, FLOOD_LINE, "bob: ", heard);
            heard += strcmp(line, wanted) == 0;
            is_out |= strcmp(line, out) == 0;
        }
    }
    await(talking);
    see(heard == FLOOD, "all that bob said\n", "less\n");
    see(is_out, out, "no such line\n");
    if (strcmp(why, "too slow") == 0)
        expect(slow, true, "* you are out: too slow\n");
    expect(slow, true, NULL);
    bide_close(slow);
}

/* Run a server and two clients: then the first check, or the second with a reason. */
static int check(size_t kept, bide_time patience, const char *why_slow)
{
    struct room room = {.pace = 0, .patience = patience};
    bide_listener *listener;
    char address[64];
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    bide_listener_address(listener, address, sizeof address);
    room.lines = broadcast_new(struct line, kept);
    if (room.lines == NULL)
        return -ENOMEM;
    defer(broadcast_free, room.lines);
    task(int) serving = spawn(serve, &room, listener);

    bide_stream *ann = connect_as(address, "ann"), *bob = connect_as(address, "bob");
    expect(ann, false, "* bob joined\n");
    if (why_slow == NULL)
        check_talk(address, ann, bob);
    else
        check_slow(address, ann, bob, why_slow);

    cancel(serving);
    expect(ann, false, "* the server is closing\n");
    expect(ann, false, NULL);
    bide_close(ann); /* the server waits for that, a second at the most */
    expect(bob, true, "* the server is closing\n");
    expect(bob, false, NULL);
    bide_close(bob);
    err = await(serving);
    see(err == -ECANCELED && room.members == NULL, "a good end\n", strerror(-err));
    return 0;
}

static int check_itself(void)
{
    int err = check(KEPT, BIDE_SEC(60), NULL);

    if (err == 0)
        err = check(KEPT, BIDE_SEC(60), "too slow"); /* the line is overwritten first */
    if (err == 0)
        err = check(2 * FLOOD, BIDE_MS(500), "reads nothing"); /* the patience ends first */
    printf("chat: %d times as expected, %d times not\n", seen.right, seen.wrong);
    return err < 0 ? err : seen.wrong > 0;
}

async_main
{
    if (argc == 3 && strcmp(argv[1], "--listen") == 0)
        return run_server(argv[2]);
    if (argc == 1)
        return check_itself();
    fprintf(stderr, "usage: chat [--listen tcp://ADDRESS:PORT]\n");
    return 2;
}
