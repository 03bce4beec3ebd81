/* SPDX-License-Identifier: MIT */
/*
 * checksum.c - the checksums of all files below the directories that are given, as cksum-like lines
 * sorted by name: `checksum DIRECTORY...`. Without arguments it checks itself on a tree of its own.
 *
 * Each directory and each file is a task of one group, at most so many at a time. Small pieces are
 * summed in place, large ones on a thread, so that the loop stays free for the others; a ticker
 * says how far it is.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    AT_ONCE = 32,
    PIECE = 256 * 1024,
    OFFLOADED = 64 * 1024, /* from here on, a thread is worth its while */
};

struct line {
    char *path;
    uint32_t sum;
    int64_t bytes;
    int error;
};

struct walk {
    char **places; /* directories that wait to be read, files that wait to be summed */
    size_t place_count, place_room;
    struct line *lines;
    size_t line_count, line_room;
    int64_t bytes;
    int failed;
    bool is_quiet;
};

static uint32_t crc_table[256];

static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xedb88320u ^ value >> 1 : value >> 1;
        crc_table[i] = value;
    }
}

static async(uint32_t, crc, uint32_t, sum, const unsigned char *, data, size_t, bytes)
{
    sum = ~sum;
    for (size_t i = 0; i < bytes; i++)
        sum = crc_table[(sum ^ data[i]) & 0xff] ^ sum >> 8;
    return ~sum;
}

/* One more item of an array; the program ends without memory. */
static void *one_more(void *items, size_t *count, size_t *room, size_t bytes)
{
    if (*count == *room) {
        *room = *room == 0 ? 64 : *room * 2;
        items = realloc(items, *room * bytes);
        if (items == NULL)
            abort();
    }
    ++*count;
    return items;
}

static void remember(struct walk *walk, char *path, uint32_t sum, int64_t bytes, int error)
{
    walk->lines = one_more(walk->lines, &walk->line_count, &walk->line_room, sizeof *walk->lines);
    walk->lines[walk->line_count - 1] = (struct line){path, sum, bytes, error};
    walk->failed += error != 0;
}

static void put_place(struct walk *walk, char *path)
{
    walk->places =
        one_more(walk->places, &walk->place_count, &walk->place_room, sizeof *walk->places);
    walk->places[walk->place_count - 1] = path;
}

static int sum_file(struct walk *walk, const char *path, uint32_t *sum, int64_t *bytes)
{
    unsigned char *piece = malloc(PIECE);
    bide_file *file;
    ssize_t got = -ENOMEM;
    int err;

    if (piece == NULL)
        return -ENOMEM;
    err = bide_file_open(path, O_RDONLY, 0, &file);
    if (err < 0) {
        free(piece);
        return err;
    }
    while ((got = bide_file_pread(file, piece, PIECE, *bytes)) > 0) {
        if (got < OFFLOADED) {
            *sum = crc(*sum, piece, (size_t)got);
        } else {
            with_shield (BIDE_FOREVER) { /* the thread has our memory: wait for it */
                task(uint32_t) summed = offload(crc, *sum, piece, (size_t)got);
                *sum = summed != NULL ? await(summed) : crc(*sum, piece, (size_t)got);
            }
        }
        *bytes += got;
        walk->bytes += got;
    }
    bide_file_close(file);
    free(piece);
    return (int)got;
}

static int read_directory(struct walk *walk, const char *path)
{
    bide_directory *directory;
    bide_directory_entry entry;
    int got = bide_directory_open(path, &directory);

    if (got < 0)
        return got;
    while ((got = bide_directory_next(directory, &entry)) > 0) {
        size_t size = strlen(path) + strlen(entry.name) + 2;
        char *inside = malloc(size);
        if (inside == NULL)
            abort();
        snprintf(inside, size, "%s/%s", path, entry.name);
        put_place(walk, inside);
    }
    bide_directory_close(directory);
    return got;
}

/* What it is decides what is done. Symbolic links are left alone. */
static async(int, visit, struct walk *, walk, char *, path)
{
    struct stat status;
    uint32_t sum = 0;
    int64_t bytes = 0;
    int err = bide_path_lstat(path, &status);

    if (err == 0 && S_ISDIR(status.st_mode))
        err = read_directory(walk, path);
    else if (err == 0 && S_ISREG(status.st_mode))
        err = sum_file(walk, path, &sum, &bytes);
    if (err < 0 || S_ISREG(status.st_mode))
        remember(walk, path, sum, bytes, err);
    else
        free(path);
    return 0;
}

static async(int, progress, const struct walk *, walk)
{
    while (bide_sleep(BIDE_MS(200)) == 0)
        if (!walk->is_quiet)
            fprintf(stderr, "\r%zu files, %lld MiB ", walk->line_count,
                    (long long)(walk->bytes >> 20));
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->path, ((const struct line *)b)->path);
}

/* Visit what waits, and what is found by it, until there is nothing left. */
static void walk_all(struct walk *walk)
{
    bide_group visits = {.limit = AT_ONCE, .keep_results = true};
    task(int) ticker = spawn(progress, walk);
    task(int) ended;
    bool more;

    with_group (&visits) {
        do {
            while (walk->place_count > 0)
                spawn_in(&visits, visit, walk, walk->places[--walk->place_count]);
            more = bide_group_next(&visits, &ended) == 0;
            if (more)
                await(ended);
        } while (more);
    }
    cancel(ticker);
    await(ticker);
    qsort(walk->lines, walk->line_count, sizeof *walk->lines, by_path);
}

static void walk_free(struct walk *walk)
{
    for (size_t i = 0; i < walk->line_count; i++)
        free(walk->lines[i].path);
    free(walk->lines);
    free(walk->places);
}

static void print(const struct walk *walk)
{
    for (size_t i = 0; i < walk->line_count; i++) {
        const struct line *line = &walk->lines[i];
        if (line->error != 0)
            printf("%-8s %12s %s: %s\n", "-", "-", line->path, strerror(-line->error));
        else
            printf("%08x %12lld %s\n", (unsigned)line->sum, (long long)line->bytes, line->path);
    }
}

/* A tree of 60 files in 6 directories, the sums of which are known. */
static int check_itself(void)
{
    enum { DIRECTORIES = 6, FILES = 10, LARGE = 700000 };
    char root[] = "/tmp/bide-checksum-XXXXXX", path[128];
    struct walk walk = {.is_quiet = true};
    char *large = malloc(LARGE);
    bool is_right = large != NULL && mkdtemp(root) != NULL;

    if (!is_right)
        return 1;
    memset(large, 'b', LARGE);
    for (int d = 0; d < DIRECTORIES; d++) {
        snprintf(path, sizeof path, "%s/%d", root, d);
        is_right = bide_path_mkdir(path, 0700) == 0 && is_right;
        for (int f = 0; f < FILES; f++) {
            snprintf(path, sizeof path, "%s/%d/%d", root, d, f);
            is_right = bide_file_write_all(path, f == 0 ? large : "123456789", f == 0 ? LARGE : 9,
                                           0600, 0) == 0 &&
                       is_right;
        }
    }
    put_place(&walk, strdup(root));
    walk_all(&walk);
    print(&walk);
    is_right = is_right && walk.failed == 0 && walk.line_count == DIRECTORIES * FILES;
    for (size_t i = 0; is_right && i < walk.line_count; i++)
        is_right =
            walk.lines[i].sum == (i % FILES == 0 ? crc(0, (const unsigned char *)large, LARGE)
                                                 : 0xcbf43926); /* the check value of CRC-32 */
    for (size_t i = 0; i < walk.line_count; i++)
        bide_path_unlink(walk.lines[i].path);
    for (int d = 0; d < DIRECTORIES; d++) {
        snprintf(path, sizeof path, "%s/%d", root, d);
        bide_path_rmdir(path);
    }
    is_right = bide_path_rmdir(root) == 0 && is_right;
    walk_free(&walk);
    free(large);
    printf("%s\n", is_right ? "all as it should be" : "WRONG");
    return is_right ? 0 : 1;
}

async_main
{
    struct walk walk = {.is_quiet = !isatty(STDERR_FILENO)};

    crc_init();
    if (argc < 2)
        return check_itself();
    for (int i = 1; i < argc; i++)
        put_place(&walk, strdup(argv[i]));
    walk_all(&walk);
    if (!walk.is_quiet)
        fprintf(stderr, "\r%40s\r", "");
    print(&walk);
    printf("%zu files, %lld bytes, %d failed\n", walk.line_count, (long long)walk.bytes,
           walk.failed);
    walk_free(&walk);
    return walk.failed == 0 ? 0 : 1;
}
