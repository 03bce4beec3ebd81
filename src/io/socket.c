/* SPDX-License-Identifier: MIT */
/*
 * socket.c - connected sockets as streams.
 *
 * The call comes first and the wait after it. After a short read the socket is known to be empty,
 * so that the next read parks without asking the kernel; unless a hang-up, urgent data or passed
 * descriptors were seen, for then no further event would announce what is left.
 */
#include "io/socket.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/sys_file.h"

struct socket {
    bide_stream stream;
    struct bide__endpoint end;
    bool is_unix;
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct socket) <= 128, "two cache lines");

static struct socket *socket_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct socket, stream);
}

static bool is_open(const struct socket *socket)
{
    return bide__endpoint_is_open(&socket->end);
}

static int socket_wait_read(bide_stream *stream)
{
    struct socket *socket = socket_of(stream);
    struct bide__fd *fd = socket->end.fd;

    if (!is_open(socket))
        return -EBADF;
    return fd->ready[BIDE__IN] != 0
               ? 0
               : bide__fd_wait(socket->end.epoll, fd, BIDE__IN, 0, "read", socket);
}

static ssize_t socket_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct socket *socket = socket_of(stream);
    struct bide__fd *fd = socket->end.fd;
    bool is_cut = false;
    ssize_t got;

    if (!is_open(socket))
        return -EBADF;
    bytes = bide__sys_recv_most(bytes);
    do
        got = socket->is_unix ? bide__sys_recv_unix(socket->end.number, buf, bytes, &is_cut)
                              : bide__sys_recv(socket->end.number, buf, bytes);
    while (got == -EINTR);
    if (got == -EAGAIN || (got > 0 && (size_t)got < bytes && !is_cut && !fd->reads_on))
        fd->ready[BIDE__IN] = 0;
    return got;
}

static ssize_t socket_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct socket *socket = socket_of(stream);
    struct bide__fd *fd = socket->end.fd;

    while (is_open(socket)) {
        uint32_t seen = fd->ready[BIDE__OUT];
        ssize_t sent = -EAGAIN;
        int err;

        if (seen != 0)
            sent = count == 1
                       ? bide__sys_send(socket->end.number, pieces->iov_base, pieces->iov_len)
                       : bide__sys_sendv(socket->end.number, pieces, count);
        if (sent == -EINTR)
            continue;
        if (sent != -EAGAIN)
            return sent;
        err = bide__fd_wait(socket->end.epoll, fd, BIDE__OUT, seen, "write", socket);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

static ssize_t socket_sendfile(bide_stream *stream, int fd, int64_t offset, size_t bytes)
{
    struct socket *socket = socket_of(stream);
    struct bide__endpoint *end = &socket->end;

    while (is_open(socket)) {
        uint32_t seen = end->fd->ready[BIDE__OUT];
        ssize_t sent = -EAGAIN;
        int err;

        if (seen != 0)
            sent = bide__sys_sendfile(end->number, fd, offset, bytes);
        if (sent == -EINTR)
            continue;
        if (sent != -EAGAIN)
            return sent;
        err = bide__fd_wait(end->epoll, end->fd, BIDE__OUT, seen, "sendfile", socket);
        if (err < 0)
            return err;
    }
    return -EBADF;
}

static int socket_shutdown_write(bide_stream *stream)
{
    struct socket *socket = socket_of(stream);

    return is_open(socket) ? bide__sys_shutdown(socket->end.number, SHUT_WR) : -EBADF;
}

static void socket_close(bide_stream *stream)
{
    bide__endpoint_close(&socket_of(stream)->end);
}

static void socket_destroy(bide_stream *stream)
{
    free(socket_of(stream));
}

static struct bide__endpoint *socket_endpoint(bide_stream *stream)
{
    return &socket_of(stream)->end;
}

static const struct bide__stream_ops socket_ops = {
    .read = socket_read,
    .wait_read = socket_wait_read,
    .write = socket_write,
    .shutdown_write = socket_shutdown_write,
    .close = socket_close,
    .destroy = socket_destroy,
    .endpoint = socket_endpoint,
    .sendfile = socket_sendfile,
};

int bide__socket_stream(struct bide__epoll *epoll, int number, int family, bide_stream **out)
{
    struct socket *socket = bide__alloc_lines(sizeof *socket);
    int err;

    if (socket == NULL)
        return -ENOMEM;
    err = bide__endpoint_open(&socket->end, epoll, number);
    if (err < 0) {
        free(socket);
        return err;
    }
    bide__stream_init(&socket->stream, &socket_ops);
    socket->is_unix = family == AF_UNIX;
    *out = &socket->stream;
    return 0;
}

/* What is no socket does not know what sockets are asked. */
static int unknown_as_unsupported(int err)
{
    return err == -ENOPROTOOPT || err == -ENOTSOCK ? -EOPNOTSUPP : err;
}

/* A TCP option; what Unix sockets say to it is that they do not know it. */
static int set_tcp(bide_stream *stream, int level, int option, int value)
{
    int number = bide_stream_fd(stream);
    int err = number < 0 ? number : bide__sys_setsockopt(number, level, option, value);

    return unknown_as_unsupported(err);
}

int bide_stream_set_nodelay(bide_stream *stream, bool on)
{
    return set_tcp(stream, IPPROTO_TCP, TCP_NODELAY, on);
}

/* Whole seconds, rounded up, as far as the kernel takes them (32767, tcp(7)). */
static int keepalive_seconds(bide_time length)
{
    bide_time seconds = length / 1000000000 + (length % 1000000000 != 0);

    return seconds > 32767 ? 32767 : (int)seconds;
}

int bide_stream_set_keepalive(bide_stream *stream, bide_time idle, bide_time every, int count)
{
    int err;

    if (idle == 0)
        return set_tcp(stream, SOL_SOCKET, SO_KEEPALIVE, 0);
    if (idle < 0 || every <= 0 || count < 1 || count > 127)
        return -EINVAL;
    err = set_tcp(stream, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_seconds(idle));
    if (err == 0)
        err = set_tcp(stream, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_seconds(every));
    if (err == 0)
        err = set_tcp(stream, IPPROTO_TCP, TCP_KEEPCNT, count);
    if (err == 0)
        err = set_tcp(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
    return err;
}

int bide__socket_name(int number, bool of_peer, bide_address *out)
{
    bide_address address = {.bide__bytes = 0};
    socklen_t bytes = sizeof address.bide__un;
    int err = of_peer ? bide__sys_peer_name(number, &address.bide__any, &bytes)
                      : bide__sys_socket_name(number, &address.bide__any, &bytes);

    if (err < 0)
        return err;
    bide__address_came(&address, bytes);
    *out = address;
    return 0;
}

int bide__socket_address(int number, bool of_peer, char *text, size_t size)
{
    bide_address address;
    int err = bide__socket_name(number, of_peer, &address);

    return err < 0 ? unknown_as_unsupported(err) : bide_address_format(&address, "tcp", text, size);
}

int bide_stream_local_address(bide_stream *stream, char *text, size_t size)
{
    int number = bide_stream_fd(stream);

    return number < 0 ? number : bide__socket_address(number, false, text, size);
}

int bide_stream_peer_address(bide_stream *stream, char *text, size_t size)
{
    int number = bide_stream_fd(stream);

    return number < 0 ? number : bide__socket_address(number, true, text, size);
}
