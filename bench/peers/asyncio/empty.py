#!@BIDE_PYTHON@
# SPDX-License-Identifier: MIT
"""The program of bench/empty_programs.h with Python's asyncio."""

import asyncio
import sys


async def nothing():
    pass


if len(sys.argv) > 1:
    print("asyncio of Python " + sys.version.split()[0])
else:
    asyncio.run(nothing())
