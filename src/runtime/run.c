/* SPDX-License-Identifier: MIT */
/*
 * run.c - a loop on this thread: the first task, the tasks it leaves behind, the result.
 */
#include <bide/runtime/run.h>
#include <bide/testing.h>

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "reactor/epoll.h"
#include "sched/report.h"
#include "sched/task.h"
#include "sched/virtual.h"

/* The first task's frame. */
struct first {
    struct bide_loop *loop;
    int (*fn)(void *arg);
    void *arg;
    int *result;
};

static int first_run(void *frame)
{
    struct first *first = frame;
    struct bide_loop *loop = first->loop;

    *first->result = first->fn(first->arg);
    bide__loop_end(loop);
    return 0;
}

static int run_loop(struct bide_loop *loop, int (*fn)(void *arg), void *arg)
{
    struct bide_task *task;
    int result = 0;
    int err = bide__task_spawn(loop, NULL, NULL, first_run, sizeof(struct first), &task);

    if (err < 0)
        return err;
    *(struct first *)task->frame = (struct first){loop, fn, arg, &result};
    task->is_detached = true;
    err = bide__loop_run(loop);
    return err < 0 ? err : result;
}

static int run_on(struct bide__host *host, void *io, int (*fn)(void *arg), void *arg,
                  const bide_options *options)
{
    struct bide_loop *loop = bide__alloc(sizeof *loop);
    int result;

    if (loop == NULL)
        return -ENOMEM;
    result = bide__loop_start(loop, host, options);
    if (result == 0) {
        loop->io = io;
        result = run_loop(loop, fn, arg);
        bide__loop_stop(loop);
    }
    free(loop);
    return result;
}

int bide_run(int (*fn)(void *arg), void *arg, const bide_options *options)
{
    struct bide__epoll epoll;
    int result = bide__epoll_init(&epoll);

    if (result < 0)
        return result;
    result = run_on(&epoll.host, &epoll, fn, arg, options);
    bide__epoll_free(&epoll);
    return result;
}

int bide_test_run(int (*fn)(void *arg), void *arg, uint64_t seed, const bide_options *options)
{
    struct bide__virtual clock;

    bide__virtual_init(&clock, seed);
    return run_on(&clock.host, NULL, fn, arg, options);
}

struct program {
    int (*body)(int argc, char **argv);
    int argc;
    char **argv;
};

static int program_run(void *arg)
{
    const struct program *program = arg;

    return program->body(program->argc, program->argv);
}

int bide__run_main(int (*body)(int argc, char **argv), int argc, char **argv)
{
    struct program program = {body, argc, argv};
    int result = bide_run(program_run, &program, NULL);

    if (result >= 0)
        return result;
    bide__say("%s ended with %d (%s)", argc > 0 ? argv[0] : "main", result, strerror(-result));
    return 1;
}
