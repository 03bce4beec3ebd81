/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h without any library: what all are compared with.
 */
int main(void)
{
    return 0;
}
