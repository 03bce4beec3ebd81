/* SPDX-License-Identifier: MIT */
/*
 * producer_consumer.c - several tasks make work, several do it, and a bounded queue lies between.
 *
 * Nobody counts free places and nobody is woken by hand: who puts waits while the queue is full,
 * who gets waits while it is empty. The end comes in order: all is put, all is done, and only then
 * are those who wait for more told that there is none.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>

enum { COOKS = 3, DISHES = 40, WAITERS = 4, PLACES = 5, ALL = COOKS * DISHES };

struct dish {
    int cook, number;
};

struct tally {
    int served[COOKS][DISHES + 1]; /* how often */
    size_t most;                   /* dishes that stood in the queue at once */
};

static async(int, cook, queue(struct dish), counter, int, self)
{
    int err = 0;

    for (int number = 1; err == 0 && number <= DISHES; number++)
        err = queue_put(counter, ((struct dish){self, number})); /* waits when they pile up */
    return err;
}

static async(int, serve, queue(struct dish), counter, struct tally *, tally, int, self)
{
    struct dish dish;
    int err, served = 0;

    while ((err = queue_get(counter, &dish)) == 0) {
        if (queue_len(counter) > tally->most)
            tally->most = queue_len(counter);
        bide_sleep(BIDE_US(100 * (self + 1))); /* some walk faster, and serve more */
        tally->served[dish.cook][dish.number]++;
        served++;
        queue_task_done(counter);
    }
    printf("waiter %d served %d dishes\n", self, served);
    return err == -EPIPE ? 0 : err; /* shut down and empty: that is how it ends */
}

async_main
{
    queue(struct dish) counter = queue_new(struct dish, &(bide_queue_options){.capacity = PLACES});
    bide_group cooks = BIDE_GROUP_INIT, waiters = BIDE_GROUP_INIT;
    struct tally tally = {0};
    int right = 0;

    if (counter == NULL)
        return -ENOMEM;
    with_group (&waiters) {
        for (int i = 0; i < WAITERS; i++)
            spawn_in(&waiters, serve, counter, &tally, i);
        with_group (&cooks) {
            for (int i = 0; i < COOKS; i++)
                spawn_in(&cooks, cook, counter, i);
        }
        printf("all is cooked, %zu dishes wait\n", queue_len(counter));
        queue_join(counter);
        printf("all is served\n");
        queue_shutdown(counter, BIDE_QUEUE_DRAIN);
    }
    queue_free(counter);

    for (int i = 0; i < COOKS; i++)
        for (int number = 1; number <= DISHES; number++)
            right += tally.served[i][number] == 1;
    printf("%d of %d dishes were served once; at most %zu of %d places were taken\n", right, ALL,
           tally.most, PLACES);
    return cooks.error == 0 && waiters.error == 0 && right == ALL && tally.most <= PLACES ? 0 : 1;
}
