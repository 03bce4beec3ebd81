/* SPDX-License-Identifier: MIT */
/*
 * context.h - the one switch below everything else.
 *
 * A suspended context is a single pointer: the stack pointer it had when it left. Everything else
 * lies on its own stack, in a frame that only the assembly knows (asm/, see docs/architectures.md).
 * Kept for each context are the callee-saved integer and vector registers of the platform's C ABI
 * and the floating-point control state (rounding mode, exception masks, flush to zero).
 *
 * Not kept, because C does not promise them over a call either, or because they belong to the
 * thread: the floating-point exception flags (after a switch they may hold what either side
 * raised), errno and every other thread_local (after a switch they hold what the other side left),
 * the signal mask.
 */
#ifndef BIDE__CONTEXT_CONTEXT_H
#define BIDE__CONTEXT_CONTEXT_H

#ifdef __cplusplus
extern "C" {
#endif

#define BIDE__CONTEXT_HIDDEN __attribute__((visibility("hidden")))

/*
 * Leave the running context and resume `to`.
 *
 * `from` receives the pointer that resumes the context being left; it is written before the other
 * side runs. `to` comes from bide__context_make or from an earlier switch, and is used up: each
 * such pointer may be resumed once, on the thread that made it. Returns when somebody switches
 * back.
 */
BIDE__CONTEXT_HIDDEN void bide__context_switch(void **from, void *to);

/*
 * Lay the first frame of a new context on a stack.
 *
 * `top` is the exclusive upper end of the stack, aligned to 16 bytes; less than 512 bytes below it
 * are written. The first switch to the returned pointer calls entry(arg) there, with the
 * floating-point control state that the caller of this function has now, as a new thread would.
 * `entry` ends its context by returning the one to resume in its place, a pointer as
 * bide__context_switch takes; the stack is no longer used then.
 */
BIDE__CONTEXT_HIDDEN void *bide__context_make(void *top, void *(*entry)(void *), void *arg);

/* The linked backend: "x86_64", "aarch64", "riscv64" or "fcontext". */
BIDE__CONTEXT_HIDDEN extern const char bide__context_backend[];

#ifdef __cplusplus
}
#endif

#endif
