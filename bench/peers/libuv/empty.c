/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h with libuv.
 */
#include <uv.h>

#include "peers/empty.h"

int main(int argc, char **argv)
{
    uv_loop_t loop;

    (void)argv;
    if (argc > 1)
        return empty_version("libuv", uv_version_string());
    return uv_loop_init(&loop) != 0 || uv_run(&loop, UV_RUN_DEFAULT) != 0 ||
           uv_loop_close(&loop) != 0;
}
