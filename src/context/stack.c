/* SPDX-License-Identifier: MIT */
/*
 * stack.c - regions, guards, pools.
 *
 * A region holds `count` stacks of one class; slot i is [guard | usable bytes], the stack growing
 * down towards its guard. Guards are installed when a slot is carved:
 *
 *   MADV_GUARD_INSTALL (Linux 6.13) marks page-table entries and splits no mapping, so a million
 *   guards cost one mapping. Some emulators accept any advice and do nothing, hence the probe in
 *   bide__stack_pool_init. mprotect(PROT_NONE) otherwise: two mappings a stack, which
 *   vm.max_map_count ends near 32,000 stacks.
 *
 * Under AddressSanitizer the guards are always mprotect's: the leak checker reads the stacks as
 * roots and skips what the mapping calls unreadable, which it cannot know of the other kind.
 */
#include "context/stack.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/check.h"
#include "base/sys.h"
#include "context/sanitizer.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
    GUARD_MOST = 64 * 1024, /* wide: a frame of less cannot jump over it */
    GUARD_PART = 4,         /* of the stack: small stacks are for small frames */
    COLOUR_BYTES = 64,
    COLOURS = 32, /* half a page, so that a sleeping task still fits in one */
    REGION_STACKS_LEAST = 16,
    REGION_STACKS_MOST = 4096,
    LEAST_MARGIN = 4096, /* beside a signal frame: the handler's own frames */
    TRIM_KEEP = 64,      /* hot stacks of a class that are never given back */
    TRIM_BATCH = 4096,   /* given back by one call at the most */
};

struct bide__stack_region {
    struct bide__list link;
    char *memory;
    char *controls; /* count control blocks */
    size_t bytes;
    size_t control_bytes;
    size_t guard_bytes;
    size_t stride; /* bytes from one slot to the next */
    size_t count;
    size_t carved;
    int class_index;
};

static size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

static int log2_up(size_t value)
{
    int bits = 0;

    while (bits < BIDE__STACK_CLASSES && ((size_t)1 << bits) < value)
        bits++;
    return bits;
}

/* Install a guard and let the kernel read it: only -EFAULT proves that it is one. */
static bool madvise_guards_work(size_t page_bytes)
{
#ifdef BIDE__ASAN
    (void)page_bytes;
    return false;
#else
    void *page = NULL;
    bool works;

    if (bide__sanitizer_emulates() || bide__sys_mmap(page_bytes, &page) < 0)
        return false; /* Valgrind reads arguments itself, and would die of the probe */
    works = bide__sys_madvise(page, page_bytes, MADV_GUARD_INSTALL) == 0 &&
            syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, NULL, 8) < 0;
    bide__sys_munmap(page, page_bytes);
    return works;
#endif
}

void bide__stack_pool_init(struct bide__stack_pool *pool, size_t control_bytes,
                           size_t control_offset)
{
    unsigned long frame = getauxval(AT_MINSIGSTKSZ);
    size_t least;

    memset(pool, 0, sizeof *pool);
    for (int i = 0; i < BIDE__STACK_CLASSES; i++) {
        bide__list_init(&pool->classes[i].hot);
        bide__list_init(&pool->classes[i].cold);
    }
    bide__list_init(&pool->regions);
    pool->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    least =
        (frame != 0 ? (size_t)frame : (size_t)MINSIGSTKSZ) + LEAST_MARGIN + COLOUR_BYTES * COLOURS;
    least = least < 2 * pool->page_bytes ? 2 * pool->page_bytes : least;
    pool->least_bytes = (size_t)1 << log2_up(least);
    pool->control_bytes = round_up(control_bytes, 64);
    pool->control_offset = control_offset;
    pool->hot_floor = TRIM_KEEP;
    pool->guard_by_madvise = madvise_guards_work(pool->page_bytes);
}

size_t bide__stack_guard_bytes(const struct bide__stack_pool *pool, int class_index)
{
    size_t part = ((size_t)1 << class_index) / GUARD_PART;

    return round_up(part < GUARD_MOST ? part : GUARD_MOST, pool->page_bytes);
}

static struct bide__stack *stack_at(const struct bide__stack_pool *pool,
                                    const struct bide__stack_region *region, size_t index)
{
    return (struct bide__stack *)(void *)(region->controls + index * pool->control_bytes +
                                          pool->control_offset);
}

void bide__stack_each(struct bide__stack_pool *pool,
                      void (*visit)(struct bide__stack *stack, void *arg), void *arg)
{
    for (struct bide__list *at = pool->regions.next; at != &pool->regions; at = at->next) {
        struct bide__stack_region *region = BIDE__CONTAINER(at, struct bide__stack_region, link);
        for (size_t i = 0; i < region->carved; i++)
            visit(stack_at(pool, region, i), arg);
    }
}

static void stack_gone(struct bide__stack *stack, void *unused)
{
    (void)unused;
    bide__sanitizer_stack_gone(stack->low, bide__stack_bytes(stack), stack->valgrind_id);
}

void bide__stack_pool_free(struct bide__stack_pool *pool)
{
    bide__stack_each(pool, stack_gone, NULL);
    while (!bide__list_is_empty(&pool->regions)) {
        struct bide__stack_region *region =
            BIDE__CONTAINER(pool->regions.next, struct bide__stack_region, link);
        bide__list_remove(&region->link);
        bide__sys_munmap(region->memory, region->bytes);
        bide__sys_munmap(region->controls, region->count * region->control_bytes);
        free(region);
    }
}

int bide__stack_class_of(const struct bide__stack_pool *pool, size_t bytes)
{
    if (bytes == 0)
        bytes = BIDE__STACK_DEFAULT_BYTES;
    if (bytes < pool->least_bytes)
        bytes = pool->least_bytes;
    int class_index = log2_up(bytes);
    return class_index < BIDE__STACK_CLASSES ? class_index : -EINVAL;
}

/* Map a region of `count` stacks. */
static int region_map(struct bide__stack_pool *pool, int class_index, size_t count,
                      struct bide__stack_region *region)
{
    void *memory = NULL, *controls = NULL;
    size_t guard_bytes = bide__stack_guard_bytes(pool, class_index);
    size_t stride = guard_bytes + ((size_t)1 << class_index);
    int err = bide__sys_mmap(count * stride, &memory);

    if (err < 0)
        return err;
    err = bide__sys_mmap(count * pool->control_bytes, &controls);
    if (err < 0) {
        bide__sys_munmap(memory, count * stride);
        return err;
    }
    /* A huge page would make two megabytes resident at the first touch of a stack. */
    bide__sys_madvise(memory, count * stride, MADV_NOHUGEPAGE);
    *region = (struct bide__stack_region){
        .memory = memory,
        .controls = controls,
        .bytes = count * stride,
        .control_bytes = pool->control_bytes,
        .guard_bytes = guard_bytes,
        .stride = stride,
        .count = count,
        .class_index = class_index,
    };
    return 0;
}

/*
 * Start a region of the class, twice as large as its last one, or as large as the address space
 * still allows.
 */
static int region_add(struct bide__stack_pool *pool, int class_index)
{
    struct bide__stack_class *class = &pool->classes[class_index];
    size_t count = class->at == NULL ? REGION_STACKS_LEAST : class->at->count * 2;
    struct bide__stack_region *region = bide__alloc(sizeof *region);
    int err;

    if (region == NULL)
        return -ENOMEM;
    if (count > REGION_STACKS_MOST)
        count = REGION_STACKS_MOST;
    while ((err = region_map(pool, class_index, count, region)) < 0 && count > 1)
        count /= 2;
    if (err < 0) {
        free(region);
        return err;
    }
    bide__list_append(&pool->regions, &region->link);
    class->at = region;
    return 0;
}

static bool guard_install(struct bide__stack_pool *pool, void *guard, size_t bytes)
{
    int err = pool->guard_by_madvise ? bide__sys_madvise(guard, bytes, MADV_GUARD_INSTALL)
                                     : bide__sys_mprotect(guard, bytes, PROT_NONE);

    pool->guard_refused = err < 0;
    return err >= 0;
}

int bide__stack_make(struct bide__stack_pool *pool, int class_index, struct bide__stack **out)
{
    struct bide__stack_class *class = &pool->classes[class_index];
    struct bide__stack_region *region;
    struct bide__stack *stack;
    char *slot;

    bide__assert(bide__list_is_empty(&class->hot));
    if (!bide__list_is_empty(&class->cold)) {
        *out = BIDE__CONTAINER(class->cold.next, struct bide__stack, link);
        bide__list_remove(class->cold.next);
        return 0;
    }
    pool->guard_refused = false;
    if ((class->at == NULL || class->at->carved == class->at->count) &&
        region_add(pool, class_index) < 0)
        return -ENOMEM; /* whatever the kernel calls it: -EAGAIN would mean tasks_max */
    region = class->at;
    slot = region->memory + region->carved * region->stride;
    if (!guard_install(pool, slot, region->guard_bytes))
        return -ENOMEM;
    stack = stack_at(pool, region, region->carved);
    stack->low = slot + region->guard_bytes;
    stack->top = slot + region->stride - region->carved % COLOURS * COLOUR_BYTES;
    stack->class_index = (uint8_t)class_index;
    stack->valgrind_id = bide__sanitizer_stack_made(stack->low, bide__stack_bytes(stack));
    bide__list_init(&stack->link);
    region->carved++;
    pool->made_count++;
    *out = stack;
    return 0;
}

const char *bide__stack_explain(const struct bide__stack_pool *pool)
{
    if (!pool->guard_refused)
        return "the address space or memory for it is exhausted; spawn fewer tasks, give them "
               "smaller "
               "stacks (stack_bytes), or raise the limit (ulimit -v, the cgroup's memory.max)";
    if (pool->guard_by_madvise)
        return "the kernel has no memory left for page tables; spawn fewer tasks";
    return "its guard page cannot be protected: this kernel needs two memory mappings a stack, and "
           "vm.max_map_count is reached; raise it (sysctl -w vm.max_map_count=1000000) or run "
           "Linux 6.13 or later, where a guard needs no mapping";
}

/* The memory of one stack, rounded inwards to pages. */
static void give_back(const struct bide__stack_pool *pool, const struct bide__stack *stack,
                      const char *from)
{
    uintptr_t end = (uintptr_t)from / pool->page_bytes * pool->page_bytes;

    if (end > (uintptr_t)stack->low)
        bide__sys_madvise(stack->low, end - (uintptr_t)stack->low, MADV_DONTNEED);
}

static bool class_trim(struct bide__stack_pool *pool, struct bide__stack_class *class)
{
    size_t count = class->hot_least > TRIM_KEEP ? (class->hot_least - TRIM_KEEP + 1) / 2 : 0;

    for (size_t i = 0; i < count && i < TRIM_BATCH; i++) {
        struct bide__stack *stack =
            BIDE__CONTAINER(bide__list_last(&class->hot), struct bide__stack, link);
        char *end = stack->low + bide__stack_bytes(stack);
        bide__list_remove(&stack->link);
        give_back(pool, stack, end);
        bide__list_prepend(&class->cold, &stack->link);
        class->hot_count--;
        pool->hot_count--;
    }
    class->hot_least = class->hot_count;
    return class->hot_count > TRIM_KEEP;
}

void bide__stack_trim(struct bide__stack_pool *pool)
{
    bool more = false;

    for (int i = 0; i < BIDE__STACK_CLASSES; i++)
        more |= class_trim(pool, &pool->classes[i]);
    if (!more && pool->hot_count > pool->hot_floor)
        pool->hot_floor = pool->hot_count;
}

void bide__stack_forget(const struct bide__stack_pool *pool, const struct bide__stack *stack,
                        const void *from)
{
    give_back(pool, stack, from);
}

/* Reads what sanitizers hold for dead frames. */
__attribute__((no_sanitize("address", "thread"))) size_t
bide__stack_peak(const struct bide__stack_pool *pool, const struct bide__stack *stack)
{
    char *end = stack->low + bide__stack_bytes(stack);
    unsigned char resident = 0;
    char *page = stack->low;

    while (page < end && mincore(page, pool->page_bytes, &resident) == 0 && !(resident & 1))
        page += pool->page_bytes;
    for (char *word = page; word < stack->top; word += sizeof(uintptr_t))
        if (*(uintptr_t *)(void *)word != 0)
            return (size_t)(stack->top - word);
    return 0;
}

bool bide__stack_guards(const struct bide__stack_pool *pool, const void *address)
{
    const char *byte = address;

    for (const struct bide__list *at = pool->regions.next; at != &pool->regions; at = at->next) {
        const struct bide__stack_region *region =
            BIDE__CONTAINER(at, const struct bide__stack_region, link);
        if (byte >= region->memory && byte < region->memory + region->bytes)
            return (size_t)(byte - region->memory) % region->stride < region->guard_bytes;
    }
    return false;
}
