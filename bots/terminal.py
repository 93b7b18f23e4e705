"""The terminal: `askpix ask` goes through the same queue as every chat and streams the answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from bots.photos import prepare
from bots.phrases import say
from bots.wording import ending, waiting
from storage.connection import forever, persist
from storage.messages import Address, Ask, Delta, Done, Event, Final, Photo, Queued, Refused, Started, Turn, Waiting
from storage.stores import Stores
from storage.tasks import end

PLATFORM = "terminal"
PERSON = "terminal:owner"
LOOK = 0.5  # seconds between looks at the queue and the engine


class Screen:
    """Where the answer goes, on the standard streams.

    Without `stream` the answer is written whole, at the end: what went into a pipe cannot be taken back.
    """

    def __init__(self, out: TextIO, progress: TextIO) -> None:
        self.stream = out.isatty()
        self._out = out
        self._progress = progress
        self._shown = False

    def write(self, text: str) -> None:
        """Write a piece of the answer."""
        self._out.write(text)
        self._out.flush()

    def progress(self, text: str) -> None:
        """Show a person one short line, which the next one replaces."""
        # Only a line of ours is erased: the answer may stand on this one.
        if self._progress.isatty() and (text or self._shown):
            self._progress.write("\r\x1b[K" + text)
            self._progress.flush()
        self._shown = bool(text)


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
        """Ask and stream; returns how it ended. Raises Refused; when cancelled the ask is stopped too."""
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
            final = await persist(partial(self._end, ask))
        except asyncio.CancelledError:
            await self._stores.queue.cancel(ask.lane)
            raise
        finally:
            await end([following, looking])
        self._show(final)
        return final

    async def _photos(self, paths: Sequence[str]) -> tuple[Photo, ...]:
        limits = (await self._stores.health.room(len(paths))).limits
        found: list[Photo] = []
        for path in paths:
            try:
                data = await asyncio.to_thread(Path(path).read_bytes)
                prepared = await asyncio.to_thread(prepare, data, limits)
            except Refused as refusal:
                why = say(self._language, refusal.code, **refusal.details)
                raise Refused("cli.bad_photo", path=path, why=why) from refusal
            await self._stores.images.put(PERSON, prepared.photo, prepared.data)
            found.append(prepared.photo)
        return tuple(found)

    async def _end(self, ask: Ask) -> Final:
        replies = self._stores.replies
        while True:
            # What was read before the store went away, then what comes.
            for finished in await replies.pending(ask.outbox) or await replies.finished(ask.outbox):
                await replies.delivered(ask.outbox, finished)
                return finished.event

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
        if isinstance(final, Done):
            self._print(ending(self._language, final))
        if self._written:
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
                elif place is not None:
                    self._screen.progress(waiting(self._language, Queued(place, service.eta(place))))
