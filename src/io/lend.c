/* SPDX-License-Identifier: MIT */
/*
 * lend.c - a few spare buffers, last in, first out.
 */
#include "io/lend.h"

#include <stdlib.h>

#include "base/sys.h"

enum { SPARES_MOST = 8 };

struct bide__lender {
    struct bide__at_stop at_stop;
    unsigned spares_count;
    char *spares[SPARES_MOST];
};

static void let_go(char *buf)
{
    bide__sanitizer_unseal(buf, BIDE__LENT_BYTES);
    free(buf);
}

static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct bide__lender *lender = BIDE__CONTAINER(at_stop, struct bide__lender, at_stop);

    while (lender->spares_count > 0)
        let_go(lender->spares[--lender->spares_count]);
    free(lender);
    loop->lender = NULL;
}

char *bide__lend(struct bide_loop *loop)
{
    struct bide__lender *lender = loop->lender;
    char *buf;

    if (lender == NULL || lender->spares_count == 0)
        return bide__alloc(BIDE__LENT_BYTES);
    buf = lender->spares[--lender->spares_count];
    bide__sanitizer_unseal(buf, BIDE__LENT_BYTES);
    return buf;
}

/* Where spares are kept; NULL without memory. */
static struct bide__lender *lender_of(struct bide_loop *loop)
{
    struct bide__lender *lender = loop->lender;

    if (lender == NULL && (lender = bide__alloc_zeroed(1, sizeof *lender)) != NULL) {
        lender->at_stop.stop = stop;
        bide__list_append(&loop->at_stop, &lender->at_stop.link);
        loop->lender = lender;
    }
    return lender;
}

void bide__unlend(struct bide_loop *loop, char *buf)
{
    struct bide__lender *lender = lender_of(loop);

    bide__sanitizer_seal(buf, BIDE__LENT_BYTES);
    if (lender == NULL || lender->spares_count == SPARES_MOST)
        let_go(buf);
    else
        lender->spares[lender->spares_count++] = buf;
}
