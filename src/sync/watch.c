/* SPDX-License-Identifier: MIT */
/*
 * watch.c - one value that changes.
 *
 * The value's version starts at 1 and goes up with each set, so 0 is older than any. A watcher
 * waits with a node of its own on the list. A set fills the variables of all nodes there and wakes
 * their tasks, but leaves the nodes where they are: a watcher unlinks its node itself when its turn
 * comes, and until then a further set fills it again. So the value is the latest when watch_next
 * returns, although a woken task touches no watch, which may be gone by then.
 */
#include <bide/sync/watch.h>

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "sched/report.h"
#include "sched/waitq.h"

struct bide_watch {
    struct bide__list watchers;
    uint64_t version; /* of the value; from 1 */
    size_t item_bytes;
    bool is_closed;
    unsigned char value[];
};

/*
 * On the waiting task's stack: asleep, then either filled or given up (by a cancel or a close).
 * One that was given up is not filled any more.
 */
struct watcher {
    struct bide__list link; /* in the watch's list, or alone */
    struct bide__waiter waiter;
    uint64_t *seen;
    void *slot;
    bool is_filled;
};

static void need(const struct bide_watch *watch, const char *call)
{
    if (__builtin_expect(watch == NULL, 0))
        bide__misuse("%s: the watch is NULL: watch_new had no memory, or was not called", call);
}

struct bide_watch *bide__watch_new(size_t item_bytes, const void *value)
{
    struct bide_watch *watch;

    bide__assert(item_bytes <= BIDE_ITEM_BYTES_MAX);
    watch = bide__alloc(sizeof *watch + item_bytes);
    if (watch == NULL)
        return NULL;
    *watch = (struct bide_watch){.version = 1, .item_bytes = item_bytes};
    memcpy(watch->value, value, item_bytes);
    bide__list_init(&watch->watchers);
    return watch;
}

static void fill(const struct bide_watch *watch, uint64_t *seen, void *slot)
{
    bide__assert(watch->version > 0);
    memcpy(slot, watch->value, watch->item_bytes);
    *seen = watch->version;
}

int bide__watch_set(struct bide_watch *watch, const void *value)
{
    struct bide_task *self = bide__task_need("watch_set");

    need(watch, "watch_set");
    if (watch->is_closed) {
        bide__budget_spend(self->loop);
        return -EPIPE;
    }
    memcpy(watch->value, value, watch->item_bytes);
    watch->version++;
    for (struct bide__list *node = watch->watchers.next; node != &watch->watchers;
         node = node->next) {
        struct watcher *watcher = BIDE__CONTAINER(node, struct watcher, link);
        if (bide__wake(&watcher->waiter, 0))
            watcher->is_filled = true;
        if (watcher->is_filled)
            fill(watch, watcher->seen, watcher->slot);
    }
    bide__budget_spend(self->loop);
    return 0;
}

void bide__watch_get(const struct bide_watch *watch, void *slot)
{
    need(watch, "watch_get");
    memcpy(slot, watch->value, watch->item_bytes);
}

int bide__watch_next(struct bide_watch *watch, uint64_t *seen, void *slot, const bide_site *site)
{
    struct bide_task *self = bide__task_need("watch_next");
    int result = 0;

    need(watch, "watch_next");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (*seen > watch->version)
        bide__misuse("watch_next: `seen` is ahead of the watch: it belongs to another one");
    if (*seen == watch->version && !watch->is_closed) {
        struct watcher watcher = {
            .link = {&watcher.link, &watcher.link},
            .waiter = BIDE__WAITER(watcher.waiter, "watch_next"),
            .seen = seen,
            .slot = slot,
        };
        watcher.waiter.site = site;
        bide__list_append(&watch->watchers, &watcher.link);
        result = bide__park(&watcher.waiter);
        bide__list_remove(&watcher.link);
        bide__assert(watcher.is_filled == (result == 0));
        return result;
    }
    if (*seen == watch->version)
        result = -EPIPE;
    else
        fill(watch, seen, slot);
    bide__budget_spend(self->loop);
    return result;
}

void bide__watch_close(struct bide_watch *watch)
{
    need(watch, "watch_close");
    watch->is_closed = true;
    for (struct bide__list *node = watch->watchers.next; node != &watch->watchers;
         node = node->next)
        bide__wake(&BIDE__CONTAINER(node, struct watcher, link)->waiter, -EPIPE);
}

void bide__watch_free(struct bide_watch *watch)
{
    struct bide__list *node;

    if (watch == NULL)
        return;
    while ((node = bide__list_first(&watch->watchers)) != NULL) {
        struct watcher *watcher = BIDE__CONTAINER(node, struct watcher, link);
        if (watcher->waiter.task != NULL)
            bide__misuse(
                "watch_free: %s still waits in it, in %s; close it first, and free it when the "
                "waiting calls have returned",
                bide__task_label(watcher->waiter.task).text, watcher->waiter.what);
        bide__list_remove(&watcher->link);
    }
    free(watch);
}
