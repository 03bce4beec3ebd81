/* SPDX-License-Identifier: MIT */
/*
 * lend.c - the first of a loop's buffers, and those beyond the few that it keeps.
 */
#include "io/lend.h"

#include <stdlib.h>

#include "base/sys.h"

static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct bide__lender *lender = BIDE__CONTAINER(at_stop, struct bide__lender, at_stop);

    while (lender->spares_count > 0)
        free(bide__lend(loop));
    free(lender);
    loop->lender = NULL;
}

char *bide__lend_new(void)
{
    return bide__alloc(BIDE__LENT_BYTES);
}

void bide__unlend_rest(struct bide_loop *loop, char *buf)
{
    struct bide__lender *lender = loop->lender;

    if (lender == NULL && (lender = bide__alloc_zeroed(1, sizeof *lender)) != NULL) {
        lender->at_stop.stop = stop;
        bide__list_append(&loop->at_stop, &lender->at_stop.link);
        loop->lender = lender;
        bide__unlend(loop, buf);
    } else {
        free(buf);
    }
}
