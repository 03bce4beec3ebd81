/* SPDX-License-Identifier: MIT */
/*
 * async.c - the typed macros: arguments and results of every sort go there and back unchanged.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
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

static void run(void (*body)(void))
{
    CHECK_EQ(bide_test_run(call_body, &body, 0, NULL), 0);
}

static async(int, with_none)
{
    return 100;
}

static async(int, with_one, int, a)
{
    return a;
}

static async(int, with_two, int, a, int, b)
{
    return a + 2 * b;
}

static async(int, with_three, int, a, int, b, int, c)
{
    return with_two(a, b) + 3 * c;
}

static async(int, with_four, int, a, int, b, int, c, int, d)
{
    return with_three(a, b, c) + 4 * d;
}

static async(int, with_five, int, a, int, b, int, c, int, d, int, e)
{
    return with_four(a, b, c, d) + 5 * e;
}

static async(int, with_six, int, a, int, b, int, c, int, d, int, e, int, f)
{
    return with_five(a, b, c, d, e) + 6 * f;
}

static async(int, with_seven, int, a, int, b, int, c, int, d, int, e, int, f, int, g)
{
    return with_six(a, b, c, d, e, f) + 7 * g;
}

static async(int, with_eight, int, a, int, b, int, c, int, d, int, e, int, f, int, g, int, h)
{
    return with_seven(a, b, c, d, e, f, g) + 8 * h;
}

static void counts_arguments(void)
{
    CHECK_EQ(await(spawn(with_none)), 100);
    CHECK_EQ(await(spawn(with_one, 1)), 1);
    CHECK_EQ(await(spawn(with_two, 1, 10)), 21);
    CHECK_EQ(await(spawn(with_three, 1, 10, 100)), 321);
    CHECK_EQ(await(spawn(with_four, 1, 10, 100, 1000)), 4321);
    CHECK_EQ(await(spawn(with_five, 1, 10, 100, 1000, 10000)), 54321);
    CHECK_EQ(await(spawn(with_six, 1, 10, 100, 1000, 10000, 100000)), 654321);
    CHECK_EQ(await(spawn(with_seven, 1, 10, 100, 1000, 10000, 100000, 1000000)), 7654321);
    CHECK_EQ(await(spawn(with_eight, 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000)),
             87654321);
    CHECK_EQ(with_eight(1, 1, 1, 1, 1, 1, 1, 1), 36); /* a direct call works too */
}

/*
 * Goal:   zero to eight arguments arrive, each at its place; the function can also be called as any
 *         other.
 * Method: every argument counts with a weight of its own.
 */
TEST(async, zero_to_eight_arguments_arrive)
{
    run(counts_arguments);
}

static async(double, half, double, x)
{
    return x / 2;
}

static async(float, third, float, x)
{
    return x / 3;
}

static async(long long, negative, unsigned char, x)
{
    return x * -(1LL << 40);
}

static async(bool, is_odd, short, x)
{
    return x % 2 != 0;
}

static async(const char *, tail, const char *const, text)
{
    return text + 1;
}

static async(int *, identity, int *, p)
{
    return p;
}

static async(void *, context_of, const void *, p, size_t, offset)
{
    return (char *)(uintptr_t)p + offset;
}

static async(_Bool, compare, int (*)(const void *, const void *), compare_, const int, a, const int,
             b)
{
    return compare_(&a, &b) < 0;
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

enum colour { RED, GREEN };

static async(enum colour, other, enum colour, c)
{
    return c == RED ? GREEN : RED;
}

static void scalar_types(void)
{
    int here = 0;

    CHECK(await(spawn(half, 5)) > 2.49 && await(spawn(half, 5)) < 2.51);
    CHECK(await(spawn(third, 9.0f)) > 2.99f && await(spawn(third, 9.0f)) < 3.01f);
    CHECK_EQ(await(spawn(negative, 255)), -(255LL << 40));
    CHECK(await(spawn(is_odd, -3)));
    CHECK_STR(await(spawn(tail, "xabc")), "abc");
    CHECK(await(spawn(identity, &here)) == &here);
    CHECK(await(spawn(context_of, &here, 1)) == (char *)&here + 1);
    CHECK(await(spawn(compare, by_value, 1, 2)));
    CHECK_EQ(await(spawn(other, RED)), GREEN);

    task(const char *) t = spawn(tail, "xyz"); /* the same type wherever it is written */
    const char *text = await(t);
    CHECK_STR(text, "yz");
}

/*
 * Goal:   results and arguments of every scalar type, pointers and functions among them, keep type
 *         and value.
 * Method: one function for each, const parameters included.
 */
TEST(async, scalars_and_pointers_keep_their_types)
{
    run(scalar_types);
}

struct point {
    double x, y, z;
    char name[5];
};

static async(struct point, mirrored, struct point, p, const struct point, around)
{
    bide_yield();
    return (struct point){2 * around.x - p.x, 2 * around.y - p.y, 2 * around.z - p.z, "new"};
}

static void structs(void)
{
    struct point p = {1, 2, 3, "old"}, origin = {0};
    task(struct point) t = spawn(mirrored, p, origin);
    p.x = 99; /* the task has a copy */
    struct point q = await(t);

    CHECK(q.x < -0.9 && q.x > -1.1 && q.z < -2.9);
    CHECK_STR(q.name, "new");
    CHECK(await(spawn(mirrored, p, origin)).x < -98.9);
}

/*
 * Goal:   structs go by value both ways.
 * Method: change the caller's copy between spawn and await.
 */
TEST(async, structs_go_by_value)
{
    run(structs);
}

static int done;

static async(void, adds, int, n)
{
    bide_yield();
    done += n;
}

static async(void, adds_nothing) {}

static void voids(void)
{
    task(void) t = spawn(adds, 3);
    await(t);
    CHECK_EQ(done, 3);
    await(spawn(adds_nothing));
    CHECK_EQ(go(adds, 4), 0);
    task(void) slow = spawn(adds, 5);
    CHECK_EQ(await_for(slow, BIDE_SEC(1), NULL), 0);
    CHECK_EQ(done, 12);
}

/*
 * Goal:   functions without a result can be spawned, awaited, and run by themselves.
 * Method: all ways to take part in one, seen by a counter.
 */
TEST(async, void_results_are_awaited_without_a_value)
{
    run(voids);
}

/* As a header file would: declared here, defined below. */
async(int, declared_first, int, a, const char *, b);

static void uses_declaration(void)
{
    CHECK_EQ(await(spawn(declared_first, 2, "abc")), 5);
}

int declared_first(int a, const char *b)
{
    return a + (int)strlen(b);
}

/*
 * Goal:   a function declared with async(...); and defined later, as over two files, can be
 *         spawned.
 * Method: use it between the two.
 */
TEST(async, declaration_before_a_semicolon_is_enough_to_spawn)
{
    run(uses_declaration);
}

static async(int, deeper, int, n)
{
    return n == 0 ? 1 : await(spawn(deeper, n - 1)) + await(spawn(deeper, n - 1));
}

static async(task(int), spawner, int, n)
{
    return spawn(with_one, n);
}

static async(int, takes_task, task(int), t)
{
    return await(t) + 1;
}

static void nested_macros(void)
{
    CHECK_EQ(await(spawn(deeper, 6)), 64);
    CHECK_EQ(await(await(spawn(spawner, 7))), 7);
    CHECK_EQ(await(spawn(with_one, await(spawn(with_one, await(spawn(with_one, 8)))))), 8);
    CHECK_EQ(await(spawn(takes_task, spawn(takes_task, spawn(with_one, 9)))), 11);
    CHECK_EQ(go(takes_task, spawn(with_one, 1)), 0);
    task(task(int)) twice = spawn(spawner, 5);
    CHECK_EQ(await(await(twice)), 5);
}

/*
 * Goal:   the macros can stand inside one another, in one expression, and handles are ordinary
 *         values.
 * Method: await in await, await and spawn among a spawn's arguments, tasks that return and take
 *         tasks.
 */
TEST(async, macros_nest_in_one_expression)
{
    run(nested_macros);
}

typedef int four_ints __attribute__((vector_size(16)));
typedef int sixteen_ints __attribute__((vector_size(64)));

struct aligned {
    sixteen_ints v __attribute__((aligned(64)));
    char c;
};

static async(struct aligned, twice_each, char, odd, struct aligned, a, four_ints, b)
{
    CHECK_EQ((uintptr_t)&a % 64, 0);
    bide_yield();
    a.v += a.v;
    a.c = (char)(odd + b[3]);
    return a;
}

static void vectors(void)
{
    struct aligned a = {.c = 0};

    for (int i = 0; i < 16; i++)
        a.v[i] = i;
    struct aligned b = await(spawn(twice_each, 1, a, (four_ints){0, 0, 0, 6}));
    for (int i = 0; i < 16; i++)
        CHECK_EQ(b.v[i], 2 * i);
    CHECK_EQ(b.c, 7);
}

/*
 * Goal:   arguments and results that want 64 bytes of alignment get them.
 * Method: a struct with a 64-byte vector beside odd-sized arguments, by value both ways.
 */
TEST(async, aligned_vectors_go_by_value)
{
    run(vectors);
}

struct kilobytes {
    char bytes[100 * 1024];
};
struct large {
    char bytes[400 * 1024];
};

static async(int, sums, struct kilobytes, k)
{
    int sum = 0;

    bide_yield();
    for (size_t i = 0; i < sizeof k.bytes; i++)
        sum += k.bytes[i];
    return sum;
}

static async(struct large, echoes, struct large, m)
{
    bide_yield();
    m.bytes[sizeof m.bytes - 1]++;
    return m;
}

static void large_structs(void)
{
    static struct kilobytes k;
    static struct large m;

    memset(&k, 1, sizeof k);
    CHECK_EQ(await(spawn(sums, k)), 100 * 1024);
    task(int) small = spawn_with(&(bide_spawn_options){.stack_bytes = 1}, sums, k);
    CHECK_EQ(await(small), 100 * 1024);
    m.bytes[sizeof m.bytes - 1] = 4;
    task(struct large) both = spawn_with(&(bide_spawn_options){.stack_bytes = 1 << 18}, echoes, m);
    CHECK_EQ(await(both).bytes[sizeof m.bytes - 1], 5);
}

/*
 * Goal:   arguments larger than the stack that was asked for get a larger one, with room for the
 *         callee's copy.
 * Method: 100 KiB on the smallest stack, 400 KiB both ways on one of 256 KiB.
 */
TEST(async, large_structs_get_a_larger_stack)
{
    bide_options options = {.stack_bytes = 16 * 1024 * 1024}; /* for the caller's own copies */
    void (*body)(void) = large_structs;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), 0);
}

static async(size_t, uses_stack, size_t, bytes)
{
    volatile char *memory = __builtin_alloca(bytes);

    for (size_t i = 0; i < bytes; i += 1024)
        memory[i] = 1;
    CHECK_STR(bide_task_name(), "hungry");
    return bytes;
}

static void spawns_with_choices(void)
{
    bide_spawn_options options = {.stack_bytes = 4 * 1024 * 1024, .name = "hungry"};

    CHECK_EQ(await(spawn_with(&options, uses_stack, 3 * 1024 * 1024)), 3 * 1024 * 1024);
    CHECK_EQ(await(spawn_with((&(bide_spawn_options){.stack_bytes = 1 << 21, .name = "hungry"}),
                              uses_stack, 1 << 20)),
             1 << 20);
}

/*
 * Goal:   spawn_with gives the stack and the name that were asked for.
 * Method: use three of four megabytes; a literal with two fields in parentheses.
 */
TEST(async, spawn_with_gives_stack_and_name)
{
    run(spawns_with_choices);
}

static int failing_spawns(void *arg)
{
    (void)arg;
    task(int) t = spawn_with(&(bide_spawn_options){.stack_bytes = SIZE_MAX}, with_one, 1);
    CHECK(t == NULL);
    CHECK_EQ(bide_spawn_error(), -EINVAL);
    CHECK_EQ(detach(t), -EINVAL);
    bide__fault_fail(BIDE__CALL_MMAP, 1, UINT64_MAX, -ENOMEM);
    t = spawn_with(&(bide_spawn_options){.stack_bytes = 1 << 20}, with_one, 1);
    CHECK(t == NULL);
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    CHECK_EQ(go(with_seven, 1, 2, 3, 4, 5, 6, 7), 0); /* of a size that the pool has room for */
    bide__fault_reset();
    t = spawn_with(&(bide_spawn_options){.stack_bytes = 1 << 20}, with_one, 1);
    CHECK(t != NULL);
    return await(t);
}

/*
 * Goal:   a spawn that fails gives NULL, says why in bide_spawn_error and in a report, and spoils
 *         nothing.
 * Method: an impossible size, no memory for a new region, then memory again.
 */
TEST(async, spawn_that_fails_returns_null_and_says_why)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    bide__fault_reset();
    CHECK_EQ(bide_test_run(failing_spawns, NULL, 0, &options), 1);
    CHECK_EQ(seen.count, 2);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 2);
    CHECK_EQ(seen.kept[0].error, -EINVAL);
    CHECK_CONTAINS(seen.kept[0].message, "cannot spawn 'with_one' at ");
    CHECK_CONTAINS(seen.kept[0].message, "in failing_spawns()");
    CHECK_EQ(seen.kept[1].error, -ENOMEM);
    CHECK_CONTAINS(seen.kept[1].message, "memory");
}

static int many_rounds(void *arg)
{
    const int rounds = TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() ? 1000 : 100000;

    (void)arg;
    CHECK_EQ(await(spawn(with_two, 1, 2)), 5); /* makes the stack */
    uint64_t calls = bide__fault_system_calls(), allocations = bide__fault_count(BIDE__CALL_ALLOC);
    for (int i = 0; i < rounds; i++)
        CHECK_EQ(await(spawn(with_two, i, 0)), i);
    CHECK_EQ(bide__fault_system_calls(), calls);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), allocations);
    return 0;
}

/*
 * Goal:   once the pool is warm, spawning and awaiting costs no system call and no allocation.
 * Method: count both over 100,000 rounds on the real loop (1,000 where each is slow).
 */
TEST(async, steady_spawn_and_await_make_no_system_call)
{
    CHECK_EQ(bide_run(many_rounds, NULL, NULL), 0);
}
