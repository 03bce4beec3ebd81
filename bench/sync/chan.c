/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels between two tasks: an unbuffered round trip, and items through a buffer.
 *
 * Round trip: one task sends a value through one channel and receives it from another; its partner
 * does the reverse. Buffered: one task sends and one receives, with room for 128. Times include
 * starting the partner and awaiting it.
 */
#include <bide.h>

#include "peers.h"

enum { CAPACITY = 128 };

static size_t operations = 2000000; /* in a round */
static int rounds = 15;

static bide_async(int, answer, bide_chan(long), ping, bide_chan(long), pong, size_t, count)
{
    long value;

    for (size_t i = 0; i < count; i++) {
        bide_chan_recv(ping, &value);
        bide_chan_send(pong, value);
    }
    return 0;
}

static double round_trip_round(size_t unused)
{
    bide_chan(long) ping = bide_chan_new(long, 0);
    bide_chan(long) pong = bide_chan_new(long, 0);
    double start = bench_now_ns(), end;
    bide_task(int) partner = bide_spawn(answer, ping, pong, operations);
    long value;

    (void)unused;
    for (size_t i = 0; i < operations; i++) {
        bide_chan_send(ping, (long)i);
        bide_chan_recv(pong, &value);
    }
    bide_await(partner);
    end = bench_now_ns();
    bide_chan_free(ping);
    bide_chan_free(pong);
    return (end - start) / (double)operations;
}

static bide_async(int, produce, bide_chan(long), items, size_t, count)
{
    for (size_t i = 0; i < count; i++)
        bide_chan_send(items, (long)i);
    return 0;
}

static double buffered_round(size_t unused)
{
    bide_chan(long) items = bide_chan_new(long, CAPACITY);
    double start = bench_now_ns(), end;
    bide_task(int) producer = bide_spawn(produce, items, operations);
    long item;

    (void)unused;
    for (size_t i = 0; i < operations; i++)
        bide_chan_recv(items, &item);
    bide_await(producer);
    end = bench_now_ns();
    bide_chan_free(items);
    return (end - start) / (double)operations;
}

static struct peer_match round_trip = {
    .title = "Unbuffered round trip, ns",
    .workload = "chan_round_trip",
    .contenders = {{.name = "Bide", .key = "round_trip", .round = round_trip_round},
                   PEERS_FCONTEXT},
    .own = 2,
};

static struct peer_match buffered = {
    .title = "Buffered (128), ns an item",
    .workload = "chan_buffered",
    .contenders = {{.name = "Bide", .key = "buffered", .round = buffered_round}, PEERS_FCONTEXT},
    .own = 2,
};

static int measure(void *unused)
{
    (void)unused;
    peer_match_run(&round_trip, rounds);
    peer_match_run(&buffered, rounds);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        operations /= 4;
        rounds = 7;
    }
    printf("Channels between two tasks; %d interleaved rounds, ours of %zu operations. State\n"
           "Threads has no channels: condition variables; GNU Pth: message ports.\n",
           rounds, operations);
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    peer_match_print(&round_trip);
    peer_match_print(&buffered);
    bench_target_most("round_trip_to_best_peer", peer_match_ratio(&round_trip), 1);

    bench_json_open("sync/chan");
    bench_json_title("Channels");
    bench_json_number("rounds", rounds);
    peers_json();
    peer_match_json(&round_trip);
    peer_match_json(&buffered);
    bench_json_close();
    return 0;
}
