/* SPDX-License-Identifier: MIT */
/*
 * single_step.c - a debugger's look at the switch: is a signal harmless after each of its
 * instructions?
 *
 * A child switches among three contexts; its parent runs it one instruction at a time. The stacks
 * are shared between the two, so that the parent can do what a signal would do: overwrite whatever
 * lies below the stack pointer.
 */
#include "context/context.h"

#include "test.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#if defined(__x86_64__) || defined(__aarch64__)

enum {
    CONTEXTS = 3,
    STACK_BYTES = 64 * 1024,
    ROOM = 16 * 1024,       /* what must stay free below the stack pointer */
    SCRIBBLED = 1024,       /* how much below the stack pointer is overwritten each time */
    MAIN_STACK = 64 * 1024, /* how far from its first frame the child's own stack pointer may be */
    SWITCH_BYTES = 192,     /* the switch, and on every architecture nothing that is not assembly */
    ROUNDS = 1000,          /* once around all contexts each */
    SIGNALLED_ROUNDS = 12,  /* these last ones and the first two: a signal at each instruction */
};

/* The registers that a debugger would ask for, by their DWARF numbers. */
#ifdef __x86_64__
enum { RED_ZONE = 128 }; /* leaf functions in C may keep data there; the kernel leaves it alone */
enum { PRESERVED = 6 };
static const int dwarf_numbers[PRESERVED] = {3, 6, 12, 13, 14, 15};
#else
enum { RED_ZONE = 0 };
enum { PRESERVED = 11 };
static const int dwarf_numbers[PRESERVED] = {19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29};
#endif

/* Lies in memory that both processes see. The child writes, the parent reads. */
struct shared {
    char stacks[CONTEXTS][STACK_BYTES] __attribute__((aligned(4096)));
    void *saved[CONTEXTS];
    void *main_saved;
    char *main_frame;
    pid_t child;
    volatile int round;
    volatile int wrong_values;
    volatile int signals;
    volatile int wrong_walks;
    volatile int finished;
    bool caller_is_known; /* by the last signal: who called the switch, with which registers */
    uint64_t caller[PRESERVED];
};

static struct shared *shared;

/* The child. */

#ifdef __x86_64__
static inline __attribute__((always_inline)) uint64_t read_fp_control(void)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    return (mxcsr & 0xffc0) | (uint64_t)x87 << 32;
}

static void write_fp_control(uint64_t control)
{
    uint32_t mxcsr = (uint32_t)control;
    uint16_t x87 = (uint16_t)(control >> 32);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
}

/* One step on, one word changes; another, both. */
static const uint64_t fp_controls[CONTEXTS] = {0x1f80 | 0x037full << 32, 0x3f80 | 0x037full << 32,
                                               0x5f80 | 0x027full << 32};
#else
static inline __attribute__((always_inline)) uint64_t read_fp_control(void)
{
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}

static void write_fp_control(uint64_t control)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

static const uint64_t fp_controls[CONTEXTS] = {0, 0x400000, 0x800000};
#endif

/*
 * Four rounds with equal control words, four with different ones: every path through the switch is
 * taken.
 */
static uint64_t fp_control_of(int who, int round)
{
    return fp_controls[round / 4 % 2 ? who : 0];
}

/*
 * Values that the compiler has to keep over the switch, in preserved registers as far as there are
 * any.
 */
#define HOLD(value) __asm__ volatile("" : "+r"(value))

static void *hold_values_and_switch(void *arg)
{
    int who = (int)((void **)arg - shared->saved);

    for (int round = 0;; round++) {
        write_fp_control(fp_control_of(who, round));
        uint64_t a = 1 + 8 * (uint64_t)(round * CONTEXTS + who);
        uint64_t b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5;
        if (who == 0)
            shared->round++;
        HOLD(a);
        HOLD(b);
        HOLD(c);
        HOLD(d);
        HOLD(e);
        HOLD(f);
        if (who == 0 && shared->round > ROUNDS)
            bide__context_switch(arg, shared->main_saved);
        else
            bide__context_switch(arg, shared->saved[(who + 1) % CONTEXTS]);
        HOLD(a);
        HOLD(b);
        HOLD(c);
        HOLD(d);
        HOLD(e);
        HOLD(f);
        if (a != 1 + 8 * (uint64_t)(round * CONTEXTS + who) || b != a + 1 || c != a + 2 ||
            d != a + 3 || e != a + 4 || f != a + 5)
            shared->wrong_values++;
        if (read_fp_control() != fp_control_of(who, round))
            shared->wrong_values++;
    }
    return shared->main_saved;
}

/* What an unwinder saw last: addresses, and whether the frame before was the switch. */
struct walk {
    uintptr_t entry_ip;
    uintptr_t last_ip;
    bool from_switch;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *frame, void *arg)
{
    struct walk *walk = arg;
    if (walk->from_switch) {
        for (int i = 0; i < PRESERVED; i++)
            shared->caller[i] = _Unwind_GetGR(frame, dwarf_numbers[i]);
        shared->caller_is_known = true;
    }
    walk->entry_ip = walk->last_ip;
    walk->last_ip = _Unwind_GetIP(frame);
    walk->from_switch = walk->last_ip - (uintptr_t)bide__context_switch < SWITCH_BYTES;
    return _URC_NO_REASON;
}

/*
 * On a context's stack the walk must end at the entry stub, which lies close behind
 * bide__context_make and says that it has no caller (address 0). The thread's own stack ends as the
 * C library pleases.
 */
static void handle_signal(int number)
{
    struct walk walk = {0};
    shared->caller_is_known = false;
    bool ended = _Unwind_Backtrace(note_frame, &walk) == _URC_END_OF_STACK && walk.last_ip == 0 &&
                 walk.entry_ip - (uintptr_t)bide__context_make < 256;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    bool on_ours = here - (uintptr_t)shared->stacks < sizeof shared->stacks;
    if (on_ours && !ended)
        shared->wrong_walks++;
    shared->signals++;
    (void)number;
    kill(shared->child, SIGTRAP); /* tells the parent, which swallows it */
}

static void run_child(void)
{
    struct walk first = {0};
    struct sigaction action = {.sa_handler = handle_signal};

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    shared->child = getpid();
    sigaction(SIGUSR1, &action, NULL);
    _Unwind_Backtrace(note_frame, &first); /* the first use may load and allocate */
    shared->main_frame = __builtin_frame_address(0);
    for (int i = 0; i < CONTEXTS; i++)
        shared->saved[i] = bide__context_make(shared->stacks[i] + STACK_BYTES,
                                              hold_values_and_switch, &shared->saved[i]);
    raise(SIGSTOP);
    bide__context_switch(&shared->main_saved, shared->saved[0]);
    shared->finished = 1;
    _exit(0);
}

/* The parent. */

struct position {
    char *sp;
    uintptr_t pc;
    uint64_t preserved[PRESERVED];
};

static struct position where(pid_t child)
{
    struct user_regs_struct registers;
    struct iovec io = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &io) < 0)
        test_fail(__FILE__, __LINE__, "cannot read the child's registers: %s", strerror(errno));
#ifdef __x86_64__
    return (struct position){
        .sp = (char *)(uintptr_t)registers.rsp,
        .pc = registers.rip,
        .preserved = {registers.rbx, registers.rbp, registers.r12, registers.r13, registers.r14,
                      registers.r15},
    };
#else
    struct position at = {.sp = (char *)(uintptr_t)registers.sp, .pc = registers.pc};
    memcpy(at.preserved, &registers.regs[19], sizeof at.preserved);
    return at;
#endif
}

/* Let the child go on until it stops; false when it has ended. */
static bool go_on(pid_t child, enum __ptrace_request how, int signal_to_give, int expected_stop)
{
    int status;
    CHECK_EQ(ptrace(how, child, NULL, (void *)(intptr_t)signal_to_give), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        CHECK_EQ(WEXITSTATUS(status), 0);
        return false;
    }
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(WSTOPSIG(status), expected_stop);
    return true;
}

static bool is_inside(const void *at, const char *low, size_t bytes)
{
    return (uintptr_t)at - (uintptr_t)low < bytes;
}

static bool in_the_switch(struct position at)
{
    return at.pc - (uintptr_t)bide__context_switch < SWITCH_BYTES;
}

/* Whose stack that is: a context's number, or CONTEXTS for the child's own. */
static int owner_of(const char *sp)
{
    int i = 0;
    while (i < CONTEXTS && !is_inside(sp, shared->stacks[i], STACK_BYTES + 1))
        i++;
    return i;
}

/*
 * The stack pointer must be inside a stack, with room below for a signal frame; and what is below
 * it must be dead, so it is overwritten, in the switch without sparing the red zone.
 */
static void check_stack_pointer(struct position at)
{
    int owner = owner_of(at.sp);
    if (owner == CONTEXTS) {
        CHECK(is_inside(at.sp, shared->main_frame - MAIN_STACK, 2 * MAIN_STACK));
        return;
    }
    CHECK(at.sp >= shared->stacks[owner] + ROOM);
    size_t spared = in_the_switch(at) ? 0 : RED_ZONE;
    memset(at.sp - spared - SCRIBBLED, 0xa5, SCRIBBLED);
}

/* Deliver a signal here, let its handler run, and step out of it, back to where it came. */
static void signal_child(pid_t child, struct position at)
{
    CHECK(go_on(child, PTRACE_CONT, SIGUSR1, SIGTRAP));
    struct position now;
    do {
        CHECK(go_on(child, PTRACE_SINGLESTEP, 0, SIGTRAP));
        now = where(child);
    } while (now.pc != at.pc || now.sp != at.sp);
}

/* The two take turns at every instruction; on one processor neither has to wake another. */
static void stay_on_this_cpu(void)
{
    cpu_set_t here;
    int cpu = sched_getcpu();
    CPU_ZERO(&here);
    if (cpu >= 0)
        CPU_SET((unsigned)cpu, &here);
    if (cpu >= 0)
        sched_setaffinity(0, sizeof here, &here);
}

/*
 * The registers that each stack's owner had when it last called the switch: what an unwinder must
 * find again.
 */
static struct {
    bool are_known;
    uint64_t values[PRESERVED];
} called_with[CONTEXTS + 1];

static void check_unwound_registers(struct position at)
{
    int owner = owner_of(at.sp);
    CHECK(shared->caller_is_known);
    if (!called_with[owner].are_known)
        return; /* a new context */
    for (int i = 0; i < PRESERVED; i++)
        CHECK_EQ(shared->caller[i], called_with[owner].values[i]);
}

static int switch_instructions;
static int expected_signals;

static void step_in_switch(pid_t child, struct position at)
{
    switch_instructions++;
    if (at.pc == (uintptr_t)bide__context_switch) {
        int owner = owner_of(at.sp);
        memcpy(called_with[owner].values, at.preserved, sizeof at.preserved);
        called_with[owner].are_known = true;
    }
    if (shared->round > 2 && shared->round <= ROUNDS - SIGNALLED_ROUNDS)
        return;
    signal_child(child, at);
    expected_signals++;
    check_unwound_registers(at);
}

static void step_child(pid_t child)
{
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        SKIP("tracing is not allowed here");
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(WSTOPSIG(status), SIGSTOP);
    ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_EXITKILL);

    while (go_on(child, PTRACE_SINGLESTEP, 0, SIGTRAP)) {
        struct position at = where(child);
        check_stack_pointer(at);
        if (in_the_switch(at))
            step_in_switch(child, at);
    }
}
#endif

/* timeout: 120 */
/*
 * Goal:   the stack pointer is valid at every instruction of a switch: a signal there finds room,
 *         harms no value, and can unwind to the end. A debugger and a profiler may come at any time
 *         as well.
 * Method: single-step three thousand switches among contexts with different values and
 *         floating-point control; overwrite what is below the stack pointer at each step; in the
 *         last rounds deliver a signal before each instruction.
 */
TEST(single_step, signal_at_each_instruction_is_harmless)
{
#if defined(__x86_64__) || defined(__aarch64__)
    if (strcmp(bide__context_backend, "fcontext") == 0)
        SKIP("the backend is not ours");
    if (test_under_sanitizer() || test_under_valgrind() || test_under_qemu())
        SKIP("single-stepping would step the tool");

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    stay_on_this_cpu();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_child();
    }
    step_child(child);
    CHECK_EQ(shared->finished, 1);
    CHECK_EQ(shared->round, ROUNDS + 1);
    CHECK_EQ(shared->wrong_values, 0);
    CHECK_EQ(shared->signals, expected_signals);
    CHECK_EQ(shared->wrong_walks, 0);
    CHECK(switch_instructions > 20 * CONTEXTS * ROUNDS);
    CHECK(expected_signals > 20 * CONTEXTS * SIGNALLED_ROUNDS);
#else
    SKIP("this test does not know how to step this architecture");
#endif
}
