"""What a platform tells once and wants acknowledged within seconds: a file keeps it while the store is away."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from storage.connection import persist
from storage.inbox import Inbox
from storage.tasks import end

log = logging.getLogger(__name__)

HOLD = 2.0  # seconds for the store to take something in


class Held:
    """The folder of what waits for the store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._late: set[asyncio.Task[None]] = set()

    async def put(self, inbox: Inbox, update: str, raw: bytes) -> None:
        """Put an update into the inbox, now or later; durable on return. The same one within a day counts once."""
        putting = asyncio.create_task(self._into(inbox, update, raw))
        self._late.add(putting)
        putting.add_done_callback(self._late.discard)
        await asyncio.wait([putting], timeout=HOLD)
        if not putting.done():
            try:
                await asyncio.to_thread(self._write, update, raw)
            except OSError as error:
                log.warning("nothing can be held on the disk while the store is away: %s", error.strerror)
                await putting
        if putting.done():  # by now; and it may have found no file yet to take away
            putting.result()
            self._forget(update)

    async def recover(self, inbox: Inbox) -> None:
        """Put what a former life left."""
        for path in sorted(self.folder.glob("*.held")):
            await self._into(inbox, path.stem, path.read_bytes())

    async def close(self) -> None:
        """What is late still is left to the next life."""
        await end(self._late)

    async def _into(self, inbox: Inbox, update: str, raw: bytes) -> None:
        await persist(partial(inbox.put, update, raw))
        self._forget(update)

    def _forget(self, update: str) -> None:
        with suppress(OSError):  # mostly there is none
            self._path(update).unlink()

    def _path(self, update: str) -> Path:
        return self.folder / f"{update}.held"

    def _write(self, update: str, raw: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path(update).with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._path(update))
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
