/* SPDX-License-Identifier: MIT */
/*
 * epoll.h - the real host: descriptors, their readiness, and who waits for it.
 *
 * An owned descriptor is registered once, edge-triggered for both directions, until it is closed.
 * The call is tried first; only -EAGAIN makes a task wait:
 *
 *               event (tick t)                      call says -EAGAIN, or reads short
 *      not ready ------------> ready, seen at tick t ------------------------------> not ready
 *          |                        |   (only if `ready` still is the t that the caller saw)
 *          +-- bide__fd_wait parks  +-- bide__fd_wait returns at once
 *
 * A hang-up or error makes both directions ready and stays: nothing after it may be lost to the
 * short-read shortcut. Neither may what follows urgent data, at which every read stops (tcp(7)).
 *
 * Every registration of a number has a generation of its own, carried in epoll_data: an event that
 * was fetched for an earlier owner of the number is dropped, and an earlier owner's later calls get
 * -EBADF.
 */
#ifndef BIDE__REACTOR_EPOLL_H
#define BIDE__REACTOR_EPOLL_H

#include <sys/epoll.h>

#include "sched/waitq.h"

enum bide__direction { BIDE__IN, BIDE__OUT };

enum bide__fd_state {
    BIDE__FD_FREE,
    BIDE__FD_OWNED,   /* by a stream or listener: registered until closed */
    BIDE__FD_BELL,    /* the loop's own eventfd: that it rang is all it has to say */
    BIDE__FD_FOREIGN, /* somebody else's: registered while a task waits in bide_wait_fd */
};

/* One descriptor number. Its address is stable for the reactor's life. */
struct bide__fd {
    int number;
    uint32_t generation; /* of the current registration */
    uint32_t ready[2];   /* the tick of the event that said so; 0 when known not to be ready */
    uint32_t interest;   /* epoll event mask while registered */
    uint8_t state;
    bool reads_on; /* HUP, RDHUP, ERR or PRI was seen: a short read does not empty it */
    struct bide__list
        waiting[2];             /* at most one waiter each when owned; foreign: all in the first */
    struct bide__waiter *racer; /* of a task that waits for any of several to be writable */
};

struct bide__fd_chunk;

struct bide__epoll {
    struct bide__host host;
    int fd;
    bool has_no_pwait2;  /* the kernel said so */
    uint32_t tick;       /* of the last poll; never 0 */
    uint32_t registered; /* descriptors: with none, a poll that must not wait needs no call */
    struct bide__fd_chunk **chunks; /* descriptor numbers, in rows */
    size_t chunk_count;
    uint64_t turns;     /* that tasks had taken at the last poll */
    bool sweep_wanted;  /* a task ran since the last sweep began: it may have closed one */
    bide_time sweep_at; /* when the next part of a sweep is due; BIDE_FOREVER when none is */
    long sweep_next;    /* the number it goes on with */
    /* Not more at once: what is woken shall still lie in the first caches when it runs. */
    struct epoll_event events[64];
};

int bide__epoll_init(struct bide__epoll *epoll);
void bide__epoll_free(struct bide__epoll *epoll);

/* When the reactor wants to be polled at the latest, whatever comes: for a sweep, or never. */
bide_time bide__epoll_due(struct bide__epoll *epoll, const struct bide_loop *loop);

/* The running loop's reactor, or NULL under a host without I/O. */
static inline struct bide__epoll *bide__epoll_of(struct bide_loop *loop)
{
    return loop->io;
}

/*
 * Register a non-blocking descriptor that the caller owns. Returns 0, or -ENOMEM, -ENOSPC (epoll's
 * limit), -EPERM (a regular file), -EBADF. A registration that is left of somebody who closed the
 * number behind our back ends here.
 */
int bide__fd_open(struct bide__epoll *epoll, int number, struct bide__fd **out);

/*
 * Wake every waiter with -EBADF and end the registration. False when the kernel does not know it
 * any more: then the number was closed behind our back, and may be somebody else's by now; else the
 * owner closes it.
 */
bool bide__fd_close(struct bide__epoll *epoll, struct bide__fd *fd);

/* Ask the kernel whether it still knows the registration; when it does not, end it. */
bool bide__fd_check(struct bide__epoll *epoll, struct bide__fd *fd);

/*
 * Wait until the direction is ready, unless it became so after the caller saw `seen` (fd->ready
 * before its call that ended in -EAGAIN). `near` is what the caller looks at next, its two cache
 * lines: the reactor fetches them before the task runs. Returns 0, -EBUSY (another task waits),
 * -EBADF (closed meanwhile), -ECANCELED, -ETIMEDOUT.
 */
int bide__fd_wait(struct bide__epoll *epoll, struct bide__fd *fd, enum bide__direction direction,
                  uint32_t seen, const char *what, const void *near);

/*
 * Wait until any of these owned descriptors, for which nobody else waits to write, is ready to, as
 * its ready[BIDE__OUT] then tells. The caller clears that before, for those that are known not to
 * be. Returns 0 (look at each, and at its generation), -ETIME at the deadline, -ECANCELED,
 * -ETIMEDOUT.
 */
int bide__fd_wait_any(struct bide__epoll *epoll, struct bide__fd *const fds[], size_t count,
                      bide_time deadline, const char *what);

/* For wait_fd.c: the entry of a number; NULL when no number near it was ever seen. */
struct bide__fd *bide__fd_known(const struct bide__epoll *epoll, int number);

/* For wait_fd.c: the entry of a number, made when missing; NULL without memory. */
struct bide__fd *bide__fd_at(struct bide__epoll *epoll, int number);

/* For wait_fd.c: an event came for a foreign descriptor; events are epoll's. */
void bide__fd_foreign_event(struct bide__epoll *epoll, struct bide__fd *fd, uint32_t events);

/* For wait_fd.c: register, change or end a registration. */
int bide__fd_control(struct bide__epoll *epoll, struct bide__fd *fd, int op, uint32_t interest);

/* Park with one more task that the reactor can wake. */
int bide__fd_park(struct bide__epoll *epoll, struct bide__waiter *waiter);

#endif
