/* SPDX-License-Identifier: MIT */
/*
 * datagram.h - what the parts of datagram sockets share.
 *
 * As with streams the call comes first and the wait after it. One task receives. Of those that find
 * no room to send, one waits for the descriptor; the others, and who waits for a Unix peer of which
 * no event tells, stand in `waiting` and try again when woken. After a close the struct stays until
 * the last call has left it.
 */
#ifndef BIDE__IO_DATAGRAM_H
#define BIDE__IO_DATAGRAM_H

#include <bide/io/datagram.h>

#include "io/unix_path.h"
#include "reactor/epoll.h"

enum bide__segmenting {
    BIDE__SEGMENTING_UNKNOWN, /* whether the kernel can cut messages: not asked yet */
    BIDE__SEGMENTING_KERNEL,
    BIDE__SEGMENTING_OURS,
};

struct bide_datagram {
    struct bide__epoll *epoll;
    struct bide__fd *fd;
    int number;
    int family;
    uint32_t generation; /* of the registration: another one in fd is not ours */
    unsigned users;      /* calls in progress */
    bool is_closed;
    bool is_receiving;
    bool is_full; /* a task waits for room to send */
    bool is_gro;
    uint8_t segmenting;
    int refused;               /* an error that came after progress: the next send returns it */
    struct bide__list waiting; /* see above */
    struct bide__unix_path path;
};

static inline bool bide__datagram_is_open(const bide_datagram *datagram)
{
    return !datagram->is_closed && datagram->fd->generation == datagram->generation;
}

/*
 * Begin and end a call that may park. Begin returns 0, or what the call then returns: a code that
 * was seen or -EBADF. The end returns the result, or -EBADF when it was closed meanwhile.
 */
int bide__datagram_enter(bide_datagram *datagram, const char *call);
ssize_t bide__datagram_exit(bide_datagram *datagram, ssize_t result);

/* The same of receiving calls, one at a time: -EBUSY. */
int bide__datagram_enter_recv(bide_datagram *datagram, const char *call);
ssize_t bide__datagram_exit_recv(bide_datagram *datagram, ssize_t result);

/*
 * Wait until sending is worth another try. `seen` as for bide__fd_wait; `to` is where to, NULL or
 * no address for the connected peer. Returns 0, -EBADF, -ECANCELED, -ETIMEDOUT.
 */
int bide__datagram_wait_to_send(bide_datagram *datagram, uint32_t seen, const bide_address *to);

/* Finish an address that the kernel has filled in: IPv4 in IPv6 clothes becomes IPv4. */
void bide__datagram_address_came(bide_address *address, socklen_t bytes);

#endif
