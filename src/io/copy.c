/* SPDX-License-Identifier: MIT */
/*
 * copy.c - from one stream to another.
 *
 * Bytes go through the source's buffer: read, write. Once many have gone that way in large pieces,
 * and both streams have descriptors that the kernel can splice, they go through a pipe instead and
 * never come to user space; until a piece is small again, for then reading and writing is cheaper.
 *
 *                    256 KiB in pieces of 16 KiB or more
 *      read, write ---------------------------------------> splice, splice
 *                  <---------------------------------------
 *                    a smaller piece; the end; -EINVAL
 *
 * Between two pieces the pipe is empty. What is in it when the destination fails, or a scope fires,
 * goes back to the source's buffer, which is borrowed before a piece is taken. Whether a source
 * that gives nothing is at its end, or at urgent data, a read tells.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/sys_pipe.h"
#include "io/endpoint.h"
#include "io/stream.h"

enum {
    PIECE_BYTES = 64 * 1024, /* what a pipe holds unless it is told otherwise */
    LARGE_BYTES = 16 * 1024,
    LARGE_BEFORE_SPLICE = 256 * 1024,
};

struct copying {
    bide_stream *to;
    bide_stream *from;
    size_t done;         /* bytes that the destination has got */
    size_t large;        /* of late, in large pieces */
    int ends[2];         /* of the pipe between; -1 before it is needed */
    bool may_not_splice; /* tried in vain */
};

static void note_piece(struct copying *copying, size_t bytes)
{
    copying->large = bytes >= LARGE_BYTES ? copying->large + bytes : 0;
}

/* How a piece ended: go on, or return the outcome of the whole copy. */
struct step {
    bool is_last;
    ssize_t outcome;
};

static const struct step go_on;

static struct step last(ssize_t outcome)
{
    return (struct step){true, outcome};
}

static struct step read_failed(struct copying *copying, ssize_t err)
{
    bide_stream *from = copying->from;

    return last(bide__stream_outcome(from, copying->done, err, &from->read_error));
}

static struct step write_failed(struct copying *copying, ssize_t err)
{
    bide_stream *to = copying->to;

    return last(bide__stream_outcome(to, copying->done, err, &to->write_error));
}

static struct step next_turn(struct copying *copying)
{
    return bide__stream_turn() < 0 ? last((ssize_t)copying->done) : go_on;
}

static struct step read_and_write(struct copying *copying)
{
    bide_stream *from = copying->from;
    ssize_t got = bide__stream_fill(from, 1), wrote;
    size_t bytes = bide__stream_buffered(from);
    struct iovec piece;

    if (got <= 0)
        return read_failed(copying, got);
    note_piece(copying, bytes);
    piece = (struct iovec){.iov_base = from->buf + from->start, .iov_len = bytes};
    wrote = bide__stream_write_all(copying->to, &piece, 1);
    /* Of a destination that was closed, only the piece says how much it has got. */
    bytes = wrote >= 0 ? (size_t)wrote : bytes - piece.iov_len;
    bide__stream_consume(from, bytes);
    copying->done += bytes;
    if (wrote < 0)
        return write_failed(copying, wrote);
    if (bide__stream_buffered(from) > 0)
        return last((ssize_t)copying->done);
    return next_turn(copying);
}

/* Whether the next piece shall be spliced. */
static bool wants_splice(struct copying *copying)
{
    const bide_stream *from = copying->from;

    if (copying->large < LARGE_BEFORE_SPLICE || copying->may_not_splice || from->read_error != 0 ||
        bide__stream_buffered(from) > 0 || from->limit < PIECE_BYTES)
        return false;
    if (copying->ends[0] >= 0)
        return true;
    copying->may_not_splice = bide__endpoint_unblocking(copying->from) == NULL ||
                              bide__endpoint_unblocking(copying->to) == NULL ||
                              bide__sys_pipe(copying->ends) < 0;
    return !copying->may_not_splice;
}

/*
 * Fill the pipe, with a buffer at hand that could take it back. Returns how many bytes, 0 when a
 * read shall tell what is next, or an error.
 */
static ssize_t splice_in(const struct copying *copying, const struct bide__endpoint *end)
{
    bide_stream *from = copying->from;
    struct bide__fd *fd = end->fd;

    while (bide__endpoint_is_open(end)) {
        uint32_t seen = fd->ready[BIDE__IN];
        ssize_t got = -EAGAIN;
        int err;

        if (bide__stream_reserve(from, PIECE_BYTES) < 0)
            return 0;
        if (seen != 0)
            got = bide__sys_splice(end->number, copying->ends[1], PIECE_BYTES);
        if (got == -EINTR)
            continue;
        if (got != -EAGAIN)
            return got;
        if (fd->reads_on)
            return 0;
        bide__stream_settle(from);
        err = bide__fd_wait(end->epoll, fd, BIDE__IN, seen, "copy, for bytes", from);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

/* Move some of the pipe's bytes on. Returns how many, or an error. */
static ssize_t splice_out(const struct copying *copying, const struct bide__endpoint *end,
                          size_t bytes)
{
    struct bide__fd *fd = end->fd;

    while (bide__endpoint_is_open(end)) {
        uint32_t seen = fd->ready[BIDE__OUT];
        ssize_t put = -EAGAIN;
        int err;

        if (seen != 0) {
            struct bide__sigpipe held;
            bide__sigpipe_hold(&held);
            put = bide__sys_splice(copying->ends[0], end->number, bytes);
            bide__sigpipe_release(&held, put == -EPIPE);
        }
        if (put == -EINTR)
            continue;
        if (put != -EAGAIN)
            return put;
        err = bide__fd_wait(end->epoll, fd, BIDE__OUT, seen, "copy, for room", copying->to);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

/* Put what is left in the pipe back into the source's buffer, which is empty and large enough. */
static void give_back(struct copying *copying, size_t bytes)
{
    bide_stream *from = copying->from;

    bide__assert(bide__stream_buffered(from) == 0 && bytes <= from->capacity);
    from->start = from->end = 0;
    while (from->end < bytes) {
        /* Not by the seam: these bytes have been taken, and no failure may lose them. */
        ssize_t got = read(copying->ends[0], from->buf + from->end, bytes - from->end);
        if (got < 0 && errno == EINTR)
            continue;
        bide__assert(got > 0); /* they are there, and nobody else has this pipe */
        from->end += (size_t)got;
    }
}

static struct step splice_both(struct copying *copying)
{
    ssize_t got = splice_in(copying, copying->from->ops->endpoint(copying->from));
    ssize_t put = 0;
    size_t left;

    if (got == 0 || got == -EINVAL) {
        copying->may_not_splice |= got < 0;
        copying->large = 0;
        return go_on;
    }
    if (got < 0)
        return read_failed(copying, got);
    note_piece(copying, (size_t)got);
    for (left = (size_t)got; left > 0; left -= (size_t)put) {
        put = splice_out(copying, copying->to->ops->endpoint(copying->to), left);
        if (put <= 0)
            break;
        copying->done += (size_t)put;
    }
    if (left > 0)
        give_back(copying, left);
    /* What cannot be spliced to is written to. So is what was shut down: a write says how it is. */
    if (left > 0 && put < 0 && put != -EINVAL && put != -EBADF)
        return write_failed(copying, put);
    copying->may_not_splice |= left > 0;
    return next_turn(copying);
}

static ssize_t copy(bide_stream *to, bide_stream *from)
{
    struct copying copying = {.to = to, .from = from, .ends = {-1, -1}};
    struct step step;

    do
        step = wants_splice(&copying) ? splice_both(&copying) : read_and_write(&copying);
    while (!step.is_last);
    bide__stream_settle(from);
    if (copying.ends[0] >= 0) {
        bide__sys_close(copying.ends[0]);
        bide__sys_close(copying.ends[1]);
    }
    return step.outcome;
}

ssize_t bide_copy(bide_stream *to, bide_stream *from)
{
    ssize_t copied = bide__stream_read_begin(from, "bide_copy");

    if (copied < 0)
        return copied;
    copied = bide__stream_write_begin(to, "bide_copy");
    if (copied == 0) {
        copied = copy(to, from);
        copied = bide__stream_write_end(to, copied);
    }
    return bide__stream_read_end(from, copied);
}
