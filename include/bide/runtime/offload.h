/* SPDX-License-Identifier: MIT */
/*
 * offload.h - the same typed call, on a thread: for what blocks or computes for long.
 *
 *     static async(int, checksum, const char *, path) { ... }        // an ordinary function
 *
 *     task(int) sum = offload(checksum, "/var/log/syslog");          // runs on a pool thread
 *     int n = await(sum);                                            // only this task waits
 *
 * What runs there is outside of every task: it may block, and may call nothing of the library but
 * bide_post, unless it runs a loop of its own (bide_run). Its arguments and its result are copied,
 * so the job owns them; what they point to must stay until it has run, which after a cancel may be
 * later than the await returns.
 *
 * The handle is a future's. A job that has not begun when it is cancelled, or when the task that
 * awaits it is, never runs. One that has cannot be stopped: the await returns, and the result is
 * thrown away when it comes. A job that was detached runs all the same; the loop's end waits for it
 * for a while (bide_options.jobs_drain_ns), and reports what is dropped.
 *
 * The pool is the loop's own. It starts threads while jobs wait and none is idle, at most
 * bide_options.threads_max, and lets them go when they have been idle. They are named bide-work-1
 * and so on, and block all signals. Under bide_test_run there are no threads: the call is made
 * right away, on the loop and the task's own stack, and its result comes later as it would.
 */
#ifndef BIDE_RUNTIME_OFFLOAD_H
#define BIDE_RUNTIME_OFFLOAD_H

#include <bide/async/async.h>

/* Between the spawn, which copies the arguments, and the start. */
struct bide__offload {
    struct bide__offloaded *job;
};

/**
 * Make a job in place of a task; bide_offload is the way to do so.
 *
 * @param site         static
 * @param options      with a bide__offload
 * @param run          called with the frame, on a thread
 * @param frame_bytes  room for arguments and result
 *
 * Returns the handle and the frame, both 0 without memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API struct bide__spawned bide__offload_make(const bide_site *site,
                                                 const bide_spawn_options *options,
                                                 int (*run)(void *frame), size_t frame_bytes);

/**
 * Hand a job to the pool; bide_offload is the way to do so.
 *
 * @param offload  of bide__offload_make
 *
 * Returns nothing: when it fails, so does the job's future.
 * Blocks:  while the queue is full.
 * Cancel:  safe: the job never runs, and its future fails with the scope's code.
 * Threads: tasks only.
 */
BIDE_API void bide__offload_start(struct bide__offload *offload);

#ifndef __cplusplus

static inline bide_spawn_options bide__offload_options(struct bide__offload *offload, unsigned kind)
{
    bide_spawn_options options = {0};

    options.bide__make = bide__offload_make;
    options.bide__offload = offload;
    options.bide__kind = kind;
    return options;
}

/*
 * offload(fn, args...): call fn(args...) on a thread of the pool, and return its handle. Waits only
 * while bide_options.threads_max + jobs_max calls run or are queued, first come first served (safe
 * to cancel: then fn is never called). NULL when there is no memory, as of spawn. Where no thread
 * can be had, or the caller is cancelled, the future fails: await returns -EAGAIN, -ECANCELED ...
 * where R is a signed integer.
 */
#define bide_offload(...) BIDE__OFFLOAD(BIDE__CAT(bide__site_, __COUNTER__), __VA_ARGS__)
#define BIDE__OFFLOAD(site, name, ...)                                                             \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(#name);                                           \
        struct bide__offload BIDE__CAT(site, _offload) = {NULL};                                   \
        const bide_spawn_options BIDE__CAT(site, _options) =                                       \
            bide__offload_options(&BIDE__CAT(site, _offload), name##__kind);                       \
        __auto_type BIDE__CAT(site, _handle) =                                                     \
            name##_spawn(&site, &BIDE__CAT(site, _options), ##__VA_ARGS__);                        \
        bide__offload_start(&BIDE__CAT(site, _offload));                                           \
        BIDE__CAT(site, _handle);                                                                  \
    })

#endif /* __cplusplus */
#endif
