/* SPDX-License-Identifier: MIT */
/*
 * wheel.c - the timer wheel against a 4-ary heap and a pairing heap.
 *
 * All three keep the same order (deadline, then order of arming) over the same records, 64 bytes
 * each and visited in an order that has nothing to do with their places. Each scenario is run by
 * each contestant in turn, round after round, so that a noisy neighbour meets all of them; the
 * medians are compared. Times are CPU time of this thread. All calls go through pointers, and the
 * random number for a deadline (1 to 2 ns) is counted.
 *
 *   hot     arm one timer at a random deadline and cancel it, over and over, while n are pending
 *   short   the same, but always earlier than the n pending ones
 *   cold    cancel a random one of n pending timers and arm it again
 *   expire  arm n timers within a second, then pop in steps of 100 us until all have come out
 *   idle    n timeouts of 10 s, each renewed after 9 s, for 20 s, with a pop each ms: for each
 *           renewal, and the longest ms, which is how long a server would not answer
 *
 * The wheel's step is set when library and benchmark are built: -DBIDE__WHEEL_STEP=6 makes both the
 * textbook wheel of 64 slots a level, whose windows do not overlap.
 */
#include "base/wheel.h"

#include <string.h>

#include "bench.h"

enum { ROUNDS = 5, MANY = 1000000 };

static size_t calls = 1000000; /* of hot and short; half of it of cold */
static size_t pending_max = MANY;

/* A 4-ary heap in an array: the key lies in the array, and the record knows its place there. */

struct heap_timer {
    uint64_t order; /* of arming */
    size_t place;
};

struct heap_entry {
    bide_time at;
    struct heap_timer *timer;
};

static struct {
    struct heap_entry *entries; /* so placed that the four children of a node share a cache line */
    size_t count;
    uint64_t armed;
} heap;

/* A pairing heap: the first child's prev is the parent. */

struct pair_timer {
    bide_time at;
    uint64_t order; /* of arming */
    struct pair_timer *child;
    struct pair_timer *next;
    struct pair_timer *prev;
};

static struct {
    struct pair_timer *root;
    uint64_t armed;
} pairing;

static struct bide__wheel wheel;

union record {
    struct bide__timer wheel;
    struct heap_timer heap;
    struct pair_timer pairing;
    char line[64];
};

static union record *records; /* MANY, and a spare one */
static uint32_t *shuffled;    /* 0 .. MANY - 1 */
static uint64_t random_state = 88172645463325252ULL;

static inline uint64_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* From 0 up, without a division, which would cost as much as some contestants. */
static inline bide_time random_below(bide_time limit)
{
    return (bide_time)((double)(random_word() >> 11) * 0x1p-53 * (double)limit);
}

/* The contestants: the wheel. */

static void wheel_start(bide_time now)
{
    bide__wheel_init(&wheel, now);
    for (size_t i = 0; i <= MANY; i++)
        bide__timer_init(&records[i].wheel, NULL);
}

static void wheel_add(union record *record, bide_time at)
{
    bide__wheel_add(&wheel, &record->wheel, at);
}

static void wheel_remove(union record *record)
{
    bide__wheel_remove(&wheel, &record->wheel);
}

static union record *wheel_pop(bide_time now)
{
    return (union record *)bide__wheel_pop(&wheel, now);
}

static bide_time wheel_next(void)
{
    return bide__wheel_next(&wheel);
}

/* The contestants: the 4-ary heap. */

static void heap_start(bide_time now)
{
    (void)now;
    heap.count = 0;
}

static inline bool heap_less(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->at < b->at || (a->at == b->at && a->timer->order < b->timer->order);
}

static inline void heap_put(size_t place, struct heap_entry entry)
{
    heap.entries[place] = entry;
    entry.timer->place = place;
}

static void heap_up(size_t place, struct heap_entry entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / 4;
        if (!heap_less(&entry, &heap.entries[parent]))
            break;
        heap_put(place, heap.entries[parent]);
        place = parent;
    }
    heap_put(place, entry);
}

static void heap_down(size_t place, struct heap_entry entry)
{
    for (;;) {
        size_t child = 4 * place + 1;
        size_t end = child + 4 < heap.count ? child + 4 : heap.count;
        size_t least = child;
        if (child >= heap.count)
            break;
        for (size_t i = child + 1; i < end; i++)
            if (heap_less(&heap.entries[i], &heap.entries[least]))
                least = i;
        if (!heap_less(&heap.entries[least], &entry))
            break;
        heap_put(place, heap.entries[least]);
        place = least;
    }
    heap_put(place, entry);
}

static void heap_add(union record *record, bide_time at)
{
    record->heap.order = heap.armed++;
    heap.count++;
    heap_up(heap.count - 1, (struct heap_entry){at, &record->heap});
}

static void heap_remove(union record *record)
{
    size_t place = record->heap.place;
    struct heap_entry last = heap.entries[--heap.count];

    if (place == heap.count)
        return;
    if (place > 0 && heap_less(&last, &heap.entries[(place - 1) / 4]))
        heap_up(place, last);
    else
        heap_down(place, last);
}

static union record *heap_pop(bide_time now)
{
    union record *first;

    if (heap.count == 0 || heap.entries[0].at > now)
        return NULL;
    first = (union record *)heap.entries[0].timer;
    heap_remove(first);
    return first;
}

static bide_time heap_next(void)
{
    return heap.count > 0 ? heap.entries[0].at : BIDE_FOREVER;
}

/* The contestants: the pairing heap. */

static void pair_start(bide_time now)
{
    (void)now;
    pairing.root = NULL;
}

/* Make the later of two trees the first child of the other. */
static inline struct pair_timer *pair_meld(struct pair_timer *a, struct pair_timer *b)
{
    if (b->at < a->at || (b->at == a->at && b->order < a->order)) {
        struct pair_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Meld siblings two by two from the left, then all the pairs from the right. */
static struct pair_timer *pair_merge(struct pair_timer *list)
{
    struct pair_timer *pairs = NULL;
    struct pair_timer *merged;

    while (list != NULL) {
        struct pair_timer *a = list;
        struct pair_timer *b = a->next;
        list = b != NULL ? b->next : NULL;
        a = b != NULL ? pair_meld(a, b) : a;
        a->next = pairs;
        pairs = a;
    }
    merged = pairs;
    pairs = merged != NULL ? merged->next : NULL;
    while (pairs != NULL) {
        struct pair_timer *next = pairs->next;
        merged = pair_meld(merged, pairs);
        pairs = next;
    }
    return merged;
}

static void pair_add(union record *record, bide_time at)
{
    struct pair_timer *timer = &record->pairing;

    timer->at = at;
    timer->order = pairing.armed++;
    timer->child = NULL;
    pairing.root = pairing.root != NULL ? pair_meld(pairing.root, timer) : timer;
}

static void pair_remove(union record *record)
{
    struct pair_timer *timer = &record->pairing;
    struct pair_timer *orphans = pair_merge(timer->child);

    if (timer == pairing.root) {
        pairing.root = orphans;
        return;
    }
    if (timer->prev->child == timer)
        timer->prev->child = timer->next;
    else
        timer->prev->next = timer->next;
    if (timer->next != NULL)
        timer->next->prev = timer->prev;
    if (orphans != NULL)
        pairing.root = pair_meld(pairing.root, orphans);
}

static union record *pair_pop(bide_time now)
{
    union record *first = (union record *)pairing.root;

    if (first == NULL || pairing.root->at > now)
        return NULL;
    pair_remove(first);
    return first;
}

static bide_time pair_next(void)
{
    return pairing.root != NULL ? pairing.root->at : BIDE_FOREVER;
}

struct contestant {
    const char *name;
    void (*start)(bide_time now);
    void (*add)(union record *, bide_time at);
    void (*remove)(union record *);
    union record *(*pop)(bide_time now);
    bide_time (*next)(void);
};

enum { CONTESTANTS = 3 };

static const struct contestant contestants[CONTESTANTS] = {
    {"wheel", wheel_start, wheel_add, wheel_remove, wheel_pop, wheel_next},
    {"heap4", heap_start, heap_add, heap_remove, heap_pop, heap_next},
    {"pairing", pair_start, pair_add, pair_remove, pair_pop, pair_next},
};

/* The scenarios. */

struct scenario {
    const char *name;
    const char *key;
    void (*run)(const struct contestant *, const struct scenario *, double result[2]);
    size_t pending;
    bide_time within;
    const char *longest_key; /* of result[1], or NULL */
};

static union record *record_at(const struct scenario *s, size_t index)
{
    return &records[shuffled[index * (MANY / s->pending)]];
}

/* The pop makes a pairing heap pay, before the clock starts, for the order it has put off. */
static void fill(const struct contestant *c, const struct scenario *s, bide_time from)
{
    c->start(0);
    c->add(&records[MANY], 0);
    for (size_t i = 0; i < s->pending; i++)
        c->add(record_at(s, i), from + random_below(s->within));
    c->pop(0);
    (void)c->next();
}

static void run_hot(const struct contestant *c, const struct scenario *s, double result[2])
{
    double start;

    fill(c, s, 1);
    start = bench_cpu_ns();
    for (size_t i = 0; i < calls; i++) {
        c->add(&records[MANY], 1 + random_below(s->within));
        c->remove(&records[MANY]);
    }
    result[0] = (bench_cpu_ns() - start) / (double)calls;
}

static void run_short(const struct contestant *c, const struct scenario *s, double result[2])
{
    double start;

    fill(c, s, s->within);
    start = bench_cpu_ns();
    for (size_t i = 0; i < calls; i++) {
        c->add(&records[MANY], 1 + random_below(1000000));
        c->remove(&records[MANY]);
    }
    result[0] = (bench_cpu_ns() - start) / (double)calls;
}

static void run_cold(const struct contestant *c, const struct scenario *s, double result[2])
{
    double start;

    fill(c, s, 1);
    start = bench_cpu_ns();
    for (size_t i = 0; i < calls / 2; i++) {
        union record *record = record_at(s, (size_t)random_below((bide_time)s->pending));
        c->remove(record);
        c->add(record, 1 + random_below(s->within));
    }
    result[0] = (bench_cpu_ns() - start) / (double)(calls / 2);
}

static void run_expire(const struct contestant *c, const struct scenario *s, double result[2])
{
    double start;

    c->start(0);
    start = bench_cpu_ns();
    for (size_t i = 0; i < s->pending; i++)
        c->add(record_at(s, i), random_below(s->within));
    for (bide_time now = 0; c->next() != BIDE_FOREVER; now += 100000)
        while (c->pop(now) != NULL)
            continue;
    result[0] = (bench_cpu_ns() - start) / (double)s->pending;
}

/* In the middle time passes 2^42 ns, where slots of all lower levels end at once. */
static void run_idle(const struct contestant *c, const struct scenario *s, double result[2])
{
    const bide_time begin = (1LL << 42) - s->within;
    const double renewals_a_ns = (double)s->pending / (0.9 * (double)s->within);
    size_t renewed = 0;
    double start;
    double longest = 0;

    c->start(begin);
    for (size_t i = 0; i < s->pending; i++)
        c->add(record_at(s, i), begin + s->within / 10 + (bide_time)((double)i / renewals_a_ns));
    start = bench_cpu_ns();
    for (bide_time passed = BIDE_MS(1); passed <= 2 * s->within; passed += BIDE_MS(1)) {
        double before = bench_cpu_ns();
        for (; (double)renewed < (double)passed * renewals_a_ns; renewed++) {
            union record *record = record_at(s, renewed % s->pending);
            c->remove(record);
            c->add(record, begin + passed + s->within);
        }
        while (c->pop(begin + passed) != NULL)
            abort(); /* all are renewed in time */
        (void)c->next();
        before = bench_cpu_ns() - before;
        longest = before > longest ? before : longest;
    }
    result[0] = (bench_cpu_ns() - start) / (double)renewed;
    result[1] = longest / 1e3;
}

#define SECOND 1000000000LL
#define HOUR (3600 * SECOND)

static const struct scenario scenarios[] = {
    {"hot, 1,000 within 1 s", "hot_1e3_1s_ns", run_hot, 1000, SECOND, NULL},
    {"hot, 100,000 within 1 s", "hot_1e5_1s_ns", run_hot, 100000, SECOND, NULL},
    {"hot, 1,000,000 within 1 s", "hot_1e6_1s_ns", run_hot, 1000000, SECOND, NULL},
    {"hot, 1,000 within 1 h", "hot_1e3_1h_ns", run_hot, 1000, HOUR, NULL},
    {"hot, 100,000 within 1 h", "hot_1e5_1h_ns", run_hot, 100000, HOUR, NULL},
    {"hot, 1,000,000 within 1 h", "hot_1e6_1h_ns", run_hot, 1000000, HOUR, NULL},
    {"short, 1,000", "short_1e3_ns", run_short, 1000, SECOND, NULL},
    {"short, 100,000", "short_1e5_ns", run_short, 100000, SECOND, NULL},
    {"short, 1,000,000", "short_1e6_ns", run_short, 1000000, SECOND, NULL},
    {"cold, 1,000", "cold_1e3_ns", run_cold, 1000, SECOND, NULL},
    {"cold, 100,000", "cold_1e5_ns", run_cold, 100000, SECOND, NULL},
    {"cold, 1,000,000", "cold_1e6_ns", run_cold, 1000000, SECOND, NULL},
    {"expire, 10,000", "expire_1e4_ns", run_expire, 10000, SECOND, NULL},
    {"expire, 100,000", "expire_1e5_ns", run_expire, 100000, SECOND, NULL},
    {"expire, 1,000,000", "expire_1e6_ns", run_expire, 1000000, SECOND, NULL},
    {"idle, 100,000", "idle_1e5_ns", run_idle, 100000, 10 * SECOND, "idle_1e5_longest_us"},
    {"idle, 1,000,000", "idle_1e6_ns", run_idle, 1000000, 10 * SECOND, "idle_1e6_longest_us"},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static void *new_lines(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL)
        bench_die("aligned_alloc");
    memset(memory, 0, bytes);
    return memory;
}

static void prepare(void)
{
    records = new_lines((MANY + 1) * sizeof *records);
    shuffled = new_lines(MANY * sizeof *shuffled);
    heap.entries = (struct heap_entry *)new_lines((MANY + 4) * sizeof *heap.entries) + 3;
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t other = (uint32_t)random_below(i + 1);
        shuffled[i] = shuffled[other];
        shuffled[other] = i;
    }
}

static double medians[SCENARIOS][CONTESTANTS][2];

static void measure(int scenario)
{
    double samples[CONTESTANTS][2][ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CONTESTANTS; c++) {
            double result[2] = {0, 0};
            scenarios[scenario].run(&contestants[c], &scenarios[scenario], result);
            samples[c][0][round] = result[0];
            samples[c][1][round] = result[1];
        }
    }
    for (int c = 0; c < CONTESTANTS; c++) {
        medians[scenario][c][0] = bench_spread_of(samples[c][0], ROUNDS).median;
        medians[scenario][c][1] = bench_spread_of(samples[c][1], ROUNDS).median;
    }
}

static void print_row(const char *name, int scenario, int which)
{
    printf("%-30s", name);
    for (int c = 0; c < CONTESTANTS; c++)
        printf("%10.1f", medians[scenario][c][which]);
    printf("\n");
    fflush(stdout);
}

static void print_json(void)
{
    printf("{\"bench\":\"base/wheel\",\"rounds\":%d,\"step\":%d", ROUNDS, BIDE__WHEEL_STEP);
    for (int c = 0; c < CONTESTANTS; c++) {
        const char *comma = "";
        printf(",\"%s\":{", contestants[c].name);
        for (int s = 0; s < SCENARIOS; s++) {
            if (scenarios[s].pending > pending_max)
                continue;
            printf("%s\"%s\":%.1f", comma, scenarios[s].key, medians[s][c][0]);
            if (scenarios[s].longest_key != NULL)
                printf(",\"%s\":%.1f", scenarios[s].longest_key, medians[s][c][1]);
            comma = ",";
        }
        printf("}");
    }
    printf("}\n");
}

int main(void)
{
    if (bench_is_quick()) {
        calls /= 10;
        pending_max /= 10;
    }
    prepare();
    printf(
        "Timers: CPU ns for one arm + cancel, or one armed and expired; medians of %d interleaved\n"
        "rounds; a wheel of step %d.\n\n%-30s",
        ROUNDS, BIDE__WHEEL_STEP, "");
    for (int c = 0; c < CONTESTANTS; c++)
        printf("%10s", contestants[c].name);
    printf("\n");
    for (int s = 0; s < SCENARIOS; s++) {
        if (scenarios[s].pending > pending_max)
            continue;
        measure(s);
        print_row(scenarios[s].name, s, 0);
        if (scenarios[s].longest_key != NULL)
            print_row("    longest ms (us)", s, 1);
    }
    print_json();
    return 0;
}
