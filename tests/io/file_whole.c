/* SPDX-License-Identifier: MIT */
/*
 * file_whole.c - whole files at once.
 */
#include "files.h"

#include <bide/short.h>

static int count_entries(void)
{
    DIR *directory = opendir(files_directory);
    int count = -2; /* "." and ".." */

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static int goes_there_and_back(void *arg)
{
    const char *path = files_path("f");
    char *data = NULL, *large;
    size_t bytes = 7;

    (void)arg;
    for (unsigned flags = 0; flags <= BIDE_FILE_REPLACE; flags++) {
        CHECK_EQ(bide_file_write_all(path, "twelve bytes", 12, 0600, flags), 0);
        CHECK_EQ(bide_file_write_all(path, "four", 4, 0600, flags), 0);
        CHECK(files_holds(path, "four", 4));
        CHECK_EQ(bide_file_read_all(path, 4, &data, &bytes), 0);
        CHECK_EQ(bytes, 4);
        CHECK_STR(data, "four");
        free(data);
        CHECK_EQ(count_entries(), 1);
    }
    data = NULL;
    CHECK_EQ(bide_file_read_all(path, 3, &data, &bytes), -EFBIG);
    CHECK_EQ(bide_file_read_all(files_path("none"), 3, &data, &bytes), -ENOENT);
    CHECK_EQ(bide_file_read_all(files_directory, 3, &data, &bytes), -EISDIR);
    CHECK_EQ(bide_file_read_all("/proc/self/maps", 3, &data, &bytes), -EFBIG);
    CHECK(data == NULL && bytes == 4);
    CHECK_EQ(bide_file_read_all("/proc/self/maps", SIZE_MAX, &data, NULL), 0); /* has no size */
    CHECK(strlen(data) > 100);
    free(data);
    CHECK_EQ(bide_file_write_all(path, NULL, 0, 0600, 0), 0);
    CHECK_EQ(bide_file_read_all(path, 0, &data, &bytes), 0);
    CHECK_EQ(bytes, 0);
    CHECK_STR(data, "");
    free(data);
    large = calloc(1, 3 << 20);
    CHECK(large != NULL);
    CHECK_EQ(bide_file_write_all(path, large, 3 << 20, 0600, BIDE_FILE_REPLACE), 0);
    CHECK(files_holds(path, large, 3 << 20));
    free(large);
    CHECK_EQ(bide_file_write_all(files_path("none/f"), "", 0, 0600, 0), -ENOENT);
    CHECK_EQ(bide_file_write_all(files_path("none/f"), "", 0, 0600, BIDE_FILE_REPLACE), -ENOENT);
    return 0;
}

/*
 * Goal:   what is written is read, whatever was there before; limits and errors hold.
 * Method: shorter over longer, empty, large, a file of /proc without a size, missing ones.
 */
TEST(file_whole, what_is_written_is_read)
{
    CHECK_EQ(files_run(goes_there_and_back, NULL), 0);
}

static int replaces_or_not(void *arg)
{
    enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_OPEN, BIDE__CALL_WRITE, BIDE__CALL_FILE,
                               BIDE__CALL_CLOSE};
    const char *path = files_path("f");
    int open_before;

    (void)arg;
    CHECK_EQ(bide_file_write_all(path, "old", 3, 0600, BIDE_FILE_REPLACE), 0);
    open_before = test_open_fds();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        uint64_t nth = 1, fired;
        do {
            int err;
            files_write(path, "old", 3);
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, calls[i] == BIDE__CALL_ALLOC ? -ENOMEM : -EIO);
            err = bide_file_write_all(path, "brand new", 9, 0600, BIDE_FILE_REPLACE);
            fired = bide__fault_count(calls[i]);
            bide__fault_reset();
            CHECK(err == 0 ? files_holds(path, "brand new", 9) : files_holds(path, "old", 3));
            CHECK(err == 0 || fired >= nth);
            CHECK_EQ(count_entries(), 1);
            CHECK_EQ(test_open_fds(), open_before);
            CHECK(nth < 100);
        } while (fired >= nth++);
    }
    return 0;
}

/*
 * Goal:   a replacement that fails leaves the old file, and nothing beside it.
 * Method: fail each allocation and system call in turn.
 */
TEST(file_whole, failed_replacement_leaves_the_old_file)
{
    CHECK_EQ(files_run(replaces_or_not, NULL), 0);
}

static async(int, replaces, const char *, path, char *, data, size_t, bytes)
{
    return bide_file_write_all(path, data, bytes, 0600, BIDE_FILE_REPLACE);
}

static int is_cancelled_midway(void *arg)
{
    const size_t bytes = 1 << 20;
    char *data = calloc(1, bytes);
    int done = 0, given_up = 0;

    (void)arg;
    CHECK(data != NULL);
    for (int turns = 0; turns < 40; turns++) {
        const char *path = files_path("f");
        int err;
        files_write(path, "old", 3);
        task(int) replacer = spawn(replaces, path, data, bytes);
        for (int i = 0; i < turns; i++)
            bide_sleep(BIDE_US(100));
        cancel(replacer);
        err = await(replacer);
        CHECK(err == 0 || err == -ECANCELED);
        CHECK(err == 0 ? files_holds(path, data, bytes) : files_holds(path, "old", 3));
        CHECK_EQ(count_entries(), 1);
        done += err == 0;
        given_up += err != 0;
    }
    CHECK(given_up > 0);
    free(data);
    return done >= 0 ? 0 : 1;
}

/*
 * Goal:   so does one that is cancelled, wherever.
 * Method: cancel after ever more time.
 */
TEST(file_whole, cancelled_replacement_leaves_the_old_file)
{
    CHECK_EQ(files_run(is_cancelled_midway, NULL), 0);
}
