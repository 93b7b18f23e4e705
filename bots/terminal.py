"""The terminal: `askpix ask` goes through the same queue as every chat and streams the answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from bots.photos import prepare
from bots.wording import ending, waiting
from storage.connection import RETRY, StoreDown, forever
from storage.messages import Address, Ask, Delta, Done, Event, Final, Photo, Queued, Refused, Started, Turn, Waiting
from storage.stores import Stores

PLATFORM = "terminal"
PERSON = "terminal:owner"
LOOK = 0.5  # seconds between looks at the queue and the engine


class BadPhoto(Exception):
    """A photo on the command line cannot be taken."""

    def __init__(self, path: str, refusal: Refused) -> None:
        super().__init__(path)
        self.path = path
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the answer goes: `write` takes its text, `progress` one short line that the next one replaces.

    Without `stream` the answer is written whole, at the end: what went into a pipe cannot be taken back.
    """

    write: Callable[[str], None]
    progress: Callable[[str], None]
    stream: bool


def screen(out: TextIO, progress: TextIO) -> Screen:
    """A screen on the standard streams; progress is shown to a person only."""

    def write(text: str) -> None:
        out.write(text)
        out.flush()

    shown = False

    def line(text: str) -> None:
        nonlocal shown
        # Only a line of ours is erased: the answer may stand on this one.
        if progress.isatty() and (text or shown):
            progress.write("\r\x1b[K" + text)
            progress.flush()
        shown = bool(text)

    return Screen(write, line, out.isatty())


class Terminal:
    """One question from the command line."""

    def __init__(self, stores: Stores, screen: Screen, language: str) -> None:
        self._stores = stores
        self._screen = screen
        self._language = language
        self._written = ""
        self._text = ""
        self._fence = 0

    async def ask(self, photos: Sequence[str], question: str, *, go_on: bool = False) -> Final:
        """Ask and stream; returns how it ended. Raises BadPhoto and Refused; when cancelled the ask is stopped too."""
        session = secrets.token_hex(8)
        outbox = f"{PLATFORM}:{session}"
        former = await self._stores.history.latest(PERSON) if go_on else None
        conversation = former or outbox
        stored = await self._photos(photos)
        ask = Ask(
            id=f"{outbox}:1", person=PERSON, conversation=conversation, lane=outbox, outbox=outbox,
            where=Address(PLATFORM, session), question=Turn("user", question, stored), language=self._language,
            asked_at=time.time(), epoch=await self._stores.history.enter(PERSON, conversation),
        )  # fmt: skip
        await self._stores.replies.open_outbox(outbox, passing=True)
        listening = asyncio.Event()
        following = asyncio.create_task(forever(partial(self._follow, ask, listening)))
        looking = asyncio.create_task(forever(partial(self._look, ask)))
        try:
            await listening.wait()
            await self._stores.queue.enqueue(ask, passing=True)
            final = await self._end(ask)
        except asyncio.CancelledError:
            await self._stores.queue.cancel(ask.lane)
            raise
        finally:
            following.cancel()
            looking.cancel()
            await asyncio.gather(following, looking, return_exceptions=True)
        self._show(final)
        return final

    async def _photos(self, paths: Sequence[str]) -> tuple[Photo, ...]:
        limits = await self._stores.health.pixel_limits(len(paths))
        found: list[Photo] = []
        for path in paths:
            try:
                data = await asyncio.to_thread(Path(path).read_bytes)
                prepared = await asyncio.to_thread(prepare, data, limits)
            except Refused as refusal:
                raise BadPhoto(path, refusal) from refusal
            await self._stores.images.put(PERSON, prepared.photo, prepared.data)
            found.append(prepared.photo)
        return tuple(found)

    async def _end(self, ask: Ask) -> Final:
        replies = self._stores.replies
        while True:
            try:
                # What was read before the store went away, then what comes.
                for finished in await replies.pending(ask.outbox) or await replies.finished(ask.outbox):
                    await replies.delivered(ask.outbox, finished)
                    return finished.event
            except StoreDown:
                await asyncio.sleep(RETRY)

    async def _follow(self, ask: Ask, listening: asyncio.Event) -> None:
        async for notice in self._stores.replies.listen(ask.outbox):
            listening.set()
            if notice is not None:
                self._take(notice.event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Started):
            self._fence, self._text = event.fence, ""
        elif isinstance(event, Delta) and event.fence == self._fence and event.offset == len(self._text.encode()):
            self._text += event.text
            if self._screen.stream:
                self._screen.progress("")
                self._print(self._text)

    def _print(self, text: str) -> None:
        """Print what is new. A second try may differ from what stands there: then it begins on a line of its own."""
        if text.startswith(self._written):
            self._screen.write(text[len(self._written) :])
            self._written = text
        elif not self._written.startswith(text):
            self._screen.write("\n" + text)
            self._written = text

    def _show(self, final: Final) -> None:
        self._screen.progress("")
        words = ending(self._language, final)
        if isinstance(final, Done):
            self._print(words)
            self._screen.write("\n")
        elif self._written:
            self._screen.write("\n")

    async def _look(self, ask: Ask) -> None:
        """Say what the ask waits for, until its text comes."""
        while True:
            await asyncio.sleep(LOOK)
            if not self._text:
                service = await self._stores.health.service()
                place = (await self._stores.queue.places([ask.id]))[0]
                if service.reason:
                    self._screen.progress(waiting(self._language, Waiting(service.reason)))
                elif place is not None and service.paused:
                    self._screen.progress(waiting(self._language, Waiting("paused")))
                elif place is not None:
                    self._screen.progress(waiting(self._language, Queued(place, service.eta(place))))
