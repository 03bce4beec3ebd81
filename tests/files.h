/* SPDX-License-Identifier: MIT */
/*
 * files.h - a directory for a test's files, and runs on whichever backend the program is built for:
 * threads, or with TEST_URING io_uring.
 */
#ifndef BIDE_TESTS_FILES_H
#define BIDE_TESTS_FILES_H

#include <bide.h>
#include <bide/testing.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "test.h"

#ifdef TEST_URING
#include <bide/uring.h>
enum { FILES_IN_RING = 1 };
#else
enum { FILES_IN_RING = 0 };
#endif

static char files_directory[128];

/* The path of a name in the test's directory; the last 64 stay. */
static inline const char *files_path(const char *name)
{
    static char paths[64][256];
    static int next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof paths[0], "%s/%s", files_directory, name);
    return path;
}

static inline void files_empty(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char inside[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        CHECK(snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) < (int)sizeof inside);
        if (unlink(inside) < 0) {
            files_empty(inside);
            CHECK_EQ(rmdir(inside), 0);
        }
    }
    closedir(directory);
}

static inline void files_make_directory(void)
{
    const char *place = getenv("TMPDIR");

    snprintf(files_directory, sizeof files_directory, "%.90s/bide-test-XXXXXX",
             place != NULL ? place : "/tmp");
    CHECK(mkdtemp(files_directory) != NULL);
}

static inline void files_remove_directory(void)
{
    files_empty(files_directory);
    CHECK_EQ(rmdir(files_directory), 0);
}

struct files_scenario {
    int (*run)(void *arg);
    void *arg;
};

static inline int files_first(void *arg)
{
    const struct files_scenario *scenario = arg;

#ifdef TEST_URING
    int err = bide_uring_start(NULL);
    if (err < 0 || test_under_valgrind()) { /* that does not see what the kernel writes */
        files_remove_directory();
        SKIP("no io_uring here");
    }
#endif
    return scenario->run(scenario->arg);
}

/* Threads end a moment after their loop, and close what they had of it. */
static inline void files_check_open(int before)
{
    for (int i = 0; i < 2000 && test_open_fds() != before; i++)
        usleep(1000);
    CHECK_EQ(test_open_fds(), before);
}

/* Run a scenario in a directory of its own; nothing may be left open. */
static inline int files_run_with(int (*run)(void *arg), void *arg, const bide_options *options)
{
    struct files_scenario scenario = {run, arg};
    int before = test_open_fds();
    int result;

    files_make_directory();
    result = bide_run(files_first, &scenario, options);
    files_remove_directory();
    files_check_open(before);
    return result;
}

static inline int files_run(int (*run)(void *arg), void *arg)
{
    return files_run_with(run, arg, NULL);
}

/* The plain view of a file, for comparing. */
static inline void files_write(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "we");

    CHECK(file != NULL);
    CHECK_EQ(fwrite(data, 1, bytes, file), bytes);
    CHECK_EQ(fclose(file), 0);
}

static inline bool files_holds(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "re");
    char *found = malloc(bytes + 1);
    bool same;

    CHECK(found != NULL);
    if (file == NULL) {
        free(found);
        return false;
    }
    same = fread(found, 1, bytes + 1, file) == bytes && memcmp(found, data, bytes) == 0;
    fclose(file);
    free(found);
    return same;
}

/* Let later reads find nothing in the page cache. */
static inline void files_forget_pages(int fd)
{
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

#endif
