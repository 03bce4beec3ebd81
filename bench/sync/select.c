/* SPDX-License-Identifier: MIT */
/*
 * select.c - a select over eight unbuffered channels.
 *
 * One task sends to the channels in turn, one waits for all of them at once; the time is that of an
 * item. A plain receive from one such channel, by the same two tasks, shows what the select costs.
 */
#include <bide.h>

#include "peers.h"

enum { CHANNELS = 8 };

static size_t items = 2000000; /* in a round */
static int rounds = 15;

static bide_async(int, produce_in_turn, bide_chan(long) *, channels, size_t, used, size_t, count)
{
    for (size_t i = 0; i < count; i++)
        bide_chan_send(channels[i % used], (long)i);
    return 0;
}

static void select_all(bide_chan(long) *c, size_t count)
{
    long item;

    for (size_t i = 0; i < count; i++)
        bide_select_any(bide_on_recv(c[0], &item), bide_on_recv(c[1], &item),
                        bide_on_recv(c[2], &item), bide_on_recv(c[3], &item),
                        bide_on_recv(c[4], &item), bide_on_recv(c[5], &item),
                        bide_on_recv(c[6], &item), bide_on_recv(c[7], &item));
}

static void receive_all(bide_chan(long) channel, size_t count)
{
    long item;

    for (size_t i = 0; i < count; i++)
        bide_chan_recv(channel, &item);
}

static double items_round(size_t used)
{
    bide_chan(long) channels[CHANNELS];
    bide_task(int) producer;
    double start, end;

    for (int i = 0; i < CHANNELS; i++)
        channels[i] = bide_chan_new(long, 0);
    start = bench_now_ns();
    producer = bide_spawn(produce_in_turn, channels, used, items);
    if (used > 1)
        select_all(channels, items);
    else
        receive_all(channels[0], items);
    bide_await(producer);
    end = bench_now_ns();
    for (int i = 0; i < CHANNELS; i++)
        bide_chan_free(channels[i]);
    return (end - start) / (double)items;
}

static struct peer_match match = {
    .title = "Select over 8 channels, ns an item",
    .workload = "select8",
    .contenders = {{.name = "Bide", .key = "select8", .round = items_round, .parameter = CHANNELS},
                   {.name = "Bide, one channel and no select",
                    .key = "recv",
                    .round = items_round,
                    .parameter = 1},
                   PEERS_FCONTEXT},
    .own = 3,
};

static int measure(void *unused)
{
    (void)unused;
    peer_match_run(&match, rounds);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        items /= 4;
        rounds = 7;
    }
    printf(
        "Select: one task sends to 8 unbuffered channels in turn, one selects over all of them;\n"
        "%d interleaved rounds, ours of %zu items. GNU Pth: message ports and replies.\n",
        rounds, items);
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    peer_match_print(&match);

    bench_json_open("sync/select");
    bench_json_title("Select over 8 channels, an item");
    bench_json_number("rounds", rounds);
    peers_json();
    peer_match_json(&match);
    bench_json_close();
    return 0;
}
