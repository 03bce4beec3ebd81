/* SPDX-License-Identifier: MIT */
/*
 * generator.h - functions that give values one after the other, when asked for the next.
 *
 *     static generator(int, countdown, int, from)
 *     {
 *         for (int n = from; n > 0; n--)
 *             yield_value(n);
 *     }
 *
 *     for_each (n, generate(countdown, 3))
 *         printf("%d\n", n);                       // 3 2 1
 *
 * bide_generator(T, name, T1, a1, ...) takes pairs as bide_async does and ends in the function's
 * own header, which stands before a body. The body runs on a stack of its own, begins at the first
 * gen_next, and may wait; control goes straight between it and whoever asks, without the ready
 * queue. yield_value stands in the body itself: when the generator is freed or cancelled it returns
 * from the body, and `defer`s run.
 *
 * bide_gen(T) is the handle's type, as bide_task(T) is a task's. It is owned, and ends with
 * gen_free. Of one that is freed before its first gen_next the body never runs: what its arguments
 * own is then still the caller's. A body has no result: let it tell of an error through a pointer.
 */
#ifndef BIDE_ASYNC_GENERATOR_H
#define BIDE_ASYNC_GENERATOR_H

#include <bide/async/async.h>

/* At the start of a generator's frame; not to look into. */
struct bide__generator {
    const void **value; /* where whoever asks wants to find the value's address; set for each */
    void *waiter[10];   /* what the generator is parked with between two values */
    void *asker[10];    /* what whoever asks is parked with until it has one */
    int stopped;        /* 0 while a value is wanted; else why none is */
};

/**
 * Make a generator; bide_generate is the way to do so.
 *
 * @param site         static
 * @param options      borrowed for the call, or NULL
 * @param run          called with the frame as the body, at the first gen_next
 * @param frame_bytes  room for the generator, its value and its arguments
 *
 * Returns the handle and the frame, both 0 on failure: see bide_spawn_error.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API struct bide__spawned bide__generate(const bide_site *site,
                                             const bide_spawn_options *options,
                                             int (*run)(void *frame), size_t frame_bytes);

/**
 * Run a generator up to its next value; bide_gen_next is the way to do so.
 *
 * Returns nothing, so that its last act can be the switch: returns from there would be
 * mispredicted.
 *
 * @param handle  borrowed
 * @param value   NULL; set to the value's address, valid until the next call for this generator,
 *                and left alone at its end
 * @param site    static; who asks, for reports
 *
 * Returns nothing.
 * Blocks:  as long as the generator's body waits.
 * Cancel:  goes on to the generator.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide__gen_next(uintptr_t handle, const void **value, const bide_site *site);

/**
 * End a generator; bide_gen_free is the way to do so.
 *
 * @param handle  spent; 0 is harmless
 *
 * Returns nothing.
 * Blocks:  until the body has returned, which it does at its yield_value or once its calls say
 *          -ECANCELED.
 * Cancel:  not heeded: the body is waited for.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide__gen_free(uintptr_t handle);

/**
 * Say whether the body shall run at all.
 *
 * @param generator  in the running generator's frame
 *
 * Returns true when gen_next asked for it, and false when it was freed before.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: generators only.
 */
BIDE_API bool bide__generator_begin(struct bide__generator *generator);

/**
 * Hand over a value and wait until the next one is wanted; bide_yield_value is the way to do so.
 *
 * @param generator  in the running generator's frame; its `stopped` tells why, when none is wanted
 * @param value      borrowed until then
 *
 * Returns nothing, for the reason that bide__gen_next gives.
 * Blocks:  until the next gen_next.
 * Cancel:  safe: when cancelled before, the value is not handed over.
 * Threads: generators only.
 */
BIDE_API void bide__generator_yield(struct bide__generator *generator, const void *value);

#ifndef __cplusplus

/* The type of a handle to a generator of T. */
#define bide_gen(T) __typeof__(__typeof__(T)(*)(struct bide_gen *))

#define BIDE__GEN_HANDLE(g) __builtin_choose_expr(1, (uintptr_t)(g), (g)((struct bide_gen *)0))
#define BIDE__VALUE_OF(g) __typeof__((g)((struct bide_gen *)0))

struct bide_gen;

/* Define what generating needs, ending in the body's own header. */
#define bide_generator(T, name, ...)                                                               \
    BIDE__GENERATOR(BIDE__PAIRS(__VA_ARGS__), T, name, ##__VA_ARGS__)
#define BIDE__GENERATOR(n, T, name, ...)                                                           \
    void name(struct bide__generator *,                                                            \
              __typeof__(T) *BIDE__EACH(n, BIDE__MORE_PARAMETER, BIDE__NOTHING, ##__VA_ARGS__));   \
    struct name##__arguments {                                                                     \
        BIDE__EACH(n, BIDE__FIELD, BIDE__NOTHING, ##__VA_ARGS__)                                   \
    };                                                                                             \
    struct name##__frame {                                                                         \
        struct bide__generator generator;                                                          \
        __typeof__(T) value;                                                                       \
        struct name##__arguments arguments;                                                        \
    };                                                                                             \
    _Static_assert(_Alignof(struct name##__frame) <= 64,                                           \
                   "arguments and values can be aligned to 64 bytes at the most");                 \
    static int __attribute__((unused)) name##__run(void *bide__frame_)                             \
    {                                                                                              \
        struct name##__frame *frame = (struct name##__frame *)bide__frame_;                        \
        if (bide__generator_begin(&frame->generator))                                              \
            name(&frame->generator, &frame->value BIDE__EACH(n, BIDE__MORE_FROM_FRAME,             \
                                                             BIDE__NOTHING, ##__VA_ARGS__));       \
        return 0;                                                                                  \
    }                                                                                              \
    static inline __attribute__((unused)) bide_gen(T) name##_generate(                             \
        const bide_site *bide__site_, const bide_spawn_options *bide__options_ BIDE__EACH(         \
                                          n, BIDE__MORE_PARAMETER, BIDE__NOTHING, ##__VA_ARGS__))  \
    {                                                                                              \
        struct bide__spawned bide__spawned_ = bide__generate(                                      \
            bide__site_, bide__options_, name##__run, sizeof(struct name##__frame));               \
        struct name##__frame *bide__frame_ = (struct name##__frame *)bide__spawned_.frame;         \
        if (bide__frame_ != NULL) {                                                                \
            struct name##__arguments bide__arguments_ = {                                          \
                BIDE__EACH(n, BIDE__INIT, BIDE__NOTHING, ##__VA_ARGS__)};                          \
            __builtin_memcpy(&bide__frame_->arguments, &bide__arguments_,                          \
                             sizeof bide__arguments_);                                             \
        }                                                                                          \
        return (bide_gen(T))bide__spawned_.handle;                                                 \
    }                                                                                              \
    void name(struct bide__generator *bide__generator_ __attribute__((unused)),                    \
              __typeof__(T) *bide__value_ __attribute__((unused))                                  \
              BIDE__EACH(n, BIDE__MORE_PARAMETER, BIDE__NOTHING, ##__VA_ARGS__))
#define BIDE__MORE_FROM_FRAME(T, a) , frame->arguments.a

/*
 * yield_value(v): hand v to whoever asked, and wait until the next one is wanted. Returns from the
 * body when none is. A statement of the body itself, not of a function that it calls.
 */
#define bide_yield_value(v)                                                                        \
    do {                                                                                           \
        *bide__value_ = (v);                                                                       \
        bide__generator_yield(bide__generator_, bide__value_);                                     \
        if (bide__generator_->stopped != 0)                                                        \
            return;                                                                                \
    } while (0)

/* generate(name, args...): make a generator; NULL when there is no memory for its stack. */
#define bide_generate(...) bide_generate_with(NULL, __VA_ARGS__)

/* generate_with(&options, name, args...): the same, with choices as for spawn_with. */
#define bide_generate_with(options, ...)                                                           \
    BIDE__GENERATE_WITH(BIDE__CAT(bide__site_, __COUNTER__), options, __VA_ARGS__)
#define BIDE__GENERATE_WITH(site, options, name, ...)                                              \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(#name);                                           \
        name##_generate(&site, (options), ##__VA_ARGS__);                                          \
    })

/*
 * gen_next(g, &v): run the body up to its next value and store it in v; v may be NULL. A bool:
 * false, v untouched, when the body has returned, then and ever after. In a cancelled scope the
 * cancel passes on to the body, whose calls return -ECANCELED from then on: it may do what has to
 * be done, and yields no more.
 */
#define bide_gen_next(g, v) BIDE__GEN_NEXT(g, v, BIDE__CAT(bide__gen_, __COUNTER__))
#define BIDE__GEN_NEXT(g, v, name)                                                                 \
    __extension__({                                                                                \
        static const bide_site BIDE__CAT(name, _site) = BIDE__SITE("gen_next");                    \
        __auto_type name = (g);                                                                    \
        BIDE__VALUE_OF(name) * BIDE__CAT(name, _out) = (v);                                        \
        const void *BIDE__CAT(name, _value) = NULL;                                                \
        bide__gen_next(BIDE__GEN_HANDLE(name), &BIDE__CAT(name, _value), &BIDE__CAT(name, _site)); \
        if (BIDE__CAT(name, _value) != NULL && BIDE__CAT(name, _out) != NULL)                      \
            *BIDE__CAT(name, _out) = *(const BIDE__VALUE_OF(name) *)BIDE__CAT(name, _value);       \
        BIDE__CAT(name, _value) != NULL;                                                           \
    })

/*
 * gen_free(g): end the generator: the handle is spent. A body that has not returned is cancelled
 * and unwound, and waited for. NULL is harmless.
 */
#define bide_gen_free(g) bide__gen_free(BIDE__GEN_HANDLE(g))

/* The same for defer(gen_free, generator). */
static inline void(bide_gen_free)(void *generator)
{
    bide__gen_free((uintptr_t)generator);
}

static inline void bide__gen_free_at(uintptr_t *handle)
{
    bide__gen_free(*handle);
}

/*
 * for_each (v, generate(...)) { ... }: run the block for each value, in a variable v of the value's
 * type, and free the generator, by whatever way the block is left.
 */
#define bide_for_each(v, g) BIDE__FOR_EACH(v, g, BIDE__CAT(bide__each_, __COUNTER__))
#define BIDE__FOR_EACH(v, g, name)                                                                 \
    for (int BIDE__CAT(name, _once) = 1; BIDE__CAT(name, _once) != 0; BIDE__CAT(name, _once) = 0)  \
        for (__auto_type name = (g); BIDE__CAT(name, _once) != 0; BIDE__CAT(name, _once) = 0)      \
            for (uintptr_t BIDE__CAT(name, _left)                                                  \
                     __attribute__((cleanup(bide__gen_free_at), unused)) = BIDE__GEN_HANDLE(name); \
                 BIDE__CAT(name, _once) != 0; BIDE__CAT(name, _once) = 0)                          \
                for (BIDE__VALUE_OF(name) v; bide_gen_next(name, &v);)

#endif
#endif
