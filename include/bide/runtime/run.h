/* SPDX-License-Identifier: MIT */
/*
 * run.h - start a loop on this thread.
 */
#ifndef BIDE_RUNTIME_RUN_H
#define BIDE_RUNTIME_RUN_H

#include <bide/base/api.h>
#include <bide/sched/loop.h>

/**
 * Run a function as the first task of a new loop, until it and every task it started have ended.
 *
 * When fn returns, the tasks that still live are cancelled and waited for; so are those that they
 * spawn then, except what cleanup under a shield spawns and owns. A task that nobody awaited or
 * detached is then reported with its spawn site. When all tasks sleep and nothing can
 * wake them, each is reported with what it waits for, all are cancelled, and the result is
 * -EDEADLK.
 *
 * After a fork in a task, the child shares the loop's epoll with its parent: let it exec or _exit,
 * or run a loop of its own, and call nothing else of the library, closing streams included. One
 * that waits is aborted with a line that says so (Linux 4.14 and later). bide_process_spawn starts
 * programs without all that.
 *
 * @param fn       the first task's body; runs on a stack of the default size
 * @param arg      passed to it
 * @param options  borrowed for the call, or NULL
 *
 * Returns fn's result, or
 *   -ENOMEM   no memory for the loop or the first stack; fn was not called
 *   -EMFILE, -ENFILE  no descriptor for epoll; fn was not called
 *   -EINVAL   options->stack_bytes is beyond what a stack can have; fn was not called
 *   -EDEADLK  see above
 * Blocks:  the calling thread.
 * Cancel:  not a parking point. Called inside a task it holds that task's loop until it returns.
 * Threads: any; each thread has its own loop.
 */
BIDE_API int bide_run(int (*fn)(void *arg), void *arg, const bide_options *options);

/**
 * Be main: run the body as the first task; bide_async_main is the way to do so.
 *
 * @param body  the program
 * @param argc  main's
 * @param argv  main's; valid throughout
 *
 * Returns the exit status: the body's result, or 1 after printing what a negative one means.
 * Blocks:  the calling thread.
 * Cancel:  not a parking point.
 * Threads: the main one.
 */
BIDE_API int bide__run_main(int (*body)(int argc, char **argv), int argc, char **argv);

/*
 * async_main { ... }: main, with the block as the first task; argc and argv are visible in it, and
 * it returns main's exit status. A negative errno becomes a printed line and exit status 1.
 */
#define bide_async_main                                                                            \
    static int bide__main(int argc, char **argv);                                                  \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return bide__run_main(bide__main, argc, argv);                                             \
    }                                                                                              \
    static int bide__main(int argc __attribute__((unused)), char **argv __attribute__((unused)))

#endif
