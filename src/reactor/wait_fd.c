/* SPDX-License-Identifier: MIT */
/*
 * wait_fd.c - descriptors that are not ours: one-shot registrations, gone before the call returns.
 *
 * All waiters of a foreign descriptor hang on fd->waiting[BIDE__IN]; their wishes are disjoint. The
 * registration's interest is what they wish together, and is set again when one of them leaves.
 */
#include <bide/reactor/wait_fd.h>

#include <errno.h>

#include "base/sys.h"
#include "reactor/epoll.h"

struct foreign {
    struct bide__waiter waiter;
    int wants; /* BIDE_READ, BIDE_WRITE */
    int got;
};

static struct foreign *foreign_of(struct bide__list *link)
{
    return BIDE__CONTAINER(BIDE__CONTAINER(link, struct bide__waiter, link), struct foreign,
                           waiter);
}

/* What the waiters of a descriptor want together. */
static int wanted(struct bide__fd *fd)
{
    struct bide__list *head = &fd->waiting[BIDE__IN];
    int wants = 0;

    for (struct bide__list *at = head->next; at != head; at = at->next)
        wants |= foreign_of(at)->wants;
    return wants;
}

static uint32_t interest_of(int wants)
{
    uint32_t interest = EPOLLONESHOT;

    if (wants & BIDE_READ)
        interest |= EPOLLIN | EPOLLRDHUP;
    if (wants & BIDE_WRITE)
        interest |= EPOLLOUT;
    return interest;
}

void bide__fd_foreign_event(struct bide__epoll *epoll, struct bide__fd *fd, uint32_t events)
{
    struct bide__list *head = &fd->waiting[BIDE__IN];
    int ready = 0;

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= BIDE_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= BIDE_WRITE;
    for (struct bide__list *at = head->next, *next; at != head; at = next) {
        struct foreign *foreign = foreign_of(at);
        next = at->next;
        foreign->got = foreign->wants & ready;
        if (foreign->got != 0)
            bide__wake(&foreign->waiter, 0);
    }
    /* One shot: whoever still waits needs another. */
    if (!bide__list_is_empty(head) &&
        bide__fd_control(epoll, fd, EPOLL_CTL_MOD, interest_of(wanted(fd))) < 0)
        bide__fd_close(epoll, fd);
}

/* Register the wish beside those of other tasks. */
static int join(struct bide__epoll *epoll, struct bide__fd *fd, int events)
{
    int others, err;

    /* A registration that the kernel has lost is no obstacle: the number has another owner now. */
    if (fd->state != BIDE__FD_FREE)
        bide__fd_check(epoll, fd);
    others = fd->state == BIDE__FD_FOREIGN ? wanted(fd) : 0;
    if (fd->state == BIDE__FD_OWNED || (others & events))
        return -EBUSY;
    if (fd->state == BIDE__FD_FOREIGN)
        return bide__fd_control(epoll, fd, EPOLL_CTL_MOD, interest_of(others | events));
    fd->generation++;
    err = bide__fd_control(epoll, fd, EPOLL_CTL_ADD, interest_of(events));
    if (err == 0)
        fd->state = BIDE__FD_FOREIGN;
    return err;
}

/* The wish is over: leave the registration to the others, or end it. */
static void leave(struct bide__epoll *epoll, struct bide__fd *fd, uint32_t generation)
{
    int others;

    if (fd->generation != generation)
        return; /* it ended while we slept */
    others = wanted(fd);
    if (others == 0 || bide__fd_control(epoll, fd, EPOLL_CTL_MOD, interest_of(others)) < 0)
        bide__fd_close(epoll, fd);
}

int bide_wait_fd(int number, int events)
{
    struct bide_task *self = bide__task_need("bide_wait_fd");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    struct foreign foreign = {.waiter = BIDE__WAITER(foreign.waiter, "wait_fd"), .wants = events};
    struct bide__fd *fd;
    uint32_t generation;
    int err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (epoll == NULL)
        return -EOPNOTSUPP;
    if (events == 0 || (events & ~(BIDE_READ | BIDE_WRITE)))
        return -EINVAL;
    if (number < 0)
        return -EBADF;
    if (bide__fd_known(epoll, number) == NULL && (err = bide__sys_fd_check(number)) < 0)
        return err; /* before the table grows to hold it */
    fd = bide__fd_at(epoll, number);
    if (fd == NULL)
        return -ENOMEM;
    err = join(epoll, fd, events);
    if (err == -EPERM)
        return events; /* a regular file or directory: always ready */
    if (err < 0)
        return err;
    generation = fd->generation;
    bide__list_append(&fd->waiting[BIDE__IN], &foreign.waiter.link);
    err = bide__fd_park(epoll, &foreign.waiter);
    leave(epoll, fd, generation);
    return err < 0 ? err : foreign.got;
}
