/* SPDX-License-Identifier: MIT */
/*
 * time.h - the one unit of time: nanoseconds in a signed 64-bit integer.
 *
 * A *deadline* is a point on CLOCK_MONOTONIC, a *timeout* is a length. Both are rounded up, never
 * early, and their arithmetic saturates: a timeout too long to add is BIDE_FOREVER, a negative one
 * has already passed.
 */
#ifndef BIDE_BASE_TIME_H
#define BIDE_BASE_TIME_H

#include <stdint.h>

typedef int64_t bide_time;

#define BIDE_FOREVER INT64_MAX

#define BIDE_NS(n) ((bide_time)(n))
#define BIDE_US(n) BIDE__TIME(n, 1000)
#define BIDE_MS(n) BIDE__TIME(n, 1000000)
#define BIDE_SEC(n) BIDE__TIME(n, 1000000000)

/* Of a constant it is a constant, for static initialisers; of anything else n is evaluated once. */
#ifdef __cplusplus
#define BIDE__TIME(n, unit_ns) bide__time_scale((int64_t)(n), unit_ns)
#define BIDE__CONSTANT constexpr
#else
#define BIDE__TIME(n, unit_ns)                                                                     \
    __builtin_choose_expr(__builtin_constant_p(n),                                                 \
                          BIDE__TIME_SCALED(BIDE__TIME_NUMBER(n), unit_ns),                        \
                          bide__time_scale((int64_t)(n), unit_ns))
/* Compilers warn of comparisons with a variable's limits also where they are not chosen. */
#define BIDE__TIME_NUMBER(n)                                                                       \
    __builtin_choose_expr(__builtin_constant_p(n), (int64_t)(n), (int64_t)0)
#define BIDE__CONSTANT
#endif
#define BIDE__TIME_SCALED(count, unit_ns)                                                          \
    ((count) > INT64_MAX / (unit_ns)   ? BIDE_FOREVER                                              \
     : (count) < INT64_MIN / (unit_ns) ? INT64_MIN                                                 \
                                       : (count) * (unit_ns))

static inline BIDE__CONSTANT bide_time bide__time_scale(int64_t count, int64_t unit_ns)
{
    return BIDE__TIME_SCALED(count, unit_ns);
}

/*
 * The deadline `timeout` after `now`; saturates at BIDE_FOREVER, and never lies before `now` by
 * wrapping.
 */
static inline bide_time bide__time_after(bide_time now, bide_time timeout)
{
    bide_time at;

    if (timeout <= 0)
        return now;
    return __builtin_add_overflow(now, timeout, &at) ? BIDE_FOREVER : at;
}

#endif
