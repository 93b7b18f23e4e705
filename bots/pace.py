"""How often each chat is written to. Waiting belongs to one chat, never to the bot."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from bots.surface import Rate


@dataclass(slots=True)
class _Bucket:
    calls: float
    at: float
    closed_until: float = 0.0


class Pace:
    """A token bucket a chat; a flood wait closes one chat's bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    async def turn(self, chat: str, rate: Rate, *, progress_until: asyncio.Event | None = None) -> None:
        """Wait for this chat's next call and take it. Progress leaves one call for ends, until its own end is there."""
        loop = asyncio.get_running_loop()
        if len(self._buckets) > 1000:
            self._sweep(loop.time())
        bucket = self._buckets.setdefault(chat, _Bucket(rate.burst, loop.time()))
        while True:
            spare = min(1, rate.burst - 1) if progress_until and not progress_until.is_set() else 0
            now = loop.time()
            bucket.calls = min(rate.burst, bucket.calls + (now - bucket.at) / rate.seconds)
            bucket.at = now
            wait = max(bucket.closed_until - now, (1 + spare - bucket.calls) * rate.seconds)
            if wait <= 0:
                bucket.calls -= 1
                return
            # Nothing is held meanwhile: an end may pass a progress that waits for more calls than it needs.
            if spare and progress_until:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await progress_until.wait()
            else:
                await asyncio.sleep(wait)

    def flooded(self, chat: str, seconds: float) -> None:
        """The platform closed this chat for a while."""
        bucket = self._buckets.get(chat)
        if bucket:
            bucket.closed_until = asyncio.get_running_loop().time() + seconds
            bucket.calls = 1.0

    def _sweep(self, now: float) -> None:
        """Chats that were quiet for ten minutes have a full bucket again."""
        quiet = [chat for chat, bucket in self._buckets.items() if max(bucket.at, bucket.closed_until) < now - 600]
        for chat in quiet:
            del self._buckets[chat]
