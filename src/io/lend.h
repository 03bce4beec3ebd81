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

enum { BIDE__SPARES_MOST = 8 };

struct bide__lender {
    struct bide__at_stop at_stop;
    unsigned spares_count;
    char *spares[BIDE__SPARES_MOST];
};

/* Where spares are missing, or too many. */
char *bide__lend_new(void);
void bide__unlend_rest(struct bide_loop *loop, char *buf);

/* Borrow a buffer, its bytes undefined; NULL without memory. It is malloc's. */
static inline char *bide__lend(struct bide_loop *loop)
{
    struct bide__lender *lender = loop->lender;
    char *buf;

    if (lender == NULL || lender->spares_count == 0)
        return bide__lend_new();
    buf = lender->spares[--lender->spares_count];
    bide__sanitizer_unseal(buf, BIDE__LENT_BYTES);
    return buf;
}

/* Give one back. Nobody may touch it any more: AddressSanitizer is told. */
static inline void bide__unlend(struct bide_loop *loop, char *buf)
{
    struct bide__lender *lender = loop->lender;

    if (lender == NULL || lender->spares_count == BIDE__SPARES_MOST) {
        bide__unlend_rest(loop, buf);
    } else {
        bide__sanitizer_seal(buf, BIDE__LENT_BYTES);
        lender->spares[lender->spares_count++] = buf;
    }
}

#endif
