/* SPDX-License-Identifier: MIT */
/*
 * x86_64.S - the context switch for x86-64, System V ABI, 64-bit pointers.
 *
 * The frame of a suspended context. Its saved stack pointer points at offset 0 and is a multiple of
 * 16.
 *
 *     offset  bytes  holds
 *          0      4  MXCSR
 *          4      2  x87 control word
 *          6      2  nothing
 *          8      8  r15
 *         16      8  r14
 *         24      8  r13   new context: arg
 *         32      8  r12   new context: entry
 *         40      8  rbx
 *         48      8  rbp   new context: 0, which ends the chain of frame pointers
 *         56      8  where to go on: the return address; new context: the entry stub
 *         64         the caller's stack; new context: `top`
 *
 * The ABI (section 3.2.1, "Registers and the Stack Frame") has a function preserve rbx, rbp, r12 to
 * r15, the control bits of MXCSR and the x87 control word. No vector register is among them.
 */

#define BACKEND_NAME "x86_64"

#define FRAME_BYTES 64
#define FRAME_MXCSR 0
#define FRAME_X87   4
#define FRAME_R15   8
#define FRAME_R14   16
#define FRAME_R13   24
#define FRAME_R12   32
#define FRAME_RBX   40
#define FRAME_RBP   48
#define FRAME_RIP   56

/*
 * MXCSR: exception masks, rounding, flush to zero, denormals are zero; the six bits below are the
 * sticky flags.
 */
#define MXCSR_CONTROL 0xffc0
#define MXCSR_FLAGS   0x3f
#define X87_MASKS     0x3f

    .text

/*
 * void bide__context_switch(void **from [rdi], void *to [rsi])
 *
 * Both stacks end in the same frame, so the unwind rules hold unchanged across the instruction that
 * exchanges them: before it they describe the context that leaves, after it the one that comes.
 * Nothing is ever stored below the stack pointer.
 *
 * How it goes on. The processor keeps a stack of return addresses of its own, to which the call
 * that led here added one. Where the other context goes on at that same address, as it does
 * whenever both left from the scheduler's one call, `ret` is predicted rightly and takes the entry
 * off again; so the returns of our callers are predicted rightly as well. Everywhere else a `ret`
 * would be predicted wrongly, and an indirect jump goes on; `notrack`, because a return address
 * carries no landing pad. Measured with bide_yield among 2 and 100,000 tasks: 13 and 79 ns with the
 * jump always, 7 and 26 ns with the return where it fits.
 *
 * MXCSR. What was measured, as the ratio to one jump_fcontext of Boost.Context 1.74 in the same
 * run, two contexts that do nothing but switch, on an AMD processor of family 26:
 *
 *     no floating-point state                              0.45 to 0.6
 *     x87 word stored and compared, nothing of MXCSR       0.45 to 0.6
 *     MXCSR stored, never looked at                        0.92
 *     both stored, both loaded each time                   1.02
 *     MXCSR stored and loaded, x87 word compared           0.98
 *     both stored and compared                             1.24
 *
 * There stmxcsr is microcode that alone takes 0.75, and what it wrote is slow to read back, while
 * ldmxcsr is nearly free. On the Intel server processor of the project's first measurements it is
 * the other way round: stmxcsr is cheap, loading each time doubled the time of a switch, and where
 * sticky flags differed it took eight times that of jump_fcontext. So MXCSR is loaded each time
 * where loading was measured to be cheap (bide__context_cpu, below), and compared first on all
 * others.
 */
    .globl bide__context_switch
    .hidden bide__context_switch
    .type bide__context_switch, @function
    .p2align 6
bide__context_switch:
    .cfi_startproc
    endbr64
    subq $FRAME_RIP, %rsp
    .cfi_adjust_cfa_offset FRAME_RIP
    stmxcsr FRAME_MXCSR(%rsp)
    fnstcw FRAME_X87(%rsp)
    movq %r15, FRAME_R15(%rsp)
    movq %r14, FRAME_R14(%rsp)
    movq %r13, FRAME_R13(%rsp)
    movq %r12, FRAME_R12(%rsp)
    movq %rbx, FRAME_RBX(%rsp)
    movq %rbp, FRAME_RBP(%rsp)
    .cfi_rel_offset r15, FRAME_R15
    .cfi_rel_offset r14, FRAME_R14
    .cfi_rel_offset r13, FRAME_R13
    .cfi_rel_offset r12, FRAME_R12
    .cfi_rel_offset rbx, FRAME_RBX
    .cfi_rel_offset rbp, FRAME_RBP

    movq %rsp, (%rdi)
    movq %rsp, %r9
    movzwl FRAME_X87(%rsp), %ecx
    movq FRAME_RIP(%rsp), %r8
    movq %rsi, %rsp

    /*
     * The context at rsp is to go on: by a return if it does so at r8. r9 points to the
     * floating-point control state of the one that left, ecx holds its x87 control word.
     */
.Lresume:
    movq FRAME_RIP(%rsp), %rdx
    movq FRAME_R15(%rsp), %r15
    movq FRAME_R14(%rsp), %r14
    movq FRAME_R13(%rsp), %r13
    movq FRAME_R12(%rsp), %r12
    movq FRAME_RBX(%rsp), %rbx
    movq FRAME_RBP(%rsp), %rbp
    testb $1, mxcsr_loads_are_cheap(%rip)
    jz .Lcompare_mxcsr
.Lload_mxcsr:
    ldmxcsr FRAME_MXCSR(%rsp)
.Lmxcsr_is_right:
    cmpw FRAME_X87(%rsp), %cx
    jne .Lload_x87
.Lx87_is_right:
    cmpq %r8, %rdx
    jne .Ljump
    .cfi_remember_state
    addq $FRAME_RIP, %rsp
    .cfi_def_cfa_offset 8
    .cfi_same_value r15
    .cfi_same_value r14
    .cfi_same_value r13
    .cfi_same_value r12
    .cfi_same_value rbx
    .cfi_same_value rbp
    ret

    .cfi_restore_state
.Ljump:
    .cfi_remember_state
    addq $FRAME_BYTES, %rsp
    .cfi_def_cfa_offset 0
    .cfi_register rip, rdx
    .cfi_same_value r15
    .cfi_same_value r14
    .cfi_same_value r13
    .cfi_same_value r12
    .cfi_same_value rbx
    .cfi_same_value rbp
    notrack jmpq *%rdx

    .cfi_restore_state
.Lcompare_mxcsr:
    movl FRAME_MXCSR(%r9), %eax
    xorl FRAME_MXCSR(%rsp), %eax
    testl $MXCSR_CONTROL, %eax
    jz .Lmxcsr_is_right
    jmp .Lload_mxcsr

.Lload_x87:
    /*
     * A flag left by the other side would trap at the next x87 instruction if this side unmasks it:
     * clear it first.
     */
    movzwl FRAME_X87(%rsp), %ecx
    notl %ecx
    testl $X87_MASKS, %ecx
    jz .Lload_x87_word
    fnclex
.Lload_x87_word:
    fldcw FRAME_X87(%rsp)
    jmp .Lx87_is_right
    .cfi_endproc
    .size bide__context_switch, . - bide__context_switch

/*
 * void *bide__context_make(void *top [rdi], void *(*entry)(void *) [rsi], void *arg [rdx])
 */
    .globl bide__context_make
    .hidden bide__context_make
    .type bide__context_make, @function
    .p2align 4
bide__context_make:
    .cfi_startproc
    endbr64
    leaq -FRAME_BYTES(%rdi), %rax
    stmxcsr FRAME_MXCSR(%rax)
    andl $~MXCSR_FLAGS, FRAME_MXCSR(%rax)
    fnstcw FRAME_X87(%rax)
    movw $0, FRAME_X87+2(%rax)
    movq $0, FRAME_R15(%rax)
    movq $0, FRAME_R14(%rax)
    movq %rdx, FRAME_R13(%rax)
    movq %rsi, FRAME_R12(%rax)
    movq $0, FRAME_RBX(%rax)
    movq $0, FRAME_RBP(%rax)
    leaq .Lstart(%rip), %rcx
    movq %rcx, FRAME_RIP(%rax)
    ret
    .cfi_endproc
    .size bide__context_make, . - bide__context_make

/*
 * The outermost frame of every context: it has no caller, and its unwind rules say so. The nop is
 * never run. Unwinders look up the instruction before the one that a frame goes on at, and must
 * find these rules there as well.
 */
    .type bide__context_entry, @function
    .p2align 4
bide__context_entry:
    .cfi_startproc
    .cfi_undefined rip
    nop
.Lstart:
    endbr64
    movq %r13, %rdi
    callq *%r12

    /*
     * The function has ended, and rax is the context to go on with. Both calls that led here are
     * undone by the processor's own stack of return addresses: the one above by its return, and the
     * one of the switch that started this context by the `ret` that resumes another. A context that
     * starts anew is jumped to.
     */
    xorl %r8d, %r8d
    leaq .Lstart(%rip), %rcx
    movq FRAME_RIP(%rax), %rdx
    cmpq %rcx, %rdx
    cmovneq %rdx, %r8
    subq $FRAME_BYTES, %rsp
    stmxcsr FRAME_MXCSR(%rsp)
    fnstcw FRAME_X87(%rsp)
    movq %rsp, %r9
    movzwl FRAME_X87(%rsp), %ecx
    movq %rax, %rsp
    jmp .Lresume
    .cfi_endproc
    .size bide__context_entry, . - bide__context_entry

/*
 * Find out, before main, whether this is a processor on which loading MXCSR was measured to be
 * cheaper than reading it back: AMD, family 26 (CPUID, Fn0000_0000 and Fn0000_0001_EAX).
 */
    .type bide__context_cpu, @function
    .p2align 4
bide__context_cpu:
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset rbx, -16
    xorl %eax, %eax
    cpuid
    cmpl $0x68747541, %ebx      /* "Auth" "enti" "cAMD" */
    jne .Lcpu_done
    cmpl $0x69746e65, %edx
    jne .Lcpu_done
    cmpl $0x444d4163, %ecx
    jne .Lcpu_done
    movl $1, %eax
    cpuid
    shrl $20, %eax
    andl $0xff, %eax            /* the extended family, which 15 is added to */
    cmpl $11, %eax
    jb .Lcpu_done
    movb $1, mxcsr_loads_are_cheap(%rip)
.Lcpu_done:
    popq %rbx
    .cfi_def_cfa_offset 8
    .cfi_same_value rbx
    ret
    .cfi_endproc
    .size bide__context_cpu, . - bide__context_cpu

    .section .init_array, "aw"
    .p2align 3
    .quad bide__context_cpu

    .local mxcsr_loads_are_cheap
    .comm mxcsr_loads_are_cheap, 1, 1

/*
 * Marked for indirect branch tracking when the compiler is asked for it, never for shadow stacks: a
 * switch would have to exchange those as well. The linker clears the mark of the whole program or
 * library, and the kernel leaves them off.
 */
#if defined(__CET__) && (__CET__ & 1)
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4                     /* size of the name */
    .long 16                    /* size of the property */
    .long 5                     /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000002            /* GNU_PROPERTY_X86_FEATURE_1_AND */
    .long 4
    .long 1                     /* IBT */
    .long 0
#endif
