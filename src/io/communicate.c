/* SPDX-License-Identifier: MIT */
/*
 * communicate.c - a process's three pipes at once: a task each, the last of them the caller.
 */
#include <bide/io/communicate.h>

#include <errno.h>

#include <bide/async/group.h>

#include "base/sys.h"
#include "io/process.h"
#include "io/stream.h"

enum {
    OUTPUT_FIRST = 8 * 1024,           /* bytes that an output starts with, and doubles */
    OUTPUT_DEFAULT = 16 * 1024 * 1024, /* kept when nothing else was said */
    DROP_BYTES = 1024,                 /* at once, of what is beyond the limit */
};

static size_t limit_of(const bide_output *output)
{
    return output->bytes_max != 0 ? output->bytes_max : OUTPUT_DEFAULT;
}

/* Make room for one more byte and the zero after it. */
static int grow(bide_output *output)
{
    size_t limit = limit_of(output);
    size_t capacity = output->bide__capacity;
    char *data;

    if (output->bytes + 1 < capacity)
        return 0;
    capacity = capacity == 0 ? OUTPUT_FIRST : capacity > limit / 2 ? limit : capacity * 2;
    if (capacity > limit)
        capacity = limit;
    if (capacity != SIZE_MAX)
        capacity++; /* the limit does not count the zero */
    data = bide__realloc(output->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    output->data = data;
    output->bide__capacity = capacity;
    return 0;
}

/* Read once into the output. */
static ssize_t keep_some(bide_stream *stream, bide_output *output)
{
    ssize_t got = grow(output);

    if (got < 0)
        return got;
    got =
        bide_read(stream, output->data + output->bytes, output->bide__capacity - 1 - output->bytes);
    if (got > 0)
        output->bytes += (size_t)got;
    output->data[output->bytes] = '\0';
    return got;
}

/* Read once, for nobody. */
static ssize_t drop_some(bide_stream *stream, bide_output *output)
{
    char scrap[DROP_BYTES];
    ssize_t got = bide_read(stream, scrap, sizeof scrap);

    if (got > 0 && output != NULL)
        output->is_cut = true;
    return got;
}

/* Read to the end. */
static bide_async(int, collect, bide_stream *, stream, bide_output *, output)
{
    ssize_t got;

    do {
        if (output != NULL && output->bytes < limit_of(output))
            got = keep_some(stream, output);
        else
            got = drop_some(stream, output);
    } while (got > 0);
    return (int)got;
}

/* Write what is left of the input, and close. */
static bide_async(int, feed, bide_process *, process, bide_stream *, stream, const char *, input,
                  size_t, bytes)
{
    ssize_t wrote = 0;

    while (wrote >= 0 && process->fed < bytes) {
        wrote = bide_write(stream, input + process->fed, bytes - process->fed);
        if (wrote > 0)
            process->fed += (size_t)wrote;
    }
    if (wrote < 0 && wrote != -EPIPE) /* that one is told by not reading on */
        return (int)wrote;
    if (process->pipes[STDIN_FILENO] == stream)
        bide_process_close_stdin(process);
    return 0;
}

/* All pipes, to their ends. */
static int talk(bide_process *process, const char *input, size_t input_bytes, bide_output *out,
                bide_output *err)
{
    bide_stream *pipes[3];
    bide_group group = BIDE_GROUP_INIT;
    int result = 0;

    for (int i = 0; i < 3; i++) { /* other tasks may close the input, and free the process */
        pipes[i] = process->pipes[i];
        if (pipes[i] != NULL)
            bide__stream_hold(pipes[i]);
    }
    bide_with_group (&group) {
        if (pipes[STDIN_FILENO] != NULL)
            result = bide_spawn_in(&group, feed, process, pipes[STDIN_FILENO], input, input_bytes);
        if (result == 0 && pipes[STDERR_FILENO] != NULL && pipes[STDOUT_FILENO] != NULL)
            result = bide_spawn_in(&group, collect, pipes[STDERR_FILENO], err);
        if (result == 0 && pipes[STDOUT_FILENO] != NULL)
            result = collect(pipes[STDOUT_FILENO], out);
        else if (result == 0 && pipes[STDERR_FILENO] != NULL)
            result = collect(pipes[STDERR_FILENO], err);
        if (result < 0)
            bide_group_cancel(&group);
    }
    for (int i = 0; i < 3; i++)
        if (pipes[i] != NULL)
            bide__stream_let_go(pipes[i]);
    return group.error < 0 ? group.error : result;
}

int bide_process_communicate(bide_process *process, const void *input, size_t input_bytes,
                             bide_output *out, bide_output *err)
{
    struct bide_task *self = bide__task_need("bide_process_communicate");
    int result = 0;

    if (input_bytes > 0 && !process->had_stdin)
        return -EINVAL;
    bide__process_hold(process);
    if (self->cancel_code == 0)
        result = talk(process, input, input_bytes, out, err);
    /* The wait sees a scope that has fired, and stops the process where that is wanted. */
    if (result == 0 || self->cancel_code != 0)
        result = process->is_freed ? -EBADF : bide_process_wait(process, NULL);
    bide__process_let_go(process);
    return result;
}

int bide_process_run(const char *const argv[], const bide_process_options *options,
                     const void *input, size_t input_bytes, bide_process_result *result)
{
    bide_process_options all = {.grace_ns = 0};
    bide_process *process;
    int err;

    bide__task_need("bide_process_run");
    if (options != NULL)
        all = *options;
    all.kill_on_exit = true;
    if (all.in.kind == BIDE_STDIO_INHERIT)
        all.in.kind = input_bytes > 0 ? BIDE_STDIO_PIPE : BIDE_STDIO_NULL;
    if (all.out.kind == BIDE_STDIO_INHERIT)
        all.out.kind = BIDE_STDIO_PIPE;
    if (all.err.kind == BIDE_STDIO_INHERIT)
        all.err.kind = BIDE_STDIO_PIPE;
    if (input_bytes > 0 && all.in.kind != BIDE_STDIO_PIPE)
        return -EINVAL;
    err = bide_process_spawn(argv, &all, &process);
    if (err < 0)
        return err;
    err = bide_process_communicate(process, input, input_bytes, &result->out, &result->err);
    if (err < 0)
        bide_process_stop(process, process->grace_ns, NULL);
    bide_process_try_wait(process, &result->status);
    bide_process_free(process);
    return err;
}

void bide_process_result_free(bide_process_result *result)
{
    bide_output *outputs[] = {&result->out, &result->err};

    for (int i = 0; i < 2; i++) {
        free(outputs[i]->data);
        *outputs[i] = (bide_output){.bytes_max = outputs[i]->bytes_max};
    }
}
