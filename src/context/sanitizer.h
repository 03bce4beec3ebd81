/* SPDX-License-Identifier: MIT */
/*
 * sanitizer.h - what AddressSanitizer, LeakSanitizer, ThreadSanitizer and valgrind are told about
 * stacks and switches.
 *
 * The sanitizers are known by the compiler's macros, valgrind's header by the build
 * (BIDE_HAVE_VALGRIND). In a plain build every function here is empty, and so is the struct.
 */
#ifndef BIDE__CONTEXT_SANITIZER_H
#define BIDE__CONTEXT_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define BIDE__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BIDE__ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define BIDE__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BIDE__TSAN 1
#endif
#endif

#ifdef BIDE__ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#ifdef BIDE__TSAN
/*
 * gcc 12 ships no tsan_interface.h with the fiber calls; these are the runtime's own declarations.
 */
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void *__tsan_get_current_fiber(void);
#endif

#ifdef BIDE_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#endif

/*
 * For a function that is entered in one context and ends in another. ThreadSanitizer keeps a stack
 * of calls for each: an entry counted here and a return counted there would ruin both.
 */
#if !defined(BIDE__TSAN)
#define BIDE__UNWATCHED
#elif defined(__clang__)
#define BIDE__UNWATCHED __attribute__((disable_sanitizer_instrumentation))
#else
#define BIDE__UNWATCHED __attribute__((no_sanitize("thread")))
#endif

/* Whether the program runs in Valgrind's emulation. */
static inline bool bide__sanitizer_emulates(void)
{
#ifdef BIDE_HAVE_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

/* What has to be remembered of each context: a task's, and the loop's own. */
struct bide__sanitizer {
#ifdef BIDE__ASAN
    void *fake_stack;   /* ASan's handle of the suspended context's fake frames */
    const void *bottom; /* lowest byte of its stack */
    size_t bytes;
#endif
#ifdef BIDE__TSAN
    void *fiber;
#endif
};

/*
 * A stack was made: keep it known until bide__sanitizer_stack_gone. Returns valgrind's name for it.
 */
static inline unsigned bide__sanitizer_stack_made(void *low, size_t bytes)
{
    (void)low, (void)bytes; /* valgrind has no requests for some processors */
#ifdef BIDE__ASAN
    __lsan_register_root_region(low, bytes);
#endif
#ifdef BIDE_HAVE_VALGRIND
    return VALGRIND_STACK_REGISTER(low, (char *)low + bytes);
#else
    return 0;
#endif
}

static inline void bide__sanitizer_stack_gone(void *low, size_t bytes, unsigned valgrind_id)
{
#ifdef BIDE__ASAN
    __asan_unpoison_memory_region(low, bytes);
    __lsan_unregister_root_region(low, bytes);
#endif
#ifdef BIDE_HAVE_VALGRIND
    VALGRIND_STACK_DEREGISTER(valgrind_id);
#endif
    (void)low, (void)bytes, (void)valgrind_id;
}

/* The context that ran on the stack is over, and is not the running one. Zeroed memory has none. */
static inline void bide__sanitizer_end(struct bide__sanitizer *self)
{
#ifdef BIDE__TSAN
    if (self->fiber != NULL)
        __tsan_destroy_fiber(self->fiber);
    self->fiber = NULL;
#endif
    (void)self;
}

/* A new context will start on this stack, whose former frames (if any) ended without returning. */
static inline void bide__sanitizer_start(struct bide__sanitizer *self, void *low, size_t bytes)
{
#ifdef BIDE__ASAN
    __asan_unpoison_memory_region(low, bytes);
    *self = (struct bide__sanitizer){.bottom = low, .bytes = bytes};
#endif
#ifdef BIDE__TSAN
    bide__sanitizer_end(self); /* of the context that ran here before, which could not end itself */
    self->fiber = __tsan_create_fiber(0);
#endif
    (void)self, (void)low, (void)bytes;
}

/*
 * Somebody else writes the first frame, where the context that ran here before may have had nothing
 * yet: to valgrind that is below its stack pointer.
 */
static inline void bide__sanitizer_frame(void *frame, size_t bytes)
{
#ifdef BIDE_HAVE_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(frame, bytes);
#endif
    (void)frame, (void)bytes;
}

/* Allocated memory that nobody may touch for a while, and its coming back. */
static inline void bide__sanitizer_seal(void *memory, size_t bytes)
{
#ifdef BIDE__ASAN
    __asan_poison_memory_region(memory, bytes);
#endif
    (void)memory, (void)bytes;
}

static inline void bide__sanitizer_unseal(void *memory, size_t bytes)
{
#ifdef BIDE__ASAN
    __asan_unpoison_memory_region(memory, bytes);
#endif
    (void)memory, (void)bytes;
}

/* Describe the thread's own stack, on which this is called. */
static inline void bide__sanitizer_start_thread(struct bide__sanitizer *self)
{
#ifdef BIDE__ASAN
    pthread_attr_t attr;
    void *low = NULL;
    size_t bytes = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &bytes);
        pthread_attr_destroy(&attr);
    }
    *self = (struct bide__sanitizer){.bottom = low, .bytes = bytes};
#endif
#ifdef BIDE__TSAN
    self->fiber = __tsan_get_current_fiber();
#endif
    (void)self;
}

/*
 * Right before the switch from one context to another. A dying context's fake frames are let go.
 * Always inlined: ThreadSanitizer counts calls and returns for each context, and this would be
 * entered in one and left in the other.
 */
__attribute__((always_inline)) static inline void
bide__sanitizer_leave(struct bide__sanitizer *from, const struct bide__sanitizer *to, bool dying)
{
#ifdef BIDE__ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack, to->bottom, to->bytes);
#endif
#ifdef BIDE__TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from, (void)to, (void)dying;
}

/* Right after it, on the other side. */
static inline void bide__sanitizer_arrive(struct bide__sanitizer *self)
{
#ifdef BIDE__ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
    (void)self;
}

#endif
