"""(c) The service against the engine: `python -m bench.gpu.service [REQUESTS_AT_64]`.

The same kind of requests (one new photo of 1024x768, a question, 128 tokens out) straight to the engine and through
queue, worker and a surface that only listens, in turns. One process plays the people on both sides.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bench.gpu.host import Bench, abreast, bench, content, part, photos, run
from bench.report import finish, spread, target
from inference import engine, prompt
from storage.messages import Address, Ask, Delta, Done, Photo, Turn
from storage.settings import StorageSettings
from storage.stores import Stores, opened
from storage.tasks import end

AT_ONCE = (1, 8, 32, 64)
ROUNDS = 2
TOKENS = 128
OUTBOX = "bench"
QUESTION = "What is in this picture?"
WORKER = (
    "from inference import engine; import askpix;"
    f"engine.SAMPLING.update(ignore_eos=True, max_tokens={TOKENS}); askpix.app(['worker'])"
)

Times = list[tuple[float, float]]  # seconds to the first words and to the last, of each request
Drawn = Sequence[tuple[Photo, bytes]]


@dataclass
class Surface:
    """Hears of every answer, shows nothing, acknowledges."""

    stores: Stores
    first: dict[str, float] = field(default_factory=dict[str, float])
    done: dict[str, asyncio.Future[float]] = field(default_factory=dict[str, "asyncio.Future[float]"])
    wrong: int = 0

    async def listen(self, ready: asyncio.Event) -> None:
        """Note when the first words come, and the end."""
        async for notice in self.stores.replies.listen(OUTBOX):
            ready.set()
            if notice and isinstance(notice.event, Delta):
                self.first.setdefault(notice.id, time.perf_counter())

    async def deliver(self) -> None:
        """Read the outbox and acknowledge."""
        while True:
            for reply in await self.stores.replies.finished(OUTBOX):
                if not isinstance(reply.event, Done):
                    self.wrong += 1
                if reply.id in self.done:
                    self.done[reply.id].set_result(time.perf_counter())
                await self.stores.replies.delivered(OUTBOX, reply)

    async def ask(self, id: str, conversation: str, turn: Turn) -> tuple[float, float]:
        """Enqueue as intake does; seconds to the first words and to the end."""
        ask = Ask(id, conversation, conversation, conversation, OUTBOX, Address(OUTBOX, conversation), turn)
        self.done[id] = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        await self.stores.queue.enqueue(ask)
        ended = await self.done[id]
        return self.first.get(id, ended) - begun, ended - begun


@asynccontextmanager
async def service(data_dir: Path) -> AsyncGenerator[Surface]:
    """The store of this folder, a worker whose answers are all of the same length, and a surface."""
    async with opened(StorageSettings(data_dir=data_dir)) as stores:
        await stores.replies.open_outbox(OUTBOX)
        surface, ready = Surface(stores), asyncio.Event()
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, stdout=sys.stderr)
        tasks = [asyncio.create_task(surface.listen(ready)), asyncio.create_task(surface.deliver())]
        try:
            await ready.wait()
            async with asyncio.timeout(30):
                while (await stores.health.service()).reason:  # noqa: ASYNC110 : another process comes up
                    await asyncio.sleep(0.1)
            yield surface
        finally:
            await end(tasks)
            if worker.returncode is None:
                worker.terminate()
                await worker.wait()


async def straight(bench: Bench, drawn: Drawn, many: int) -> Times:
    """The requests as the worker would send them."""

    async def one(data: bytes) -> tuple[float, float]:
        answer = await bench.ask(
            content(QUESTION, data), TOKENS, history=[{"role": "system", "content": prompt.SYSTEM}]
        )
        return answer.first, answer.seconds

    return await abreast(many, [partial(one, data) for _, data in drawn])


async def through(surface: Surface, drawn: Drawn, many: int, names: Callable[[], int]) -> Times:
    """Each asked by a person of their own; the photos are stored before, as intake stores them."""
    asks: list[tuple[str, Turn]] = []
    for picture, data in drawn:
        name = f"bench:{names()}"
        await surface.stores.images.put(name, picture, data)
        asks.append((name, Turn("user", QUESTION, (picture,))))
    return await abreast(many, [partial(surface.ask, f"{name}:1", name, turn) for name, turn in asks])


async def compare(bench: Bench, surface: Surface, many: int, amount: int, names: Callable[[], int]) -> dict[str, Any]:
    """Both sides in turns, each with photos that the engine has not seen."""
    rates: dict[str, list[float]] = {"engine": [], "service": []}
    firsts: dict[str, list[float]] = {"engine": [], "service": []}
    drawn = photos([30_000_000 + names() for _ in range(2 * ROUNDS * amount)])
    for number in range(2 * ROUNDS):
        share = drawn[number * amount : (number + 1) * amount]
        side = "engine" if number % 4 in (0, 3) else "service"  # ABBA: what drifts cancels out
        begun = time.perf_counter()
        times = await (straight(bench, share, many) if side == "engine" else through(surface, share, many, names))
        rates[side].append(amount / (time.perf_counter() - begun))
        firsts[side] += [first for first, _ in times]
    rate = {side: statistics.fmean(each) for side, each in rates.items()}
    first = {side: spread(each) for side, each in firsts.items()}
    return {
        "requests": amount * ROUNDS,
        "per_second": {side: [round(each, 2) for each in found] for side, found in rates.items()},
        "ratio": round(rate["service"] / rate["engine"], 4),
        "first_token": first,
        "added_first_p50_ms": round(first["service"]["p50_ms"] - first["engine"]["p50_ms"], 1),
        "wrong": surface.wrong,
    }


async def main(data_dir: Path) -> None:
    """All four loads."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    results: dict[str, Any] = {}
    names = partial(next, count(time.time_ns() // 1000 % 10**9 * 1000))
    async with bench(data_dir) as found, service(data_dir) as surface:
        results["sampling"] = engine.SAMPLING | {"max_tokens": TOKENS}
        await straight(found, photos([40_000_000, 40_000_001]), 1)  # unmeasured: connections, kernels
        await through(surface, photos([40_000_002, 40_000_003]), 1, names)
        for many in AT_ONCE:
            amount = max(2, most * many // 64 if many > 8 else most * 3 // 16 if many == 8 else most // 24)
            await part(f"at_{many}", results, partial(compare, found, surface, many, amount, names))
        results["peak_mib"] = found.card.since(0).get("peak_mib", 0)
    at_64 = results["at_64"]
    ratio, added = float(at_64.get("ratio", 0)), float(at_64.get("added_first_p50_ms", 9999))
    finish(
        "gpu.service",
        results,
        {
            "service_to_engine_at_64": {"measured": ratio, "at_least": 0.97, "ok": ratio >= 0.97},
            "added_first_token_at_64_p50_ms": target(added, at_most=15),
        },
    )


if __name__ == "__main__":
    run(main)
