/* SPDX-License-Identifier: MIT */
/*
 * aarch64.S - the context switch for 64-bit Arm, AAPCS64, 64-bit pointers.
 *
 * The frame of a suspended context. Its saved stack pointer points at offset 0 and is a multiple of
 * 16.
 *
 *     offset  bytes  holds
 *          0     64  d8 to d15
 *         64      8  x19   new context: entry
 *         72      8  x20   new context: arg
 *         80     64  x21 to x28
 *        144      8  x29   new context: 0, which ends the chain of frame records
 *        152      8  x30, where to go on: the return address; new context: the entry stub
 *        160      8  FPCR
 *        168      8  nothing
 *        176         the caller's stack; new context: `top`
 *
 * AAPCS64 (section 6.1) has a function preserve x19 to x29 and the low 64 bits of v8 to v15, and
 * leave FPCR alone. SVE registers are preserved only by functions that take SVE arguments, and this
 * one takes none. SME's ZA must be off.
 */

#define BACKEND_NAME "aarch64"

#define FRAME_BYTES 176
#define FRAME_D8    0
#define FRAME_D10   16
#define FRAME_D12   32
#define FRAME_D14   48
#define FRAME_X19   64
#define FRAME_X21   80
#define FRAME_X23   96
#define FRAME_X25   112
#define FRAME_X27   128
#define FRAME_X29   144
#define FRAME_FPCR  160

/* Landing pads; older processors and assemblers know them as hints that do nothing. */
#define BTI_C hint #34

    .text

/*
 * void bide__context_switch(void **from [x0], void *to [x1])
 *
 * Both stacks end in the same frame, so the unwind rules hold unchanged across the instruction that
 * exchanges them: before it they describe the context that leaves, after it the one that comes.
 * Nothing is ever stored below the stack pointer.
 *
 * It goes on by a return where the other context left from the same call: then the processor's own
 * stack of return addresses predicts it rightly, and the returns of our callers as well (see
 * x86_64.S). Everywhere else by an indirect jump; where landing pads are enforced that cannot be: a
 * return address has none, and only `ret` may go to such a place.
 */
    .globl bide__context_switch
    .hidden bide__context_switch
    .type bide__context_switch, %function
    .p2align 6
bide__context_switch:
    .cfi_startproc
    BTI_C
    sub sp, sp, #FRAME_BYTES
    .cfi_adjust_cfa_offset FRAME_BYTES
    mrs x9, fpcr
    stp d8, d9, [sp, #FRAME_D8]
    stp d10, d11, [sp, #FRAME_D10]
    stp d12, d13, [sp, #FRAME_D12]
    stp d14, d15, [sp, #FRAME_D14]
    stp x19, x20, [sp, #FRAME_X19]
    stp x21, x22, [sp, #FRAME_X21]
    stp x23, x24, [sp, #FRAME_X23]
    stp x25, x26, [sp, #FRAME_X25]
    stp x27, x28, [sp, #FRAME_X27]
    stp x29, x30, [sp, #FRAME_X29]
    str x9, [sp, #FRAME_FPCR]
    .cfi_rel_offset d8, FRAME_D8
    .cfi_rel_offset d9, FRAME_D8 + 8
    .cfi_rel_offset d10, FRAME_D10
    .cfi_rel_offset d11, FRAME_D10 + 8
    .cfi_rel_offset d12, FRAME_D12
    .cfi_rel_offset d13, FRAME_D12 + 8
    .cfi_rel_offset d14, FRAME_D14
    .cfi_rel_offset d15, FRAME_D14 + 8
    .cfi_rel_offset x19, FRAME_X19
    .cfi_rel_offset x20, FRAME_X19 + 8
    .cfi_rel_offset x21, FRAME_X21
    .cfi_rel_offset x22, FRAME_X21 + 8
    .cfi_rel_offset x23, FRAME_X23
    .cfi_rel_offset x24, FRAME_X23 + 8
    .cfi_rel_offset x25, FRAME_X25
    .cfi_rel_offset x26, FRAME_X25 + 8
    .cfi_rel_offset x27, FRAME_X27
    .cfi_rel_offset x28, FRAME_X27 + 8
    .cfi_rel_offset x29, FRAME_X29
    .cfi_rel_offset x30, FRAME_X29 + 8

    mov x10, sp
    str x10, [x0]
    mov x11, x30
    mov sp, x1

    /*
     * The context at sp is to go on: by a return if it does so at x11. x9 holds the floating-point
     * control state of the one that left.
     */
.Lresume:
    ldr x10, [sp, #FRAME_FPCR]
    ldp x29, x30, [sp, #FRAME_X29]
    ldp x19, x20, [sp, #FRAME_X19]
    ldp x21, x22, [sp, #FRAME_X21]
    ldp x23, x24, [sp, #FRAME_X23]
    ldp x25, x26, [sp, #FRAME_X25]
    ldp x27, x28, [sp, #FRAME_X27]
    ldp d8, d9, [sp, #FRAME_D8]
    ldp d10, d11, [sp, #FRAME_D10]
    ldp d12, d13, [sp, #FRAME_D12]
    ldp d14, d15, [sp, #FRAME_D14]
    cmp x9, x10
    b.ne .Lload_fpcr
.Lfpcr_is_right:
    .cfi_remember_state
    add sp, sp, #FRAME_BYTES
    .cfi_def_cfa_offset 0
    .cfi_same_value d8
    .cfi_same_value d9
    .cfi_same_value d10
    .cfi_same_value d11
    .cfi_same_value d12
    .cfi_same_value d13
    .cfi_same_value d14
    .cfi_same_value d15
    .cfi_same_value x19
    .cfi_same_value x20
    .cfi_same_value x21
    .cfi_same_value x22
    .cfi_same_value x23
    .cfi_same_value x24
    .cfi_same_value x25
    .cfi_same_value x26
    .cfi_same_value x27
    .cfi_same_value x28
    .cfi_same_value x29
    .cfi_same_value x30
#ifndef __ARM_FEATURE_BTI_DEFAULT
    cmp x11, x30
    b.ne .Ljump
#endif
    ret
.Ljump:
    mov x16, x30
    br x16

    .cfi_restore_state
.Lload_fpcr:
    msr fpcr, x10
    b .Lfpcr_is_right
    .cfi_endproc
    .size bide__context_switch, . - bide__context_switch

/*
 * void *bide__context_make(void *top [x0], void *(*entry)(void *) [x1], void *arg [x2])
 */
    .globl bide__context_make
    .hidden bide__context_make
    .type bide__context_make, %function
    .p2align 4
bide__context_make:
    .cfi_startproc
    BTI_C
    sub x0, x0, #FRAME_BYTES
    mrs x9, fpcr
    adr x10, .Lstart
    stp xzr, xzr, [x0, #FRAME_D8]
    stp xzr, xzr, [x0, #FRAME_D10]
    stp xzr, xzr, [x0, #FRAME_D12]
    stp xzr, xzr, [x0, #FRAME_D14]
    stp x1, x2, [x0, #FRAME_X19]
    stp xzr, xzr, [x0, #FRAME_X21]
    stp xzr, xzr, [x0, #FRAME_X23]
    stp xzr, xzr, [x0, #FRAME_X25]
    stp xzr, xzr, [x0, #FRAME_X27]
    stp xzr, x10, [x0, #FRAME_X29]
    stp x9, xzr, [x0, #FRAME_FPCR]
    ret
    .cfi_endproc
    .size bide__context_make, . - bide__context_make

/*
 * The outermost frame of every context: it has no caller, and its unwind rules say so. The nop is
 * never run. Unwinders look up the instruction before the one that a frame goes on at, and must
 * find these rules there as well.
 */
    .type bide__context_entry, %function
    .p2align 4
bide__context_entry:
    .cfi_startproc
    .cfi_undefined x30
    nop
.Lstart:
    BTI_C
    mov x0, x20
    blr x19

    /*
     * The function has ended, and x0 is the context to go on with: by a return, which undoes the
     * call of the switch that started this context, unless that context starts anew.
     */
    mrs x9, fpcr
    ldr x11, [x0, #FRAME_X29 + 8]
    adr x10, .Lstart
    cmp x11, x10
    csel x11, xzr, x11, eq
    mov sp, x0
    b .Lresume
    .cfi_endproc
    .size bide__context_entry, . - bide__context_entry

/*
 * Marked for branch target identification when the compiler is asked for it, never for guarded
 * control stacks.
 */
#ifdef __ARM_FEATURE_BTI_DEFAULT
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4                     /* size of the name */
    .long 16                    /* size of the property */
    .long 5                     /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000000            /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
    .long 4
    .long 1                     /* BTI */
    .long 0
#endif
