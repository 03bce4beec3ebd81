/* SPDX-License-Identifier: MIT */
/*
 * lend.h - buffers that a loop lends to its streams, for bytes that were read ahead.
 *
 * A stream borrows one when there is something to read, and gives it back when everything in it is
 * consumed, or before its task waits for more. So a stream that holds nothing has no buffer, and
 * however many streams there are, the few buffers in use are the same ones again and again, still
 * in the processor's caches.
 */
#ifndef BIDE__IO_LEND_H
#define BIDE__IO_LEND_H

#include "sched/loop.h"

enum { BIDE__LENT_BYTES = 64 * 1024 };

/* Borrow a buffer, its bytes undefined; NULL without memory. It is malloc's. */
char *bide__lend(struct bide_loop *loop);

/* Give one back. Nobody may touch it any more: sanitizers are told. */
void bide__unlend(struct bide_loop *loop, char *buf);

#endif
