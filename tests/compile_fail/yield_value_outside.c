/* SPDX-License-Identifier: MIT */
/* expect: bide__value_|bide__generator_ */
/* yield_value_outside.c - only a body itself gives values, not what it calls. */
#include <bide.h>

#include <bide/short.h>

void gives_one(int *number);
void gives_one(int *number)
{
#ifdef FIXED
    *number = 1;
#else
    yield_value(1);
    *number = 1;
#endif
}

int main(void)
{
    return 0;
}
