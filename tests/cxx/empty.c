/* SPDX-License-Identifier: MIT */
/* empty.c - compiled as C and as C++, with one public header included from the command line. */
