/* SPDX-License-Identifier: MIT */
/* expect: void value|void.*(incompatible|invalid)|(incompatible|invalid).*void|initializing */
/* void_result_used.c - a task without a result gives none. */
#include <bide.h>

#include <bide/short.h>

async(void, returns_nothing);

int body(void);
int body(void)
{
#ifdef FIXED
    await(spawn(returns_nothing));
    return 0;
#else
    int result = await(spawn(returns_nothing));
    return result;
#endif
}

int main(void)
{
    return 0;
}
