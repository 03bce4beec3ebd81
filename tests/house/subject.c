/* SPDX-License-Identifier: MIT */
/*
 * subject.c - cases for harness.sh, which knows how each must end. Those that must fail are named
 * so.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *volatile lost;

TEST(subject, passes)
{
    CHECK(true);
    CHECK_EQ(-1, -1L);
    CHECK_STR("a", "a");
    CHECK_CONTAINS("haystack", "st");
}

TEST(subject, skips)
{
    SKIP("on purpose");
}

TEST(subject, passes_on_deaths)
{
    EXPECT_DEATH((fprintf(stderr, "last %s\n", "words"), abort()), "last words");
    EXPECT_DEATH((fprintf(stderr, "farewell\n"), _exit(3)), "farewell");
}

static void speak(void *arg)
{
    for (int i = 0; i < 3000; i++)
        fprintf(stderr, "%s\n", (const char *)arg);
}

TEST(subject, passes_on_captured_stderr)
{
    char word[] = "word";
    int status = -1;
    char *text = test_capture_stderr(speak, word, &status);
    CHECK_EQ(strlen(text), 3000 * 5);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(text);
}

TEST(subject, passes_and_leaves_no_descriptor)
{
    int before = test_open_fds(), ends[2];
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(test_open_fds(), before + 2);
    close(ends[0]);
    close(ends[1]);
    EXPECT_DEATH(abort(), "");
    CHECK_EQ(test_open_fds(), before);
}

TEST(subject, fails_check)
{
    CHECK(1 + 1 == 3);
}

TEST(subject, fails_check_eq)
{
    CHECK_EQ(40 + 2, 43);
}

TEST(subject, fails_check_str)
{
    CHECK_STR("left", NULL);
}

TEST(subject, fails_check_contains)
{
    CHECK_CONTAINS("haystack", "needle");
}

TEST(subject, fails_by_survival)
{
    EXPECT_DEATH((void)getpid(), "");
}

TEST(subject, fails_by_other_last_words)
{
    EXPECT_DEATH((fprintf(stderr, "oops\n"), abort()), "farewell");
}

TEST(subject, fails_by_signal)
{
    abort();
}

TEST(subject, fails_by_status)
{
    exit(3);
}

TEST(subject, fails_by_hanging)
{
    printf("child %ld\n", (long)getpid());
    fflush(stdout);
    if (fork() == 0)
        printf("grandchild %ld\n", (long)getpid());
    fflush(stdout);
    for (;;)
        pause();
}

TEST(subject, leaks)
{
    lost = malloc(100);
    CHECK(lost != NULL);
    lost = NULL;
}
