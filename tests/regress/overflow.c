/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - mistakes that were made in handling faults.
 */
#include <bide.h>
#include <bide/testing.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static int sends_sigsegv(void *how)
{
    if (how == NULL)
        raise(SIGSEGV);
    else
        kill(getpid(), SIGBUS);
    return 0;
}

static void runs_sender(void *how)
{
    bide_run(sends_sigsegv, how, NULL);
}

/*
 * Goal:   a SIGSEGV or SIGBUS that somebody sent ends the process, as it would without us. No
 *         instruction faults again after the handler in that case, and the signal was lost.
 * Method: raise one and kill with the other inside a task, in children.
 */
TEST(overflow, sent_fault_signal_is_not_swallowed)
{
    const int signals[] = {SIGSEGV, SIGBUS};

    for (int i = 0; i < 2; i++) {
        int status = 0;
        char *text = test_capture_stderr(runs_sender, i == 0 ? NULL : &status, &status);
        CHECK(strstr(text, "bide:") == NULL);
        if (TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND())
            CHECK(status != 0);
        else
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        free(text);
    }
}

static void ignores_sigsegv(void *arg)
{
    signal(SIGSEGV, SIG_IGN);
    bide_run(sends_sigsegv, arg, NULL);
    exit(3);
}

/*
 * Goal:   a program that ignores SIGSEGV goes on ignoring those that are sent to it.
 * Method: raise one inside a task; the child lives on.
 */
TEST(overflow, sent_fault_signal_stays_ignored)
{
    int status = 0;

    free(test_capture_stderr(ignores_sigsegv, NULL, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}
