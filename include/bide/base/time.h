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
#define BIDE_US(n) bide__time_scale((int64_t)(n), 1000)
#define BIDE_MS(n) bide__time_scale((int64_t)(n), 1000000)
#define BIDE_SEC(n) bide__time_scale((int64_t)(n), 1000000000)

static inline bide_time bide__time_scale(int64_t count, int64_t unit_ns)
{
    int64_t product;

    if (__builtin_mul_overflow(count, unit_ns, &product))
        return count < 0 ? INT64_MIN : BIDE_FOREVER;
    return product;
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
