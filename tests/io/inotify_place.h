/* SPDX-License-Identifier: MIT */
/*
 * inotify_place.h - what the tests of inotify share: a directory of the case's own, and the next
 * event or its absence.
 */
#ifndef BIDE_TESTS_IO_INOTIFY_PLACE_H
#define BIDE_TESTS_IO_INOTIFY_PLACE_H

#include <bide.h>

#include <bide/short.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

static char place[200]; /* the case's own directory */

static inline void in_place(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", place, name);
}

static inline void empty_place(void)
{
    DIR *dir = opendir(place);
    struct dirent *entry;
    char path[512];

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        in_place(entry->d_name, path);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            CHECK(unlink(path) == 0 || rmdir(path) == 0);
    }
    closedir(dir);
}

static inline int run(int (*scenario)(void *), void *arg)
{
    const char *base = getenv("TMPDIR");
    int before = test_open_fds(), result;

    snprintf(place, sizeof place, "%s/bide-inotify-XXXXXX", base != NULL ? base : "/tmp");
    CHECK(mkdtemp(place) != NULL);
    result = bide_run(scenario, arg, NULL);
    CHECK_EQ(test_open_fds(), before);
    empty_place();
    CHECK_EQ(rmdir(place), 0);
    return result;
}

/* Make the file, or add to it. */
static inline void touch(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    in_place(name, path);
    file = fopen(path, "ae");
    CHECK(file != NULL);
    fputs(text, file);
    CHECK_EQ(fclose(file), 0);
}

static inline void delete (const char *name)
{
    char path[512];

    in_place(name, path);
    CHECK_EQ(unlink(path), 0);
}

/* Watching the directory from now on. */
static inline bide_inotify *watch_place(uint32_t mask)
{
    bide_inotify *inotify;

    CHECK_EQ(bide_inotify_open(&inotify), 0);
    CHECK(bide_inotify_add(inotify, place, mask) > 0);
    return inotify;
}

static inline bool is_quiet(bide_inotify *inotify)
{
    bide_inotify_event event;
    int err = 0;

    with_timeout (BIDE_MS(2))
        err = bide_inotify_next(inotify, &event);
    return err == -ETIMEDOUT;
}

static inline void expect(bide_inotify *inotify, uint32_t mask, const char *name)
{
    bide_inotify_event event = {0};
    int err = 0;

    with_timeout (BIDE_SEC(5))
        err = bide_inotify_next(inotify, &event);
    CHECK_EQ(err, 0);
    CHECK_EQ(event.mask, mask);
    CHECK_STR(event.name, name);
}

/* More events than the kernel keeps; equal neighbours would be merged. */
static inline void flood(long count)
{
    char path[2][512];

    touch("even", "");
    touch("odd", "");
    in_place("even", path[0]);
    in_place("odd", path[1]);
    for (long i = 0; i < count; i++)
        CHECK_EQ(chmod(path[i % 2], 0600), 0);
}

#endif
