/* SPDX-License-Identifier: MIT */
/*
 * short.h - the short words, for those who want them: each is its bide_ name and nothing else.
 *
 * Include it last. All but async_main are macros with parentheses, so a variable called `task`
 * stays one.
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

#ifndef __cplusplus
#define async(R, name, ...) bide_async(R, name, ##__VA_ARGS__)
#define task(T) bide_task(T)
#define spawn(...) bide_spawn(__VA_ARGS__)
#define spawn_with(options, ...) bide_spawn_with(options, __VA_ARGS__)
#define go(...) bide_go(__VA_ARGS__)
#define await(t) bide_await(t)
#define await_for(t, ns, out) bide_await_for(t, ns, out)
#define detach(t) bide_detach(t)
#define cancel(t) bide_cancel(t)
#define is_done(t) bide_is_done(t)
#endif

#endif
