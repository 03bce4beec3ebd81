/* SPDX-License-Identifier: MIT */
/*
 * watchdog.c - tests of naming a task that holds its loop (fault 43).
 */
#include "test.h"

#include <bide.h>
#include <bide/debug/watchdog.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NO_TIMER "it keeps the signal for itself"

/* Work for so many milliseconds of processor time, without a parking call. */
static void compute(int ms)
{
    struct timespec start, now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static bide_async(int, hog, int, ms)
{
    compute(ms);
    return 0;
}

static int run_hog(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_watchdog_start(BIDE_MS(20)), 0);
    bide_await(bide_spawn(hog, 200));
    bide_watchdog_stop();
    return 0;
}

static int run_polite(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_watchdog_start(BIDE_MS(500)), 0);
    for (int i = 0; i < 700; i++) {
        compute(1);
        bide_yield();
        bide_await(bide_spawn(hog, 0));
    }
    bide_sleep(BIDE_MS(1100));
    bide_watchdog_stop();
    return 0;
}

static void in_loop(void *fn)
{
    bide_run((int (*)(void *))fn, NULL, NULL);
}

/*
 * Goal:   a task that never parks is named while it runs, once, with site and backtrace.
 * Method: a task computes for ten limits; read what was printed.
 */
TEST(watchdog, names_task_that_never_parks)
{
    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP(NO_TIMER);
    int status;
    char *text = test_capture_stderr(in_loop, (void *)run_hog, &status);
    const char *first;

    CHECK_EQ(status, 0);
    CHECK_CONTAINS(text, "task 'hog'");
    CHECK_CONTAINS(text, "watchdog.c");
    CHECK_CONTAINS(text, "has held its loop");
    first = strstr(text, "has held its loop");
    CHECK(strstr(first + 1, "has held its loop") == NULL);
    CHECK(strchr(first, '[') != NULL || strchr(first, '(') != NULL);
    free(text);
}

/*
 * Goal:   many short turns are not one long one, and neither is an idle loop.
 * Method: more work than the limit in turns of a millisecond, then more idleness than two limits.
 */
TEST(watchdog, is_silent_when_turns_are_short)
{
    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP(NO_TIMER);
    int status;
    char *text = test_capture_stderr(in_loop, (void *)run_polite, &status);

    CHECK_EQ(status, 0);
    CHECK(strstr(text, "watchdog") == NULL);
    free(text);
}

static int run_wrong(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_watchdog_start(0), -EINVAL);
    CHECK_EQ(bide_watchdog_start(BIDE_SEC(1)), 0);
    CHECK_EQ(bide_watchdog_start(BIDE_SEC(1)), -EALREADY);
    bide_watchdog_stop();
    bide_watchdog_stop();
    CHECK_EQ(bide_watchdog_start(BIDE_SEC(1)), 0);
    bide_watchdog_stop();
    return 0;
}

/*
 * Goal:   wrong use has a clear error, and stopping twice is harmless.
 * Method: a limit of nothing, starting twice, stopping twice, starting again.
 */
TEST(watchdog, refuses_wrong_use)
{
    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP(NO_TIMER);
    CHECK_EQ(bide_run(run_wrong, NULL, NULL), 0);
}

static void *watch_once(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_run(run_wrong, NULL, NULL), 0);
    return NULL;
}

static int watch_while_others_stop(void *arg)
{
    pthread_t others[4];

    (void)arg;
    CHECK_EQ(bide_watchdog_start(BIDE_MS(2)), 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 4; i++)
            CHECK_EQ(pthread_create(&others[i], NULL, watch_once, NULL), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(others[i], NULL);
        bide_sleep(BIDE_MS(10)); /* a tick with the default action would end the process */
    }
    bide_watchdog_stop();
    return 0;
}

static void watch_in_loop(void *arg)
{
    CHECK_EQ(bide_run(watch_while_others_stop, arg, NULL), 0);
}

/*
 * Goal:   a thread that stops its watchdog leaves those of the others alone.
 * Method: threads come and go with theirs while one goes on; it must not die of its own ticks.
 */
TEST(watchdog, threads_do_not_disturb_each_other)
{
    int status;

    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP(NO_TIMER);
    free(test_capture_stderr(watch_in_loop, NULL, &status));
    CHECK_EQ(status, 0);
}
