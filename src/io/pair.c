/* SPDX-License-Identifier: MIT */
/*
 * pair.c - two streams connected in memory.
 *
 * Two rings, one a direction, in one allocation that both ends share and the last one frees. A
 * ring's reader sleeps while it is empty, its writer while it is full; each wakes the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/stream.h"
#include "sched/waitq.h"

enum { RING_BYTES = 64 * 1024 };

struct ring {
    size_t start;  /* of the bytes held */
    size_t length; /* how many */
    bool is_ended; /* nothing more will be written: shut down, or its writer is closed */
    bool is_cut;   /* nothing more will be read: its reader is closed */
    struct bide__list readers; /* at most one waiter */
    struct bide__list writers; /* at most one waiter */
    char data[RING_BYTES];
};

struct end {
    bide_stream stream;
    struct pair *pair;
    struct ring *in;
    struct ring *out;
};

struct pair {
    struct end ends[2];
    struct ring rings[2];
    unsigned alive; /* ends whose memory is still in use */
};

static struct end *end_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct end, stream);
}

static int sleep_on(struct bide__list *queue, const char *what)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);
    struct bide_task *self = bide__loop_here->current;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__list_append(queue, &waiter.link);
    return bide__park(&waiter);
}

/* Move bytes out of (into) the ring, at the most what lies in one piece before its end. */
static size_t ring_take(struct ring *ring, char *buf, size_t bytes)
{
    size_t some = RING_BYTES - ring->start;

    some = some < ring->length ? some : ring->length;
    some = some < bytes ? some : bytes;
    memcpy(buf, ring->data + ring->start, some);
    ring->start = (ring->start + some) % RING_BYTES;
    ring->length -= some;
    return some;
}

static size_t ring_put(struct ring *ring, const char *buf, size_t bytes)
{
    size_t at = (ring->start + ring->length) % RING_BYTES;
    size_t some = RING_BYTES - (at >= ring->start ? at : ring->length);

    some = some < RING_BYTES - ring->length ? some : RING_BYTES - ring->length;
    some = some < bytes ? some : bytes;
    memcpy(ring->data + at, buf, some);
    ring->length += some;
    return some;
}

static int pair_wait_read(bide_stream *stream)
{
    struct ring *ring = end_of(stream)->in;

    if (stream->is_closed || ring->length > 0 || ring->is_ended)
        return 0;
    return sleep_on(&ring->readers, "read of a stream pair");
}

static ssize_t pair_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct ring *ring = end_of(stream)->in;
    size_t got;

    if (stream->is_closed)
        return -EBADF;
    if (ring->length == 0)
        return ring->is_ended ? 0 : -EAGAIN;
    got = ring_take(ring, buf, bytes);
    if (got < bytes)
        got += ring_take(ring, (char *)buf + got, bytes - got);
    bide__wake_all(&ring->writers, 0);
    return (ssize_t)got;
}

static ssize_t pair_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct ring *ring = end_of(stream)->out;
    size_t put = 0;

    for (;;) {
        int err;
        if (stream->is_closed)
            return -EBADF;
        if (ring->is_ended || ring->is_cut)
            return -EPIPE;
        if (ring->length < RING_BYTES)
            break;
        err = sleep_on(&ring->writers, "write to a stream pair");
        if (err < 0)
            return err;
    }
    for (size_t i = 0; i < count && ring->length < RING_BYTES; i++) {
        const char *data = pieces[i].iov_base;
        if (pieces[i].iov_len == 0)
            continue;
        size_t some = ring_put(ring, data, pieces[i].iov_len);
        if (some < pieces[i].iov_len)
            some += ring_put(ring, data + some, pieces[i].iov_len - some);
        put += some;
        if (some < pieces[i].iov_len)
            break;
    }
    bide__wake_all(&ring->readers, 0);
    return (ssize_t)put;
}

static int pair_shutdown_write(bide_stream *stream)
{
    struct ring *ring = end_of(stream)->out;

    ring->is_ended = true;
    bide__wake_all(&ring->readers, 0);
    bide__wake_all(&ring->writers, 0);
    return 0;
}

static void pair_close(bide_stream *stream)
{
    struct end *end = end_of(stream);

    end->in->is_cut = true;
    end->out->is_ended = true;
    bide__wake_all(&end->in->readers, -EBADF);
    bide__wake_all(&end->out->writers, -EBADF);
    bide__wake_all(&end->in->writers, 0);
    bide__wake_all(&end->out->readers, 0);
}

static void pair_destroy(bide_stream *stream)
{
    struct pair *pair = end_of(stream)->pair;

    if (--pair->alive == 0)
        free(pair);
}

static const struct bide__stream_ops pair_ops = {
    .read = pair_read,
    .wait_read = pair_wait_read,
    .write = pair_write,
    .shutdown_write = pair_shutdown_write,
    .close = pair_close,
    .destroy = pair_destroy,
};

static void ring_init(struct ring *ring)
{
    ring->start = ring->length = 0;
    ring->is_ended = ring->is_cut = false;
    bide__list_init(&ring->readers);
    bide__list_init(&ring->writers);
}

int bide_stream_pair(bide_stream *out[2])
{
    struct pair *pair;

    bide__task_need("bide_stream_pair");
    pair = bide__alloc(sizeof *pair);
    if (pair == NULL)
        return -ENOMEM;
    pair->alive = 2;
    for (int i = 0; i < 2; i++) {
        struct end *end = &pair->ends[i];
        ring_init(&pair->rings[i]);
        bide__stream_init(&end->stream, &pair_ops);
        end->pair = pair;
        end->in = &pair->rings[i];
        end->out = &pair->rings[1 - i];
        out[i] = &end->stream;
    }
    return 0;
}
