/* SPDX-License-Identifier: MIT */
/*
 * api.h - how a public name is declared, and which version this is.
 */
#ifndef BIDE_BASE_API_H
#define BIDE_BASE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BIDE_VERSION_MAJOR 0
#define BIDE_VERSION_MINOR 1
#define BIDE_VERSION_PATCH 0
#define BIDE_VERSION "0.1.0"

#ifdef __cplusplus
#define BIDE__LINKAGE extern "C"
#else
#define BIDE__LINKAGE
#endif

/* Default visibility in the shared library; everything not marked so stays hidden. */
#define BIDE_API BIDE__LINKAGE __attribute__((visibility("default")))

#define BIDE__PRINTF(format_index, first_index)                                                    \
    __attribute__((format(printf, format_index, first_index)))

#endif
