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
#include <time.h>

#define IDLE_TIME BIDE_SEC(60)    /* until the next request begins */
#define HEAD_TIME BIDE_SEC(10)    /* from its first byte until its head is whole */
#define ANSWER_TIME BIDE_SEC(10)  /* for sending answers, and passing over a body */
#define FAREWELL_TIME BIDE_SEC(1) /* for the peer to take the last answer and close */
#define GRACE_TIME BIDE_SEC(1)    /* from a signal to the end, for requests under way */

enum {
    HEAD_BYTES = 8192,
    BODY_BYTES = 1024 * 1024,
    ANSWER_BYTES = 256,        /* the longest */
    ANSWERS_BYTES = 16 * 1024, /* of pipelined requests, sent together */
};

struct span {
    const char *at;
    size_t bytes;
};

struct request {
    const char *status; /* "200 OK", or what is wrong with it */
    bool is_head;       /* to be answered without a body */
    bool is_1_0;        /* HTTP/1.0, which closes unless asked to keep the connection */
    bool keeps, ends;   /* what Connection says; and Expect, which is not met */
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

/* Control characters but tabs: what ends a line, and what must not be in one. */
static const bool ends_line[256] = {
    [0 ... '\t' - 1] = true, ['\t' + 1 ... 31] = true, [127] = true};

/* Take off a line, which may be empty, of a head that is whole. False when a control character
 * stops it that is no end of a line. */
static bool take_line(const char **at, struct span *line)
{
    const char *end = *at;

    while (!ends_line[(unsigned char)*end])
        end++;
    *line = (struct span){*at, (size_t)(end - *at)};
    if (*end == '\r')
        end++;
    *at = end + 1;
    return *end == '\n';
}

/* What a token, as the name of a field, consists of (RFC 9110, section 5.6.2). */
static const bool is_token[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['^' ... 'z'] = true, ['#' ... '\''] = true,
    ['!'] = true,         ['*'] = true,         ['+'] = true,         ['-'] = true,
    ['.'] = true,         ['|'] = true,         ['~'] = true};

/* Take off what stands before the delimiter, and the delimiter; all of it where there is none. */
static struct span take(struct span *rest, char delimiter)
{
    const char *found = memchr(rest->at, delimiter, rest->bytes);
    struct span taken = {rest->at, found != NULL ? (size_t)(found - rest->at) : rest->bytes};

    rest->at += taken.bytes + (found != NULL);
    rest->bytes -= taken.bytes + (found != NULL);
    return taken;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span text)
{
    for (; text.bytes > 0 && is_blank(text.at[0]); text.at++)
        text.bytes--;
    while (text.bytes > 0 && is_blank(text.at[text.bytes - 1]))
        text.bytes--;
    return text;
}

static bool is_word(struct span text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.at, word, text.bytes) == 0;
}

static bool has_any(struct span text, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        if (memchr(text.at, *bytes, text.bytes) != NULL)
            return true;
    return false;
}

/* This and the next two return NULL, or the status to refuse the request with. */
static const char *parse_request_line(struct request *request, struct span line)
{
    struct span method = take(&line, ' '), target = take(&line, ' '), version = trim(line);

    if (method.bytes == 0 || version.bytes != strlen("HTTP/1.1") ||
        memcmp(version.at, "HTTP/", 5) != 0 || !isdigit((unsigned char)version.at[5]) ||
        !isdigit((unsigned char)version.at[7]))
        return "400 Bad Request";
    if (target.bytes == 0 || has_any(target, "\t") ||
        (target.at[0] != '/' && !has_any(target, ":")))
        return "400 Bad Request";
    if (memcmp(version.at, "HTTP/1.", 7) != 0)
        return "505 HTTP Version Not Supported";
    request->is_1_0 = version.at[7] == '0';
    request->is_head = method.bytes == 4 && memcmp(method.at, "HEAD", 4) == 0;
    if (!request->is_head && (method.bytes != 3 || memcmp(method.at, "GET", 3) != 0))
        request->status = "405 Method Not Allowed"; /* which is no reason to close */
    return NULL;
}

static const char *parse_field(struct request *request, struct span line)
{
    struct span name = take(&line, ':'), value = trim(line);
    char *end;

    if (name.bytes == 0 || name.at[name.bytes] != ':')
        return "400 Bad Request";
    for (size_t i = 0; i < name.bytes; i++)
        if (!is_token[(unsigned char)name.at[i]])
            return "400 Bad Request";
    if (is_word(name, "host")) {
        request->hosts++;
        if (has_any(value, " \t,/@"))
            return "400 Bad Request";
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
        request->ends = true; /* answered at once: nobody knows whether a body still comes */
    } else if (is_word(name, "connection")) {
        while (value.bytes > 0) {
            struct span word = trim(take(&value, ','));
            request->ends |= is_word(word, "close");
            request->keeps |= is_word(word, "keep-alive");
        }
    }
    return NULL;
}

/* Parse the lines of a whole head; where one is not clean, nothing else counts. */
static const char *parse_lines(struct request *request, const char *at)
{
    const char *refusal;
    struct span line;

    do
        if (!take_line(&at, &line))
            return "400 Bad Request";
    while (line.bytes == 0);
    refusal = parse_request_line(request, line);
    for (;;) {
        if (!take_line(&at, &line))
            return "400 Bad Request";
        if (line.bytes == 0)
            break;
        if (refusal == NULL)
            refusal = parse_field(request, line);
    }
    if (refusal == NULL && request->hosts != 1 && !(request->is_1_0 && request->hosts == 0))
        refusal = "400 Bad Request";
    return refusal;
}

static struct request parse_head(struct span head)
{
    struct request request = {.status = "200 OK"};
    const char *refusal = head.bytes > HEAD_BYTES ? "431 Request Header Fields Too Large"
                                                  : parse_lines(&request, head.at);

    if (refusal != NULL)
        return (struct request){.status = refusal, .is_head = request.is_head, .closes = true};
    request.closes = request.ends || (request.is_1_0 && !request.keeps);
    return request;
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
static size_t answer(char *text, const struct request *request, time_t now)
{
    static const struct request usual = {.status = "200 OK"};
    static char usual_text[ANSWER_BYTES];
    static size_t usual_bytes;
    static time_t usual_time;

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

/*
 * Memory for answers, while they are written. One piece serves all connections; there are more only
 * while peers do not read.
 */
static char *spare;

static char *borrow_memory(void)
{
    char *memory = spare != NULL ? spare : malloc(ANSWERS_BYTES);

    spare = NULL;
    return memory;
}

static void give_back(char *memory)
{
    if (spare == NULL)
        spare = memory;
    else
        free(memory);
}

/* A connection, from its first request to its last; bide_serve closes the stream afterwards. */
static int converse(bide_stream *stream, void *arg)
{
    struct request request = {.closes = false};

    (void)arg;
    while (!request.closes) {
        struct span in = {NULL, 0};
        const char *refusal = NULL;
        size_t head_bytes = wait_for_head(stream, &in, &refusal);
        bool is_ending = bide_shutdown_signal() != 0;
        size_t used = 0, has_come, answer_bytes = 0;
        time_t now = time(NULL);
        ssize_t wrote;
        char *answers;

        if (head_bytes == 0 && refusal == NULL)
            return 0;
        answers = borrow_memory();
        if (answers == NULL)
            return -ENOMEM;
        do {
            request = (struct request){.status = refusal, .closes = true};
            if (refusal == NULL)
                request = parse_head((struct span){in.at + used, head_bytes});
            request.closes |= is_ending;
            answer_bytes += answer(answers + answer_bytes, &request, now);
            used += head_bytes + request.body_bytes;
            head_bytes =
                used < in.bytes ? head_length((struct span){in.at + used, in.bytes - used}) : 0;
        } while (!request.closes && head_bytes > 0 && answer_bytes + ANSWER_BYTES <= ANSWERS_BYTES);

        has_come = used < in.bytes ? used : in.bytes;
        with_timeout (ANSWER_TIME) {
            bide_skip(stream, has_come); /* what is read need not be kept while we write */
            wrote = bide_write(stream, answers, answer_bytes);
            give_back(answers);
            if (wrote != (ssize_t)answer_bytes)
                return 0;
            used -= has_come;
            if (used > 0 && !request.closes && bide_skip(stream, used) != (ssize_t)used)
                return 0;
        }
    }
    say_farewell(stream);
    return 0;
}

/* --- The program */

async_main
{
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
    err = bide_listen(address, NULL, &listener);
    if (err < 0) {
        fprintf(stderr, "hello_http: cannot listen on %s: %s\n", address, strerror(-err));
        return 1;
    }
    err = bide_shutdown_on(SIGINT, SIGTERM, GRACE_TIME);
    if (err == 0)
        err = bide_listener_address(listener, address, sizeof address);
    if (err == 0) {
        printf("listening on http%s/\n", address + strlen("tcp"));
        fflush(stdout);
        err = bide_serve(listener, converse, NULL);
    }
    bide_listener_close(listener);
    return bide_shutdown_signal() != 0 ? 0 : err;
}
