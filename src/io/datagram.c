/* SPDX-License-Identifier: MIT */
/*
 * datagram.c - datagram sockets: opening and closing, one datagram at a time.
 */
#include "io/datagram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include <bide/sched/sleep.h>

#include "base/sys_datagram.h"
#include "io/socket.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/*
 * A Unix socket that somebody else's queue refuses gets no event when there is room, unless it is
 * connected to that one (unix(7) is silent; sendto says -EAGAIN, epoll says writable).
 */
#define QUEUE_FULL_PAUSE BIDE_MS(1)

static int set_option(int number, int level, int option, int value)
{
    return value == 0 ? 0 : bide__sys_setsockopt(number, level, option, value);
}

static int set_options(int number, int family, const bide_datagram_options *options)
{
    int err = set_option(number, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);

    if (err == 0)
        err = set_option(number, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    if (err < 0 || family == AF_UNIX)
        return err;
    err = set_option(number, SOL_SOCKET, SO_REUSEADDR, options->reuse_address);
    if (err == 0)
        err = set_option(number, SOL_SOCKET, SO_REUSEPORT, options->reuse_port);
    if (err == 0)
        err = set_option(number, SOL_SOCKET, SO_BROADCAST, options->broadcast);
    if (err == 0 && family == AF_INET6)
        err = bide__sys_setsockopt(number, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
    /* Without it nothing is joined, which is a result that the option allows. */
    if (err == 0)
        set_option(number, IPPROTO_UDP, UDP_GRO, options->gro);
    return err;
}

static int open_socket(const bide_address *address, const bide_datagram_options *options)
{
    int family = address->bide__any.sa_family;
    int number = bide__sys_socket(family, SOCK_DGRAM);
    int err;

    if (number < 0)
        return number;
    err = set_options(number, family, options);
    if (err == 0)
        err = bide__unix_path_bind(number, SOCK_DGRAM, address);
    if (err == 0)
        return number;
    bide__sys_close(number);
    return err;
}

static int datagram_make(struct bide__epoll *epoll, int number, int family, bool is_gro,
                         bide_datagram **out)
{
    bide_datagram *datagram = bide__alloc_zeroed(1, sizeof *datagram);
    int err;

    if (datagram == NULL)
        return -ENOMEM;
    err = bide__fd_open(epoll, number, &datagram->fd);
    if (err < 0) {
        free(datagram);
        return err;
    }
    datagram->epoll = epoll;
    datagram->number = number;
    datagram->family = family;
    datagram->generation = datagram->fd->generation;
    datagram->is_gro = is_gro;
    datagram->segmenting = family == AF_UNIX ? BIDE__SEGMENTING_OURS : BIDE__SEGMENTING_UNKNOWN;
    bide__list_init(&datagram->waiting);
    *out = datagram;
    return 0;
}

/* Beside what listeners take: a Unix name that the kernel picks (unix(7), "Autobind feature"). */
static int parse(const char *addr, bide_address addresses[BIDE__ADDRESSES_MOST])
{
    if (addr == NULL)
        addr = "udp://:0";
    if (strcmp(addr, "unix:") != 0)
        return bide__address_parse(addr, "udp", addresses);
    addresses[0] = (bide_address){.bide__bytes = sizeof(sa_family_t)};
    addresses[0].bide__any.sa_family = AF_UNIX;
    return 1;
}

int bide_datagram_open(const char *addr, const bide_datagram_options *options, bide_datagram **out)
{
    static const bide_datagram_options none;
    struct bide__epoll *epoll = bide__epoll_of(bide__loop_need("bide_datagram_open"));
    bide_address addresses[BIDE__ADDRESSES_MOST];
    int number = -EINVAL, count, tried = 0, err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    if (options == NULL)
        options = &none;
    if (options->receive_buffer_bytes < 0 || options->send_buffer_bytes < 0)
        return -EINVAL;
    count = parse(addr, addresses);
    if (count < 0)
        return count;
    do
        number = open_socket(&addresses[tried], options);
    while (number < 0 && number != -EADDRINUSE && ++tried < count);
    if (number < 0)
        return number;
    err = datagram_make(epoll, number, addresses[tried].bide__any.sa_family, options->gro, out);
    if (err < 0) {
        bide__sys_close(number);
        if (bide__address_is_path(&addresses[tried]))
            unlink(addresses[tried].bide__un.sun_path);
        return err;
    }
    bide__unix_path_remember(&(*out)->path, &addresses[tried]);
    return 0;
}

int bide_datagram_connect(bide_datagram *datagram, const bide_address *peer)
{
    int err;

    if (!bide__datagram_is_open(datagram))
        return -EBADF;
    if (peer->bide__bytes == 0)
        return -EINVAL;
    do
        err = bide__sys_connect(datagram->number, &peer->bide__any, peer->bide__bytes);
    while (err == -EINTR);
    return err;
}

static void let_go(bide_datagram *datagram)
{
    bide__assert(datagram->users > 0);
    if (--datagram->users == 0 && datagram->is_closed)
        free(datagram);
}

int bide__datagram_enter(bide_datagram *datagram, const char *call)
{
    struct bide_task *self = bide__task_need(call);

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (!bide__datagram_is_open(datagram))
        return -EBADF;
    datagram->users++;
    return 0;
}

ssize_t bide__datagram_exit(bide_datagram *datagram, ssize_t result)
{
    bide__budget_spend(bide__loop_here);
    if (result >= 0 && !bide__datagram_is_open(datagram))
        result = -EBADF;
    let_go(datagram);
    return result;
}

int bide__datagram_enter_recv(bide_datagram *datagram, const char *call)
{
    int err = bide__datagram_enter(datagram, call);

    if (err < 0)
        return err;
    if (datagram->is_receiving)
        return (int)bide__datagram_exit(datagram, -EBUSY);
    datagram->is_receiving = true;
    return 0;
}

ssize_t bide__datagram_exit_recv(bide_datagram *datagram, ssize_t result)
{
    datagram->users++; /* others may run before it is left */
    result = bide__datagram_exit(datagram, result);
    datagram->is_receiving = false;
    let_go(datagram);
    return result;
}

void bide__datagram_address_came(bide_address *address, socklen_t bytes)
{
    const struct sockaddr_in6 v6 = address->bide__v6;

    bide__address_came(address, bytes);
    if (address->bide__any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    *address = (bide_address){.bide__bytes = sizeof address->bide__v4};
    address->bide__v4.sin_family = AF_INET;
    address->bide__v4.sin_port = v6.sin6_port;
    memcpy(&address->bide__v4.sin_addr, &v6.sin6_addr.s6_addr[12], 4);
}

ssize_t bide_datagram_recv(bide_datagram *datagram, void *buf, size_t size, bide_address *from)
{
    struct bide__fd *fd = datagram->fd;
    bide_address address = {.bide__bytes = 0};
    ssize_t got = bide__datagram_enter_recv(datagram, "bide_datagram_recv");

    if (got < 0)
        return got;
    got = datagram->is_gro ? -EINVAL : -EAGAIN;
    while (got == -EAGAIN) {
        socklen_t bytes = sizeof address.bide__un;
        uint32_t seen = fd->ready[BIDE__IN];
        if (seen != 0)
            got = bide__sys_recv_from(datagram->number, buf, size, &address.bide__any, &bytes);
        if (got == -EAGAIN) {
            int err =
                bide__fd_wait(datagram->epoll, fd, BIDE__IN, seen, "receive a datagram", datagram);
            got = err < 0 ? err : bide__datagram_is_open(datagram) ? -EAGAIN : -EBADF;
        } else if (got == -EINTR) {
            got = -EAGAIN;
        } else if (got >= 0 && from != NULL) {
            bide__datagram_address_came(&address, bytes);
            *from = address;
        }
    }
    return bide__datagram_exit_recv(datagram, got > 0 && (size_t)got > size ? -EMSGSIZE : got);
}

int bide__datagram_wait_to_send(bide_datagram *datagram, uint32_t seen, const bide_address *to)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "send a datagram");
    struct bide_task *self = bide__loop_here->current;
    bool waits_for_peer = datagram->family == AF_UNIX && to != NULL && to->bide__bytes > 0;
    int err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (waits_for_peer || datagram->is_full) {
        bide_time deadline = waits_for_peer
                                 ? bide__time_after(bide__loop_now(self->loop), QUEUE_FULL_PAUSE)
                                 : BIDE_FOREVER;
        bide__list_append(&datagram->waiting, &waiter.link);
        return bide__park_until(&waiter, deadline, 0);
    }
    datagram->is_full = true;
    err =
        bide__fd_wait(datagram->epoll, datagram->fd, BIDE__OUT, seen, "send a datagram", datagram);
    datagram->is_full = false;
    bide__wake_all(&datagram->waiting, 0);
    return err;
}

ssize_t bide_datagram_send(bide_datagram *datagram, const void *buf, size_t bytes,
                           const bide_address *to)
{
    const struct sockaddr *address = to == NULL || to->bide__bytes == 0 ? NULL : &to->bide__any;
    socklen_t address_bytes = address == NULL ? 0 : to->bide__bytes;
    ssize_t sent = bide__datagram_enter(datagram, "bide_datagram_send");

    if (sent < 0)
        return sent;
    sent = datagram->refused < 0 ? datagram->refused : -EAGAIN;
    datagram->refused = 0;
    while (sent == -EAGAIN) {
        uint32_t seen = datagram->fd->ready[BIDE__OUT];
        /* A Unix peer's full queue says nothing about this socket's own readiness. */
        if (seen != 0 || datagram->family == AF_UNIX)
            sent = bide__sys_send_to(datagram->number, buf, bytes, address, address_bytes);
        if (sent == -EAGAIN) {
            int err = bide__datagram_wait_to_send(datagram, seen, to);
            sent = err < 0 ? err : bide__datagram_is_open(datagram) ? -EAGAIN : -EBADF;
        } else if (sent == -EINTR) {
            sent = -EAGAIN;
        }
    }
    return bide__datagram_exit(datagram, sent);
}

static int socket_name(bide_datagram *datagram, bool of_peer, bide_address *address)
{
    bide_address name;
    int err = bide__datagram_is_open(datagram) ? bide__socket_name(datagram->number, of_peer, &name)
                                               : -EBADF;

    if (err < 0)
        return err;
    bide__datagram_address_came(&name, name.bide__bytes);
    *address = name;
    return 0;
}

int bide_datagram_local_address(bide_datagram *datagram, bide_address *address)
{
    return socket_name(datagram, false, address);
}

int bide_datagram_peer_address(bide_datagram *datagram, bide_address *address)
{
    return socket_name(datagram, true, address);
}

int bide_datagram_fd(bide_datagram *datagram)
{
    return bide__datagram_is_open(datagram) ? datagram->number : -EBADF;
}

void bide_datagram_close(bide_datagram *datagram)
{
    if (datagram == NULL)
        return;
    bide__task_need("bide_datagram_close");
    if (datagram->is_closed)
        bide__misuse("bide_datagram_close: this socket is closed already");
    datagram->users++;
    datagram->is_closed = true;
    bide__wake_all(&datagram->waiting, -EBADF);
    /* While the path still is served, so that no other process has taken it over yet. */
    bide__unix_path_remove(&datagram->path);
    if (datagram->fd->generation == datagram->generation &&
        bide__fd_close(datagram->epoll, datagram->fd))
        bide__sys_close(datagram->number);
    let_go(datagram);
}
