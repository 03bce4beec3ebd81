/* SPDX-License-Identifier: MIT */
/* expect: incompatible types?  */
/* yield_value_of_a_struct.c - a value has the type of the generator. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x, y;
};

generator(int, gives_ints)
{
    struct point point = {1, 2};

#ifdef FIXED
    yield_value(point.x);
#else
    yield_value(point);
#endif
}

int main(void)
{
    return 0;
}
