/* SPDX-License-Identifier: MIT */
/*
 * file.h - an open file, and the one way its calls are made.
 *
 *      bide_file_pread ---> page cache (no wait) ---> backend, when one was set ---> pool
 *
 * A call counts itself among the file's users while it lasts; the number is closed when none is
 * left, so that no thread ever reads from a number that is somebody else's by now.
 */
#ifndef BIDE__IO_FILE_H
#define BIDE__IO_FILE_H

#include <bide/io/file.h>
#include <bide/io/file_backend.h>

#include "base/list.h"
#include "sched/loop.h"

enum {
    /* At most so many bytes are copied out of the page cache on the loop: some 20 us. */
    BIDE__FILE_CACHED_MOST = 128 * 1024,
    /* Between two of these a call notices that it was cancelled. */
    BIDE__FILE_PIECE = 8 << 20,
};

struct bide_file {
    int fd;
    unsigned users;            /* calls in progress */
    bool is_closed;            /* bide_file_close was called */
    bool is_moving;            /* a task uses the position */
    bool is_append;            /* O_APPEND */
    bool tries_cache;          /* RWF_NOWAIT is known here, as far as we know */
    bool counts_pages;         /* so is cachestat */
    struct bide__list closing; /* the task in bide_file_close, at most */
};

/*
 * Make a call. Returns 0 when it was made, with its result in the call; else an error, and it was
 * not. `what` is the public name.
 */
int bide__file_do(bide_file_call *call, const char *what);

/* The same; returns the call's result. */
ssize_t bide__file_result(bide_file_call *call, const char *what);

/* Make the call on this thread, whatever it takes. */
void bide__file_work(bide_file_call *call);

/* The same on the loop's own thread, where writing must raise no signal either. */
void bide__file_work_here(bide_file_call *call);

/* Enter and leave a call on a file. */
int bide__file_enter(bide_file *file, const char *what);
void bide__file_leave(bide_file *file);

/* Wait until nobody is inside, whatever is cancelled. */
void bide__file_settle(bide_file *file);

/*
 * Read or write some, at an offset or with a negative one at the position: at least a byte, 0 at
 * the end, or an error. Inside enter and leave.
 */
ssize_t bide__file_some(bide_file *file, void *buf, size_t bytes, int64_t offset, const char *what);
ssize_t bide__file_put(bide_file *file, const void *buf, size_t bytes, int64_t offset,
                       const char *what);

/*
 * Read bytes from an offset on into memory, unless they are there. Returns how many may be read
 * then without waiting for the disk, the end of the file left aside; 0 at that, or an error.
 */
ssize_t bide__file_page_in(bide_file *file, int64_t offset, size_t bytes, const char *what);

#endif
