/* SPDX-License-Identifier: MIT */
/*
 * fp_control.c - the floating-point control state that belongs to each context: rounding mode,
 * exception masks, precision, flush to zero.
 */
#include "context/context.h"

#include "test.h"

#include <fenv.h>
#include <stdint.h>
#include <string.h>

enum { STACKS = 3, STACK_BYTES = 64 * 1024 };

static char stacks[STACKS][STACK_BYTES] __attribute__((aligned(16)));
static void *main_context;
static void *contexts[STACKS];

static void make(int i, void *(*entry)(void *))
{
    contexts[i] = bide__context_make(stacks[i] + STACK_BYTES, entry, &contexts[i]);
}

static void go_to(int i)
{
    bide__context_switch(&main_context, contexts[i]);
}

/* From within a context, whose argument is its own place in contexts[]. */
static void back_to_main(void *self)
{
    bide__context_switch(self, main_context);
}

/*
 * Which way double arithmetic, or long double arithmetic (on x86 another unit with a control word
 * of its own), rounds.
 */
#define ROUNDING_OF(type)                                                                          \
    static int rounding_of_##type##_(void)                                                         \
    {                                                                                              \
        volatile type one = 1, minus_one = -1, tiny = 1e-40f;                                      \
        volatile type above = one + tiny;                                                          \
        volatile type below = one - tiny;                                                          \
        volatile type minus_below = minus_one - tiny;                                              \
        if (above > one)                                                                           \
            return FE_UPWARD;                                                                      \
        if (minus_below < minus_one)                                                               \
            return FE_DOWNWARD;                                                                    \
        return below < one ? FE_TOWARDZERO : FE_TONEAREST;                                         \
    }
typedef long double long_double;
ROUNDING_OF(double)
ROUNDING_OF(long_double)

#define NO_ROUNDING "valgrind does not emulate the floating-point control words"

static const int roundings[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static void check_rounding(int expected)
{
    CHECK_EQ(fegetround(), expected);
    CHECK_EQ(rounding_of_double_(), expected);
    CHECK_EQ(rounding_of_long_double_(), expected);
}

static void *set_and_keep_rounding(void *self)
{
    int mine = roundings[(void **)self - contexts];
    check_rounding(FE_TONEAREST);
    fesetround(mine);
    for (;;) {
        check_rounding(mine);
        back_to_main(self);
    }
    return main_context;
}

/*
 * Goal:   a rounding mode set in one context is seen there, and nowhere else.
 * Method: three contexts and main each set another mode with fesetround, and do arithmetic after
 *         each switch.
 */
TEST(fp_control, switch_keeps_rounding_per_context)
{
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    for (int i = 0; i < STACKS; i++)
        make(i, set_and_keep_rounding);
    for (int round = 0; round < 30; round++) {
        go_to(round % STACKS);
        check_rounding(FE_TONEAREST);
    }
}

static void *check_inherited_rounding(void *self)
{
    check_rounding(FE_DOWNWARD);
    for (;;)
        back_to_main(self);
    return main_context;
}

/*
 * Goal:   a new context starts with its maker's floating-point control state, as a new thread does;
 *         never with zeros.
 * Method: make it while rounding downward, switch to it while rounding to nearest.
 */
TEST(fp_control, make_inherits_rounding)
{
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    fesetround(FE_DOWNWARD);
    make(0, check_inherited_rounding);
    fesetround(FE_TONEAREST);
    go_to(0);
    check_rounding(FE_TONEAREST);
}

#ifdef __x86_64__
static uint32_t mxcsr(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value & 0xffc0;
}

static void set_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static uint16_t x87_control(void)
{
    uint16_t value;
    __asm__ volatile("fnstcw %0" : "=m"(value));
    return value;
}

static void set_x87_control(uint16_t value)
{
    __asm__ volatile("fldcw %0" : : "m"(value));
}

/*
 * One changes MXCSR alone (flush to zero), one the x87 word alone (double precision), one neither.
 */
static void *set_and_keep_one_control(void *self)
{
    int who = (int)((void **)self - contexts);
    uint32_t my_mxcsr = who == 0 ? 0x9f80 : 0x1f80;
    uint16_t my_x87 = who == 1 ? 0x027f : 0x037f;
    set_mxcsr(my_mxcsr);
    set_x87_control(my_x87);
    for (;;) {
        CHECK_EQ(mxcsr(), my_mxcsr);
        CHECK_EQ(x87_control(), my_x87);
        back_to_main(self);
    }
    return main_context;
}

static void *unmask_x87_division(void *self)
{
    __asm__ volatile("fnclex");
    set_x87_control(0x037f & ~0x04);
    for (;;) {
        /* Every x87 instruction but a few looks for an exception that is pending and not masked. */
        __asm__ volatile("fld1\n\tfstp %%st(0)\n\tfwait" : : : "memory");
        CHECK_EQ(x87_control(), 0x037f & ~0x04);
        back_to_main(self);
    }
    return main_context;
}
#endif

/*
 * Goal:   MXCSR and the x87 control word are kept independently of each other.
 * Method: contexts that differ in one only, in the other only, and in none, resumed in every order.
 */
TEST(fp_control, switch_keeps_each_x86_control_word)
{
#ifdef __x86_64__
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    static const int order[] = {0, 1, 2, 0, 2, 1, 0, 0, 1, 1, 2, 2};
    for (int i = 0; i < STACKS; i++)
        make(i, set_and_keep_one_control);
    for (unsigned i = 0; i < 48; i++) {
        go_to(order[i % 12]);
        CHECK_EQ(mxcsr(), 0x1f80);
        CHECK_EQ(x87_control(), 0x037f);
    }
#else
    SKIP("x86 only");
#endif
}

/*
 * Goal:   an exception flag that one context left behind does not trap in another, which has that
 *         exception unmasked.
 * Method: divide by zero on the x87 with the exception masked, and switch to a context that has it
 *         unmasked.
 */
TEST(fp_control, switch_does_not_trap_on_anothers_x87_flag)
{
#ifdef __x86_64__
    if (strcmp(bide__context_backend, "fcontext") == 0)
        SKIP("the backend is not ours");
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    make(0, unmask_x87_division);
    for (int round = 0; round < 3; round++) {
        volatile long double zero = 0, ratio = 1 / zero;
        (void)ratio;
        go_to(0);
        CHECK_EQ(x87_control(), 0x037f);
    }
#else
    SKIP("x86 only");
#endif
}

#ifdef __x86_64__
enum { DIVISION_BY_ZERO = 0x04 }; /* the flag's bit in MXCSR and in the x87 status word */

static uint32_t mxcsr_flags(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value & 0x3f;
}

static int x87_flags(void)
{
    uint16_t value;
    __asm__ volatile("fnstsw %0" : "=m"(value));
    return value & 0x3f;
}

static void *divide_by_zero(void *self)
{
    CHECK_EQ(mxcsr_flags(), 0);
    set_x87_control(0x027f);
    for (;;) {
        volatile double zero = 0, ratio = 1 / zero;
        volatile long double long_zero = 0, long_ratio = 1 / long_zero;
        (void)ratio;
        (void)long_ratio;
        back_to_main(self);
    }
    return main_context;
}
#endif

/*
 * Goal:   no x87 exception flag is cleared needlessly.
 * Method: raise one in a context with the same control word; it is still there after the switch.
 */
TEST(fp_control, switch_leaves_x87_flags_alone)
{
#ifdef __x86_64__
    if (strcmp(bide__context_backend, "fcontext") == 0)
        SKIP("the backend is not ours");
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    __asm__ volatile("fnclex");
    make(0, divide_by_zero);
    go_to(0);
    CHECK_EQ(x87_flags(), DIVISION_BY_ZERO);
#else
    SKIP("x86 only");
#endif
}

/*
 * Goal:   a new context takes over its maker's control bits, not its sticky flags.
 * Method: make it with a flag raised; switch to it with other control bits, so that MXCSR is
 *         loaded.
 */
TEST(fp_control, make_takes_no_sticky_flags)
{
#ifdef __x86_64__
    if (strcmp(bide__context_backend, "fcontext") == 0)
        SKIP("the backend is not ours");
    if (test_under_valgrind())
        SKIP(NO_ROUNDING);
    set_mxcsr(0x1f80 | DIVISION_BY_ZERO);
    make(0, divide_by_zero);
    set_mxcsr(0x9f80);
    go_to(0);
    CHECK_EQ(mxcsr(), 0x9f80);
#else
    SKIP("x86 only");
#endif
}
