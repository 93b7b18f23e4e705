"""Everything in storage over one connection, opened together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version

from storage import keys
from storage.connection import Client, Scripts, StoreDown, connect
from storage.embedded import Store, running
from storage.health import Health
from storage.heartbeat import Figures, Heartbeat, Schedule
from storage.history import History
from storage.housekeeping import Housekeeper
from storage.images import Images
from storage.inbox import Inbox
from storage.limits import Daily, Limits, Rules
from storage.metrics import Metrics, served
from storage.notices import Notices
from storage.people import People
from storage.queue import Queue
from storage.replies import Replies
from storage.roles import instance
from storage.settings import StorageSettings
from storage.status import HOUR, Status, gather
from storage.tasks import end


@dataclass(frozen=True, slots=True)
class Stores:
    """What a role may need; each room has its own module."""

    redis: Client
    scripts: Scripts
    queue: Queue
    replies: Replies
    history: History
    images: Images
    health: Health
    people: People
    notices: Notices
    daily: Daily

    def inbox(self, platform: str) -> Inbox:
        """The inbox of one platform."""
        return Inbox(self.redis, self.scripts, platform)

    def limits(self, rules: Rules) -> Limits:
        """Admission under these rules."""
        return Limits(self.redis, rules, daily=self.daily)

    async def status(self, minutes: int = HOUR) -> Status:
        """The service now, with `minutes` of its past. Raises StoreDown."""
        return await gather(self.redis, self.scripts, self.daily.zone, minutes)


@asynccontextmanager
async def open_stores(
    url: str, photo_mb: int = 1024, *, photo_ttl: int = keys.PHOTO_TTL, history_ttl: int = keys.HISTORY_TTL,
    daily: Daily = Daily(),
) -> AsyncGenerator[Stores]:  # fmt: skip
    """Connect; nothing is sent before the first call."""
    redis = connect(url)
    scripts = Scripts(redis)
    try:
        yield Stores(
            redis, scripts, Queue(redis, scripts, history_ttl=history_ttl), Replies(redis, scripts),
            History(redis, history_ttl), Images(scripts, photo_mb * 1_000_000, photo_ttl),
            Health(redis, Metrics(daily.zone)), People(redis, scripts), Notices(redis, scripts), daily,
        )  # fmt: skip
    finally:
        await redis.aclose()


@asynccontextmanager
async def opened(settings: StorageSettings) -> AsyncGenerator[Stores]:
    """The stores that the settings name; our own server is joined, or started. Raises StoreUnavailable or StoreDown."""
    photo_ttl, history_ttl = settings.photo_days * keys.DAY, settings.history_days * keys.DAY
    daily = Daily(settings.daily_asks, settings.daily_cost, settings.timezone)
    async with Store(settings.data_dir, settings.redis_url) as url:
        async with open_stores(
            url, settings.photo_mb, photo_ttl=photo_ttl, history_ttl=history_ttl, daily=daily
        ) as stores:
            await stores.redis.ping()
            yield stores


async def looked_at(settings: StorageSettings) -> Status:
    """The service now; one that does not run when there is no store: none is started to be looked at."""
    url = settings.redis_url or running(settings.data_dir)
    if url:
        with suppress(*StoreDown):
            async with open_stores(url, daily=Daily(zone=settings.timezone)) as stores:
                return await stores.status()
    return Status(time.time())


@asynccontextmanager
async def living(
    settings: StorageSettings, role: str, figures: Callable[[], Figures]
) -> AsyncGenerator[tuple[Stores, str]]:
    """What every role needs: its stores, its stable name, and a heartbeat while it lives; one of all keeps house."""
    with instance(settings.data_dir, role) as name:
        async with opened(settings) as stores, Schedule() as schedule:
            metrics, made = stores.health.metrics, version("askpix")
            metrics.build.info({"version": made, "role": role})
            beat = Heartbeat(stores.redis, schedule, name, role, made, figures, metrics)
            async with served(metrics, name, settings.metrics_port, settings.metrics_bind), beat:
                keeping = asyncio.create_task(Housekeeper(stores, name, settings).run())
                try:
                    yield stores, name
                finally:
                    await end([keeping])
