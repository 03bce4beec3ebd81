/* SPDX-License-Identifier: MIT */
/*
 * inotify.c - events of files and directories.
 *
 * The kernel hands events out in batches of whole ones. A batch is kept here, and an event leaves
 * it only when somebody has it: so neither a cancelled task nor a channel that is full loses one.
 *
 * Who is inside (the task in bide_inotify_next, or the one that fills the channel) keeps the
 * memory: a close then only marks it, and the last one out frees it.
 */
#include <bide/io/inotify.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <bide/async/async.h>

#include "base/sys_inotify.h"
#include "reactor/epoll.h"

enum {
    BATCH_BYTES = 4096,
    EVENT_BYTES_MOST = sizeof(struct inotify_event) + NAME_MAX + 1,
    CHAN_CAPACITY = 16,
};

_Static_assert(sizeof(((bide_inotify_event *)0)->name) == NAME_MAX + 1, "every name has room");

struct bide_inotify {
    struct bide__epoll *epoll;
    struct bide__fd *fd;
    int number;
    uint32_t generation; /* of the registration: another one in fd is not ours */
    bool is_busy;        /* somebody is inside */
    bool is_closed;
    bide_chan(bide_inotify_event) chan; /* NULL before the first bide_inotify_events */
    size_t at;                          /* batch[at..end) was not taken yet */
    size_t end;
    _Alignas(struct inotify_event) char batch[BATCH_BYTES];
};

static bool is_open(const bide_inotify *inotify)
{
    return !inotify->is_closed && inotify->fd->generation == inotify->generation;
}

int bide_inotify_open(bide_inotify **out)
{
    struct bide_task *self = bide__task_need("bide_inotify_open");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    bide_inotify *inotify;
    int number, err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    number = bide__sys_inotify_init();
    if (number < 0)
        return number;
    inotify = bide__alloc(sizeof *inotify);
    err = inotify == NULL ? -ENOMEM : bide__fd_open(epoll, number, &inotify->fd);
    if (err < 0) {
        free(inotify);
        bide__sys_close(number);
        return err;
    }
    inotify->epoll = epoll;
    inotify->number = number;
    inotify->generation = inotify->fd->generation;
    inotify->is_busy = inotify->is_closed = false;
    inotify->chan = NULL;
    inotify->at = inotify->end = 0;
    *out = inotify;
    return 0;
}

int bide_inotify_add(bide_inotify *inotify, const char *path, uint32_t mask)
{
    bide__task_need("bide_inotify_add");
    return is_open(inotify) ? bide__sys_inotify_add(inotify->number, path, mask) : -EBADF;
}

int bide_inotify_remove(bide_inotify *inotify, int watch)
{
    bide__task_need("bide_inotify_remove");
    return is_open(inotify) ? bide__sys_inotify_remove(inotify->number, watch) : -EBADF;
}

/* Get a batch: 0 or an error. Parks. */
static int fetch(bide_inotify *inotify)
{
    struct bide__fd *fd = inotify->fd;

    while (is_open(inotify)) {
        uint32_t seen = fd->ready[BIDE__IN];
        ssize_t got = -EAGAIN;
        int err;

        if (seen != 0)
            got = bide__sys_inotify_read(inotify->number, inotify->batch, BATCH_BYTES);
        if (got > 0) {
            inotify->at = 0;
            inotify->end = (size_t)got;
            /* Whatever could have come next would have found room: there was nothing. */
            if (got + EVENT_BYTES_MOST <= BATCH_BYTES && fd->ready[BIDE__IN] == seen)
                fd->ready[BIDE__IN] = 0;
            return 0;
        }
        if (got == -EINTR)
            continue;
        if (got != -EAGAIN)
            return got < 0 ? (int)got : -EIO;
        err = bide__fd_wait(inotify->epoll, fd, BIDE__IN, seen, "inotify_next", inotify);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

/* Copy the next event, which stays in the batch: its size there, or an error. Parks. */
static int peek(bide_inotify *inotify, bide_inotify_event *event)
{
    struct inotify_event head;
    const char *name;
    int err = inotify->at < inotify->end ? 0 : fetch(inotify);

    if (err < 0)
        return err;
    bide__assert(inotify->end - inotify->at >= sizeof head);
    memcpy(&head, inotify->batch + inotify->at, sizeof head);
    bide__assert(inotify->end - inotify->at - sizeof head >= head.len);
    name = inotify->batch + inotify->at + sizeof head;
    event->watch = head.wd;
    event->mask = head.mask;
    event->cookie = head.cookie;
    memset(event->name, 0, sizeof event->name); /* what is sent on shall be all defined */
    memcpy(event->name, name, strnlen(name, head.len < NAME_MAX ? head.len : NAME_MAX));
    return (int)(sizeof head + head.len);
}

/* Leave: free it when it was closed meanwhile. */
static void leave(bide_inotify *inotify)
{
    inotify->is_busy = false;
    if (inotify->is_closed)
        free(inotify);
}

int bide_inotify_next(bide_inotify *inotify, bide_inotify_event *event)
{
    struct bide_task *self = bide__task_need("bide_inotify_next");
    int bytes;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (inotify->is_busy)
        return -EBUSY;
    inotify->is_busy = true;
    bytes = peek(inotify, event);
    if (bytes > 0)
        inotify->at += (size_t)bytes;
    bide__budget_spend(self->loop);
    if (bytes > 0 && inotify->is_closed)
        bytes = -EBADF;
    leave(inotify);
    return bytes < 0 ? bytes : 0;
}

/* Fill the channel until it is closed, or the loop ends. */
static bide_async(void, inotify_feed, bide_inotify *, inotify)
{
    bide_inotify_event event;
    int bytes = 0;

    while (bytes >= 0 && !inotify->is_closed) {
        bytes = peek(inotify, &event);
        if (bytes > 0 && bide_chan_send(inotify->chan, event) < 0)
            break;
        if (bytes > 0)
            inotify->at += (size_t)bytes;
    }
    if (!inotify->is_closed)
        bide_chan_close(inotify->chan); /* no more will come: the receivers shall know */
    leave(inotify);
}

struct bide_chan *bide__inotify_chan(bide_inotify *inotify)
{
    bide_task(void) feeder;

    bide__task_need("bide_inotify_events");
    if (inotify->chan == NULL && !inotify->is_busy) {
        inotify->chan = bide_chan_new(bide_inotify_event, CHAN_CAPACITY);
        if (inotify->chan == NULL)
            return NULL;
        feeder = bide_spawn(inotify_feed, inotify);
        if (feeder == NULL) {
            bide_chan_free(inotify->chan);
            inotify->chan = NULL;
            return NULL;
        }
        bide_detach(feeder);
        inotify->is_busy = true;
    }
    return (struct bide_chan *)(uintptr_t)inotify->chan;
}

void bide_inotify_close(bide_inotify *inotify)
{
    if (inotify == NULL)
        return;
    bide__task_need("bide_inotify_close");
    if (inotify->is_closed)
        bide__misuse("bide_inotify_close: it is closed already");
    inotify->is_closed = true;
    if (inotify->fd->generation == inotify->generation &&
        bide__fd_close(inotify->epoll, inotify->fd))
        bide__sys_close(inotify->number);
    if (inotify->chan != NULL) {
        bide_chan_close(inotify->chan);
        bide_chan_free(inotify->chan);
    }
    if (!inotify->is_busy)
        free(inotify);
}
