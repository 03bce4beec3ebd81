/* SPDX-License-Identifier: MIT */
/*
 * stream.h - byte streams: one type for TCP, Unix sockets, pipes, terminals, files and pairs in
 * memory.
 *
 * Calls look blocking; only the calling task waits. One task may read while another writes; a
 * second reader or writer gets -EBUSY. Reads go straight into the caller's memory. Calls that look
 * ahead (read_line, read_until, peek, copy) borrow a buffer of 64 KiB from the loop when something
 * has come, and give it back when all of it is consumed: an idle stream has none. It never holds
 * more than the stream's limit.
 *
 * How much happened is never lost: a call that moved some bytes before an error or a cancel returns
 * their number, short of what was asked, and the next call returns the reason. Only bide_close by
 * another task leaves no next call: it makes the calls inside return -EBADF.
 *
 * A stream's descriptor is the library's. Where a program closes the number all the same, calls
 * return -EBADF as soon as that is noticed: when a stream takes the number over, or a second after
 * tasks have waited. Before, a stranger who has got the number may be read and written.
 */
#ifndef BIDE_IO_STREAM_H
#define BIDE_IO_STREAM_H

#include <sys/uio.h>

#include <bide/base/api.h>
#include <bide/base/time.h>

typedef struct bide_stream bide_stream;

/**
 * Read what is there, waiting until something is.
 *
 * @param stream  borrowed
 * @param buf     filled with up to `bytes` bytes
 * @param bytes   its size; 0 reads nothing and returns 0
 *
 * Returns the number of bytes read, 0 at the end of the stream, or
 *   -ECONNRESET, ...  the connection's error
 *   -EBADF      closed by bide_close, before or meanwhile, or its descriptor was closed behind the
 *               library's back
 *   -EBUSY      another task is reading
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing was read
 * Blocks:  until the first byte.
 * Cancel:  safe: no byte is lost.
 * Threads: the stream's own loop.
 * Source:  recv(2).
 */
BIDE_API ssize_t bide_read(bide_stream *stream, void *buf, size_t bytes);

/**
 * Read exactly so many bytes.
 *
 * @param stream  borrowed
 * @param buf     filled
 * @param bytes   how many
 *
 * Returns `bytes`; fewer when the stream ended, failed or was cancelled after that many (the next
 * call says which); 0 at the end of the stream, or the errors of bide_read when nothing was read.
 * Blocks:  until all have come.
 * Cancel:  safe: what was read is in `buf`, and its number is returned.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_read_exact(bide_stream *stream, void *buf, size_t bytes);

/**
 * Read a line, its newline included.
 *
 * The line is followed by a zero byte. A last line may come without a newline.
 *
 * @param stream  borrowed
 * @param line    filled
 * @param size    its size in bytes, room for the zero byte included
 *
 * Returns the line's length in bytes with the newline, 0 at the end of the stream, the errors of
 * bide_read, or
 *   -EMSGSIZE   the line does not fit into `size` or the stream's limit; nothing was consumed
 *   -ENOMEM     no memory for the stream's buffer; nothing was consumed
 * Blocks:  until the line has come.
 * Cancel:  safe: a line that has partly come stays in the stream.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_read_line(bide_stream *stream, char *line, size_t size);

/**
 * Read up to a delimiter, the delimiter included.
 *
 * @param stream           borrowed
 * @param buf              filled, and followed by a zero byte
 * @param size             its size in bytes, room for the zero byte included
 * @param delimiter        borrowed for the call
 * @param delimiter_bytes  its length, at least 1
 *
 * Returns as bide_read_line does, and -EINVAL for an empty delimiter.
 * Blocks:  until the delimiter has come.
 * Cancel:  safe: what has partly come stays in the stream.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_read_until(bide_stream *stream, char *buf, size_t size, const void *delimiter,
                                 size_t delimiter_bytes);

/**
 * Look at what comes next without consuming it.
 *
 * With bide_skip this is the way to read that copies nothing and needs no memory while nothing has
 * come: as much as is there, up to 64 KiB, in a buffer that many streams use in turn.
 *
 *     while ((got = bide_peek(stream, &data, 1)) > 0) {
 *         bide_write(stream, data, (size_t)got);
 *         bide_skip(stream, (size_t)got);
 *     }
 *
 * @param stream  borrowed
 * @param data    set to the bytes; borrowed until the next read, peek, skip, copy or close of this
 *                stream
 * @param least   wait until at least so many are there
 *
 * Returns the number of bytes at `data`, which is less than `least` only when the stream ended,
 * failed or was cancelled after them (once they are consumed the next call says which); 0 at its
 * end, the errors of bide_read, or
 *   -EMSGSIZE   `least` is beyond the stream's limit
 *   -ENOMEM     no memory for the stream's buffer
 * Blocks:  until `least` bytes are there.
 * Cancel:  safe.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_peek(bide_stream *stream, const char **data, size_t least);

/**
 * Consume bytes without copying them anywhere: usually those that a peek has shown.
 *
 * @param stream  borrowed
 * @param bytes   how many
 *
 * Returns as bide_read_exact does.
 * Blocks:  until all have come.
 * Cancel:  safe: the number skipped is returned.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_skip(bide_stream *stream, size_t bytes);

/**
 * Write all of it.
 *
 * @param stream  borrowed
 * @param buf     borrowed for the call
 * @param bytes   how many
 *
 * Returns `bytes`; fewer when the stream failed or was cancelled after that many (the next call
 * says why), or when nothing was written
 *   -EPIPE, -ECONNRESET, ...  the peer is gone, or writing was shut down; no signal is raised
 *   -EBADF      closed by bide_close, before or meanwhile
 *   -EBUSY      another task is writing
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  while the peer does not read.
 * Cancel:  safe: the number of bytes written is returned.
 * Threads: the stream's own loop.
 * Source:  send(2).
 */
BIDE_API ssize_t bide_write(bide_stream *stream, const void *buf, size_t bytes);

/**
 * Write several pieces, one after the other, with as few system calls as possible.
 *
 * @param stream  borrowed
 * @param pieces  borrowed for the call
 * @param count   how many pieces; at least 0
 *
 * Returns the number of bytes written, as bide_write does, or -EINVAL for a negative count.
 * Blocks:  while the peer does not read.
 * Cancel:  safe: the number of bytes written is returned.
 * Threads: the stream's own loop.
 * Source:  sendmsg(2).
 */
BIDE_API ssize_t bide_writev(bide_stream *stream, const struct iovec *pieces, int count);

/**
 * Write formatted text.
 *
 * @param stream  borrowed
 * @param format  as printf's
 *
 * Returns the number of bytes written, as bide_write does, or
 *   -ENOMEM     no memory for a text of more than a kilobyte; nothing was written
 *   -EINVAL     the format or an argument cannot be converted; nothing was written
 * Blocks:  while the peer does not read.
 * Cancel:  safe: the number of bytes written is returned.
 * Threads: the stream's own loop.
 */
BIDE_API ssize_t bide_printf(bide_stream *stream, const char *format, ...) BIDE__PRINTF(2, 3);

/**
 * Copy from one stream to another until the source ends.
 *
 * Bytes that were read and could not be written stay in the source. Between two sockets or pipes a
 * long copy goes through the kernel alone, by way of a pipe of its own: two descriptors until it
 * returns. Where there are none it reads and writes.
 *
 * @param to    borrowed
 * @param from  borrowed
 *
 * Returns the number of bytes copied (another call says whether an error or a cancel ended it
 * early), or when none was: 0 at the end of the source, the errors of bide_read and bide_write,
 * -ENOMEM.
 * Blocks:  yes.
 * Cancel:  safe: no byte is lost, and the number copied is returned.
 * Threads: the streams' own loop.
 * Source:  splice(2).
 */
BIDE_API ssize_t bide_copy(bide_stream *to, bide_stream *from);

/**
 * Write what a stream has collected.
 *
 * Only streams of files collect (bide_file_stream); all others write through, and there is nothing
 * to do.
 *
 * @param stream  borrowed
 *
 * Returns 0, or
 *   -ENOSPC, -EIO, ...  the file's; what could not be written stays, and another flush tries again
 *   -EPIPE, ...  what bide_write returns: the reason why the last write stopped early
 *   -EBADF      closed by bide_close, before or meanwhile
 *   -EBUSY      another task is writing
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes, for a file.
 * Cancel:  safe: what was not written stays in the stream.
 * Threads: the stream's own loop.
 */
BIDE_API int bide_flush(bide_stream *stream);

/**
 * Say that nothing more will be written: the peer reads the end of the stream. Reading goes on.
 *
 * @param stream  borrowed
 *
 * Returns 0, -EBADF, -ENOTCONN, or -EOPNOTSUPP for files, and for what is no socket and open for
 * both reading and writing: a terminal.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the stream's own loop.
 * Source:  shutdown(2).
 */
BIDE_API int bide_shutdown_write(bide_stream *stream);

/**
 * Close a stream and give it up.
 *
 * Tasks that are reading or writing it return -EBADF, before its descriptor's number can be used
 * again.
 *
 * @param stream  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no; that of a file until what it has collected is written.
 * Cancel:  not a parking point: works in a cancelled scope, where it waits for a file as well.
 * Threads: the stream's own loop.
 * Source:  close(2).
 */
BIDE_API void bide_close(bide_stream *stream);

/**
 * Make two connected streams in memory: what is written to one is read from the other.
 *
 * For tests and for talking between tasks; needs no descriptor, and works on a virtual clock.
 *
 * @param out  two streams, each owned by the caller
 *
 * Returns 0 or -ENOMEM.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; both ends stay on this loop.
 */
BIDE_API int bide_stream_pair(bide_stream *out[2]);

/**
 * Limit what the stream may buffer: the longest line, delimited piece or peek. 64 KiB by default.
 *
 * @param stream  borrowed
 * @param bytes   at least 1; what is buffered already stays
 *
 * Returns 0, or -EINVAL for 0.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 */
BIDE_API int bide_stream_set_limit(bide_stream *stream, size_t bytes);

/**
 * Send small writes at once (the default), or let the kernel collect them (Nagle's algorithm).
 *
 * @param stream  borrowed
 * @param on      true sends at once
 *
 * Returns 0, -EBADF, or -EOPNOTSUPP for a stream that is not TCP.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 * Source:  tcp(7), TCP_NODELAY.
 */
BIDE_API int bide_stream_set_nodelay(bide_stream *stream, bool on);

/**
 * Probe an idle connection, so that a peer that vanished is noticed.
 *
 * @param stream  borrowed
 * @param idle    first probe after so many nanoseconds without traffic, rounded up to seconds; 0
 *                turns probing off
 * @param every   nanoseconds between probes, rounded up to seconds; at least one second
 * @param count   probes without an answer until reads fail with -ETIMEDOUT; at least 1
 *
 * Returns 0, -EINVAL, -EBADF, or -EOPNOTSUPP for a stream that is not TCP.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 * Source:  tcp(7), TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT.
 */
BIDE_API int bide_stream_set_keepalive(bide_stream *stream, bide_time idle, bide_time every,
                                       int count);

/**
 * Write the stream's own address as text: "tcp://127.0.0.1:40123", "tcp://[::1]:80", "unix:/path",
 * "unix:".
 *
 * @param stream  borrowed
 * @param text    filled, with a zero byte
 * @param size    its size in bytes
 *
 * Returns 0, -ENOSPC when it does not fit, -EBADF, or -EOPNOTSUPP for a stream that is no socket.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 * Source:  getsockname(2).
 */
BIDE_API int bide_stream_local_address(bide_stream *stream, char *text, size_t size);

/**
 * Write the peer's address as text, in the same form.
 *
 * @param stream  borrowed
 * @param text    filled, with a zero byte
 * @param size    its size in bytes
 *
 * Returns as bide_stream_local_address does, and -ENOTCONN when the peer is gone.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 * Source:  getpeername(2).
 */
BIDE_API int bide_stream_peer_address(bide_stream *stream, char *text, size_t size);

/**
 * Tell the stream's descriptor, for socket options that have no call here.
 *
 * It stays the stream's: do not close it, read from it, write to it or change its mode.
 *
 * @param stream  borrowed
 *
 * Returns the descriptor, -EBADF when closed, or -EOPNOTSUPP for a pair in memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the stream's own loop.
 */
BIDE_API int bide_stream_fd(bide_stream *stream);

#endif
