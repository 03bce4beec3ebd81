/* SPDX-License-Identifier: MIT */
/* expect: 64 KiB at the most */
/* chan_of_too_large_a_type.c - values are copied, so their size has a limit. */
#include <bide.h>

#include <bide/short.h>

struct large {
#ifdef FIXED
    char bytes[BIDE_ITEM_BYTES_MAX];
#else
    char bytes[BIDE_ITEM_BYTES_MAX + 1];
#endif
};

void body(void);
void body(void)
{
    chan_free(chan_new(struct large, 0));
}

int main(void)
{
    return 0;
}
