/* SPDX-License-Identifier: MIT */
/*
 * typed.h - how a handle carries the type of the values that go through it.
 *
 * A handle such as bide_chan(T) is a pointer to a function that takes the object's struct and
 * returns T. Nobody ever calls it: it holds the object's address, and what such a call would return
 * is how the macros know T. Pointer-to-function types are structural, so bide_chan(int) is the same
 * type in every file, and no other.
 */
#ifndef BIDE_SYNC_TYPED_H
#define BIDE_SYNC_TYPED_H

#include <bide/base/api.h>
#include <bide/sched/scope.h>
#include <bide/sched/task.h>

/* The largest value that goes through a channel or its kin, in bytes. */
#define BIDE_ITEM_BYTES_MAX 65536

#ifndef __cplusplus

/* Both compilers shall refuse a pointer of another type, not warn of it. */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"

/* The type of a handle to a `struct tag` through which values of type T go. */
#define BIDE__TYPED(T, tag) __typeof__(__typeof__(T)(*)(struct tag *))

/* The T of a handle. */
#define BIDE__ITEM_OF(handle, tag) __typeof__((handle)((struct tag *)0))

/* The object of a handle; refuses what is no handle to a `struct tag`. */
#define BIDE__OBJECT(handle, tag)                                                                  \
    ((struct tag *)__builtin_choose_expr(1, (uintptr_t)(handle), (handle)((struct tag *)0)))

/* Where a value goes to: a pointer to T and to nothing else. */
#define BIDE__SLOT(handle, tag, slot) _Generic((slot), BIDE__ITEM_OF(handle, tag) * : (slot))

/*
 * A macro's last arguments as the one expression that they are: the commas of a compound literal
 * are not protected by its braces.
 */
#define BIDE__ONE(...) _Generic(0, default : __VA_ARGS__)

/* sizeof(T), when values of that size can go through. */
#define BIDE__ITEM_BYTES(T)                                                                        \
    (sizeof(T) + 0 * sizeof(struct {                                                               \
                     _Static_assert(sizeof(T) <= BIDE_ITEM_BYTES_MAX,                              \
                                    "a value that goes through may have 64 KiB at the most");      \
                     char bide__unused;                                                            \
                 }))

#endif /* __cplusplus */
#endif
