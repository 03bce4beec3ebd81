/* SPDX-License-Identifier: MIT */
/*
 * short.h - the short words, for those who want them: each is its bide_ name and nothing else.
 *
 * Include it last. Most are macros with parentheses, so a variable called `task` stays one (a
 * function does not). Those that end something have none: defer(chan_free, c) names them alone.
 */
#ifndef BIDE_SHORT_H
#define BIDE_SHORT_H

#include <bide.h>

#define async_main bide_async_main
#define defer(function_, argument_) bide_defer(function_, argument_)
#define with_timeout(ns) bide_with_timeout (ns)
#define with_deadline(at) bide_with_deadline (at)
#define with_scope(scope) bide_with_scope (scope)
#define with_shield(limit_ns) bide_with_shield (limit_ns)
#define with_group(group) bide_with_group (group)

#ifndef __cplusplus
#define async(R, name, ...) bide_async(R, name, ##__VA_ARGS__)
#define task(T) bide_task(T)
#define spawn(...) bide_spawn(__VA_ARGS__)
#define spawn_with(options, ...) bide_spawn_with(options, __VA_ARGS__)
#define go(...) bide_go(__VA_ARGS__)
#define offload(...) bide_offload(__VA_ARGS__)
#define await(t) bide_await(t)
#define await_for(t, ns, out) bide_await_for(t, ns, out)
#define detach(t) bide_detach(t)
#define cancel(t) bide_cancel(t)
#define is_done(t) bide_is_done(t)

#define await_any(...) bide_await_any(__VA_ARGS__)
#define await_all(...) bide_await_all(__VA_ARGS__)
#define race(...) bide_race(__VA_ARGS__)

#define future(T) bide_future(T)
#define future_new(T) bide_future_new(T)
#define future_set(f, value) bide_future_set(f, value)
#define future_fail(f, error) bide_future_fail(f, error)
#define future_share(f) bide_future_share(f)
#define future_error(f) bide_future_error(f)
#define on_done(f, callback, function, arg) bide_on_done(f, callback, function, arg)

#define spawn_in(group, ...) bide_spawn_in(group, __VA_ARGS__)
#define spawn_in_with(group, options, ...) bide_spawn_in_with(group, options, __VA_ARGS__)
#define start_in(group, value, ...) bide_start_in(group, value, __VA_ARGS__)

#define generator(T, name, ...) bide_generator(T, name, ##__VA_ARGS__)
#define gen(T) bide_gen(T)
#define generate(...) bide_generate(__VA_ARGS__)
#define generate_with(options, ...) bide_generate_with(options, __VA_ARGS__)
#define yield_value(v) bide_yield_value(v)
#define gen_next(g, v) bide_gen_next(g, v)
#define gen_free bide_gen_free
#define for_each(v, g) bide_for_each (v, g)

#define chan(T) bide_chan(T)
#define chan_new(T, capacity) bide_chan_new(T, capacity)
#define chan_send(c, ...) bide_chan_send(c, __VA_ARGS__)
#define chan_recv(c, slot) bide_chan_recv(c, slot)
#define chan_try_send(c, ...) bide_chan_try_send(c, __VA_ARGS__)
#define chan_try_recv(c, slot) bide_chan_try_recv(c, slot)
#define chan_close bide_chan_close
#define chan_free bide_chan_free
#define chan_len(c) bide_chan_len(c)

#define select_any(...) bide_select_any(__VA_ARGS__)
#define on_recv(c, slot) bide_on_recv(c, slot)
#define on_recv_ok(c, slot, ok) bide_on_recv_ok(c, slot, ok)
#define on_send(c, ...) bide_on_send(c, __VA_ARGS__)
#define on_send_ok(c, v, ok) bide_on_send_ok(c, v, ok)
#define on_after(ns) bide_on_after(ns)
#define on_default() bide_on_default()

#define broadcast(T) bide_broadcast(T)
#define broadcast_new(T, capacity) bide_broadcast_new(T, capacity)
#define broadcast_send(b, ...) bide_broadcast_send(b, __VA_ARGS__)
#define broadcast_subscribe(b) bide_broadcast_subscribe(b)
#define broadcast_recv(b, cursor, slot) bide_broadcast_recv(b, cursor, slot)
#define broadcast_try_recv(b, cursor, slot) bide_broadcast_try_recv(b, cursor, slot)
#define broadcast_close bide_broadcast_close
#define broadcast_free bide_broadcast_free

#define watch(T) bide_watch(T)
#define watch_new(T, ...) bide_watch_new(T, __VA_ARGS__)
#define watch_set(w, ...) bide_watch_set(w, __VA_ARGS__)
#define watch_get(w) bide_watch_get(w)
#define watch_next(w, seen, slot) bide_watch_next(w, seen, slot)
#define watch_close bide_watch_close
#define watch_free bide_watch_free

#define queue(T) bide_queue(T)
#define queue_new(T, ...) bide_queue_new(T, __VA_ARGS__)
#define queue_put(queue, ...) bide_queue_put(queue, __VA_ARGS__)
#define queue_get(queue, slot) bide_queue_get(queue, slot)
#define queue_try_put(queue, ...) bide_queue_try_put(queue, __VA_ARGS__)
#define queue_try_get(queue, slot) bide_queue_try_get(queue, slot)
#define queue_task_done(queue) bide_queue_task_done(queue)
#define queue_join(queue) bide_queue_join(queue)
#define queue_shutdown(queue, ending) bide_queue_shutdown(queue, ending)
#define queue_len(queue) bide_queue_len(queue)
#define queue_free bide_queue_free
#endif

#endif
