/* SPDX-License-Identifier: MIT */
/*
 * offload.c - work that keeps a processor busy, on threads, while the loop goes on.
 *
 * Eight buffers are hashed at once, and a ticker counts on the loop meanwhile: were the hashing
 * done there, it could not tick. One more hash is cancelled; its await returns at once, although
 * nothing can stop the thread that is at it.
 */
#include <bide.h>
#include <bide/short.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BUFFERS = 8, BYTES = 1 << 20, PASSES = 8, TICKS = 5 };

static unsigned char buffers[BUFFERS][BYTES];

/* FNV-1a, several times over. It calls nothing of the library, as what runs on a thread must. */
static async(uint64_t, hash, const unsigned char *, bytes, size_t, count)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (int pass = 0; pass < PASSES; pass++)
        for (size_t i = 0; i < count; i++)
            sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* Count in `ticks` until cancelled. */
static async(int, tick, int *, ticks)
{
    bide_ticker ticker;

    bide_ticker_init(&ticker, BIDE_MS(1), BIDE_TICK_SKIP);
    while (bide_ticker_wait(&ticker) > 0)
        ++*ticks;
    return 0;
}

async_main
{
    uint64_t sums[BUFFERS];
    task(uint64_t) hashes[BUFFERS], unwanted;
    int ticks = 0, rounds = 0;
    bool is_right = true;
    task(int) ticker = spawn(tick, &ticks);

    for (int i = 0; i < BUFFERS; i++)
        memset(buffers[i], 'a' + i, BYTES);
    do { /* once, but on a machine that is very fast */
        for (int i = 0; i < BUFFERS; i++)
            hashes[i] = offload(hash, buffers[i], BYTES);
        for (int i = 0; i < BUFFERS; i++)
            sums[i] = await(hashes[i]);
        rounds++;
    } while (ticks < TICKS);
    printf("%d buffers hashed %s, and the loop ticked all the time\n", BUFFERS,
           rounds == 1 ? "once" : "more than once");

    unwanted = offload(hash, buffers[0], BYTES);
    cancel(unwanted);
    is_right = is_done(unwanted);
    await(unwanted); /* 0: a number that is no signed integer cannot say -ECANCELED */
    cancel(ticker);
    await(ticker);

    for (int i = 0; i < BUFFERS; i++) {
        printf("%c: %016" PRIx64 "\n", 'a' + i, sums[i]);
        is_right = is_right && sums[i] == hash(buffers[i], BYTES); /* a plain call, right here */
    }
    return is_right ? 0 : 1;
}
