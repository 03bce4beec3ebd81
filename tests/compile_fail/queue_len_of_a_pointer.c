/* SPDX-License-Identifier: MIT */
/* expect: is not a function */
/* queue_len_of_a_pointer.c - what is no queue has no length. */
#include <bide.h>

#include <bide/short.h>

size_t body(queue(int) q, void *p);
size_t body(queue(int) q, void *p)
{
#ifdef FIXED
    size_t n = queue_len(q);
#else
    size_t n = queue_len(p);
#endif
    (void)q, (void)p;
    return n;
}

int main(void)
{
    return 0;
}
