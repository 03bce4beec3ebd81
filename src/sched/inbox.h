/* SPDX-License-Identifier: MIT */
/*
 * inbox.h - the one way into a loop from outside: other threads, and signal handlers.
 *
 * A post is put on a stack that many may push to and only the loop takes from, all of it at once,
 * to run it in the order in which it came. Pushing takes no lock and allocates nothing, so it works
 * in a signal handler. It fails once the loop has ended: what was pushed before is always run.
 *
 * Whether a sleeping loop must be woken is agreed on by two words (Dekker's handshake). All four
 * accesses are sequentially consistent:
 *
 *      poster:  push to `head`; then read `is_asleep`, and wake the host when it is set
 *      loop:    set `is_asleep`; then read `head`, and do not wait when something is there
 *
 * In the one total order of those four either the poster's read comes after the loop's write, and
 * sees it; or the loop's read comes after the poster's push, and sees that. A poster that found the
 * stack not empty need not ask: whoever made it so does, and the loop has not taken it.
 *
 * A loop that sleeps for ever does so because somebody may post, and must learn when nobody may any
 * more. That goes the same way, with `posters` in the place of `head`:
 *
 *      poster:  let go of `posters`; then, as the last one, read `is_asleep`, and wake the host
 *      loop:    set `is_asleep`; then read `posters`, and do not wait when there are none
 *
 * The test sched/inbox enumerates every interleaving of both.
 *
 * A loop that others know of is counted: its memory, and what wakes it, stay until the last of them
 * has let go, so that a post that comes too late finds a loop that says no.
 */
#ifndef BIDE__SCHED_INBOX_H
#define BIDE__SCHED_INBOX_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct bide_loop;

/* Embedded in what is posted; whoever pushed it must keep it until it runs. */
struct bide__post {
    struct bide__post *next;
    /* Called on the loop's thread, between the turns of tasks. It must not wait. */
    void (*run)(struct bide__post *post);
};

struct bide__inbox {
    _Atomic(struct bide__post *) head; /* the newest; bide__inbox_shut_mark once it is shut */
    atomic_int is_asleep;              /* the loop waits, or is about to, and wants to be woken */
    atomic_uint posters;               /* who may post: while there are any it is no deadlock */
    atomic_uint holders;               /* who keeps the memory: they, and the loop until it ends */
    bool is_open;                      /* the loop's own: has it ever been held by anybody */
    void (*wake)(struct bide__inbox *inbox);  /* the host's; async-signal-safe */
    void (*close)(struct bide__inbox *inbox); /* the host's; after the last holder */
    union {
        int fd;
        sem_t semaphore;
    } bell;      /* what `wake` rings: the host chooses */
    void *slots; /* of bide_post (runtime/post.c); freed with the loop */
};

/*
 * Make the running loop one that can be posted to. Returns 0, or -ENOMEM, -EMFILE, -ENFILE,
 * -ENOSPC.
 */
int bide__inbox_open(struct bide_loop *loop);

/* Count one more who may post. The caller is one already, or is the loop. */
void bide__inbox_hold(struct bide_loop *loop);

/* One fewer. */
void bide__inbox_release(struct bide_loop *loop);

/* One more, and one fewer, who keeps the memory without being known to post. The last frees it. */
void bide__inbox_keep(struct bide_loop *loop);
void bide__inbox_forget(struct bide_loop *loop);

/*
 * Let the loop run a post. False when it has ended: then the post is still the caller's.
 * Any thread, and signal handlers, while the caller holds the loop.
 */
bool bide__inbox_push(struct bide_loop *loop, struct bide__post *post);

/* Run what was posted. On the loop's own context. */
void bide__inbox_run(struct bide_loop *loop);

/* Call a function as a post, at once. On the loop's own context. */
void bide__inbox_call(struct bide_loop *loop, void (*fn)(void *arg), void *arg);

/* Refuse posts from now on, and run what came before. */
void bide__inbox_shut(struct bide_loop *loop);

/* What `head` is once the inbox is shut. */
extern struct bide__post bide__inbox_shut_mark;

/* Whether something is to be run. */
static inline bool bide__inbox_has(struct bide__inbox *inbox)
{
    const struct bide__post *head = atomic_load(&inbox->head);

    return head != NULL && head != &bide__inbox_shut_mark;
}

static inline bool bide__inbox_is_shut(struct bide__inbox *inbox)
{
    return atomic_load_explicit(&inbox->head, memory_order_relaxed) == &bide__inbox_shut_mark;
}

/* The loop is about to wait. False when something came meanwhile: then it must not. */
static inline bool bide__inbox_sleep(struct bide__inbox *inbox)
{
    /*
     * An exchange where a store would do: emulators of AArch64 on x86 let a load overtake a
     * store although both are sequentially consistent.
     */
    atomic_exchange(&inbox->is_asleep, 1);
    return !bide__inbox_has(inbox);
}

static inline void bide__inbox_awake(struct bide__inbox *inbox)
{
    atomic_store_explicit(&inbox->is_asleep, 0, memory_order_relaxed);
}

#endif
