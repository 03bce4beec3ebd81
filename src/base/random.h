/* SPDX-License-Identifier: MIT */
/*
 * random.h - numbers that look random, the same ones again from the same start. Not for secrets.
 */
#ifndef BIDE__BASE_RANDOM_H
#define BIDE__BASE_RANDOM_H

#include <stdint.h>

/* The next number; any state but 0 will do to start with. */
static inline uint64_t bide__random_next(uint64_t *state)
{
    /* xorshift64* (Vigna). */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* A number below `limit`, which is small beside 2^32: all as likely as makes no difference. */
static inline uint32_t bide__random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)((bide__random_next(state) >> 32) * limit >> 32);
}

#endif
