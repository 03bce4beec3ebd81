/* SPDX-License-Identifier: MIT */
/*
 * sys_datagram.h - the system calls of datagram sockets. The rules stand in sys.h.
 */
#ifndef BIDE__BASE_SYS_DATAGRAM_H
#define BIDE__BASE_SYS_DATAGRAM_H

#include "base/sys.h"

/* The datagram's own length, which may be more than `size`: then its rest is lost. */
static inline ssize_t bide__sys_recv_from(int fd, void *buf, size_t size, struct sockaddr *from,
                                          socklen_t *bytes)
{
    BIDE__FAULT(BIDE__CALL_RECV);
    ssize_t got = recvfrom(fd, buf, size, MSG_TRUNC, from, bytes);
    return got < 0 ? -errno : got;
}

static inline ssize_t bide__sys_send_to(int fd, const void *buf, size_t size,
                                        const struct sockaddr *to, socklen_t bytes)
{
    BIDE__FAULT(BIDE__CALL_SEND);
    ssize_t sent = sendto(fd, buf, size, MSG_NOSIGNAL, to, bytes);
    return sent < 0 ? -errno : sent;
}

static inline int bide__sys_recv_many(int fd, struct mmsghdr *messages, int count)
{
    BIDE__FAULT(BIDE__CALL_RECV);
    return bide__sys_result(recvmmsg(fd, messages, (unsigned)count, 0, NULL));
}

static inline int bide__sys_send_many(int fd, struct mmsghdr *messages, int count)
{
    BIDE__FAULT(BIDE__CALL_SEND);
    return bide__sys_result(sendmmsg(fd, messages, (unsigned)count, MSG_NOSIGNAL));
}

static inline int bide__sys_setsockopt_of(int fd, int level, int option, const void *value,
                                          socklen_t bytes)
{
    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    return bide__sys_result(setsockopt(fd, level, option, value, bytes));
}

#endif
