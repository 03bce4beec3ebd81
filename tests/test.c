/* SPDX-License-Identifier: MIT */
/*
 * test.c - runs test cases, each in a forked child and process group of its own.
 *
 * The parent never touches the library under test: it forks, waits with a time limit, and kills the
 * whole group of a case that does not end. A case that passes leaves through exit(), so that leak
 * checkers and atexit handlers have their say; a case that fails leaves through _exit(), at once.
 */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef BIDE_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif
#ifndef __has_feature
#define __has_feature(x) 0
#endif

enum { PASSED = 0, FAILED = 1, USAGE = 2, SKIPPED = 77 }; /* 77 is ctest's SKIP_RETURN_CODE */

static struct test_case *first_case;
static struct test_case **last_link = &first_case;
static int count_passed, count_failed, count_skipped;

void test_register(struct test_case *test)
{
    *last_link = test;
    last_link = &test->next;
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
    static char text[4096]; /* a check may run on a coroutine's stack of a few kilobytes */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    dprintf(STDERR_FILENO, "%s:%d: failed: %s\n", file, line, text);
    _exit(FAILED);
}

_Noreturn void test_skip(const char *reason)
{
    fflush(stdout);
    dprintf(STDERR_FILENO, "skipped: %s\n", reason);
    _exit(SKIPPED);
}

void test_check_eq(long long a, long long b, const char *text, const char *file, int line)
{
    if (a != b)
        test_fail(file, line, "%s: %lld != %lld", text, a, b);
}

void test_check_str(const char *a, const char *b, const char *text, const char *file, int line)
{
    if (a == b || (a && b && strcmp(a, b) == 0))
        return;
    test_fail(file, line, "%s: \"%s\" and \"%s\"", text, a ? a : "(null)", b ? b : "(null)");
}

void test_check_contains(const char *haystack, const char *needle, const char *text,
                         const char *file, int line)
{
    if (haystack && strstr(haystack, needle))
        return;
    test_fail(file, line, "%s: it is \"%s\"", text, haystack ? haystack : "(null)");
}

uint64_t test_seed(void)
{
    const char *text = getenv("BIDE_TEST_SEED");
    return text ? strtoull(text, NULL, 0) : 1;
}

int test_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = -1; /* the directory's own descriptor */
    if (!dir)
        test_fail(__FILE__, __LINE__, "cannot list /proc/self/fd: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

bool test_under_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return true;
#else
    return false;
#endif
}

bool test_under_valgrind(void)
{
#ifdef BIDE_HAVE_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

bool test_under_qemu(void)
{
    return getenv("BIDE_TEST_EMULATED") != NULL;
}

static void no_core_dump(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* Returns true in the child, whose stderr the parent reads. */
bool test_child_start(struct test_child *child)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) < 0 || (child->pid = fork()) < 0)
        test_fail(__FILE__, __LINE__, "cannot start a child: %s", strerror(errno));
    if (child->pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        no_core_dump();
    }
    close(ends[1]);
    child->stderr_fd = ends[0];
    return child->pid == 0;
}

_Noreturn void test_child_survived(void)
{
    _exit(PASSED);
}

static char *child_finish(struct test_child *child, int *status)
{
    size_t used = 0, size = 4096;
    char *text = malloc(size);
    for (ssize_t got = 1; text && got > 0; used += (size_t)got) {
        if (size - used < 2)
            text = realloc(text, size *= 2);
        if (text)
            got = TEMP_FAILURE_RETRY(read(child->stderr_fd, text + used, size - used - 1));
        if (got < 0)
            got = 0;
    }
    if (!text)
        test_fail(__FILE__, __LINE__, "out of memory");
    text[used] = '\0';
    close(child->stderr_fd);
    if (TEMP_FAILURE_RETRY(waitpid(child->pid, status, 0)) < 0)
        test_fail(__FILE__, __LINE__, "the child was reaped by somebody else");
    return text;
}

char *test_capture_stderr(void (*fn)(void *), void *arg, int *status)
{
    struct test_child child;
    int ignored;
    if (test_child_start(&child)) {
        fn(arg);
        exit(PASSED);
    }
    return child_finish(&child, status ? status : &ignored);
}

void test_expect_death(struct test_child *child, const char *substring, const char *statement,
                       const char *file, int line)
{
    int status = 0;
    char *text = child_finish(child, &status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == PASSED)
        test_fail(file, line, "%s did not die; stderr: \"%s\"", statement, text);
    if (!strstr(text, substring))
        test_fail(file, line, "%s died without \"%s\"; stderr: \"%s\"", statement, substring, text);
    free(text);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Returns false when the child still runs at the deadline. SIGCHLD is blocked, so none is lost. */
static bool wait_until(pid_t pid, int64_t deadline_ns, const sigset_t *chld, int *status)
{
    while (waitpid(pid, status, WNOHANG) != pid) {
        int64_t left = deadline_ns - now_ns();
        if (left <= 0)
            return false;
        sigtimedwait(chld, NULL, &(struct timespec){left / 1000000000, left % 1000000000});
    }
    return true;
}

static void report(const struct test_case *test, bool ended, int status, int64_t took_ns)
{
    const char *verdict = "FAIL";
    char why[128] = "still running at the time limit, killed";
    if (ended && WIFSIGNALED(status))
        snprintf(why, sizeof why, "killed by signal %d, %s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (ended)
        snprintf(why, sizeof why, "exit status %d", WEXITSTATUS(status));

    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == PASSED)
        verdict = "ok";
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        verdict = "skip";
    *(*verdict == 'o' ? &count_passed : *verdict == 's' ? &count_skipped : &count_failed) += 1;
    printf("%-4s %s.%s (%lld ms)", verdict, test->suite, test->name, (long long)took_ns / 1000000);
    if (*verdict == 'F')
        printf(": %s (BIDE_TEST_SEED=%llu)", why, (unsigned long long)test_seed());
    printf("\n");
}

static void run_case(const struct test_case *test)
{
    const char *limit = getenv("BIDE_TEST_SECONDS");
    int64_t limit_ns = (limit ? atoll(limit) : 55) * INT64_C(1000000000), start_ns = now_ns();
    sigset_t chld, before;
    int status = 0;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &before);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        no_core_dump();
        test->run();
        exit(PASSED);
    }
    if (pid < 0)
        test_fail(__FILE__, __LINE__, "cannot fork: %s", strerror(errno));
    setpgid(pid, pid);
    bool ended = wait_until(pid, start_ns + limit_ns, &chld, &status);
    kill(-pid, SIGKILL); /* what is left of the group, grandchildren included */
    if (!ended)
        waitpid(pid, &status, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    report(test, ended, status, now_ns() - start_ns);
}

/* A case answers to its own name and to suite.name; a null name means all. */
static bool is_named(const struct test_case *test, const char *name)
{
    if (!name || strcmp(name, test->name) == 0)
        return true;
    size_t length = strlen(test->suite);
    return strncmp(name, test->suite, length) == 0 && name[length] == '.' &&
           strcmp(name + length + 1, test->name) == 0;
}

static int run_named(const char *name)
{
    int found = 0;
    for (struct test_case *test = first_case; test; test = test->next) {
        if (!is_named(test, name))
            continue;
        found++;
        run_case(test);
    }
    if (!found && name)
        fprintf(stderr, "there is no case named %s; see --list\n", name);
    return found;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct test_case *test = first_case; test; test = test->next)
            printf("%s.%s\n", test->suite, test->name);
        return PASSED;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 1)
        run_named(NULL);
    for (int i = 1; i < argc; i++)
        if (!run_named(argv[i]))
            return USAGE;

    if (argc != 2)
        printf("%d passed, %d failed, %d skipped\n", count_passed, count_failed, count_skipped);
    if (count_failed)
        return FAILED;
    if (count_passed)
        return PASSED;
    if (count_skipped)
        return SKIPPED;
    printf("FAIL: no test ran\n");
    return FAILED;
}
