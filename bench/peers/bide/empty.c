/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h with Bide.
 */
#include <bide.h>
#include <bide/short.h>

async_main
{
    return 0;
}
