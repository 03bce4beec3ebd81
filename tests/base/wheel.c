/* SPDX-License-Identifier: MIT */
/*
 * wheel.c - the timers: order, exactness, every state and every scale of time.
 */
#include "base/wheel.h"

#include <string.h>

#include "test.h"

#define YEAR (365 * BIDE_SEC(86400))

enum { LEVELS = BIDE__WHEEL_LEVELS, SLOTS = BIDE__WHEEL_SLOTS };

static struct bide__wheel wheel;
static struct bide__timer timers[10000];

static void start(bide_time now)
{
    bide__wheel_init(&wheel, now);
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        bide__timer_init(&timers[i], NULL);
}

static bide_time power_of_2(int exponent)
{
    return (bide_time)1 << exponent;
}

static uint64_t random_state;

static void random_start(void)
{
    random_state = test_seed() * 2654435761U + 1;
}

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* A scale that a random number is drawn from, so that near times are as likely as far ones. */
static bide_time random_time(int bits)
{
    return (bide_time)random_below(1ULL << random_below((uint64_t)bits + 1));
}

/* A timer's slot is the right one of the right level, or may lag. */
static void check_place(const struct bide__timer *timer, unsigned level, unsigned slot)
{
    unsigned shift = BIDE__WHEEL_STEP * level;
    uint64_t ahead = ((uint64_t)timer->at >> shift) - ((uint64_t)wheel.base >> shift);

    CHECK(timer->at >= wheel.base);
    CHECK_EQ(((uint64_t)timer->at >> shift) % SLOTS, slot);
    CHECK(ahead < SLOTS);
    CHECK(level == 0 || ahead >= 1U << (6 - BIDE__WHEEL_STEP) ||
          (ahead >= 2 && wheel.lagging >> level & 1));
}

/* What wheel.h says above the struct. Returns the number of timers. */
static size_t check_invariants(void)
{
    struct bide__list *head = &wheel.late;
    bide_time before = INT64_MIN;
    size_t count = 0;

    for (struct bide__list *link = head->next; link != head; link = link->next, count++) {
        struct bide__timer *timer = BIDE__CONTAINER(link, struct bide__timer, link);
        CHECK(timer->at >= before);
        CHECK(timer->at < wheel.base);
        before = timer->at;
    }
    for (unsigned level = 0; level < LEVELS; level++) {
        CHECK_EQ(wheel.levels >> level & 1, wheel.occupied[level] != 0);
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            head = &wheel.slots[level][slot];
            CHECK_EQ(wheel.occupied[level] >> slot & 1, !bide__list_is_empty(head));
            for (struct bide__list *link = head->next; link != head; link = link->next, count++)
                check_place(BIDE__CONTAINER(link, struct bide__timer, link), level, slot);
        }
    }
    return count;
}

/* This many come out by `now` and no more, by deadline and then by address, which is by arming. */
static void check_order(size_t count, bide_time now)
{
    struct bide__timer *before = NULL;

    for (size_t i = 0; i < count; i++) {
        struct bide__timer *timer = bide__wheel_pop(&wheel, now);
        CHECK(timer != NULL);
        CHECK(!bide__timer_is_armed(timer));
        CHECK(before == NULL || before->at < timer->at ||
              (before->at == timer->at && before < timer));
        before = timer;
    }
    CHECK(bide__wheel_pop(&wheel, now) == NULL);
    CHECK_EQ(check_invariants(), 0);
}

/*
 * Goal:   timers come out by deadline, whatever the order of arming, each disarmed.
 * Method: arm one timer for each power of two and its neighbours, in a scattered order; pop at the
 *         end of time.
 */
TEST(wheel, order_of_deadlines)
{
    enum { COUNT = 3 * 62 };

    start(0);
    for (int i = 0; i < COUNT; i++) {
        int which = i * 67 % COUNT;
        bide__wheel_add(&wheel, &timers[i], power_of_2(which / 3) + which % 3 - 1);
    }
    check_order(COUNT, INT64_MAX - 1);
    CHECK(bide__wheel_pop(&wheel, BIDE_FOREVER) == NULL);
}

/*
 * Goal:   equal deadlines come out in the order of arming, though the wheel has turned in between
 *         and the timers were armed from very different distances.
 * Method: for each distance, arm one timer for the same deadline at each halving of what is left.
 */
TEST(wheel, order_of_equal_deadlines)
{
    for (int bits = 1; bits < 62; bits++) {
        bide_time at = power_of_2(bits) + power_of_2(bits) / 3;
        size_t count = 0;
        start(0);
        for (bide_time left = at; left > 0; left /= 2) {
            CHECK(bide__wheel_pop(&wheel, at - left) == NULL);
            bide__wheel_add(&wheel, &timers[count++], at);
            check_invariants();
        }
        CHECK(bide__wheel_pop(&wheel, at - 1) == NULL);
        check_order(count, at);
    }
}

/*
 * Goal:   a crowd moves towards its deadlines in batches, however little time passes, and stays in
 *         order meanwhile, also with timers which join it under way.
 * Method: 5,000 timers on 7 deadlines in one slot; go until the slot lags; then let time pass by
 *         nanoseconds, arming one more each time, until it lags no more.
 */
TEST(wheel, order_of_crowd_under_way)
{
    enum { CROWD = 5000, MORE = 5000 };
    const bide_time at = BIDE_SEC(10);
    bide_time now = 0;
    size_t armed = 0;

    start(0);
    for (; armed < CROWD; armed++)
        bide__wheel_add(&wheel, &timers[armed], at + (bide_time)(armed % 7));
    while (wheel.lagging == 0 && now < at - at / 100)
        CHECK(bide__wheel_pop(&wheel, now += at / 100) == NULL);
    CHECK(wheel.lagging != 0 || BIDE__WHEEL_STEP > 4);
    for (; wheel.lagging != 0 && armed < CROWD + MORE; armed++) {
        CHECK(bide__wheel_pop(&wheel, ++now) == NULL);
        CHECK(bide__wheel_next(&wheel) > now);
        CHECK(bide__wheel_next(&wheel) <= at);
        CHECK_EQ(check_invariants(), armed);
        bide__wheel_add(&wheel, &timers[armed], at + (bide_time)(armed % 7));
    }
    CHECK(wheel.lagging == 0 || BIDE__WHEEL_BATCH == 1);
    check_order(armed, at + 6);
}

/*
 * Goal:   equal deadlines come out in the order of arming though time jumps to just before them
 *         while some are under way.
 * Method: 5,000 equal timers just behind the beginning of slots on many levels; go 1 to 4 slots
 *         near, so that they are divided; jump; pop.
 */
TEST(wheel, order_of_divided_equals)
{
    enum { CROWD = 5000 };
    const bide_time slot = power_of_2(30);

    for (int steps = 1; steps <= 4; steps++) {
        start(0);
        for (int i = 0; i < CROWD; i++)
            bide__wheel_add(&wheel, &timers[i], 8 * slot + 1);
        for (int i = 1; i <= steps; i++)
            CHECK(bide__wheel_pop(&wheel, i * slot) == NULL);
        CHECK(wheel.lagging != 0 || BIDE__WHEEL_STEP != 3);
        CHECK(bide__wheel_pop(&wheel, 8 * slot) == NULL);
        check_order(CROWD, 8 * slot + 1);
    }
}

/*
 * Goal:   never early by a nanosecond, never late by one.
 * Method: for random beginnings and distances of all scales, pop one nanosecond before and at the
 *         deadline, and at some times on the way.
 */
TEST(wheel, exact_to_the_nanosecond)
{
    random_start();
    for (int i = 0; i < 2000; i++) {
        bide_time now = random_time(61);
        bide_time at = now + 1 + random_time(61);
        start(now);
        bide__wheel_add(&wheel, &timers[0], at);
        for (int step = 0; step < 10; step++) {
            now += (bide_time)random_below((uint64_t)(at - now));
            CHECK(bide__wheel_pop(&wheel, now) == NULL);
            CHECK_EQ(bide__wheel_next(&wheel), at);
        }
        CHECK(bide__wheel_pop(&wheel, at - 1) == NULL);
        CHECK(bide__wheel_pop(&wheel, at) == &timers[0]);
        CHECK_EQ(bide__wheel_next(&wheel), BIDE_FOREVER);
    }
}

/*
 * Goal:   deadlines that have passed are due at the next pop, in order, before those of now.
 * Method: let time pass, then arm past, negative, present and future deadlines, with equals.
 */
TEST(wheel, past_deadlines_are_due)
{
    static const bide_time at[] = {1000, 500, -3, 999, 500, 1001, INT64_MIN, 0, -3};
    static const int order[] = {6, 2, 8, 7, 1, 4, 3, 0};

    start(0);
    CHECK(bide__wheel_pop(&wheel, 1000) == NULL);
    for (int i = 0; i < 9; i++)
        bide__wheel_add(&wheel, &timers[i], at[i]);
    CHECK_EQ(check_invariants(), 9);
    CHECK_EQ(bide__wheel_next(&wheel), INT64_MIN);
    for (int i = 0; i < 8; i++)
        CHECK(bide__wheel_pop(&wheel, 1000) == &timers[order[i]]);
    CHECK(bide__wheel_pop(&wheel, 1000) == NULL);
    CHECK_EQ(bide__wheel_next(&wheel), 1001);
    CHECK(bide__wheel_pop(&wheel, 1001) == &timers[5]);
}

/*
 * Goal:   the ends of the range are ordinary deadlines, at a time of 0, late and at the very end.
 * Method: arm INT64_MIN, -1, 0, INT64_MAX - 1 from both ends of time.
 */
TEST(wheel, extreme_deadlines)
{
    static const bide_time at[] = {INT64_MAX - 1, 0, -1, INT64_MIN, INT64_MAX - 2};
    static const int order[] = {3, 2, 1, 4, 0};
    static const bide_time begin[] = {0, 1, INT64_MAX - 2, INT64_MAX - 1, INT64_MAX};

    for (int b = 0; b < 5; b++) {
        start(begin[b]);
        for (int i = 0; i < 5; i++)
            bide__wheel_add(&wheel, &timers[i], at[i]);
        CHECK_EQ(check_invariants(), 5);
        for (int i = 0; i < 5; i++) {
            CHECK(bide__wheel_next(&wheel) == at[order[i]] || BIDE__WHEEL_FEW < 2);
            CHECK(at[order[i]] == INT64_MIN || bide__wheel_pop(&wheel, at[order[i]] - 1) == NULL);
            CHECK(bide__wheel_pop(&wheel, i % 2 ? BIDE_FOREVER : at[order[i]]) ==
                  &timers[order[i]]);
        }
        CHECK(bide__wheel_pop(&wheel, BIDE_FOREVER) == NULL);
    }
}

/*
 * Goal:   what is no deadline, or no idle timer, is refused.
 * Method: add BIDE_FOREVER; add an armed timer; begin before time 0.
 */
TEST(wheel, misuse_aborts)
{
    start(0);
    EXPECT_DEATH(bide__wheel_add(&wheel, &timers[0], BIDE_FOREVER), "BIDE_FOREVER");
    bide__wheel_add(&wheel, &timers[0], 5);
    EXPECT_DEATH(bide__wheel_add(&wheel, &timers[0], 6), "is_armed");
    EXPECT_DEATH(bide__wheel_init(&wheel, -1), "now >= 0");
}

/*
 * Goal:   a timer can be removed in every state, twice, and armed again; its neighbours stay.
 * Method: remove one that was never armed, the only one, the earliest, one of equals, a late one,
 *         one already popped, and one on each level; look at the whole wheel after each.
 */
TEST(wheel, remove_in_every_state)
{
    start(100);
    bide__wheel_remove(&wheel, &timers[0]);
    for (int i = 0; i < 62; i++)
        bide__wheel_add(&wheel, &timers[i], power_of_2(i) / (1 + i % 2));
    for (int i = 0; i < 62; i++) {
        int which = i * 37 % 62;
        CHECK(bide__timer_is_armed(&timers[which]));
        for (int twice = 0; twice < 2; twice++) {
            bide__wheel_remove(&wheel, &timers[which]);
            CHECK(!bide__timer_is_armed(&timers[which]));
            CHECK_EQ(check_invariants(), 61 - i);
        }
    }
    CHECK_EQ(wheel.levels, 0);
    CHECK_EQ(bide__wheel_next(&wheel), BIDE_FOREVER);
    CHECK(bide__wheel_pop(&wheel, BIDE_FOREVER) == NULL);

    start(0);
    bide__wheel_add(&wheel, &timers[0], 7);
    CHECK(bide__wheel_pop(&wheel, 7) == &timers[0]);
    bide__wheel_remove(&wheel, &timers[0]);
    bide__wheel_add(&wheel, &timers[0], 7);
    bide__wheel_add(&wheel, &timers[1], 7);
    bide__wheel_remove(&wheel, &timers[0]);
    CHECK(bide__wheel_pop(&wheel, 7) == &timers[1]);
    CHECK(bide__wheel_pop(&wheel, 7) == NULL);
}

/*
 * Goal:   a popped timer's owner may cancel others that are due in the same round.
 * Method: 100 timers due at once on several levels; each one popped removes the one 50 further on.
 */
TEST(wheel, remove_while_popping)
{
    int popped = 0;

    start(0);
    for (int i = 0; i < 100; i++)
        bide__wheel_add(&wheel, &timers[i], 1 + i * i / 10);
    for (struct bide__timer *timer; (timer = bide__wheel_pop(&wheel, BIDE_SEC(1))) != NULL;) {
        CHECK(timer == &timers[popped]);
        bide__wheel_remove(&wheel, &timers[popped + 50]);
        popped++;
    }
    CHECK_EQ(popped, 50);
    CHECK_EQ(check_invariants(), 0);
}

/*
 * Goal:   a timer armed while popping comes out in the same round if due, after its equals, and
 *         otherwise does not; the round ends when nothing due is added any more.
 * Method: each of the first 1000 pops arms again at now, one in the past, one at now + 1.
 */
TEST(wheel, add_while_popping)
{
    const bide_time now = 12345678;
    int popped[3] = {0, 0, 0};

    start(0);
    bide__wheel_add(&wheel, &timers[0], now);
    for (struct bide__timer *timer; (timer = bide__wheel_pop(&wheel, now)) != NULL;) {
        popped[timer - timers]++;
        CHECK_EQ(timer->at, timer == &timers[0] ? now : now - 10);
        if (timer != &timers[0] || popped[0] == 1000)
            continue;
        bide__wheel_add(&wheel, &timers[0], now);
        bide__wheel_add(&wheel, &timers[1], now - 10);
        if (!bide__timer_is_armed(&timers[2]))
            bide__wheel_add(&wheel, &timers[2], now + 1);
    }
    CHECK_EQ(popped[0], 1000);
    CHECK_EQ(popped[1], 999);
    CHECK_EQ(popped[2], 0);
    CHECK_EQ(bide__wheel_next(&wheel), now + 1);
    CHECK(bide__wheel_pop(&wheel, now + 1) == &timers[2]);
}

/*
 * Goal:   bide__wheel_next is exact for few timers, through arming and removing of the earliest.
 * Method: arm five at falling, then remove at rising deadlines, on all scales.
 */
TEST(wheel, next_is_exact_for_few)
{
    for (int bits = 0; bits < 59; bits++) {
        start(3);
        CHECK_EQ(bide__wheel_next(&wheel), BIDE_FOREVER);
        for (int i = 4; i >= 0; i--) {
            bide__wheel_add(&wheel, &timers[i], power_of_2(bits) * (i + 5));
            CHECK_EQ(bide__wheel_next(&wheel), power_of_2(bits) * (i + 5));
        }
        for (int i = 0; i < 4; i++) {
            bide__wheel_remove(&wheel, &timers[i]);
            CHECK_EQ(bide__wheel_next(&wheel), power_of_2(bits) * (i + 6));
        }
        bide__wheel_remove(&wheel, &timers[4]);
        CHECK_EQ(bide__wheel_next(&wheel), BIDE_FOREVER);
    }
}

/*
 * Goal:   sleeping until bide__wheel_next wakes a lone sleeper once, and a crowd a few times more
 *         than it has deadlines; it always gets further.
 * Method: play the loop: pop all, sleep until next. One timer a year ahead, then 10,000 equal ones,
 *         then 10,000 within a second.
 */
TEST(wheel, wake_ups_are_few)
{
    enum { COUNT = 10000 };
    static const size_t counts[] = {1, COUNT, COUNT};
    static const int limits[] = {1, 64, COUNT + 1000};

    for (int run = 0; run < 3; run++) {
        bide_time now = 5;
        size_t popped = 0;
        int wake_ups = 0;
        start(now);
        for (size_t i = 0; i < counts[run]; i++)
            bide__wheel_add(&wheel, &timers[i],
                            run == 2 ? (bide_time)(7919 * i % COUNT) * 99991 + 9 : YEAR);
        while (bide__wheel_next(&wheel) != BIDE_FOREVER) {
            CHECK(bide__wheel_next(&wheel) > now);
            now = bide__wheel_next(&wheel);
            wake_ups++;
            while (bide__wheel_pop(&wheel, now) != NULL)
                popped++;
        }
        CHECK_EQ(popped, counts[run]);
        CHECK(wake_ups <= limits[run]);
    }
}

/*
 * Goal:   time may jump by years, over nothing or over many timers, and back, within one pop.
 * Method: 100,000 such jumps with one timer pending far away; then a jump over a thousand timers.
 */
TEST(wheel, time_jumps_by_years)
{
    bide_time now = 0;

    start(now);
    bide__wheel_add(&wheel, &timers[0], 290 * YEAR);
    for (int i = 0; i < 100000; i++) {
        now = (bide_time)(i % 290) * YEAR + i;
        CHECK(bide__wheel_pop(&wheel, now) == NULL);
        CHECK_EQ(bide__wheel_next(&wheel), 290 * YEAR);
    }
    CHECK(bide__wheel_pop(&wheel, 291 * YEAR) == &timers[0]);

    start(0);
    for (int i = 0; i < 1000; i++)
        bide__wheel_add(&wheel, &timers[i], YEAR / 7 * i + i);
    check_order(1000, 200 * YEAR);
}

/* The model: the armed timers in a sorted array. */

static struct {
    struct bide__timer *sorted[sizeof timers / sizeof timers[0] + 1];
    struct bide__timer *idle[sizeof timers / sizeof timers[0]];
    size_t count; /* of sorted */
    size_t idle_count;
    uint64_t popped; /* over all runs, like: */
    uint64_t lagged; /* operations while a slot lagged */
} model;

static void model_add(struct bide__timer *timer, bide_time at)
{
    size_t low = 0;
    size_t high = model.count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (model.sorted[middle]->at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    bide__wheel_add(&wheel, timer, at);
    memmove(&model.sorted[low + 1], &model.sorted[low], (model.count - low) * sizeof *model.sorted);
    model.sorted[low] = timer;
    model.count++;
}

static struct bide__timer *model_take(size_t index)
{
    struct bide__timer *timer = model.sorted[index];

    model.count--;
    memmove(&model.sorted[index], &model.sorted[index + 1],
            (model.count - index) * sizeof *model.sorted);
    return timer;
}

static void model_pop(bide_time now, size_t most)
{
    for (; most > 0; most--) {
        struct bide__timer *expected =
            model.count > 0 && model.sorted[0]->at <= now ? model_take(0) : NULL;
        CHECK(bide__wheel_pop(&wheel, now) == expected);
        if (expected == NULL)
            return;
        model.idle[model.idle_count++] = expected;
        model.popped++;
    }
}

static void model_check_next(void)
{
    bide_time next = bide__wheel_next(&wheel);
    bide_time earliest = model.count > 0 ? model.sorted[0]->at : BIDE_FOREVER;

    CHECK(next <= earliest);
    CHECK(next == earliest || next > wheel.base);
    CHECK(next == earliest || model.count > BIDE__WHEEL_FEW || wheel.lagging != 0);
}

/* Distances of all scales up to 2^bits; many equals; and crowds, four of them in 2^bits. */
static bide_time model_deadline(bide_time now, int bits)
{
    switch (random_below(16)) {
    case 0: return now - random_time(bits);
    case 1: return now;
    case 2: return INT64_MAX - 1 - (bide_time)random_below(3);
    case 3 ... 5: return model.count > 0 ? model.sorted[random_below(model.count)]->at : now;
    case 6 ... 10: return (now + random_time(bits + 1)) | (power_of_2(bits - 2) - 1);
    default: return now + random_time(bits);
    }
}

/* Steps of all scales, many of about 2^bits / 32, and now and then one beyond most deadlines. */
static bide_time model_step(int bits)
{
    if (random_below(64) == 0)
        return random_time(bits + 1);
    return random_below(2) ? random_time(bits - 3) : (bide_time)random_below(1ULL << (bits - 4));
}

/*
 * So many random operations with at most so many timers, whose deadlines are within 2^bits ns. One
 * operation in `pace` lets time pass: the larger that is, the more crowded it gets.
 */
static void run_model(size_t timers_max, int bits, uint64_t pace, int operations)
{
    bide_time now = random_time(60);

    start(now);
    model.count = 0;
    model.idle_count = timers_max;
    for (size_t i = 0; i < timers_max; i++)
        model.idle[i] = &timers[i];

    for (int i = 0; i < operations; i++) {
        uint64_t what = random_below(100);
        if (random_below(pace) == 0) {
            now += model_step(bits);
            model_pop(now, SIZE_MAX);
        } else if (what < 65 && model.idle_count > 0) {
            model_add(model.idle[--model.idle_count], model_deadline(now, bits));
        } else if (what < 95 && model.count > 0) {
            struct bide__timer *timer = model_take(random_below(model.count));
            bide__wheel_remove(&wheel, timer);
            CHECK(!bide__timer_is_armed(timer));
            model.idle[model.idle_count++] = timer;
        } else {
            model_pop(now - (what % 2 ? random_time(bits) : 0), 2);
        }
        model.lagged += wheel.lagging != 0;
        if (i % 4 == 0)
            model_check_next();
        if (i % 1000 == 0)
            CHECK_EQ(check_invariants(), model.count);
    }
    model_pop(BIDE_FOREVER, SIZE_MAX);
    CHECK_EQ(model.idle_count, timers_max);
    CHECK_EQ(check_invariants(), 0);
}

/*
 * Goal:   any sequence of operations gives what a sorted array gives.
 * Method: random operations on several scales of time, with few timers and with crowds, against
 *         that array; the invariants are looked at now and then.
 */
TEST(wheel, random_operations_match_sorted_array)
{
    static const int bits[] = {5, 10, 16, 24, 32, 41, 51};
    bool is_slow = TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU();
    int operations = is_slow ? 3000 : 60000;

    random_start();
    for (int i = 0; i < 7; i++) {
        run_model(10, bits[i], 5, operations);
        run_model(1000, bits[i], 20, operations);
        run_model(5000, bits[i], 1000, 4 * operations);
    }
    CHECK(model.lagged > 0 || is_slow || BIDE__WHEEL_STEP > 4);
    CHECK(model.popped > (uint64_t)operations);
}
