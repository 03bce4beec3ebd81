/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - generators in a row, each fed by the one before: numbers | filter | take | batch.
 *
 * Each is written as a loop of its own, as if it ran alone. It runs when its next value is asked
 * for, and no further: the source never ends, yet no more of it is read than is needed. The first
 * one waits for lines to come; whoever asks waits with it, and other tasks run.
 */
#include <bide.h>
#include <bide/short.h>

#include <stdio.h>
#include <stdlib.h>

enum { WANTED = 10, BATCH = 4 };

struct batch {
    int count;
    int numbers[BATCH];
};

static generator(int, numbers, bide_stream *, lines)
{
    char line[16];

    while (bide_read_line(lines, line, sizeof line) > 0)
        yield_value(atoi(line));
}

/* for_each frees the generator that it was given, so freeing the last one ends them all. */
static generator(int, filter, gen(int), in, bool (*)(int), is_wanted)
{
    for_each (n, in)
        if (is_wanted(n))
            yield_value(n);
}

static generator(int, take, gen(int), in, int, count)
{
    for_each (n, in) {
        yield_value(n);
        if (--count == 0)
            break;
    }
}

static generator(struct batch, batch, gen(int), in)
{
    struct batch batch = {0};

    for_each (n, in) {
        batch.numbers[batch.count++] = n;
        if (batch.count == BATCH) {
            yield_value(batch);
            batch.count = 0;
        }
    }
    if (batch.count > 0)
        yield_value(batch);
}

static bool is_square(int n)
{
    int root = 0;

    while (root * root < n)
        root++;
    return root * root == n;
}

/* Sends 1, 2, 3 and so on until nobody reads any more; returns how many. */
static async(int, count_up, bide_stream *, out)
{
    int sent = 0;

    while (bide_printf(out, "%d\n", sent + 1) > 0) {
        sent++;
        bide_sleep(BIDE_US(100));
    }
    bide_close(out);
    return sent;
}

async_main
{
    bide_stream *ends[2];
    int err = bide_stream_pair(ends), root = 0, batches = 0, sent;
    bool is_right = true;

    if (err < 0)
        return err;
    task(int) counting = spawn(count_up, ends[1]);
    gen(int) squares = generate(filter, generate(numbers, ends[0]), is_square);
    for_each (some, generate(batch, generate(take, squares, WANTED))) {
        printf("batch %d:", ++batches);
        for (int i = 0; i < some.count; i++) {
            root++;
            is_right = is_right && some.numbers[i] == root * root;
            printf(" %d", some.numbers[i]);
        }
        printf("\n");
    }
    bide_close(ends[0]);
    sent = await(counting);
    printf("%d lines were sent\n", sent);
    return is_right && root == WANTED && batches == 3 && sent < 2 * WANTED * WANTED ? 0 : 1;
}
