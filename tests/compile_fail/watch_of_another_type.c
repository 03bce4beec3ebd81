/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* watch_of_another_type.c - a watch carries the type of its value. */
#include <bide.h>

#include <bide/short.h>

void body(void);
void body(void)
{
#ifdef FIXED
    watch(int) w = watch_new(int, 1);
#else
    watch(long) w = watch_new(int, 1);
#endif
    watch_free(w);
}

int main(void)
{
    return 0;
}
