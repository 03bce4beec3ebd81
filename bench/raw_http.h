/* SPDX-License-Identifier: MIT */
/*
 * raw_http.h - an HTTP/1.1 responder as one writes it by hand on epoll: an upper limit.
 *
 * It looks for the blank lines that end requests and reads nothing else of them, so it does less
 * than any server may. Requests that came together are answered in one write.
 */
#ifndef BENCH_RAW_HTTP_H
#define BENCH_RAW_HTTP_H

#include <time.h>

#include "raw_echo.h"

enum {
    RAW_HTTP_READ_BYTES = 4096,
    RAW_HTTP_ANSWER_BYTES = 192,
    /* The shortest request has 18 bytes: so all answers to one read fit. */
    RAW_HTTP_ANSWERS_BYTES = RAW_HTTP_READ_BYTES / 18 * RAW_HTTP_ANSWER_BYTES,
};
_Static_assert((int)RAW_HTTP_ANSWERS_BYTES <= (int)RAW_BUFFER_BYTES, "raw_write keeps no more");

/* The same for a second. */
static inline const char *raw_http_answer(size_t *bytes)
{
    static char text[RAW_HTTP_ANSWER_BYTES];
    static size_t text_bytes;
    static time_t text_time;
    time_t now = time(NULL);
    char date[32];
    struct tm utc;

    if (text_time != now) {
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
        text_bytes = (size_t)snprintf(text, sizeof text,
                                      "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                                      "Content-Length: 13\r\n\r\nHello, world\n",
                                      date);
        text_time = now;
    }
    *bytes = text_bytes;
    return text;
}

/* How many requests end in what was read. */
static inline int raw_http_count(struct raw_connection *connection, const char *at, size_t bytes)
{
    static const char end[] = "\r\n\r\n";
    const char *stop = at + bytes;
    int count = 0;

    while (at < stop) {
        if (connection->matched == 0) {
            at = memchr(at, '\r', (size_t)(stop - at));
            if (at == NULL)
                break;
        }
        if (*at == end[connection->matched])
            connection->matched++;
        else
            connection->matched = *at == '\r';
        at++;
        if (connection->matched == 4) {
            connection->matched = 0;
            count++;
        }
    }
    return count;
}

static inline bool raw_http_serve(struct raw_server *server, struct raw_connection *connection,
                                  uint32_t events)
{
    bool is_ending = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool was_kept = connection->kept > 0;

    if (was_kept && !raw_write(connection, connection->rest, connection->kept))
        return false;
    if (!was_kept && !is_ending && !(events & EPOLLIN))
        return true;
    while (connection->kept == 0) {
        char answers[RAW_HTTP_ANSWERS_BYTES];
        size_t used = 0, bytes;
        const char *answer = raw_http_answer(&bytes);
        ssize_t got = recv(connection->fd, server->buf, RAW_HTTP_READ_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0)
            return false;
        for (int i = raw_http_count(connection, server->buf, (size_t)got); i > 0; i--) {
            memcpy(answers + used, answer, bytes);
            used += bytes;
        }
        if (!raw_write(connection, answers, used))
            return false;
        if (got < RAW_HTTP_READ_BYTES && !is_ending)
            break;
    }
    return true;
}

#endif
