/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* offload_into_another_type.c - a job's handle carries the type of its result. */
#include <bide.h>

#include <bide/short.h>

async(double, returns_double, int, n);

void body(void);
void body(void)
{
#ifdef FIXED
    task(double) t = offload(returns_double, 1);
#else
    task(int) t = offload(returns_double, 1);
#endif
    (void)t;
}

int main(void)
{
    return 0;
}
