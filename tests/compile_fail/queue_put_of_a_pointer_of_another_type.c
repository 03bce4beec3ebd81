/* SPDX-License-Identifier: MIT */
/* expect: incompatible pointer types? */
/* queue_put_of_a_pointer_of_another_type.c - items are checked as in an assignment. */
#include <bide.h>

#include <bide/short.h>

void body(queue(const char *) q, int *p);
void body(queue(const char *) q, int *p)
{
#ifdef FIXED
    queue_put(q, "text");
#else
    queue_put(q, p);
#endif
    (void)p;
}

int main(void)
{
    return 0;
}
