/* SPDX-License-Identifier: MIT */
/*
 * test.h - the test harness.
 *
 *     TEST(chan, recv_timeout_keeps_later_message)
 *     {
 *         CHECK_EQ(bide_chan_recv(ch, &v), -ETIMEDOUT);
 *     }
 *
 * Every case runs in a process of its own: it returns (passed, unless a sanitizer objects at exit),
 * a check fails or the process dies (failed), or it says SKIP. The build registers each case with
 * ctest by reading the TEST lines. A line with nothing but a comment "timeout: 300" (seconds) right
 * above a TEST, or in the file's head for all its cases, changes the time limit.
 *
 *     test_sync_chan              all cases, then "N passed, N failed, N skipped"
 *     test_sync_chan <case>...    these
 *     test_sync_chan --list       their names
 *
 * BIDE_TEST_SECONDS  time limit of one case (55)      BIDE_TEST_SEED  what test_seed() returns (1)
 */
#ifndef BIDE_TESTS_TEST_H
#define BIDE_TESTS_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct test_case {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

#define TEST(suite_, case_)                                                                        \
    static void test_run_##suite_##_##case_(void);                                                 \
    __attribute__((constructor)) static void test_add_##suite_##_##case_(void)                     \
    {                                                                                              \
        static struct test_case self = {#suite_, #case_, test_run_##suite_##_##case_, 0};          \
        test_register(&self);                                                                      \
    }                                                                                              \
    static void test_run_##suite_##_##case_(void)

/* Each ends the process with status 1 when it does not hold; safe on a small coroutine stack. */
#define CHECK(cond) ((cond) ? (void)0 : test_fail(__FILE__, __LINE__, "CHECK(%s)", #cond))
#define CHECK_EQ(a, b)                                                                             \
    test_check_eq((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_STR(a, b) test_check_str(a, b, #a " equals " #b, __FILE__, __LINE__)
#define CHECK_CONTAINS(haystack, needle)                                                           \
    test_check_contains(haystack, needle, #haystack " contains " #needle, __FILE__, __LINE__)
#define SKIP(reason) test_skip(reason)

/*
 * The statement, run in a forked child, must end that child by a signal or with a status other than
 * 0, with the substring in what it wrote to stderr.
 */
#define EXPECT_DEATH(statement, substring)                                                         \
    do {                                                                                           \
        struct test_child test_child_;                                                             \
        if (test_child_start(&test_child_)) {                                                      \
            statement;                                                                             \
            test_child_survived();                                                                 \
        }                                                                                          \
        test_expect_death(&test_child_, substring, #statement, __FILE__, __LINE__);                \
    } while (0)

/* Run fn(arg) in a forked child; returns its stderr, to be freed. NULL for no waitpid status. */
char *test_capture_stderr(void (*fn)(void *), void *arg, int *status);

uint64_t test_seed(void); /* for random tests: fixed, and printed when a case fails */
int test_open_fds(void);  /* how many descriptors this process has open */

/* How the case is being run, for those few that cannot work, or take too long, that way. */
bool test_under_sanitizer(void); /* ASan, TSan or MSan; UBSan alone does not count */
bool test_under_valgrind(void);
bool test_under_qemu(void);
#define TEST_UNDER_SANITIZER() test_under_sanitizer()
#define TEST_UNDER_VALGRIND() test_under_valgrind()
#define TEST_UNDER_QEMU() test_under_qemu()

/* What the macros above call. */
struct test_child {
    pid_t pid;
    int stderr_fd;
};

void test_register(struct test_case *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *reason);
void test_check_eq(long long a, long long b, const char *text, const char *file, int line);
void test_check_str(const char *a, const char *b, const char *text, const char *file, int line);
void test_check_contains(const char *haystack, const char *needle, const char *text,
                         const char *file, int line);
bool test_child_start(struct test_child *child);
_Noreturn void test_child_survived(void);
void test_expect_death(struct test_child *child, const char *substring, const char *statement,
                       const char *file, int line);

#endif
