/* SPDX-License-Identifier: MIT */
/*
 * pubsub.c - one publisher, subscribers that keep up or do not, and a setting that all can look at.
 *
 * A broadcast never makes the publisher wait: who falls behind is told how much was missed, and
 * goes on from there. A watch holds one value, the latest: no use for a history, right for a
 * configuration.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>

enum { BURSTS = 6, BURST = 5, KEPT = 8, ALL = BURSTS * BURST };

struct reading {
    int number; /* from 0 */
    double celsius;
};

struct config {
    char unit;      /* 'C' or 'F' */
    int set_before; /* which burst */
};

struct count {
    int seen, missed;
    int right; /* of those seen, how many were the next after those seen or missed before */
};

static async(void, publish, broadcast(struct reading), readings, watch(struct config), config)
{
    int number = 0;

    for (int burst = 0; burst < BURSTS; burst++) {
        if (burst == BURSTS / 2) {
            watch_set(config, (struct config){'E', burst}); /* a slip: nobody gets to see it */
            watch_set(config, (struct config){'F', burst});
        }
        for (int i = 0; i < BURST; i++, number++)
            broadcast_send(readings, (struct reading){number, 20 + number * 0.1});
        bide_sleep(BIDE_MS(1));
    }
    broadcast_close(readings); /* the last ones can still be received */
    watch_close(config);
}

static async(int, subscribe, const char *, name, bide_time, pause, broadcast(struct reading),
             readings, watch(struct config), config, struct count *, count)
{
    bide_cursor cursor = BIDE_CURSOR_INIT; /* at the very first, not at the next to come */
    struct reading reading = {0};
    char unit;
    int err;

    while ((err = broadcast_recv(readings, &cursor, &reading)) == 0 || err == -EOVERFLOW) {
        if (err == -EOVERFLOW) {
            count->missed += (int)cursor.missed;
            continue;
        }
        count->right += reading.number == count->seen + count->missed;
        count->seen++;
        bide_sleep(pause);
    }
    unit = watch_get(config).unit;
    printf("%s: %d seen, %d missed, at last %.1f %c\n", name, count->seen, count->missed,
           unit == 'F' ? reading.celsius * 1.8 + 32 : reading.celsius, unit);
    return err == -EPIPE ? 0 : err;
}

static async(int, follow, watch(struct config), config, char *, units)
{
    struct config now;
    uint64_t seen = 0; /* at first the watch shows what it holds already */
    int err;

    while ((err = watch_next(config, &seen, &now)) == 0) {
        printf("config: %c before burst %d\n", now.unit, now.set_before);
        *units++ = now.unit;
    }
    return err == -EPIPE ? 0 : err;
}

async_main
{
    broadcast(struct reading) readings = broadcast_new(struct reading, KEPT);
    watch(struct config) config = watch_new(struct config, (struct config){'C', 0});
    bide_group all = BIDE_GROUP_INIT;
    struct count quick = {0}, slow = {0};
    char units[4] = "";
    bool is_right;

    if (readings == NULL || config == NULL)
        return -ENOMEM;
    with_group (&all) {
        spawn_in(&all, subscribe, "quick", 0, readings, config, &quick);
        spawn_in(&all, subscribe, "slow ", BIDE_MS(5), readings, config, &slow);
        spawn_in(&all, follow, config, units);
        spawn_in(&all, publish, readings, config);
    }
    broadcast_free(readings);
    watch_free(config);

    is_right = quick.seen == ALL && quick.right == ALL;
    is_right = is_right && slow.missed > 0 && slow.seen + slow.missed == ALL;
    is_right = is_right && slow.right == slow.seen && units[0] == 'C' && units[1] == 'F';
    return is_right && units[2] == '\0' && all.error == 0 ? 0 : 1;
}
