/* SPDX-License-Identifier: MIT */
/* expect: invalid initializer|initializing .* with an expression of incompatible type */
/* future_set_of_a_number_for_a_struct.c - the value is of the future's type. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x, y;
};

int body(future(struct point) f);
int body(future(struct point) f)
{
#ifdef FIXED
    struct point value = {1, 2};
#else
    int value = 1;
#endif
    return future_set(f, value);
}

int main(void)
{
    return 0;
}
