/* SPDX-License-Identifier: MIT */
/*
 * riscv64.S - the context switch for 64-bit RISC-V, ABIs lp64, lp64f and lp64d.
 *
 * The frame of a suspended context. Its saved stack pointer points at offset 0 and is a multiple of
 * 16.
 *
 *     offset  bytes  holds
 *          0      8  ra, where to go on: the return address; new context: the entry stub
 *          8      8  s0   new context: 0, which ends the chain of frame pointers
 *         16      8  s1   new context: entry
 *         24      8  s2   new context: arg
 *         32     72  s3 to s11
 *        104      8  frm, the rounding mode (nothing without floating-point registers)
 *        112     96  fs0 to fs11 (lp64f and lp64d only; lp64f uses the low half of each)
 *        208         the caller's stack; new context: `top` (lp64: at 112)
 *
 * The psABI ("Register Convention") has a function preserve sp, s0 to s11 and, as wide as the ABI
 * passes them, fs0 to fs11, and leave frm alone. Every vector register is lost over a call.
 */

#define BACKEND_NAME "riscv64"

#define FRAME_RA    0
#define FRAME_S(n)  8 + 8 * n
#define FRAME_FRM   104
#define FRAME_FS(n) 112 + 8 * n

#if defined(__riscv_float_abi_double)
#define FRAME_BYTES 208
#define FSTORE      fsd
#define FLOAD       fld
#elif defined(__riscv_float_abi_single)
#define FRAME_BYTES 208
#define FSTORE      fsw
#define FLOAD       flw
#elif defined(__riscv_float_abi_soft)
#define FRAME_BYTES 112
#else
#error "Bide has no context switch of its own for this RISC-V ABI: use -DBIDE_CONTEXT=fcontext"
#endif

    .text

/*
 * void bide__context_switch(void **from [a0], void *to [a1])
 *
 * Both stacks end in the same frame, so the unwind rules hold unchanged across the instruction that
 * exchanges them: before it they describe the context that leaves, after it the one that comes.
 * Nothing is ever stored below the stack pointer.
 *
 * It goes on by a return where the other context left from the same call: then the processor's own
 * stack of return addresses predicts it rightly, and the returns of our callers as well (see
 * x86_64.S). Everywhere else by a jump through t2: through ra or t0 it would be predicted as a
 * return, wrongly; through any other register the landing-pad extension (Zicfilp) would ask for a
 * pad, which a return address does not have.
 */
    .globl bide__context_switch
    .hidden bide__context_switch
    .type bide__context_switch, @function
    .p2align 6
bide__context_switch:
    .cfi_startproc
    addi sp, sp, -FRAME_BYTES
    .cfi_adjust_cfa_offset FRAME_BYTES
    sd ra, FRAME_RA(sp)
    .cfi_rel_offset ra, FRAME_RA
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, FRAME_S(\n)(sp)
    .cfi_rel_offset s\n, FRAME_S(\n)
    .endr
#ifdef __riscv_flen
    frrm t0
    sd t0, FRAME_FRM(sp)
#endif
#ifdef FSTORE
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    FSTORE fs\n, FRAME_FS(\n)(sp)
    .cfi_rel_offset fs\n, FRAME_FS(\n)
    .endr
#endif

    sd sp, (a0)
    mv t3, ra
    mv sp, a1

    /*
     * The context at sp is to go on: by a return if it does so at t3. t0 holds the rounding mode of
     * the one that left.
     */
.Lresume:
    ld ra, FRAME_RA(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, FRAME_S(\n)(sp)
    .endr
#ifdef FLOAD
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    FLOAD fs\n, FRAME_FS(\n)(sp)
    .endr
#endif
#ifdef __riscv_flen
    ld t1, FRAME_FRM(sp)
    bne t0, t1, .Lload_frm
.Lfrm_is_right:
#endif
    .cfi_remember_state
    addi sp, sp, FRAME_BYTES
    .cfi_def_cfa_offset 0
    .cfi_same_value ra
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_same_value s\n
#ifdef FLOAD
    .cfi_same_value fs\n
#endif
    .endr
    bne t3, ra, .Ljump
    ret
.Ljump:
    mv t2, ra
    jr t2

    .cfi_restore_state
#ifdef __riscv_flen
.Lload_frm:
    fsrm t1
    j .Lfrm_is_right
#endif
    .cfi_endproc
    .size bide__context_switch, . - bide__context_switch

/*
 * void *bide__context_make(void *top [a0], void *(*entry)(void *) [a1], void *arg [a2])
 */
    .globl bide__context_make
    .hidden bide__context_make
    .type bide__context_make, @function
    .p2align 4
bide__context_make:
    .cfi_startproc
    addi a0, a0, -FRAME_BYTES
    lla t0, .Lstart
    sd t0, FRAME_RA(a0)
    sd zero, FRAME_S(0)(a0)
    sd a1, FRAME_S(1)(a0)
    sd a2, FRAME_S(2)(a0)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd zero, FRAME_S(\n)(a0)
    .endr
#ifdef __riscv_flen
    frrm t0
    sd t0, FRAME_FRM(a0)
#else
    sd zero, FRAME_FRM(a0)
#endif
#ifdef FSTORE
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd zero, FRAME_FS(\n)(a0)
    .endr
#endif
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
    .cfi_undefined ra
    nop
.Lstart:
    mv a0, s2
    jalr s1

    /*
     * The function has ended, and a0 is the context to go on with: by a return, which undoes the
     * call of the switch that started this context, unless that context starts anew.
     */
#ifdef __riscv_flen
    frrm t0
#endif
    ld t3, FRAME_RA(a0)
    lla t1, .Lstart
    mv sp, a0
    bne t3, t1, .Lresume
    li t3, 0
    j .Lresume
    .cfi_endproc
    .size bide__context_entry, . - bide__context_entry
