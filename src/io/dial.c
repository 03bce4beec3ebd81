/* SPDX-License-Identifier: MIT */
/*
 * dial.c - connecting to a server.
 */
#include <bide/io/dial.h>

#include <errno.h>
#include <netinet/tcp.h>

#include <bide/sched/sleep.h>

#include "base/sys.h"
#include "io/socket.h"

/*
 * A Unix server whose queue is full answers -EAGAIN, and no event tells when there is room
 * (connect(2)).
 */
#define QUEUE_FULL_PAUSE BIDE_MS(1)

/*
 * Start to connect. Returns 0 when it is done already, -EINPROGRESS, or why it failed. Interrupted,
 * it goes on in the background or has not begun: asking again tells which.
 */
static int connect_start(int number, const bide_address *address)
{
    int err;

    do {
        err = bide__sys_connect(number, &address->bide__any, address->bide__bytes);
        if (err == -EAGAIN && (err = bide_sleep(QUEUE_FULL_PAUSE)) == 0)
            err = -EAGAIN;
    } while (err == -EAGAIN || err == -EINTR);
    return err == -EALREADY ? -EINPROGRESS : err == -EISCONN ? 0 : err;
}

/* Wait until the socket is connected, or has failed. */
static int connect_finish(struct bide__epoll *epoll, int number)
{
    struct bide__fd *fd = bide__fd_at(epoll, number);
    int err = bide__fd_wait(epoll, fd, BIDE__OUT, fd->ready[BIDE__OUT], "connect");

    return err < 0 ? err : bide__sys_socket_error(number);
}

static int dial_address(struct bide__epoll *epoll, const bide_address *address, bide_stream **out)
{
    int number = bide__sys_socket(address->bide__any.sa_family, SOCK_STREAM);
    int family = address->bide__any.sa_family, started, err;

    if (number < 0)
        return number;
    started = connect_start(number, address);
    err = started < 0 && started != -EINPROGRESS ? started
                                                 : bide__socket_stream(epoll, number, family, out);
    if (err < 0) {
        bide__sys_close(number);
        return err;
    }
    if (started == -EINPROGRESS)
        err = connect_finish(epoll, number);
    if (err == 0 && family != AF_UNIX)
        err = bide__sys_setsockopt(number, IPPROTO_TCP, TCP_NODELAY, 1);
    if (err < 0)
        bide_close(*out);
    return err;
}

int bide_dial(const char *addr, bide_stream **out)
{
    struct bide_task *self = bide__task_need("bide_dial");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    bide_address addresses[BIDE__ADDRESSES_MOST];
    bide_stream *stream = NULL;
    int count, err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (epoll == NULL)
        return -EOPNOTSUPP;
    count = bide__address_parse(addr, "tcp", addresses);
    if (count < 0)
        return count;
    err = dial_address(epoll, &addresses[0], &stream);
    /* When both fail, the first says why: the second is often missing on the whole machine. */
    for (int i = 1; i < count && err < 0 && self->cancel_code == 0; i++)
        if (dial_address(epoll, &addresses[i], &stream) == 0)
            err = 0;
    if (err < 0 && self->cancel_code != 0)
        err = self->cancel_code;
    if (err == 0)
        *out = stream;
    bide__budget_spend(self->loop);
    return err;
}
