"""Periodic work, and the sign of life that every role leaves in the store each second."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import (  # pyright: ignore[reportMissingTypeStubs] : APScheduler 3 has no types
    AsyncIOScheduler,
)
from apscheduler.triggers.interval import IntervalTrigger  # pyright: ignore[reportMissingTypeStubs] : as above
from redis.asyncio import Redis

from storage import keys
from storage.connection import StoreDown
from storage.metrics import Metrics

PERIOD = 1.0
DECADES = 630_000_000  # seconds, twenty years

Figures = Mapping[str, str | int | float]


class Schedule:
    """Runs jobs periodically while it is entered; a job that is late runs once, never beside itself."""

    def __init__(self) -> None:
        # A zone of its own, or APScheduler asks the machine for one and warns about odd answers.
        self._scheduler: Any = AsyncIOScheduler(timezone=UTC)
        self._running: set[asyncio.Task[None] | None] = set()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Schedule:
        # Below that it writes two lines for every run, and a warning for each one that a slow store makes it skip.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.start()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scheduler.shutdown()
        if self._watching:
            self._watching.cancel()
        await asyncio.sleep(0)  # the scheduler ends, and cancels what runs, in the loop's next round
        if running := [task for task in self._running if task]:
            await asyncio.wait(running)

    def every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` each `seconds`, first after `seconds`; what it raises is logged, and it runs again."""
        # Counted from long ago, so that it is not waited for when the clock is set back.
        begun = datetime.now(UTC) - timedelta(seconds=seconds * (DECADES // seconds))
        step: Any = seconds  # which may be a part of one
        self.at(IntervalTrigger(seconds=step, start_date=begun, timezone=UTC), job)

    def at(self, trigger: Any, job: Callable[[], Awaitable[None]], since: datetime | None = None) -> None:
        """Run `job` when an APScheduler trigger says; at once, and once, if it said so since `since`."""

        async def run() -> None:
            task = asyncio.current_task()
            self._running.add(task)
            try:
                await job()
            except asyncio.CancelledError:
                pass  # our own exit; APScheduler would log it as the job's failure
            finally:
                self._running.discard(task)

        due = trigger.get_next_fire_time(since, datetime.now(UTC))
        self._scheduler.add_job(
            run, trigger, next_run_time=due, coalesce=True, max_instances=1, misfire_grace_time=None
        )

    async def _watch(self) -> None:
        """APScheduler goes by the wall clock: when that is set back, what is due is reckoned anew."""
        former = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(PERIOD)
            ahead = time.time() - time.monotonic()
            for job in self._scheduler.get_jobs() if ahead < former - PERIOD else ():
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, datetime.now(UTC)))
            former = ahead


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """The last sign of life of one role's process, `age` seconds old; started is in seconds since 1970, figures are the
    role's own.
    """

    instance: str
    role: str
    pid: int
    host: str
    version: str
    started: float
    figures: dict[str, str]
    age: float = 0.0


class Heartbeat:
    """Says each second that this process lives, with the figures that `figures` hands over; gone when it is left.

    It takes along what was measured since.

    The store may be away for any time: the next beat after its return is as good as any.
    """

    def __init__(
        self, redis: Redis, schedule: Schedule, instance: str, role: str, version: str, figures: Callable[[], Figures],
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._redis = redis
        self._schedule = schedule
        self._instance = instance
        self._figures = figures
        self._metrics = metrics or Metrics()
        self._identity: Figures = {
            "role": role, "pid": os.getpid(), "host": socket.gethostname(), "version": version, "started": time.time(),
        }  # fmt: skip
        self._writing = asyncio.Lock()
        self._left = False

    async def __aenter__(self) -> Heartbeat:
        await self._beat()
        self._schedule.every(PERIOD, self._beat)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left = True
        async with self._writing:
            try:
                await self._redis.delete(keys.role(self._instance))
            except StoreDown:
                pass  # it expires by itself

    async def _beat(self) -> None:
        name = keys.role(self._instance)
        async with self._writing:
            if self._left:
                return
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.delete(name)  # a figure that is no longer handed over goes
                    pipe.hset(name, mapping={**self._figures(), **self._identity})
                    pipe.expire(name, keys.ROLE_TTL)
                    pipe.sadd(keys.ROLES, self._instance)
                    self._metrics.write_on(pipe)
                    await pipe.execute()
                self._metrics.written()
            except StoreDown:
                return


async def roles(redis: Redis) -> list[RoleRecord]:
    """The roles that live, sorted by instance. Raises StoreDown."""
    members: Any = await redis.smembers(keys.ROLES)
    names: list[str] = sorted(name.decode() for name in members)
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.role(name))
            pipe.pttl(keys.role(name))
        answers: list[Any] = await pipe.execute()
    found: list[dict[bytes, bytes]] = answers[::2]
    ages = [max(0.0, keys.ROLE_TTL - left / 1000) if left >= 0 else 0.0 for left in answers[1::2]]
    dead = [name for name, record in zip(names, found, strict=True) if not record]
    if dead:
        await redis.srem(keys.ROLES, *dead)  # one that was only late is back with its next beat
    return [_record(name, record, age) for name, record, age in zip(names, found, ages, strict=True) if record]


def _record(instance: str, stored: dict[bytes, bytes], age: float) -> RoleRecord:
    fields = {name.decode(): value.decode() for name, value in stored.items()}
    role, pid, host = fields.pop("role"), int(fields.pop("pid")), fields.pop("host")
    return RoleRecord(instance, role, pid, host, fields.pop("version"), float(fields.pop("started")), fields, age)
