/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the plans of the test build: one a call.
 */
#include "base/fault.h"

#ifdef BIDE_FAULTS

struct plan {
    uint64_t count; /* calls seen */
    uint64_t first; /* the first count that fails; 0 for none */
    uint64_t last;  /* the last count that fails */
    int error;      /* negative errno */
    size_t limit;   /* bytes a call may move; 0 for any number */
};

static struct plan plans[BIDE__CALL_COUNT];

void bide__fault_fail(enum bide__call call, uint64_t nth, uint64_t times, int error)
{
    struct plan *plan = &plans[call];

    plan->first = plan->count + nth;
    plan->last = times > UINT64_MAX - plan->first ? UINT64_MAX : plan->first + times - 1;
    plan->error = error;
}

void bide__fault_limit(enum bide__call call, size_t bytes)
{
    plans[call].limit = bytes;
}

void bide__fault_reset(void)
{
    for (int call = 0; call < BIDE__CALL_COUNT; call++)
        plans[call] = (struct plan){0};
}

uint64_t bide__fault_count(enum bide__call call)
{
    return plans[call].count;
}

uint64_t bide__fault_system_calls(void)
{
    uint64_t total = 0;

    for (int call = BIDE__CALL_ALLOC + 1; call < BIDE__CALL_COUNT; call++)
        total += plans[call].count;
    return total;
}

int bide__fault_check(enum bide__call call)
{
    struct plan *plan = &plans[call];
    uint64_t count = __atomic_add_fetch(&plan->count, 1, __ATOMIC_RELAXED);

    if (plan->first == 0 || count < plan->first || count > plan->last)
        return 0;
    return plan->error;
}

size_t bide__fault_clip(enum bide__call call, size_t bytes)
{
    size_t limit = plans[call].limit;

    return limit != 0 && limit < bytes ? limit : bytes;
}

#else
typedef int bide__fault_is_for_test_builds;
#endif
