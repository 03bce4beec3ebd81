/* SPDX-License-Identifier: MIT */
/*
 * tail.c - follow files by name as they grow, are truncated, or are replaced by new ones.
 *
 * Usage: tail FILE...
 *
 * A name is followed by watching its directory: that tells of what is written to the file, and of a
 * new file that takes the name over, as log rotation does it. Every event only says that there may
 * be something to do; what it is, the file itself tells. So events that the kernel had to drop
 * (IN_Q_OVERFLOW) or merge do no harm.
 *
 * Without arguments it checks itself: it follows a file in a directory of its own, while another
 * task writes, truncates, rotates and writes again.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tail {
    const char *path;
    int fd;       /* -1 while there is no such file */
    off_t offset; /* what stands before it was shown */
    void (*show)(struct tail *tail, const char *text, size_t bytes);
};

/* --- Following one file */

static void show_rest(struct tail *tail)
{
    struct stat now;
    char text[4096];
    ssize_t got;

    if (tail->fd < 0)
        return;
    if (fstat(tail->fd, &now) == 0 && now.st_size < tail->offset) {
        fprintf(stderr, "tail: %s was truncated\n", tail->path);
        tail->offset = 0;
    }
    while ((got = pread(tail->fd, text, sizeof text, tail->offset)) > 0) {
        tail->show(tail, text, (size_t)got);
        tail->offset += got;
    }
}

/* Does the name stand for another file than the one that is open? */
static bool is_replaced(const struct tail *tail)
{
    struct stat named, open;

    if (stat(tail->path, &named) < 0)
        return false; /* gone: what is open may still be written to */
    return tail->fd < 0 || fstat(tail->fd, &open) < 0 || named.st_ino != open.st_ino ||
           named.st_dev != open.st_dev;
}

static void catch_up(struct tail *tail)
{
    show_rest(tail); /* of the old file, before it is let go */
    while (is_replaced(tail)) {
        if (tail->fd >= 0)
            close(tail->fd);
        tail->fd = open(tail->path, O_RDONLY | O_CLOEXEC);
        tail->offset = 0;
        if (tail->fd < 0)
            return;
        show_rest(tail);
    }
}

static bool is_about(const struct tail *tail, const bide_inotify_event *event)
{
    const char *slash = strrchr(tail->path, '/');

    return (event->mask & IN_Q_OVERFLOW) ||
           strcmp(event->name, slash != NULL ? slash + 1 : tail->path) == 0;
}

/* Watch the directory in which the file is, or is to be. */
static int watch_directory(bide_inotify *inotify, const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[4096] = ".";

    if (slash != NULL && (size_t)(slash - path) + 2 > sizeof directory)
        return -ENAMETOOLONG;
    if (slash != NULL)
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path + 1), path);
    return bide_inotify_add(inotify, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
}

static async(int, follow, struct tail *, tail)
{
    bide_inotify *inotify;
    bide_inotify_event event;
    int err = bide_inotify_open(&inotify);

    if (err < 0)
        return err;
    err = watch_directory(inotify, tail->path);
    tail->fd = open(tail->path, O_RDONLY | O_CLOEXEC); /* after that, so that nothing is missed */
    while (err >= 0) {
        catch_up(tail);
        do
            err = bide_inotify_next(inotify, &event);
        while (err == 0 && !is_about(tail, &event));
    }
    if (tail->fd >= 0)
        close(tail->fd);
    bide_inotify_close(inotify);
    return err;
}

/* --- As a program */

static void print(struct tail *tail, const char *text, size_t bytes)
{
    (void)tail;
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
}

static int follow_all(char *paths[], int count)
{
    bide_group all = BIDE_GROUP_INIT;
    struct tail *tails = calloc((size_t)count, sizeof *tails);

    if (tails == NULL)
        return -ENOMEM;
    with_group (&all) {
        for (int i = 0; i < count; i++) {
            tails[i] = (struct tail){.path = paths[i], .show = print};
            spawn_in(&all, follow, &tails[i]);
        }
    }
    free(tails);
    fprintf(stderr, "tail: %s\n", strerror(-all.error));
    return 1;
}

/* --- As a check of itself */

static struct {
    char text[256]; /* all that was shown */
    bide_event changed;
} shown = {.changed = BIDE_EVENT_INIT};

static void collect(struct tail *tail, const char *text, size_t bytes)
{
    size_t length = strlen(shown.text);

    print(tail, text, bytes);
    if (length + bytes < sizeof shown.text)
        memcpy(shown.text + length, text, bytes);
    bide_event_set(&shown.changed);
}

/* Wait until exactly this has been shown since the start. */
static int expect(const char *text)
{
    int err = 0;

    with_timeout (BIDE_SEC(10)) {
        while (err == 0 && strcmp(shown.text, text) != 0) {
            bide_event_clear(&shown.changed);
            err = bide_event_wait(&shown.changed);
        }
    }
    if (err < 0)
        fprintf(stderr, "tail: wanted \"%s\", shown was \"%s\"\n", text, shown.text);
    return err;
}

static void put(const char *path, const char *mode, const char *text)
{
    FILE *file = fopen(path, mode);

    if (file == NULL)
        return;
    fputs(text, file);
    fclose(file);
}

static async(int, write_log, const char *, path)
{
    char old[128];
    int err;

    snprintf(old, sizeof old, "%s.1", path);
    put(path, "we", "created\n");
    if ((err = expect("created\n")) < 0)
        return err;
    put(path, "ae", "appended\n");
    if ((err = expect("created\nappended\n")) < 0)
        return err;
    put(path, "we", "short\n"); /* truncates it first */
    if ((err = expect("created\nappended\nshort\n")) < 0)
        return err;
    put(path, "ae", "last\n"); /* seen, though the file is moved away at once */
    rename(path, old);
    put(path, "we", "rotated\n");
    return expect("created\nappended\nshort\nlast\nrotated\n");
}

static int check(void)
{
    char directory[] = "/tmp/bide-tail-XXXXXX", path[64], old[80];
    int err;

    if (mkdtemp(directory) == NULL)
        return -errno;
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(old, sizeof old, "%s.1", path);
    struct tail tail = {.path = path, .show = collect};
    task(int) follower = spawn(follow, &tail);
    err = await(spawn(write_log, path));
    cancel(follower);
    if (await(follower) != -ECANCELED && err == 0)
        err = -EIO;
    unlink(path);
    unlink(old);
    rmdir(directory);
    return err == 0 ? 0 : 1;
}

async_main
{
    return argc > 1 ? follow_all(argv + 1, argc - 1) : check();
}
