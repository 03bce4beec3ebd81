/* SPDX-License-Identifier: MIT */
/* expect: incompatible type|invalid initializer */
/* queue_put_of_a_struct_for_an_int.c - items are checked as in an assignment. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x;
};

void body(queue(int) q, struct point p);
void body(queue(int) q, struct point p)
{
#ifdef FIXED
    queue_try_put(q, p.x);
#else
    queue_try_put(q, p);
#endif
}

int main(void)
{
    return 0;
}
