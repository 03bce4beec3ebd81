/* SPDX-License-Identifier: MIT */
/*
 * file_stream.c - files as streams: a position of their own, and writes that are collected.
 *
 * What is collected lies in out[0..held), and belongs before `position` in the file. It leaves only
 * when it was written: an error keeps it, and the next flush tries again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bide/sched/scope.h>

#include "base/sys_file.h"
#include "io/file.h"
#include "io/stream.h"
#include "sched/report.h"

enum { OUT_BYTES = 64 * 1024 };

struct file_stream {
    bide_stream stream;
    bide_file *file;  /* gone once the stream is closed */
    int64_t position; /* where reading goes on, the read-ahead not counted; -1 for a FIFO */
    bool is_flushing; /* a task writes out[] */
    size_t held;      /* bytes collected */
    char *out;        /* NULL until it is needed */
};

static struct file_stream *file_stream_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct file_stream, stream);
}

/* Writing goes by the position, and moves it. */
static bool is_positioned(const struct file_stream *fs)
{
    return fs->position >= 0 && !fs->file->is_append;
}

/* The first `bytes` of what is held are written. */
static void drop_held(struct file_stream *fs, size_t bytes)
{
    bide__assert(bytes <= fs->held);
    memmove(fs->out, fs->out + bytes, fs->held - bytes);
    fs->held -= bytes;
}

static int flush(struct file_stream *fs, const char *what)
{
    ssize_t put = 0;
    int err;

    if (fs->held == 0)
        return 0;
    if (fs->is_flushing)
        return -EBUSY;
    err = bide__file_enter(fs->file, what);
    if (err < 0)
        return err;
    fs->is_flushing = true;
    while (put >= 0 && fs->held > 0) {
        int64_t at = is_positioned(fs) ? fs->position - (int64_t)fs->held : -1;
        put = bide__file_put(fs->file, fs->out, fs->held, at, what);
        if (put > 0)
            drop_held(fs, (size_t)put);
        else if (put == 0)
            put = -EIO;
    }
    fs->is_flushing = false;
    bide__file_leave(fs->file);
    return put < 0 ? (int)put : 0;
}

static int file_stream_flush(bide_stream *stream)
{
    struct file_stream *fs = file_stream_of(stream);

    return stream->is_closed ? -EBADF : flush(fs, "bide_flush");
}

static ssize_t file_stream_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct file_stream *fs = file_stream_of(stream);
    ssize_t got;

    if (stream->is_closed)
        return -EBADF;
    if (fs->position >= 0 && stream->is_written)
        return -EBUSY;
    got = stream->is_written ? 0 : flush(fs, "read");
    if (got == 0)
        got = stream->is_closed ? -EBADF : bide__file_enter(fs->file, "read");
    if (got < 0)
        return got;
    got = bide__file_some(fs->file, buf, bytes, fs->position, "read");
    if (got > 0 && fs->position >= 0)
        fs->position += got;
    bide__file_leave(fs->file);
    return got;
}

/* A piece that would only be copied: straight from the caller's memory. */
static ssize_t write_large(struct file_stream *fs, const struct iovec *piece)
{
    ssize_t put = bide__file_enter(fs->file, "write");

    if (put < 0)
        return put;
    put = bide__file_put(fs->file, piece->iov_base, piece->iov_len,
                         is_positioned(fs) ? fs->position : -1, "write");
    if (put > 0 && is_positioned(fs))
        fs->position += put;
    bide__file_leave(fs->file);
    return put;
}

static size_t collect(struct file_stream *fs, const struct iovec *pieces, size_t count)
{
    size_t done = 0;

    for (size_t i = 0; i < count && fs->held < OUT_BYTES; i++) {
        size_t room = OUT_BYTES - fs->held;
        size_t some = pieces[i].iov_len < room ? pieces[i].iov_len : room;
        if (some == 0)
            continue;
        memcpy(fs->out + fs->held, pieces[i].iov_base, some);
        fs->held += some;
        done += some;
    }
    if (is_positioned(fs))
        fs->position += (int64_t)done;
    return done;
}

static ssize_t file_stream_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct file_stream *fs = file_stream_of(stream);
    ssize_t err;

    if (stream->is_closed)
        return -EBADF;
    if (fs->is_flushing || (fs->position >= 0 && stream->is_read))
        return -EBUSY;
    if (is_positioned(fs)) { /* what was read ahead has not been read */
        fs->position -= (int64_t)bide__stream_buffered(stream);
        stream->start = stream->end =
            0; /* the buffer stays: a peek may have shown what is written */
    }
    if (fs->held == OUT_BYTES || (fs->held > 0 && pieces[0].iov_len >= OUT_BYTES)) {
        err = flush(fs, "write");
        if (err < 0)
            return err;
        if (stream->is_closed)
            return -EBADF;
    }
    if (fs->held == 0 && pieces[0].iov_len >= OUT_BYTES)
        return write_large(fs, pieces);
    if (fs->out == NULL && (fs->out = bide__alloc(OUT_BYTES)) == NULL)
        return -ENOMEM;
    return (ssize_t)collect(fs, pieces, count);
}

static int file_stream_shutdown_write(bide_stream *stream)
{
    (void)stream;
    return -EOPNOTSUPP;
}

/* In a callback, which must not wait. */
static int flush_here(struct file_stream *fs)
{
    bide_file_call call = {
        .verb = BIDE_FILE_WRITE,
        .fd = fs->file->fd,
        .buf = fs->out,
        .bytes = fs->held,
        .offset = is_positioned(fs) ? fs->position - (int64_t)fs->held : -1,
    };

    bide__file_work_here(&call);
    if (call.result > 0)
        drop_held(fs, (size_t)call.result);
    return call.result < 0 ? (int)call.result : fs->held > 0 ? -EIO : 0;
}

static void file_stream_close(bide_stream *stream)
{
    struct file_stream *fs = file_stream_of(stream);
    struct bide_loop *loop = bide__loop_here;
    int err = 0, close_err;

    bide_with_shield (BIDE_FOREVER) {
        bide__file_settle(fs->file);
        if (fs->held > 0)
            err = loop->current->waiter != NULL ? flush_here(fs) : flush(fs, "bide_close");
        if (err == -ENOMEM || err == -EAGAIN || err == -ESHUTDOWN)
            err = flush_here(fs); /* no thread could be had */
        close_err = bide_file_close(fs->file);
        if (err == 0)
            err = close_err;
    }
    fs->file = NULL;
    if (err < 0)
        bide__report(loop, BIDE_REPORT_LOST_WRITE, err, loop->current, NULL,
                     "a file stream was closed, and %zu bytes or more of it could not be written: "
                     "%s; call bide_flush first to learn of it",
                     fs->held, strerror(-err));
}

static void file_stream_destroy(bide_stream *stream)
{
    struct file_stream *fs = file_stream_of(stream);

    free(fs->out);
    free(fs);
}

static const struct bide__stream_ops file_stream_ops = {
    .read = file_stream_read,
    .write = file_stream_write,
    .shutdown_write = file_stream_shutdown_write,
    .close = file_stream_close,
    .destroy = file_stream_destroy,
    .flush = file_stream_flush,
};

int bide_file_stream(bide_file *file, bide_stream **out)
{
    struct file_stream *fs;

    bide__task_need("bide_file_stream");
    if (file->users > 0)
        bide__misuse("bide_file_stream: a task is inside a call on this file");
    fs = bide__alloc(sizeof *fs);
    if (fs == NULL)
        return -ENOMEM;
    bide__stream_init(&fs->stream, &file_stream_ops);
    fs->file = file;
    fs->position = bide__sys_seek(file->fd, 0, SEEK_CUR);
    if (fs->position < 0)
        fs->position = -1;
    fs->is_flushing = false;
    fs->held = 0;
    fs->out = NULL;
    *out = &fs->stream;
    return 0;
}
