"""Periodic work, and the sign of life that every role leaves in the store each second."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from apscheduler.schedulers.asyncio import (  # pyright: ignore[reportMissingTypeStubs] : APScheduler 3 has no types
    AsyncIOScheduler,
)
from redis.asyncio import Redis

from storage import keys
from storage.connection import StoreDown

PERIOD = 1.0

Figures = Mapping[str, str | int | float]


class Schedule:
    """Runs jobs periodically while it is entered; a job that is late runs once, never beside itself."""

    def __init__(self) -> None:
        # A zone of its own, or APScheduler asks the machine for one and warns about odd answers.
        self._scheduler: Any = AsyncIOScheduler(timezone=UTC)
        self._running: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Schedule:
        # Below that it writes two lines for every run, and a warning for each one that a slow store makes it skip.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scheduler.shutdown()
        await asyncio.sleep(0)  # the scheduler ends, and cancels what runs, in the loop's next round
        if running := [task for task in self._running if task]:
            await asyncio.wait(running)

    def every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` each `seconds`, first after `seconds`; what it raises is logged, and it runs again."""

        async def run() -> None:
            task = asyncio.current_task()
            self._running.add(task)
            try:
                await job()
            except asyncio.CancelledError:
                pass  # our own exit; APScheduler would log it as the job's failure
            finally:
                self._running.discard(task)

        self._scheduler.add_job(
            run, "interval", seconds=seconds, coalesce=True, max_instances=1, misfire_grace_time=None
        )


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """The last sign of life of one role's process; started is in seconds since 1970, figures are the role's own."""

    instance: str
    role: str
    pid: int
    host: str
    version: str
    started: float
    figures: dict[str, str]


class Heartbeat:
    """Says each second that this process lives, with the figures that `figures` hands over; gone when it is left.

    The store may be away for any time: the next beat after its return is as good as any.
    """

    def __init__(
        self, redis: Redis, schedule: Schedule, instance: str, role: str, version: str, figures: Callable[[], Figures]
    ) -> None:
        self._redis = redis
        self._schedule = schedule
        self._instance = instance
        self._figures = figures
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
                    await pipe.execute()
            except StoreDown:
                return


async def roles(redis: Redis) -> list[RoleRecord]:
    """The roles that live, sorted by instance. Raises StoreDown."""
    members: Any = await redis.smembers(keys.ROLES)
    names: list[str] = sorted(name.decode() for name in members)
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.role(name))
        found: list[dict[bytes, bytes]] = await pipe.execute()
    dead = [name for name, record in zip(names, found, strict=True) if not record]
    if dead:
        await redis.srem(keys.ROLES, *dead)  # one that was only late is back with its next beat
    return [_record(name, record) for name, record in zip(names, found, strict=True) if record]


def _record(instance: str, stored: dict[bytes, bytes]) -> RoleRecord:
    fields = {name.decode(): value.decode() for name, value in stored.items()}
    role, pid, host = fields.pop("role"), int(fields.pop("pid")), fields.pop("host")
    return RoleRecord(instance, role, pid, host, fields.pop("version"), float(fields.pop("started")), fields)
