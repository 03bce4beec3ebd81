/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a mutex that two tasks contend for, and one that nobody else wants.
 *
 * Contended: each of two tasks locks, yields while it holds the lock, unlocks, and at once wants
 * the lock again. So the other one always waits, and each unlock of ours hands over, which is
 * counted. Other libraries may let the same task have it again.
 */
#include <bide.h>

#include "peers.h"

static size_t locks = 2000000; /* in a round */
static int rounds = 15;

static bide_mutex mutex = BIDE_MUTEX_INIT;
static int last_holder;
static double hand_overs;

static bide_async(int, contend, int, holder, size_t, count)
{
    size_t handed = 0;

    for (size_t i = 0; i < count; i++) {
        bide_mutex_lock(&mutex);
        handed += last_holder != holder;
        last_holder = holder;
        bide_yield();
        bide_mutex_unlock(&mutex);
    }
    hand_overs += (double)handed;
    return 0;
}

static double contended_round(size_t unused)
{
    double start = bench_now_ns();
    bide_task(int) one = bide_spawn(contend, 1, locks / 2);
    bide_task(int) other = bide_spawn(contend, 2, locks / 2);

    (void)unused;
    hand_overs = 0;
    last_holder = 0;
    bide_await(one);
    bide_await(other);
    return (bench_now_ns() - start) / (double)locks;
}

static double uncontended_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < locks; i++) {
        bide_mutex_lock(&mutex);
        bide_mutex_unlock(&mutex);
    }
    return (bench_now_ns() - start) / (double)locks;
}

static struct peer_match contended = {
    .title = "Contended: lock, yield, unlock, ns",
    .workload = "mutex",
    .contenders = {{.name = "Bide", .key = "contended", .round = contended_round}, PEERS_FCONTEXT},
    .own = 2,
};

static struct peer_match uncontended = {
    .title = "Uncontended: lock, unlock, ns",
    .workload = "mutex_uncontended",
    .contenders = {{.name = "Bide", .key = "uncontended", .round = uncontended_round},
                   PEERS_FCONTEXT},
    .own = 2,
};

static int measure(void *unused)
{
    (void)unused;
    peer_match_run(&contended, rounds);
    peer_match_run(&uncontended, rounds);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        locks /= 4;
        rounds = 7;
    }
    printf(
        "A mutex, held over a yield by two tasks in turn, and alone; %d interleaved rounds, ours\n"
        "of %zu locks. Go's does not hand over; State Threads has no yield but a sleep of 0.\n",
        rounds, locks);
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    peer_match_print(&contended);
    peer_match_print(&uncontended);
    printf("\n");
    bench_target_least("hand_overs_per_lock", hand_overs / (double)locks, 1);

    bench_json_open("sync/mutex");
    bench_json_title("Mutex");
    bench_json_number("rounds", rounds);
    peers_json();
    peer_match_json(&contended);
    peer_match_json(&uncontended);
    bench_json_close();
    return 0;
}
