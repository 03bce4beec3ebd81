/* SPDX-License-Identifier: MIT */
/*
 * path.h - calls on names in the file system: stat, rename, unlink, mkdir, rmdir.
 *
 * They look blocking; only the calling task waits, while a thread or a backend makes the call
 * (bide/io/file_backend.h). Relative paths start where the process's working directory is when the
 * call is made.
 */
#ifndef BIDE_IO_PATH_H
#define BIDE_IO_PATH_H

#include <sys/stat.h>
#include <sys/types.h>

#include <bide/base/api.h>

/**
 * Ask about what a path names, following symbolic links.
 *
 * @param path    borrowed for the call
 * @param status  filled on success
 *
 * Returns 0, or
 *   -ENOENT, -EACCES, ...  as stat(2)
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired before the call was made
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had to make it
 * Blocks:  yes.
 * Cancel:  safe: once it is being made it is waited for.
 * Threads: tasks only.
 * Source:  stat(2).
 */
BIDE_API int bide_path_stat(const char *path, struct stat *status);

/**
 * Ask about what a path names; about a symbolic link itself.
 *
 * @param path    borrowed for the call
 * @param status  filled on success
 *
 * Returns as bide_path_stat does.
 * Blocks:  yes.
 * Cancel:  safe: once it is being made it is waited for.
 * Threads: tasks only.
 * Source:  lstat(2).
 */
BIDE_API int bide_path_lstat(const char *path, struct stat *status);

/**
 * Give a file or directory another name, in place of what has that name.
 *
 * @param from  borrowed for the call
 * @param to    borrowed for the call; on the same file system
 *
 * Returns 0, -ENOENT, -EXDEV, ... as rename(2), or those of bide_path_stat that say that the call
 * was not made.
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that nothing was renamed.
 * Threads: tasks only.
 * Source:  rename(2).
 */
BIDE_API int bide_path_rename(const char *from, const char *to);

/**
 * Remove a name; the file goes with the last of its names and descriptors.
 *
 * @param path  borrowed for the call; not a directory
 *
 * Returns 0, -ENOENT, -EISDIR, -EPERM, ... as unlink(2), or those of bide_path_stat that say that
 * the call was not made.
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that nothing was removed.
 * Threads: tasks only.
 * Source:  unlink(2).
 */
BIDE_API int bide_path_unlink(const char *path);

/**
 * Make a directory.
 *
 * @param path  borrowed for the call
 * @param mode  its permissions, as far as the umask lets them
 *
 * Returns 0, -EEXIST, -ENOENT, ... as mkdir(2), or those of bide_path_stat that say that the call
 * was not made.
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that nothing was made.
 * Threads: tasks only.
 * Source:  mkdir(2).
 */
BIDE_API int bide_path_mkdir(const char *path, mode_t mode);

/**
 * Remove an empty directory.
 *
 * @param path  borrowed for the call
 *
 * Returns 0, -ENOTEMPTY, -ENOTDIR, ... as rmdir(2), or those of bide_path_stat that say that the
 * call was not made.
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that nothing was removed.
 * Threads: tasks only.
 * Source:  rmdir(2).
 */
BIDE_API int bide_path_rmdir(const char *path);

#endif
