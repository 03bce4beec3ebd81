/* SPDX-License-Identifier: MIT */
/*
 * file.h - files: calls that look blocking, while only the calling task waits.
 *
 *     bide_file *file;
 *     int err = bide_file_open("/etc/hosts", O_RDONLY, 0, &file);
 *     ssize_t got = err < 0 ? err : bide_file_pread(file, buf, sizeof buf, 0);
 *
 * A file system has no readiness to wait for, so the calls are made by threads of the loop's pool,
 * or by a backend (bide/io/file_backend.h) where one was set: with the same results. What the page
 * cache holds is read without either. Under bide_test_run they are made at once.
 *
 * Cancelling: a call that has not begun does not happen. One that a thread is making is waited for,
 * and its true result returned. Long reads and writes go in pieces, and stop after one: with the
 * number of bytes until there. A read that nobody ever answers (a FIFO's, a hung server's) keeps
 * its thread and its task; open those with O_NONBLOCK and wait with bide_wait_fd.
 *
 * Offsets and sizes are 64 bits wide. Where off_t is not, compile with -D_FILE_OFFSET_BITS=64, as
 * the library is: struct stat has another shape without.
 */
#ifndef BIDE_IO_FILE_H
#define BIDE_IO_FILE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <bide/base/api.h>
#include <bide/io/stream.h>

typedef struct bide_file bide_file;

/* How bide_file_write_all goes about it. */
enum {
    BIDE_FILE_REPLACE = 1, /* beside the old file first, synced, and then in its place at once */
};

/**
 * Open a file.
 *
 * @param path   borrowed for the call
 * @param flags  as open(2); O_CLOEXEC is always added
 * @param mode   permissions of a file that is made, as far as the umask lets them
 * @param out    the file, owned by the caller: bide_file_close
 *
 * Returns 0, or
 *   -ENOENT, -EACCES, -EMFILE, ...  as open(2)
 *   -ENOMEM     no memory; nothing was opened or made
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing was opened or made
 *   -EAGAIN, -ESHUTDOWN  no thread can be had for it
 * Blocks:  yes.
 * Cancel:  safe: 0 when it was opened all the same.
 * Threads: tasks only; the file stays on this loop.
 * Source:  open(2).
 */
BIDE_API int bide_file_open(const char *path, int flags, mode_t mode, bide_file **out);

/**
 * Make a file of a descriptor.
 *
 * @param fd   moved into the file, which closes it; on failure it stays the caller's
 * @param out  the file, owned by the caller: bide_file_close
 *
 * Returns 0, -EBADF or -ENOMEM.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; the file stays on this loop.
 */
BIDE_API int bide_file_of_fd(int fd, bide_file **out);

/**
 * Close a file and give it up.
 *
 * Calls that other tasks have begun on it come to their end first. Later ones must not be made, as
 * the file is gone.
 *
 * @param file  owned, and gone after the call, whatever it returns; NULL is ignored
 *
 * Returns 0, or what close(2) says about earlier writes: -EIO, -ENOSPC, -EDQUOT.
 * Blocks:  yes.
 * Cancel:  waits even in a cancelled scope: the file is always closed. Without a thread the loop's
 *          own closes it.
 * Threads: the file's own loop.
 * Source:  close(2).
 */
BIDE_API int bide_file_close(bide_file *file);

/**
 * Read from the file's position, and move it on.
 *
 * @param file   borrowed
 * @param buf    filled with up to `bytes` bytes
 * @param bytes  its size
 *
 * Returns the number of bytes read, at least 1 and maybe fewer than there are; 0 at the end, or
 *   -EIO, -EISDIR, -EBADF, ...  as read(2)
 *   -EBUSY      another task uses the position
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing was read
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had for it; -EAGAIN also from O_NONBLOCK
 * Blocks:  yes.
 * Cancel:  safe: no byte is lost.
 * Threads: the file's own loop.
 * Source:  read(2).
 */
BIDE_API ssize_t bide_file_read(bide_file *file, void *buf, size_t bytes);

/**
 * Write all of it at the file's position, and move that on.
 *
 * @param file   borrowed
 * @param buf    borrowed for the call
 * @param bytes  how many
 *
 * Returns `bytes`; fewer when it failed or was cancelled after that many (the next call says why),
 * or when nothing was written
 *   -ENOSPC, -EFBIG, -EIO, -EBADF, -EPIPE ...  as write(2); no signal is raised
 *   -EBUSY      another task uses the position
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had for it; -EAGAIN also from O_NONBLOCK
 * Blocks:  yes.
 * Cancel:  safe: the number of bytes written is returned.
 * Threads: the file's own loop.
 * Source:  write(2).
 */
BIDE_API ssize_t bide_file_write(bide_file *file, const void *buf, size_t bytes);

/**
 * Read from an offset; the file's position stays. Several tasks may do so at once.
 *
 * @param file    borrowed
 * @param buf     filled
 * @param bytes   how many
 * @param offset  in bytes from the start; not negative
 *
 * Returns `bytes`; fewer when the file ended, failed or was cancelled after that many (another call
 * says which); 0 at or beyond its end, or when nothing was read
 *   -EINVAL     a negative offset
 *   -EIO, -EISDIR, -EBADF, -ESPIPE, ...  as pread(2)
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had for it
 * Blocks:  when the page cache does not hold it.
 * Cancel:  safe: the number of bytes read is returned.
 * Threads: the file's own loop.
 * Source:  pread(2), preadv2(2), RWF_NOWAIT.
 */
BIDE_API ssize_t bide_file_pread(bide_file *file, void *buf, size_t bytes, int64_t offset);

/**
 * Write all of it at an offset; the file's position stays. Several tasks may do so at once.
 *
 * With O_APPEND it goes to the end, wherever the offset is: as Linux has it.
 *
 * @param file    borrowed
 * @param buf     borrowed for the call
 * @param bytes   how many
 * @param offset  in bytes from the start; not negative
 *
 * Returns as bide_file_write does, without -EBUSY; -EINVAL for a negative offset, -ESPIPE.
 * Blocks:  yes.
 * Cancel:  safe: the number of bytes written is returned.
 * Threads: the file's own loop.
 * Source:  pwrite(2).
 */
BIDE_API ssize_t bide_file_pwrite(bide_file *file, const void *buf, size_t bytes, int64_t offset);

/**
 * Move the file's position.
 *
 * @param file    borrowed
 * @param offset  in bytes
 * @param whence  SEEK_SET, SEEK_CUR or SEEK_END
 *
 * Returns the new position, or -EINVAL, -ESPIPE, -EBUSY while a task uses the position, -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the file's own loop.
 * Source:  lseek(2).
 */
BIDE_API int64_t bide_file_seek(bide_file *file, int64_t offset, int whence);

/**
 * Wait until what was written is on the disk.
 *
 * @param file       borrowed
 * @param data_only  leave out what is not needed to read the data again, such as times
 *
 * Returns 0, or
 *   -EIO, -ENOSPC, -EDQUOT  something written earlier is lost; told once
 *   -EINVAL     not a kind of file that can be synced
 *   -EBADF, -ECANCELED, -ETIMEDOUT, -ENOMEM, -EAGAIN, -ESHUTDOWN  it was not begun
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that it was not begun.
 * Threads: the file's own loop.
 * Source:  fsync(2), fdatasync(2).
 */
BIDE_API int bide_file_sync(bide_file *file, bool data_only);

/**
 * Ask about an open file: its size, times, owner, ...
 *
 * @param file    borrowed
 * @param status  filled on success
 *
 * Returns 0, or -EIO, -EBADF, -ECANCELED, -ETIMEDOUT, -ENOMEM, -EAGAIN, -ESHUTDOWN.
 * Blocks:  yes.
 * Cancel:  safe: there is nothing to lose.
 * Threads: the file's own loop.
 * Source:  fstat(2).
 */
BIDE_API int bide_file_stat(bide_file *file, struct stat *status);

/**
 * Cut a file to a length, or lengthen it with zeros.
 *
 * @param file   borrowed; open for writing
 * @param bytes  its new length
 *
 * Returns 0, or -EINVAL, -EFBIG, -EIO, ... as ftruncate(2), or -EBADF, -ECANCELED, -ETIMEDOUT,
 * -ENOMEM, -EAGAIN, -ESHUTDOWN: it was not begun.
 * Blocks:  yes.
 * Cancel:  safe: an error of a scope means that nothing was changed.
 * Threads: the file's own loop.
 * Source:  ftruncate(2).
 */
BIDE_API int bide_file_truncate(bide_file *file, int64_t bytes);

/**
 * Tell the file's descriptor, for what has no call here. It stays the file's: do not close it.
 *
 * @param file  borrowed
 *
 * Returns the descriptor.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the file's own loop.
 */
BIDE_API int bide_file_fd(const bide_file *file);

/**
 * Make a stream of a file: bide_read_line, bide_printf, bide_copy and all others work on it.
 *
 * It begins at the file's position and goes on from there with one of its own, for reading and
 * writing alike; one task at a time, another one gets -EBUSY. Where a file has no position (a FIFO)
 * or is opened with O_APPEND, writing does not go by it. At the end of the file reads return 0, and
 * more once it has grown.
 *
 * Writes are collected, up to 64 KiB. They reach the file when that is full, before a read, with
 * bide_flush and with bide_close: which therefore waits here, even in a cancelled scope, and hands
 * an error to the loop's reports (BIDE_REPORT_LOST_WRITE). Call bide_flush first to see it.
 *
 * @param file  moved into the stream, which closes it; on failure it stays the caller's. No task
 *              may be inside
 * @param out   the stream, owned by the caller: bide_close
 *
 * Returns 0 or -ENOMEM.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the file's own loop.
 */
BIDE_API int bide_file_stream(bide_file *file, bide_stream **out);

/**
 * Send a part of a file down a stream, without copying it through memory of the program's where
 * the stream has a descriptor.
 *
 * The loop never waits for the disk: what is not in memory is read in by a thread first.
 *
 * @param to      borrowed
 * @param from    borrowed; a regular file
 * @param offset  where to begin, in bytes from the start
 * @param bytes   how many; SIZE_MAX for all to the end
 *
 * Returns the number of bytes sent: fewer than `bytes` at the end of the file, or when the stream
 * or the file failed or it was cancelled after so many (the next call on it says why); or when none
 * was
 *   -EINVAL     a negative offset
 *   -EIO, -EBADF, ...  the file's
 *   -EPIPE, -ECONNRESET, -EBUSY, ...  the stream's, as of bide_write
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 *   -ENOMEM, -EAGAIN, -ESHUTDOWN  no thread can be had for it, or no memory
 * Blocks:  while the peer does not read, and for the disk.
 * Cancel:  safe: the number of bytes sent is returned.
 * Threads: the stream's and the file's own loop.
 * Source:  sendfile(2), cachestat(2).
 */
BIDE_API ssize_t bide_sendfile(bide_stream *to, bide_file *from, int64_t offset, size_t bytes);

/**
 * Read a whole file into memory.
 *
 * @param path       borrowed for the call
 * @param bytes_max  the most that it may hold
 * @param data       set to its bytes, with a zero byte after them; to be freed with free()
 * @param bytes      set to how many there are; may be NULL
 *
 * Returns 0, or
 *   -EFBIG      it holds more than bytes_max
 *   -ENOENT, ...  the errors of bide_file_open and bide_file_read
 * Blocks:  yes.
 * Cancel:  safe: there is nothing to lose.
 * Threads: tasks only.
 */
BIDE_API int bide_file_read_all(const char *path, size_t bytes_max, char **data, size_t *bytes);

/**
 * Write a whole file.
 *
 * @param path   borrowed for the call
 * @param data   borrowed for the call
 * @param bytes  how many
 * @param mode   permissions of a file that is made, as far as the umask lets them
 * @param flags  0: an existing file is emptied and written anew; BIDE_FILE_REPLACE: whoever looks
 *               finds the old contents or the new ones, a crash included, and the file is a new
 *               one, also in place of a symbolic link
 *
 * Returns 0, or the errors of bide_file_open, bide_file_write, bide_file_sync and
 * bide_path_rename. With BIDE_FILE_REPLACE the old file then is as it was; without, what is there
 * may be a part.
 * Blocks:  yes.
 * Cancel:  as an error: with BIDE_FILE_REPLACE nothing has changed, and nothing is left behind.
 * Threads: tasks only.
 */
BIDE_API int bide_file_write_all(const char *path, const void *data, size_t bytes, mode_t mode,
                                 unsigned flags);

#endif
