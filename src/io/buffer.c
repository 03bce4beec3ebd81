/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - reading that must look ahead: lines, delimiters, peeking.
 *
 * The buffer is allocated when it is first needed and doubles up to the stream's limit. Bytes leave
 * it only when they are handed over: a call that is cancelled, or finds its line too long, leaves
 * them for the next one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/stream.h"

enum { FIRST_BYTES = 4096 };

int bide__stream_reserve(bide_stream *stream, size_t wanted)
{
    size_t buffered = bide__stream_buffered(stream);
    size_t capacity = stream->capacity != 0 ? stream->capacity : FIRST_BYTES;
    char *buf;

    if (stream->start > 0) {
        memmove(stream->buf, stream->buf + stream->start, buffered);
        stream->start = 0;
        stream->end = buffered;
    }
    if (wanted > stream->limit)
        return -EMSGSIZE;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    if (capacity > stream->limit && stream->limit >= wanted)
        capacity = stream->limit > buffered ? stream->limit : buffered;
    if (capacity <= stream->capacity)
        return 0;
    buf = bide__realloc(stream->buf, capacity);
    if (buf == NULL)
        return -ENOMEM;
    stream->buf = buf;
    stream->capacity = capacity;
    return 0;
}

ssize_t bide__stream_fill(bide_stream *stream, size_t wanted)
{
    while (bide__stream_buffered(stream) < wanted) {
        size_t room;
        ssize_t got;
        int err = 0;

        if (wanted > stream->limit)
            return -EMSGSIZE;
        if (bide__stream_buffered(stream) == 0)
            stream->start = stream->end = 0; /* or reads would shrink towards the buffer's end */
        if (stream->end == stream->capacity || stream->start + wanted > stream->capacity)
            err = bide__stream_reserve(stream, wanted);
        if (err < 0)
            return err;
        /* A limit that was lowered meanwhile holds, however large the buffer is already. */
        room = stream->limit - bide__stream_buffered(stream);
        if (room > stream->capacity - stream->end)
            room = stream->capacity - stream->end;
        got = bide__stream_more(stream, stream->buf + stream->end, room);
        if (got <= 0)
            return got;
        stream->end += (size_t)got;
        if (bide__stream_buffered(stream) < wanted && (err = bide__stream_turn()) < 0)
            return err;
    }
    return 1;
}

static ssize_t read_exact(bide_stream *stream, char *buf, size_t bytes)
{
    size_t done = bide__stream_buffered(stream);
    ssize_t got = 1;

    if (done > bytes)
        done = bytes;
    if (done > 0)
        memcpy(buf, stream->buf + stream->start, done);
    stream->start += done;
    while (done < bytes) {
        got = bide__stream_more(stream, buf + done, bytes - done);
        if (got <= 0)
            break;
        done += (size_t)got;
        if (done < bytes && (got = bide__stream_turn()) < 0)
            break;
    }
    return bide__stream_outcome(stream, done, got < 0 ? got : 0, &stream->read_error);
}

ssize_t bide_read_exact(bide_stream *stream, void *buf, size_t bytes)
{
    ssize_t got = bide__stream_read_begin(stream, "bide_read_exact");

    if (got < 0)
        return got;
    got = read_exact(stream, buf, bytes);
    bide__stream_read_end(stream);
    return got;
}

/* Skip what was not read yet. Not inlined: only who needs the scratch pays for its stack pages. */
static __attribute__((noinline)) ssize_t skip_unread(bide_stream *stream, size_t done, size_t bytes)
{
    char scratch[FIRST_BYTES];
    ssize_t got = 1;

    while (done < bytes) {
        size_t left = bytes - done;
        got = bide__stream_more(stream, scratch, left < sizeof scratch ? left : sizeof scratch);
        if (got <= 0)
            break;
        done += (size_t)got;
        if (done < bytes && (got = bide__stream_turn()) < 0)
            break;
    }
    return bide__stream_outcome(stream, done, got < 0 ? got : 0, &stream->read_error);
}

ssize_t bide_skip(bide_stream *stream, size_t bytes)
{
    ssize_t got = bide__stream_read_begin(stream, "bide_skip");
    size_t done;

    if (got < 0)
        return got;
    done = bide__stream_buffered(stream);
    if (done > bytes)
        done = bytes;
    stream->start += done;
    got = done == bytes ? (ssize_t)done : skip_unread(stream, done, bytes);
    bide__stream_read_end(stream);
    return got;
}

/* Hand over the first `bytes` buffered bytes, with a zero byte after them. */
static ssize_t take(bide_stream *stream, char *buf, size_t bytes)
{
    if (bytes > 0)
        memcpy(buf, stream->buf + stream->start, bytes);
    buf[bytes] = '\0';
    stream->start += bytes;
    return (ssize_t)bytes;
}

/*
 * Where the delimiter ends within what is buffered, looking from `from` on; 0 when it is not there
 * yet.
 */
static size_t find_end(const bide_stream *stream, size_t from, const void *delimiter,
                       size_t delimiter_bytes)
{
    const char *data, *at;

    if (bide__stream_buffered(stream) <= from)
        return 0;
    data = stream->buf + stream->start;
    at = memmem(data + from, bide__stream_buffered(stream) - from, delimiter, delimiter_bytes);
    return at == NULL ? 0 : (size_t)(at - data) + delimiter_bytes;
}

static ssize_t read_until(bide_stream *stream, char *buf, size_t size, const void *delimiter,
                          size_t delimiter_bytes)
{
    size_t searched = 0;

    for (;;) {
        size_t buffered = bide__stream_buffered(stream);
        size_t found = find_end(stream, searched, delimiter, delimiter_bytes);
        ssize_t got;

        if (found != 0)
            return found < size ? take(stream, buf, found) : -EMSGSIZE;
        /* When only the zero byte still fits, the stream may end here: one byte more tells. */
        if (buffered >= size || buffered >= stream->limit)
            return -EMSGSIZE;
        searched = buffered >= delimiter_bytes ? buffered - delimiter_bytes + 1 : 0;
        got = bide__stream_fill(stream, buffered + 1);
        if (got < 0)
            return got;
        if (got == 0)
            return take(stream, buf, buffered);
    }
}

ssize_t bide_read_until(bide_stream *stream, char *buf, size_t size, const void *delimiter,
                        size_t delimiter_bytes)
{
    ssize_t got = bide__stream_read_begin(stream, "bide_read_until");

    if (got < 0)
        return got;
    got = size == 0              ? -EMSGSIZE
          : delimiter_bytes == 0 ? -EINVAL
                                 : read_until(stream, buf, size, delimiter, delimiter_bytes);
    bide__stream_read_end(stream);
    return got;
}

ssize_t bide_read_line(bide_stream *stream, char *line, size_t size)
{
    return bide_read_until(stream, line, size, "\n", 1);
}

ssize_t bide_peek(bide_stream *stream, const char **data, size_t least)
{
    ssize_t got = bide__stream_read_begin(stream, "bide_peek");
    size_t buffered;

    if (got < 0)
        return got;
    got = bide__stream_fill(stream, least);
    buffered = bide__stream_buffered(stream);
    if (got != -EMSGSIZE && got != -ENOMEM)
        got = bide__stream_outcome(stream, buffered, got < 0 ? got : 0, &stream->read_error);
    if (got >= 0)
        *data = buffered > 0 ? stream->buf + stream->start : "";
    bide__stream_read_end(stream);
    return got;
}
