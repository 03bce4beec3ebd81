/* SPDX-License-Identifier: MIT */
/*
 * run.c - starting a loop: results, options, failures before the first task, one loop a thread.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static int calls;

static int returns_arg(void *arg)
{
    calls++;
    return *(int *)arg;
}

/*
 * Goal:   the run's result is the function's, whatever its sign, and the argument arrives.
 * Method: three results on both hosts; descriptors and calls counted.
 */
TEST(run, result_is_that_of_the_function)
{
    int results[] = {0, 42, -EIO};
    int fds = test_open_fds();

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bide_run(returns_arg, &results[i], NULL), results[i]);
        CHECK_EQ(bide_test_run(returns_arg, &results[i], 0, NULL), results[i]);
    }
    CHECK_EQ(calls, 6);
    CHECK_EQ(test_open_fds(), fds);
}

static int fills_stack(void *arg)
{
    volatile char *memory = __builtin_alloca(*(size_t *)arg);

    for (size_t i = 0; i < *(size_t *)arg; i += 512)
        memory[i] = 1;
    return 0;
}

static async(int, fills, size_t, bytes)
{
    return fills_stack(&bytes);
}

static int fills_in_child(void *arg)
{
    return fills_stack(arg) + await(spawn(fills, *(size_t *)arg));
}

/*
 * Goal:   the stack size in the options holds for the first task and for all that ask for none of
 *         their own.
 * Method: use seven of eight megabytes in both; a size that no stack can have is refused before fn
 *         is called.
 */
TEST(run, options_set_the_default_stack)
{
    bide_options options = {.stack_bytes = 8 << 20};
    size_t bytes = 7 << 20;
    int zero = 0;

    CHECK_EQ(bide_run(fills_in_child, &bytes, &options), 0);
    options.stack_bytes = SIZE_MAX;
    CHECK_EQ(bide_run(returns_arg, &zero, &options), -EINVAL);
    CHECK_EQ(calls, 0);
}

/* What a run may ask for before fn is called, and the error that follows when it is refused. */
static const struct {
    enum bide__call call;
    int error;
} beginnings[] = {
    {BIDE__CALL_ALLOC, -ENOMEM},
    {BIDE__CALL_MMAP, -ENOMEM},
    {BIDE__CALL_EPOLL_CREATE, -EMFILE},
    {BIDE__CALL_EPOLL_CREATE, -ENFILE},
};

/*
 * Goal:   a run that gets no memory or descriptor says so, has not called fn, and gave back what it
 *         had got.
 * Method: each kind of call fails, from the first, the second, ... to the end.
 */
TEST(run, failing_start_returns_the_error_and_calls_nothing)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    int fds = test_open_fds(), zero = 0, failed = 0;

    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        for (uint64_t nth = 1;; nth++) {
            bide__fault_reset();
            bide__fault_fail(beginnings[i].call, nth, UINT64_MAX, beginnings[i].error);
            calls = 0;
            int result = bide_run(returns_arg, &zero, &options);
            if (calls == 1) {
                CHECK_EQ(result, 0);
                break;
            }
            CHECK_EQ(result, beginnings[i].error);
            CHECK(nth < 20);
            failed++;
            bide__fault_reset();
            CHECK_EQ(test_open_fds(), fds);
        }
    CHECK(failed >= 6);
    CHECK(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED) >= 2);
    bide__fault_reset();
    CHECK_EQ(bide_run(returns_arg, &zero, NULL), 0);
}

static int fail_argc;

static int failing_main(int argc, char **argv)
{
    (void)argv;
    fail_argc = argc;
    return -ENOENT;
}

static int plain_main(int argc, char **argv)
{
    CHECK_STR(argv[argc - 1], "last");
    return bide_yield() == 0 ? 23 : 1;
}

static void runs_failing_main(void *arg)
{
    char *argv[] = {"program", NULL};

    (void)arg;
    exit(bide__run_main(failing_main, 1, argv));
}

/*
 * Goal:   async_main's result is the exit status; a negative one is printed in words and becomes 1.
 * Method: what async_main calls, in this process and in a child.
 */
TEST(run, negative_result_of_main_is_printed_and_exits_with_1)
{
    char *argv[] = {"program", "last", NULL};
    int status = -1;

    CHECK_EQ(bide__run_main(plain_main, 2, argv), 23);
    char *text = test_capture_stderr(runs_failing_main, NULL, &status);
    CHECK_STR(text, "bide: program ended with -2 (No such file or directory)\n");
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 1);
    free(text);
}

static async(int, ping, int, n)
{
    bide_yield();
    return n;
}

static int works(void *arg)
{
    int sum = 0;

    (void)arg;
    for (int i = 0; i < 200; i++)
        sum += await(spawn(ping, i));
    for (int i = 0; i < 5; i++)
        CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
    return sum;
}

static void *runs_loop(void *result)
{
    *(int *)result = bide_run(works, NULL, NULL);
    return NULL;
}

/*
 * Goal:   loops of different threads know nothing of each other.
 * Method: ten at once, then once more, each with tasks and timers.
 */
TEST(run, ten_loops_on_ten_threads)
{
    pthread_t threads[10];
    int results[10] = {0};

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, runs_loop, &results[i]), 0);
        for (int i = 0; i < 10; i++) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
            CHECK_EQ(results[i], 199 * 200 / 2);
        }
    }
}

static async(int, exits_thread)
{
    bide_yield();
    pthread_exit((void *)5);
}

static int spawns_exit(void *arg)
{
    (void)arg;
    return await(spawn(exits_thread));
}

static void *runs_to_its_exit(void *arg)
{
    bide_run(spawns_exit, arg, NULL);
    return NULL;
}

static void ends_thread(void *arg)
{
    pthread_t thread;
    void *result = NULL;

    (void)arg;
    if (pthread_create(&thread, NULL, runs_to_its_exit, NULL) != 0)
        exit(2);
    if (pthread_join(thread, &result) != 0)
        exit(3);
    exit(result == (void *)5 ? 0 : 4);
}

/*
 * Goal:   pthread_exit() inside a task ends the thread with its result; the process goes on.
 * Method: in a child, a thread whose task exits is joined. What the thread's loop held is lost, so
 *         not under ASan.
 */
TEST(run, pthread_exit_inside_a_task_ends_the_thread)
{
    int status = -1;

    if (TEST_UNDER_SANITIZER())
        SKIP("the loop of the thread that exits is leaked by design");
    char *text = test_capture_stderr(ends_thread, NULL, &status);
    CHECK_STR(text, "");
    CHECK_EQ(status, 0);
    free(text);
}

static int spawns_nothing(void *arg)
{
    (void)arg;
    return bide_sleep(1);
}

static int forks_and_goes_on(void *arg)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        bide_yield();
        bide_sleep(BIDE_MS(1));
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    *(int *)arg = status;
    return bide_sleep(BIDE_MS(1)); /* the parent goes on as if nothing had been */
}

static void runs_a_forking_loop(void *arg)
{
    int status = 0;

    (void)arg;
    CHECK_EQ(bide_run(forks_and_goes_on, &status, NULL), 0);
    exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : 1);
}

/*
 * Goal:   a child that a task forks, and that goes on with the library, is told that it must not.
 * Method: it yields and sleeps; its line and its end are looked at, and its parent's (fault 59).
 */
TEST(run, forked_child_that_goes_on_is_refused)
{
    int status = -1;

    if (TEST_UNDER_QEMU())
        SKIP("the emulator does not wipe memory on fork");
    char *text = test_capture_stderr(runs_a_forking_loop, NULL, &status);
    CHECK_CONTAINS(text, "forked by a task");
    CHECK_EQ(status, 0);
    free(text);
}

static void runs_a_loop_in_a_child(void *arg)
{
    int status = 0;
    pid_t child = fork();

    (void)arg;
    if (child == 0)
        _exit(bide_run(spawns_nothing, NULL, NULL));
    exit(waitpid(child, &status, 0) == child && status == 0 ? 0 : 1);
}

static int forks_a_loop(void *arg)
{
    int status = -1;
    char *text = test_capture_stderr(runs_a_loop_in_a_child, NULL, &status);

    (void)arg;
    CHECK_STR(text, "");
    CHECK_EQ(status, 0);
    free(text);
    return 0;
}

/*
 * Goal:   a child may have loops of its own, whether or not its parent has one.
 * Method: fork and run, outside of a task and in one.
 */
TEST(run, forked_child_may_run_a_loop_of_its_own)
{
    forks_a_loop(NULL);
    CHECK_EQ(bide_run(forks_a_loop, NULL, NULL), 0);
}
