#!@BIDE_PYTHON@
# SPDX-License-Identifier: MIT
"""An echo server of bench/peers/echo.h with Python's asyncio, or with uvloop under it.

Protocols are its fastest interface. They leave the size of reads to the loop, and set TCP_NODELAY.
"""

import asyncio
import platform
import socket
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    # A peer that does not read is not read from either.
    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve(port):
    server = await asyncio.get_running_loop().create_server(
        Echo, "127.0.0.1", port, family=socket.AF_INET, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    words = sys.argv[1:]
    version = "asyncio of Python " + platform.python_version()
    if words[1:] == ["uvloop"]:
        import uvloop
        uvloop.install()
        version = "uvloop " + uvloop.__version__
    elif len(words) != 1:
        sys.exit("usage: asyncio_echo version | <port> [uvloop]")
    if words[0] == "version":
        print(version)
    else:
        asyncio.run(serve(int(words[0])))


main()
