/* SPDX-License-Identifier: MIT */
/*
 * run.c - a loop on this thread: the first task, the tasks it leaves behind, the result.
 */
#include "runtime/run.h"

#include <errno.h>
#include <string.h>

#include <bide/runtime/run.h>
#include <bide/testing.h>

#include "base/sys.h"
#include "reactor/epoll.h"
#include "runtime/pool.h"
#include "runtime/post.h"
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

int bide__run_begin(struct bide__host *host, void *io, int (*fn)(void *arg), void *arg,
                    const bide_options *options, bool may_be_posted_to, int *result,
                    struct bide_loop **out)
{
    struct bide_loop *loop = bide__alloc(sizeof *loop);
    struct bide_task *task;
    int err;

    if (loop == NULL)
        return -ENOMEM;
    err = bide__loop_start(loop, host, options);
    if (err < 0) {
        free(loop);
        return err;
    }
    loop->io = io;
    bide__loop_enter(loop);
    err = may_be_posted_to ? bide__post_open(loop) : 0;
    if (err == 0)
        err = bide__task_spawn(loop, NULL, NULL, first_run, sizeof(struct first), &task);
    if (err < 0) {
        bide__loop_stop(loop);
        bide__loop_leave(loop);
        bide__inbox_forget(loop);
        return err;
    }
    *(struct first *)task->frame = (struct first){loop, fn, arg, result};
    task->is_detached = true;
    loop->first = task;
    *out = loop;
    return 0;
}

int bide__run_end(struct bide_loop *loop)
{
    int err = bide__loop_run(loop);

    bide__pool_stop(loop);
    bide__inbox_shut(loop);
    if (err == 0)
        err = bide__loop_run(loop); /* what the last posts have spawned */
    bide__pool_free(loop);
    bide__loop_stop(loop);
    bide__loop_leave(loop);
    bide__inbox_forget(loop);
    return err;
}

int bide_run(int (*fn)(void *arg), void *arg, const bide_options *options)
{
    struct bide__epoll epoll;
    struct bide_loop *loop;
    int result = 0;
    int err = bide__epoll_init(&epoll);

    if (err < 0)
        return err;
    err = bide__run_begin(&epoll.host, &epoll, fn, arg, options, false, &result, &loop);
    if (err == 0)
        err = bide__run_end(loop);
    bide__epoll_free(&epoll);
    return err < 0 ? err : result;
}

int bide_test_run(int (*fn)(void *arg), void *arg, uint64_t seed, const bide_options *options)
{
    struct bide__virtual clock;
    struct bide_loop *loop;
    int result = 0, err;

    bide__virtual_init(&clock, seed);
    err = bide__run_begin(&clock.host, NULL, fn, arg, options, false, &result, &loop);
    if (err == 0)
        err = bide__run_end(loop);
    return err < 0 ? err : result;
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
