"""What shows things beside an answer's slots: sentences, messages and files, each within its chat's rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bots.files import Files
from bots.pace import Pace
from bots.results import Results
from bots.surface import Button, Flooded, Moved, Page, Surface, SurfaceError, Unreachable
from storage.messages import Address
from storage.queue import Queue
from storage.replies import Replies

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0  # seconds between tries while the platform is unreachable


@dataclass(frozen=True, slots=True)
class Tools:
    """What every follower of one outbox shares."""

    surface: Surface
    replies: Replies
    queue: Queue
    pace: Pace
    files: Files
    results: Results

    async def say(self, where: Address, text: str, buttons: tuple[Button, ...] = ()) -> str:
        """Send a text, within the chat's rate; its message, or ""."""
        return await self.show(where, Page(text, buttons=buttons))

    async def show(self, where: Address, page: Page) -> str:
        """Send a message that is no slot; tried until the platform takes or refuses it. Its message, or ""."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                return await self._send(where, lambda where: self.surface.place(where, page))
            except Unreachable:
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LONGEST_BACKOFF)

    async def send_file(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        """Send a file, once; returns its message, "" when it is not known to have arrived."""
        with suppress(Unreachable):
            return await self._send(where, lambda where: self.surface.send(where, name, data, buttons))
        return ""

    async def _send(self, where: Address, call: Callable[[Address], Awaitable[str]]) -> str:
        """Send something when its chat's turn comes, to where that has moved; "" if refused. Raises Unreachable."""
        while True:
            await self.pace.turn(where.bucket, self.surface.rate(where))
            try:
                return await call(where)
            except Flooded as flood:
                self.pace.flooded(where.bucket, flood.seconds)
            except Moved as moved:
                where = where.moved(moved.chat)
            except Unreachable:
                raise
            except SurfaceError as error:
                log.info("%s takes nothing: %s", where.chat, type(error).__name__)
                return ""
