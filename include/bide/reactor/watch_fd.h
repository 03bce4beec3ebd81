/* SPDX-License-Identifier: MIT */
/*
 * watch_fd.h - wait for many foreign descriptors in one task, as libraries with a poll interface of
 * their own want it: they say which descriptors they care for, and are told which are ready.
 *
 *     bide_fds_open(&fds);
 *     bide_watch_fd(fds, socket, BIDE_READ | BIDE_WRITE);   // the library's callback says this
 *
 *     while ((events = bide_fds_next(fds, &fd)) > 0)
 *         library_act(library, fd, events);                 // it may call back, and watch others
 *
 *     bide_fds_close(fds);
 *
 * A set is level-triggered: what the library leaves unread is told again. One task waits; any task
 * may change what is watched meanwhile. What was found ready, and was removed or changed before
 * anybody took it, is never told.
 */
#ifndef BIDE_REACTOR_WATCH_FD_H
#define BIDE_REACTOR_WATCH_FD_H

#include <bide/base/api.h>
#include <bide/reactor/wait_fd.h>

/* A set of watched descriptors; it owns none of them. */
typedef struct bide_fds bide_fds;

/**
 * Make a set that watches nothing yet.
 *
 * @param out  the set, owned by the caller: bide_fds_close
 *
 * Returns 0, or
 *   -EMFILE, -ENFILE  no descriptor for the set itself
 *   -ENOMEM, -ENOSPC  no memory, or the kernel takes no more registrations
 *   -EOPNOTSUPP       the loop has a virtual clock (bide/testing.h)
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; the set stays on this loop.
 * Source:  epoll_create(2).
 */
BIDE_API int bide_fds_open(bide_fds **out);

/**
 * Watch a descriptor, watch it for something else, or watch it no longer.
 *
 * Stop watching before the descriptor is closed. A number that was closed all the same is no
 * trouble: it is not told any more, and whoever owns the number next can be watched.
 *
 * @param fds     borrowed
 * @param fd      borrowed; any mode. Streams and bide_wait_fd may wait for it at the same time
 * @param events  BIDE_READ, BIDE_WRITE, both, or 0 to stop watching, which works for a number that
 *                is not watched, or not open, as well
 *
 * Returns 0, or
 *   -EBADF            not open (any more), or the set was closed
 *   -EPERM            a regular file or directory: these are always ready, there is nothing to
 *                     wait for
 *   -EINVAL           `events` names something else, or `fd` is the set's own
 *   -ENOMEM, -ENOSPC  no memory, or the kernel takes no more registrations
 * and after an error a number that was watched still is, as before, unless it had been closed.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the set's own loop.
 * Source:  epoll_ctl(2).
 */
BIDE_API int bide_watch_fd(bide_fds *fds, int fd, int events);

/**
 * Take the next descriptor that is ready, waiting until one is.
 *
 * All that are ready come in turn before the first of them comes again. A hang-up or an error
 * counts as ready for all that is watched: the call that follows tells which. A set that watches
 * nothing waits until another task lets it watch something.
 *
 * @param fds  borrowed
 * @param fd   set to its number
 *
 * Returns what it is ready for, BIDE_READ, BIDE_WRITE or both, or
 *   -EBADF      closed by bide_fds_close meanwhile
 *   -EBUSY      another task waits for this set
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSPC  a number that had been closed while it was watched, with a
 *               duplicate left open, made the set start afresh, and that failed; nothing is lost,
 *               the next call tries again
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  until one is ready.
 * Cancel:  safe: nothing was taken.
 * Threads: the set's own loop.
 * Source:  epoll(7).
 */
BIDE_API int bide_fds_next(bide_fds *fds, int *fd);

/**
 * Close a set. The descriptors it watched stay as they are.
 *
 * A task that waits for it returns -EBADF.
 *
 * @param fds  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the set's own loop.
 */
BIDE_API void bide_fds_close(bide_fds *fds);

#endif
