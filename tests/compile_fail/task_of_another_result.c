/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* task_of_another_result.c - a handle carries the type of its result. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);

void body(void);
void body(void)
{
#ifdef FIXED
    task(int) t = spawn(returns_int);
#else
    task(double) t = spawn(returns_int);
#endif
    (void)t;
}

int main(void)
{
    return 0;
}
