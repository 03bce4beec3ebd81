/* SPDX-License-Identifier: MIT */
/* expect: takes 16 cases at the most */
/* select_of_seventeen_cases.c - a select has a limited number of cases. */
#include <bide.h>

#include <bide/short.h>

int body(void);
int body(void)
{
    return select_any(
#ifndef FIXED
        on_default(),
#endif
        on_default(), on_default(), on_default(), on_default(), on_default(), on_default(),
        on_default(), on_default(), on_default(), on_default(), on_default(), on_default(),
        on_default(), on_default(), on_default(), on_default());
}

int main(void)
{
    return 0;
}
