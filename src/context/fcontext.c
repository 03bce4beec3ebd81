/* SPDX-License-Identifier: MIT */
/*
 * fcontext.c - the same interface on Boost.Context's assembly, for architectures that have no file
 * in asm/.
 *
 * Only two functions are taken from the package's static library, and no header declares them for
 * C. jump_fcontext hands a word to the side it resumes, together with the context that was left;
 * here the word is the place that context belongs in. The assembly keeps the integer and vector
 * registers everywhere. It keeps the floating-point control state on x86; for other architectures
 * it is kept here, where this file knows how.
 */
#include "context/context.h"

#ifdef BIDE_CONTEXT_FCONTEXT

#include <stddef.h>

typedef void *fcontext_t;

typedef struct {
    fcontext_t fctx;
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *top, size_t size, void (*entry)(transfer_t));

const char bide__context_backend[] = "fcontext";

#if defined(__aarch64__)
typedef unsigned long fp_control;

static inline fp_control fp_control_read(void)
{
    fp_control control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}

static inline void fp_control_write(fp_control control)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}
#elif defined(__riscv_flen)
typedef unsigned long fp_control;

static inline fp_control fp_control_read(void)
{
    fp_control control;
    __asm__ volatile("frrm %0" : "=r"(control));
    return control;
}

static inline void fp_control_write(fp_control control)
{
    __asm__ volatile("fsrm %0" : : "r"(control));
}
#else
typedef int fp_control;

static inline fp_control fp_control_read(void)
{
    return 0;
}

static inline void fp_control_write(fp_control control)
{
    (void)control;
}
#endif

/*
 * What jump_fcontext hands over. It lies on the stack being left, and is read before anything else
 * happens there.
 */
struct departure {
    void **from;
    void *to;
};

/* Lies at the very top of a new stack, above what make_fcontext writes. */
struct first_call {
    void *(*entry)(void *);
    void *arg;
    fp_control control;
} __attribute__((aligned(16)));

/*
 * From a new context to its first_call: the size of a frame, which only the assembly knows. All
 * makers find the same.
 */
static ptrdiff_t first_call_offset;

static void start(transfer_t arrived)
{
    struct departure *departure = arrived.data;
    char *here = departure->to;
    struct first_call *call =
        (struct first_call *)(here + __atomic_load_n(&first_call_offset, __ATOMIC_RELAXED));

    void *nowhere;

    *departure->from = arrived.fctx;
    if (fp_control_read() != call->control)
        fp_control_write(call->control);
    struct departure last = {.from = &nowhere};
    last.to = call->entry(call->arg);
    jump_fcontext(last.to, &last);
    __builtin_trap();
}

void bide__context_switch(void **from, void *to)
{
    struct departure ours = {from, to};
    fp_control control = fp_control_read();
    transfer_t arrived = jump_fcontext(to, &ours);
    struct departure *theirs = arrived.data;

    *theirs->from = arrived.fctx;
    if (fp_control_read() != control)
        fp_control_write(control);
}

void *bide__context_make(void *top, void *(*entry)(void *), void *arg)
{
    struct first_call *call = (struct first_call *)top - 1;
    *call = (struct first_call){entry, arg, fp_control_read()};

    /* The size matters on other systems only; any that stays inside the stack will do. */
    fcontext_t made = make_fcontext(call, 512, start);
    __atomic_store_n(&first_call_offset, (char *)call - (char *)made, __ATOMIC_RELAXED);
    return made;
}

#endif
