"""The terminal: `askpix ask` goes through the same queue as every chat and streams the answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TextIO

from msgspec import structs

from bots.files import Files
from bots.phrases import say
from bots.question import Questions, Reasons
from bots.results import Results
from bots.surface import FileRef, Incoming
from bots.tasks import UNREAD, form
from bots.wording import ending, waiting
from storage.connection import forever, persist
from storage.messages import Address, Ask, Delta, Done, Event, Final, Queued, Refused, Started, Waiting
from storage.stores import Stores
from storage.tasks import end

PLATFORM = "terminal"
PERSON = "terminal:owner"
LOOK = 0.5  # seconds between looks at the queue and the engine


async def _read(file: FileRef) -> bytes:
    return await asyncio.to_thread(Path(file.id).read_bytes)


def _write(path: Path, data: bytes) -> Path:
    """Write a file, under another name where there is one of this name; its path."""
    names = chain((path,), (path.with_stem(f"{path.stem}-{n}") for n in count(2)))
    fresh = next(each for each in names if not each.exists())
    fresh.write_bytes(data)
    return fresh


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
        files = Files(_read, stores)
        self._questions = Questions(files, stores)
        self._results = Results(files, stores)
        self._written = ""
        self._text = ""
        self._fence = 0
        self._quiet = False

    async def ask(self, photos: Sequence[str], question: str, *, go_on: bool = False) -> Final:
        """Ask and stream; returns how it ended. Raises Refused; when cancelled the ask is stopped too.

        Files that go with the answer are written into the current folder.
        """
        session = secrets.token_hex(8)
        outbox = f"{PLATFORM}:{session}"
        former = await self._stores.history.latest(PERSON) if go_on else None
        conversation = former or outbox
        ask = Ask(
            id=f"{outbox}:1", person=PERSON, conversation=conversation, lane=outbox, outbox=outbox,
            where=Address(PLATFORM, session), language=self._language, asked_at=time.time(),
            epoch=await self._stores.history.enter(PERSON, conversation),
        )  # fmt: skip
        ask = await self._asking(ask, photos, question)
        await self._stores.replies.open_outbox(outbox, passing=True)
        final = await self._answer(ask)
        if isinstance(final, Done) and (anew := await self._results.closer(ask, final.text)):
            ask = structs.replace(anew, id=f"{outbox}:2")
            final = await self._answer(ask)
        self._screen.progress("")
        if isinstance(final, Done):
            result = await self._results.of(ask, final.text)
            self._print(ending(self._language, structs.replace(final, text=result.text)))
            for name, data in result.files:
                path = await asyncio.to_thread(_write, Path(name), data)
                self._screen.write("\n" + say(self._language, "cli.wrote", path=path))
        if self._written:
            self._screen.write("\n")
        return final

    async def _asking(self, ask: Ask, paths: Sequence[str], question: str) -> Ask:
        """The ask with what these files and words ask. Raises Refused."""
        asker = Incoming(ask.id, PERSON, ask.conversation, ask.where, ask.language, question)
        messages = [structs.replace(asker, photos=(FileRef(path),)) for path in paths] or [asker]
        refused: Reasons = {}
        try:
            return (await self._questions.read(messages, None, refused)).on(ask)
        except Refused as refusal:
            if refusal.code not in refused:
                raise
            (file,), why = refused[refusal.code][0].photos, say(self._language, refusal.code, **refusal.details)
            raise Refused("cli.bad_photo", path=file.id, why=why) from refusal

    async def _answer(self, ask: Ask) -> Final:
        """Enqueue it and follow it to its end."""
        self._text, self._fence, self._quiet = "", 0, form(ask.task) in UNREAD
        listening = asyncio.Event()
        following = asyncio.create_task(forever(partial(self._follow, ask, listening)))
        looking = asyncio.create_task(forever(partial(self._look, ask)))
        try:
            await listening.wait()
            await self._stores.queue.enqueue(ask, passing=True)
            return await persist(partial(self._end, ask))
        except asyncio.CancelledError:
            await self._stores.queue.cancel(ask.lane)
            raise
        finally:
            await end([following, looking])

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
            if self._screen.stream and not self._quiet:
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
