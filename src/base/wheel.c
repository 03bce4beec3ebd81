/* SPDX-License-Identifier: MIT */
/*
 * wheel.c - a hierarchical timer wheel on ticks of 1 ns, whose levels overlap.
 *
 * A level has 64 slots, each 8 times as wide as one of the level below. A timer waits on the lowest
 * level that reaches its deadline, and moves down as time goes by. In the textbook wheel, of factor
 * 64, a level ends where a slot of the next begins: there everything beyond must move at once. Here
 * it reaches 7 slots of the next ahead, so a crowded slot moves in batches, long before its time.
 *
 * Measured by bench/base/wheel.c (AMD EPYC, family 26), CPU ns:    this  textbook  4-ary   pairing
 *                                                                 wheel     wheel   heap      heap
 *   arm + cancel within 1 s, 1,000,000 pending                        6         7      9         4
 *   the same, earlier than all of them                                7         7     27         4
 *   cancel a random timer and arm it again, of 1,000                 10        10     20        20
 *                                           of 1,000,000            115       107     94       111
 *   arm and expire 10,000 within 1 s                                 96        69     82       154
 *                  1,000,000                                        383       207    199      1080
 *   renew a timeout of 10 s every 9 s, 100,000                      154       168    142       206
 *                                      1,000,000                    255       148    155       556
 *     the longest ms of that (us)                               120-310   138,000    245   360,000
 *
 * Most timeouts of a server are cancelled, and warm: there the heap costs 1.1 to 4 times as much. A
 * million timers out of cache cost the wheel up to 1.9 times as much as the heap when all come near
 * or fire; in return there is no array, whose growth could fail. The other two stop the server.
 */
#include "base/wheel.h"

#include <limits.h>

#include "base/check.h"

enum {
    STEP = BIDE__WHEEL_STEP,
    SLOTS = BIDE__WHEEL_SLOTS,
    SLOT_BITS = 6,
    LEVELS = BIDE__WHEEL_LEVELS,
    WINDOW = 1 << (SLOT_BITS - STEP), /* in slots of the level above */
    URGENT = 2, /* of a window, the slots that must not lag: the one of base and the next */
};

_Static_assert(STEP >= 3 && STEP <= SLOT_BITS,
               "a deadline lies in one lagging slot, in one window");

/* The slot of this level in which this time lies, counted from time 0. */
static inline uint64_t tick_of(bide_time at, unsigned level)
{
    return (uint64_t)at >> (STEP * level);
}

static inline uint64_t rotate_right(uint64_t word, unsigned count)
{
    return word >> count | word << (-count % 64);
}

static inline unsigned lowest_bit(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

/* Of 0, it is bit 0. */
static inline unsigned highest_bit(uint64_t word)
{
    return 63 - (unsigned)__builtin_clzll(word | 1);
}

static inline struct bide__timer *timer_of(struct bide__list *link)
{
    return BIDE__CONTAINER(link, struct bide__timer, link);
}

/*
 * The lowest level whose window reaches this deadline. The window of level l is the slot of level
 * l + 1 in which base lies and those after it, WINDOW in all: always 64 slots of level l. If that
 * slot of level l + 1 still has timers, they go first: so it is level l + 1 then. The loop starts
 * at the lowest level which the distance allows, and with a step of 3 goes at most two levels up.
 */
static inline unsigned level_of(const struct bide__wheel *wheel, bide_time at)
{
    uint64_t distance = (uint64_t)(at - wheel->base);
    unsigned bits = highest_bit(distance | (SLOTS - 1)) + 1;
    unsigned level = (bits - SLOT_BITS + STEP - 1) / STEP;

    for (; level < LEVELS - 1; level++) {
        uint64_t tick = tick_of(at, level + 1);
        bool has_timers = wheel->occupied[level + 1] >> (tick % SLOTS) & 1;
        if (tick - tick_of(wheel->base, level + 1) < WINDOW && !has_timers)
            break;
    }
    return level;
}

static inline void mark_occupied(struct bide__wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level] |= 1ULL << slot;
    wheel->levels |= 1ULL << level;
}

static void mark_empty(struct bide__wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level] &= ~(1ULL << slot);
    if (wheel->occupied[level] == 0)
        wheel->levels &= ~(1ULL << level);
}

static inline void place(struct bide__wheel *wheel, struct bide__timer *timer)
{
    unsigned level = level_of(wheel, timer->at);
    unsigned slot = tick_of(timer->at, level) % SLOTS;

    bide__assert(level < LEVELS);
    bide__list_append(&wheel->slots[level][slot], &timer->link);
    mark_occupied(wheel, level, slot);
}

/* Late timers are few and mostly come in order: search from the end. */
static void place_late(struct bide__wheel *wheel, struct bide__timer *timer)
{
    struct bide__list *before = wheel->late.prev;

    while (before != &wheel->late && timer_of(before)->at > timer->at)
        before = before->prev;
    bide__list_prepend(before, &timer->link);
}

/* Move timers of a slot which a lower window reaches, first come, first moved; at most so many. */
static void spill(struct bide__wheel *wheel, unsigned level, unsigned slot, unsigned most)
{
    struct bide__list *head = &wheel->slots[level][slot];

    mark_empty(wheel, level, slot);
    for (; most > 0 && !bide__list_is_empty(head); most--) {
        struct bide__timer *timer = timer_of(head->next);
        bide__list_remove(&timer->link);
        place(wheel, timer);
    }
    if (!bide__list_is_empty(head)) {
        mark_occupied(wheel, level, slot);
        wheel->lagging |= 1ULL << level;
    }
}

/*
 * Let base reach a time to which no timer in a slot is earlier, and let timers follow: lower levels
 * first, for of equal deadlines divided by a lagging slot, those armed earlier are further down.
 */
static void advance(struct bide__wheel *wheel, bide_time to)
{
    unsigned changed = highest_bit((uint64_t)(wheel->base ^ to)) / STEP;
    unsigned lagging = highest_bit(wheel->lagging);
    unsigned top = changed < lagging ? lagging : changed;

    bide__assert(to > wheel->base);
    wheel->base = to;
    for (unsigned level = 1; level <= top && level < LEVELS; level++) {
        unsigned first = tick_of(to, level) % SLOTS;
        uint64_t window = rotate_right(wheel->occupied[level], first) & ((1ULL << WINDOW) - 1);
        wheel->lagging &= ~(1ULL << level);
        for (; window != 0; window &= window - 1) {
            unsigned ahead = lowest_bit(window);
            unsigned most = ahead < URGENT ? UINT_MAX : BIDE__WHEEL_BATCH;
            spill(wheel, level, (first + ahead) % SLOTS, most);
        }
    }
}

/* The earliest timer of a slot, the first armed among equals; NULL in a crowded slot. */
static struct bide__timer *earliest_of_few(struct bide__list *head, unsigned level)
{
    struct bide__timer *earliest = timer_of(head->next);
    unsigned count = 1;

    if (level == 0)
        return earliest; /* all are equal */
    for (struct bide__list *link = earliest->link.next; link != head; link = link->next) {
        if (++count > BIDE__WHEEL_FEW)
            return NULL;
        if (timer_of(link)->at < earliest->at)
            earliest = timer_of(link);
    }
    return earliest;
}

void bide__wheel_init(struct bide__wheel *wheel, bide_time now)
{
    bide__assert(now >= 0);
    *wheel = (struct bide__wheel){.base = now};
    bide__list_init(&wheel->late);
    for (unsigned level = 0; level < LEVELS; level++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            bide__list_init(&wheel->slots[level][slot]);
}

void bide__wheel_add(struct bide__wheel *wheel, struct bide__timer *timer, bide_time at)
{
    bide__assert(at != BIDE_FOREVER);
    bide__assert(!bide__timer_is_armed(timer));
    timer->at = at;
    if (at >= wheel->base)
        place(wheel, timer);
    else
        place_late(wheel, timer);
    if (wheel->first != NULL && at < wheel->first->at)
        wheel->first = timer;
}

void bide__wheel_remove(struct bide__wheel *wheel, struct bide__timer *timer)
{
    struct bide__list *next = timer->link.next;

    if (!bide__timer_is_armed(timer))
        return;
    bide__list_remove(&timer->link);
    if (wheel->first == timer)
        wheel->first = NULL;
    if (bide__list_is_empty(next) && next != &wheel->late) {
        size_t index = (size_t)(next - &wheel->slots[0][0]);
        bide__assert(index < LEVELS * SLOTS);
        mark_empty(wheel, (unsigned)index / SLOTS, (unsigned)index % SLOTS);
    }
}

/* Also sets first, unless the time returned is one at which base must advance to tell. */
bide_time bide__wheel_next(struct bide__wheel *wheel)
{
    unsigned level, lagging;
    uint64_t tick;
    struct bide__timer *timer;
    bide_time at;

    if (wheel->first == NULL && !bide__list_is_empty(&wheel->late))
        wheel->first = timer_of(wheel->late.next);
    if (wheel->first != NULL)
        return wheel->first->at;
    if (wheel->levels == 0)
        return BIDE_FOREVER;

    level = lowest_bit(wheel->levels);
    tick = tick_of(wheel->base, level);
    tick += lowest_bit(rotate_right(wheel->occupied[level], tick % SLOTS));
    timer = earliest_of_few(&wheel->slots[level][tick % SLOTS], level);
    at = timer != NULL ? timer->at : (bide_time)(tick << (STEP * level));
    bide__assert(tick_of(at, level) == tick);

    /* Slots that lag may begin before that. */
    if (wheel->lagging >> level > 1) {
        lagging = level + 1 + lowest_bit(wheel->lagging >> level >> 1);
        tick = tick_of(wheel->base, lagging) + URGENT;
        if (at >= (bide_time)(tick << (STEP * lagging)))
            return (bide_time)(tick << (STEP * lagging));
    }
    wheel->first = timer;
    return at;
}

struct bide__timer *bide__wheel_pop(struct bide__wheel *wheel, bide_time now)
{
    struct bide__timer *first;
    bide_time at;

    /* It is no deadline, and bide__wheel_next returns it when there is none. */
    if (now == BIDE_FOREVER)
        now--;
    while ((at = bide__wheel_next(wheel)) <= now && wheel->first == NULL)
        advance(wheel, at);
    if (at > now) {
        if (now > wheel->base)
            advance(wheel, now);
        return NULL;
    }
    first = wheel->first;
    bide__wheel_remove(wheel, first);
    return first;
}
