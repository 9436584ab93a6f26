"""Measures asyncio tasks that do nothing. Each line of standard input, `batches operations pause_us`,
asks for one measurement; the answer is `task=nanoseconds`, the lower quartile of the batches.
"""

import asyncio
import sys
import time


async def nothing():
    pass


async def batch(operations):
    start = time.perf_counter_ns()
    tasks = [asyncio.create_task(nothing()) for _ in range(operations)]
    await tasks[-1]
    return (time.perf_counter_ns() - start) / operations


async def main():
    print("ready", flush=True)
    for line in sys.stdin:
        batches, operations, pause = map(int, line.split())
        times = []
        for _ in range(batches):
            times.append(await batch(operations))
            await asyncio.sleep(pause / 1e6)
        times.sort()
        print(f"task={times[len(times) // 4]:.1f}", flush=True)


asyncio.run(main())
