/* SPDX-License-Identifier: MIT */
/*
 * generator.c - values one after the other: what arrives, in which order, and at what price.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static int inside; /* bodies that have begun and not ended */

static void leaves(int *count)
{
    --*count;
}

/* First in a body that is to be counted. */
#define ENTER()                                                                                    \
    ++inside;                                                                                      \
    defer(leaves, &inside)

static void run_seeded(void (*body)(void), uint64_t seed)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, seed, &options), 0);
    if (seen.count != 0)
        CHECK_STR(seen.kept[0].message, "");
    CHECK_EQ(inside, 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

static generator(int, counts, int, from, int, to)
{
    ENTER();
    for (int n = from; n < to; n++)
        yield_value(n);
}

/* 0, 1, 2 ... for ever, with a sleep before each n-th. */
static generator(int, naps, int, every, bide_time, time)
{
    ENTER();
    for (int n = 0;; n++) {
        if (every != 0 && n % every == every - 1)
            bide_sleep(time);
        yield_value(n);
    }
}

static void takes_all(void)
{
    gen(int) g = generate(counts, 3, 6);
    int v = 77;

    CHECK_EQ(inside, 0);
    CHECK(gen_next(g, &v));
    CHECK_EQ(v, 3);
    CHECK(gen_next(g, NULL));
    CHECK_EQ(v, 3);
    CHECK(gen_next(g, &v));
    CHECK_EQ(v, 5);
    for (int i = 0; i < 100; i++)
        CHECK(!gen_next(g, &v));
    CHECK(!gen_next(g, NULL));
    CHECK_EQ(v, 5);
    CHECK_EQ(inside, 0);
    gen_free(g);
    g = generate(counts, 0, 0);
    CHECK(!gen_next(g, &v));
    CHECK_EQ(v, 5);
    gen_free(g);
    CHECK_EQ(stats_now().tasks_living, 1);
}

/*
 * Goal:   values come in order, and after the last one gen_next is false for ever and stores
 *         nothing; a value may be passed over, and there may be none at all.
 * Method: three values, asked for a hundred times more; NULL for the second; an empty generator.
 */
TEST(generator, gives_values_in_order_and_then_false)
{
    run(takes_all);
}

#define GIVES(name, sum, ...)                                                                      \
    static generator(double, name, ##__VA_ARGS__)                                                  \
    {                                                                                              \
        yield_value(sum);                                                                          \
    }
struct two {
    int a;
    double b;
};
GIVES(with_0, 1)
GIVES(with_1, a, int, a)
GIVES(with_2, a + b, int, a, char, b)
GIVES(with_3, a + b + c, int, a, char, b, double, c)
GIVES(with_4, a + b + c + *d, int, a, char, b, double, c, const int *, d)
GIVES(with_5, a + b + c + *d + e, int, a, char, b, double, c, const int *, d, float, e)
GIVES(with_6, a + b + c + *d + e + f.b, int, a, char, b, double, c, int *, d, float, e, struct two,
      f)
GIVES(with_7, a + b + c + *d + e + f.b + g, int, a, char, b, double, c, int *, d, float, e,
      struct two, f, short, g)
GIVES(with_8, a + b + c + *d + e + f.b + g + h(7), int, a, char, b, double, c, int *, d, float, e,
      struct two, f, short, g, __typeof__(int (*)(int)), h)

static double sum_of(gen(double) g)
{
    double sum = 0;

    for_each (v, g)
        sum += v;
    return sum;
}

static void passes_arguments(void)
{
    int four = 8;
    struct two six = {0, 32};

    CHECK(sum_of(generate(with_0)) == 1);
    CHECK(sum_of(generate(with_1, 1)) == 1);
    CHECK(sum_of(generate(with_2, 1, 2)) == 3);
    CHECK(sum_of(generate(with_3, 1, 2, 4)) == 7);
    CHECK(sum_of(generate(with_4, 1, 2, 4, &four)) == 15);
    CHECK(sum_of(generate(with_5, 1, 2, 4, &four, 16)) == 31);
    CHECK(sum_of(generate(with_6, 1, 2, 4, &four, 16, six)) == 63);
    CHECK(sum_of(generate(with_7, 1, 2, 4, &four, 16, six, 64)) == 127);
    CHECK(sum_of(generate(with_8, 1, 2, 4, &four, 16, six, 64, abs)) == 134);
    CHECK(sum_of(generate(with_6, 1, 2, 4, &four, 16, (struct two){.b = 5, .a = 1})) == 36);
}

/*
 * Goal:   zero to eight arguments arrive, of any type, converted as in a call.
 * Method: sums in which each argument is another power of two.
 */
TEST(generator, takes_zero_to_eight_arguments)
{
    run(passes_arguments);
}

struct large {
    char bytes[1024];
};
struct huge {
    _Alignas(64) char bytes[20000];
};

static generator(struct large, large_ones, struct large, first)
{
    for (; first.bytes[1023] < 3; first.bytes[1023]++)
        yield_value(first);
}

static generator(struct huge, huge_ones, const struct huge *, only)
{
    CHECK_EQ((uintptr_t)bide__value_ % 64, 0);
    yield_value(*only);
}

static generator(struct two, twos)
{
    struct two v = {1, 0.5};

    yield_value(v);
    v.a = 9; /* what was given is a copy */
    yield_value(((struct two){2, 1.5}));
}

static generator(const char *, words)
{
    yield_value("one");
    yield_value(NULL);
}

static void takes_types(void)
{
    struct large large = {{0}};
    struct huge huge = {.bytes = {[19999] = 5}};
    gen(struct two) g = generate(twos);
    gen(const char *) w = generate(words);
    struct two first, second;
    const char *word = "";

    CHECK(gen_next(g, &first) && gen_next(g, &second) && !gen_next(g, &second));
    CHECK(first.a == 1 && first.b == 0.5 && second.a == 2 && second.b == 1.5);
    gen_free(g);
    CHECK(gen_next(w, &word));
    CHECK_STR(word, "one");
    CHECK(gen_next(w, &word) && word == NULL); /* a NULL is a value */
    CHECK(!gen_next(w, &word));
    gen_free(w);
    for_each (v, generate(large_ones, large)) {
        CHECK_EQ(v.bytes[1023], large.bytes[1023]++);
        memset(&v, 7, sizeof v); /* ours */
    }
    CHECK_EQ(large.bytes[1023], 3);
    for_each (v, generate(huge_ones, &huge))
        CHECK_EQ(v.bytes[19999], 5);
}

/*
 * Goal:   values of any type arrive whole, and as copies.
 * Method: structs of 16, 1024 and 20,000 bytes, the last aligned to 64; pointers, NULL among them;
 *         both sides overwrite theirs.
 */
TEST(generator, gives_values_of_any_type_and_size)
{
    run(takes_types);
}

static async(int, doubles_later, int, n)
{
    bide_sleep(BIDE_MS(1));
    return 2 * n;
}

static generator(int, awaits, int, count)
{
    ENTER();
    for (int i = 0; i < count; i++) {
        bide_group group = BIDE_GROUP_INIT;

        with_group (&group) {
            spawn_in(&group, doubles_later, 0);
            yield_value(await(spawn(doubles_later, i)));
        }
        CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
    }
}

static void body_waits(void)
{
    int expected = 0;
    task(int) other = spawn(doubles_later, 1);

    for_each (v, generate(awaits, 10)) {
        CHECK_EQ(v, expected);
        CHECK_EQ(bide_now(), BIDE_MS(1 + 3 * (expected / 2)));
        CHECK(is_done(other)); /* others ran meanwhile */
        expected += 2;
    }
    CHECK_EQ(expected, 20);
    CHECK_EQ(bide_now(), BIDE_MS(30));
    await(other);
    for_each (v, generate(awaits, 10)) /* freed inside of its group */
        break;
}

/*
 * Goal:   a body may do whatever a task may: sleep, spawn, await, open groups.
 * Method: ten rounds of that on the virtual clock, with each value's time; and a break between two.
 */
TEST(generator, body_may_wait_for_anything)
{
    run(body_waits);
}

static int finds(int wanted)
{
    for_each (v, generate(naps, 0, 0))
        if (v == wanted)
            return v;
    return -1;
}

static void leaves_loops(void)
{
    int sum = 0;

    for_each (v, generate(counts, 0, 10)) {
        if (v % 2 == 0)
            continue;
        sum += v;
    }
    CHECK_EQ(sum, 25);
    CHECK_EQ(inside, 0);
    for_each (v, generate(naps, 0, 0)) {
        CHECK_EQ(inside, 1);
        if (v == 5)
            break;
        sum++;
    }
    CHECK_EQ(sum, 30);
    CHECK_EQ(inside, 0);
    CHECK_EQ(finds(7), 7);
    CHECK_EQ(inside, 0);
    for_each (a, generate(naps, 0, 0)) {
        for_each (b, generate(naps, 3, BIDE_MS(1))) {
            CHECK_EQ(inside, 2);
            if (b == a)
                break;
            if (a == 4 && b == 3)
                goto out;
            sum++;
        }
        CHECK_EQ(inside, 1);
    }
out:
    CHECK_EQ(sum, 30 + 0 + 1 + 2 + 3 + 3);
    CHECK_EQ(inside, 0);
    if (sum > 0)
        for_each (v, generate(counts, 0, 3))
            sum = v;
    else
        sum = -1;
    CHECK_EQ(sum, 2);
    CHECK_EQ(stats_now().tasks_living, 1);
}

/*
 * Goal:   for_each frees its generator by whatever way its block is left.
 * Method: continue, break, return and goto, in one and in two loops; count the bodies inside.
 */
TEST(generator, for_each_frees_by_whatever_way_it_is_left)
{
    run(leaves_loops);
}

/* Owns what it reads from. */
static generator(int, adds_one, gen(int), from)
{
    ENTER();
    for_each (v, from)
        yield_value(v + 1);
}

static gen(int) pipeline(gen(int) g, int stages)
{
    for (int i = 0; i < stages; i++)
        g = generate(adds_one, g);
    return g;
}

struct node {
    struct node *left, *right;
    int value;
};

static generator(int, walk, struct node *, node)
{
    ENTER();
    if (node == NULL)
        return;
    for_each (v, generate(walk, node->left))
        yield_value(v);
    yield_value(node->value);
    for_each (v, generate(walk, node->right))
        yield_value(v);
}

static void composes(void)
{
    struct node nodes[127] = {0};
    int expected = 50;

    for_each (v, pipeline(generate(counts, 0, 300), 50))
        CHECK_EQ(v, expected++);
    CHECK_EQ(expected, 350);
    for_each (v, pipeline(generate(naps, 2, BIDE_MS(1)), 50)) {
        CHECK_EQ(inside, 51);
        if (v == 60)
            break;
    }
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(inside, 0);
    for (int i = 0; i < 127; i++) /* a heap, numbered so that the walk is in order */
        nodes[i] =
            (struct node){i < 63 ? &nodes[2 * i + 1] : NULL, i < 63 ? &nodes[2 * i + 2] : NULL, i};
    for (int stop = 0; stop <= 127; stop++) {
        int count = 0, sum = 0;

        for_each (v, generate(walk, nodes)) {
            if (count++ == stop)
                break;
            sum += v;
        }
        CHECK(stop < 127 || (count == 127 && sum == 127 * 126 / 2));
        CHECK_EQ(inside, 0);
    }
    CHECK_EQ(stats_now().tasks_living, 1);
}

/*
 * Goal:   generators consume generators, in chains and by recursion, and free them in turn.
 * Method: a pipeline of 50, to its end and broken off; a tree of 127 nodes, broken off everywhere.
 */
TEST(generator, pipelines_and_recursion_free_all_they_hold)
{
    run(composes);
}

static generator(const char *, deep)
{
    char room[600 * 1024];

    for (size_t i = 0; i < sizeof room; i += 1000)
        ((volatile char *)room)[i] = 1;
    yield_value(bide_task_name());
    /* Below the stack pointer valgrind lets nobody look. */
    CHECK(TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() || bide_stack_peak() > sizeof room);
}

static void generates_with(void)
{
    bide_spawn_options options = {.stack_bytes = 1024 * 1024, .name = "digger", .measure_stack = 1};
    int count = 0;

    for_each (name, generate_with(&options, deep)) {
        CHECK_STR(name, "digger");
        count++;
    }
    CHECK_EQ(count, 1);
    for_each (n, generate_with((&(bide_spawn_options){.name = "x"}), counts, count, 3))
        CHECK_EQ(n, count++);
    CHECK_EQ(count, 3);
    for_each (n, generate_with(NULL, counts, 0, 1))
        CHECK_EQ(n, 0);
}

/*
 * Goal:   generate_with hands on stack size, name and measure_stack.
 * Method: a body that needs 600 KiB and gives its own name.
 */
TEST(generator, options_are_those_of_spawn_with)
{
    run(generates_with);
}

static void refuses_memory(void)
{
    gen(int) g;
    int v = 5;

    bide__fault_fail(BIDE__CALL_MMAP, 1, 100, -ENOMEM);
    g = generate_with((&(bide_spawn_options){.stack_bytes = 1 << 22}), counts, 0, 1);
    CHECK(g == NULL);
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    gen_free(g);
    bide__fault_reset();
    g = generate_with((&(bide_spawn_options){.stack_bytes = SIZE_MAX / 2}), counts, 0, 1);
    CHECK(g == NULL);
    CHECK_EQ(bide_spawn_error(), -EINVAL);
    gen(int) first = generate(counts, 0, 1), second = generate(counts, 1, 2);
    CHECK(first != NULL && second != NULL);
    CHECK(generate(counts, 2, 3) == NULL);
    CHECK_EQ(bide_spawn_error(), -EAGAIN);
    CHECK(gen_next(second, &v) && v == 1);
    gen_free(first);
    first = generate(counts, 2, 3);
    CHECK(gen_next(first, &v) && v == 2);
    gen_free(first);
    gen_free(second);
}

/*
 * Goal:   a generator for which there is no stack is NULL, bide_spawn_error says why, one report
 *         names it, and the next one works.
 * Method: mmap made to fail, a size beyond all, more than tasks_max.
 */
TEST(generator, without_memory_is_null)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = refuses_memory;

    options.tasks_max = 3;
    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), 0);
    CHECK_EQ(seen.count, 3);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 3);
    for (int i = 0; i < 3; i++)
        CHECK_CONTAINS(seen.kept[i].message, "'counts'");
}

static generator(int, rounds_up)
{
    CHECK_EQ(fegetround(), FE_DOWNWARD); /* of who first asked for it, or made it: the same here */
    fesetround(FE_UPWARD);
    for (int n = 0; n < 3; n++) {
        yield_value(fegetround());
        CHECK_EQ(fegetround(), FE_UPWARD);
    }
}

static void keeps_rounding(void)
{
    fesetround(FE_DOWNWARD);
    for_each (mode, generate(rounds_up)) {
        CHECK_EQ(mode, FE_UPWARD);
        CHECK_EQ(fegetround(), FE_DOWNWARD);
    }
    CHECK_EQ(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
}

/*
 * Goal:   each side keeps its own floating-point control state.
 * Method: two rounding modes, looked at on both sides of each step.
 */
TEST(generator, rounding_mode_does_not_leak)
{
    run(keeps_rounding);
}

static async(int, sums_part, gen(int), g, int, count)
{
    int sum = 0, v;

    for (int i = 0; i < count && gen_next(g, &v); i++) {
        sum += v;
        if (v % 3 == 0)
            bide_yield();
    }
    return sum;
}

static void hands_over(void)
{
    gen(int) g = pipeline(generate(naps, 4, BIDE_MS(1)), 2);

    CHECK_EQ(await(spawn(sums_part, g, 5)), 2 + 3 + 4 + 5 + 6);
    CHECK_EQ(await(spawn(sums_part, g, 5)), 7 + 8 + 9 + 10 + 11);
    CHECK(gen_next(g, NULL));
    CHECK_EQ(await(spawn(sums_part, g, 1)), 13);
    gen_free(g);
}

static async(int, sums_all, gen(int), g)
{
    int sum = await(spawn(sums_part, g, 100));

    gen_free(g);
    return sum;
}

static void mixes(void)
{
    task(int) sums[5];

    for (int i = 0; i < 5; i++)
        sums[i] = spawn(sums_all, pipeline(generate(counts, 0, 20 + i), i));
    hands_over();
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(sums[i]), (19 + i) * (20 + i) / 2 + i * (20 + i));
}

/*
 * Goal:   a generator may be asked by one task after the other, and tasks with one each do not
 *         disturb one another, in whatever order they run.
 * Method: one taken in parts by three tasks beside five that take theirs; 200 seeds.
 */
TEST(generator, goes_from_task_to_task_and_beside_others)
{
    for (uint64_t seed = 0; seed < 200; seed++)
        run_seeded(mixes, seed);
}
