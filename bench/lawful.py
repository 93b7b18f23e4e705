"""The small end of bench.scale for real: queue, worker and store before engines that keep its law.

So many people ask again as soon as they are answered. The mean time to first words and the answers a second
beside what the law computes; what differs is our own. `python -m bench.lawful`, one JSON line last.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from bench.queue import make_ask
from bench.report import finish, say, target
from bench.scale import CARD, Law, Load, simulate
from storage.embedded import Store
from storage.heartbeat import roles
from storage.messages import Delta
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.service import environment
from tests.waiting import wait_until

SLOTS = 8
LAW = replace(CARD, token=0.004, slots=SLOTS)  # a slower card: the two cores here also run everything else
SECONDS = 15.0
PIECE = 4  # tokens
CASES = ((1, 1), (1, 4), (1, 8), (1, 12), (2, 8), (2, 16))  # engines, people


class Lawful:
    """One engine's reply: all that wait are read together, nobody is written meanwhile."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._waiting: list[asyncio.Event] = []
        self._calm = asyncio.Event()
        self._calm.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.running = 0

    async def reply(self, _: Json) -> AsyncIterator[str]:
        """An answer of 128 tokens."""
        await asyncio.sleep(self._law.lag)
        self._waiting.append(read := asyncio.Event())
        if self._calm.is_set():
            self._calm.clear()
            self._tasks = {asyncio.create_task(self._read())}
        await read.wait()
        self.running += 1
        try:
            for _number in range(128 // PIECE):
                yield "word " * PIECE
                await asyncio.sleep(PIECE * self._law.pace(self.running))
                await self._calm.wait()
        finally:
            self.running -= 1

    async def _read(self) -> None:
        await asyncio.sleep(0)  # whoever comes at this moment is read with it
        while waiting := self._waiting:
            self._waiting = []
            await asyncio.sleep(len(waiting) * self._law.photo)
            for event in waiting:
                event.set()
        self._calm.set()


@dataclass
class People:
    """Who asks, and what they saw; times are time.monotonic()."""

    stores: Stores
    outbox: str
    asked: dict[str, float] = field(default_factory=dict[str, float])
    first: dict[str, float] = field(default_factory=dict[str, float])
    ended: list[float] = field(default_factory=list[float])

    async def ask(self, person: str) -> None:
        """One more question of theirs."""
        question = structs.replace(make_ask(person), outbox=self.outbox)
        self.asked[question.id] = time.monotonic()
        await self.stores.queue.enqueue(question)

    async def live(self) -> None:
        """Ask again at each end."""
        while True:
            for reply in await self.stores.replies.finished(self.outbox, wait=1.0):
                self.ended.append(time.monotonic())
                await self.stores.replies.delivered(self.outbox, reply)
                await self.ask(reply.id.rpartition(":")[0].partition(":")[2])

    async def hear(self, people: int, ready: asyncio.Event) -> None:
        """Begin, and note when first words come."""
        async for notice in self.stores.replies.listen(self.outbox):
            if not ready.is_set():
                ready.set()
                for person in range(people):
                    await self.ask(f"{self.outbox} {person}")
            elif notice and isinstance(notice.event, Delta) and notice.id not in self.first:
                self.first[notice.id] = time.monotonic()


async def case(held: AsyncExitStack, url: str, folder: Path, engines: int, people: int) -> dict[str, float]:
    """One row."""
    lawful = [Lawful(LAW) for _ in range(engines)]
    stubs = [await held.enter_async_context(StubEngine(each.reply, slots=SLOTS)) for each in lawful]
    stores = await held.enter_async_context(open_stores(url))
    settings = {"REDIS_URL": url, "ENGINE_URL": ",".join(stub.url for stub in stubs), "LOG_LEVEL": "warning"}
    command = (sys.executable, "-P", "-m", "askpix", "worker")
    worker = await asyncio.create_subprocess_exec(
        *command, env=environment(folder, settings), stdout=DEVNULL, stderr=DEVNULL
    )

    async def up() -> bool:
        return any(record.figures.get("slots") == str(engines * SLOTS) for record in await roles(stores.redis))

    await wait_until(up, 60)
    crowd, ready = People(stores, f"bench{engines}x{people}"), asyncio.Event()
    await stores.replies.open_outbox(crowd.outbox)
    living, hearing = asyncio.create_task(crowd.live()), asyncio.create_task(crowd.hear(people, ready))
    await ready.wait()
    begun = time.monotonic()
    await asyncio.wait([living], timeout=SECONDS)
    if living.done():
        living.result()  # it never ends but by an error
    await end([living, hearing])
    worker.terminate()
    await worker.wait()
    await stores.redis.flushall()
    warm = begun + SECONDS / 5
    firsts = [at - crowd.asked[id] for id, at in crowd.first.items() if crowd.asked[id] > warm]
    ended = [at for at in crowd.ended if at > warm]
    computed = simulate(LAW, engines, Load(people=people, jitter=0.01), questions=4_000)
    first, answers = statistics.fmean(firsts), (len(ended) - 1) / (ended[-1] - ended[0])
    return {
        "engines": engines, "people": people, "first": round(first, 3), "first_computed": round(computed.mean, 3),
        "first_off_percent": round(100 * (computed.mean / first - 1), 1), "answers": round(answers, 2),
        "computed": round(computed.answers, 2), "off_percent": round(100 * (computed.answers / answers - 1), 1),
    }  # fmt: skip


async def main() -> None:
    """Measure."""
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as place:
        async with Store(Path(place) / "store") as url:
            for engines, people in CASES:
                async with AsyncExitStack() as held:
                    rows.append(await case(held, url, Path(place), engines, people))
                say(str(rows[-1]))
    worst = max(abs(row[name]) for row in rows for name in ("off_percent", "first_off_percent"))
    finish("lawful", {"rows": rows}, {"off_percent": target(worst, at_most=15)})


if __name__ == "__main__":
    asyncio.run(main())
