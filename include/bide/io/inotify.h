/* SPDX-License-Identifier: MIT */
/*
 * inotify.h - what happens to files and directories, as events one at a time or as a channel.
 *
 *     bide_inotify_open(&in);
 *     bide_inotify_add(in, "/etc/app", IN_CLOSE_WRITE | IN_MOVED_TO);
 *
 *     while (bide_inotify_next(in, &event) == 0)              // this way,
 *         reload(event.name);
 *
 *     chan(bide_inotify_event) events = bide_inotify_events(in);   // or that way
 *     select_any(on_recv(events, &event), on_recv(jobs, &job));
 *
 *     bide_inotify_close(in);
 *
 * The kernel keeps events until they are taken, up to fs.inotify.max_queued_events of them; when it
 * had to drop some, an event with the mask IN_Q_OVERFLOW and watch -1 says so, in its place: then
 * look at everything again. The meaning of the masks, which <sys/inotify.h> defines, is the
 * kernel's: inotify(7).
 */
#ifndef BIDE_IO_INOTIFY_H
#define BIDE_IO_INOTIFY_H

#include <stdint.h>
#include <sys/inotify.h>

#include <bide/base/api.h>
#include <bide/sync/chan.h>

/* A watcher. */
typedef struct bide_inotify bide_inotify;

/* One thing that happened. */
typedef struct bide_inotify_event {
    int watch;       /* what bide_inotify_add returned; -1 with IN_Q_OVERFLOW */
    uint32_t mask;   /* IN_MODIFY, IN_CREATE, ...; IN_ISDIR, IN_UNMOUNT, IN_IGNORED */
    uint32_t cookie; /* the same for IN_MOVED_FROM and IN_MOVED_TO of one rename, else 0 */
    char name[256];  /* in a watched directory, which one; of what is itself watched, empty */
} bide_inotify_event;

/**
 * Make a watcher that watches nothing yet.
 *
 * @param out  the watcher, owned by the caller: bide_inotify_close
 *
 * Returns 0, or
 *   -EMFILE      the user has fs.inotify.max_user_instances of them, or no descriptor is left
 *   -ENFILE, -ENOMEM, -ENOSPC  the kernel's word
 *   -EOPNOTSUPP  the loop has a virtual clock (bide/testing.h)
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; the watcher stays on this loop.
 * Source:  inotify_init(2).
 */
BIDE_API int bide_inotify_open(bide_inotify **out);

/**
 * Watch a file or directory, or watch it for something else.
 *
 * A watch follows the file, not the name: after a rename it goes on, and it tells nothing of a new
 * file of that name. Watch the directory to follow a name. It ends by itself when the file is
 * deleted or its file system unmounted: the last event of any watch is IN_IGNORED.
 *
 * @param inotify  borrowed
 * @param path     borrowed for the call
 * @param mask     what to tell of, with IN_ONLYDIR, IN_MASK_ADD, ... as wanted
 *
 * Returns the watch, at least 0, which is the one from before when the file is watched already; or
 *   -ENOENT, -EACCES, -ENOTDIR, -EEXIST, -ENAMETOOLONG  the path, as the kernel says
 *   -EINVAL  the mask names no event
 *   -ENOSPC  the user has fs.inotify.max_user_watches of them
 *   -ENOMEM  no memory
 *   -EBADF   closed behind the library's back
 * Blocks:  as any path look-up does: not on a local file system.
 * Cancel:  not a parking point.
 * Threads: the watcher's own loop.
 * Source:  inotify_add_watch(2).
 */
BIDE_API int bide_inotify_add(bide_inotify *inotify, const char *path, uint32_t mask);

/**
 * Stop watching a file or directory.
 *
 * Events from before still come, and IN_IGNORED after them.
 *
 * @param inotify  borrowed
 * @param watch    as bide_inotify_add returned it
 *
 * Returns 0, -EINVAL when there is no such watch (any more), or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the watcher's own loop.
 * Source:  inotify_rm_watch(2).
 */
BIDE_API int bide_inotify_remove(bide_inotify *inotify, int watch);

/**
 * Take the next event, waiting until there is one.
 *
 * @param inotify  borrowed
 * @param event    filled
 *
 * Returns 0, or
 *   -EBADF      closed by bide_inotify_close meanwhile, or closed behind the library's back
 *   -EBUSY      another task waits for the next, or bide_inotify_events was called
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no event was taken
 * Blocks:  until something happens.
 * Cancel:  safe: no event is lost.
 * Threads: the watcher's own loop.
 * Source:  inotify(7).
 */
BIDE_API int bide_inotify_next(bide_inotify *inotify, bide_inotify_event *event);

/**
 * Close a watcher. All watches end, and events that nobody took are gone.
 *
 * A task in bide_inotify_next returns -EBADF. One that waits for the channel gets -EPIPE; after
 * that the channel is gone.
 *
 * @param inotify  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the watcher's own loop.
 */
BIDE_API void bide_inotify_close(bide_inotify *inotify);

/* bide_inotify_events */
BIDE_API struct bide_chan *bide__inotify_chan(bide_inotify *inotify);

#ifndef __cplusplus

/*
 * bide_inotify_events(inotify): the events as a channel, to wait for together with others.
 *
 * From the first call on a task of the library's own fills the channel, and bide_inotify_next is
 * refused. While nobody receives, events wait in the kernel. The channel is borrowed: receive from
 * it, in as many tasks as you like, until bide_inotify_close; do not close or free it.
 *
 * Returns a chan(bide_inotify_event), the same one each time; NULL while a task waits in
 * bide_inotify_next, or without memory for the channel or the task.
 * Blocks:  no.
 * Cancel:  not a parking point; what a cancelled receive would have got stays in the channel.
 * Threads: the watcher's own loop.
 */
#define bide_inotify_events(inotify)                                                               \
    ((bide_chan(bide_inotify_event))(uintptr_t)bide__inotify_chan(inotify))

#endif /* __cplusplus */
#endif
