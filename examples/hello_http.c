/* SPDX-License-Identifier: MIT */
/*
 * hello_http.c - an HTTP/1.1 server that greets whoever asks.
 *
 * Every connection is a task that runs converse() from top to bottom: wait for a request, answer
 * it, wait for the next. The calls look blocking; while one connection waits, the others run. A
 * request is parsed where it was received and costs one read and one write; pipelined requests that
 * came together are answered together.
 */
#include <bide.h>
#include <bide/short.h>

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define IDLE_TIME BIDE_SEC(60)    /* until the next request begins */
#define HEAD_TIME BIDE_SEC(10)    /* from its first byte until its head is whole */
#define ANSWER_TIME BIDE_SEC(10)  /* for sending answers, and passing over a body */
#define FAREWELL_TIME BIDE_SEC(1) /* for the peer to take the last answer and close */

enum { HEAD_BYTES = 8192, BODY_BYTES = 1024 * 1024, ANSWER_BYTES = 256, ANSWERS_BYTES = 1024 };

struct span {
    const char *at;
    size_t bytes;
};

struct request {
    const char *status; /* "200 OK", or what is wrong with it */
    bool is_head;       /* to be answered without a body */
    bool is_1_0;        /* HTTP/1.0, which closes unless asked to keep the connection */
    bool closes;
    unsigned hosts, lengths; /* how often Host and Content-Length were there */
    size_t body_bytes;       /* to be passed over */
};

/* --- Parsing (RFC 9112, sections 2 to 6) */

/* The length of the head that starts here, its blank line included; 0 when it is not whole yet. */
static size_t head_length(struct span in)
{
    const char *at = in.at, *end = in.at + in.bytes;

    while (at < end && (*at == '\r' || *at == '\n'))
        at++; /* blank lines ahead of a request are passed over */
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && at[0] == '\n')
            return (size_t)(at + 1 - in.at);
        if (at + 1 < end && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at + 2 - in.at);
    }
    return 0;
}

/* Take off what stands before the delimiter, and the delimiter; all of it where there is none. */
static struct span take(struct span *rest, char delimiter)
{
    const char *found = memchr(rest->at, delimiter, rest->bytes);
    struct span taken = {rest->at, found != NULL ? (size_t)(found - rest->at) : rest->bytes};

    rest->at += taken.bytes + (found != NULL);
    rest->bytes -= taken.bytes + (found != NULL);
    return taken;
}

static struct span trim(struct span text)
{
    for (; text.bytes > 0 && strchr(" \t", text.at[0]) != NULL; text.at++)
        text.bytes--;
    while (text.bytes > 0 && strchr(" \t\r", text.at[text.bytes - 1]) != NULL)
        text.bytes--;
    return text;
}

static bool is_word(struct span text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.at, word, text.bytes) == 0;
}

/* No control characters but tabs and the ends of lines. */
static bool is_clean(struct span head)
{
    for (size_t i = 0; i < head.bytes; i++) {
        unsigned char c = (unsigned char)head.at[i];
        bool is_line_end = c == '\n' || (c == '\r' && head.at[i + 1] == '\n');
        if ((c < ' ' && c != '\t' && !is_line_end) || c == 127)
            return false;
    }
    return true;
}

/* This and the next return NULL, or the status to refuse the request with. */
static const char *parse_request_line(struct request *request, struct span line)
{
    struct span method = take(&line, ' '), target = take(&line, ' '), version = trim(line);

    if (method.bytes == 0 || target.bytes == 0 || version.bytes != strlen("HTTP/1.1") ||
        memcmp(version.at, "HTTP/", 5) != 0)
        return "400 Bad Request";
    if (memcmp(version.at, "HTTP/1.", 7) != 0)
        return "505 HTTP Version Not Supported";
    request->is_1_0 = request->closes = version.at[7] == '0';
    request->is_head = method.bytes == 4 && memcmp(method.at, "HEAD", 4) == 0;
    if (!request->is_head && (method.bytes != 3 || memcmp(method.at, "GET", 3) != 0))
        request->status = "405 Method Not Allowed"; /* which is no reason to close */
    return NULL;
}

static const char *parse_field(struct request *request, struct span line)
{
    struct span name = take(&line, ':'), value = trim(line);
    char *end;

    if (name.bytes == 0 || name.at[name.bytes] != ':' || trim(name).bytes != name.bytes)
        return "400 Bad Request";
    if (is_word(name, "host")) {
        request->hosts++;
    } else if (is_word(name, "content-length")) {
        if (!isdigit((unsigned char)*value.at) || request->lengths++ > 0)
            return "400 Bad Request";
        request->body_bytes = strtoull(value.at, &end, 10); /* the line's end stops it */
        if (end != value.at + value.bytes)
            return "400 Bad Request";
        if (request->body_bytes > BODY_BYTES)
            return "413 Content Too Large";
    } else if (is_word(name, "transfer-encoding")) {
        return "501 Not Implemented";
    } else if (is_word(name, "expect")) {
        request->closes = true; /* answered at once: nobody knows whether a body still comes */
    } else if (is_word(name, "connection")) {
        while (value.bytes > 0) {
            struct span word = trim(take(&value, ','));
            if (is_word(word, "close"))
                request->closes = true;
            else if (is_word(word, "keep-alive") && request->is_1_0)
                request->closes = false;
        }
    }
    return NULL;
}

static struct request parse_head(struct span head)
{
    struct request request = {.status = "200 OK"};
    struct span line;
    const char *refusal = head.bytes > HEAD_BYTES ? "431 Request Header Fields Too Large"
                          : is_clean(head)        ? NULL
                                                  : "400 Bad Request";

    for (; *head.at == '\r' || *head.at == '\n'; head.at++)
        head.bytes--;
    line = take(&head, '\n');
    if (refusal == NULL)
        refusal = parse_request_line(&request, line);
    while (refusal == NULL && head.bytes > 2) {
        line = take(&head, '\n');
        refusal = parse_field(&request, line);
    }
    if (refusal == NULL && request.hosts != 1 && !(request.is_1_0 && request.hosts == 0))
        refusal = "400 Bad Request";
    return refusal == NULL ? request : (struct request){.status = refusal, .closes = true};
}

/* --- Answering */

static size_t format_answer(char *text, const struct request *request, time_t now)
{
    bool is_greeting = strcmp(request->status, "200 OK") == 0;
    const char *body = is_greeting ? "Hello, world" : request->status;
    char date[32];
    struct tm utc;

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    return (size_t)snprintf(
        text, ANSWER_BYTES,
        "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
        "%s%s\r\n%s%s",
        request->status, date, strlen(body) + 1,
        memcmp(body, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "",
        request->closes   ? "Connection: close\r\n"
        : request->is_1_0 ? "Connection: keep-alive\r\n"
                          : "",
        request->is_head ? "" : body, request->is_head ? "" : "\n");
}

/* Most answers are the same for a second, and that long their text is kept. */
static size_t answer(char *text, const struct request *request)
{
    static const struct request usual = {.status = "200 OK"};
    static char usual_text[ANSWER_BYTES];
    static size_t usual_bytes;
    static time_t usual_time;
    time_t now = time(NULL);

    if (request->status[0] != '2' || request->is_head || request->is_1_0 || request->closes)
        return format_answer(text, request, now);
    if (usual_time != now)
        usual_bytes = format_answer(usual_text, &usual, now);
    usual_time = now;
    memcpy(text, usual_text, usual_bytes);
    return usual_bytes;
}

/* --- A connection */

/* Wait for a request's head. Returns its length; else 0, and in `refusal` what to answer to a head
 * that is too long or too late; nothing when the peer has gone. */
static size_t wait_for_head(bide_stream *stream, struct span *in, const char **refusal)
{
    ssize_t got = 0;
    size_t head_bytes;

    with_timeout (IDLE_TIME) {
        got = bide_peek(stream, &in->at, 1);
    }
    if (got <= 0)
        return 0;
    in->bytes = (size_t)got;
    head_bytes = head_length(*in);
    if (head_bytes > 0)
        return head_bytes;
    with_timeout (HEAD_TIME) {
        while (head_bytes == 0 && in->bytes <= HEAD_BYTES) {
            got = bide_peek(stream, &in->at, in->bytes + 1);
            if (got <= (ssize_t)in->bytes) { /* the end, or a timeout */
                *refusal = bide_canceled() == -ETIMEDOUT ? "408 Request Timeout" : NULL;
                return 0;
            }
            in->bytes = (size_t)got;
            head_bytes = head_length(*in);
        }
    }
    if (head_bytes == 0)
        *refusal = "431 Request Header Fields Too Large";
    return head_bytes;
}

/* Closing with bytes unread would reset the connection, and the peer might lose the last answer. */
static void say_farewell(bide_stream *stream)
{
    if (bide_shutdown_write(stream) < 0)
        return;
    with_timeout (FAREWELL_TIME) {
        bide_skip(stream, BODY_BYTES);
    }
}

struct server {
    bool is_stopping;
    bide_scope serving;
};

/* A connection, from its first request to its last; bide_serve closes the stream afterwards. */
static int converse(bide_stream *stream, void *arg)
{
    const struct server *server = arg;
    char answers[ANSWERS_BYTES];
    struct request request = {.closes = false};

    while (!request.closes) {
        struct span in = {NULL, 0};
        const char *refusal = NULL;
        size_t head_bytes = wait_for_head(stream, &in, &refusal);
        size_t used = 0, answer_bytes = 0;

        if (head_bytes == 0 && refusal == NULL)
            return 0;
        do {
            request = (struct request){.status = refusal, .closes = true};
            if (refusal == NULL)
                request = parse_head((struct span){in.at + used, head_bytes});
            request.closes |= server->is_stopping;
            answer_bytes += answer(answers + answer_bytes, &request);
            used += head_bytes + request.body_bytes;
            head_bytes =
                used < in.bytes ? head_length((struct span){in.at + used, in.bytes - used}) : 0;
        } while (!request.closes && head_bytes > 0 && answer_bytes + ANSWER_BYTES <= ANSWERS_BYTES);

        with_timeout (ANSWER_TIME) {
            if (bide_write(stream, answers, answer_bytes) != (ssize_t)answer_bytes)
                return 0;
            if (!request.closes && bide_skip(stream, used) != (ssize_t)used)
                return 0;
        }
    }
    say_farewell(stream);
    return 0;
}

/* --- The program */

/* Signals come through a descriptor of the kernel's, which the loop can wait for like any other. */
static async(int, stop_on_signal, int, signals_fd, struct server *, server)
{
    int ready = bide_wait_fd(signals_fd, BIDE_READ);

    if (ready < 0)
        return ready;
    server->is_stopping = true;
    bide_scope_cancel(&server->serving);
    return 0;
}

static int serve(bide_listener *listener)
{
    struct server server = {.is_stopping = false};
    task(int) stopper;
    sigset_t signals;
    int signals_fd, err = 0;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signals_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_fd < 0)
        return -errno;

    stopper = spawn(stop_on_signal, signals_fd, &server);
    with_scope (&server.serving) {
        err = bide_serve(listener, converse, &server);
    }
    cancel(stopper);
    await(stopper);
    close(signals_fd);
    return bide_scope_fired(&server.serving) ? 0 : err;
}

async_main
{
    const bide_listen_options options = {.grace_ns = BIDE_SEC(1)};
    const char *host = "127.0.0.1", *port = "8080";
    char address[128];
    bide_listener *listener;
    struct rlimit descriptors;
    int err;

    for (int i = 1; i < argc; i += 2) {
        bool is_host = strcmp(argv[i], "--host") == 0;
        if (i + 1 == argc || (!is_host && strcmp(argv[i], "--port") != 0)) {
            fprintf(stderr, "usage: hello_http [--host ADDRESS] [--port N] (0 is any free one)\n");
            return 2;
        }
        *(is_host ? &host : &port) = argv[i + 1];
    }
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        descriptors.rlim_cur = descriptors.rlim_max; /* a descriptor each connection */
        setrlimit(RLIMIT_NOFILE, &descriptors);
    }

    /* An IPv6 address stands in brackets. */
    snprintf(address, sizeof address, strchr(host, ':') ? "tcp://[%s]:%s" : "tcp://%s:%s", host,
             port);
    err = bide_listen(address, &options, &listener);
    if (err < 0) {
        fprintf(stderr, "hello_http: cannot listen on %s: %s\n", address, strerror(-err));
        return 1;
    }
    err = bide_listener_address(listener, address, sizeof address);
    printf("listening on http%s/\n", address + strlen("tcp"));
    fflush(stdout);
    if (err == 0)
        err = serve(listener);
    bide_listener_close(listener);
    return err;
}
