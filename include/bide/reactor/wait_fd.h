/* SPDX-License-Identifier: MIT */
/*
 * wait_fd.h - wait for a descriptor that somebody else owns: another library's socket, an eventfd,
 * a pipe. Many of them in one task: bide/reactor/watch_fd.h.
 */
#ifndef BIDE_REACTOR_WAIT_FD_H
#define BIDE_REACTOR_WAIT_FD_H

#include <bide/base/api.h>

enum { BIDE_READ = 1, BIDE_WRITE = 2 };

/**
 * Wait until a foreign descriptor is ready to read or write.
 *
 * The descriptor is registered for this one wait only and is level-triggered: what is ready already
 * returns soon. One task may wait to read while another waits to write. A hang-up or an error
 * counts as ready for all that was asked: the call that follows tells which. A regular file is
 * always ready.
 *
 * @param fd      borrowed; any mode. When it is closed meanwhile, the wait ends within about a
 *                second of the loop's idleness, or when the number is used again
 * @param events  BIDE_READ, BIDE_WRITE or both
 *
 * Returns the ready ones of `events`, or
 *   -EBADF      not open, or closed meanwhile
 *   -EBUSY      another task waits for the same direction, or a stream of this loop owns the
 *               descriptor
 *   -EINVAL     events names no direction
 *   -ENOMEM, -ENOSPC  the kernel takes no more registrations
 *   -EOPNOTSUPP  the loop has a virtual clock (bide/testing.h)
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes.
 * Cancel:  safe: the descriptor is as it was, and no longer registered.
 * Threads: tasks only.
 * Source:  epoll(7), EPOLLONESHOT.
 */
BIDE_API int bide_wait_fd(int fd, int events);

#endif
