/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - polling, and the table of descriptors.
 *
 * Closing a number without bide_close removes it from epoll without a word, and who waits for it
 * would wait for ever. So a second after a task has run, the registrations that tasks wait for are
 * looked at again, a few each poll: one wake-up of an otherwise idle loop, and none after it until
 * a task runs again.
 */
#include "reactor/epoll.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/sys.h"

enum {
    CHUNK_FDS = 256,
    SWEEP_BATCH = 64, /* registrations looked at in one poll */
    OWNED_INTEREST = (int)(EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET),
};

#define SWEEP_INTERVAL BIDE_SEC(1)

struct bide__fd_chunk {
    struct bide__fd fds[CHUNK_FDS];
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct bide__fd) == 64,
               "a descriptor is a cache line");

static struct bide__epoll *epoll_of_host(struct bide__host *host)
{
    return BIDE__CONTAINER(host, struct bide__epoll, host);
}

static bide_time real_now(struct bide__host *host)
{
    (void)host;
    return bide__sys_now();
}

struct bide__fd *bide__fd_known(const struct bide__epoll *epoll, int number)
{
    size_t row = (size_t)number / CHUNK_FDS;

    if (row >= epoll->chunk_count || epoll->chunks[row] == NULL)
        return NULL;
    return &epoll->chunks[row]->fds[(size_t)number % CHUNK_FDS];
}

static bool grow_rows(struct bide__epoll *epoll, size_t rows)
{
    size_t count = rows > epoll->chunk_count * 2 ? rows : epoll->chunk_count * 2;
    struct bide__fd_chunk **chunks = bide__realloc(epoll->chunks, count * sizeof *chunks);

    if (chunks == NULL)
        return false;
    memset(chunks + epoll->chunk_count, 0, (count - epoll->chunk_count) * sizeof *chunks);
    epoll->chunks = chunks;
    epoll->chunk_count = count;
    return true;
}

struct bide__fd *bide__fd_at(struct bide__epoll *epoll, int number)
{
    size_t row = (size_t)number / CHUNK_FDS;

    if (row >= epoll->chunk_count && !grow_rows(epoll, row + 1))
        return NULL;
    if (epoll->chunks[row] == NULL) {
        struct bide__fd_chunk *chunk = bide__alloc_lines(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        memset(chunk, 0, sizeof *chunk);
        for (int i = 0; i < CHUNK_FDS; i++) {
            chunk->fds[i].number = (int)row * CHUNK_FDS + i;
            bide__list_init(&chunk->fds[i].waiting[BIDE__IN]);
            bide__list_init(&chunk->fds[i].waiting[BIDE__OUT]);
        }
        epoll->chunks[row] = chunk;
    }
    return bide__fd_known(epoll, number);
}

int bide__fd_control(struct bide__epoll *epoll, struct bide__fd *fd, int op, uint32_t interest)
{
    struct epoll_event event = {
        .events = interest,
        .data.u64 = (uint64_t)fd->generation << 32 | (uint32_t)fd->number,
    };
    int err = bide__sys_epoll_ctl(epoll->fd, op, fd->number, &event);

    if (err < 0)
        return err;
    fd->interest = op == EPOLL_CTL_DEL ? 0 : interest;
    if (op == EPOLL_CTL_ADD)
        epoll->registered++;
    return 0;
}

/* End a registration, whether or not the kernel still knows it, and wake whoever waits. */
static void forget(struct bide__epoll *epoll, struct bide__fd *fd)
{
    bide__assert(fd->state != BIDE__FD_FREE);
    fd->generation++;
    if (fd->state != BIDE__FD_BELL) {
        bide__assert(epoll->registered > 0);
        epoll->registered--;
    }
    fd->state = BIDE__FD_FREE;
    bide__wake_all(&fd->waiting[BIDE__IN], -EBADF);
    bide__wake_all(&fd->waiting[BIDE__OUT], -EBADF);
    if (fd->racer != NULL)
        bide__wake(fd->racer, 0);
    fd->racer = NULL;
}

int bide__fd_open(struct bide__epoll *epoll, int number, struct bide__fd **out)
{
    struct bide__fd *fd = bide__fd_at(epoll, number);
    int err;

    if (fd == NULL)
        return -ENOMEM;
    if (fd->state != BIDE__FD_FREE)
        forget(epoll, fd); /* closed behind our back, and the number is ours again */
    fd->generation++;
    err = bide__fd_control(epoll, fd, EPOLL_CTL_ADD, (uint32_t)OWNED_INTEREST);
    if (err < 0)
        return err;
    fd->state = BIDE__FD_OWNED;
    fd->reads_on = false;
    fd->ready[BIDE__IN] = fd->ready[BIDE__OUT] =
        epoll->tick; /* not known: the first call finds out */
    *out = fd;
    return 0;
}

bool bide__fd_close(struct bide__epoll *epoll, struct bide__fd *fd)
{
    /* A duplicate of the descriptor would keep the registration alive after close. */
    int err = bide__fd_control(epoll, fd, EPOLL_CTL_DEL, 0);

    forget(epoll, fd);
    return err != -ENOENT && err != -EBADF;
}

bool bide__fd_check(struct bide__epoll *epoll, struct bide__fd *fd)
{
    /* Setting the same interest again is harmless: what is ready now is told once more. */
    if (bide__fd_control(epoll, fd, EPOLL_CTL_MOD, fd->interest) == 0)
        return true;
    forget(epoll, fd);
    return false;
}

int bide__fd_park(struct bide__epoll *epoll, struct bide__waiter *waiter)
{
    int result;

    epoll->host.watched++;
    result = bide__park(waiter);
    epoll->host.watched--;
    return result;
}

int bide__fd_wait(struct bide__epoll *epoll, struct bide__fd *fd, enum bide__direction direction,
                  uint32_t seen, const char *what, const void *near)
{
    struct bide_task *self = bide__loop_here->current;
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);

    bide__assert(fd->state == BIDE__FD_OWNED);
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (!bide__list_is_empty(&fd->waiting[direction]))
        return -EBUSY;
    if (fd->ready[direction] != seen)
        return 0;
    fd->ready[direction] = 0;
    waiter.near = near;
    bide__list_append(&fd->waiting[direction], &waiter.link);
    return bide__fd_park(epoll, &waiter);
}

int bide__fd_wait_any(struct bide__epoll *epoll, struct bide__fd *const fds[], size_t count,
                      bide_time deadline, const char *what)
{
    struct bide_task *self = bide__loop_here->current;
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);
    int result;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    for (size_t i = 0; i < count; i++) {
        bide__assert(fds[i]->state == BIDE__FD_OWNED && fds[i]->racer == NULL);
        if (fds[i]->ready[BIDE__OUT] != 0)
            return 0;
    }
    for (size_t i = 0; i < count; i++)
        fds[i]->racer = &waiter;
    epoll->host.watched++;
    result = bide__park_until(&waiter, deadline, -ETIME);
    epoll->host.watched--;
    for (size_t i = 0; i < count; i++)
        if (fds[i]->racer == &waiter) /* else it was closed, and has another owner */
            fds[i]->racer = NULL;
    return result;
}

static void direction_ready(struct bide__epoll *epoll, struct bide__fd *fd,
                            enum bide__direction direction)
{
    struct bide__waiter *waiter = bide__waitq_first(&fd->waiting[direction]);

    fd->ready[direction] = epoll->tick;
    if (waiter != NULL)
        bide__wake(waiter, 0);
    else if (direction == BIDE__OUT && fd->racer != NULL)
        bide__wake(fd->racer, 0); /* false when another one of its descriptors has */
}

static void owned_event(struct bide__epoll *epoll, struct bide__fd *fd, uint32_t events)
{
    const uint32_t both = EPOLLHUP | EPOLLERR;

    if (events & (both | EPOLLRDHUP | EPOLLPRI))
        fd->reads_on = true;
    if (events & (EPOLLIN | EPOLLRDHUP | both))
        direction_ready(epoll, fd, BIDE__IN);
    if (events & (EPOLLOUT | both))
        direction_ready(epoll, fd, BIDE__OUT);
}

static void dispatch(struct bide__epoll *epoll, const struct epoll_event *event)
{
    struct bide__fd *fd = bide__fd_known(epoll, (int)(uint32_t)event->data.u64);

    if (fd->generation != (uint32_t)(event->data.u64 >> 32))
        return; /* fetched for an earlier owner of the number */
    if (fd->state == BIDE__FD_OWNED)
        owned_event(epoll, fd, event->events);
    else if (fd->state == BIDE__FD_FOREIGN)
        bide__fd_foreign_event(epoll, fd, event->events);
}

static struct bide__fd *fd_of_event(const struct bide__epoll *epoll, int index)
{
    return bide__fd_known(epoll, (int)(uint32_t)epoll->events[index].data.u64);
}

/*
 * With many descriptors nothing of those that an event is about lies in the first caches, and each
 * step from there to the task has to wait for the one before. So take each step for all of them,
 * and only then the next.
 *
 * Always inlined: gcc takes a function that does nothing but this for one that does nothing.
 */
__attribute__((always_inline)) static inline void fetch_ahead(const struct bide__epoll *epoll,
                                                              int count)
{
    for (int i = 0; i < count; i++)
        __builtin_prefetch(fd_of_event(epoll, i));
    for (int i = 0; i < count; i++)
        __builtin_prefetch(fd_of_event(epoll, i)->waiting[BIDE__IN].next);
    for (int i = 0; i < count; i++) {
        const struct bide__waiter *waiter =
            bide__waitq_first(&fd_of_event(epoll, i)->waiting[BIDE__IN]);
        if (waiter != NULL) {
            /* As numbers: some of it may be NULL, or above the stack. */
            uintptr_t near = (uintptr_t)waiter->near, stack = (uintptr_t)waiter;
            __builtin_prefetch(waiter->task, 1);
            __builtin_prefetch((void *)near, 1);
            __builtin_prefetch((void *)(near + 64), 1);
            /* What was saved at the switch, and the frames that it returns through. */
            __builtin_prefetch((void *)(stack - 128));
            __builtin_prefetch((void *)(stack - 64));
            __builtin_prefetch((void *)(stack + 64));
            __builtin_prefetch((void *)(stack + 128));
            __builtin_prefetch((void *)(stack + 192));
            __builtin_prefetch((void *)(stack + 256));
            __builtin_prefetch((void *)(stack + 320));
        }
    }
}

/* Ask the kernel again about what tasks wait for. */
static void sweep(struct bide__epoll *epoll, bide_time now)
{
    const long end = (long)epoll->chunk_count * CHUNK_FDS;

    if (epoll->sweep_next == 0)
        epoll->sweep_wanted = false;
    for (int asked = 0; epoll->sweep_next < end && asked < SWEEP_BATCH; epoll->sweep_next++) {
        struct bide__fd *fd = bide__fd_known(epoll, (int)epoll->sweep_next);
        if (fd == NULL) {
            epoll->sweep_next += CHUNK_FDS - 1 - epoll->sweep_next % CHUNK_FDS; /* a whole row */
            continue;
        }
        if (bide__list_is_empty(&fd->waiting[BIDE__IN]) &&
            bide__list_is_empty(&fd->waiting[BIDE__OUT]) && fd->racer == NULL)
            continue;
        asked++;
        bide__fd_check(epoll, fd);
    }
    if (epoll->sweep_next < end)
        return; /* the next poll goes on */
    epoll->sweep_next = 0;
    epoll->sweep_at = epoll->sweep_wanted ? bide__time_after(now, SWEEP_INTERVAL) : BIDE_FOREVER;
}

static void ring(struct bide__inbox *inbox)
{
    bide__sys_eventfd_ring(inbox->bell.fd);
}

static void close_bell(struct bide__inbox *inbox)
{
    bide__sys_close(inbox->bell.fd);
}

/* Not counted as registered: only a poll that waits has to see it. */
static int open_bell(struct bide__host *host, struct bide__inbox *inbox)
{
    struct bide__epoll *epoll = epoll_of_host(host);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int number = bide__sys_eventfd(), err = -ENOMEM;
    struct bide__fd *fd;

    if (number < 0)
        return number;
    fd = bide__fd_at(epoll, number);
    if (fd != NULL) {
        if (fd->state != BIDE__FD_FREE)
            forget(epoll, fd); /* closed behind our back, and the number is ours now */
        fd->generation++;
        event.data.u64 = (uint64_t)fd->generation << 32 | (uint32_t)number;
        err = bide__sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, number, &event);
    }
    if (err < 0) {
        bide__sys_close(number);
        return err;
    }
    fd->state = BIDE__FD_BELL;
    inbox->bell.fd = number;
    inbox->wake = ring;
    inbox->close = close_bell;
    return 0;
}

/*
 * Wait with the kernel's best clock: nanoseconds even where epoll itself only knows milliseconds.
 */
static int wait_events(struct bide__epoll *epoll, const struct timespec *timeout)
{
    const int most = sizeof epoll->events / sizeof epoll->events[0];
    int count = -ENOSYS;

    if (timeout != NULL && timeout->tv_sec == 0 && timeout->tv_nsec == 0)
        return bide__sys_epoll_wait(epoll->fd, epoll->events, most, 0);
    if (!epoll->has_no_pwait2)
        count = bide__sys_epoll_pwait2(epoll->fd, epoll->events, most, timeout);
    if (count != -ENOSYS && count != -EPERM)
        return count; /* EPERM: a sandbox knows no such call */
    epoll->has_no_pwait2 = true;
    if (timeout == NULL)
        return bide__sys_epoll_wait(epoll->fd, epoll->events, most, -1);
    ppoll(&(struct pollfd){.fd = epoll->fd, .events = POLLIN}, 1, timeout, NULL);
    return bide__sys_epoll_wait(epoll->fd, epoll->events, most, 0);
}

static int wait_until(struct bide__epoll *epoll, bide_time deadline)
{
    bide_time left = 0;

    if (deadline == BIDE_FOREVER)
        return wait_events(epoll, NULL);
    if (deadline != BIDE__DO_NOT_WAIT)
        left = deadline - bide__sys_now();
    if (left <= 0) {
        if (epoll->registered == 0)
            return 0;
        left = 0;
    }
    return wait_events(epoll, &(struct timespec){.tv_sec = (time_t)(left / 1000000000),
                                                 .tv_nsec = (long)(left % 1000000000)});
}

/* Turns since the last poll are not counted yet: then something of the plan is used up. */
static void plan_sweep(struct bide__epoll *epoll, const struct bide_loop *loop)
{
    bool has_run = epoll->turns != loop->stats.turns || loop->turns_left != loop->turns_planned;

    if (has_run && epoll->host.watched > 0)
        epoll->sweep_wanted = true;
    if (epoll->sweep_wanted && epoll->sweep_at == BIDE_FOREVER)
        epoll->sweep_at = bide__time_after(loop->polled_at, SWEEP_INTERVAL);
}

bide_time bide__epoll_due(struct bide__epoll *epoll, const struct bide_loop *loop)
{
    plan_sweep(epoll, loop);
    return epoll->sweep_at;
}

static void epoll_wait_host(struct bide__host *host, struct bide_loop *loop, bide_time deadline)
{
    struct bide__epoll *epoll = epoll_of_host(host);
    int count;

    plan_sweep(epoll, loop);
    epoll->turns = loop->stats.turns;
    count = wait_until(epoll, deadline < epoll->sweep_at ? deadline : epoll->sweep_at);
    bide__assert(count >= 0 ||
                 count == -EINTR); /* a signal: the loop comes back with what is left */
    if (++epoll->tick == 0)
        epoll->tick = 1;
    fetch_ahead(epoll, count);
    for (int i = 0; i < count; i++)
        dispatch(epoll, &epoll->events[i]);
    if (epoll->sweep_at != BIDE_FOREVER && loop->polled_at >= epoll->sweep_at)
        sweep(epoll, loop->polled_at);
}

int bide__epoll_init(struct bide__epoll *epoll)
{
    memset(epoll, 0, sizeof *epoll);
    epoll->host = (struct bide__host){
        .now = real_now, .wait = epoll_wait_host, .open = open_bell, .may_spin = true};
    epoll->tick = 1;
    epoll->sweep_at = BIDE_FOREVER;
    epoll->fd = bide__sys_epoll_create();
    return epoll->fd < 0 ? epoll->fd : 0;
}

void bide__epoll_free(struct bide__epoll *epoll)
{
    for (size_t row = 0; row < epoll->chunk_count; row++)
        free(epoll->chunks[row]);
    free(epoll->chunks);
    bide__sys_close(epoll->fd);
}
