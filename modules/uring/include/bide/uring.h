/* SPDX-License-Identifier: MIT */
/*
 * uring.h - calls on files through io_uring in place of threads.
 *
 *     bide_uring_start(NULL);       // in a task; where the kernel says no, threads go on as before
 *
 * Programs see no difference but the speed. Opening, closing, reading and writing, syncing, stat,
 * rename, unlink, mkdir and rmdir go through the ring, as far as the kernel knows them; the others
 * and those of other loops through the pool. So do reads and writes at a file's position, which
 * the ring does not move on after a part of a call. A call that is cancelled is cancelled in the
 * kernel as well, and its true result is returned: so reading a FIFO that nobody writes to can be
 * given up, which a thread cannot.
 */
#ifndef BIDE_URING_H
#define BIDE_URING_H

#include <bide/base/api.h>

/* Zero for the default. */
typedef struct bide_uring_options {
    unsigned entries; /* calls at once, 256 by default; more wait for their turn */
} bide_uring_options;

/**
 * Let this loop's calls on files go through io_uring.
 *
 * It ends with the loop, or with bide_uring_stop.
 *
 * @param options  borrowed for the call, or NULL
 *
 * Returns 0, or, when nothing has changed and the pool goes on
 *   -ENOSYS     the kernel has no io_uring, or one that is too old (before Linux 5.6)
 *   -EPERM      it is forbidden: the sysctl kernel.io_uring_disabled, or a sandbox
 *   -EALREADY   it is on
 *   -EBUSY      the loop has another backend
 *   -EINVAL     more entries than the kernel takes
 *   -EOPNOTSUPP the loop has a virtual clock
 *   -ENOMEM, -EMFILE, -ENFILE, -EAGAIN  no memory, descriptor or task
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; each loop has its own ring.
 * Source:  io_uring_setup(2).
 */
BIDE_API int bide_uring_start(const bide_uring_options *options);

/**
 * Go back to threads, once the calls in the ring have ended.
 *
 * Returns 0, or -ENOENT when it is not on.
 * Blocks:  until they have.
 * Cancel:  waits even in a cancelled scope.
 * Threads: tasks only.
 */
BIDE_API int bide_uring_stop(void);

#endif
