/* SPDX-License-Identifier: MIT */
/*
 * stdio.h - streams of descriptors that come from elsewhere, standard input and output first.
 *
 * O_NONBLOCK belongs to the open file description, which a program shares with the shell that
 * started it and with whatever else holds a copy: set there, it would break them, and outlive the
 * program. So no call here ever changes the mode of what it was given, neither meanwhile nor after:
 *
 *     sockets                  are told not to wait call by call
 *     pipes, FIFOs, terminals  are opened once more, through /proc/self/fd, for a description of
 *                              our own; where that cannot be done (no /proc, another user's
 *                              terminal) the stream asks before each call, and writes little
 *     other devices            the same, without being opened again
 *     files, /dev/null         are read and written at their shared offset, as read(2) and write(2)
 *                              do
 *
 * Who asks first can still be made to wait by a stranger that takes the bytes, or the room, in the
 * moment between; it then waits with the whole thread until there are some again. That is left to
 * other devices, to other users' terminals, and to pipes before Linux 6.5.
 *
 * Files are read and written by a thread of the pool where the disk would have to be waited for.
 */
#ifndef BIDE_IO_STDIO_H
#define BIDE_IO_STDIO_H

#include <bide/base/api.h>
#include <bide/io/stream.h>

/**
 * Make a stream of a descriptor: a stream socket, a pipe or FIFO, a terminal or another device.
 *
 * A descriptor that is in non-blocking mode already is taken as it is. Else a pipe, FIFO or
 * terminal may get another number (bide_stream_fd). Reading or writing what is not open for it
 * returns -EBADF. A pipe that nobody reads is -EPIPE, never a signal.
 *
 * A terminal is read as it is set: a line at a time, unless the program changes that (termios(3)).
 * One that hung up is at its end; the master of a pseudoterminal whose other side is gone says
 * -EIO.
 *
 * @param fd   moved into the stream, which closes it; on failure it stays the caller's. It is
 *             closed on exec from then on
 * @param out  the stream, owned by the caller: bide_close
 *
 * Returns 0, or
 *   -EPERM      a regular file, directory or block device, which are never waited for: such have
 *               calls of their own. Standard input and output may be files: bide_stdin
 *   -EPROTOTYPE  a socket that is no byte stream
 *   -EINVAL     nothing that bytes go through: an eventfd, an epoll descriptor
 *   -EBADF      not open
 *   -ENOMEM, -ENOSPC  no memory or registration for it
 *   -EOPNOTSUPP  the loop has a virtual clock
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_stream_of_fd(int fd, bide_stream **out);

/**
 * Get standard input as a stream.
 *
 * A loop has one: every call gets the same, with what was read ahead. It works for whatever
 * descriptor 0 is when it is first asked for: terminal, pipe, socket, file, /dev/null. What
 * stdio(3) has buffered is not seen.
 *
 * @param out  borrowed, and gone when the loop ends. It may be closed earlier: then what was read
 *             ahead is lost, descriptor 0 stays open, and the next call makes another
 *
 * Returns 0, or the errors of bide_stream_of_fd but -EPERM, and
 *   -EMFILE, -ENFILE  it needs a descriptor of its own, and there is none
 * A program that was started without a descriptor 0 finds there what it opened first, mostly the
 * loop's own: -EINVAL.
 * Blocks:  no.
 * Cancel:  not a parking point. A cancelled read has taken nothing: the next one gets it.
 * Threads: tasks only; loops on several threads each have their own, and share what is read.
 */
BIDE_API int bide_stdin(bide_stream **out);

/**
 * Get standard output as a stream.
 *
 * Nothing is buffered: a write is done when it returns. To mix it with printf, flush stdout
 * before. Closing or shutting it down leaves descriptor 1 open, so that a reader does not yet see
 * the end (unless it is a socket: bide_shutdown_write goes through). A closed pipeline is -EPIPE;
 * the process lives.
 *
 * @param out  borrowed, as bide_stdin's
 *
 * Returns as bide_stdin does.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; loops on several threads each have their own.
 */
BIDE_API int bide_stdout(bide_stream **out);

/**
 * Get standard error as a stream: as bide_stdout, of descriptor 2.
 *
 * @param out  borrowed, as bide_stdin's
 *
 * Returns as bide_stdin does.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; loops on several threads each have their own.
 */
BIDE_API int bide_stderr(bide_stream **out);

#endif
