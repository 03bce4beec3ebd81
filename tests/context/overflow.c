/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - what is said when a stack runs into its guard, and what happens to every other
 * fault.
 *
 * Needs -fstack-clash-protection for the case with the large frame (BIDE_HAVE_STACK_CLASH).
 */
#include "context/overflow.h"

#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context/sanitizer.h"
#include "test.h"

#pragma GCC diagnostic ignored "-Winfinite-recursion"

/* Its frame is used after the call, so that no compiler makes a loop of it. */
__attribute__((noinline)) static int recurse(volatile int *outer)
{
    volatile int here[16];

    here[0] = *outer + 1;
    return recurse(here) + here[0];
}

static async(int, recurses)
{
    volatile int start = 0;

    return recurse(&start);
}

static int spawns_recursion(void *options)
{
    return await(spawn_with(options, recurses));
}

static void overflows(void *options)
{
    bide_run(spawns_recursion, options, NULL);
}

static void overflows_first(void *arg)
{
    bide_options options = {.stack_bytes = 1 << 20};

    (void)arg;
    bide_run(recurses__run, NULL, &options);
}

/* The child died of the fault itself; a tool that watches it may exit instead. */
static void check_died_of(int signal, int status)
{
    if ((TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND()) && WIFEXITED(status))
        CHECK(WEXITSTATUS(status) != 0);
    else
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
}

/*
 * Goal:   an overflow is reported with the task's name, where it was spawned, the size of its stack
 *         and what to change; then the process dies of SIGSEGV, so that a core file shows the
 *         place.
 * Method: endless recursion in a child: on the default stack, on one with a name and size, and in
 *         the first task.
 */
TEST(overflow, report_names_task_site_size_and_remedy)
{
    int status = 0;
    bide_spawn_options named = {.stack_bytes = 65536, .name = "reader"};
    char *text = test_capture_stderr(overflows, NULL, &status);

    CHECK_CONTAINS(text, "bide: stack overflow: task 'recurses' #2 (spawned at ");
    CHECK_CONTAINS(text, "overflow.c:");
    CHECK_CONTAINS(text, "in spawns_recursion()) used up its stack of 262144 bytes");
    CHECK_CONTAINS(text, ".stack_bytes");
    check_died_of(SIGSEGV, status);
    free(text);

    text = test_capture_stderr(overflows, &named, &status);
    CHECK_CONTAINS(text, "bide: stack overflow: task 'reader' #2");
    CHECK_CONTAINS(text, "its stack of 65536 bytes");
    free(text);

    text = test_capture_stderr(overflows_first, NULL, &status);
    CHECK_CONTAINS(
        text,
        "bide: stack overflow: task 'main' #1 (the first) used up its stack of 1048576 bytes");
    free(text);
}

/* The build asks for -fstack-clash-protection; no compiler has it for RISC-V yet. */
#if defined(BIDE_HAVE_STACK_CLASH) && !defined(__riscv)
#define PROBING

__attribute__((noinline)) static int large_frame(size_t deep)
{
    volatile char memory[1 << 20];

    memory[deep] = 1;
    return memory[deep];
}

static async(int, makes_large_frame)
{
    static volatile size_t deep = 17; /* a constant would let the compiler shrink the frame */

    return large_frame(deep);
}

static int spawns_large_frame(void *arg)
{
    (void)arg;
    return await(spawn(makes_large_frame));
}

static void makes_frame_in_child(void *arg)
{
    bide_run(spawns_large_frame, arg, NULL);
}
#endif

/*
 * Goal:   a frame that is larger than stack and guard together is caught as well, in code that was
 *         compiled with -fstack-clash-protection.
 * Method: a megabyte of locals on the default stack, of which only the far end is touched.
 */
TEST(overflow, frame_larger_than_the_guard_is_caught)
{
#ifdef PROBING
    int status = 0;
    char *text = test_capture_stderr(makes_frame_in_child, NULL, &status);

    if (TEST_UNDER_SANITIZER() && strstr(text, "bide: stack overflow") == NULL)
        SKIP("the sanitizer writes to the frame before the probes do");
    CHECK_CONTAINS(text, "bide: stack overflow: task 'makes_large_frame' #2");
    check_died_of(SIGSEGV, status);
    free(text);
#else
    SKIP("built without -fstack-clash-protection");
#endif
}

static int inner_overflows(void *arg)
{
    return spawns_recursion(arg);
}

static int runs_inner(void *arg)
{
    return bide_test_run(inner_overflows, arg, 0, NULL);
}

static void overflows_inside(void *arg)
{
    bide_run(runs_inner, arg, NULL);
}

static void *overflows_on_thread(void *arg)
{
    overflows(arg);
    return NULL;
}

static void overflows_elsewhere(void *arg)
{
    bide_spawn_options named = {.name = "on thread"};
    pthread_t thread;

    (void)arg;
    pthread_create(&thread, NULL, overflows_on_thread, &named);
    pthread_join(thread, NULL);
}

/*
 * Goal:   the task that overflowed is named in a loop inside a task, and on a thread of its own.
 * Method: both in children.
 */
TEST(overflow, report_in_inner_loops_and_on_other_threads)
{
    char *text = test_capture_stderr(overflows_inside, NULL, NULL);

    CHECK_CONTAINS(text, "bide: stack overflow: task 'recurses' #2");
    free(text);
    text = test_capture_stderr(overflows_elsewhere, NULL, NULL);
    CHECK_CONTAINS(text, "bide: stack overflow: task 'on thread' #2");
    free(text);
}

static void overflows_unwatched(void *arg)
{
    bide_options options = {.no_overflow_report = true};

    bide_run(spawns_recursion, arg, &options);
}

/*
 * Goal:   the option switches the report off, and the guard still stops the overflow.
 * Method: look at what the child wrote, and how it died.
 */
TEST(overflow, report_can_be_switched_off)
{
    int status = 0;
    char *text = test_capture_stderr(overflows_unwatched, NULL, &status);

    CHECK(strstr(text, "bide:") == NULL);
    check_died_of(SIGSEGV, status);
    free(text);
}

static const char foreign_text[] = "the program's own handler\n";

static void foreign_handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_signo == SIGSEGV && write(STDERR_FILENO, foreign_text, strlen(foreign_text)) > 0)
        _exit(9);
    _exit(10);
}

static void plain_handler(int number)
{
    if (number == SIGSEGV && write(STDERR_FILENO, foreign_text, strlen(foreign_text)) > 0)
        _exit(9);
    _exit(10);
}

/* A page that nobody may touch, far from any stack. */
static volatile char *forbidden;

static int touches_forbidden(void *arg)
{
    (void)arg;
    return *forbidden;
}

static void faults(void *action)
{
    forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (action != NULL)
        sigaction(SIGSEGV, action, NULL);
    bide_run(touches_forbidden, NULL, NULL);
}

/*
 * Goal:   a fault that is no overflow goes to the handler that was there before, of either kind.
 * Method: install one, then touch a forbidden page in a task, in a child.
 */
TEST(overflow, other_faults_reach_the_earlier_handler)
{
    struct sigaction actions[] = {
        {.sa_sigaction = foreign_handler, .sa_flags = SA_SIGINFO},
        {.sa_handler = plain_handler},
    };

    for (int i = 0; i < 2; i++) {
        int status = 0;
        char *text = test_capture_stderr(faults, &actions[i], &status);
        CHECK_STR(text, foreign_text);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 9 || TEST_UNDER_VALGRIND());
        free(text);
    }
}

/*
 * Goal:   without an earlier handler such a fault ends the process by SIGSEGV, without a word about
 *         stacks.
 * Method: in a child; look at its status.
 */
TEST(overflow, other_faults_still_die_as_sigsegv)
{
    int status = 0;
    char *text = test_capture_stderr(faults, NULL, &status);

    CHECK(strstr(text, "bide:") == NULL);
    check_died_of(SIGSEGV, status);
    free(text);
}

enum { FLAGS = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

static int compares_actions(void *arg)
{
    struct sigaction *outside = arg, inside;

    sigaction(SIGSEGV, NULL, &inside);
    CHECK(inside.sa_sigaction != outside->sa_sigaction);
    return 0;
}

static int installs_plain(void *arg)
{
    (void)arg;
    struct sigaction action = {.sa_handler = plain_handler};

    return sigaction(SIGSEGV, &action, NULL);
}

/*
 * Goal:   when the last loop ends, handlers and alternate stack are as they were; a handler that
 *         the program installed meanwhile stays.
 * Method: compare before, during and after two runs, one inside the other; then install one in a
 *         task.
 */
TEST(overflow, handlers_and_alternate_stack_are_put_back)
{
    struct sigaction before[2], after[2];
    stack_t stack_before, stack_after;

    sigaction(SIGSEGV, NULL, &before[0]);
    sigaction(SIGBUS, NULL, &before[1]);
    sigaltstack(NULL, &stack_before);
    CHECK_EQ(bide_run(compares_actions, &before[0], NULL), 0);
    sigaction(SIGSEGV, NULL, &after[0]);
    sigaction(SIGBUS, NULL, &after[1]);
    sigaltstack(NULL, &stack_after);
    for (int i = 0; i < 2; i++) { /* the C library adds a flag of its own */
        CHECK(after[i].sa_handler == before[i].sa_handler);
        CHECK_EQ(after[i].sa_flags & FLAGS, before[i].sa_flags & FLAGS);
    }
    CHECK_EQ(stack_after.ss_flags, stack_before.ss_flags);
    CHECK((stack_before.ss_flags & SS_DISABLE) || stack_after.ss_sp == stack_before.ss_sp);
    CHECK_EQ(bide_run(installs_plain, NULL, NULL), 0);
    sigaction(SIGSEGV, NULL, &after[0]);
    CHECK(after[0].sa_handler == plain_handler);
}
