# SPDX-License-Identifier: MIT
#
# Cross build for riscv64 with Debian's compiler; programs are linked statically and run by
# qemu-user.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER riscv64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER riscv64-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
find_program(BIDE_QEMU NAMES qemu-riscv64-static qemu-riscv64)
if(BIDE_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${BIDE_QEMU})
endif()

# The host's libraries are never meant.
set(CMAKE_FIND_ROOT_PATH /usr/riscv64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
