/* SPDX-License-Identifier: MIT */
/*
 * fork.h - being a forked child, noticed without a handler in every fork.
 *
 * The mark lies in memory that the kernel clears for a child (madvise(2), MADV_WIPEONFORK, Linux
 * 4.14). Where that cannot be had there is no mark, and nobody is ever taken for a child. A child
 * that shares its parent's memory (vfork) is none.
 */
#ifndef BIDE__BASE_FORK_H
#define BIDE__BASE_FORK_H

#include "base/sys.h"

struct bide__fork {
    bool *is_parent; /* NULL for no mark */
};

static inline void bide__fork_mark(struct bide__fork *self)
{
    void *page = NULL;

    self->is_parent = NULL;
    if (bide__sys_mmap(sizeof *self->is_parent, &page) < 0)
        return;
    if (bide__sys_madvise(page, sizeof *self->is_parent, MADV_WIPEONFORK) < 0) {
        bide__sys_munmap(page, sizeof *self->is_parent);
        return;
    }
    self->is_parent = page;
    *self->is_parent = true;
}

static inline void bide__fork_unmark(struct bide__fork *self)
{
    if (self->is_parent != NULL)
        bide__sys_munmap(self->is_parent, sizeof *self->is_parent);
}

static inline bool bide__fork_is_child(const struct bide__fork *self)
{
    return __builtin_expect(self->is_parent != NULL && !*self->is_parent, 0);
}

#endif
