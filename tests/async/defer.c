/* SPDX-License-Identifier: MIT */
/*
 * defer.c - functions that run when a block is left, by whatever way.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static char trace[64];

static void note(const char *text)
{
    CHECK(strlen(trace) + strlen(text) < sizeof trace);
    strcat(trace, text);
}

static int leaves_by_return(void)
{
    defer(note, "r");
    return strlen(trace) == 0 ? 5 : 6; /* evaluated before the deferred call */
}

/*
 * Goal:   deferred calls run when the block ends, last first, and after the returned value was
 *         computed.
 * Method: two in one block, one in a block inside, one before a return.
 */
TEST(defer, runs_last_first_when_the_block_ends)
{
    {
        defer(note, "a");
        defer(note, "b");
        {
            defer(note, "c");
            note("1");
        }
        note("2");
    }
    CHECK_STR(trace, "1c2ba");
    trace[0] = 0;
    CHECK_EQ(leaves_by_return(), 5);
    CHECK_STR(trace, "r");
}

/*
 * Goal:   break, continue, goto and the end of an iteration leave the block as well.
 * Method: a loop that ends its rounds in different ways.
 */
TEST(defer, runs_on_break_continue_and_goto)
{
    for (int i = 0; i < 4; i++) {
        defer(note, "d");
        if (i == 0)
            continue;
        if (i == 2)
            break;
        note("e");
    }
    note(".");
    for (;;) {
        defer(note, "g");
        goto out;
    }
out:
    note(".");
    CHECK_STR(trace, "dedd.g.");
}

struct box {
    int value;
};

static void empty(struct box *box)
{
    box->value = 0;
}

static int drop(const struct box *box)
{
    CHECK_EQ(box->value, 7);
    return 1;
}

/*
 * Goal:   the function takes its own pointer type, const or not, and may return something; the
 *         argument is taken at the time of the defer.
 * Method: typed functions, and a pointer that changes afterwards.
 */
TEST(defer, takes_typed_functions_and_the_argument_of_now)
{
    struct box first = {7}, second = {7};

    {
        struct box *box = &first;
        const struct box *kept = &second;
        defer(empty, box);
        defer(drop, kept);
        box = &second;
        CHECK_EQ(box->value, 7);
    }
    CHECK_EQ(first.value, 0);
    CHECK_EQ(second.value, 7);
}

static async(int, owner)
{
    defer(note, "x");
    with_timeout (BIDE_SEC(1)) {
        defer(free, malloc(10));
        defer(note, "y");
        int err = bide_sleep(BIDE_FOREVER);
        if (err < 0)
            return err;
    }
    note("not reached");
    return 0;
}

static int cancels_owner(void *arg)
{
    (void)arg;
    task(int) t = spawn(owner);
    bide_yield();
    cancel(t);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_STR(trace, "yx");
    CHECK_EQ(await(spawn(owner)), -ETIMEDOUT);
    return 0;
}

/*
 * Goal:   a cancelled task unwinds through its deferred calls.
 * Method: cancel it, and time it out, inside two blocks.
 */
TEST(defer, runs_when_a_cancelled_task_unwinds)
{
    CHECK_EQ(bide_test_run(cancels_owner, NULL, 0, NULL), 0);
    CHECK_STR(trace, "yxyx");
}

static generator(int, notes_its_end)
{
    defer(note, "g");
    yield_value(1);
}

static int defers_ends_of_typed_handles(void *arg)
{
    int first = 0;

    (void)arg;
    trace[0] = '\0';
    {
        chan(int) c = chan_new(int, 1);
        defer(chan_free, c);
        defer(chan_close, c);
        queue(long) q = queue_new(long, NULL);
        defer(queue_free, q);
        broadcast(int) b = broadcast_new(int, 1);
        defer(broadcast_free, b);
        watch(int) w = watch_new(int, 1);
        defer(watch_free, w);
        gen(int) g = generate(notes_its_end);
        defer(gen_free, g);
        CHECK_EQ(chan_send(c, 5), 0);
        CHECK(gen_next(g, &first));
    }
    CHECK_EQ(first, 1);
    CHECK_STR(trace, "g");
    return 0;
}

/*
 * Goal:   handles that carry a type are ended by a defer, as everything else that has an owner.
 * Method: one of each kind; the leak checker looks on, and a half-consumed generator unwinds.
 */
TEST(defer, ends_handles_that_carry_a_type)
{
    CHECK_EQ(bide_test_run(defers_ends_of_typed_handles, NULL, 0, NULL), 0);
}
