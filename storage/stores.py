"""Everything in storage over one connection, opened together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from storage import keys
from storage.connection import Client, Scripts, connect
from storage.embedded import Store
from storage.health import Health
from storage.heartbeat import Figures, Heartbeat, Schedule
from storage.history import History
from storage.images import Images
from storage.inbox import Inbox
from storage.limits import Limits, Rules
from storage.people import People
from storage.queue import Queue
from storage.replies import Replies
from storage.roles import instance
from storage.settings import StorageSettings

SWEEP = 3600.0  # seconds between clearings of the photo index


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

    def inbox(self, platform: str) -> Inbox:
        """The inbox of one platform."""
        return Inbox(self.redis, self.scripts, platform)

    def limits(self, rules: Rules) -> Limits:
        """Admission under these rules."""
        return Limits(self.redis, rules)


@asynccontextmanager
async def open_stores(
    url: str, photo_mb: int = 1024, *, photo_ttl: int = keys.PHOTO_TTL, history_ttl: int = keys.HISTORY_TTL
) -> AsyncGenerator[Stores]:
    """Connect; nothing is sent before the first call."""
    redis = connect(url)
    scripts = Scripts(redis)
    try:
        yield Stores(
            redis, scripts, Queue(redis, scripts, history_ttl=history_ttl), Replies(redis, scripts),
            History(redis, history_ttl),
            Images(redis, scripts, photo_mb * 1_000_000, photo_ttl), Health(redis), People(redis, scripts),
        )  # fmt: skip
    finally:
        await redis.aclose()


@asynccontextmanager
async def opened(settings: StorageSettings) -> AsyncGenerator[Stores]:
    """The stores that the settings name; our own server is joined, or started. Raises StoreUnavailable or StoreDown."""
    photo_ttl, history_ttl = settings.photo_days * keys.DAY, settings.history_days * keys.DAY
    async with Store(settings.data_dir, settings.redis_url) as url:
        async with open_stores(url, settings.photo_mb, photo_ttl=photo_ttl, history_ttl=history_ttl) as stores:
            await stores.redis.ping()
            yield stores


@asynccontextmanager
async def living(
    settings: StorageSettings, role: str, figures: Callable[[], Figures]
) -> AsyncGenerator[tuple[Stores, str]]:
    """What every role needs: its stores, its stable name, and a heartbeat while it lives."""
    with instance(settings.data_dir, role) as name:
        async with opened(settings) as stores, Schedule() as schedule:
            async with Heartbeat(stores.redis, schedule, name, role, version("askpix"), figures):
                schedule.every(SWEEP, stores.images.sweep)
                yield stores, name
