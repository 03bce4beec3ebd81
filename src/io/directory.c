/* SPDX-License-Identifier: MIT */
/*
 * directory.c - reading directories, a buffer of entries at a time.
 */
#include <bide/io/directory.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys_file.h"
#include "io/file.h"

enum { ENTRIES_BYTES = 32 * 1024 };

struct bide_directory {
    bide_file *file;
    bool is_read; /* a task is inside */
    size_t at;    /* the next entry */
    size_t end;   /* of what was read */
    char entries[ENTRIES_BYTES];
};

/* What getdents64(2) writes. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t bytes; /* of the whole entry: where the next one begins */
    uint8_t type;
    char name[];
};

int bide_directory_open(const char *path, bide_directory **out)
{
    bide_directory *directory;
    int err;

    bide__task_need("bide_directory_open");
    directory = bide__alloc(sizeof *directory);
    if (directory == NULL)
        return -ENOMEM;
    err = bide_file_open(path, O_RDONLY | O_DIRECTORY, 0, &directory->file);
    if (err < 0) {
        free(directory);
        return err;
    }
    directory->is_read = false;
    directory->at = directory->end = 0;
    *out = directory;
    return 0;
}

/* Read more entries, when there is none left. Returns whether there are some, or an error. */
static ssize_t fill(bide_directory *directory)
{
    bide_file_call call = {
        .verb = BIDE_FILE_ENTRIES,
        .fd = bide_file_fd(directory->file),
        .buf = directory->entries,
        .bytes = sizeof directory->entries,
    };
    ssize_t got;

    if (directory->at < directory->end)
        return 1;
    directory->is_read = true;
    got = bide__file_result(&call, "bide_directory_next");
    directory->is_read = false;
    if (got <= 0)
        return got;
    directory->at = 0;
    directory->end = (size_t)got;
    return 1;
}

int bide_directory_next(bide_directory *directory, bide_directory_entry *entry)
{
    struct bide_task *self = bide__task_need("bide_directory_next");
    ssize_t got;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (directory->is_read)
        return -EBUSY;
    directory->is_read = true;
    bide__budget_spend(self->loop);
    directory->is_read = false;
    while ((got = fill(directory)) > 0) {
        const char *raw = directory->entries + directory->at;
        const char *name = raw + offsetof(struct entry, name);
        struct entry head;

        memcpy(&head, raw, offsetof(struct entry, name));
        bide__assert(head.bytes > offsetof(struct entry, name));
        directory->at += head.bytes;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        *entry = (bide_directory_entry){.name = name, .inode = head.inode, .type = head.type};
        return 1;
    }
    return (int)got;
}

void bide_directory_close(bide_directory *directory)
{
    if (directory == NULL)
        return;
    bide__task_need("bide_directory_close");
    if (directory->is_read)
        bide__misuse("bide_directory_close: a task is inside bide_directory_next");
    bide_file_close(directory->file);
    free(directory);
}
