/* SPDX-License-Identifier: MIT */
/*
 * time.c - units and sums at their limits.
 */
#include <bide/base/time.h>

#include "test.h"

/*
 * Goal:   units are exact, and constants: they may stand in an initializer's expression.
 * Method: small numbers of each sort.
 */
TEST(time, units_are_nanoseconds)
{
    CHECK_EQ(BIDE_NS(7), 7);
    CHECK_EQ(BIDE_US(7), 7000);
    CHECK_EQ(BIDE_MS(7), 7000000);
    CHECK_EQ(BIDE_SEC(7), 7000000000);
    CHECK_EQ(BIDE_MS(-7), -7000000);
    CHECK_EQ(BIDE_SEC(0), 0);
    CHECK_EQ(BIDE_SEC(365 * 86400), INT64_C(31536000000000000));
}

/*
 * Goal:   a length too long for 64 bits saturates on its own side of 0.
 * Method: the last number that fits and the next, in both directions, and the extremes.
 */
TEST(time, units_saturate)
{
    CHECK_EQ(BIDE_SEC(9223372036), INT64_C(9223372036000000000));
    CHECK_EQ(BIDE_SEC(9223372037), BIDE_FOREVER);
    CHECK_EQ(BIDE_SEC(INT64_MAX), BIDE_FOREVER);
    CHECK_EQ(BIDE_MS(INT64_MAX), BIDE_FOREVER);
    CHECK_EQ(BIDE_US(INT64_MAX), BIDE_FOREVER);
    CHECK_EQ(BIDE_US(INT64_MAX / 1000), INT64_MAX / 1000 * 1000);
    CHECK_EQ(BIDE_US(INT64_MAX / 1000 + 1), BIDE_FOREVER);
    CHECK_EQ(BIDE_SEC(-9223372037), INT64_MIN);
    CHECK_EQ(BIDE_MS(INT64_MIN), INT64_MIN);
    CHECK_EQ(BIDE_NS(INT64_MIN), INT64_MIN);
}

static const bide_time a_minute = BIDE_SEC(60), for_ever = BIDE_MS(INT64_MAX);

static bide_time scaled(int n)
{
    bide_time scaled_once = BIDE_SEC(n++);

    return n == 2 ? scaled_once : 0;
}

/*
 * Goal:   a length is a constant where its number is one, and evaluates any other number once.
 * Method: static initialisers; a number with a side effect; saturation at run time.
 */
TEST(time, lengths_of_constants_are_constants)
{
    volatile int64_t most = INT64_MAX;

    CHECK_EQ(a_minute, INT64_C(60000000000));
    CHECK_EQ(for_ever, BIDE_FOREVER);
    CHECK_EQ(scaled(1), BIDE_SEC(1));
    CHECK_EQ(BIDE_US(most), BIDE_FOREVER);
    CHECK_EQ(BIDE_SEC(-most), INT64_MIN);
}

/*
 * Goal:   a deadline never lies before now, and never wraps.
 * Method: sums around both limits.
 */
TEST(time, deadline_saturates_and_is_never_in_the_past)
{
    CHECK_EQ(bide__time_after(5, 7), 12);
    CHECK_EQ(bide__time_after(5, 0), 5);
    CHECK_EQ(bide__time_after(5, -1), 5);
    CHECK_EQ(bide__time_after(5, INT64_MIN), 5);
    CHECK_EQ(bide__time_after(0, BIDE_FOREVER), BIDE_FOREVER);
    CHECK_EQ(bide__time_after(1, BIDE_FOREVER), BIDE_FOREVER);
    CHECK_EQ(bide__time_after(1, BIDE_FOREVER - 1), BIDE_FOREVER);
    CHECK_EQ(bide__time_after(1, BIDE_FOREVER - 2), BIDE_FOREVER - 1);
    CHECK_EQ(bide__time_after(BIDE_FOREVER, 1), BIDE_FOREVER);
    CHECK_EQ(bide__time_after(BIDE_FOREVER, -1), BIDE_FOREVER);
}
