/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* task_assigned_to_another_result.c - int and long are two types, also where they are as wide. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);

int body(void);
int body(void)
{
    task(int) t = spawn(returns_int);
#ifdef FIXED
    task(int) same = t;
#else
    task(long) same = t;
#endif
    return (int)await(same);
}

int main(void)
{
    return 0;
}
