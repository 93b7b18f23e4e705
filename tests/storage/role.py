"""A role for the supervisor's tests: beats until it is told to stop, then notes that it drained.

role.py URL NOTE [stubborn]
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from storage.connection import connect
from storage.heartbeat import Heartbeat, Schedule
from storage.roles import run_until_signal


async def main(url: str, note: Path, manner: str) -> None:
    async def work(stop: asyncio.Event) -> None:
        redis = connect(url)
        async with Schedule() as schedule, Heartbeat(redis, schedule, f"host:{note.stem}:1", note.stem, "1", dict):
            with note.open("a") as file:
                file.write(f"{os.getpid()}\n")
            await stop.wait()
            with note.open("a") as file:
                file.write("asked to stop\n")
            if manner == "stubborn":
                await asyncio.Event().wait()
        await redis.aclose()
        with note.open("a") as file:
            file.write("drained\n")

    await run_until_signal(work, grace=0.3)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), (sys.argv[3:] or [""])[0]))
