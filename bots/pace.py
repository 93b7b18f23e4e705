"""How often each chat is written to. Waiting belongs to one chat, never to the bot."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from bots.surface import Rate


@dataclass(slots=True)
class _Chat:
    rate: Rate
    calls: deque[float] = field(default_factory=deque[float])  # when the last were, a burst of them
    progress: float = -math.inf  # when the last of them that was progress was
    closed_until: float = 0.0

    def free(self, spare: int) -> float:
        """From when on a call may be made that leaves `spare` others to be made at once; progress is spread evenly."""
        stretch, n = self.rate.burst * self.rate.seconds, self.rate.burst - spare
        free = self.calls[-n] + stretch if len(self.calls) >= n else 0.0
        return max(free, self.closed_until, self.progress + stretch / n if spare else 0.0)


class Pace:
    """No stretch of time ever holds more of a chat's calls than its rate says; a flood wait closes one chat."""

    def __init__(self) -> None:
        self._chats: dict[str, _Chat] = {}

    async def turn(self, chat: str, rate: Rate, *, progress_until: asyncio.Event | None = None) -> None:
        """Wait for this chat's next call and take it. Progress leaves one call for ends, until its own end is there."""
        loop = asyncio.get_running_loop()
        if len(self._chats) > 1000:
            self._sweep(loop.time())
        found = self._chats.setdefault(chat, _Chat(rate))
        while True:
            spare = min(1, rate.burst - 1) if progress_until and not progress_until.is_set() else 0
            now = loop.time()
            wait = found.free(spare) - now
            if wait <= 0:
                found.calls.append(now)
                if len(found.calls) > rate.burst:
                    found.calls.popleft()
                if spare:
                    found.progress = now
                return
            # Nothing is held meanwhile: an end may pass a progress that waits for more calls than it needs.
            if spare and progress_until:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await progress_until.wait()
            else:
                await asyncio.sleep(wait)

    def flooded(self, chat: str, seconds: float) -> None:
        """The platform closed this chat for a while; after it calls come one by one."""
        found = self._chats.get(chat)
        if found:
            until, rate = asyncio.get_running_loop().time() + seconds, found.rate
            found.closed_until = until
            found.calls = deque(until - n * rate.seconds for n in range(rate.burst - 1, 0, -1))

    def _sweep(self, now: float) -> None:
        """Chats that were quiet for ten minutes are as new."""
        quiet = [chat for chat, found in self._chats.items() if max([found.closed_until, *found.calls]) < now - 600]
        for chat in quiet:
            del self._chats[chat]
