/* SPDX-License-Identifier: MIT */
/*
 * async.h - functions that can be spawned as tasks, with their types kept.
 *
 *     static async(int, fetch, const char *, addr)     // defines fetch(addr)
 *     { ... }
 *
 *     task(int) t = spawn(fetch, "tcp://127.0.0.1:80"); // task(double) here is a compile error
 *     int n = await(t);
 *
 * bide_async(R, name, T1, a1, ...) takes types and names in pairs, up to eight, and ends in the
 * function's own header: it stands before a body, or before a semicolon in a header file, and may
 * be preceded by `static`. A type may be anything that __typeof__ takes, structs by value among
 * them; R may be void. Beside the function it defines name_spawn, which has the same typed
 * parameters.
 *
 * bide_task(T) is a pointer type that only carries T; what it holds is a handle, never an address
 * to call or to look at. A handle is owned: exactly one of await, detach (or a group) takes it. The
 * full names here are always there; the short ones are opt-in, in bide/short.h. The typed macros
 * are for C: in C++ they are absent.
 */
#ifndef BIDE_ASYNC_ASYNC_H
#define BIDE_ASYNC_ASYNC_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/sched/task.h>

/**
 * Spawn a task; name_spawn, which bide_async defines, is the way to do so.
 *
 * @param site         static
 * @param options      borrowed for the call, or NULL
 * @param run          called with the frame as the task's body; returns a failure below 0
 * @param frame_bytes  room for arguments and result
 *
 * Returns the handle and the frame, both 0 on failure: see bide_spawn_error.
 * Blocks:  no, and never switches.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API struct bide__spawned bide__spawn(const bide_site *site, const bide_spawn_options *options,
                                          int (*run)(void *frame), size_t frame_bytes);

/**
 * Tell why the last spawn on this loop that returned NULL did so.
 *
 * The reason in words was reported when it happened (bide_options.on_report).
 *
 * Returns 0 when none did, else
 *   -ENOMEM  no memory or address space for a stack, or its guard page could not be made
 *   -EAGAIN  bide_options.tasks_max tasks are living
 *   -EINVAL  stack_bytes is beyond what any stack can have
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_spawn_error(void);

/**
 * Wait for a task to end and take its result; bide_await is the way to do so.
 *
 * @param handle  owned; spent when the call returns
 * @param width   bytes of the result when it is a signed integer, else 0
 * @param site    static; who waits, for reports
 *
 * Returns the result's address, to be read before the next spawn.
 * Blocks:  until the task has ended.
 * Cancel:  a cancel of the caller goes on to the awaited task; what that returns is the result.
 * Threads: tasks of the same loop.
 */
BIDE_API void *bide__await(uintptr_t handle, unsigned width, const bide_site *site);

/**
 * Wait for a task for a limited time; bide_await_for is the way to do so.
 *
 * @param handle   spent on success, still owned on failure
 * @param timeout  nanoseconds
 * @param result   set to the result's address on success
 * @param site     static
 *
 * Returns 0, or -ETIMEDOUT, -ECANCELED, -EDEADLK as bide_await_for says.
 * Blocks:  at most `timeout`.
 * Cancel:  safe: the awaited task runs on.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__await_for(uintptr_t handle, bide_time timeout, void **result,
                             const bide_site *site);

/**
 * Give a handle up: the task runs on by itself; bide_detach is the way to do so.
 *
 * @param handle  spent; 0 is a spawn that failed
 *
 * Returns 0, or for handle 0 the error of the spawn.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__detach(uintptr_t handle);

/**
 * Ask a task to end; bide_cancel is the way to do so.
 *
 * @param handle  borrowed
 *
 * Returns nothing.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide__cancel(uintptr_t handle);

/**
 * Ask whether a task has ended; bide_is_done is the way to do so.
 *
 * @param handle  borrowed
 *
 * Returns true when await would not wait.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API bool bide__is_done(uintptr_t handle);

/* A function to run when the block is left. */
struct bide__deferred {
    void (*function)(void *);
    void *argument;
};

static inline void bide__deferred_run(struct bide__deferred *deferred)
{
    deferred->function(deferred->argument);
}

#define BIDE__CAT_(a, b) a##b
#define BIDE__CAT(a, b) BIDE__CAT_(a, b)

/*
 * defer(fn, arg): call fn(arg) when the enclosing block is left, by whatever way; several run last
 * first. fn takes one pointer; the argument is evaluated now.
 */
#define bide_defer(function_, argument_)                                                           \
    BIDE__DEFER(function_, argument_, BIDE__CAT(bide__deferred_, __COUNTER__))
#define BIDE__DEFER(function_, argument_, name)                                                    \
    struct bide__deferred name __attribute__((cleanup(bide__deferred_run), unused)) = {            \
        (void (*)(void *))(void (*)(void))(function_),                                             \
        ((void)sizeof(__typeof__((function_)(argument_)) *), (void *)(argument_))}

/* Of a BIDE__KIND: the bytes of the type, and its width when it is a signed integer, else 0. */
#define BIDE__KIND_BYTES(kind) ((size_t)(kind) / 64u)
#define BIDE__KIND_WIDTH(kind) ((kind) / 4u % 16u)

#ifndef __cplusplus

/* Both compilers shall refuse a handle of another type, not warn of it. */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"

/* The type of a handle to a task whose function returns T. */
#define bide_task(T) __typeof__(__typeof__(T)(*)(struct bide_task *))

#define BIDE__IS_VOID(T) __builtin_types_compatible_p(__typeof__(T), void)

/* T, or char where T is void: what can be stored. */
#define BIDE__STORED(T)                                                                            \
    __typeof__(*(                                                                                  \
        __typeof__(__builtin_choose_expr(BIDE__IS_VOID(T), (char *)0, (__typeof__(T) *)0)))0)

/* The result type of a handle. */
#define BIDE__RESULT_OF(handle) __typeof__((handle)((struct bide_task *)0))

/* A handle as a number; refuses what is no handle. */
#define BIDE__HANDLE(handle)                                                                       \
    __builtin_choose_expr(1, (uintptr_t)(handle), (handle)((struct bide_task *)0))

/* How a detached task is seen to have failed: its result is a signed integer below 0. */
static inline int bide__failure_clip(long long result)
{
    return result >= 0 ? 0 : result < INT32_MIN ? INT32_MIN : (int)result;
}
#define BIDE__FAILURE_OF(type, word)                                                               \
    static inline int bide__failure_##word(const void *result)                                     \
    {                                                                                              \
        return bide__failure_clip(*(const type *)result);                                          \
    }
BIDE__FAILURE_OF(signed char, char)
BIDE__FAILURE_OF(short, short)
BIDE__FAILURE_OF(int, int)
BIDE__FAILURE_OF(long, long)
BIDE__FAILURE_OF(long long, llong)
static inline int bide__failure_none(const void *result)
{
    (void)result;
    return 0;
}
#undef BIDE__FAILURE_OF
#define BIDE__FAILURE(result)                                                                      \
    _Generic((result),                                                                             \
        signed char *: bide__failure_char,                                                         \
        short *: bide__failure_short,                                                              \
        int *: bide__failure_int,                                                                  \
        long *: bide__failure_long,                                                                \
        long long *: bide__failure_llong,                                                          \
        default: bide__failure_none)(result)

/* Bytes of what a pointer points to when that is a signed integer, else 0. */
#define BIDE__WIDTH(pointer)                                                                       \
    _Generic((pointer),                                                                            \
        signed char *: 1u,                                                                         \
        short *: (unsigned)sizeof(short),                                                          \
        int *: (unsigned)sizeof(int),                                                              \
        long *: (unsigned)sizeof(long),                                                            \
        long long *: (unsigned)sizeof(long long),                                                  \
        default: 0u)

/*
 * A number that tells most types apart, where a handle's own type is lost: of the size and the
 * class (integer, floating, pointer, struct).
 */
#define BIDE__KIND(T)                                                                              \
    ((unsigned)sizeof(BIDE__STORED(T)) * 64u + BIDE__WIDTH((BIDE__STORED(T) *)0) * 4u +            \
     (unsigned)_Generic((BIDE__STORED(T) *)0, float * : 1, double * : 1, default : 0) +            \
     (BIDE__IS_VOID(T) ? 2u : 0u))

/*
 * Pairs of type and name, counted: BIDE__PAIRS(T1, a1, T2, a2) is 2. An odd number is `odd`, which
 * fits nothing.
 */
#define BIDE__PAIRS(...)                                                                           \
    BIDE__PAIRS_(_, ##__VA_ARGS__, 8, odd, 7, odd, 6, odd, 5, odd, 4, odd, 3, odd, 2, odd, 1, odd, \
                 0)
#define BIDE__PAIRS_(_, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6, t7, a7, t8, a8, n, ...) n

/* "each" applied to the pairs, with commas or without. */
#define BIDE__EACH(n, each, sep, ...) BIDE__CAT(BIDE__EACH_, n)(each, sep, ##__VA_ARGS__)
#define BIDE__EACH_0(each, sep)
#define BIDE__EACH_1(each, sep, T, a) each(T, a)
#define BIDE__EACH_2(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_1(each, sep, __VA_ARGS__)
#define BIDE__EACH_3(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_2(each, sep, __VA_ARGS__)
#define BIDE__EACH_4(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_3(each, sep, __VA_ARGS__)
#define BIDE__EACH_5(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_4(each, sep, __VA_ARGS__)
#define BIDE__EACH_6(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_5(each, sep, __VA_ARGS__)
#define BIDE__EACH_7(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_6(each, sep, __VA_ARGS__)
#define BIDE__EACH_8(each, sep, T, a, ...) each(T, a) sep() BIDE__EACH_7(each, sep, __VA_ARGS__)
#define BIDE__COMMA() ,
#define BIDE__NOTHING()

#define BIDE__PARAMETER(T, a) __typeof__(T) a
#define BIDE__MORE_PARAMETER(T, a) , __typeof__(T) a
#define BIDE__FIELD(T, a) __typeof__(T) a;
#define BIDE__FROM_FRAME(T, a) frame->arguments.a
#define BIDE__INIT(T, a) .a = a,
#define BIDE__TYPE(T, a) __typeof__(T)

#define BIDE__PARAMETERS(n, ...) BIDE__CAT(BIDE__PARAMETERS_, n)(n, ##__VA_ARGS__)
#define BIDE__PARAMETERS_0(n) void
#define BIDE__PARAMETERS_1(n, ...) BIDE__EACH(n, BIDE__PARAMETER, BIDE__COMMA, __VA_ARGS__)
#define BIDE__PARAMETERS_2 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_3 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_4 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_5 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_6 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_7 BIDE__PARAMETERS_1
#define BIDE__PARAMETERS_8 BIDE__PARAMETERS_1

/* Define what spawning a function needs, ending in the function's own header. */
#define bide_async(R, name, ...) BIDE__ASYNC(BIDE__PAIRS(__VA_ARGS__), R, name, ##__VA_ARGS__)
#define BIDE__ASYNC(n, R, name, ...)                                                               \
    __typeof__(R) name(BIDE__PARAMETERS(n, ##__VA_ARGS__));                                        \
    struct name##__arguments {                                                                     \
        BIDE__EACH(n, BIDE__FIELD, BIDE__NOTHING, ##__VA_ARGS__)                                   \
    };                                                                                             \
    struct name##__frame {                                                                         \
        BIDE__STORED(R) result;                                                                    \
        struct name##__arguments arguments;                                                        \
    };                                                                                             \
    enum { name##__kind = BIDE__KIND(R) };                                                         \
    _Static_assert(_Alignof(struct name##__frame) <= 64,                                           \
                   "arguments and results can be aligned to 64 bytes at the most");                \
    static int __attribute__((unused)) name##__run(void *bide__frame_)                             \
    {                                                                                              \
        struct name##__frame *frame = (struct name##__frame *)bide__frame_;                        \
        __builtin_choose_expr(                                                                     \
            BIDE__IS_VOID(R),                                                                      \
            (void)name(BIDE__EACH(n, BIDE__FROM_FRAME, BIDE__COMMA, ##__VA_ARGS__)),               \
            (void)(frame->result = __builtin_choose_expr(                                          \
                       BIDE__IS_VOID(R), (BIDE__STORED(R)(*)(BIDE__TYPES(n, ##__VA_ARGS__)))0,     \
                       name)(BIDE__EACH(n, BIDE__FROM_FRAME, BIDE__COMMA, ##__VA_ARGS__))));       \
        return BIDE__IS_VOID(R) ? 0 : BIDE__FAILURE(&frame->result);                               \
    }                                                                                              \
    static inline __attribute__((unused)) bide_task(R) name##_spawn(                               \
        const bide_site *bide__site_, const bide_spawn_options *bide__options_ BIDE__EACH(         \
                                          n, BIDE__MORE_PARAMETER, BIDE__NOTHING, ##__VA_ARGS__))  \
    {                                                                                              \
        struct bide__spawned bide__spawned_ =                                                      \
            bide__spawn(bide__site_, bide__options_, name##__run, sizeof(struct name##__frame));   \
        if (bide__spawned_.frame != NULL) {                                                        \
            struct name##__arguments bide__arguments_ = {                                          \
                BIDE__EACH(n, BIDE__INIT, BIDE__NOTHING, ##__VA_ARGS__)};                          \
            __builtin_memcpy(&((struct name##__frame *)bide__spawned_.frame)->arguments,           \
                             &bide__arguments_, sizeof bide__arguments_);                          \
        }                                                                                          \
        return (bide_task(R))bide__spawned_.handle;                                                \
    }                                                                                              \
    __typeof__(R) name(BIDE__PARAMETERS(n, ##__VA_ARGS__))

#define BIDE__TYPES(n, ...) BIDE__CAT(BIDE__TYPES_, n)(n, ##__VA_ARGS__)
#define BIDE__TYPES_0(n) void
#define BIDE__TYPES_1(n, ...) BIDE__EACH(n, BIDE__TYPE, BIDE__COMMA, __VA_ARGS__)
#define BIDE__TYPES_2 BIDE__TYPES_1
#define BIDE__TYPES_3 BIDE__TYPES_1
#define BIDE__TYPES_4 BIDE__TYPES_1
#define BIDE__TYPES_5 BIDE__TYPES_1
#define BIDE__TYPES_6 BIDE__TYPES_1
#define BIDE__TYPES_7 BIDE__TYPES_1
#define BIDE__TYPES_8 BIDE__TYPES_1

/*
 * spawn(fn, args...): start fn(args...) as a task and return its handle, bide_task(R); never
 * switches. NULL when there is no memory for a stack (bide_spawn_error); awaiting that aborts.
 * The arguments go through `...` without ## until the last step: so spawn(f, spawn(g)) expands.
 */
#define bide_spawn(...) bide_spawn_with(NULL, __VA_ARGS__)

/*
 * spawn_with(&options, fn, args...): the same, with choices (bide_spawn_options). A literal with
 * several fields needs parentheses around it, as its commas would end the macro's argument:
 * spawn_with((&(bide_spawn_options){.stack_bytes = 65536, .name = "reader"}), fn, args...).
 */
#define bide_spawn_with(options, ...)                                                              \
    BIDE__SPAWN_WITH(BIDE__CAT(bide__site_, __COUNTER__), options, __VA_ARGS__)
#define BIDE__SPAWN_WITH(site, options, name, ...)                                                 \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(#name);                                           \
        name##_spawn(&site, (options), ##__VA_ARGS__);                                             \
    })

/*
 * go(fn, args...): spawn and detach. An int: 0, or the error of a spawn that failed (which was
 * reported). A negative result of the task is counted and reported.
 */
#define bide_go(...) bide_detach(bide_spawn(__VA_ARGS__))

/*
 * await(t): wait until the task has ended, and return its own result; the handle is spent. When the
 * caller is cancelled meanwhile, the cancel passes on to t, with its reason (-ECANCELED, or
 * -ETIMEDOUT of a deadline), and what t then returns is the result.
 * A second time, or NULL, aborts with one line. Awaiting oneself, or in a cycle of tasks that await
 * each other, prints the cycle, gives t up as detach does, and returns -EDEADLK; where the result
 * is no signed integer that could say so it aborts.
 */
#define bide_await(t) BIDE__AWAIT(t, BIDE__CAT(bide__handle_, __COUNTER__))
#define BIDE__AWAIT(t, handle)                                                                     \
    __extension__({                                                                                \
        static const bide_site BIDE__CAT(handle, _site) = BIDE__SITE("await");                     \
        __auto_type handle = (t);                                                                  \
        void *BIDE__CAT(handle, _result) = bide__await(                                            \
            BIDE__HANDLE(handle), BIDE__WIDTH((BIDE__STORED(BIDE__RESULT_OF(handle)) *)0),         \
            &BIDE__CAT(handle, _site));                                                            \
        __builtin_choose_expr(                                                                     \
            BIDE__IS_VOID(BIDE__RESULT_OF(handle)), (void)BIDE__CAT(handle, _result),              \
            *(BIDE__STORED(BIDE__RESULT_OF(handle)) *)BIDE__CAT(handle, _result));                 \
    })

/*
 * await_for(t, ns, &out): wait for at most ns nanoseconds. 0 with the result in out (which may be
 * NULL), and the handle is spent; else the handle stays owned and the task runs on:
 *   -ETIMEDOUT  it had not ended in time, or a deadline of an enclosing scope passed
 *   -ECANCELED  an enclosing scope was cancelled
 *   -EDEADLK    t awaits the caller, directly or through others
 */
#define bide_await_for(t, ns, out)                                                                 \
    BIDE__AWAIT_FOR(t, ns, out, BIDE__CAT(bide__handle_, __COUNTER__))
#define BIDE__AWAIT_FOR(t, ns, out, handle)                                                        \
    __extension__({                                                                                \
        static const bide_site BIDE__CAT(handle, _site) = BIDE__SITE("await_for");                 \
        __auto_type handle = (t);                                                                  \
        BIDE__STORED(BIDE__RESULT_OF(handle)) * BIDE__CAT(handle, _out) = (out);                   \
        void *BIDE__CAT(handle, _result) = NULL;                                                   \
        int BIDE__CAT(handle, _err) = bide__await_for(                                             \
            BIDE__HANDLE(handle), (ns), &BIDE__CAT(handle, _result), &BIDE__CAT(handle, _site));   \
        if (BIDE__CAT(handle, _err) >= 0 && BIDE__CAT(handle, _out) != NULL)                       \
            *BIDE__CAT(handle, _out) =                                                             \
                *(BIDE__STORED(BIDE__RESULT_OF(handle)) *)BIDE__CAT(handle, _result);              \
        BIDE__CAT(handle, _err) < 0 ? BIDE__CAT(handle, _err) : 0;                                 \
    })

/* detach(t): let the task run on by itself; the handle is spent. An int: 0, or why t is NULL. */
#define bide_detach(t) bide__detach(BIDE__HANDLE(t))

/*
 * cancel(t): every parking call of the task returns -ECANCELED from now on. The handle stays owned:
 * await it.
 */
#define bide_cancel(t) bide__cancel(BIDE__HANDLE(t))

/* is_done(t): await would not wait. */
#define bide_is_done(t) bide__is_done(BIDE__HANDLE(t))

#endif /* __cplusplus */
#endif
