/* SPDX-License-Identifier: MIT */
/*
 * sync_quiet.h - the quiet phase: each object that the chaos has left behind does a fixed amount of
 * work, with nothing that would end a wait but what is waited for.
 *
 * A role is what one of its tasks does. What is closed stays closed, and says so at once.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_QUIET_H
#define BIDE_TESTS_STRESS_SYNC_QUIET_H

#include "stress/sync_generators.h"

enum { WORK = 3 };

static int ended_with(int i, int closed)
{
    return w.flows[i].is_closed ? closed : 0;
}

static void role_sender(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++)
        MUST(send_to(a, i) == ended_with(i, -EPIPE));
}

static void role_receiver(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++)
        MUST(receive_from(a, i) == ended_with(i, -EPIPE));
}

static void role_putter(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++)
        MUST(put_into(a, i) == ended_with(CHANS + i, -EPIPE));
}

static void role_getter(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++) {
        MUST(get_from(a, i) == ended_with(CHANS + i, -EPIPE));
        op_yield(a);
        if (!w.flows[CHANS + i].is_closed)
            queue_done(i);
    }
}

static void role_joiner(struct actor *a, int i)
{
    op_yield(a);
    MUST(join(a, i) == 0);
}

static void role_locker(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++) {
        MUST(lock(a, i) == 0);
        op_yield(a);
        unlock(a, i);
    }
}

/* Two of them take turns. */
static void role_player(struct actor *a, int i)
{
    int me = a->number % 2;

    for (int n = 0; n < WORK; n++) {
        MUST(lock(a, i) == 0);
        while (w.mutexes[i].turn != me)
            MUST(cond_wait(a, i) == 0);
        w.mutexes[i].turn = !me;
        cond_signal(i, true);
        unlock(a, i);
    }
}

static void role_taker(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++) {
        size_t permits = 1 + (size_t)pick(a, (int)w.sems[i].permits);
        MUST(acquire(a, i, permits) == 0);
        op_yield(a);
        release(i, permits);
    }
}

static void role_reader(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++) {
        MUST(read_lock(a, i, false) == 0);
        op_yield(a);
        read_unlock(a, i);
    }
}

static void role_writer(struct actor *a, int i)
{
    for (int n = 0; n < WORK; n++) {
        MUST(write_lock(a, i, false) == 0);
        op_yield(a);
        write_unlock(a, i);
    }
}

static void role_watcher(struct actor *a, int i)
{
    MUST(event_wait(a, i) == 0);
}

static void role_setter(struct actor *a, int i)
{
    op_yield(a);
    bide_event_set(&w.events[i]);
}

static void role_party(struct actor *a, int i)
{
    (void)i;
    for (int n = 0; n < WORK; n++)
        MUST(barrier_wait(a) >= 0);
}

static void role_caller(struct actor *a, int i)
{
    MUST(do_once(a, i, true) >= 0);
}

static void role_counter(struct actor *a, int i)
{
    (void)i;
    op_yield(a);
    waitgroup_add(-1);
}

static void role_waiter(struct actor *a, int i)
{
    (void)i;
    MUST(waitgroup_wait(a) == 0);
}

static void role_speaker(struct actor *a, int i)
{
    (void)i;
    for (int n = 0; n < WORK; n++) {
        send_broadcast();
        set_watch();
        op_yield(a);
    }
}

/* Hears and sees what the speakers say to the end; `turn` of i tells when that is. */
static void role_hearer(struct actor *a, int i)
{
    bide_cursor cursor = broadcast_subscribe(w.broadcast.b);
    uint64_t next = w.broadcast.sent;
    int result = 0;

    (void)i;
    while (result == 0 || result == -EOVERFLOW || result == -EAGAIN)
        result = next == w.quiet.heard ? -EPIPE : hear(a, &cursor, &next);
    MUST(next == w.quiet.heard);
}

static void role_seer(struct actor *a, int i)
{
    uint64_t seen = 0;

    (void)i;
    while (seen < w.quiet.seen)
        MUST(see(a, &seen) == 0);
}

static void role_spender(struct actor *a, int i)
{
    (void)i;
    for (int n = 0; n < WORK; n++)
        MUST(rate_acquire(a, 1 + pick(a, (int)w.rate.burst), false) == 0);
}

static void role_ticked(struct actor *a, int i)
{
    (void)i;
    MUST(tick(a) > 0);
}

static void role_awaiter(struct actor *a, int i)
{
    share_await(a, w.slots[i]);
}

static void role_fulfiller(struct actor *a, int i)
{
    op_yield(a);
    promise_end(a, w.slots[i]);
}

static void role_consumer(struct actor *a, int i)
{
    (void)i;
    op_generator(a);
    op_for_each(a);
}

static const struct role {
    const char *name;
    void (*play)(struct actor *a, int index);
    int objects; /* of that kind */
    int players; /* for each */
} roles[] = {
    {"sender", role_sender, CHANS, 2},   {"receiver", role_receiver, CHANS, 2},
    {"putter", role_putter, QUEUES, 2},  {"getter", role_getter, QUEUES, 2},
    {"joiner", role_joiner, QUEUES, 1},  {"locker", role_locker, MUTEXES, 2},
    {"taker", role_taker, SEMS, 3},      {"reader", role_reader, RWLOCKS, 2},
    {"writer", role_writer, RWLOCKS, 1}, {"watcher", role_watcher, EVENTS, 2},
    {"setter", role_setter, EVENTS, 1},  {"caller", role_caller, ONCES, 2},
    {"counter", role_counter, 1, 2},     {"waiter", role_waiter, 1, 1},
    {"speaker", role_speaker, 1, 1},     {"hearer", role_hearer, 1, 2},
    {"seer", role_seer, 1, 1},           {"spender", role_spender, 1, 2},
    {"ticked", role_ticked, 1, 2},       {"awaiter", role_awaiter, 1, 2},
    {"fulfiller", role_fulfiller, 1, 1}, {"consumer", role_consumer, 1, 1},
    {"player", role_player, 1, 2},       {"party", role_party, 1, 0},
};

static async(int, plays, int, number, const struct role *, role, int, index)
{
    struct actor *a = &w.actors[number];

    a->task = bide__loop_here->current;
    a->operation = role->name;
    role->play(a, index);
    a->operation = "ending";
    actor_over(a);
    return 0;
}

/* What was put into an open queue comes out in its order. */
static void queues_keep_order(struct actor *a)
{
    for (int i = 0; i < QUEUES; i++) {
        enum bide_queue_order order = w.queues[i].options.order;
        struct item put[WORK + 2], got;
        int count = 0;

        while (count < WORK + 2 && try_put_into(a, i, &put[count]) == 0)
            count++;
        for (int left = count; left > 0; left--) {
            int first = -1;
            for (int n = 0; n < count; n++)
                if (put[n].number > 0 &&
                    (first < 0 || order == BIDE_QUEUE_LIFO ||
                     (order == BIDE_QUEUE_PRIORITY && put[n].priority < put[first].priority)))
                    first = n;
            MUST(queue_try_get(w.queues[i].q, &got) == 0);
            MUST(got.number == put[first].number);
            item_arrived(CHANS + i, got);
            queue_task_done(w.queues[i].q);
            put[first].number = 0;
        }
    }
}

static void quiet_prepare(struct actor *a)
{
    bide_barrier_reset(&w.barrier.barrier);
    for (int i = 0; i < EVENTS; i++)
        bide_event_clear(&w.events[i]);
    waitgroup_add(2);
    w.quiet.heard = w.broadcast.sent + (w.broadcast.is_closed ? 0 : WORK);
    w.quiet.seen = w.watch.version + (w.watch.is_closed ? 0 : WORK);
    if (promise_at(0) == NULL) { /* there were enough of them */
        w.promises_count = 0;
        promise_at(0);
    }
    share_take(w.slots[0]);
    share_take(w.slots[0]);
    (void)a;
}

static void quiet(struct actor *a)
{
    bide_group group = BIDE_GROUP_INIT;

    a->operation = "quiet";
    w.operations_left = 0;
    queues_keep_order(a);
    quiet_prepare(a);
    with_group (&group) {
        for (const struct role *role = roles; role < roles + sizeof roles / sizeof *roles; role++)
            for (int index = 0; index < role->objects; index++) {
                int players = role->play == role_party ? (int)w.barrier.parties : role->players;
                for (; players > 0; players--) {
                    struct actor *player = actor_new(NULL, 0);
                    MUST(player != NULL);
                    MUST(spawn_in(&group, plays, player->number, role, index) == 0);
                }
            }
    }
    MUST(group.error == 0 && w.living == 1);
}

#endif
