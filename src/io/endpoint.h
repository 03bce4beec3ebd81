/* SPDX-License-Identifier: MIT */
/*
 * endpoint.h - the descriptor of a stream that has one: its number, and its registration.
 */
#ifndef BIDE__IO_ENDPOINT_H
#define BIDE__IO_ENDPOINT_H

#include "base/sys_pipe.h"
#include "io/stream.h"
#include "reactor/epoll.h"

struct bide__endpoint {
    struct bide__epoll *epoll;
    struct bide__fd *fd;
    int number;
    uint32_t generation; /* of the registration: another one in fd is not ours */
};

/* Register a descriptor; on failure, which bide__fd_open tells, it still is the caller's. */
static inline int bide__endpoint_open(struct bide__endpoint *end, struct bide__epoll *epoll,
                                      int number)
{
    int err = bide__fd_open(epoll, number, &end->fd);

    if (err < 0)
        return err;
    end->epoll = epoll;
    end->number = number;
    end->generation = end->fd->generation;
    return 0;
}

/* The descriptor still is this stream's: not closed, neither by us nor behind our back. */
static inline bool bide__endpoint_is_open(const struct bide__endpoint *end)
{
    return end->fd->generation == end->generation;
}

/* Wake whoever waits with -EBADF, and close. */
static inline void bide__endpoint_close(struct bide__endpoint *end)
{
    if (!bide__endpoint_is_open(end))
        return; /* closed behind our back: the number may be somebody else's by now */
    if (bide__fd_close(end->epoll, end->fd))
        bide__sys_close(end->number);
}

/*
 * The stream's descriptor for calls that ask its mode, and no flag, whether they may wait:
 * splice(2) and sendfile(2). NULL when they may, or there is none.
 */
static inline struct bide__endpoint *bide__endpoint_unblocking(bide_stream *stream)
{
    struct bide__endpoint *end =
        stream->ops->endpoint != NULL ? stream->ops->endpoint(stream) : NULL;
    int mode;

    if (end == NULL || !bide__endpoint_is_open(end))
        return NULL;
    mode = bide__sys_mode(end->number);
    return mode >= 0 && (mode & O_NONBLOCK) ? end : NULL;
}

#endif
