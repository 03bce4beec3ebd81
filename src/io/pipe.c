/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes, FIFOs and their like as streams.
 *
 * As with sockets the call comes first and the wait after it; and after a short read the pipe is
 * known to be empty, unless a hang-up was seen, for then no further event would come.
 */
#include "io/pipe.h"

#include <errno.h>

#include "base/sys_pipe.h"

struct pipe {
    bide_stream stream;
    struct bide__endpoint end;
    bool reads; /* what the descriptor is open for */
    bool writes;
    bool is_shut; /* its write end was closed by bide_shutdown_write */
};

static struct pipe *pipe_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct pipe, stream);
}

static bool is_open(const struct pipe *pipe)
{
    return bide__endpoint_is_open(&pipe->end);
}

static ssize_t pipe_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct pipe *pipe = pipe_of(stream);
    struct bide__fd *fd = pipe->end.fd;

    bytes = bide__sys_read_most(bytes);
    while (is_open(pipe) && pipe->reads) {
        uint32_t seen = fd->ready[BIDE__IN];
        ssize_t got = seen != 0 ? bide__sys_read(pipe->end.number, buf, bytes) : -EAGAIN;
        int err;

        if (got > 0 && (size_t)got < bytes && !fd->reads_on && fd->ready[BIDE__IN] == seen)
            fd->ready[BIDE__IN] = 0;
        if (got == -EINTR)
            continue;
        if (got != -EAGAIN)
            return got;
        err = bide__fd_wait(pipe->end.epoll, fd, BIDE__IN, seen, "read");
        if (err < 0)
            return err;
    }
    return -EBADF;
}

static ssize_t pipe_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct pipe *pipe = pipe_of(stream);
    struct bide__fd *fd = pipe->end.fd;

    while (is_open(pipe) && pipe->writes) {
        uint32_t seen = fd->ready[BIDE__OUT];
        ssize_t wrote = seen != 0 ? bide__sys_pipe_write(pipe->end.number, pieces, count) : -EAGAIN;
        int err;

        if (wrote == -EINTR)
            continue;
        if (wrote != -EAGAIN)
            return wrote;
        err = bide__fd_wait(pipe->end.epoll, fd, BIDE__OUT, seen, "write");
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
    .write = pipe_write,
    .shutdown_write = pipe_shutdown_write,
    .close = pipe_close,
    .destroy = pipe_destroy,
    .endpoint = pipe_endpoint,
};

int bide__pipe_stream(struct bide__epoll *epoll, int number, bide_stream **out)
{
    int mode = bide__sys_mode(number);
    struct pipe *pipe;
    int err;

    if (mode < 0)
        return mode;
    pipe = bide__alloc(sizeof *pipe);
    if (pipe == NULL)
        return -ENOMEM;
    err = bide__endpoint_open(&pipe->end, epoll, number);
    if (err < 0) {
        free(pipe);
        return err;
    }
    bide__stream_init(&pipe->stream, &pipe_ops);
    pipe->reads = (mode & O_ACCMODE) != O_WRONLY;
    pipe->writes = (mode & O_ACCMODE) != O_RDONLY;
    pipe->is_shut = false;
    *out = &pipe->stream;
    return 0;
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
