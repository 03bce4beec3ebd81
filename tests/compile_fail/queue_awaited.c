/* SPDX-License-Identifier: MIT */
/* expect: incompatible pointer types? */
/* queue_awaited.c - a queue is no task, though both carry a type. */
#include <bide.h>

#include <bide/short.h>

int body(queue(int) q, task(int) t);
int body(queue(int) q, task(int) t)
{
#ifdef FIXED
    int n = await(t);
#else
    int n = await(q);
#endif
    (void)q, (void)t;
    return n;
}

int main(void)
{
    return 0;
}
