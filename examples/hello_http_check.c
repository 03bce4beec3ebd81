/* SPDX-License-Identifier: MIT */
/*
 * hello_http_check.c - what hello_http answers and refuses, request by request.
 *
 * Usage: hello_http_check [SERVER [slow]]; without arguments, the hello_http that lies beside it.
 *
 * Every case is sent in one piece and byte by byte, all of them at the same time on connections of
 * their own, and each is followed by a good request: an answer to that shows that the connection
 * was kept. Then comes SIGTERM while a request is under way. "slow" adds what takes ten seconds.
 */
#include <bide.h>
#include <bide/short.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define END "\r\n\r\n"
#define TIME_LIMIT BIDE_SEC(40)

enum { MANY = 5000 };

static const char last[] = GET "Connection: close" END;

/* What is sent and the statuses that come back, the last one's included. */
static const struct {
    const char *sent, *wanted;
} cases[] = {
    {GET "\r\n", "200 200"},
    {GET "\r\n" GET "\r\n" GET "\r\n", "200 200 200 200"},
    {"GET / HTTP/1.1\nHost: a\n\n", "200 200"},
    {"\r\n\n" GET "\r\n", "200 200"},
    {"HEAD / HTTP/1.1\r\nhOST:\ta \t\r\n\r\n", "200 200"},
    {"DELETE / HTTP/1.1\r\nHost: a" END, "405 200"},
    {"GET / HTTP/1.0" END, "200"},
    {"GET / HTTP/1.0\r\nConnection: x, Keep-Alive" END, "200 200"},
    {GET "Connection: keep-alive,close" END, "200"},
    {GET "Expect: 100-continue\r\nContent-Length: 9" END, "200"},
    /* Which version, which host */
    {"GET / HTTP/2.0\r\nHost: a" END, "505"},
    {"GET / http/1.1\r\nHost: a" END, "400"},
    {"GET / HTTP/1.1 \r\nHost: a" END, "200 200"},
    {"GET / HTTP/1.1 x\r\nHost: a" END, "400"},
    {"GET /" END, "400"},
    {"GET  / HTTP/1.1\r\nHost: a" END, "400"},
    {"GET / HTTP/1.1" END, "400"},
    {GET "Host: a" END, "400"},
    {"GET / HTTP/1.0\r\nHost: a\r\nHost: b" END, "400"},
    {"GET / HTTP/1.x\r\nHost: a" END, "400"},
    {"GET / HTTP/x.1\r\nHost: a" END, "400"},
    {"GET foo HTTP/1.1\r\nHost: a" END, "400"},
    {"GET /\t HTTP/1.1\r\nHost: a" END, "400"},
    {"GET http://a/ HTTP/1.1\r\nHost: a" END, "200 200"},
    {"GET / HTTP/1.1\r\nHost: a b" END, "400"},
    {"GET / HTTP/1.1\r\nHost: a,b" END, "400"},
    {"GET / HTTP/1.0\r\nConnection: close, keep-alive" END, "200"},
    {"GET / HTTP/1.0\r\nExpect: x\r\nConnection: keep-alive" END, "200"},
    /* Where a request ends: what two servers could take differently */
    {GET "Content-Length: 5" END "GET /", "200 200"},
    {GET "Content-Length: 05\t" END "\r\n\r\nx", "200 200"},
    {GET "Content-Length: 1048576" END, "200"},
    {GET "Content-Length: 1048577" END, "413"},
    {GET "Content-Length: 18446744073709551621" END, "413"},
    {GET "Content-Length: 5\r\nContent-Length: 5" END "hello", "400"},
    {GET "Content-Length: 5, 5" END "hello", "400"},
    {GET "Content-Length: +5" END "hello", "400"},
    {GET "Content-Length: -5" END "hello", "400"},
    {GET "Content-Length: 0x5" END "hello", "400"},
    {GET "Content-Length:" END, "400"},
    {GET "Content-Length : 5" END "hello", "400"},
    {GET " Content-Length: 5" END "hello", "400"},
    {GET "X: y\r\n folded" END, "400"},
    {GET "X: y\r\n fol: ded" END, "400"},
    {GET "Transfer-Encoding: chunked" END "0" END, "501"},
    {GET "transfer-encoding: identity\r\nContent-Length: 1" END "x", "501"},
    {GET "Transfer-Encoding\xa0: chunked" END "0", "400"},
    {GET "Content Length: 5" END "hello", "400"},
    {GET "no colon" END, "400"},
    {GET ": no name" END, "400"},
    /* Control characters, anywhere in a head and ahead of it */
    {GET "X: a\rb" END, "400"},
    {GET "X: a\r\r\n\r\n", "400"},
    {"GET /\rHTTP/1.1\r\nHost: a" END, "400"},
    {"\r" GET "\r\n", "400"},
    {GET "X: a\x01" END, "400"},
    {GET "X: \x7f" END, "400"},
    {GET "X\x0b: a" END, "400"},
    {GET "X: \xc3\xa4\tb" END, "200 200"},
    {"GET / HTTP/2.0\r\nX: \x01" END, "400"},
};

enum { CASES = sizeof cases / sizeof cases[0] };

static char address[128];
static int right, wrong;

static void see(bool is_right, const char *what, const char *wanted, const char *got)
{
    *(is_right ? &right : &wrong) += 1;
    if (!is_right)
        printf("%.300s\n    wanted: %.80s\n    got:    %.80s\n", what, wanted, got);
}

/* The statuses in a reply, with blanks between them. */
static void list_statuses(const char *reply, char *statuses, size_t size)
{
    static const char mark[] = "HTTP/1.1 ";
    size_t used = 0;

    statuses[0] = '\0';
    while ((reply = strstr(reply, mark)) != NULL && used + 5 < size) {
        reply += sizeof mark - 1;
        used +=
            (size_t)snprintf(statuses + used, size - used, "%s%.3s", used > 0 ? " " : "", reply);
    }
}

/* Errors do not matter: the server may have closed. */
static async(int, send_text, bide_stream *, stream, const char *, text, size_t, bytes, size_t, step)
{
    for (size_t at = 0; at < bytes; at += step)
        if (bide_write(stream, text + at, bytes - at < step ? bytes - at : step) < 0)
            return 0;
    return bide_shutdown_write(stream);
}

/* Send a text, so many bytes at a time, and read until the end. Returns the reply, to be freed. */
static char *converse(const char *text, size_t bytes, size_t step)
{
    size_t most = 1024 + 8 * bytes;
    char *reply = calloc(1, most);
    bide_stream *stream;
    task(int) sender;

    if (reply == NULL || bide_dial(address, &stream) < 0)
        return reply;
    sender = spawn(send_text, stream, text, bytes, step);
    bide_read_exact(stream, reply, most - 1);
    await(sender);
    bide_close(stream);
    return reply;
}

static async(int, check, const char *, text, size_t, bytes, size_t, step, const char *, wanted)
{
    char statuses[80], *reply = converse(text, bytes, step);

    list_statuses(reply != NULL ? reply : "", statuses, sizeof statuses);
    see(strcmp(statuses, wanted) == 0, text, wanted, statuses);
    free(reply);
    return 0;
}

static async(int, check_case, int, number, size_t, step)
{
    char text[1024];
    int bytes = snprintf(text, sizeof text, "%s%s", cases[number].sent, last);

    return await(spawn(check, text, (size_t)bytes, step, cases[number].wanted));
}

/* A head as long as it may be, or by so much longer; with its end or without one. */
static async(int, check_long, int, more, bool, has_end)
{
    enum { MOST = 8192 };
    static const char start[] = GET "X: ";
    char text[MOST + 100 + sizeof last];
    int head = MOST + more;

    memset(text, 'x', sizeof text);
    memcpy(text, start, sizeof start - 1);
    if (has_end)
        memcpy(text + head - strlen(END), END, strlen(END));
    memcpy(text + head, last, sizeof last);
    if (!has_end)
        text[head] = '\0';
    return await(spawn(check, text, strlen(text), 1000, more > 0 ? "431" : "200 200"));
}

/* Far more requests than answers fit into one write, and than the socket takes before we read. */
static async(int, check_many, size_t, step)
{
    static const char one[] = GET "\r\n";
    char *text = malloc(MANY * sizeof one + sizeof last), *reply, counted[32], wanted[32];
    size_t bytes = 0;
    int count = 0;

    if (text == NULL)
        return 0;
    for (int i = 0; i < MANY; i++)
        bytes += (size_t)sprintf(text + bytes, "%s", one);
    bytes += (size_t)sprintf(text + bytes, "%s", last);
    reply = converse(text, bytes, step);
    for (const char *at = reply; at != NULL && (at = strstr(at, "\n\r\nHello, world\n")) != NULL;
         at++)
        count++;
    snprintf(counted, sizeof counted, "%d", count);
    snprintf(wanted, sizeof wanted, "%d", MANY + 1);
    see(count == MANY + 1, "many pipelined requests", wanted, counted);
    free(reply);
    free(text);
    return 0;
}

/* Half a head, and the connection kept open. */
static async(int, check_slow, void *, none)
{
    char reply[256] = "", statuses[80];
    bide_stream *stream;

    (void)none;
    if (bide_dial(address, &stream) == 0) {
        bide_write(stream, GET, strlen(GET));
        bide_read_exact(stream, reply, sizeof reply - 1);
        bide_close(stream);
    }
    list_statuses(reply, statuses, sizeof statuses);
    see(strcmp(statuses, "408") == 0, "half a head", "408", statuses);
    return 0;
}

static void check_all(bool is_slow)
{
    bide_group all = BIDE_GROUP_INIT;

    with_group (&all) {
        for (int i = 0; i < CASES; i++) {
            spawn_in(&all, check_case, i, (size_t)1);
            spawn_in(&all, check_case, i, (size_t)1024);
        }
        for (int more = -1; more <= 1; more++)
            spawn_in(&all, check_long, more, true);
        spawn_in(&all, check_long, 99, false);
        spawn_in(&all, check_many, (size_t)MANY * sizeof last);
        spawn_in(&all, check_many, (size_t)100);
        if (is_slow)
            spawn_in(&all, check_slow, NULL);
    }
}

/* A request under way when the signal comes is answered, and told that it is the last one. */
static void check_end(bide_process *server)
{
    bide_process_status status = {.code = -1};
    char reply[1024] = "";
    bide_stream *stream, *other;
    ssize_t got;

    if (bide_dial(address, &stream) < 0)
        return;
    bide_write(stream, GET "\r\nGET /", strlen(GET "\r\nGET /"));
    bide_read(stream, reply, sizeof reply - 1);
    bide_process_kill(server, SIGTERM);
    while (bide_dial(address, &other) == 0) { /* until it has seen the signal */
        bide_close(other);
        bide_sleep(BIDE_MS(1));
    }
    bide_write(stream, last + strlen("GET /"), strlen(" HTTP/1.1\r\nHost: a\r\n"));
    bide_write(stream, "\r\n", 2);
    got = bide_read_exact(stream, reply, sizeof reply - 1);
    reply[got > 0 ? got : 0] = '\0';
    see(strstr(reply, "200 OK") != NULL && strstr(reply, "Connection: close") != NULL,
        "a request under way at the end", "Connection: close", reply);
    bide_close(stream);
    bide_process_wait(server, &status);
    see(status.code == 0, "the server's end", "status 0", "another");
}

async_main
{
    const bide_process_options options = {.out = {.kind = BIDE_STDIO_PIPE}, .kill_on_exit = true};
    char path[4096] = "", line[128], host[100];
    bide_process *server;

    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    else if (readlink("/proc/self/exe", path, sizeof path - 1) > 0)
        strcpy(strrchr(path, '/') + 1, "hello_http");
    if (bide_process_spawn(BIDE_ARGV(path, "--port", "0"), &options, &server) < 0) {
        fprintf(stderr, "hello_http_check: cannot start %s\n", path);
        return 1;
    }
    with_timeout (TIME_LIMIT) {
        if (bide_read_line(bide_process_stdout(server), line, sizeof line) > 0 &&
            sscanf(line, "listening on http://%99[^/]/", host) == 1) {
            snprintf(address, sizeof address, "tcp://%s", host);
            check_all(argc > 2);
            check_end(server);
        }
    }
    bide_process_free(server);
    printf("%d right, %d wrong\n", right, wrong);
    return wrong == 0 && right >= 2 * CASES + 8 ? 0 : 1;
}
