/* SPDX-License-Identifier: MIT */
/*
 * watch_fd.c - sets of foreign descriptors.
 *
 * A set is an epoll instance of its own, level-triggered, which is itself an owned descriptor of
 * the loop's reactor, edge-triggered. Nesting is sound as long as the inner one is asked until it
 * knows of nothing: only then has every later event an edge for the outer one. So a wait parks only
 * after an inner poll that found nothing, just as a read parks only after -EAGAIN.
 *
 * Events are fetched in batches and handed out one by one, and between two of them anything may
 * change. Each setting of a number has a generation, which is carried in epoll_data: an event of
 * another one is dropped. If the number is still ready, the next batch says so.
 *
 * A number that was closed with a duplicate left open stays in epoll, where nobody can address it
 * any more (epoll(7), Q6). Its events would come for ever. One that is stale as soon as it is
 * fetched shows this, and the set gets a new epoll instance.
 */
#include <bide/reactor/watch_fd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "reactor/epoll.h"

enum { FDS_LEAST = 64, BATCH = 32 };

/* What is watched of one number. */
struct watched {
    uint32_t generation; /* of the present setting; goes on when it is changed or removed */
    uint32_t events;     /* BIDE_READ, BIDE_WRITE; 0 when not watched */
};

struct bide_fds {
    struct bide__epoll *epoll; /* the loop's */
    struct bide__fd *fd;       /* the inner instance's, in the loop's */
    int number;                /* the inner instance */
    uint32_t generation;       /* of its registration: another one in fd is not ours */
    struct watched *watched;   /* by number */
    size_t count;              /* rows in it */
    struct epoll_event batch[BATCH];
    int next; /* batch[next..filled) is to be handed out */
    int filled;
    bool is_haunted; /* by a registration that nobody can end */
    bool is_waited;  /* a task is in bide_fds_next */
    bool is_closed;
};

static bool is_open(const struct bide_fds *fds)
{
    return !fds->is_closed && fds->fd->generation == fds->generation;
}

static uint32_t interest_of(uint32_t events)
{
    return (events & BIDE_READ ? EPOLLIN | EPOLLRDHUP : 0) | (events & BIDE_WRITE ? EPOLLOUT : 0);
}

static uint32_t ready_of(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? BIDE_READ : 0) |
           (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? BIDE_WRITE : 0);
}

/* The inner instance, registered with the loop: 0 or an error. */
static int inner_open(struct bide__epoll *epoll, int *number, struct bide__fd **fd)
{
    int inner = bide__sys_epoll_create(), err;

    if (inner < 0)
        return inner;
    err = bide__fd_open(epoll, inner, fd);
    if (err < 0) {
        bide__sys_close(inner);
        return err;
    }
    *number = inner;
    return 0;
}

static void inner_close(struct bide_fds *fds)
{
    if (fds->fd->generation == fds->generation && bide__fd_close(fds->epoll, fds->fd))
        bide__sys_close(fds->number);
}

int bide_fds_open(bide_fds **out)
{
    struct bide_task *self = bide__task_need("bide_fds_open");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    struct bide_fds *fds;
    int err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    fds = bide__alloc_zeroed(1, sizeof *fds);
    if (fds == NULL)
        return -ENOMEM;
    err = inner_open(epoll, &fds->number, &fds->fd);
    if (err < 0) {
        free(fds);
        return err;
    }
    fds->epoll = epoll;
    fds->generation = fds->fd->generation;
    *out = fds;
    return 0;
}

/* A row for the number. An absurd one makes no table grow. */
static int make_room(struct bide_fds *fds, int number)
{
    size_t count = fds->count * 2 < FDS_LEAST ? FDS_LEAST : fds->count * 2;
    struct watched *watched;
    int err;

    if ((size_t)number < fds->count)
        return 0;
    err = bide__sys_fd_check(number);
    if (err < 0)
        return err;
    if (count <= (size_t)number)
        count = (size_t)number + 1;
    watched = bide__realloc(fds->watched, count * sizeof *watched);
    if (watched == NULL)
        return -ENOMEM;
    memset(watched + fds->count, 0, (count - fds->count) * sizeof *watched);
    fds->watched = watched;
    fds->count = count;
    return 0;
}

static int control(int inner, int op, int number, uint32_t events, uint32_t generation)
{
    struct epoll_event event = {
        .events = interest_of(events),
        .data.u64 = (uint64_t)generation << 32 | (uint32_t)number,
    };

    return bide__sys_epoll_ctl(inner, op, number, &event);
}

static void stop_watching(struct bide_fds *fds, int number)
{
    struct watched *watched = &fds->watched[number];

    /* What the kernel says is of no interest: a number that was closed is not watched either. */
    control(fds->number, EPOLL_CTL_DEL, number, 0, 0);
    watched->generation++;
    watched->events = 0;
}

/* Tell the kernel, whatever has become of the number since it was watched last. */
static int set_interest(struct bide_fds *fds, int number, uint32_t events)
{
    struct watched *watched = &fds->watched[number];
    uint32_t generation = watched->generation + 1;
    int err = -ENOENT;

    if (watched->events != 0)
        err = control(fds->number, EPOLL_CTL_MOD, number, events, generation);
    if (err == -ENOENT || err == -EBADF)
        watched->events = 0; /* it was closed; the number may be somebody else's now */
    if (err == -ENOENT)
        err = control(fds->number, EPOLL_CTL_ADD, number, events, generation);
    if (err == -EEXIST) /* given up while closed, and a duplicate has brought it back */
        err = control(fds->number, EPOLL_CTL_MOD, number, events, generation);
    return err;
}

int bide_watch_fd(bide_fds *fds, int number, int events)
{
    struct watched *watched;
    int err;

    bide__task_need("bide_watch_fd");
    if (!is_open(fds))
        return -EBADF;
    if ((events & ~(BIDE_READ | BIDE_WRITE)) || number == fds->number)
        return -EINVAL;
    if (events == 0) {
        if (number >= 0 && (size_t)number < fds->count && fds->watched[number].events != 0)
            stop_watching(fds, number);
        return 0;
    }
    err = number < 0 ? -EBADF : make_room(fds, number);
    if (err < 0)
        return err;
    watched = &fds->watched[number];
    err = set_interest(fds, number, (uint32_t)events);
    if (err < 0)
        return err;
    watched->generation++;
    watched->events = (uint32_t)events;
    return 0;
}

/* What the event says that is still asked for; 0 for nothing. */
static uint32_t still_wanted(const struct bide_fds *fds, const struct epoll_event *event)
{
    const struct watched *watched = &fds->watched[(uint32_t)event->data.u64];

    if (watched->generation != (uint32_t)(event->data.u64 >> 32))
        return 0;
    return ready_of(event->events) & watched->events;
}

/* Hand out the next of the batch: its events, or 0 when there is none left. */
static int take(struct bide_fds *fds, int *number)
{
    while (fds->next < fds->filled) {
        const struct epoll_event *event = &fds->batch[fds->next++];
        uint32_t ready = still_wanted(fds, event);
        int at = (int)(uint32_t)event->data.u64, err;
        if (ready == 0)
            continue;
        /* Setting the same again tells whether the number still is what was to be watched. */
        err = control(fds->number, EPOLL_CTL_MOD, at, fds->watched[at].events,
                      fds->watched[at].generation);
        if (err == -ENOENT || err == -EBADF) {
            fds->watched[at].generation++;
            fds->watched[at].events = 0;
            fds->is_haunted = true; /* if a duplicate is open, it would be told for ever */
            continue;
        }
        *number = at;
        return (int)ready;
    }
    return 0;
}

/* Watch everything with a new inner instance, and give up the old one. */
static int start_afresh(struct bide_fds *fds)
{
    struct bide__fd *fd;
    int inner, err;

    err = inner_open(fds->epoll, &inner, &fd);
    if (err < 0)
        return err;
    for (size_t i = 0; i < fds->count && err == 0; i++) {
        struct watched *watched = &fds->watched[i];
        if (watched->events == 0)
            continue;
        /* The old instance knows whether the number still is what was to be watched. */
        err = control(fds->number, EPOLL_CTL_MOD, (int)i, watched->events, watched->generation);
        if (err == 0)
            err = control(inner, EPOLL_CTL_ADD, (int)i, watched->events, watched->generation);
        if (err == -ENOENT || err == -EBADF)
            watched->events = 0, err = 0;
    }
    if (err < 0) {
        bide__fd_close(fds->epoll, fd);
        bide__sys_close(inner);
        return err;
    }
    inner_close(fds);
    fds->number = inner;
    fds->fd = fd;
    fds->generation = fd->generation;
    fds->is_haunted = false;
    return 0;
}

/* Ask the kernel for a batch: how many came, or an error. */
static int fetch(struct bide_fds *fds)
{
    int err = fds->is_haunted ? start_afresh(fds) : 0;
    int count;

    if (err < 0)
        return err;
    count = bide__sys_epoll_wait(fds->number, fds->batch, BATCH, 0);
    if (count < 0)
        return count;
    fds->next = 0;
    fds->filled = count;
    for (int i = 0; i < count; i++)
        if (still_wanted(fds, &fds->batch[i]) == 0)
            fds->is_haunted = true;
    return count;
}

static int wait_next(struct bide_fds *fds, int *number)
{
    int ready = 0;

    while (ready == 0) {
        uint32_t seen;
        int err = 0;

        if (!is_open(fds))
            return -EBADF;
        ready = take(fds, number);
        if (ready != 0)
            break;
        seen = fds->fd->ready[BIDE__IN];
        if (seen != 0)
            err = fetch(fds);
        if (err == 0)
            err = bide__fd_wait(fds->epoll, fds->fd, BIDE__IN, seen, "fds_next", fds);
        if (err < 0 && err != -EINTR)
            return err;
    }
    return ready;
}

int bide_fds_next(bide_fds *fds, int *number)
{
    struct bide_task *self = bide__task_need("bide_fds_next");
    int ready;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (fds->is_waited)
        return -EBUSY;
    fds->is_waited = true;
    ready = wait_next(fds, number);
    bide__budget_spend(self->loop);
    fds->is_waited = false;
    if (fds->is_closed) {
        free(fds->watched);
        free(fds);
        return -EBADF;
    }
    return ready;
}

void bide_fds_close(bide_fds *fds)
{
    if (fds == NULL)
        return;
    bide__task_need("bide_fds_close");
    if (fds->is_closed)
        bide__misuse("bide_fds_close: this set is closed already");
    fds->is_closed = true;
    inner_close(fds);
    if (fds->is_waited)
        return; /* the task inside frees it */
    free(fds->watched);
    free(fds);
}
