/* SPDX-License-Identifier: MIT */
/* expect: incompatible pointer types? */
/* queue_put_into_a_task.c - a task is no queue, though both carry a type. */
#include <bide.h>

#include <bide/short.h>

void body(queue(int) q, task(int) t);
void body(queue(int) q, task(int) t)
{
#ifdef FIXED
    queue_put(q, 1);
#else
    queue_put(t, 1);
#endif
    (void)q, (void)t;
}

int main(void)
{
    return 0;
}
