/* SPDX-License-Identifier: MIT */
/*
 * directory.c - reading directories.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>
#include <sys/stat.h>

enum { ENTRIES = 3000 };

static int reads_all(void *arg)
{
    static bool seen[ENTRIES];
    bide_directory *directory;
    bide_directory_entry entry;
    struct stat status;
    int count = 0, got;

    (void)arg;
    for (int i = 0; i < ENTRIES; i++) {
        char name[64];
        snprintf(name, sizeof name, "a-file-with-a-rather-long-name-%d", i);
        files_write(files_path(name), "", 0);
    }
    CHECK_EQ(mkdir(files_path("sub"), 0700), 0);
    CHECK_EQ(bide_directory_open(files_directory, &directory), 0);
    while ((got = bide_directory_next(directory, &entry)) == 1) {
        int number;
        if (strcmp(entry.name, "sub") == 0) {
            CHECK(entry.type == DT_DIR || entry.type == DT_UNKNOWN);
            CHECK_EQ(bide_path_lstat(files_path("sub"), &status), 0);
            CHECK_EQ(entry.inode, status.st_ino);
            continue;
        }
        CHECK_EQ(sscanf(entry.name, "a-file-with-a-rather-long-name-%d", &number), 1);
        CHECK(!seen[number]);
        seen[number] = true;
        count++;
    }
    CHECK_EQ(got, 0);
    CHECK_EQ(count, ENTRIES);
    CHECK_EQ(bide_directory_next(directory, &entry), 0); /* and stays so */
    bide_directory_close(directory);
    bide_directory_close(NULL);
    return 0;
}

/*
 * Goal:   each entry is told once, with its kind and inode; "." and ".." are not.
 * Method: more entries than one read gives.
 */
TEST(directory, entries_are_told_once)
{
    CHECK_EQ(files_run(reads_all, NULL), 0);
}

static int gets_errors(void *arg)
{
    bide_directory *directory = arg;
    bide_directory_entry entry = {0};
    bide_scope scope = BIDE_SCOPE_INIT;

    files_write(files_path("f"), "", 0);
    CHECK_EQ(bide_directory_open(files_path("none"), &directory), -ENOENT);
    CHECK_EQ(bide_directory_open(files_path("f"), &directory), -ENOTDIR);
    CHECK(directory == arg);
    CHECK_EQ(bide_directory_open(files_directory, &directory), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        bide_directory *other = NULL;
        CHECK_EQ(bide_directory_next(directory, &entry), -ECANCELED);
        CHECK_EQ(bide_directory_open(files_directory, &other), -ECANCELED);
        CHECK(other == NULL);
    }
    CHECK_EQ(bide_directory_next(directory, &entry), 1);
    CHECK_STR(entry.name, "f"); /* it was not skipped */
    with_scope (&scope)
        bide_directory_close(directory);
    return 0;
}

/*
 * Goal:   errors come back; a cancel skips nothing; closing works in a cancelled scope.
 * Method: paths that are no directories, a scope that has fired.
 */
TEST(directory, errors_and_cancels_lose_nothing)
{
    int marker;

    CHECK_EQ(files_run(gets_errors, &marker), 0);
}

static int fails_in_turn(void *arg)
{
    enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_OPEN, BIDE__CALL_FILE};

    (void)arg;
    files_write(files_path("f"), "", 0);
    for (int i = 0; i < 3; i++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            bide_directory *directory;
            bide_directory_entry entry;
            int err, got = 0, count = 0;
            CHECK(nth < 100);
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, i == 0 ? -ENOMEM : -EIO);
            err = bide_directory_open(files_directory, &directory);
            while (err == 0 && (got = bide_directory_next(directory, &entry)) > 0)
                count++;
            failed = bide__fault_count(calls[i]) >= nth;
            bide__fault_reset();
            if (err == 0)
                bide_directory_close(directory);
            CHECK(failed || (err == 0 && got == 0 && count == 1));
            CHECK(!failed || err < 0 || got < 0 || count == 1);
        }
    }
    return 0;
}

/*
 * Goal:   whichever call fails, the error comes back and nothing is left open.
 * Method: fail each allocation and system call in turn.
 */
TEST(directory, each_failing_call_is_told)
{
    CHECK_EQ(files_run(fails_in_turn, NULL), 0);
}
