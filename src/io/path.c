/* SPDX-License-Identifier: MIT */
/*
 * path.c - calls on names in the file system.
 */
#include <bide/io/path.h>

#include "io/file.h"

int bide_path_stat(const char *path, struct stat *status)
{
    bide_file_call call = {.verb = BIDE_FILE_STAT, .path = path, .status = status};

    bide__assert(path != NULL);
    return (int)bide__file_result(&call, "bide_path_stat");
}

int bide_path_lstat(const char *path, struct stat *status)
{
    bide_file_call call = {.verb = BIDE_FILE_STAT, .path = path, .status = status, .flags = 1};

    bide__assert(path != NULL);
    return (int)bide__file_result(&call, "bide_path_lstat");
}

int bide_path_rename(const char *from, const char *to)
{
    bide_file_call call = {.verb = BIDE_FILE_RENAME, .path = from, .other = to};

    return (int)bide__file_result(&call, "bide_path_rename");
}

int bide_path_unlink(const char *path)
{
    bide_file_call call = {.verb = BIDE_FILE_UNLINK, .path = path};

    return (int)bide__file_result(&call, "bide_path_unlink");
}

int bide_path_mkdir(const char *path, mode_t mode)
{
    bide_file_call call = {.verb = BIDE_FILE_MKDIR, .path = path, .mode = mode};

    return (int)bide__file_result(&call, "bide_path_mkdir");
}

int bide_path_rmdir(const char *path)
{
    bide_file_call call = {.verb = BIDE_FILE_RMDIR, .path = path};

    return (int)bide__file_result(&call, "bide_path_rmdir");
}
