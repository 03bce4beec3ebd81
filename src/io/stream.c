/* SPDX-License-Identifier: MIT */
/*
 * stream.c - reading and writing without looking ahead.
 */
#include "io/stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/endpoint.h"

enum {
    PIECES_MOST = 16,    /* handed to the kernel at once */
    PRINTF_BYTES = 1024, /* formatted on the stack; longer texts are allocated */
};

void bide__stream_init(bide_stream *stream, const struct bide__stream_ops *ops)
{
    *stream = (bide_stream){.ops = ops, .limit = BIDE__STREAM_LIMIT};
}

void bide__stream_free(bide_stream *stream)
{
    bide__assert(stream->is_closed && stream->users == 0);
    bide__stream_drop(stream);
    stream->ops->destroy(stream);
}

ssize_t bide__stream_let_others(const bide_stream *stream, ssize_t result)
{
    bool was_closed = stream->is_closed;

    bide__budget_gone(bide__loop_here);
    return stream->is_closed && !was_closed ? -EBADF : result;
}

int bide__stream_refuse(const bide_stream *stream, struct bide_task *self)
{
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    return stream->is_closed || stream->is_given ? -EBADF : -EBUSY;
}

ssize_t bide__stream_outcome(const bide_stream *stream, size_t done, ssize_t err, int *kept)
{
    /* A scope that fired says so again by itself, and so does a number that was lost. */
    bool is_repeated = err == -EBADF || ((err == -ECANCELED || err == -ETIMEDOUT) &&
                                         bide__loop_here->current->cancel_code != 0);

    if (stream->is_closed)
        return -EBADF; /* there is no next call that could say so */
    if (done == 0 || err >= 0)
        return done != 0 ? (ssize_t)done : err;
    if (!is_repeated)
        *kept = (int)err;
    return (ssize_t)done;
}

int bide__stream_turn(void)
{
    struct bide_loop *loop = bide__loop_here;

    bide__budget_spend(loop);
    return loop->current->cancel_code;
}

ssize_t bide__stream_more(bide_stream *stream, void *buf, size_t bytes)
{
    const struct bide__stream_ops *ops = stream->ops;
    ssize_t got = stream->read_error;

    stream->read_error = 0;
    if (got < 0)
        return got;
    do {
        if (ops->wait_read != NULL && (got = ops->wait_read(stream)) < 0)
            return got;
        got = ops->read(stream, buf, bytes);
    } while (got == -EAGAIN);
    return got;
}

ssize_t bide_read(bide_stream *stream, void *buf, size_t bytes)
{
    size_t buffered;
    ssize_t got = bide__stream_read_begin(stream, "bide_read");

    if (got < 0)
        return got;
    buffered = bide__stream_buffered(stream);
    if (bytes == 0) {
        got = 0;
    } else if (buffered > 0) {
        got = (ssize_t)(bytes < buffered ? bytes : buffered);
        memcpy(buf, stream->buf + stream->start, (size_t)got);
        bide__stream_consume(stream, (size_t)got);
    } else {
        got = bide__stream_more(stream, buf, bytes);
    }
    return bide__stream_read_end(stream, got);
}

/* Take `count` bytes off the front of the pieces. Returns how many pieces are used up. */
static size_t advance(struct iovec *pieces, size_t count, size_t bytes)
{
    size_t used = 0;

    while (used < count && bytes >= pieces[used].iov_len) {
        bytes -= pieces[used].iov_len;
        pieces[used++].iov_len = 0;
    }
    if (used < count) {
        pieces[used].iov_base = (char *)pieces[used].iov_base + bytes;
        pieces[used].iov_len -= bytes;
    }
    return used;
}

/* Inlined where the number of pieces is known. */
__attribute__((always_inline)) static inline ssize_t
write_pieces(bide_stream *stream, struct iovec *pieces, size_t count)
{
    size_t done = 0, used = count == 0 || pieces->iov_len > 0 ? 0 : advance(pieces, count, 0);
    ssize_t wrote = stream->write_error;

    stream->write_error = 0;
    while (wrote >= 0 && used < count) {
        wrote = stream->ops->write(stream, pieces + used, count - used);
        if (wrote == (ssize_t)pieces[used].iov_len && used + 1 == count && !stream->is_closed)
            return (ssize_t)done + wrote; /* mostly there is one piece, taken at once */
        if (wrote >= 0) {
            done += (size_t)wrote;
            used += advance(pieces + used, count - used, (size_t)wrote);
            wrote = used < count ? bide__stream_turn() : 0;
        }
    }
    return bide__stream_outcome(stream, done, wrote < 0 ? wrote : 0, &stream->write_error);
}

ssize_t bide__stream_write_all(bide_stream *stream, struct iovec *pieces, size_t count)
{
    return write_pieces(stream, pieces, count);
}

ssize_t bide_write(bide_stream *stream, const void *buf, size_t bytes)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)buf, .iov_len = bytes};
    ssize_t wrote = bide__stream_write_begin(stream, "bide_write");

    if (wrote < 0)
        return wrote;
    wrote = write_pieces(stream, &piece, 1);
    return bide__stream_write_end(stream, wrote);
}

ssize_t bide_writev(bide_stream *stream, const struct iovec *pieces, int count)
{
    struct iovec window[PIECES_MOST];
    ssize_t wrote = bide__stream_write_begin(stream, "bide_writev");
    size_t done = 0;

    if (wrote < 0)
        return wrote;
    if (count < 0)
        wrote = -EINVAL;
    while (wrote >= 0 && count > 0) {
        size_t some = count < PIECES_MOST ? (size_t)count : PIECES_MOST;
        size_t whole = 0;
        for (size_t i = 0; i < some; i++)
            whole += (window[i] = pieces[i]).iov_len;
        wrote = bide__stream_write_all(stream, window, some);
        if (wrote > 0)
            done += (size_t)wrote;
        if (wrote >= 0 && (size_t)wrote < whole)
            break;
        pieces += some;
        count -= (int)some;
    }
    wrote = bide__stream_outcome(stream, done, wrote < 0 ? wrote : 0, &stream->write_error);
    return bide__stream_write_end(stream, wrote);
}

/* A text that did not fit on the stack. */
static ssize_t print_long(bide_stream *stream, const char *format, va_list args, size_t bytes)
{
    char *text = bide__alloc(bytes + 1);
    ssize_t wrote;

    if (text == NULL)
        return -ENOMEM;
    vsnprintf(text, bytes + 1, format, args);
    wrote = bide_write(stream, text, bytes);
    free(text);
    return wrote;
}

ssize_t bide_printf(bide_stream *stream, const char *format, ...)
{
    char text[PRINTF_BYTES];
    va_list args, again;
    ssize_t wrote;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(text, sizeof text, format, args);
    if (length < 0)
        wrote = -EINVAL;
    else if ((size_t)length < sizeof text)
        wrote = bide_write(stream, text, (size_t)length);
    else
        wrote = print_long(stream, format, again, (size_t)length);
    va_end(again);
    va_end(args);
    return wrote;
}

int bide_flush(bide_stream *stream)
{
    int err = bide__stream_write_begin(stream, "bide_flush");

    if (err < 0)
        return err;
    err = stream->write_error;
    stream->write_error = 0;
    if (err == 0 && stream->ops->flush != NULL)
        err = stream->ops->flush(stream);
    if (stream->is_closed)
        err = -EBADF;
    return (int)bide__stream_write_end(stream, err);
}

int bide_shutdown_write(bide_stream *stream)
{
    bide__task_need("bide_shutdown_write");
    if (stream->is_closed || stream->is_given)
        return -EBADF;
    return stream->ops->shutdown_write(stream);
}

int bide_stream_fd(bide_stream *stream)
{
    const struct bide__endpoint *end;

    if (stream->ops->endpoint == NULL)
        return -EOPNOTSUPP;
    end = stream->ops->endpoint(stream);
    return bide__endpoint_is_open(end) ? end->number : -EBADF;
}

int bide_stream_set_limit(bide_stream *stream, size_t bytes)
{
    if (bytes == 0)
        return -EINVAL;
    stream->limit = bytes;
    return 0;
}

void bide_close(bide_stream *stream)
{
    if (stream == NULL)
        return;
    bide__task_need("bide_close");
    if (stream->is_closed)
        bide__misuse("bide_close: this stream is closed already");
    bide__stream_hold(stream);
    stream->is_closed = true;
    stream->ops->close(stream);
    bide__stream_let_go(stream);
}
