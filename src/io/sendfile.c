/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - from a file to a stream.
 *
 * The kernel's sendfile waits for the disk in the middle of the call, and has no flag against it.
 * So before each piece it is asked whether the pages are in memory, and a thread reads them in when
 * they are not. A stream without a descriptor is written to from a buffer.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/sys_file.h"
#include "io/endpoint.h"
#include "io/file.h"
#include "io/stream.h"

enum {
    SEND_BYTES = 256 * 1024,
    COPY_BYTES = 64 * 1024,
};

struct sending {
    bide_stream *to;
    bide_file *from;
    int64_t offset;
    size_t bytes;
    size_t done;
    ssize_t file_error; /* is told by the file again, and is none of the stream's */
};

/* Each returns 0, at the end as well, or the stream's error. */
static ssize_t send_pages(struct sending *s)
{
    ssize_t sent = s->to->write_error;

    s->to->write_error = 0;
    while (sent >= 0 && s->done < s->bytes) {
        size_t left = s->bytes - s->done;
        int64_t at = s->offset + (int64_t)s->done;
        ssize_t ready =
            bide__file_page_in(s->from, at, left < SEND_BYTES ? left : SEND_BYTES, "bide_sendfile");
        if (ready <= 0) {
            s->file_error = ready;
            return 0;
        }
        if (s->to->is_closed)
            return -EBADF;
        sent = s->to->ops->sendfile(s->to, s->from->fd, at, (size_t)ready);
        if (sent == 0)
            return 0;
        if (sent > 0) {
            s->done += (size_t)sent;
            sent = bide__stream_turn();
        }
    }
    return sent < 0 ? sent : 0;
}

static ssize_t send_copies(struct sending *s)
{
    char *buf = bide__alloc(COPY_BYTES);
    ssize_t err = 0;

    if (buf == NULL) {
        s->file_error = -ENOMEM;
        return 0;
    }
    while (s->done < s->bytes) {
        size_t left = s->bytes - s->done;
        struct iovec piece = {.iov_base = buf};
        ssize_t wrote, got;

        got = bide__file_some(s->from, buf, left < COPY_BYTES ? left : COPY_BYTES,
                              s->offset + (int64_t)s->done, "bide_sendfile");
        if (got <= 0) {
            s->file_error = got;
            break;
        }
        piece.iov_len = (size_t)got;
        wrote = bide__stream_write_all(s->to, &piece, 1);
        if (wrote < 0) {
            err = wrote;
            break;
        }
        s->done += (size_t)wrote;
        if (wrote < got)
            break; /* the stream keeps the reason */
        err = bide__stream_turn();
        if (err < 0)
            break;
    }
    free(buf);
    return err;
}

ssize_t bide_sendfile(bide_stream *to, bide_file *from, int64_t offset, size_t bytes)
{
    struct sending s = {.to = to, .from = from, .offset = offset};
    ssize_t err = bide__file_enter(from, "bide_sendfile");

    if (err < 0)
        return err;
    if (bytes > (uint64_t)INT64_MAX)
        bytes = INT64_MAX;
    s.bytes = bytes;
    err = offset < 0 || offset > INT64_MAX - (int64_t)bytes
              ? -EINVAL
              : bide__stream_write_begin(to, "bide_sendfile");
    if (err == 0) {
        err = to->ops->sendfile != NULL && bide__endpoint_unblocking(to) != NULL ? send_pages(&s)
                                                                                 : send_copies(&s);
        if (err == 0 && s.done == 0)
            err = s.file_error;
        err = bide__stream_outcome(to, s.done, err, &to->write_error);
        err = bide__stream_write_end(to, err);
    }
    bide__file_leave(from);
    return err;
}
