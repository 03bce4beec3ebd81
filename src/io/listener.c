/* SPDX-License-Identifier: MIT */
/*
 * listener.c - listening, and accepting through whatever happens meanwhile.
 */
#include "io/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include <bide/sched/sleep.h>

#include "base/sys_pipe.h"
#include "io/names.h"
#include "io/socket.h"
#include "io/unix_path.h"
#include "sched/report.h"

enum { BACKLOG = 4096 };

#define BACK_OFF_FIRST BIDE_MS(10)
#define BACK_OFF_MOST BIDE_SEC(1)
#define GRACE BIDE_SEC(5)

struct bide_listener {
    struct bide__epoll *epoll;
    struct bide__fd *fd;
    int number;
    int family;
    uint32_t generation; /* of the registration: another one in fd is not ours */
    uint32_t taken_at;   /* the tick of the event after which one was accepted last */
    unsigned users;      /* calls in progress */
    bool is_closed;
    bool is_accepting;
    bool is_short; /* of descriptors or memory; said so, and not yet caught up with the queue */
    struct bide__list resting; /* tasks that wait on the listener's behalf, but not for its queue */
    bide_listen_options options;
    struct bide__unix_path path; /* to be removed on closing */
};

static bool is_open(const bide_listener *listener)
{
    return !listener->is_closed && listener->fd->generation == listener->generation;
}

static int set_options(int number, const bide_address *address, const bide_listen_options *options)
{
    int err = 0;

    if (address->bide__any.sa_family == AF_UNIX)
        return 0;
    /* A restarted server may use the port while connections of the former one linger (tcp(7)). */
    err = bide__sys_setsockopt(number, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == 0 && options->reuse_port)
        err = bide__sys_setsockopt(number, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == 0 && address->bide__any.sa_family == AF_INET6)
        err = bide__sys_setsockopt(number, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
    /* Accepted sockets inherit it: one call instead of one a connection. */
    if (err == 0 && !options->nagle)
        err = bide__sys_setsockopt(number, IPPROTO_TCP, TCP_NODELAY, 1);
    return err;
}

/* A listening socket. */
static int open_socket(const bide_address *address, const bide_listen_options *options)
{
    int number = bide__sys_socket(address->bide__any.sa_family, SOCK_STREAM);
    int err;

    if (number < 0)
        return number;
    err = set_options(number, address, options);
    if (err == 0)
        err = bide__unix_path_bind(number, SOCK_STREAM, address);
    if (err == 0) {
        err = bide__sys_listen(number, options->backlog > 0 ? options->backlog : BACKLOG);
        if (err == 0)
            return number;
        if (bide__address_is_path(address))
            unlink(address->bide__un.sun_path);
    }
    bide__sys_close(number);
    return err;
}

static int listener_make(struct bide__epoll *epoll, int number, int family,
                         const bide_listen_options *options, bide_listener **out)
{
    bide_listener *listener = bide__alloc_zeroed(1, sizeof *listener);
    int err;

    if (listener == NULL)
        return -ENOMEM;
    err = bide__fd_open(epoll, number, &listener->fd);
    if (err < 0) {
        free(listener);
        return err;
    }
    listener->epoll = epoll;
    listener->number = number;
    listener->family = family;
    listener->generation = listener->fd->generation;
    bide__list_init(&listener->resting);
    listener->options = *options;
    if (listener->options.grace_ns == 0)
        listener->options.grace_ns = GRACE;
    *out = listener;
    return 0;
}

/* Listen at the first of the places where that works. */
static int listen_at(struct bide__epoll *epoll, const struct bide__places *places,
                     const bide_listen_options *options, bide_listener **out)
{
    const bide_address *at;
    size_t tried = 0;
    int number, err;

    do
        number = open_socket(&places->at[tried], options);
    while (number < 0 && number != -EADDRINUSE && ++tried < places->count);
    if (number < 0)
        return number;
    at = &places->at[tried];
    err = listener_make(epoll, number, at->bide__any.sa_family, options, out);
    if (err < 0) {
        bide__sys_close(number);
        if (bide__address_is_path(at))
            unlink(at->bide__un.sun_path);
        return err;
    }
    bide__unix_path_remember(&(*out)->path, at);
    return 0;
}

int bide_listen(const char *addr, const bide_listen_options *options, bide_listener **out)
{
    static const bide_listen_options none;
    struct bide__epoll *epoll = bide__epoll_of(bide__loop_need("bide_listen"));
    struct bide__places places;
    int err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    err = bide__places_find(&places, addr, "tcp", 0);
    if (err < 0)
        return err;
    err = listen_at(epoll, &places, options != NULL ? options : &none, out);
    bide__places_free(&places);
    return err;
}

/* What accept4 says when there is no descriptor or memory for one more. */
static bool is_exhausted(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM || err == -ENOSPC;
}

/*
 * What it says of a connection that ended in the queue, or of the network below it (accept(2),
 * "Error handling").
 */
static bool is_passed_over(int err)
{
    switch (-err) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EOPNOTSUPP:
    case EPERM: return true;
    default: return false;
    }
}

/*
 * One connection as a stream, after the event of that tick. accept4 makes the socket before it
 * looks into the queue, so that finding none costs it microseconds, ten times what poll takes to
 * say so: after the first connection of an event it is asked.
 */
static int accept_one(bide_listener *listener, uint32_t seen, bide_stream **out)
{
    int number, err;

    if (listener->taken_at == seen && bide__sys_is_ready(listener->number, POLLIN) == 0)
        return -EAGAIN;
    number = bide__sys_accept(listener->number);
    if (number < 0)
        return number;
    listener->taken_at = seen;
    err = bide__socket_stream(listener->epoll, number, listener->family, out);
    if (err < 0)
        bide__sys_close(number);
    return err;
}

static int back_off(bide_listener *listener, int err, bide_time *pause)
{
    struct bide_loop *loop = bide__loop_here;

    loop->stats.accept_refused++;
    if (!listener->is_short)
        bide__report(
            loop, BIDE_REPORT_ACCEPT, err, loop->current, NULL,
            "accept: no descriptor or memory for another connection (%s); trying again; raise "
            "the limit (ulimit -n) or set connections_max",
            strerror(-err));
    listener->is_short = true;
    err = bide__listener_rest(listener, bide__deadline_after(*pause), "accept: back off");
    *pause = *pause * 2 < BACK_OFF_MOST ? *pause * 2 : BACK_OFF_MOST;
    return err;
}

static int accept_next(bide_listener *listener, bide_stream **out)
{
    bide_time pause = BACK_OFF_FIRST;

    while (is_open(listener)) {
        uint32_t seen = listener->fd->ready[BIDE__IN];
        int err = seen != 0 ? accept_one(listener, seen, out) : -EAGAIN;

        if (err >= 0)
            return 0;
        if (is_passed_over(err))
            continue;
        if (err == -EAGAIN)
            listener->is_short = false;
        if (err == -EAGAIN)
            err = bide__fd_wait(listener->epoll, listener->fd, BIDE__IN, seen, "accept", listener);
        else if (is_exhausted(err))
            err = back_off(listener, err, &pause);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

int bide_accept(bide_listener *listener, bide_stream **out)
{
    struct bide_task *self = bide__task_need("bide_accept");
    bide_stream *stream;
    int err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (!is_open(listener))
        return -EBADF;
    if (listener->is_accepting)
        return -EBUSY;
    listener->is_accepting = true;
    bide__listener_hold(listener);
    err = accept_next(listener, &stream);
    bide__budget_spend(self->loop);
    if (err == 0 && listener->is_closed) {
        bide_close(stream);
        err = -EBADF;
    }
    if (err == 0)
        *out = stream;
    listener->is_accepting = false;
    bide__listener_let_go(listener);
    return err;
}

int bide_listener_address(bide_listener *listener, char *text, size_t size)
{
    return is_open(listener) ? bide__socket_address(listener->number, false, text, size) : -EBADF;
}

const bide_listen_options *bide__listener_options(const bide_listener *listener)
{
    return &listener->options;
}

void bide__listener_stop(bide_listener *listener)
{
    bide__wake_all(&listener->resting, -EBADF);
    /* While the socket still is served, so that no other server has taken the path over yet. */
    bide__unix_path_remove(&listener->path);
    if (listener->fd->generation == listener->generation &&
        bide__fd_close(listener->epoll, listener->fd))
        bide__sys_close(listener->number);
}

int bide__listener_rest(bide_listener *listener, bide_time deadline, const char *what)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);
    struct bide_task *self = bide__loop_here->current;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__list_append(&listener->resting, &waiter.link);
    return bide__park_until(&waiter, deadline, 0);
}

void bide__listener_stir(bide_listener *listener)
{
    bide__wake_all(&listener->resting, 0);
}

void bide__listener_hold(bide_listener *listener)
{
    listener->users++;
}

void bide__listener_let_go(bide_listener *listener)
{
    bide__assert(listener->users > 0);
    if (--listener->users == 0 && listener->is_closed)
        free(listener);
}

void bide_listener_close(bide_listener *listener)
{
    if (listener == NULL)
        return;
    bide__task_need("bide_listener_close");
    if (listener->is_closed)
        bide__misuse("bide_listener_close: this listener is closed already");
    bide__listener_hold(listener);
    bide__listener_stop(listener);
    listener->is_closed = true;
    bide__listener_let_go(listener);
}
