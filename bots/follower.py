"""One open ask on its surface: what is known of it, what its slots should show, and the task that shows it."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from functools import partial

from bots.pace import Pace
from bots.phrases import phrases, say
from bots.surface import Closed, Flooded, Gone, Page, Surface, Unfit, Unreachable
from storage.connection import persist
from storage.messages import Ask, Cancelled, Delta, Done, Event, Failed, Queued, Started, Waiting
from storage.replies import Finished, Replies

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 30.0  # seconds between tries while the platform is unreachable


@dataclass(frozen=True, slots=True)
class Tools:
    """What every follower of one outbox shares."""

    surface: Surface
    replies: Replies
    pace: Pace
    outbox: str


class Follower:
    """Events change what is known; `run` writes the newest of it, one call at a time, and ends when all is shown."""

    def __init__(self, tools: Tools, ask: Ask, slots: list[str] | None = None, *, stale: bool = False) -> None:
        self.ask = ask
        self.final: Finished | None = None
        self.fence = 0
        self.text = b""
        self.since = asyncio.get_running_loop().time()
        self._tools = tools
        self._slots = slots or []
        self._shown: list[Page | None] = [None] * len(self._slots)
        self._status: Queued | Waiting | None = None
        self._stale = stale
        self._plain = False
        self._closed = False
        self._backoff = 0.5
        self._ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._changed.set()
        self._rendered: tuple[object, list[Page]] = (None, [])

    def notice(self, event: Event) -> None:
        """Take in what the worker or the queue announced."""
        if isinstance(event, Started) and event.fence > self.fence:
            self.fence, self.text, self._status = event.fence, b"", None
        elif isinstance(event, Delta):
            self._grow(event)
        elif isinstance(event, Waiting):
            self.text, self._status = b"", event
        self._changed.set()

    def status(self, status: Queued | Waiting | None) -> None:
        """What the ask waits for, None when it is being answered."""
        if status != self._status:
            self._status = status
            self._changed.set()

    def end(self, final: Finished) -> None:
        """The reply is final."""
        self.final = final
        self._ended.set()
        self._changed.set()

    def refresh(self) -> None:
        """Something may have been missed: read the state again before the next write."""
        self._stale = True
        self._changed.set()

    async def run(self) -> None:
        """Show until the final reply is whole, then acknowledge it."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._stale and not self.final:
                await persist(self._catch_up)
            while not self._closed and not await self._write():
                pass
            if self.final and (self._closed or self._next() is None):
                await persist(partial(self._tools.replies.delivered, self._tools.outbox, self.final))
                return

    def _grow(self, delta: Delta) -> None:
        """Apply only what lies beyond; text of a lower fence is dead, a gap is read again."""
        if delta.fence < self.fence:
            return
        if delta.fence > self.fence:
            self.fence, self.text = delta.fence, b""
        if delta.offset > len(self.text):
            self._stale = True
            return
        self._status = None
        self.text += delta.text.encode()[len(self.text) - delta.offset :]

    async def _catch_up(self) -> None:
        self._stale = False
        found = await self._tools.replies.progress(self.ask.id)
        if found and (found.fence, len(found.text)) > (self.fence, len(self.text)):
            self.fence, self.text, self._status = found.fence, found.text, None

    def _next(self) -> tuple[int, Page] | None:
        """The first slot that does not show what it should, and what that is."""
        pages = self._pages()
        # After a shorter second try a slot too many is left: it says nothing rather than something dead.
        pages += [Page(say(self.ask.language, "placeholder"))] * (len(self._slots) - len(pages))
        for index, page in enumerate(pages):
            if index >= len(self._slots) or self._shown[index] != page:
                return index, page
        return None

    async def _write(self) -> bool:
        """At most one call to the platform; True when everything is shown."""
        if self._next() is None:
            return True
        where, surface, pace = self.ask.where, self._tools.surface, self._tools.pace
        # Progress leaves one call of the chat's burst for placing and for ends; an end that comes meanwhile takes it.
        await pace.turn(where.chat, surface.rate(where), progress_until=self._ended if self._slots else None)
        todo = self._next()  # newer than before the wait
        if todo is None:
            return True
        try:
            await self._call(*todo)
            self._backoff = 0.5
        except Flooded as flood:
            pace.flooded(where.chat, flood.seconds)
        except Unreachable:
            await asyncio.sleep(self._backoff)
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        except Gone:
            await self._replace_slot(todo[0])
        except Unfit as error:
            self._make_plain(todo[0], error)
        except Closed:
            log.info("%s: the chat is closed", self.ask.id)
            self._closed = True
        return False

    async def _call(self, index: int, page: Page) -> None:
        where, surface = self.ask.where, self._tools.surface
        if index < len(self._slots):
            await surface.edit(where, self._slots[index], page)
            self._shown[index] = page
            return
        placeholder = say(self.ask.language, "placeholder")
        message = await surface.place(where, placeholder)
        # The id is stored before any text is edited in: a crash in between leaves an empty message, never two answers.
        await persist(lambda: self._tools.replies.add_slot(self.ask, message))
        self._slots.append(message)
        self._shown.append(Page(placeholder))

    async def _replace_slot(self, index: int) -> None:
        if index < len(self._slots):
            del self._slots[index], self._shown[index]
            await persist(lambda: self._tools.replies.set_slots(self.ask.id, self._slots))

    def _make_plain(self, index: int, error: Unfit) -> None:
        if self._plain:
            log.warning("%s: slot %d cannot be shown: %s", self.ask.id, index, error)
            self._closed = True
        self._plain = True

    def _pages(self) -> list[Page]:
        key = (self.final, self._status, self.text, self._plain)
        if self._rendered[0] != key:
            pages = self._tools.surface.pages(self._words())
            self._rendered = (key, [Page(page.text) for page in pages] if self._plain else pages)
        return list(self._rendered[1])

    def _words(self) -> str:
        language = self.ask.language
        if self.final:
            return ending(language, self.final.event)
        if self._status:
            return waiting(language, self._status)
        text = self.text.decode(errors="ignore").rstrip(" ")
        return f"{text} …" if text else say(language, "placeholder")


def ending(language: str, event: Event) -> str:
    """The words of a final event."""
    match event:
        case Done(text=text, cut=cut):
            return _followed(text, say(language, "cut")) if cut else text.strip() or say(language, "empty_answer")
        case Cancelled(text=text):
            return _followed(text, say(language, "stopped"))
        case Failed(code=code, args=args):
            # A worker of a newer version may know a code that we have no words for.
            return say(language, code, **args) if code in phrases(language) else say(language, "went_wrong")
        case _:
            raise TypeError(type(event).__name__)


def _followed(text: str, sentence: str) -> str:
    """What had been written, and a sentence of ours, outside of a code block in which the text broke off."""
    text = text.strip()
    if sum(line.lstrip().startswith("```") for line in text.splitlines()) % 2:
        text += "\n```"
    return f"{text}\n\n{sentence}".strip()


def waiting(language: str, status: Queued | Waiting) -> str:
    """The words of a waiting ask: its reason, or its place and when its turn comes by measured speed."""
    if isinstance(status, Waiting):
        return say(language, status.reason)
    code = "next" if status.place == 0 else "place"
    if status.eta is None:
        return say(language, code, place=status.place + 1)
    return say(language, f"{code}_eta", place=status.place + 1, eta=duration(language, status.eta))


def duration(language: str, seconds: float) -> str:
    """A rough time: in steps of 5 s, from 90 s on in minutes."""
    if seconds < 90:
        return say(language, "seconds", n=5 * max(1, math.ceil(seconds / 5)))
    return say(language, "minutes", n=math.ceil(seconds / 60))
