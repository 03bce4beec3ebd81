/* SPDX-License-Identifier: MIT */
/*
 * datagram.h - UDP and Unix datagram sockets.
 *
 *     bide_datagram *socket;
 *     bide_address from;
 *     char buf[1500];
 *     ssize_t got;
 *
 *     bide_datagram_open("udp://:5353", NULL, &socket);
 *     while ((got = bide_datagram_recv(socket, buf, sizeof buf, &from)) >= 0)
 *         bide_datagram_send(socket, buf, (size_t)got, &from);
 *
 * One task receives at a time, a second one gets -EBUSY; any number may send: where the socket's
 * buffer is full, they take turns. A datagram is sent as a whole or not at all, and one of no bytes
 * is one too.
 *
 * A socket of both families ("udp://:53") shows IPv4 peers with their IPv4 address.
 */
#ifndef BIDE_IO_DATAGRAM_H
#define BIDE_IO_DATAGRAM_H

#include <bide/base/api.h>
#include <bide/io/address.h>

typedef struct bide_datagram bide_datagram;

/* So many messages are received by one call at the most, and sent by one system call. */
enum { BIDE_MESSAGES_MOST = 64 };

/* Choices for one socket; zero means the default. Unix sockets know the buffers alone. */
typedef struct bide_datagram_options {
    bool reuse_address;       /* others may bind the port too; a multicast datagram reaches all */
    bool reuse_port;          /* several sockets share the port, the kernel spreads datagrams */
    bool broadcast;           /* may send to broadcast addresses */
    bool v6_only;             /* take no IPv4 datagrams; by default [::] serves both */
    bool gro;                 /* let the kernel hand over datagrams of a flow as one message; then
                                 only bide_datagram_recv_many receives, with buffers of 64 KiB */
    int receive_buffer_bytes; /* what the kernel may queue; never more than net.core.rmem_max */
    int send_buffer_bytes;    /* the same of what waits to be sent (net.core.wmem_max) */
} bide_datagram_options;

/*
 * One message of a batch: a datagram or, with segment_bytes, a row of datagrams that lie one after
 * the other in the buffer, all of that length but the last, which may be shorter. What was received
 * may be sent as it is.
 */
typedef struct bide_message {
    void *buf;            /* borrowed for the call; filled when receiving, read when sending */
    size_t size;          /* of the buffer, in bytes; to receive */
    size_t bytes;         /* received, or to be sent */
    size_t segment_bytes; /* 0 for one datagram; set when receiving (options.gro), or to send */
    size_t sent_bytes;    /* set when sending */
    bool is_truncated;    /* set when receiving: it did not fit, the rest is lost */
    bide_address address; /* where it came from, or goes to; zeroed for the connected peer */
} bide_message;

/**
 * Open a socket and bind it to an address.
 *
 * "udp://127.0.0.1:53", "udp://[::1]:53", "udp://localhost:0" (any free port), "udp://[::]:53" or
 * "udp://:53" (all addresses of both families; of IPv4 alone where the machine has no IPv6),
 * "unix:/path", "unix:@abstract", "unix:" (a name that the kernel picks). NULL is "udp://:0", which
 * fits a client of any server. A Unix path that a dead process left behind is taken over, one that
 * is served gives -EADDRINUSE.
 *
 * @param addr     borrowed for the call
 * @param options  borrowed for the call, or NULL
 * @param out      the socket, owned by the caller: bide_datagram_close
 *
 * Returns 0, or
 *   -EINVAL      the address is malformed, or a size of a buffer negative
 *   -ENOENT      the host is neither numeric nor localhost, or the Unix path's directory is missing
 *   -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENFILE, -ENOMEM, ...  the kernel's word
 *   -EOPNOTSUPP  the loop has a virtual clock
 * Where the kernel has no GRO (before Linux 5.0), options.gro succeeds and joins nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 * Source:  udp(7), ipv6(7), unix(7), socket(7).
 */
BIDE_API int bide_datagram_open(const char *addr, const bide_datagram_options *options,
                                bide_datagram **out);

/**
 * Choose the peer: datagrams of others are dropped from now on, sending needs no address, and what
 * the network says about the peer (-ECONNREFUSED) reaches the calls of this socket.
 *
 * Datagrams of others that have arrived before are still received.
 *
 * @param datagram  borrowed
 * @param peer      borrowed for the call
 *
 * Returns 0, or
 *   -EBADF      closed
 *   -EINVAL     no address
 *   -ECONNREFUSED, -ENOENT  no such Unix socket
 *   -ENETUNREACH, -EAFNOSUPPORT, -EACCES, ...  the kernel's word
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  connect(2).
 */
BIDE_API int bide_datagram_connect(bide_datagram *datagram, const bide_address *peer);

/**
 * Receive one datagram, waiting until one comes.
 *
 * @param datagram  borrowed
 * @param buf       filled
 * @param size      its size in bytes
 * @param from      set to the sender; NULL when nobody wants to know
 *
 * Returns the number of bytes, 0 for an empty datagram, or
 *   -EMSGSIZE   a datagram did not fit: it was taken, `buf` holds its first `size` bytes, `from` is
 *               set, and the rest is lost
 *   -ECONNREFUSED, -EHOSTUNREACH, ...  what the network said about a datagram that was sent to the
 *               connected peer; said once, then the socket goes on
 *   -EINVAL     the socket was opened with options.gro
 *   -EBADF      closed by bide_datagram_close, before or meanwhile
 *   -EBUSY      another task is receiving
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing was received
 * Blocks:  until a datagram comes.
 * Cancel:  safe: no datagram is lost.
 * Threads: the socket's own loop.
 * Source:  recv(2), udp(7).
 */
BIDE_API ssize_t bide_datagram_recv(bide_datagram *datagram, void *buf, size_t size,
                                    bide_address *from);

/**
 * Send one datagram.
 *
 * That it was sent does not say that it arrives.
 *
 * @param datagram  borrowed
 * @param buf       borrowed for the call
 * @param bytes     how many; 0 sends an empty datagram
 * @param to        borrowed for the call; NULL for the connected peer
 *
 * Returns `bytes`, or, and then nothing was sent,
 *   -EMSGSIZE   more than a datagram can hold
 *   -EDESTADDRREQ, -ENOTCONN  no address, and no connected peer
 *   -ECONNREFUSED  the connected peer's machine has said that nobody listens there (said once); or
 *               no such Unix socket
 *   -ENOBUFS    the kernel or the interface has no room, and does not tell when it has: try later
 *   -EACCES, -ENETUNREACH, -EHOSTUNREACH, -EAFNOSUPPORT, -EINVAL, ...  the kernel's word
 *   -EBADF      closed by bide_datagram_close, before or meanwhile
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  while the socket's buffer, or a Unix peer's queue, is full.
 * Cancel:  safe: it was sent only if `bytes` is returned.
 * Threads: the socket's own loop.
 * Source:  send(2), udp(7), unix(7).
 */
BIDE_API ssize_t bide_datagram_send(bide_datagram *datagram, const void *buf, size_t bytes,
                                    const bide_address *to);

/**
 * Receive the messages that are there, waiting until there is one.
 *
 * It sets bytes, segment_bytes, is_truncated and address of as many messages as it returns; the
 * others are as they were. Uses some 8 KiB of stack.
 *
 * @param datagram  borrowed
 * @param messages  borrowed; each with buf and size
 * @param count     how many; of more than BIDE_MESSAGES_MOST the first are used
 *
 * Returns the number of messages received, at least 1 (0 when `count` is), or
 *   -EINVAL     a negative count
 *   -ECONNREFUSED, -EHOSTUNREACH, -EBADF, -EBUSY, -ECANCELED, -ETIMEDOUT  as bide_datagram_recv;
 *               nothing was received
 * Blocks:  until the first message comes.
 * Cancel:  safe: no datagram is lost.
 * Threads: the socket's own loop.
 * Source:  recvmmsg(2); UDP_GRO in udp(7).
 */
BIDE_API int bide_datagram_recv_many(bide_datagram *datagram, bide_message *messages, int count);

/**
 * Send messages in their order, with as few system calls as possible.
 *
 * A message with segment_bytes is cut into datagrams by the kernel (GSO, Linux 4.18) or, where it
 * cannot, here: what arrives is the same. Keep such a message below 64 KiB, and its datagrams below
 * the path's MTU.
 *
 * sent_bytes of every message is set to how much of it was sent: `bytes`, or 0; between them only
 * for a row of datagrams that was cut here, of which the first were sent. Uses some 8 KiB of stack.
 *
 * @param datagram  borrowed
 * @param messages  borrowed; each with buf, bytes, segment_bytes and address
 * @param count     how many
 *
 * Returns the number of messages sent, less than `count` when the next one could not be (the next
 * call says why), or when none was: -EINVAL for a negative count, the errors of bide_datagram_send.
 * What the network said about earlier datagrams the kernel may drop when it comes between two
 * messages of a batch.
 * Blocks:  while the socket's buffer, or a Unix peer's queue, is full.
 * Cancel:  safe: the number of messages sent is returned.
 * Threads: the socket's own loop.
 * Source:  sendmmsg(2); UDP_SEGMENT in udp(7).
 */
BIDE_API int bide_datagram_send_many(bide_datagram *datagram, bide_message *messages, int count);

/**
 * Tell the socket's own address, the port or name that the kernel chose included.
 *
 * @param datagram  borrowed
 * @param address   set
 *
 * Returns 0 or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  getsockname(2).
 */
BIDE_API int bide_datagram_local_address(bide_datagram *datagram, bide_address *address);

/**
 * Tell the connected peer's address.
 *
 * @param datagram  borrowed
 * @param address   set
 *
 * Returns 0, -ENOTCONN or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  getpeername(2).
 */
BIDE_API int bide_datagram_peer_address(bide_datagram *datagram, bide_address *address);

/**
 * Tell the socket's descriptor, for socket options that have no call here.
 *
 * It stays the socket's: do not close it, receive from it or change its mode.
 *
 * @param datagram  borrowed
 *
 * Returns the descriptor or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 */
BIDE_API int bide_datagram_fd(bide_datagram *datagram);

/**
 * Close a socket and give it up; a Unix path is removed. Tasks inside its calls return -EBADF.
 *
 * @param datagram  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the socket's own loop.
 * Source:  close(2).
 */
BIDE_API void bide_datagram_close(bide_datagram *datagram);

/**
 * Join a multicast group: datagrams to it are received, when the socket is bound to their port.
 *
 * Closing leaves all groups. Sockets that share the port want options.reuse_address.
 *
 * @param datagram   borrowed
 * @param group      borrowed for the call; its port means nothing
 * @param interface  borrowed for the call; on which: a name ("eth0") or a number ("2"); NULL lets
 *                   the group's zone (%eth0) say it, or the kernel choose
 *
 * Returns 0, or
 *   -EADDRINUSE  joined already
 *   -EINVAL      not a multicast address
 *   -ENODEV      no such interface, or none that takes multicast
 *   -ENOBUFS     too many groups (net.ipv4.igmp_max_memberships)
 *   -EOPNOTSUPP  a Unix socket
 *   -EBADF       closed
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  ip(7), IP_ADD_MEMBERSHIP; ipv6(7), IPV6_ADD_MEMBERSHIP.
 */
BIDE_API int bide_datagram_join(bide_datagram *datagram, const bide_address *group,
                                const char *interface);

/**
 * Leave a multicast group.
 *
 * @param datagram   borrowed
 * @param group      borrowed for the call
 * @param interface  borrowed for the call; as it was joined with
 *
 * Returns 0, -EADDRNOTAVAIL when it was not joined, or -EINVAL, -ENODEV, -EOPNOTSUPP, -EBADF as
 * bide_datagram_join.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  ip(7), IP_DROP_MEMBERSHIP; ipv6(7), IPV6_DROP_MEMBERSHIP.
 */
BIDE_API int bide_datagram_leave(bide_datagram *datagram, const bide_address *group,
                                 const char *interface);

/**
 * Limit how far multicast datagrams go. By default they stay in the local network: 1 hop.
 *
 * @param datagram  borrowed
 * @param hops      0 (this machine) to 255
 *
 * Returns 0, -EINVAL, -EOPNOTSUPP for a Unix socket, or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  ip(7), IP_MULTICAST_TTL; ipv6(7), IPV6_MULTICAST_HOPS.
 */
BIDE_API int bide_datagram_set_multicast_hops(bide_datagram *datagram, int hops);

/**
 * Let sockets of this machine receive what is sent to groups that they have joined (the default),
 * or not.
 *
 * @param datagram  borrowed; of the sender
 * @param on        whether they do
 *
 * Returns 0, -EOPNOTSUPP for a Unix socket, or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  ip(7), IP_MULTICAST_LOOP; ipv6(7), IPV6_MULTICAST_LOOP.
 */
BIDE_API int bide_datagram_set_multicast_loop(bide_datagram *datagram, bool on);

/**
 * Choose the interface that multicast datagrams leave by.
 *
 * @param datagram   borrowed
 * @param interface  borrowed for the call; a name ("eth0") or a number ("2"); NULL lets the kernel
 *                   choose again
 *
 * Returns 0, -ENODEV for an interface that is not there, -EOPNOTSUPP for a Unix socket, or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the socket's own loop.
 * Source:  ip(7), IP_MULTICAST_IF; ipv6(7), IPV6_MULTICAST_IF.
 */
BIDE_API int bide_datagram_set_multicast_interface(bide_datagram *datagram, const char *interface);

#endif
