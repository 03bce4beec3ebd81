/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - reading that must look ahead: lines, delimiters, peeking.
 *
 * What is read ahead lies in a buffer that the loop lends. A task that waits for the rest of
 * something keeps what there is in a smaller one of its own; where a stream's limit allows more
 * than the loop lends, its own doubles up to it. Bytes leave a buffer only when they are handed
 * over: a call that is cancelled, or finds its line too long, leaves them for the next one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/lend.h"
#include "io/stream.h"

enum {
    OWN_BYTES = 1024, /* the least that a buffer of a stream's own has */
    SCRATCH_BYTES = 4096,
};

/* The buffer is no longer used, or its bytes lie elsewhere by now. */
static void release(bide_stream *stream)
{
    if (stream->is_lent)
        bide__unlend(bide__loop_here, stream->buf);
    else
        free(stream->buf);
    stream->buf = NULL;
    stream->is_lent = false;
    stream->capacity = 0;
}

void bide__stream_drop(bide_stream *stream)
{
    stream->start = stream->end = 0;
    if (stream->buf != NULL)
        release(stream);
}

/* Another buffer, with the buffered bytes at its beginning. */
static void move_to(bide_stream *stream, char *buf, size_t capacity, bool is_lent)
{
    size_t buffered = bide__stream_buffered(stream);

    bide__assert(buffered <= capacity);
    if (buffered > 0)
        memcpy(buf, stream->buf + stream->start, buffered);
    release(stream);
    stream->buf = buf;
    stream->is_lent = is_lent;
    stream->capacity = capacity;
    stream->start = 0;
    stream->end = buffered;
}

void bide__stream_settle(bide_stream *stream)
{
    size_t buffered = bide__stream_buffered(stream), capacity = OWN_BYTES;
    char *buf;

    if (buffered == 0)
        bide__stream_drop(stream);
    if (!stream->is_lent)
        return;
    while (capacity < 2 * buffered)
        capacity *= 2; /* so that a byte is moved once or twice, however slowly they come */
    if (capacity < BIDE__LENT_BYTES && (buf = bide__alloc(capacity)) != NULL)
        move_to(stream, buf, capacity, false);
}

/* More than the loop lends. */
static int grow(bide_stream *stream, size_t wanted)
{
    size_t capacity = BIDE__LENT_BYTES;
    char *buf;

    while (capacity < wanted)
        capacity *= 2;
    if (capacity > stream->limit)
        capacity = stream->limit;
    buf = bide__alloc(capacity);
    if (buf == NULL)
        return -ENOMEM;
    move_to(stream, buf, capacity, false);
    return 0;
}

/* Of a stream that has none. */
static int borrow(bide_stream *stream)
{
    char *buf = bide__lend(bide__loop_here);

    bide__assert(stream->buf == NULL && bide__stream_buffered(stream) == 0);
    if (buf == NULL)
        return -ENOMEM;
    stream->buf = buf;
    stream->is_lent = true;
    stream->capacity = BIDE__LENT_BYTES;
    return 0;
}

int bide__stream_reserve(bide_stream *stream, size_t wanted)
{
    size_t buffered = bide__stream_buffered(stream);
    char *buf;

    bide__assert(wanted >= buffered);
    if (wanted > stream->limit)
        return -EMSGSIZE;
    if (stream->end < stream->capacity && stream->start + wanted <= stream->capacity)
        return 0;
    if (wanted > stream->capacity && wanted > BIDE__LENT_BYTES)
        return grow(stream, wanted);
    if (stream->buf == NULL)
        return borrow(stream);
    if (wanted <= stream->capacity) {
        memmove(stream->buf, stream->buf + stream->start, buffered);
        stream->start = 0;
        stream->end = buffered;
        return 0;
    }
    buf = bide__lend(bide__loop_here);
    if (buf == NULL)
        return -ENOMEM;
    move_to(stream, buf, BIDE__LENT_BYTES, true);
    return 0;
}

/* Read some more behind what is buffered. */
static ssize_t fill_some(bide_stream *stream)
{
    const struct bide__stream_ops *ops = stream->ops;
    ssize_t got = stream->read_error;

    stream->read_error = 0;
    if (got < 0)
        return got;
    do {
        size_t room;
        if (ops->wait_read != NULL) {
            if (stream->buf != NULL)
                bide__stream_settle(stream);
            if ((got = ops->wait_read(stream)) < 0)
                return got;
        }
        got = stream->buf == NULL ? borrow(stream)
                                  : bide__stream_reserve(stream, bide__stream_buffered(stream) + 1);
        if (got < 0)
            return got;
        /* A limit that was lowered meanwhile holds, however large the buffer is already. */
        room = stream->limit - bide__stream_buffered(stream);
        if (room > stream->capacity - stream->end)
            room = stream->capacity - stream->end;
        got = ops->read(stream, stream->buf + stream->end, room);
    } while (got == -EAGAIN);
    if (got > 0)
        stream->end += (size_t)got;
    else
        bide__stream_settle(stream);
    return got;
}

ssize_t bide__stream_fill(bide_stream *stream, size_t wanted)
{
    while (bide__stream_buffered(stream) < wanted) {
        ssize_t got = wanted > stream->limit ? -EMSGSIZE : fill_some(stream);
        int err;

        if (got <= 0)
            return got;
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
    bide__stream_consume(stream, done);
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
    return bide__stream_read_end(stream, got);
}

/* Skip what was not read yet. Not inlined: only who needs the scratch pays for its stack pages. */
static __attribute__((noinline)) ssize_t skip_unread(bide_stream *stream, size_t done, size_t bytes)
{
    char scratch[SCRATCH_BYTES];
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
    bide__stream_consume(stream, done);
    got = (ssize_t)done;
    if (done < bytes)
        got = skip_unread(stream, done, bytes);
    return bide__stream_read_end(stream, got);
}

/* Hand over the first `bytes` buffered bytes, with a zero byte after them. */
static ssize_t take(bide_stream *stream, char *buf, size_t bytes)
{
    if (bytes > 0)
        memcpy(buf, stream->buf + stream->start, bytes);
    buf[bytes] = '\0';
    bide__stream_consume(stream, bytes);
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
    return bide__stream_read_end(stream, got);
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
    if (got == 1 && !stream->is_closed)
        got = (ssize_t)buffered;
    else if (got != -EMSGSIZE && got != -ENOMEM)
        got = bide__stream_outcome(stream, buffered, got < 0 ? got : 0, &stream->read_error);
    got = bide__stream_read_end(stream, got);
    if (got >= 0)
        *data = got > 0 ? stream->buf + stream->start : "";
    return got;
}
