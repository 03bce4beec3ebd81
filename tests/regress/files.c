/* SPDX-License-Identifier: MIT */
/*
 * Mistakes once made about files.
 */
#include <bide.h>
#include <bide/short.h>
#include <bide/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static int writes_into_a_closed_pipe(void *arg)
{
    bide_file *file;
    int ends[2];

    (void)arg;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    CHECK_EQ(bide_file_of_fd(ends[1], &file), 0);
    CHECK_EQ(bide_file_write(file, "x", 1), -EPIPE);
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   a file call that is made on the loop's own thread raises no signal either.
 * Method: a pipe that nobody reads, under a virtual clock.
 */
TEST(files, write_on_the_loop_raises_no_sigpipe)
{
    CHECK_EQ(bide_test_run(writes_into_a_closed_pipe, NULL, 0, NULL), 0);
    CHECK_EQ(bide_run(writes_into_a_closed_pipe, NULL, NULL), 0);
}

static int replaces_a_long_name(void *arg)
{
    char path[512], name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    CHECK_EQ(bide_file_write_all(path, "abc", 3, 0600, BIDE_FILE_REPLACE), 0);
    CHECK_EQ(bide_path_unlink(path), 0);
    CHECK_EQ(bide_path_rmdir(arg), 0);
    return 0;
}

/*
 * Goal:   a file of the longest name can be replaced.
 * Method: 255 bytes.
 */
TEST(files, longest_name_can_be_replaced)
{
    char directory[] = "/tmp/bide-files-XXXXXX";

    CHECK(mkdtemp(directory) != NULL);
    CHECK_EQ(bide_run(replaces_a_long_name, directory, NULL), 0);
}

static int writes_what_a_peek_showed(void *arg)
{
    static char text[200000], got[sizeof text];
    const char *data;
    bide_stream *stream;
    bide_file *file;
    char path[64];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + (i >> 8));
    snprintf(path, sizeof path, "%s/both", (const char *)arg);
    for (size_t bytes = 5; bytes <= sizeof text; bytes *= 40) {
        CHECK_EQ(bide_file_write_all(path, text, sizeof text, 0600, 0), 0);
        CHECK_EQ(bide_file_open(path, O_RDWR, 0, &file), 0);
        CHECK_EQ(bide_file_stream(file, &stream), 0);
        CHECK_EQ(bide_stream_set_limit(stream, sizeof text), 0);
        CHECK(bide_peek(stream, &data, bytes) >= (ssize_t)bytes);
        CHECK_EQ(bide_write(stream, data, bytes), (ssize_t)bytes);
        CHECK_EQ(bide_flush(stream), 0);
        CHECK_EQ(bide_read_exact(stream, got, sizeof got), (ssize_t)(sizeof got - bytes));
        CHECK(memcmp(got, text + bytes, sizeof got - bytes) == 0);
        bide_close(stream);
    }
    CHECK_EQ(bide_path_unlink(path), 0);
    return bide_path_rmdir(arg);
}

/*
 * Goal:   what a peek has shown can be written to the same stream of a file. It was gone by then.
 * Method: few bytes and many, where reading and writing share a position.
 */
TEST(files, peeked_bytes_can_be_written_back)
{
    char directory[] = "/tmp/bide-files-XXXXXX";

    CHECK(mkdtemp(directory) != NULL);
    CHECK_EQ(bide_run(writes_what_a_peek_showed, directory, NULL), 0);
}

static int sends_from_the_end_of_the_world(void *arg)
{
    bide_stream *pair[2];
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_stream_pair(pair), 0);
    CHECK_EQ(bide_file_open("/dev/null", O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_sendfile(pair[0], file, INT64_MAX, 10), -EINVAL);
    CHECK_EQ(bide_file_close(file), 0);
    bide_close(pair[0]);
    bide_close(pair[1]);
    return 0;
}

/*
 * Goal:   an offset that no file has is refused.
 * Method: the largest one, and ten bytes from there; UBSan.
 */
TEST(files, sendfile_beyond_all_offsets_is_einval)
{
    CHECK_EQ(bide_run(sends_from_the_end_of_the_world, NULL, NULL), 0);
}
