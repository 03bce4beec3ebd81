/* SPDX-License-Identifier: MIT */
/*
 * bide.h - stackful coroutines for C: tasks, await, cancel scopes, and I/O that looks blocking and
 * is not.
 *
 * The umbrella over the core. Short words (async, await, spawn, ...) are opt-in: include
 * bide/short.h after it.
 */
#ifndef BIDE_H
#define BIDE_H

#include <bide/async/async.h>
#include <bide/async/combine.h>
#include <bide/async/future.h>
#include <bide/async/generator.h>
#include <bide/async/group.h>
#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/debug/watchdog.h>
#include <bide/io/address.h>
#include <bide/io/communicate.h>
#include <bide/io/datagram.h>
#include <bide/io/dial.h>
#include <bide/io/directory.h>
#include <bide/io/file.h>
#include <bide/io/file_backend.h>
#include <bide/io/inotify.h>
#include <bide/io/listener.h>
#include <bide/io/names.h>
#include <bide/io/path.h>
#include <bide/io/pipe.h>
#include <bide/io/process.h>
#include <bide/io/resolver.h>
#include <bide/io/serve.h>
#include <bide/io/signal.h>
#include <bide/io/stdio.h>
#include <bide/io/stream.h>
#include <bide/reactor/wait_fd.h>
#include <bide/reactor/watch_fd.h>
#include <bide/runtime/embed.h>
#include <bide/runtime/offload.h>
#include <bide/runtime/post.h>
#include <bide/runtime/run.h>
#include <bide/sched/local.h>
#include <bide/sched/loop.h>
#include <bide/sched/scope.h>
#include <bide/sched/sleep.h>
#include <bide/sched/task.h>
#include <bide/sched/ticker.h>
#include <bide/sync/barrier.h>
#include <bide/sync/broadcast.h>
#include <bide/sync/chan.h>
#include <bide/sync/cond.h>
#include <bide/sync/event.h>
#include <bide/sync/mutex.h>
#include <bide/sync/once.h>
#include <bide/sync/queue.h>
#include <bide/sync/rate.h>
#include <bide/sync/rwlock.h>
#include <bide/sync/select.h>
#include <bide/sync/sem.h>
#include <bide/sync/waitgroup.h>
#include <bide/sync/watch.h>

#endif
