"""The queue beside bare Redis streams on the same server in the same run: `python -m bench.queue`.

Streams give a job to one of several consumers and no more: no lanes, no fairness, no fences, no deduplication.
Then beside other queues with their own workers, see bench/peers.py.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import peers
from bench.report import finish, say, spread, stoppable, target
from storage.connection import Client, Scripts, connect
from storage.embedded import Store
from storage.messages import Address, Ask, Done, Turn, encode
from storage.queue import Queue

ROUNDS = 1000
WARM_UP = 50
CLIENTS = 32
JOBS = 1600  # a turn; TURNS turns each
TURNS = 3
FLOOD, OTHERS = 100, 10

STREAM, GROUP = "bench", "g"
_numbers = itertools.count()


def make_ask(person: str) -> Ask:
    """A question as Telegram brings it; about 400 bytes."""
    id = f"telegram:{person}:{next(_numbers)}"
    return Ask(
        id=id, person=f"telegram:{person}", conversation=f"telegram:{person}:{person}", lane=f"telegram:{person}",
        outbox="telegram", where=Address("telegram", person, "7"), question=Turn("user", "What is in this photo?"),
        asked_at=time.time(),
    )  # fmt: skip


class Ours:
    """The queue as the worker uses it."""

    def __init__(self, redis: Client) -> None:
        self._queue = Queue(redis, Scripts(redis))

    async def put(self, person: str) -> None:
        """Enqueue one ask."""
        await self._queue.enqueue(make_ask(person))

    async def take(self, wait: float) -> Callable[[], Awaitable[object]]:
        """Claim one; returns what finishes it."""
        claims, _ = await self._queue.claim("bench", 1, wait)
        return lambda: self._queue.finish(claims[0], Done("A blue square."))


class Bare:
    """The same with a stream: XADD, XREADGROUP, XACK and XDEL."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def put(self, person: str) -> None:
        """Add one entry of the same size."""
        await self._redis.xadd(STREAM, {"payload": encode(make_ask(person))})

    async def take(self, wait: float) -> Callable[[], Awaitable[object]]:
        """Read one."""
        block = int(wait * 1000) or None
        found: Any = await self._redis.xreadgroup(GROUP, "bench", {STREAM: ">"}, count=1, block=block)
        return lambda: self._done(found[0][1][0][0])

    async def _done(self, entry: bytes) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xack(STREAM, GROUP, entry)
            pipe.xdel(STREAM, entry)
            await pipe.execute()


async def latency(redis: Client, rounds: int) -> dict[str, list[float]]:
    """Seconds from just before the write to the job in the hands of a consumer that waited, by turns."""
    taken: dict[str, list[float]] = {"askpix": [], "streams": []}
    kinds = {"askpix": Ours(redis), "streams": Bare(redis)}
    for number in range(rounds):
        for name, kind in kinds.items():
            ends: list[float] = []

            async def consume(kind: Ours | Bare = kind, ends: list[float] = ends) -> Callable[[], Awaitable[object]]:
                done = await kind.take(5.0)
                ends.append(time.perf_counter())
                return done

            consumer = asyncio.create_task(consume())
            while not (await redis.info("clients"))["blocked_clients"]:
                pass
            start = time.perf_counter()
            await kind.put(str(number))
            await (await consumer)()
            taken[name].append(ends[0] - start)
    return taken


async def throughput(kind: Ours | Bare) -> float:
    """Jobs a second, written, taken and finished by CLIENTS clients, each one job after another."""

    async def client(number: int) -> None:
        for _ in range(JOBS // CLIENTS):
            await kind.put(str(number))
            await (await kind.take(0.0))()

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return JOBS / (time.perf_counter() - start)


async def fairness(redis: Client) -> list[int]:
    """The places (1: the very next) at which OTHERS are served who ask after one person's FLOOD."""
    queue = Queue(redis, Scripts(redis))
    for _ in range(FLOOD):
        await queue.enqueue(make_ask("flood"))
    for number in range(OTHERS):
        await queue.enqueue(make_ask(f"other{number}"))
    places: list[int] = []
    for place in range(1, FLOOD + OTHERS + 1):
        claims, _ = await queue.claim("bench", 1)
        if claims[0].ask.lane != "telegram:flood":
            places.append(place)
        await queue.finish(claims[0], Done("A blue square."))
    return places


async def run(redis: Client) -> None:
    """All three, then the line."""
    await redis.xgroup_create(STREAM, GROUP, mkstream=True)
    await latency(redis, WARM_UP)
    say(f"enqueue to claim, {ROUNDS} rounds beside a bare stream …")
    seconds = await latency(redis, ROUNDS)
    waits = {name: spread(values) for name, values in seconds.items()}
    say(f"{waits}\nthroughput, {CLIENTS} clients …")
    rates: dict[str, list[float]] = {"askpix": [], "streams": []}
    for _ in range(TURNS):
        rates["askpix"].append(await throughput(Ours(redis)))
        rates["streams"].append(await throughput(Bare(redis)))
    jobs = {name: round(max(found)) for name, found in rates.items()}
    say(f"{jobs} jobs/s\nfairness: {FLOOD} asks of one person, then {OTHERS} people with one each …")
    places = await fairness(redis)
    say(f"served at {places}")
    server: dict[str, Any] = await redis.info("server")
    settings: dict[Any, Any] = await redis.config_get("appendfsync")
    finish(
        "queue",
        {
            "server": {
                "name": server.get("server_name", "redis"),
                "version": server.get("valkey_version", server["redis_version"]),
                "appendfsync": next(iter(settings.values())),
            },
            "enqueue_to_claim": waits,
            "jobs_per_second": jobs,
            "places": places,
            "peers": await peers.measure(),
        },
        {
            "latency_p50_ratio": target(waits["askpix"]["p50_ms"] / waits["streams"]["p50_ms"], at_most=1.2),
            "latest_place": target(max(places), at_most=12),
        },
    )


async def main() -> None:
    """On a server of our own, started as askpix starts it."""
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder)) as url:
            redis = connect(url)
            try:
                await run(redis)
            finally:
                await redis.aclose()


if __name__ == "__main__":
    stoppable()
    asyncio.run(main())
