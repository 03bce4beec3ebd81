/* SPDX-License-Identifier: MIT */
/*
 * stack.c - stacks: regions, guards of both sorts, the pool, giving memory back, and running out of
 * any of it.
 */
#include "context/stack.h"

#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "context/sanitizer.h"
#include "reports.h"
#include "test.h"

/* A control block of a test. */
struct block {
    char before[40];
    struct bide__stack stack;
    char after[20];
};

static struct bide__stack_pool pool;

static void pool_start(void)
{
    bide__stack_pool_init(&pool, sizeof(struct block), offsetof(struct block, stack));
}

static struct bide__stack *take(int class_index)
{
    struct bide__stack *stack = bide__stack_reuse(&pool, class_index);

    if (stack == NULL)
        CHECK_EQ(bide__stack_make(&pool, class_index, &stack), 0);
    return stack;
}

/*
 * Goal:   a request is served by the smallest class that holds it, never below the least, and
 *         refused beyond all.
 * Method: sizes around powers of two, 0 and SIZE_MAX.
 */
TEST(stack, class_is_the_smallest_power_of_two_that_fits)
{
    pool_start();
    CHECK_EQ((size_t)1 << bide__stack_class_of(&pool, 0), BIDE__STACK_DEFAULT_BYTES);
    CHECK_EQ((size_t)1 << bide__stack_class_of(&pool, 1), pool.least_bytes);
    CHECK_EQ(bide__stack_class_of(&pool, 1 << 20), 20);
    CHECK_EQ(bide__stack_class_of(&pool, (1 << 20) + 1), 21);
    CHECK_EQ(bide__stack_class_of(&pool, (1 << 20) - 1), 20);
    CHECK_EQ(bide__stack_class_of(&pool, SIZE_MAX), -EINVAL);
    CHECK(pool.least_bytes >= 2 * pool.page_bytes);
}

/*
 * Goal:   the stack that was freed last is taken first, and each class has a list of its own.
 * Method: free three of one class and one of another; take them back.
 */
TEST(stack, pool_is_last_in_first_out_by_class)
{
    struct bide__stack *stacks[3], *other;

    pool_start();
    for (int i = 0; i < 3; i++)
        stacks[i] = take(18);
    other = take(20);
    CHECK(bide__stack_reuse(&pool, 18) == NULL);
    for (int i = 0; i < 3; i++)
        bide__stack_release(&pool, stacks[i]);
    bide__stack_release(&pool, other);
    CHECK_EQ(pool.hot_count, 4);
    for (int i = 2; i >= 0; i--)
        CHECK(bide__stack_reuse(&pool, 18) == stacks[i]);
    CHECK(bide__stack_reuse(&pool, 20) == other);
    CHECK(bide__stack_reuse(&pool, 20) == NULL);
    CHECK_EQ(pool.made_count, 4);
    bide__stack_pool_free(&pool);
}

/*
 * Goal:   stacks of one size are large enough and disjoint, their tops differ by cache lines, and
 *         control blocks lie packed.
 * Method: take two regions' worth, fill each stack's ends, look at addresses.
 */
TEST(stack, tops_are_coloured_and_control_blocks_packed)
{
    enum { COUNT = 48 };
    struct bide__stack *stacks[COUNT];
    uint64_t colours = 0;

    pool_start();
    for (int i = 0; i < COUNT; i++) {
        struct bide__stack *stack = stacks[i] = take(16);
        char *end = stack->low + bide__stack_bytes(stack);
        CHECK_EQ(bide__stack_bytes(stack), 65536);
        CHECK_EQ((uintptr_t)stack->low % pool.page_bytes, 0);
        CHECK_EQ((uintptr_t)stack->top % 64, 0);
        CHECK(stack->top <= end && end - stack->top < 2048);
        colours |= UINT64_C(1) << ((end - stack->top) / 64);
        stack->low[0] = stack->top[-1] = (char)i;
    }
    for (int i = 0; i < COUNT; i++)
        CHECK(stacks[i]->low[0] == (char)i && stacks[i]->top[-1] == (char)i);
    CHECK_EQ(colours, 0xffffffff);
    for (int i = 1; i < 16; i++) /* the first region */
        CHECK_EQ((char *)stacks[i] - (char *)stacks[i - 1], pool.control_bytes);
    CHECK_EQ(pool.control_bytes % 64, 0);
    bide__stack_pool_free(&pool);
}

static void touch(volatile char *byte)
{
    *byte = 1;
}

static void guards_hold(void)
{
    struct bide__stack *first = take(16), *second = take(16);

    CHECK(bide__stack_guards(&pool, first->low - 1));
    CHECK(
        bide__stack_guards(&pool, first->low - bide__stack_guard_bytes(&pool, first->class_index)));
    CHECK(!bide__stack_guards(&pool, first->low));
    CHECK(!bide__stack_guards(&pool, first->top - 1));
    CHECK(!bide__stack_guards(&pool, &pool));
    CHECK(!bide__stack_guards(&pool, NULL));
    touch(first->low);
    touch(second->low);
    EXPECT_DEATH(touch(second->low - 1), "");
    EXPECT_DEATH(touch(second->low - bide__stack_guard_bytes(&pool, second->class_index)), "");
    EXPECT_DEATH(touch(first->low - 1), "");
    bide__stack_release(&pool, first);
    bide__stack_release(&pool, second);
    CHECK(bide__stack_reuse(&pool, 16) == second);
    EXPECT_DEATH(touch(second->low - 1), ""); /* still there */
    bide__stack_pool_free(&pool);
}

/*
 * Goal:   below each stack lies a guard, and the handler recognises it.
 * Method: touch its ends in children, before and after reuse.
 */
TEST(stack, guard_page_stops_an_overflow)
{
    pool_start();
    guards_hold();
}

static void refuse_guard_advice(void)
{
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_MADVISE, 1, UINT64_MAX, -EINVAL);
}

/*
 * Goal:   the same on kernels before 6.13, where guards are mprotect's.
 * Method: let madvise fail, as those do.
 */
TEST(stack, guard_page_by_mprotect_stops_an_overflow)
{
    refuse_guard_advice();
    pool_start();
    CHECK(!pool.guard_by_madvise);
    guards_hold();
    CHECK_EQ(bide__fault_count(BIDE__CALL_MPROTECT), 2);
}

static int spawn_error;

static async(int, echo, int, n)
{
    bide_yield();
    return n;
}

static int spawns_of_two_sizes(void *arg)
{
    task(int) tasks[60];

    (void)arg;
    spawn_error = 0;
    for (int i = 0; i < 60; i++) {
        bide_spawn_options options = {.stack_bytes = i % 2 ? (size_t)1 << 20 : 0};
        tasks[i] = spawn_with(&options, echo, i);
        if (tasks[i] == NULL) {
            spawn_error = bide_spawn_error();
            CHECK(spawn_error < 0);
        }
    }
    for (int i = 0; i < 60; i++)
        if (tasks[i] != NULL)
            CHECK_EQ(await(tasks[i]), i);
    return 0;
}

struct refusal {
    enum bide__call call;
    int error;
    uint64_t times;
};

static void run_refused(const struct refusal *refusal, uint64_t nth)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    bide__fault_reset();
    if (refusal->call == BIDE__CALL_MPROTECT)
        bide__fault_fail(BIDE__CALL_MADVISE, 1, UINT64_MAX, -EINVAL);
    bide__fault_fail(refusal->call, nth, refusal->times, refusal->error);
    spawn_error = 0;
    int result = bide_test_run(spawns_of_two_sizes, NULL, 0, &options);
    CHECK(result == 0 || result == -ENOMEM);
    CHECK(spawn_error == 0 || spawn_error == -ENOMEM);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), seen.count);
    if (result == 0 && spawn_error != 0)
        CHECK(seen.count > 0);
    /* Whatever failed, what was mapped is unmapped. */
    uint64_t mapped = bide__fault_count(BIDE__CALL_MMAP);
    if (refusal->call == BIDE__CALL_MMAP && mapped >= nth)
        mapped = refusal->times == 1 ? mapped - 1 : nth - 1;
    CHECK_EQ(mapped, bide__fault_count(BIDE__CALL_MUNMAP));
}

/*
 * Goal:   whichever mapping, advice, protection or allocation fails, once or from then on, spawns
 *         fail cleanly or find another way; nothing stays mapped and nothing else breaks.
 * Method: the n-th call fails for every n that the run makes; sixty spawns of two sizes; maps and
 *         unmaps are counted.
 */
TEST(stack, every_failing_call_fails_a_spawn_at_most)
{
    static const struct refusal refusals[] = {
        {BIDE__CALL_MMAP, -ENOMEM, 1},     {BIDE__CALL_MMAP, -ENOMEM, UINT64_MAX},
        {BIDE__CALL_MADVISE, -ENOMEM, 1},  {BIDE__CALL_MADVISE, -ENOMEM, UINT64_MAX},
        {BIDE__CALL_MPROTECT, -ENOMEM, 1}, {BIDE__CALL_MPROTECT, -ENOMEM, UINT64_MAX},
        {BIDE__CALL_ALLOC, -ENOMEM, 1},    {BIDE__CALL_ALLOC, -ENOMEM, UINT64_MAX},
        {BIDE__CALL_MADVISE, -EAGAIN, 1},  {BIDE__CALL_MPROTECT, -EAGAIN, 1},
    };

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        uint64_t nth = 1;
        do
            run_refused(&refusals[i], nth);
        while (bide__fault_count(refusals[i].call) >= nth++);
        CHECK(nth > 2);
    }
}

static int spawns_one(void *arg)
{
    (void)arg;
    /* The first task has its stack; the next guard is refused. */
    bide__fault_fail(BIDE__CALL_MADVISE, 1, UINT64_MAX, -ENOMEM);
    bide__fault_fail(BIDE__CALL_MPROTECT, 1, UINT64_MAX, -ENOMEM);
    CHECK(spawn(echo, 1) == NULL);
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    bide__fault_reset();
    return await(spawn(echo, 3));
}

/*
 * Goal:   where mprotect is what fails, the report names the kernel's limit and how to raise it;
 *         elsewhere it does not.
 * Method: refuse the second guard, with both sorts of guard.
 */
TEST(stack, report_of_a_refused_guard_names_the_limit)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    refuse_guard_advice();
    CHECK_EQ(bide_test_run(spawns_one, NULL, 0, &options), 3);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(seen.kept[0].error, -ENOMEM);
    CHECK_CONTAINS(seen.kept[0].message, "cannot spawn 'echo' at ");
    CHECK_CONTAINS(seen.kept[0].message, "vm.max_map_count");
    bide__fault_reset();
    pool_start();
    if (!pool.guard_by_madvise)
        SKIP("this kernel, or AddressSanitizer, has no other guards");
    CHECK_EQ(bide_test_run(spawns_one, NULL, 0, &options), 3);
    CHECK_CONTAINS(seen.kept[1].message, "page tables");
    CHECK(strstr(seen.kept[1].message, "max_map_count") == NULL);
}

static async(int, sleeps)
{
    return bide_sleep(BIDE_FOREVER);
}

static int map_count(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int lines = 0;

    CHECK(maps != NULL);
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static long map_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long limit = 0;

    if (file == NULL || fscanf(file, "%ld", &limit) != 1)
        SKIP("cannot read vm.max_map_count");
    fclose(file);
    return limit;
}

static int spawns_until_refused(void *arg)
{
    int *count = arg;

    while (go(sleeps) == 0) {
        ++*count;
        if (*count % 1000 == 0)
            bide_yield();
    }
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    CHECK_EQ(go(sleeps), -ENOMEM); /* and again */
    return 0;
}

/*
 * Goal:   at the kernel's real limit of mappings spawn fails and says which limit it is; ending
 *         needs no new mapping, so everything is given back, and a loop can be started again.
 * Method: mprotect's guards; sleepers on small stacks until spawn fails. Mappings are counted
 *         before and after.
 */
/* timeout: 120 */
TEST(stack, exhausted_mappings_fail_the_spawn_and_not_the_teardown)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    long limit = map_limit();
    int count = 0, before;

    if (limit > 200000)
        SKIP("vm.max_map_count is high: the address space would go first");
    if (TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU())
        SKIP("what watches the process needs mappings of its own and dies first");
    options.stack_bytes = 1;
    refuse_guard_advice();
    before = map_count();
    CHECK_EQ(bide_test_run(spawns_until_refused, &count, 0, &options), 0);
    CHECK(count > limit / 2 - 200 && count <= limit / 2);
    CHECK_CONTAINS(reports_get(&seen, BIDE_REPORT_SPAWN_FAILED, 0)->message, "vm.max_map_count");
    CHECK(map_count() <= before + 2); /* the C library may have kept some */
    count = 0;
    CHECK_EQ(bide_test_run(spawns_of_two_sizes, NULL, 0, NULL), 0);
    CHECK_EQ(spawn_error, 0);
}

static long resident_pages(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    long total, resident = 0;

    CHECK(statm != NULL && fscanf(statm, "%ld %ld", &total, &resident) == 2);
    fclose(statm);
    return resident;
}

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

enum { PEAK_TASKS = 2000, PEAK_BYTES = 60 * 1024 };

static async(int, uses_much)
{
    /* AddressSanitizer may keep arrays elsewhere, but not these. */
    volatile char *memory = __builtin_alloca(PEAK_BYTES);

    for (size_t i = 0; i < PEAK_BYTES; i += 1024)
        memory[i] = 1;
    return bide_sleep(BIDE_MS(1)) + memory[0];
}

static void peak(void)
{
    static task(int) tasks[PEAK_TASKS];

    for (int i = 0; i < PEAK_TASKS; i++)
        tasks[i] = spawn(uses_much);
    for (int i = 0; i < PEAK_TASKS; i++)
        CHECK_EQ(await(tasks[i]), 1);
}

static int peaks_and_rests(void *arg)
{
    const long pages = (long)PEAK_TASKS * PEAK_BYTES / sysconf(_SC_PAGESIZE);

    (void)arg;
    peak();
    long at_peak = resident_pages();
    uint64_t made = stats_now().stacks_made, calls = bide__fault_count(BIDE__CALL_MMAP);
    CHECK(stats_now().stacks_pooled >= PEAK_TASKS);
    CHECK_EQ(bide_sleep(BIDE_MS(500)), 0);
    CHECK(stats_now().stacks_pooled >= PEAK_TASKS); /* not at once: it may be wanted again */
    CHECK_EQ(bide_sleep(BIDE_SEC(60)), 0);
    CHECK(stats_now().stacks_pooled <= 64);
    if (!TEST_UNDER_SANITIZER()) /* whose own memory counts as well */
        CHECK(at_peak - resident_pages() > pages * 8 / 10);
    uint64_t polls = stats_now().polls;
    CHECK_EQ(bide_sleep(BIDE_SEC(3600)), 0);
    CHECK(stats_now().polls - polls < 30); /* a quiet loop does not wake to trim */
    peak();
    CHECK_EQ(stats_now().stacks_made, made); /* the given back serve again */
    CHECK_EQ(bide__fault_count(BIDE__CALL_MMAP), calls);
    return 0;
}

/*
 * Goal:   after a peak the memory goes back to the kernel within a minute, some stacks stay at
 *         hand, and a second peak needs no new ones.
 * Method: 2,000 tasks touch 60 KiB each; resident size and pooled stacks before and after a virtual
 *         minute.
 */
TEST(stack, memory_is_given_back_after_a_peak)
{
    if (TEST_UNDER_VALGRIND())
        SKIP("the resident size is valgrind's");
    CHECK_EQ(bide_test_run(peaks_and_rests, NULL, 0, NULL), 0);
}

__attribute__((noinline)) static void use_stack(size_t bytes)
{
    volatile char *memory = __builtin_alloca(bytes);

    for (size_t i = 0; i < bytes; i++)
        memory[i] = (char)0xee;
}

static async(size_t, measures, size_t, bytes)
{
    use_stack(bytes);
    return bide_stack_peak();
}

static int measures_peaks(void *arg)
{
    const bide_spawn_options clean = {.measure_stack = true};

    (void)arg;
    bide_stack_peak(); /* the dynamic linker's frames, when it finds a function, are large */
    for (size_t bytes = 1000; bytes < 150000; bytes = bytes * 3 / 2) {
        size_t measured = await(spawn_with(&clean, measures, bytes));
        CHECK(measured >= bytes);
        CHECK(measured < bytes + 1024 || TEST_UNDER_SANITIZER());
    }
    CHECK(await(spawn(measures, 1000)) >= 100000); /* what was left on the same stack */
    CHECK(await(spawn_with(&clean, measures, 1000)) < 5000 || TEST_UNDER_SANITIZER());
    return 0;
}

/*
 * Goal:   bide_stack_peak is exact to the word on clean pages, and an upper bound on reused ones.
 * Method: tasks fill so many bytes and ask; then a small one on the stack of a large one, with and
 *         without cleaning.
 */
TEST(stack, peak_is_what_was_used)
{
    if (TEST_UNDER_VALGRIND())
        SKIP("it reads dead frames, which is what valgrind objects to");
    if (TEST_UNDER_QEMU())
        SKIP("mincore is the emulator's");
    CHECK_EQ(bide_test_run(measures_peaks, NULL, 0, NULL), 0);
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    char text[512];

    snprintf(text, sizeof text, "%d", number);
    signals_seen += atoi(text) == number;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void dirty_avx512(void)
{
    __asm__ volatile("vpternlogd $0xff, %%zmm0, %%zmm0, %%zmm0\n\t"
                     "vmovdqa64 %%zmm0, %%zmm31\n\t"
                     "kxnorw %%k1, %%k1, %%k1" ::
                         : "xmm0", "xmm31", "k1");
}

__attribute__((target("avx"))) static void dirty_avx(void)
{
    __asm__ volatile("vxorps %%ymm15, %%ymm15, %%ymm15\n\t"
                     "vcmpeqps %%ymm15, %%ymm15, %%ymm15" ::
                         : "xmm15");
}

static void dirty_vectors(void)
{
    if (__builtin_cpu_supports("avx512f"))
        dirty_avx512();
    else if (__builtin_cpu_supports("avx"))
        dirty_avx();
}
#else
static void dirty_vectors(void) {}
#endif

static async(int, takes_signals)
{
    for (int i = 0; i < 100; i++) {
        dirty_vectors();
        raise(SIGUSR1);
        bide_yield();
    }
    return 0;
}

static int spawns_smallest(void *arg)
{
    const bide_spawn_options smallest = {.stack_bytes = 1};

    (void)arg;
    CHECK(bide_stack_least() <= 65536 || TEST_UNDER_SANITIZER());
    task(int) a = spawn_with(&smallest, takes_signals);
    task(int) b = spawn_with(&smallest, takes_signals);
    return await(a) + await(b);
}

/*
 * Goal:   the smallest stack holds a signal frame with all the vector state that this processor
 *         saves.
 * Method: dirty the widest registers, take a signal on the task's stack, in a handler with a frame
 *         of its own.
 */
TEST(stack, smallest_stack_survives_a_signal)
{
    struct sigaction action = {.sa_handler = on_signal};

#ifdef BIDE__TSAN
    SKIP("ThreadSanitizer runs handlers with kilobytes of its own on the stack");
#endif
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(bide_test_run(spawns_smallest, NULL, 0, NULL), 0);
    CHECK_EQ(signals_seen, 200);
}
