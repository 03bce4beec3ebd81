/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes, FIFOs, terminals and their like as streams.
 *
 * As with sockets the call comes first and the wait after it. After a short read a pipe of our own
 * is known to be empty, unless a hang-up was seen, for then no further event would come. Others may
 * hold packets, or lines: they are read until they say that they are empty.
 *
 * A descriptor whose open file description is shared with other processes (a terminal with the
 * shell) may block, and must not be told not to: O_NONBLOCK would hold for all of them. Where the
 * kernel can be told for one call (RWF_NOWAIT: pipes, since 6.4 or so), it is. Else poll(2) comes
 * first: then a read takes what is there, and a write so little as a ready descriptor has room for.
 * That blocks the thread only when another process takes the bytes or the room between the two
 * calls, until there are some again.
 */
#include "io/pipe.h"

#include <errno.h>
#include <limits.h>

#include "base/sys_pipe.h"

/* What fits into a descriptor that poll calls ready: PIPE_BUF of a pipe (pipe(7)). */
enum { TERMINAL_ROOM = 256 };

struct pipe {
    bide_stream stream;
    struct bide__endpoint end;
    bool reads; /* what the descriptor is open for */
    bool writes;
    bool is_shut; /* its write end was closed by bide_shutdown_write */
    bool is_fifo;
    bool is_ours;         /* made here: a short read empties it */
    bool is_shared;       /* and may block */
    bool knows_no_nowait; /* the kernel said so, of this descriptor */
};

static struct pipe *pipe_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct pipe, stream);
}

static bool is_open(const struct pipe *pipe)
{
    return bide__endpoint_is_open(&pipe->end);
}

static ssize_t read_shared(struct pipe *pipe, void *buf, size_t bytes)
{
    int ready;

    if (!pipe->knows_no_nowait) {
        ssize_t got = bide__sys_read_nowait(pipe->end.number, buf, bytes);
        if (got != -EOPNOTSUPP)
            return got;
        pipe->knows_no_nowait = true;
    }
    ready = bide__sys_is_ready(pipe->end.number, POLLIN);
    if (ready <= 0)
        return ready < 0 ? ready : -EAGAIN;
    return bide__sys_read(pipe->end.number, buf, bytes);
}

static ssize_t write_shared(struct pipe *pipe, const struct iovec *pieces, size_t count)
{
    struct iovec first = pieces[0];
    size_t room = pipe->is_fifo ? PIPE_BUF : TERMINAL_ROOM;
    int ready;

    if (!pipe->knows_no_nowait) {
        ssize_t wrote = bide__sys_write_nowait(pipe->end.number, pieces, count);
        if (wrote != -EOPNOTSUPP)
            return wrote;
        pipe->knows_no_nowait = true;
    }
    ready = bide__sys_is_ready(pipe->end.number, POLLOUT);
    if (ready <= 0)
        return ready < 0 ? ready : -EAGAIN;
    for (; first.iov_len == 0; first = *++pieces)
        ;
    if (first.iov_len > room)
        first.iov_len = room;
    return bide__sys_writev(pipe->end.number, &first, 1);
}

/* One call. A pipe that nobody reads may not raise a signal. */
static ssize_t read_now(struct pipe *pipe, void *buf, size_t bytes)
{
    return pipe->is_shared ? read_shared(pipe, buf, bytes)
                           : bide__sys_read(pipe->end.number, buf, bytes);
}

static ssize_t write_now(struct pipe *pipe, const struct iovec *pieces, size_t count)
{
    struct bide__sigpipe held;
    ssize_t wrote;

    if (!pipe->is_shared)
        return pipe->is_fifo ? bide__sys_pipe_write(pipe->end.number, pieces, count)
                             : bide__sys_writev(pipe->end.number, pieces, count);
    if (!pipe->is_fifo)
        return write_shared(pipe, pieces, count);
    bide__sigpipe_hold(&held);
    wrote = write_shared(pipe, pieces, count);
    bide__sigpipe_release(&held, wrote == -EPIPE);
    return wrote;
}

static int pipe_wait_read(bide_stream *stream)
{
    struct pipe *pipe = pipe_of(stream);
    struct bide__fd *fd = pipe->end.fd;

    if (!is_open(pipe) || !pipe->reads)
        return -EBADF;
    return fd->ready[BIDE__IN] != 0 ? 0
                                    : bide__fd_wait(pipe->end.epoll, fd, BIDE__IN, 0, "read", pipe);
}

static ssize_t pipe_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct pipe *pipe = pipe_of(stream);
    struct bide__fd *fd = pipe->end.fd;
    ssize_t got;

    if (!is_open(pipe) || !pipe->reads)
        return -EBADF;
    bytes = bide__sys_read_most(bytes);
    do
        got = read_now(pipe, buf, bytes);
    while (got == -EINTR);
    if (got == -EAGAIN || (got > 0 && (size_t)got < bytes && pipe->is_ours && !fd->reads_on))
        fd->ready[BIDE__IN] = 0;
    return got;
}

static ssize_t pipe_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct pipe *pipe = pipe_of(stream);
    struct bide__fd *fd = pipe->end.fd;

    while (is_open(pipe) && pipe->writes) {
        uint32_t seen = fd->ready[BIDE__OUT];
        ssize_t wrote = seen != 0 ? write_now(pipe, pieces, count) : -EAGAIN;
        int err;

        if (wrote == -EINTR)
            continue;
        if (wrote != -EAGAIN)
            return wrote;
        err = bide__fd_wait(pipe->end.epoll, fd, BIDE__OUT, seen, "write", pipe);
        if (err < 0 && !pipe->is_shut)
            return err;
    }
    return pipe->is_shut ? -EPIPE : -EBADF;
}

static void pipe_close(bide_stream *stream)
{
    bide__endpoint_close(&pipe_of(stream)->end);
}

static int pipe_shutdown_write(bide_stream *stream)
{
    struct pipe *pipe = pipe_of(stream);

    if (pipe->is_shut)
        return 0;
    if (!is_open(pipe) || !pipe->writes)
        return -EBADF;
    if (pipe->reads)
        return -EOPNOTSUPP;
    pipe->is_shut = true;
    pipe_close(stream);
    return 0;
}

static void pipe_destroy(bide_stream *stream)
{
    free(pipe_of(stream));
}

static struct bide__endpoint *pipe_endpoint(bide_stream *stream)
{
    return &pipe_of(stream)->end;
}

static const struct bide__stream_ops pipe_ops = {
    .read = pipe_read,
    .wait_read = pipe_wait_read,
    .write = pipe_write,
    .shutdown_write = pipe_shutdown_write,
    .close = pipe_close,
    .destroy = pipe_destroy,
    .endpoint = pipe_endpoint,
};

int bide__pipe_stream_of(struct bide__epoll *epoll, int number, struct bide__pipe_origin origin,
                         bide_stream **out)
{
    struct pipe *pipe = bide__alloc_zeroed(1, sizeof *pipe);
    int err;

    if (pipe == NULL)
        return -ENOMEM;
    err = bide__endpoint_open(&pipe->end, epoll, number);
    if (err < 0) {
        free(pipe);
        return err;
    }
    bide__stream_init(&pipe->stream, &pipe_ops);
    pipe->reads = origin.access != O_WRONLY;
    pipe->writes = origin.access != O_RDONLY;
    pipe->is_fifo = origin.is_fifo;
    pipe->is_shared = origin.is_shared;
    *out = &pipe->stream;
    return 0;
}

int bide__pipe_stream(struct bide__epoll *epoll, int number, bide_stream **out)
{
    struct bide__pipe_origin origin = {.is_fifo = true};
    int err = bide__sys_mode(number);

    if (err < 0)
        return err;
    origin.access = err & O_ACCMODE;
    err = bide__pipe_stream_of(epoll, number, origin, out);
    if (err == 0)
        pipe_of(*out)->is_ours = true;
    return err;
}

int bide_pipe(bide_stream *out[2])
{
    struct bide__epoll *epoll = bide__epoll_of(bide__task_need("bide_pipe")->loop);
    bide_stream *streams[2];
    int ends[2], err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    err = bide__sys_pipe(ends);
    if (err < 0)
        return err;
    err = bide__pipe_stream(epoll, ends[0], &streams[0]);
    if (err < 0) {
        bide__sys_close(ends[0]);
        bide__sys_close(ends[1]);
        return err;
    }
    err = bide__pipe_stream(epoll, ends[1], &streams[1]);
    if (err < 0) {
        bide__sys_close(ends[1]);
        bide_close(streams[0]);
        return err;
    }
    out[0] = streams[0];
    out[1] = streams[1];
    return 0;
}
