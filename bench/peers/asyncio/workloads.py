#!@BIDE_PYTHON@ -I
# SPDX-License-Identifier: MIT
"""The workloads of bench/peers.h with Python's asyncio, or with uvloop under it.

Queues stand for channels, the smallest of which holds one item. A yield is a sleep of no time.
"""

import asyncio
import platform
import sys
import time

SELECT_CHANNELS, BUFFERED_CAPACITY, SPAWN_BATCH = 8, 128, 1000


async def chan_round_trip(operations):
    ping, pong = asyncio.Queue(1), asyncio.Queue(1)

    async def answer():
        for _ in range(operations):
            await pong.put(await ping.get())

    partner = asyncio.create_task(answer())
    for i in range(operations):
        await ping.put(i)
        await pong.get()
    await partner


async def chan_buffered(operations):
    items = asyncio.Queue(BUFFERED_CAPACITY)

    async def produce():
        for i in range(operations):
            await items.put(i)

    producer = asyncio.create_task(produce())
    for _ in range(operations):
        await items.get()
    await producer


async def mutex(operations):
    lock = asyncio.Lock()

    async def contend():
        for _ in range(operations // 2):
            async with lock:
                await asyncio.sleep(0)

    await asyncio.gather(contend(), contend())


async def mutex_uncontended(operations):
    lock = asyncio.Lock()
    for _ in range(operations):
        async with lock:
            pass


async def select8(operations):
    """There is no select: a task waits at each queue, and one for the first of them."""
    queues = [asyncio.Queue(1) for _ in range(SELECT_CHANNELS)]

    async def produce_in_turn():
        for i in range(operations):
            await queues[i % SELECT_CHANNELS].put(i)

    producer = asyncio.create_task(produce_in_turn())
    gets = {asyncio.create_task(queue.get()): queue for queue in queues}
    received = 0
    while received < operations:
        done, _ = await asyncio.wait(gets, return_when=asyncio.FIRST_COMPLETED)
        received += len(done)
        for get in done:
            queue = gets.pop(get)
            gets[asyncio.create_task(queue.get())] = queue
    for get in gets:
        get.cancel()
    await producer


async def generator(operations):
    async def naturals():
        for i in range(operations):
            yield i

    async for _ in naturals():
        pass


async def nothing():
    pass


async def group(operations):
    if not hasattr(asyncio, "TaskGroup"):  # before Python 3.11
        await asyncio.gather(*(nothing() for _ in range(operations)))
        return
    async with asyncio.TaskGroup() as members:
        for _ in range(operations):
            members.create_task(nothing())


async def spawn_one_by_one(operations):
    for _ in range(operations):
        await asyncio.create_task(nothing())


async def spawn_in_batches(operations):
    for done in range(0, operations, SPAWN_BATCH):
        batch = range(min(SPAWN_BATCH, operations - done))
        for task in [asyncio.create_task(nothing()) for _ in batch]:
            await task


async def yield_among(tasks, operations):
    """The nanoseconds of one; the first task looks at the clock, when all have started."""
    laps = max(operations // tasks, 1)

    async def yield_laps():
        await asyncio.sleep(0)
        start = time.perf_counter_ns()
        for _ in range(laps):
            await asyncio.sleep(0)
        return time.perf_counter_ns() - start

    yielders = [asyncio.create_task(yield_laps()) for _ in range(tasks)]
    for task in yielders:
        await task
    return yielders[0].result() / (laps * tasks)


def resident_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


async def sleep_many(count):
    """Seconds until all sleep and until all have ended, and bytes of each."""
    asleep = 0

    async def sleep_long():
        nonlocal asleep
        asleep += 1
        await asyncio.sleep(3600)

    tasks = [None] * count
    resident, start = resident_bytes(), time.perf_counter()
    for i in range(count):
        tasks[i] = asyncio.create_task(sleep_long())
    while asleep < count:
        await asyncio.sleep(0)
    start_s = time.perf_counter() - start
    resident = resident_bytes() - resident
    start = time.perf_counter()
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            pass
    print(f"{start_s:.4f} {time.perf_counter() - start:.4f} {resident / count:.0f}")


async def timers(count):
    """CPU seconds for tasks that each sleep another part of a second."""
    start = time.process_time()
    for task in [asyncio.create_task(asyncio.sleep(i * 611953 % count / count))
                 for i in range(count)]:
        await task
    print(f"{time.process_time() - start:.4f}")


WORKLOADS = {of.__name__: of for of in (
    chan_round_trip, chan_buffered, mutex, mutex_uncontended, select8, generator, group,
    spawn_one_by_one, spawn_in_batches)}
ONCE = {"sleep": sleep_many, "timers": timers}  # they print their figures: bench/fresh.h


async def work(name, operations):
    if name in ONCE:
        await ONCE[name](operations)
    elif name.startswith("yield_"):
        print(f"{await yield_among(int(name[6:]), operations):.3f}")
    elif name in WORKLOADS:
        await WORKLOADS[name](operations)
        start = time.perf_counter_ns()
        await WORKLOADS[name](operations)
        print(f"{(time.perf_counter_ns() - start) / operations:.3f}")
    else:
        print("-")


def main():
    words = sys.argv[1:]
    version = "asyncio of Python " + platform.python_version()
    if words[-1:] == ["uvloop"]:
        import uvloop
        uvloop.install()
        version = "uvloop " + uvloop.__version__
        words.pop()
    if words == ["version"]:
        print(version)
    elif len(words) == 2 and words[1].isdecimal() and int(words[1]) > 0:
        asyncio.run(work(words[0], int(words[1])))
    else:
        sys.exit("usage: asyncio version [uvloop] | <workload> <operations> [uvloop]")


main()
