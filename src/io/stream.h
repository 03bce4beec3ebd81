/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what every kind of stream has: an operations table, and a buffer for looking ahead.
 *
 * A kind embeds struct bide_stream as its first member. Its operations move bytes and park; they
 * know nothing of buffers, budgets or who else calls.
 *
 * Life: a call holds the stream (`users`) while it runs. bide_close marks it closed and lets the
 * kind wake its waiters with -EBADF; the memory goes when the last call has left. So a task that
 * wakes from a closed stream still finds it.
 */
#ifndef BIDE__IO_STREAM_H
#define BIDE__IO_STREAM_H

#include <bide/io/stream.h>

#include "sched/loop.h"

enum { BIDE__STREAM_LIMIT = 64 * 1024 };

struct bide__endpoint;

struct bide__stream_ops {
    /*
     * Read at least one byte: their number, 0 at the end, or an error; -EAGAIN when there is
     * nothing yet, and wait_read comes first. Parks where there is no wait_read.
     */
    ssize_t (*read)(bide_stream *stream, void *buf, size_t bytes);
    /*
     * Wait until a read may find something: 0, at once where it is not known that there is nothing,
     * or an error. Parks. NULL where reading itself does.
     */
    int (*wait_read)(bide_stream *stream);
    /* Write at least one byte of pieces that hold some: their number, or an error. Parks. */
    ssize_t (*write)(bide_stream *stream, struct iovec *pieces, size_t count);
    int (*shutdown_write)(bide_stream *stream);
    /* Wake whoever waits with -EBADF and give back what is not memory. */
    void (*close)(bide_stream *stream);
    /* Free the memory, once nobody is inside any more. */
    void (*destroy)(bide_stream *stream);
    /* Its descriptor; the operation is NULL where there is none. */
    struct bide__endpoint *(*endpoint)(bide_stream *stream);
    /* Write what was collected. Parks. NULL where writes go through. */
    int (*flush)(bide_stream *stream);
    /*
     * Send at least one byte from a file, whose pages are in memory: their number, 0 at its end, or
     * an error. Parks. NULL where there is no descriptor to send to.
     */
    ssize_t (*sendfile)(bide_stream *stream, int fd, int64_t offset, size_t bytes);
};

struct bide_stream {
    const struct bide__stream_ops *ops;
    unsigned users; /* calls in progress */
    bool is_closed;
    bool is_given;   /* its descriptor is a child's, and blocking: only bide_close is left */
    bool is_read;    /* a task is reading */
    bool is_written; /* a task is writing */
    int read_error;  /* to be returned by the next read: the last one moved some bytes before it */
    int write_error;
    bool is_lent; /* `buf` is the loop's (io/lend.h) */
    /*
     * Read ahead and not consumed: buf[start..end). NULL when there is nothing. Lent by the loop;
     * or, while a task waits for more than is there, or more than that is wanted, its own.
     */
    char *buf;
    size_t start;
    size_t end;
    size_t capacity;
    size_t limit; /* the capacity's */
};

void bide__stream_init(bide_stream *stream, const struct bide__stream_ops *ops);

/* What a call that may not go on returns: the scope's error, -EBADF or -EBUSY. */
int bide__stream_refuse(const bide_stream *stream, struct bide_task *self);

/* The budget is gone: let others run, inside a call. Returns its result, or -EBADF. */
ssize_t bide__stream_let_others(const bide_stream *stream, ssize_t result);

/* The last call has left a stream that is closed: free it. */
void bide__stream_free(bide_stream *stream);

/* Keep the stream's memory, even when it is closed meanwhile. */
static inline void bide__stream_hold(bide_stream *stream)
{
    stream->users++;
}

static inline void bide__stream_let_go(bide_stream *stream)
{
    bide__assert(stream->users > 0);
    if (--stream->users == 0 && stream->is_closed)
        bide__stream_free(stream);
}

/*
 * Enter a call; the flag is its direction's. Returns 0, or the scope's error, -EBADF or -EBUSY.
 * After a success, leave it.
 */
static inline int bide__stream_enter(bide_stream *stream, bool *is_busy, const char *call)
{
    struct bide_task *self = bide__task_need(call);

    if (__builtin_expect(
            self->cancel_code != 0 || stream->is_closed || stream->is_given || *is_busy, 0))
        return bide__stream_refuse(stream, self);
    *is_busy = true;
    bide__stream_hold(stream);
    return 0;
}

/* Returns the call's result. Others may run before it is left, and close the stream: -EBADF. */
static inline ssize_t bide__stream_leave(bide_stream *stream, bool *is_busy, ssize_t result)
{
    bide__assert(*is_busy);
    if (__builtin_expect(--bide__loop_here->budget <= 0, 0))
        result = bide__stream_let_others(stream, result);
    *is_busy = false;
    bide__stream_let_go(stream);
    return result;
}

static inline int bide__stream_read_begin(bide_stream *stream, const char *call)
{
    return bide__stream_enter(stream, &stream->is_read, call);
}

static inline ssize_t bide__stream_read_end(bide_stream *stream, ssize_t result)
{
    return bide__stream_leave(stream, &stream->is_read, result);
}

static inline int bide__stream_write_begin(bide_stream *stream, const char *call)
{
    return bide__stream_enter(stream, &stream->is_written, call);
}

static inline ssize_t bide__stream_write_end(bide_stream *stream, ssize_t result)
{
    return bide__stream_leave(stream, &stream->is_written, result);
}

/*
 * What a call returns that moved `done` bytes and then met `err` (0 for none): the error waits for
 * the next call.
 */
ssize_t bide__stream_outcome(const bide_stream *stream, size_t done, ssize_t err, int *kept);

/*
 * Between two operations of one call: spend from the budget, so that a fast peer does not keep the
 * loop to itself. Returns the scope's error when it has fired meanwhile.
 */
int bide__stream_turn(void);

/* Read past what is buffered, or return the error that was kept. Inside read_begin and read_end. */
ssize_t bide__stream_more(bide_stream *stream, void *buf, size_t bytes);

/*
 * Have a buffer with room behind the buffered bytes, for `wanted` in all and, where the loop lends
 * it, more. Returns 0, -EMSGSIZE or -ENOMEM.
 */
int bide__stream_reserve(bide_stream *stream, size_t wanted);

/*
 * Before a wait: give a lent buffer back. A few bytes in it move to a small one of the stream's
 * own; with many, or without memory, it is kept.
 */
void bide__stream_settle(bide_stream *stream);

/* Forget what was read ahead, and the buffer. */
void bide__stream_drop(bide_stream *stream);

/* Consume bytes that are buffered. The last ones take the buffer with them. */
static inline void bide__stream_consume(bide_stream *stream, size_t bytes)
{
    stream->start += bytes;
    if (stream->start == stream->end)
        bide__stream_drop(stream);
}

/*
 * Read more behind what is buffered, until there are `wanted` bytes in all. Returns 1 when there
 * are, 0 at the end of the stream, or an error.
 */
ssize_t bide__stream_fill(bide_stream *stream, size_t wanted);

/* Write all pieces, which are consumed. Inside write_begin and write_end. */
ssize_t bide__stream_write_all(bide_stream *stream, struct iovec *pieces, size_t count);

/* Bytes that were read ahead. */
static inline size_t bide__stream_buffered(const bide_stream *stream)
{
    return stream->end - stream->start;
}

#endif
