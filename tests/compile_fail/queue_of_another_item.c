/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* queue_of_another_item.c - a queue carries the type of its items. */
#include <bide.h>

#include <bide/short.h>

void body(void);
void body(void)
{
#ifdef FIXED
    queue(int) q = queue_new(int, NULL);
#else
    queue(int) q = queue_new(double, NULL);
#endif
    (void)q;
}

int main(void)
{
    return 0;
}
