/* SPDX-License-Identifier: MIT */
/*
 * context.c - the switch itself: what it keeps, what it leaves alone, and what an unwinder sees of
 * it.
 *
 * Built with -fstack-protector-all, so every case also shows that stack protectors work on our
 * stacks.
 */
#include "context/context.h"

#include "test.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unwind.h>

enum { STACKS = 3, STACK_BYTES = 64 * 1024 };

static char stacks[STACKS][STACK_BYTES] __attribute__((aligned(16)));
static void *main_context;
static void *contexts[STACKS];

static void make(int i, void *(*entry)(void *))
{
    memset(stacks[i], 0xa5, STACK_BYTES); /* as a reused stack is */
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

static bool has_own_frames(void)
{
    return strcmp(bide__context_backend, "fcontext") != 0;
}

/*
 * Goal:   the library under test is the one that was asked for, not a fallback.
 * Method: compare the linked backend's name with what the build expects.
 */
TEST(context, backend_is_the_one_asked_for)
{
#ifdef BIDE_EXPECT_BACKEND
    CHECK_STR(bide__context_backend, BIDE_EXPECT_BACKEND);
#else
    SKIP("the build does not say which backend it expects");
#endif
}

static int turns;

static void *count_turns(void *self)
{
    for (;;) {
        turns++;
        back_to_main(self);
    }
    return main_context;
}

/*
 * Goal:   control goes there and back, every time.
 * Method: a million round trips, counted on the other side.
 */
TEST(context, switch_goes_there_and_back_a_million_times)
{
    make(0, count_turns);
    for (int i = 1; i <= 1000000; i++) {
        go_to(0);
        CHECK_EQ(turns, i);
    }
}

static void *entry_arg;
static uintptr_t entry_frame;
static uintptr_t entry_local;
static uintptr_t entry_caller_frame;

/*
 * The frame address follows from the stack pointer at entry by the ABI's own arithmetic, and is a
 * multiple of 16 on every architecture if and only if that stack pointer was right.
 */
static void *look_at_entry(void *arg)
{
    char local __attribute__((aligned(16)));
    uintptr_t *frame = __builtin_frame_address(0);

    entry_arg = arg;
    entry_frame = (uintptr_t)frame;
    entry_local = (uintptr_t)&local;
#ifdef __riscv
    entry_caller_frame = frame[-2];
#else
    entry_caller_frame = frame[0];
#endif
    for (;;)
        back_to_main(arg);
    return main_context;
}

/*
 * Goal:   entry starts as the ABI says: its argument, an aligned stack pointer, on the stack that
 *         was given.
 * Method: tops at every multiple of 16 within a cache line; entry records what it sees.
 */
TEST(context, entry_gets_argument_and_aligned_stack)
{
    make(0, look_at_entry);
    for (int i = 0; i < 5; i++) {
        char *top = stacks[0] + STACK_BYTES - i * (8192 + 16); /* apart, for AddressSanitizer */
        contexts[0] = bide__context_make(top, look_at_entry, &contexts[0]);
        go_to(0);
        CHECK(entry_arg == &contexts[0]);
        CHECK_EQ(entry_frame % 16, 0);
        CHECK(entry_frame <= (uintptr_t)top);
        CHECK(entry_frame >= (uintptr_t)top - 256);
        if (TEST_UNDER_SANITIZER())
            continue; /* which may keep locals elsewhere */
        CHECK(entry_local > (uintptr_t)stacks[0]);
        CHECK(entry_local < (uintptr_t)top);
    }
}

/*
 * Goal:   a profiler that follows frame pointers stops at entry.
 * Method: look at the frame pointer that entry's frame saved: zero ends the chain.
 */
TEST(context, entry_ends_the_chain_of_frame_pointers)
{
    if (!has_own_frames())
        SKIP("the backend is not ours");
    make(0, look_at_entry);
    go_to(0);
    CHECK_EQ(entry_caller_frame, 0);
}

static int ended;

/* Ends at once; goes on with what its argument names. */
static void *end_at_once(void *next)
{
    ended++;
    return *(void **)next;
}

/*
 * Goal:   an entry that returns ends its context and resumes the one it names.
 * Method: ten thousand contexts on one stack, one after the other; each resumes the caller.
 */
TEST(context, entry_that_returns_resumes_what_it_names)
{
    for (int i = 0; i < 10000; i++) {
        contexts[0] = bide__context_make(stacks[0] + STACK_BYTES, end_at_once, &main_context);
        go_to(0);
        CHECK_EQ(ended, i + 1);
    }
}

/*
 * Goal:   the context that an ending one names may be one that has not started yet.
 * Method: three contexts, each of which ends into the next; the last resumes the caller.
 */
TEST(context, entry_that_returns_starts_a_new_context)
{
    if (TEST_UNDER_VALGRIND())
        SKIP("valgrind takes neighbouring stacks for one, unless told of each");
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < STACKS; k++)
            contexts[k] = bide__context_make(stacks[k] + STACK_BYTES, end_at_once,
                                             k + 1 < STACKS ? &contexts[k + 1] : &main_context);
        go_to(0);
        CHECK_EQ(ended, STACKS * (i + 1));
    }
}

/*
 * The registers that the ABI has a function preserve, but for those that a call itself needs.
 */
#if defined(__x86_64__)
enum { INTEGERS = 6, VECTORS = 0 };
#elif defined(__aarch64__)
enum { INTEGERS = 11, VECTORS = 8 };
#elif defined(__riscv)
enum { INTEGERS = 12, VECTORS = 12 };
#else
enum { INTEGERS = 0, VECTORS = 0 };
#endif

enum { SAVED = INTEGERS + VECTORS };

struct registers {
    uint64_t values[SAVED + 1];
};

/* Fill the registers from `in`, switch, and report them in `out`. */
#if defined(__x86_64__)
static __attribute__((noinline)) void switch_with(const struct registers *in, struct registers *out,
                                                  void **from, void *to)
{
    void (*function)(void **, void *) = bide__context_switch;
    /* Past the red zone; everything saved, `out` with it; the stack aligned; and back again. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     ".irp r, rbx, rbp, r12, r13, r14, r15, rcx; pushq %%\\r; .endr\n\t"
                     "movq %%rsp, %%r8; andq $-16, %%rsp; pushq %%r8; pushq %%r8\n\t"
                     "movq 0(%%rdx), %%rbx; movq 8(%%rdx), %%rbp; movq 16(%%rdx), %%r12\n\t"
                     "movq 24(%%rdx), %%r13; movq 32(%%rdx), %%r14; movq 40(%%rdx), %%r15\n\t"
                     "callq *%%rax\n\t"
                     "popq %%rsp; popq %%rcx\n\t"
                     "movq %%rbx, 0(%%rcx); movq %%rbp, 8(%%rcx); movq %%r12, 16(%%rcx)\n\t"
                     "movq %%r13, 24(%%rcx); movq %%r14, 32(%%rcx); movq %%r15, 40(%%rcx)\n\t"
                     ".irp r, r15, r14, r13, r12, rbp, rbx; popq %%\\r; .endr\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+D"(from), "+S"(to), "+a"(function), "+d"(in), "+c"(out)
                     :
                     : "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15", "memory", "cc");
}
#elif defined(__aarch64__)
static __attribute__((noinline)) void switch_with(const struct registers *in, struct registers *out,
                                                  void **from, void *to)
{
    register void **x0 __asm__("x0") = from;
    register void *x1 __asm__("x1") = to;
    register const struct registers *x2 __asm__("x2") = in;
    register struct registers *x3 __asm__("x3") = out;
    register void (*x4)(void **, void *) __asm__("x4") = bide__context_switch;
    __asm__ volatile("sub sp, sp, #176; str x3, [sp, #160]\n\t"
                     ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30\n\t"
                     "str x\\n, [sp, #8 * (\\n - 19)]; .endr\n\t"
                     ".irp n, 8, 9, 10, 11, 12, 13, 14, 15; str d\\n, [sp, #96 + 8 * (\\n - 8)]\n\t"
                     "ldr d\\n, [x2, #88 + 8 * (\\n - 8)]; .endr\n\t"
                     ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n\t"
                     "ldr x\\n, [x2, #8 * (\\n - 19)]; .endr\n\t"
                     "blr x4; ldr x3, [sp, #160]\n\t"
                     ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n\t"
                     "str x\\n, [x3, #8 * (\\n - 19)]; .endr\n\t"
                     ".irp n, 8, 9, 10, 11, 12, 13, 14, 15; str d\\n, [x3, #88 + 8 * (\\n - 8)]\n\t"
                     "ldr d\\n, [sp, #96 + 8 * (\\n - 8)]; .endr\n\t"
                     ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30\n\t"
                     "ldr x\\n, [sp, #8 * (\\n - 19)]; .endr\n\t"
                     "add sp, sp, #176"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                     :
                     : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17",
                       "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
                       "v29", "v30", "v31", "memory", "cc");
}
#elif defined(__riscv) && defined(__riscv_float_abi_double)
static __attribute__((noinline)) void switch_with(const struct registers *in, struct registers *out,
                                                  void **from, void *to)
{
    register void **a0 __asm__("a0") = from;
    register void *a1 __asm__("a1") = to;
    register const struct registers *a2 __asm__("a2") = in;
    register struct registers *a3 __asm__("a3") = out;
    register void (*a4)(void **, void *) __asm__("a4") = bide__context_switch;
    __asm__ volatile("addi sp, sp, -208; sd ra, 192(sp); sd a3, 200(sp)\n\t"
                     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n\t"
                     "sd s\\n, 8 * \\n(sp); fsd fs\\n, 96 + 8 * \\n(sp)\n\t"
                     "ld s\\n, 8 * \\n(a2); fld fs\\n, 96 + 8 * \\n(a2); .endr\n\t"
                     "jalr a4; ld a3, 200(sp)\n\t"
                     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n\t"
                     "sd s\\n, 8 * \\n(a3); fsd fs\\n, 96 + 8 * \\n(a3)\n\t"
                     "ld s\\n, 8 * \\n(sp); fld fs\\n, 96 + 8 * \\n(sp); .endr\n\t"
                     "ld ra, 192(sp); addi sp, sp, 208"
                     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4)
                     :
                     : "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "ft0", "ft1",
                       "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11",
                       "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "memory");
}
#else
#define NO_SWITCH_WITH 1
static void switch_with(const struct registers *in, struct registers *out, void **from, void *to)
{
    *out = *in;
    bide__context_switch(from, to);
}
#endif

static struct registers poison(int who, int round)
{
    struct registers r;
    for (int i = 0; i <= SAVED; i++)
        r.values[i] = 0x9e3779b97f4a7c15u * (uint64_t)(1 + i + 64 * who + 256 * round);
    return r;
}

static void check_same(const struct registers *in, const struct registers *out)
{
    for (int i = 0; i < SAVED; i++)
        CHECK_EQ(in->values[i], out->values[i]);
}

static void *poison_and_switch(void *self)
{
    int who = 1 + (int)((void **)self - contexts);
    for (int round = 0;; round++) {
        struct registers in = poison(who, round), out;
        switch_with(&in, &out, self, main_context);
        check_same(&in, &out);
    }
    return main_context;
}

/*
 * Goal:   every register that the ABI has a function preserve is preserved by a switch.
 * Method: three contexts and main each fill all of them with values of their own, switch, and look
 *         for them again.
 */
TEST(context, switch_keeps_every_preserved_register)
{
#ifdef NO_SWITCH_WITH
    SKIP("this test does not know the architecture's registers");
#endif
    for (int i = 0; i < STACKS; i++)
        make(i, poison_and_switch);
    for (int round = 0; round < 300; round++) {
        struct registers in = poison(0, round), out;
        switch_with(&in, &out, &main_context, contexts[round % STACKS]);
        check_same(&in, &out);
    }
}

static void *set_errno(void *self)
{
    for (;;) {
        CHECK_EQ(errno, EXDEV);
        errno = ENOTTY;
        back_to_main(self);
    }
    return main_context;
}

/*
 * Goal:   errno belongs to the thread: after a switch it is what the other side left.
 * Method: each side sets it, and finds the other's value after the switch.
 */
TEST(context, switch_leaves_errno_to_the_thread)
{
    make(0, set_errno);
    for (int i = 0; i < 3; i++) {
        errno = EXDEV;
        go_to(0);
        CHECK_EQ(errno, ENOTTY);
    }
}

/*
 * What an unwinder saw: how many frames, the last address, and the span of stack that they lie in.
 */
struct walk {
    int frames;
    uintptr_t entry_ip;
    uintptr_t last_ip;
    uintptr_t lowest;
    uintptr_t highest;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *frame, void *arg)
{
    struct walk *walk = arg;
    uintptr_t at = _Unwind_GetCFA(frame);
    walk->entry_ip = walk->last_ip;
    walk->last_ip = _Unwind_GetIP(frame);
    if (walk->frames == 0 || at < walk->lowest)
        walk->lowest = at;
    if (walk->frames == 0 || at > walk->highest)
        walk->highest = at;
    return ++walk->frames < 64 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

/*
 * That a frame has no caller shows as one more, with address 0; running out of rules looks the same
 * but for that. The last true frame must be the entry stub, which lies close behind
 * bide__context_make.
 */
static bool ends_cleanly(struct walk *walk)
{
    *walk = (struct walk){0};
    if (_Unwind_Backtrace(note_frame, walk) != _URC_END_OF_STACK)
        return false;
    if (!has_own_frames())
        return true;
    return walk->last_ip == 0 && walk->entry_ip - (uintptr_t)bide__context_make < 256;
}

static void *addresses[64];
static int address_count;

static __attribute__((noinline)) void look_at_callers(void *self)
{
    struct walk walk;
    CHECK(ends_cleanly(&walk));
    CHECK(walk.frames >= 2 && walk.frames <= 8);

    int who = (int)((void **)self - contexts);
    CHECK(walk.lowest >= (uintptr_t)stacks[who]);
    CHECK(walk.highest <= (uintptr_t)stacks[who] + STACK_BYTES + 16);

    address_count = backtrace(addresses, 64);
    back_to_main(self);
}

static void *look_at_callers_twice(void *self)
{
    look_at_callers(self);
    look_at_callers(self);
    for (;;)
        back_to_main(self);
    return main_context;
}

/*
 * Goal:   a backtrace taken inside a context ends at its first frame, and never strays to another
 *         stack.
 * Method: unwind in a context at its first run and after a switch; the C library's backtrace must
 *         agree.
 */
TEST(context, backtrace_ends_at_entry)
{
    make(1, look_at_callers_twice);
    for (int i = 0; i < 2; i++) {
        go_to(1);
        CHECK(address_count >= 2 && address_count <= 8);
    }
}

static volatile sig_atomic_t samples;
static volatile sig_atomic_t bad_samples;

/* The main stack ends as the C library pleases; only ours are judged. */
static void take_sample(int signal)
{
    struct walk walk;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)signal;
    if (here - (uintptr_t)stacks >= sizeof stacks)
        return;
    bad_samples += !ends_cleanly(&walk) || walk.frames < 2;
    samples++;
}

static void *switch_while_sampled(void *self)
{
    int who = (int)((void **)self - contexts);
    while (samples < 100)
        bide__context_switch(self, contexts[1 - who]);
    for (;;)
        back_to_main(self);
    return main_context;
}

/*
 * Goal:   a profiler's signal finds stacks that can be unwound to their end, wherever in a switch
 *         it lands.
 * Method: unwind from a SIGPROF handler while contexts do nothing but switch (single_step.c tries
 *         each instruction).
 */
TEST(context, backtrace_from_signal_during_switches_ends)
{
    if (test_under_sanitizer())
        SKIP("the sanitizer delays signals, or unwinds in its own way");
    if (test_under_valgrind())
        SKIP("valgrind takes neighbouring stacks for one, unless told of each");
    struct walk first;
    ends_cleanly(&first); /* the first use may load and allocate */
    make(0, switch_while_sampled);
    make(1, switch_while_sampled);

    struct sigaction action = {.sa_handler = take_sample, .sa_flags = SA_RESTART};
    struct itimerval each_ms = {{0, 1000}, {0, 1000}};
    CHECK_EQ(sigaction(SIGPROF, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_PROF, &each_ms, NULL), 0);
    go_to(0);
    CHECK_EQ(setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL), 0);
    CHECK_EQ(bad_samples, 0);
}
