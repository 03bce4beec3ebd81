/* SPDX-License-Identifier: MIT */
/*
 * communicate.h - all that a process has to say, in memory, with limits.
 *
 *     bide_process_result r = {0};
 *     int err = bide_process_run(BIDE_ARGV("sort"), NULL, "b\na\n", 4, &r);
 *     if (err == 0 && r.status.code == 0)
 *         fwrite(r.out.data, 1, r.out.bytes, stdout);
 *     bide_process_result_free(&r);
 */
#ifndef BIDE_IO_COMMUNICATE_H
#define BIDE_IO_COMMUNICATE_H

#include <bide/io/process.h>

/* What a process wrote. Zeroed memory is an empty one with the default limit. */
typedef struct bide_output {
    char *data;            /* owned: free(); followed by a zero byte; may be NULL while empty */
    size_t bytes;          /* kept in data */
    size_t bytes_max;      /* keep so many at most; 0 for the default of 16 MiB */
    bool is_cut;           /* there was more, which was read and dropped */
    size_t bide__capacity; /* of data */
} bide_output;

/* How bide_process_run went. Zeroed memory is an empty one. */
typedef struct bide_process_result {
    bide_process_status status;
    bide_output out;
    bide_output err;
} bide_process_result;

/**
 * Feed a process, read all that it writes, and wait until it has ended.
 *
 * The three pipes are served at once, so that no full pipe stops the process; those it does not
 * have are passed over. Its standard input is closed after the last byte; when the process closes
 * it first, the rest is dropped without an error. What goes beyond an output's limit is read and
 * dropped. The outputs end when nobody holds the pipes' other ends any more: a grandchild that was
 * left behind may do so for long after the process's own end.
 *
 * @param process      borrowed
 * @param input        borrowed for the call; NULL with 0 bytes
 * @param input_bytes  its length
 * @param out          what is read is appended, also when the call fails; NULL to drop it
 * @param err          the same of the error output
 *
 * Returns 0, and bide_process_wait says at once how it ended; or
 *   -ENOMEM     no memory for an output; what was read before is there
 *   -EBUSY      another task is using one of the pipes
 *   -ECHILD, -EBADF  as bide_process_wait does
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; with kill_on_exit the process is stopped
 *               first, as bide_process_stop does
 * Blocks:  until the process has ended and its outputs are closed.
 * Cancel:  safe: the outputs hold all that was read, and a second call with the same arguments goes
 *          on where this one was, in the input as well.
 * Threads: the process's own loop.
 */
BIDE_API int bide_process_communicate(bide_process *process, const void *input, size_t input_bytes,
                                      bide_output *out, bide_output *err);

/**
 * Run a program to its end: spawn, communicate, wait.
 *
 * Its output and error output are collected, unless the options send them elsewhere; its standard
 * input is `input`, or empty, unless the options say otherwise. (BIDE_STDIO_INHERIT counts as
 * unsaid: pass descriptors 0, 1 and 2 as BIDE_STDIO_FD to share this process's.) It never outlives
 * the call: kill_on_exit is implied.
 *
 * @param argv         as of bide_process_spawn
 * @param options      borrowed for the call, or NULL
 * @param input        borrowed for the call; NULL with 0 bytes
 * @param input_bytes  its length
 * @param result       status and outputs; zeroed, or with the outputs' limits set, by the caller,
 *                     who frees it whatever is returned: bide_process_result_free
 *
 * Returns 0 when it ran to its end, whatever its status; or the errors of bide_process_spawn and
 * bide_process_communicate, and then the outputs hold what was read and, once it had begun, the
 * status says how it was made to end.
 * Blocks:  until the process has ended and its outputs are closed.
 * Cancel:  the process is stopped, with its group where it leads one, before the call returns.
 * Threads: tasks only.
 */
BIDE_API int bide_process_run(const char *const argv[], const bide_process_options *options,
                              const void *input, size_t input_bytes, bide_process_result *result);

/**
 * Free the outputs of a result.
 *
 * @param result  borrowed; empty afterwards, with its limits kept
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_process_result_free(bide_process_result *result);

#endif
