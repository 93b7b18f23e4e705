"""One open ask on its surface: what is known of it, what its slots should show, and the task that shows it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

from msgspec import structs

from bots.extracts import plain
from bots.phrases import say
from bots.results import Result
from bots.surface import Button, Closed, Flooded, Gone, Later, Moved, Page, SurfaceError, Unfit, Unreachable
from bots.tasks import UNREAD, form
from bots.tools import FIRST_BACKOFF, LONGEST_BACKOFF, Tools
from bots.wording import ending, waiting
from storage.connection import persist
from storage.messages import (
    Address,
    Ask,
    Cancelled,
    Delta,
    Done,
    Event,
    Failed,
    Queued,
    Refused,
    Started,
    Turn,
    Waiting,
)  # fmt: skip
from storage.replies import Finished

log = logging.getLogger(__name__)

LONG_WAIT = 60.0  # seconds in line after which a message of its own says that the answer is there: edits do not notify


class Follower:
    """Events change what is known; `run` writes the newest of it, one call at a time, and ends when all is shown."""

    def __init__(
        self, tools: Tools, ask: Ask, slots: list[str] | None = None, *, fence: int = 0, stale: bool = False
    ) -> None:
        self.ask = ask
        self.final: Finished | None = None
        self._result: Result | None = None  # of the final reply
        self.fence = fence
        self.text = b""
        self.since = asyncio.get_running_loop().time()
        self.seen = False  # its asker has a sign of it
        self.way: Address | None = None  # in which its asker spoke to us last, until it was tried
        self._tools = tools
        self._slots = slots or []
        self._placed = len(self._slots)
        self._shown: list[Page | None] = [None] * len(self._slots)
        self._status: Queued | Waiting | None = None
        self._stale = stale
        self._plain = False
        self._closed = False
        self._held = False  # until its asker speaks to us again
        self._offer_file = False
        self._backoff = FIRST_BACKOFF
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

    def end(self, final: Finished) -> bool:
        """The reply is final; False when its ask was asked anew since."""
        if final.fence < self.fence:
            return False
        self.final, self._result = final, None  # it may come in place of a former one, before `redo` does
        self._ended.set()
        self._changed.set()
        return True

    def redo(self, ask: Ask, fence: int) -> None:
        """The ask is asked anew: what was shown of lower fences is dead."""
        self.ask = ask
        if self.final and fence <= self.final.fence:
            return  # it was even closed before its asker's process came to tell us
        if fence >= self.fence:  # else it was claimed by then, and this is its text
            self.fence, self.text, self._status = fence, b"", None
        self.final, self._result = None, None
        self._offer_file, self._closed, self._plain, self.seen = False, False, False, False
        self._ended.clear()
        self._changed.set()

    async def reach(self, where: Address) -> None:
        """Its asker spoke to us, here: what has to wait for that, or soon will, can be shown."""
        self.way = where
        if self._held:
            self._held = False
            await self._reached()
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
            if self._stale and self._slots and not self.final:  # the first slot does not wait for that
                await persist(self._catch_up)
            while not self._closed and not self._held and not await self._step():
                pass
            final = self.final
            if self._held or (final and not self._result and not self._closed):  # which came just now
                continue
            if not final:
                await self._meanwhile()
                continue
            if not self._closed:
                await self._accompany(final)
                if self._next():  # the file is offered by a button
                    self._changed.set()
                    continue
            await persist(partial(self._tools.replies.delivered, self._tools.surface.platform, final))
            if self.final is final:  # else it was asked anew meanwhile
                return

    async def _step(self) -> bool:
        """Do what comes next; True when everything is shown."""
        return not await self._resolve() and await self._write()

    async def _resolve(self) -> bool:
        """Make of a final reply what is shown of it, or ask what it leads to; False when there is none to be made."""
        final, tools = self.final, self._tools
        if not final or self._result:
            return False
        event = final.event
        if self.ask.question == Turn() and (found := await persist(partial(tools.queue.find, self.ask.id))):
            self.ask = found.ask  # of a former life
        try:
            closer = partial(tools.results.closer, self.ask, event.text) if isinstance(event, Done) else None
            anew = await persist(closer) if closer else None
            if anew and await persist(partial(tools.queue.amend, anew, final.fence)) == "ok":
                self.redo(anew, final.fence + 1)
                return True
        except Refused as refusal:
            event = Failed(refusal.code, refusal.details)
        result = Result("")
        if isinstance(event, Done) and event.text.strip():
            result = await persist(partial(tools.results.of, self.ask, event.text))
            event = structs.replace(event, text=result.text)
        if self.final is final:  # else it was asked anew meanwhile
            self._result = replace(result, text=ending(self.ask.language, event))
        return True

    async def _meanwhile(self) -> None:
        if self._closed:  # nobody reads the answer: the engine is free for others
            await persist(partial(self._tools.queue.cancel, self.ask.lane, id=self.ask.id))
        elif self._stale:
            self._changed.set()

    async def _accompany(self, final: Finished) -> None:
        """What goes with a whole reply, each at most once: its files, a note after a long wait."""
        event, ask, tools = final.event, self.ask, self._tools
        mark = partial(tools.replies.mark, ask.id, final.fence)
        for name, data in self._result.files if self._result else ():
            former = await persist(partial(mark, name))
            if former is None:
                former = await tools.send_file(ask.where, name, data)
                await persist(partial(tools.replies.mark_sent, ask.id, final.fence, name, former))
            self._offer_file = self._offer_file or not former  # whether it arrived is not known: sent again on demand
        waited = time.time() - ask.asked_at - (event.seconds if isinstance(event, Done) else 0.0)
        noted = not ask.asked_at or waited < LONG_WAIT or isinstance(event, Cancelled)
        if not noted and await persist(partial(mark, "note")) is None:
            await tools.say(ask.where, say(ask.language, "ready_note"))
        with suppress(SurfaceError):  # an ornament
            await tools.surface.sign(ask.where, "done" if isinstance(event, Done) else "")

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

    def _next(self) -> tuple[int, Page | None] | None:
        """The first slot that does not show what it should, and what that is: None for a slot too many."""
        pages: list[Page | None] = [*self._pages()]
        # After a shorter second try a slot too many is left: it says nothing rather than something dead, and goes.
        blank = Page(say(self.ask.language, "placeholder"))
        pages += [None if self.final and shown == blank else blank for shown in self._shown[len(pages) :]]
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
        await pace.turn(where.bucket, surface.rate(where), progress_until=self._ended if self._slots else None)
        await self._resolve()  # an end may have come meanwhile
        todo = self._next()  # newer than before the wait
        if todo is None:
            return True
        try:
            await self._call(*todo)
            self._backoff = FIRST_BACKOFF
        except Flooded as flood:
            pace.flooded(where.bucket, flood.seconds)
        except Unreachable:
            await asyncio.sleep(self._backoff)
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        except Gone:
            await self._drop_slot(todo[0])
        except Unfit as error:
            self._make_plain(todo[0], error)
        except Moved as moved:
            await self._go(where.moved(moved.chat))
        except Later:
            self._held = not await self._reached()
        except Closed:
            log.info("%s: the chat is closed", self.ask.id)
            self._closed = True
        return False

    async def _reached(self) -> bool:
        """Answer where its asker spoke to us last; False when that was tried, or never was."""
        way, self.way = self.way, None
        if way:
            await self._go(way)
        return way is not None

    async def _go(self, where: Address) -> None:
        """Answer at another place; the slots of the former one are lost."""
        self.ask = structs.replace(self.ask, where=where)
        self._slots, self._shown = [], []
        await persist(partial(self._tools.replies.move, self.ask))

    async def _call(self, index: int, page: Page | None) -> None:
        where, surface = self.ask.where, self._tools.surface
        if page is None:
            with suppress(Gone, Unfit):  # too old to be taken away: it stays, and says nothing
                await surface.remove(where, self._slots[index])
            await self._drop_slot(index)
            return
        if index < len(self._slots):
            await surface.edit(where, self._slots[index], page)
            self._shown[index] = page
            return
        blank = Page(say(self.ask.language, "placeholder"), buttons=page.buttons)
        message = await surface.place(where, blank, f"{self.ask.id}:{self._placed}")
        self._placed += 1
        # The id is stored before any text is edited in: a crash in between leaves an empty message, never two answers.
        await persist(lambda: self._tools.replies.add_slot(self.ask, message))
        self._slots.append(message)
        self._shown.append(blank)

    async def _drop_slot(self, index: int) -> None:
        if index < len(self._slots):
            del self._slots[index], self._shown[index]
            await persist(lambda: self._tools.replies.set_slots(self.ask.id, self._slots))

    def _make_plain(self, index: int, error: Unfit) -> None:
        if self._plain:
            log.warning("%s: slot %d cannot be shown: %s", self.ask.id, index, error)
            self._closed = True
        self._plain = True

    def _pages(self) -> list[Page]:
        key = (self.final, self._result, self._status, self.text, self._plain, self._offer_file)
        if self._rendered[0] != key:
            pages = self._tools.surface.pages(self._words())
            if self._plain:
                pages = [Page(page.text) for page in pages]
            codes = ("stop",)
            if self.final:
                codes = (*self._tools.surface.offers, "file") if self._offer_file else self._tools.surface.offers
            buttons = tuple(Button(code, say(self.ask.language, f"button.{code}")) for code in codes)
            pages[-1] = replace(pages[-1], buttons=buttons + (self._result.buttons if self._result else ()))
            self._rendered = (key, pages)
        return self._rendered[1]

    def _words(self) -> str:
        language = self.ask.language
        if self._result:
            return self._result.text
        if self._status:
            return waiting(language, self._status)
        text = self.text.decode(errors="ignore").rstrip(" ")
        shown = form(self.ask.task)
        if text and shown in UNREAD:
            return say(language, f"working_{shown}", n=len(text))
        text = f"```\n{plain(text)}" if text and shown == "copy" else text
        return f"{text} …" if text else say(language, "placeholder")
