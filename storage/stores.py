"""Everything in storage over one connection, opened together."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from storage import keys
from storage.connection import Client, Scripts, connect
from storage.health import Health
from storage.history import History
from storage.images import Images
from storage.inbox import Inbox
from storage.limits import Limits, Rules
from storage.queue import Queue
from storage.replies import Replies


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

    def inbox(self, platform: str) -> Inbox:
        """The inbox of one platform."""
        return Inbox(self.redis, self.scripts, platform)

    def limits(self, rules: Rules) -> Limits:
        """Admission under these rules."""
        return Limits(self.redis, rules)


@asynccontextmanager
async def open_stores(url: str, photo_mb: int = 1024, *, lane_limit: int = 100) -> AsyncGenerator[Stores]:
    """Connect; nothing is sent before the first call."""
    redis = connect(url)
    scripts = Scripts(redis)
    try:
        yield Stores(
            redis, scripts, Queue(redis, scripts, lane_limit=lane_limit), Replies(redis, scripts), History(redis),
            Images(redis, scripts, photo_mb * 1_000_000, keys.PHOTO_TTL), Health(redis),
        )  # fmt: skip
    finally:
        await redis.aclose()
