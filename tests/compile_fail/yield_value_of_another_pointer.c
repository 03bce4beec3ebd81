/* SPDX-License-Identifier: MIT */
/* expect: incompatible pointer types? */
/* yield_value_of_another_pointer.c - a value has the type of the generator. */
#include <bide.h>

#include <bide/short.h>

generator(const int *, gives_addresses)
{
    static int number;

#ifdef FIXED
    yield_value(&number);
#else
    static double other;
    yield_value(&other);
#endif
    number++;
}

int main(void)
{
    return 0;
}
