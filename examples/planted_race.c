/* SPDX-License-Identifier: MIT */
/*
 * planted_race.c - a race that plain order hides is found by trying seeds, and then mended.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>

static int seats, sold;

/* Looks first and takes afterwards; in between, somebody else looks. */
static async(int, buys_and_races)
{
    if (seats == 0)
        return -ENOENT;
    int err = bide_sleep(BIDE_MS(10)); /* pays: others run meanwhile */
    if (err == 0) {
        seats--;
        sold++;
    }
    return err;
}

/* Takes when it looks: no call in between lets others run. */
static async(int, buys)
{
    if (seats == 0)
        return -ENOENT;
    seats--;
    int err = bide_sleep(BIDE_MS(10));
    if (err == 0)
        sold++;
    else
        seats++;
    return err;
}

/* One seat, and a second customer who comes just when the first has paid. */
static int scenario(void *arg)
{
    const bool *is_mended = arg;

    seats = 1;
    sold = 0;
    task(int) first = *is_mended ? spawn(buys) : spawn(buys_and_races);
    bide_sleep(BIDE_MS(10));
    task(int) second = *is_mended ? spawn(buys) : spawn(buys_and_races);
    await(first);
    await(second);
    return seats == 0 && sold == 1 ? 0 : -EOVERFLOW;
}

int main(void)
{
    bool no = false, yes = true;
    uint64_t seed = 0;
    int plain = bide_test_run(scenario, &no, 0, NULL);
    int found = bide_test_seeds(scenario, &no, 1, 1000, NULL, &seed);
    int again = bide_test_run(scenario, &no, seed, NULL);
    int mended = bide_test_seeds(scenario, &yes, 1, 1000, NULL, NULL);

    printf("plain order %d, seed %d finds %d and again %d, mended %d\n", plain, (int)seed, found,
           again, mended);
    return plain == 0 && found == -EOVERFLOW && again == found && mended == 0 ? 0 : 1;
}
