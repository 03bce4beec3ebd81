/* SPDX-License-Identifier: MIT */
/*
 * directory.h - read directories.
 *
 *     bide_directory *directory;
 *     bide_directory_entry entry;
 *     int got, err = bide_directory_open("/etc", &directory);
 *
 *     while (err == 0 && (got = bide_directory_next(directory, &entry)) > 0)
 *         puts(entry.name);
 *
 * Entries are read many at a time, so most calls of next do not have to wait.
 */
#ifndef BIDE_IO_DIRECTORY_H
#define BIDE_IO_DIRECTORY_H

#include <stdint.h>

#include <bide/base/api.h>

typedef struct bide_directory bide_directory;

typedef struct bide_directory_entry {
    const char *name;   /* borrowed until the next call on this directory */
    uint64_t inode;     /* of what is mounted on, for a mount point */
    unsigned char type; /* DT_REG, DT_DIR, DT_LNK, ... of dirent.h; DT_UNKNOWN: ask with lstat */
} bide_directory_entry;

/**
 * Open a directory to read its entries.
 *
 * @param path  borrowed for the call
 * @param out   the directory, owned by the caller: bide_directory_close
 *
 * Returns 0, or
 *   -ENOENT, -ENOTDIR, -EACCES, -EMFILE, ...  as open(2)
 *   -ENOMEM     no memory
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing is open
 *   -EAGAIN, -ESHUTDOWN  no thread can be had for it
 * Blocks:  yes.
 * Cancel:  safe: 0 when it was opened all the same.
 * Threads: tasks only; the directory stays on this loop.
 * Source:  open(2), O_DIRECTORY.
 */
BIDE_API int bide_directory_open(const char *path, bide_directory **out);

/**
 * Tell the next entry, in whatever order the file system has. "." and ".." are left out.
 *
 * @param directory  borrowed; one task at a time
 * @param entry      filled
 *
 * Returns 1, 0 at the end, or
 *   -EIO, ...   as getdents64(2)
 *   -EBUSY      another task is inside
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no entry was skipped
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had for it
 * Blocks:  when the entries read ahead are used up.
 * Cancel:  safe: no entry is lost.
 * Threads: the directory's own loop.
 * Source:  getdents64(2).
 */
BIDE_API int bide_directory_next(bide_directory *directory, bide_directory_entry *entry);

/**
 * Close a directory.
 *
 * @param directory  owned, and gone after the call; NULL is ignored. No task may be inside
 *
 * Returns nothing: there is nothing left to be lost.
 * Blocks:  yes, until it is closed.
 * Cancel:  waits even in a cancelled scope: the directory is always closed.
 * Threads: the directory's own loop.
 */
BIDE_API void bide_directory_close(bide_directory *directory);

#endif
