/* SPDX-License-Identifier: MIT */
/* expect: not compatible with any (generic )?association */
/* queue_get_into_another_type.c - an item goes where its type fits. */
#include <bide.h>

#include <bide/short.h>

void body(queue(int) q, int *i, double *d);
void body(queue(int) q, int *i, double *d)
{
#ifdef FIXED
    queue_get(q, i);
#else
    queue_get(q, d);
#endif
    (void)i, (void)d;
}

int main(void)
{
    return 0;
}
