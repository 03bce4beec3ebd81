/* SPDX-License-Identifier: MIT */
/*
 * stack.h - stacks and the control blocks that go with them.
 *
 * Stacks are carved one after the other from large regions of address space and are committed by
 * touching. Each has a guard below it and keeps, for its whole life, one *control block*: a record
 * of the owner's, in which `struct bide__stack` is embedded. The control blocks of a region lie
 * densely packed in an array of their own, apart from the stacks, and the stacks' tops are coloured
 * by multiples of a cache line: a scheduler that walks over a hundred thousand tasks then touches
 * neighbouring lines instead of one and the same cache set.
 *
 * Free stacks wait in the pool of their size, last in first out. What a peak leaves behind is given
 * back to the kernel by bide__stack_trim, a part each second.
 */
#ifndef BIDE__CONTEXT_STACK_H
#define BIDE__CONTEXT_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bide/base/time.h>

#include "base/list.h"

#define BIDE__STACK_CLASSES 32
#define BIDE__STACK_DEFAULT_BYTES ((size_t)256 * 1024)

struct bide__stack {
    struct bide__list link; /* in a free list of its class, or alone while in use */
    char *low;              /* lowest usable byte; the guard ends here */
    char *top;              /* one past the highest usable byte, coloured, a multiple of 64 */
    unsigned valgrind_id;
    uint8_t class_index; /* log2 of the usable bytes */
};

/* The free stacks of one size. */
struct bide__stack_class {
    struct bide__list hot;  /* memory resident: reused first, last in first out */
    struct bide__list cold; /* memory given back */
    size_t hot_count;
    size_t hot_least; /* the smallest hot_count since the last trim: what was not needed */
    struct bide__stack_region
        *at; /* the region new stacks are carved from; NULL before the first */
};

struct bide__stack_pool {
    struct bide__stack_class classes[BIDE__STACK_CLASSES];
    struct bide__list regions;
    size_t page_bytes;
    size_t least_bytes;    /* the smallest stack: survives a signal frame on this CPU */
    size_t control_bytes;  /* stride of the control blocks, a multiple of 64 */
    size_t control_offset; /* where struct bide__stack lies in one */
    size_t hot_count;      /* over all classes */
    size_t hot_floor;      /* the hot_count that trimming leaves alone */
    size_t made_count;     /* stacks carved so far */
    bool guard_by_madvise; /* MADV_GUARD_INSTALL works here; mprotect otherwise */
    bool guard_refused;    /* the last failure was the guard's: see bide__stack_explain */
};

/* Prepare an empty pool; nothing is reserved yet. */
void bide__stack_pool_init(struct bide__stack_pool *pool, size_t control_bytes,
                           size_t control_offset);

/* Unmap everything. Needs no new mapping, so it works at the kernel's limit as well. */
void bide__stack_pool_free(struct bide__stack_pool *pool);

/*
 * The class that serves a stack of at least so many bytes (0 for the default); -EINVAL when beyond
 * all classes.
 */
int bide__stack_class_of(const struct bide__stack_pool *pool, size_t bytes);

/* How wide the guard below a stack of the class is: a quarter of the stack, at most 64 KiB. */
size_t bide__stack_guard_bytes(const struct bide__stack_pool *pool, int class_index);

/*
 * Make a stack of a class whose free lists are empty. Returns 0, or -ENOMEM (bide__stack_explain
 * says why).
 */
int bide__stack_make(struct bide__stack_pool *pool, int class_index, struct bide__stack **out);

/* Why the last bide__stack_make failed and what to change, as a part of a sentence. */
const char *bide__stack_explain(const struct bide__stack_pool *pool);

/* Call visit(stack, arg) for every stack ever made, free or not. */
void bide__stack_each(struct bide__stack_pool *pool,
                      void (*visit)(struct bide__stack *stack, void *arg), void *arg);

/* Give back memory of half the stacks that were not needed since the last call. */
void bide__stack_trim(struct bide__stack_pool *pool);

/* More free stacks hold memory than a quiet loop should keep. */
static inline bool bide__stack_has_surplus(const struct bide__stack_pool *pool)
{
    return pool->hot_count > pool->hot_floor;
}

/* Drop the resident pages below `from`, so that bide__stack_peak starts anew. */
void bide__stack_forget(const struct bide__stack_pool *pool, const struct bide__stack *stack,
                        const void *from);

/*
 * Bytes from the top to the deepest resident byte that is not zero: the most that was ever used,
 * rounded to a word.
 */
size_t bide__stack_peak(const struct bide__stack_pool *pool, const struct bide__stack *stack);

/* The address lies in the guard of one of the pool's stacks. Async-signal-safe. */
bool bide__stack_guards(const struct bide__stack_pool *pool, const void *address);

static inline size_t bide__stack_bytes(const struct bide__stack *stack)
{
    return (size_t)1 << stack->class_index;
}

/* A free stack of the class, or NULL: the hot path of every spawn. */
static inline struct bide__stack *bide__stack_reuse(struct bide__stack_pool *pool, int class_index)
{
    struct bide__stack_class *class = &pool->classes[class_index];
    struct bide__list *link = class->hot.next;

    if (__builtin_expect(link == &class->hot, 0))
        return NULL;
    link->next->prev = &class->hot;
    class->hot.next = link->next;
    pool->hot_count--;
    if (--class->hot_count < class->hot_least)
        class->hot_least = class->hot_count;
    return BIDE__CONTAINER(link, struct bide__stack, link);
}

/* Put a stack that nothing runs on any more back, to be the next one taken. */
static inline void bide__stack_release(struct bide__stack_pool *pool, struct bide__stack *stack)
{
    struct bide__stack_class *class = &pool->classes[stack->class_index];

    bide__list_prepend(&class->hot, &stack->link);
    class->hot_count++;
    pool->hot_count++;
}

#endif
