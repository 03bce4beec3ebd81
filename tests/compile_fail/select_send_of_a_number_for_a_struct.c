/* SPDX-License-Identifier: MIT */
/* expect: invalid initializer|initializing .* with an expression of incompatible type */
/* select_send_of_a_number_for_a_struct.c - a number is no struct, in a case neither. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x, y;
};

int body(chan(struct point) c);
int body(chan(struct point) c)
{
#ifdef FIXED
    return select_any(on_send(c, (struct point){5, 6}));
#else
    return select_any(on_send(c, 5));
#endif
}

int main(void)
{
    return 0;
}
