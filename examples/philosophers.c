/* SPDX-License-Identifier: MIT */
/*
 * philosophers.c - five philosophers, five forks, and nobody eats with one: three ways to lock two
 * mutexes.
 *
 * Who holds one fork while waiting for the other can take part in a circle of such waits. A time
 * limit ends the circle; giving back, or one order for all, avoids it.
 */
#include <bide.h>
#include <bide/short.h>

#include <stdio.h>
#include <string.h>

enum { SEATS = 5, MEALS = 3 };

struct table {
    bide_mutex forks[SEATS]; /* zeroed memory is a free mutex */
    int meals[SEATS];
};

/* A way to get both forks: 0, or the error of a wait, and then none is held. */
typedef int way(bide_mutex *left, bide_mutex *right);

static int stubborn(bide_mutex *left, bide_mutex *right)
{
    int err = bide_mutex_lock(left);

    if (err < 0)
        return err;
    bide_sleep(BIDE_MS(1)); /* so that all have one before anyone wants the other */
    err = bide_mutex_lock(right);
    if (err < 0)
        bide_mutex_unlock(left);
    return err;
}

static int polite(bide_mutex *left, bide_mutex *right)
{
    for (;;) {
        int err = bide_mutex_lock(left);

        if (err < 0)
            return err;
        if (bide_mutex_try_lock(right) == 0)
            return 0;
        bide_mutex_unlock(left);
        err = bide_sleep(BIDE_US(200)); /* and then once more */
        if (err < 0)
            return err;
    }
}

static int orderly(bide_mutex *left, bide_mutex *right)
{
    return left < right ? stubborn(left, right) : stubborn(right, left);
}

static async(int, philosopher, struct table *, table, int, seat, way *, take_forks)
{
    bide_mutex *left = &table->forks[seat], *right = &table->forks[(seat + 1) % SEATS];

    for (int i = 0; i < MEALS; i++) {
        int err = take_forks(left, right);

        if (err < 0)
            return err;
        defer(bide_mutex_unlock, left);
        defer(bide_mutex_unlock, right);
        bide_sleep(BIDE_MS(1));
        table->meals[seat]++;
    }
    return 0;
}

/* Returns how many have had all their meals when everybody has got up. */
static int dine(const char *name, way *take_forks, bide_time limit)
{
    struct table table = {0};
    bide_group philosophers = BIDE_GROUP_INIT;
    int fed = 0, free_forks = 0;

    with_timeout (limit) {
        with_group (&philosophers) {
            for (int seat = 0; seat < SEATS; seat++)
                spawn_in(&philosophers, philosopher, &table, seat, take_forks);
        }
    }
    for (int seat = 0; seat < SEATS; seat++) {
        fed += table.meals[seat] == MEALS;
        free_forks += bide_mutex_try_lock(&table.forks[seat]) == 0;
    }
    printf("%s: %d fed, %d forks on the table, %s\n", name, fed, free_forks,
           strerror(-philosophers.error));
    return free_forks == SEATS ? fed : -1;
}

async_main
{
    int starved = dine("stubborn", stubborn, BIDE_MS(20));
    int fed = dine("polite  ", polite, BIDE_SEC(10)) + dine("orderly ", orderly, BIDE_SEC(10));

    return starved == 0 && fed == 2 * SEATS ? 0 : 1;
}
