"""One queue, ours or another's, in a process of its own: bench/peers.py starts it, each kind with its own Python.

`peer.py work KIND URL NOTES PATIENCE` runs a worker that does CLIENTS jobs at once: each notes its begin, sleeps as
long as it says and notes its end. `peer.py put KIND URL NOTES PATIENCE COUNT SECONDS PAUSE FIRST` enqueues so many
jobs, numbered from FIRST on. A note is a line `what number time` in the file NOTES, the time by time.perf_counter(),
which all processes of a machine share. PATIENCE is after how many seconds a worker counts as dead; 0 leaves each
library at its own default.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

CLIENTS = 32

Put = Callable[[int, float], Awaitable[object]]


class Notes:
    """The file that survives a kill."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, what: str, number: int) -> None:
        """One line."""
        os.write(self._file, f"{what} {number} {time.perf_counter()}\n".encode())

    async def job(self, number: int, seconds: float) -> None:
        """What every job does."""
        self.add("began", number)
        await asyncio.sleep(seconds)
        self.add("done", number)


class Ours:
    """askpix's queue, as inference/worker.py uses it. Each job is another person's."""

    def __init__(self, url: str, notes: Notes, patience: float) -> None:
        connection, queue = importlib.import_module("storage.connection"), importlib.import_module("storage.queue")
        self._persist: Any = connection.persist
        self._down: Any = connection.StoreDown
        redis: Any = connection.connect(url)
        self._queue: Any = queue.Queue(redis, connection.Scripts(redis), **({"lease": patience} if patience else {}))
        self._messages: Any = importlib.import_module("storage.messages")
        self._notes = notes
        self._held: dict[str, Any] = {}
        self._free = asyncio.Semaphore(CLIENTS)

    async def put(self, number: int, seconds: float) -> None:
        """Enqueue."""
        messages, person = self._messages, f"telegram:{number}"
        ask = messages.Ask(
            id=f"{person}:{seconds}", person=person, conversation=person, lane=person, outbox="telegram",
            where=messages.Address("telegram", person, "7"), question=messages.Turn("user", "What is in this photo?"),
        )  # fmt: skip
        await self._persist(lambda: self._queue.enqueue(ask))

    async def work(self) -> None:
        """Claim, renew, finish."""
        await self._persist(lambda: self._queue.reset("peer"))
        renewing = asyncio.create_task(self._renew())
        tasks: set[asyncio.Task[None]] = set()
        while not renewing.done():
            await self._free.acquire()
            self._free.release()
            room = CLIENTS - len(self._held)
            try:
                claims, _ = await self._queue.claim("peer", max(1, room), self._queue.lease / 4)
            except self._down:
                await asyncio.sleep(0.2)
                await self._persist(lambda: self._queue.reset("peer", self._held))
                continue
            for claim in claims:
                await self._free.acquire()
                self._held[claim.ask.id] = claim
                tasks.add(task := asyncio.create_task(self._one(claim)))
                task.add_done_callback(tasks.discard)

    async def _one(self, claim: Any) -> None:
        _, number, seconds = claim.ask.id.split(":")
        await self._notes.job(int(number), float(seconds))
        await self._persist(lambda: self._queue.finish(claim, self._messages.Done("done")))
        if self._held.get(claim.ask.id) is claim:
            del self._held[claim.ask.id]
        self._free.release()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._queue.lease / 4)
            try:
                await self._queue.renew(list(self._held.values()))
            except self._down:
                continue


class Arq:
    """arq: a worker polls; a job whose worker died is free again when its key expires, job_timeout + 10 s later."""

    def __init__(self, url: str, notes: Notes, patience: float) -> None:
        self._settings: Any = importlib.import_module("arq.connections").RedisSettings(
            unix_socket_path=unquote(urlsplit(url).path)
        )
        self._notes = notes
        self._more = {"job_timeout": max(5.0, patience - 10.0)} if patience else {}
        self._pool: Any = None

    async def put(self, number: int, seconds: float) -> None:
        """Enqueue."""
        self._pool = self._pool or await importlib.import_module("arq").create_pool(self._settings)
        await self._pool.enqueue_job("job", number, seconds)

    async def work(self) -> None:
        """arq's own worker."""

        async def job(_: Any, number: int, seconds: float) -> None:
            await self._notes.job(number, seconds)

        made: Any = importlib.import_module("arq.worker")
        known = [made.func(job, name="job")]
        worker = made.Worker(known, redis_settings=self._settings, max_jobs=CLIENTS, handle_signals=False, **self._more)
        await worker.async_run()


class Taskiq:
    """taskiq with taskiq-redis' stream broker, which acknowledges; its list broker forgets a job when it is taken."""

    def __init__(self, url: str, notes: Notes, patience: float) -> None:
        brokers: Any = importlib.import_module("taskiq_redis")
        more = {"idle_timeout": int(patience * 1000), "unacknowledged_lock_timeout": patience} if patience else {}
        self.broker: Any = brokers.RedisStreamBroker(url, consumer_id="0", **more)

        async def job(number: int, seconds: float) -> None:
            await notes.job(number, seconds)

        self._task: Any = self.broker.task(task_name="job")(job)
        self._started = False

    async def put(self, number: int, seconds: float) -> None:
        """Enqueue."""
        if not self._started:
            self._started = True
            await self.broker.startup()
        await self._task.kiq(number, seconds)

    async def work(self) -> None:
        """Its receiver, which is what its worker command runs."""
        run: Any = importlib.import_module("taskiq.api").run_receiver_task
        self.broker.is_worker_process = True
        await run(self.broker, run_startup=True, max_async_tasks=CLIENTS)


class Saq:
    """saq: a job that outlives its timeout is swept, and tried again if it may be."""

    def __init__(self, url: str, notes: Notes, patience: float) -> None:
        made: Any = importlib.import_module("saq")
        self._made, self._notes, self._patience = made, notes, patience
        redis: Any = importlib.import_module("redis.asyncio").from_url(url)
        self._queue: Any = importlib.import_module("saq.queue.redis").RedisQueue(redis)
        self._more = {"timeout": int(patience), "retries": 8} if patience else {}

    async def put(self, number: int, seconds: float) -> None:
        """Enqueue."""
        await self._queue.enqueue("job", number=number, seconds=seconds, **self._more)

    async def work(self) -> None:
        """saq's own worker."""

        async def job(_: Any, *, number: int, seconds: float) -> None:
            await self._notes.job(number, seconds)

        timers = {"timers": {"sweep": max(1, int(self._patience / 4))}} if self._patience else {}
        worker = self._made.Worker(self._queue, [("job", job)], concurrency=CLIENTS, **timers)
        worker.SIGNALS = []
        await worker.start()


KINDS: dict[str, Callable[[str, Notes, float], Any]] = {"askpix": Ours, "arq": Arq, "taskiq": Taskiq, "saq": Saq}


async def put_all(put: Put, notes: Notes, count: int, seconds: float, pause: float, first: int) -> None:
    """Enqueue jobs: CLIENTS at once, or one every `pause` seconds."""
    room = asyncio.Semaphore(1 if pause else CLIENTS)

    async def one(number: int) -> None:
        async with room:
            notes.add("put", number)
            await put(number, seconds)
            notes.add("taken", number)
            await asyncio.sleep(pause)

    await asyncio.gather(*(one(number) for number in range(first, first + count)))


async def main(what: str, kind: str, url: str, path: str, patience: str, *more: str) -> None:
    """Work until killed, or put and return."""
    notes = Notes(path)
    peer = KINDS[kind](url, notes, float(patience))
    if what == "work":
        notes.add("ready", 0)
        await peer.work()
    else:
        await put_all(peer.put, notes, int(more[0]), float(more[1]), float(more[2]), int(more[3]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
