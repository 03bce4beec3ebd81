/* SPDX-License-Identifier: MIT */
/*
 * key_value.c - a key-value server that speaks Redis's protocol (RESP2), so that redis-cli and
 * redis-benchmark work with it.
 *
 *     key_value --listen tcp://127.0.0.1:6380     serves until SIGINT or SIGTERM
 *     key_value                                   checks itself, with clients of its own
 *
 * A connection is a task. It looks at what has come, runs every command that is whole where it
 * lies, and writes all replies at once: a request costs a read and a write, and so do sixteen that
 * came together. The commands are in key_value_commands.h, the table in key_value_store.h.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>

#include "key_value_commands.h"

#define FAREWELL_TIME BIDE_SEC(1) /* for the peer to take the last reply and close */

enum {
    REQUEST_BYTES = 2 * BULK_BYTES, /* of a command, all told */
    INLINE_BYTES = 64 * 1024,       /* of a command that is a plain line */
    WRITE_BYTES = 64 * 1024,        /* of replies to be written before more are made */
};

/* --- Requests */

/*
 * Read a number and the end of its line from `at` on. Returns what follows, NULL when it is not
 * whole yet; -1 stands for any number that will not do.
 */
static const char *take_number(const char *at, const char *end, int64_t *number)
{
    const char *line_end = memchr(at, '\r', (size_t)(end - at));

    *number = -1;
    if (line_end == NULL)
        return end - at > 24 ? at : NULL;
    if (line_end + 1 == end)
        return NULL;
    if (line_end[1] != '\n' || !to_number((struct span){at, (size_t)(line_end - at)}, number))
        *number = -1;
    return line_end + 2;
}

/* A command as people type it: words in a line. */
static size_t take_line(struct span in, struct request *request, const char **wrong)
{
    const char *line_end = memchr(in.at, '\n', in.bytes), *at = in.at;

    request->count = 0;
    if (in.bytes > INLINE_BYTES && (line_end == NULL || line_end - in.at > INLINE_BYTES))
        *wrong = "too big inline request";
    if (line_end == NULL || *wrong != NULL)
        return 0;
    while (at < line_end) {
        const char *word = at;
        while (at < line_end && !isspace((unsigned char)*at))
            at++;
        if (at == word) {
            at++;
        } else if (request->count == ARGS_MOST) {
            *wrong = "too many words in an inline request";
            return 0;
        } else {
            request->args[request->count++] = (struct span){word, (size_t)(at - word)};
        }
    }
    return (size_t)(line_end + 1 - in.at);
}

/*
 * Take the next command, whose arguments then lie in what came. Returns its bytes; 0 when it is not
 * whole yet, or when it is not the protocol, and then `wrong` says why.
 */
static size_t take_request(struct span in, struct request *request, const char **wrong)
{
    const char *at, *end = in.at + in.bytes;
    int64_t count, bytes;

    if (*in.at != '*')
        return take_line(in, request, wrong);
    at = take_number(in.at + 1, end, &count);
    if (at == NULL)
        return 0;
    if (count < 0 || count > ARGS_MOST) {
        *wrong = "invalid multibulk length";
        return 0;
    }
    for (request->count = 0; request->count < (size_t)count; at += bytes + 2) {
        if (at == end)
            return 0;
        if (*at != '$') {
            *wrong = "expected '$'";
            return 0;
        }
        at = take_number(at + 1, end, &bytes);
        if (at == NULL)
            return 0;
        if (bytes < 0 || bytes > BULK_BYTES) {
            *wrong = "invalid bulk length";
            return 0;
        }
        if (end - at < bytes + 2)
            return 0;
        request->args[request->count++] = (struct span){at, (size_t)bytes};
    }
    return (size_t)(at - in.at);
}

/* --- A connection */

/* Run what has come. Returns how many bytes of it are done with. */
static size_t answer(struct span in, struct reply *out, bool *needs_more)
{
    static struct request request; /* filled and used without a wait */
    size_t used = 0;

    *needs_more = true;
    while (used < in.bytes) {
        const char *wrong = NULL;
        size_t bytes = take_request((struct span){in.at + used, in.bytes - used}, &request, &wrong);

        if (wrong != NULL) {
            put_error(out, "ERR Protocol error: %s", wrong);
            out->closes = true;
        }
        if (bytes == 0)
            return used;
        used += bytes;
        if (request.count > 0)
            run(out, &request);
        *needs_more = out->bytes < WRITE_BYTES || used == in.bytes;
        if (!*needs_more || out->closes || out->is_lost)
            return used;
    }
    return used;
}

static int converse(bide_stream *stream, void *unused)
{
    struct reply out = {.bytes = 0};
    size_t least = 1, used;
    struct span in;
    ssize_t got;

    (void)unused;
    defer(reply_free, &out);
    bide_stream_set_limit(stream, REQUEST_BYTES);
    while (!out.closes && !out.is_lost) {
        bool needs_more;
        got = bide_peek(stream, &in.at, least);
        if (got < (ssize_t)least && got != -EMSGSIZE)
            return 0;
        out.bytes = used = 0;
        if (got == -EMSGSIZE) {
            put_error(&out, "ERR Protocol error: too big a request");
            out.closes = true;
        } else {
            in.bytes = (size_t)got;
            used = answer(in, &out, &needs_more);
            least = needs_more ? in.bytes - used + 1 : 1;
        }
        bide_skip(stream, used);
        if (bide_write(stream, out.at, out.bytes) != (ssize_t)out.bytes)
            return 0;
        if (out.capacity > 4 * WRITE_BYTES) { /* one long reply is no reason to keep it */
            reply_free(&out);
            out = (struct reply){.closes = out.closes};
        }
    }
    with_timeout (FAREWELL_TIME) {
        /* Closing with bytes unread would reset the connection, and lose the last reply. */
        if (bide_shutdown_write(stream) == 0)
            bide_skip(stream, SIZE_MAX);
    }
    return 0;
}

/* --- The server */

/* Keys that nobody looks for go in the course of time, too. */
static async(void, sweep)
{
    bide_ticker ticker;

    bide_ticker_init(&ticker, BIDE_MS(100), BIDE_TICK_SKIP);
    while (bide_ticker_wait(&ticker) > 0)
        store_sweep(10000);
}

static async(int, serve, bide_listener *, listener)
{
    bide_group all = BIDE_GROUP_INIT;
    int err = 0;

    with_group (&all) {
        spawn_in(&all, sweep);
        err = bide_serve(listener, converse, NULL);
        bide_group_cancel(&all);
    }
    store_clear();
    return err;
}

static int run_server(const char *address)
{
    const bide_listen_options options = {.stack_bytes = 32 * 1024};
    bide_listener *listener;
    char text[128];
    int err = bide_listen(address, &options, &listener);

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    /* Who waits for a reply has it in no time; nobody else is worth waiting for. */
    err = bide_shutdown_on(SIGINT, SIGTERM, BIDE_MS(100));
    if (err < 0)
        return err;
    bide_listener_address(listener, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    err = serve(listener);
    return bide_shutdown_signal() != 0 ? 0 : err;
}

/* --- The check */

static struct {
    int right, wrong;
} seen;

static void see(bool is_right, const char *wanted, const char *got)
{
    *(is_right ? &seen.right : &seen.wrong) += 1;
    if (!is_right && seen.wrong < 10)
        fprintf(stderr, "key_value: wanted: %.200s\n           got: %.200s\n", wanted, got);
}

/* In an order that leaves nothing to chance. */
static const struct {
    const char *words, *reply;
} script[] = {
    {"FLUSHALL", OK},
    {"PING", "+PONG\r\n"},
    {"ping hello", "$5\r\nhello\r\n"},
    {"ECHO hello", "$5\r\nhello\r\n"},
    {"GET a", NIL},
    {"SET a 1", OK},
    {"SET a 2 NX", NIL},
    {"SET b 2 XX", NIL},
    {"SET a 12 XX", OK},
    {"GET a", "$2\r\n12\r\n"},
    {"INCR a", ":13\r\n"},
    {"DECRBY a 20", ":-7\r\n"},
    {"INCRBY a 9223372036854775807", ":9223372036854775800\r\n"},
    {"INCRBY a 8", "-ERR increment or decrement would overflow\r\n"},
    {"INCRBY a 01", NOT_AN_INTEGER},
    {"DECR n", ":-1\r\n"},
    {"APPEND s foo", ":3\r\n"},
    {"APPEND s bar", ":6\r\n"},
    {"INCR s", NOT_AN_INTEGER},
    {"STRLEN s", ":6\r\n"},
    {"STRLEN none", ":0\r\n"},
    {"MSET x 1 y 2", OK},
    {"MSET x 1 y", "-ERR wrong number of arguments for 'mset' command\r\n"},
    {"MGET x none y", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"},
    {"EXISTS x y none x", ":3\r\n"},
    {"DEL x y none", ":2\r\n"},
    {"TTL s", ":-1\r\n"},
    {"TTL none", ":-2\r\n"},
    {"EXPIRE s 100", ":1\r\n"},
    {"TTL s", ":100\r\n"},
    {"SET s v EX 50", OK},
    {"TTL s", ":50\r\n"},
    {"SET s v EX 0", "-ERR invalid expire time in 'set' command\r\n"},
    {"SET s v EX", SYNTAX_ERROR},
    {"SET s v NX XX", SYNTAX_ERROR},
    {"PEXPIRE s -1", ":1\r\n"},
    {"GET s", NIL},
    {"RPUSH l b c", ":2\r\n"},
    {"LPUSH l a", ":3\r\n"},
    {"LRANGE l 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
    {"LRANGE l -2 1", "*1\r\n$1\r\nb\r\n"},
    {"GET l", WRONG_TYPE},
    {"RPUSH a 1", WRONG_TYPE},
    {"TYPE l", "+list\r\n"},
    {"RPOP l", "$1\r\nc\r\n"},
    {"LPOP l", "$1\r\na\r\n"},
    {"LLEN l", ":1\r\n"},
    {"LPOP l", "$1\r\nb\r\n"},
    {"TYPE l", "+none\r\n"},
    {"KEYS \\?", "*0\r\n"},
    {"DEL n", ":1\r\n"},
    {"KEYS ?", "*1\r\n$1\r\na\r\n"},
    {"KEYS none*", "*0\r\n"},
    {"DBSIZE", ":1\r\n"},
    {"SELECT 0", OK},
    {"SELECT 1", "-ERR DB index is out of range\r\n"},
    {"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
    {"COMMAND", "*0\r\n"},
    {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
    {"JUMP high", "-ERR unknown command 'JUMP', with args beginning with: 'high' \r\n"},
    {"DEL a n", ":1\r\n"},
    {"DBSIZE", ":0\r\n"},
};

enum { SCRIPT_LINES = sizeof script / sizeof *script, SCRIPT_BYTES = 16 * 1024 };

/* Words as an array of bulks. Returns where it ends. */
static char *encode(char *to, const char *words)
{
    int count = 1;

    for (const char *at = words; *at != '\0'; at++)
        count += *at == ' ';
    to += sprintf(to, "*%d\r\n", count);
    while (count-- > 0) {
        int bytes = (int)strcspn(words, " ");
        to += sprintf(to, "$%d\r\n%.*s\r\n", bytes, bytes, words);
        words += bytes + 1;
    }
    return to;
}

/* Send it in pieces of so many bytes, and see that this is what comes back. */
static void exchange(bide_stream *client, struct span request, size_t piece, const char *wanted)
{
    size_t bytes = strlen(wanted);
    char *got = calloc(bytes + 1, 1);

    if (got == NULL)
        return see(false, "memory", "none");
    with_timeout (BIDE_SEC(30)) {
        for (size_t sent = 0; sent < request.bytes; sent += piece) {
            size_t left = request.bytes - sent;
            bide_write(client, request.at + sent, left < piece ? left : piece);
            if (piece < request.bytes)
                bide_sleep(0);
        }
        bide_read_exact(client, got, bytes);
    }
    see(strcmp(got, wanted) == 0, wanted, got);
    free(got);
}

static void ask(bide_stream *client, const char *words, const char *wanted)
{
    char request[256];

    exchange(client, (struct span){request, (size_t)(encode(request, words) - request)}, SIZE_MAX,
             wanted);
}

static bide_stream *connect_to(const char *address)
{
    bide_stream *client;
    int err = bide_dial(address, &client);

    if (err == 0)
        return client;
    fprintf(stderr, "key_value: cannot connect: %s\n", strerror(-err));
    exit(1);
}

/* One by one, as people type; all together; and byte by byte. */
static void check_script(bide_stream *client)
{
    char requests[SCRIPT_BYTES], replies[SCRIPT_BYTES], *end = requests, *reply = replies;

    for (int i = 0; i < SCRIPT_LINES; i++) {
        char line[128];
        size_t bytes = (size_t)snprintf(line, sizeof line, "%s\r\n", script[i].words);
        exchange(client, (struct span){line, bytes}, SIZE_MAX, script[i].reply);
        end = encode(end, script[i].words);
        reply = stpcpy(reply, script[i].reply);
    }
    exchange(client, (struct span){requests, (size_t)(end - requests)}, SIZE_MAX, replies);
    exchange(client, (struct span){requests, (size_t)(end - requests)}, 1, replies);
}

/* What is not the protocol gets a word and the end; junk, at least the end. */
static void check_refusals(const char *address)
{
    static const char *const refused[][2] = {
        {"*1025\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*-1\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*99999999999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n!3\r\nGET\r\n", "-ERR Protocol error: expected '$'\r\n"},
        {"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"*1\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"QUIT\r\n", OK},
    };
    unsigned random = 1;

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bide_stream *client = connect_to(address);
        char rest[8];
        exchange(client, (struct span){refused[i][0], strlen(refused[i][0])}, SIZE_MAX,
                 refused[i][1]);
        see(bide_read(client, rest, sizeof rest) == 0, "the end", refused[i][0]);
        bide_close(client);
    }
    for (int i = 0; i < 100; i++) {
        bide_stream *client = connect_to(address);
        char junk[1000];
        for (size_t j = 0; j < sizeof junk; j++)
            junk[j] = (char)((random = random * 1103515245 + 12345) >> 16);
        memcpy(junk, "*3\r\n$3\r\n", i % 9);
        bide_write(client, junk, sizeof junk);
        bide_shutdown_write(client);
        with_timeout (BIDE_SEC(30)) {
            bide_skip(client, SIZE_MAX);
            see(bide_canceled() == 0, "the end", "nothing");
        }
        bide_close(client);
    }
}

/* Values as long as may be, and more replies than anybody wants to keep in memory. */
static void check_long(const char *address, bide_stream *client)
{
    bide_stream *other = connect_to(address);
    enum { GETS = 20 };
    char *text = malloc(BULK_BYTES + 64), *got = malloc(BULK_BYTES);
    int bytes, same = 0;

    if (text == NULL || got == NULL)
        return see(false, "memory", "none");
    bytes = sprintf(text, "*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$%d\r\n", BULK_BYTES);
    memset(text + bytes, 'x', BULK_BYTES);
    memcpy(text + bytes + BULK_BYTES, "\r\n", 3);
    exchange(client, (struct span){text, (size_t)bytes + BULK_BYTES + 2}, 100000, OK);
    ask(client, "APPEND long x", "-ERR string exceeds maximum allowed size\r\n");
    for (int i = 0; i < GETS; i++)
        bide_printf(client, "GET long\r\n");
    for (int i = 0; i < GETS; i++) {
        exchange(client, (struct span){NULL, 0}, SIZE_MAX, "$1048576\r\n");
        same += bide_read_exact(client, got, BULK_BYTES) == BULK_BYTES &&
                memcmp(got, text + bytes, BULK_BYTES) == 0;
        exchange(client, (struct span){NULL, 0}, SIZE_MAX, "\r\n");
    }
    see(same == GETS, "long values", "others");
    bide_printf(client, "MGET");
    for (int i = 0; i < REPLY_BYTES / BULK_BYTES; i++)
        bide_printf(client, " long");
    exchange(client, (struct span){"\r\n", 2}, SIZE_MAX, "-ERR the reply is too long\r\n");
    ask(client, "DEL long", ":1\r\n");

    bide_printf(other, "*4\r\n");
    for (int i = 0; i < 3; i++) {
        bide_printf(other, "$%d\r\n", BULK_BYTES);
        bide_write(other, text + bytes, BULK_BYTES + 2);
    }
    exchange(other, (struct span){NULL, 0}, SIZE_MAX, "-ERR Protocol error: too big a request\r\n");
    bide_close(other);
    free(text);
    free(got);
}

/* Many keys, so that the table grows; all go by themselves. */
static void check_expiry(bide_stream *client)
{
    enum { KEYS = 5000 };
    char line[128] = "";

    for (int i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, "SET key%d %d PX %d", i, i, i % 2 == 0 ? 100000 : 300);
        ask(client, line, OK);
    }
    for (int i = 0; i < KEYS; i += 2) {
        snprintf(line, sizeof line, "DEL key%d", i);
        ask(client, line, ":1\r\n");
    }
    with_timeout (BIDE_SEC(30)) {
        do {
            bide_sleep(BIDE_MS(50));
            bide_printf(client, "DBSIZE\r\n");
        } while (bide_read_line(client, line, sizeof line) > 0 && strcmp(line, ":0\r\n") != 0);
    }
    see(strcmp(line, ":0\r\n") == 0, "an empty table", line);
}

static async(void, count, const char *, address)
{
    bide_stream *client = connect_to(address);
    char line[64];

    defer(bide_close, client);
    for (int i = 0; i < 100; i++) {
        bide_printf(client, "INCR total\r\n");
        see(bide_read_line(client, line, sizeof line) > 0, "a number", "nothing");
    }
}

static int check_itself(void)
{
    const bide_listen_options options = {.grace_ns = -1};
    bide_group all = BIDE_GROUP_INIT;
    bide_listener *listener;
    bide_stream *client;
    char address[64];
    int err = bide_listen("tcp://127.0.0.1:0", &options, &listener);

    if (err < 0)
        return err;
    defer(bide_listener_close, listener);
    bide_listener_address(listener, address, sizeof address);
    task(int) serving = spawn(serve, listener);
    client = connect_to(address);
    check_script(client);
    check_refusals(address);
    check_long(address, client);
    check_expiry(client);
    with_group (&all) {
        for (int i = 0; i < 50; i++)
            spawn_in(&all, count, address);
    }
    ask(client, "GET total", "$4\r\n5000\r\n");
    bide_close(client);
    cancel(serving);
    err = await(serving);
    see(err == -ECANCELED, "a good end", strerror(-err));
    printf("key_value: %d times as expected, %d times not\n", seen.right, seen.wrong);
    return seen.wrong == 0 ? 0 : 1;
}

async_main
{
    if (argc == 3 && strcmp(argv[1], "--listen") == 0)
        return run_server(argv[2]);
    if (argc == 1)
        return check_itself();
    fprintf(stderr, "usage: key_value [--listen tcp://ADDRESS:PORT]\n");
    return 2;
}
