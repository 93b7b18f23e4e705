"""What a Sentinel failover costs: the primary is killed again and again under load: `python -m bench.failover`.

50 asks/s go in; two workers answer them by a scripted engine. What was confirmed (the call returned) must be answered.
Replication is asynchronous: what a primary confirmed and had not yet sent on is gone with it, and this counts how much.
One JSON line last.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.queue import make_ask
from bench.report import finish, say, spread, target
from storage.connection import forever, persist
from storage.heartbeat import roles
from storage.stores import Stores, open_stores
from tests.emulators.engine import StubEngine
from tests.service import environment
from tests.storage.sentinels import Watch, watched
from tests.waiting import wait_until

OUTBOX = "telegram"
PEOPLE = 400


@dataclass
class Load:
    """What went in and what came out."""

    stores: Stores
    rate: float
    confirmed: dict[str, float] = field(default_factory=dict[str, float])  # id: when
    answers: Counter[str] = field(default_factory=Counter[str])
    waits: list[float] = field(default_factory=list[float])  # seconds that a confirmation took
    entering: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def feed(self) -> None:
        """Put asks in at the rate, whatever becomes of the ones before."""
        start = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, start + number / self.rate - time.monotonic()))
            task = asyncio.create_task(self._enter(number))
            self.entering.add(task)
            task.add_done_callback(self.entering.discard)

    async def _enter(self, number: int) -> None:
        ask, began = make_ask(str(number % PEOPLE)), time.monotonic()
        await persist(partial(self.stores.queue.enqueue, ask))
        self.waits.append(time.monotonic() - began)
        self.confirmed[ask.id] = time.monotonic()

    async def read(self) -> None:
        """Take finished replies, as delivery does."""
        await self.stores.replies.open_outbox(OUTBOX)
        for read in (partial(self.stores.replies.pending, OUTBOX), partial(self.stores.replies.finished, OUTBOX)):
            while found := await read():
                for each in found:
                    self.answers[each.id] += 1
                    await self.stores.replies.delivered(OUTBOX, each)

    def open(self) -> set[str]:
        """What was confirmed and not answered."""
        return self.confirmed.keys() - self.answers.keys()


async def worker(folder: Path, watch: Watch, engine: str) -> Process:
    """A worker process."""
    environ = environment(folder, {"REDIS_URL": watch.url, "ENGINE_URL": engine, "LOG_LEVEL": "warning"})
    command = (sys.executable, "-P", "-m", "askpix", "worker")
    return await asyncio.create_subprocess_exec(*command, env=environ, stdout=DEVNULL, stderr=DEVNULL)


async def kill(watch: Watch, load: Load) -> dict[str, float]:
    """Kill the primary, wait for the other, bring the killed one back as its replica."""
    began, before = time.monotonic(), len(load.confirmed)
    old = await watch.kill_primary()
    confirmed = load.confirmed.keys() & load.open()

    async def other() -> bool:
        return await watch.primary() != old

    await wait_until(other, 30)
    promoted = time.monotonic() - began
    await wait_until(lambda: len(load.confirmed) > before + load.rate * 2, 30)
    until = time.monotonic() - began
    await watch.start(old)
    await watch.settled()
    return {"promoted_s": round(promoted, 2), "working_s": round(until, 2), "in_hand": len(confirmed)}


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    async with AsyncExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        watch = await held.enter_async_context(watched(folder))
        engine = await held.enter_async_context(StubEngine(delay=0.01, first_delay=0.05, slots=16))
        stores = await held.enter_async_context(open_stores(watch.url))
        load = Load(stores, options.rate)
        workers = [await worker(folder / "workers", watch, engine.url) for _ in range(2)]

        async def working() -> bool:
            return sum(record.figures.get("engine") == "up" for record in await roles(stores.redis)) == 2

        await wait_until(working, 60)
        reading, feeding = asyncio.create_task(forever(load.read)), asyncio.create_task(load.feed())
        kills: list[dict[str, float]] = []
        for number in range(options.kills):
            await asyncio.sleep(3)
            kills.append(await kill(watch, load))
            say(f"kill {number + 1}: {kills[-1]}, {len(load.confirmed)} confirmed, {len(load.open())} open")
        feeding.cancel()
        await asyncio.wait(load.entering or {feeding})
        quiet = time.monotonic()
        while load.open() and time.monotonic() - quiet < 60:  # noqa: ASYNC110 : other processes work meanwhile
            await asyncio.sleep(0.5)
        lost, doubled = load.open(), [id for id, times in load.answers.items() if times > 1]
        reading.cancel()
        for process in workers:
            process.terminate()
            await process.wait()
    figures = {
        "rate": options.rate, "confirmed": len(load.confirmed), "kills": kills, "lost": len(lost),
        "read_twice": len(doubled), "confirmation": spread(load.waits), "cores": os.cpu_count(),
    }  # fmt: skip
    finish("failover", figures, {"lost": target(len(lost), at_most=0)})


if __name__ == "__main__":
    asyncio.run(main())
