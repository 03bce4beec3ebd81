/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* defer_with_another_pointer.c - the argument has the type that the function takes. */
#include <bide.h>

#include <bide/short.h>

#include <stdio.h>

void body(FILE *file, int *p);
void body(FILE *file, int *p)
{
#ifdef FIXED
    (void)p;
    defer(fclose, file);
#else
    (void)file;
    defer(fclose, p);
#endif
}

int main(void)
{
    return 0;
}
