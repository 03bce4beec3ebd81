/* SPDX-License-Identifier: MIT */
/*
 * context.S - picks the architecture. Only this file is assembled; it includes the one that fits.
 *
 * A new architecture is one file beside this one and one line below; docs/architectures.md says
 * what the file must do. Each defines BACKEND_NAME, bide__context_switch and bide__context_make.
 */
#ifdef BIDE_CONTEXT_FCONTEXT
/* src/context/fcontext.c takes this file's place. */
#elif defined(__x86_64__) && defined(__LP64__)
#include "x86_64.S"
#elif defined(__aarch64__) && defined(__LP64__)
#include "aarch64.S"
#elif defined(__riscv) && __riscv_xlen == 64 && !defined(__riscv_32e) && !defined(__riscv_64e)
#include "riscv64.S"
#else
#error "Bide has no context switch of its own for this architecture: use -DBIDE_CONTEXT=fcontext"
#endif

#ifdef BACKEND_NAME
    .section .rodata
    .globl bide__context_backend
    .hidden bide__context_backend
    .type bide__context_backend, %object
bide__context_backend:
    .asciz BACKEND_NAME
    .size bide__context_backend, . - bide__context_backend
#endif

    .section .note.GNU-stack, "", %progbits
