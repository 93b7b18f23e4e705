"""From a platform's inbox to the rooms that do what it says: asks, commands, buttons, what befalls a chat.

Several downloads run at once; each person's messages keep their order. The messages of an album are taken in together
when no other came for a while. An entry is acknowledged when its ask is enqueued or its sender was told why not. After
a crash it is read again; an ask's id keeps it from being asked twice.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import structs

from bots.admin import STATUS_BUTTONS
from bots.asking import Asking
from bots.buttons import Buttons
from bots.commands import Commands
from bots.delivery import Delivery
from bots.phrases import say
from bots.surface import Incoming, Surface
from storage.connection import forever, persist
from storage.inbox import Entry, Inbox
from storage.limits import Limits
from storage.logs import about
from storage.stores import Stores
from storage.tasks import end, first_of

log = logging.getLogger(__name__)

QUIET = 0.8  # seconds after which an album counts as whole; a photo that comes later has it asked anew
UNADDRESSED = 4.0  # seconds that an album's photos wait in a group for the one that says they are for us
ALBUM = 10  # photos of an album at most


@dataclass(eq=False)
class _Parcel:
    """What is taken in together: one message, or those of an album that come close together."""

    entries: list[Entry]
    messages: list[Incoming]
    at: float  # when the newest came, by the loop's clock
    lines: set[str] = field(default_factory=set[str])  # in which it stands: its person's, and its album's
    after: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])  # whose turn comes before
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self) -> None:
        """Wait until no other message is waited for, and its turn has come."""
        await self._gather()
        while self.after:
            after, self.after = self.after, []
            await asyncio.wait(after)
            await self._gather()

    async def _gather(self) -> None:
        while (left := self.left(asyncio.get_running_loop().time())) > 0:
            self.more.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self.more.wait()

    def left(self, now: float) -> float:
        """Seconds until no other message is waited for."""
        if not self.messages or not self.messages[0].album or len(self.messages) >= ALBUM:
            return 0.0
        addressed = any(message.addressed for message in self.messages)
        return self.at + (QUIET if addressed else UNADDRESSED) - now


class Intake:
    """One platform's intake."""

    def __init__(
        self, surface: Surface, inbox: Inbox, delivery: Delivery, commands: Commands, buttons: Buttons, asking: Asking
    ) -> None:  # fmt: skip
        self._surface = surface
        self._inbox = inbox
        self._delivery = delivery
        self._commands = commands
        self._buttons = buttons
        self._asking = asking
        self._albums: dict[str, _Parcel] = {}  # by ask, while they are waited for
        self._turns: dict[str, asyncio.Task[None]] = {}  # by line, the newest
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by entry

    async def run(self, stop: asyncio.Event) -> None:
        """Take in until `stop`; what is in work then is read again at the next start."""
        try:
            await first_of(stop.wait(), forever(self._read))
        finally:
            await end(self._tasks.values())

    async def _read(self) -> None:
        """First what a former life left unacknowledged, then what comes. Begins anew after the store was away."""
        await self._inbox.open()
        after = "0"
        while pending := await self._inbox.pending(after):
            for entry in pending:
                self._take(entry)
            after = pending[-1].id
        while True:
            for entry in await self._inbox.read():
                self._take(entry)

    def _take(self, entry: Entry) -> None:
        """Start work on an entry, behind the same person's former one, unless it is in work already."""
        if entry.id in self._tasks:
            return
        try:
            incoming = self._surface.read(entry.raw)
        except Exception as error:  # the last guard: an update that nobody can read must not come again and again
            log.exception("an update could not be read", exc_info=error)
            incoming = None
        now = asyncio.get_running_loop().time()
        album = self._albums.get(incoming.id) if incoming and incoming.album else None
        if incoming and album:
            album.entries.append(entry)
            album.messages.append(incoming)
            album.at = now
            album.more.set()
            task = self._tasks[entry.id] = self._tasks[album.entries[0].id]
            self._line_up(album, incoming, task)
            return
        parcel = _Parcel([entry], [incoming] if incoming else [], now)
        if incoming and incoming.album:
            self._albums[incoming.id] = parcel
        task = self._tasks[entry.id] = asyncio.create_task(self._handle(parcel))
        if incoming:
            self._line_up(parcel, incoming, task)

        def done(task: asyncio.Task[None]) -> None:
            for taken in parcel.entries:
                del self._tasks[taken.id]
            for line in parcel.lines:
                if self._turns.get(line) is task:
                    del self._turns[line]

        task.add_done_callback(done)

    def _line_up(self, parcel: _Parcel, incoming: Incoming, task: asyncio.Task[None]) -> None:
        """Put a parcel behind the same person's former one, and a late one behind the rest of its album.

        A press waits for nobody: its ask is there already; nor does what befell the chat, which concerns everybody.
        Nor does anybody wait for what may not be for us, until one of its messages says that it is.
        """
        alone = incoming.button or incoming.event or not incoming.addressed
        for line in ("" if alone else incoming.person, incoming.id if incoming.album else ""):
            if line and line not in parcel.lines:
                parcel.lines.add(line)
                parcel.after += [self._turns[line]] if line in self._turns else []
                self._turns[line] = task

    async def _handle(self, parcel: _Parcel) -> None:
        stopped = 0
        if parcel.messages and parcel.messages[0].command == "stop":  # at once, and then what comes before it in line
            stopped = await persist(lambda: self._commands.stop(parcel.messages[0]))
        await parcel.complete()
        messages = sorted(parcel.messages, key=lambda message: message.number)
        about(messages[0].id if messages else "")
        if messages and messages[0].album:
            del self._albums[messages[0].id]
        try:
            if messages:  # may be repeated from its start when the store was away in between
                await persist(lambda: self._admit(messages, stopped))
        except Exception as error:  # the last guard: a bug on one update must not stop the others
            log.exception("an update could not be taken", exc_info=error)
            if not messages[0].button:
                await self._delivery.tools.say(messages[0].where, say(messages[0].language, "went_wrong"))
        await persist(lambda: self._inbox.done(*parcel.entries))

    async def _admit(self, messages: list[Incoming], stopped: int) -> None:
        messages = await self._commands.at_home(messages)
        lead = next((message for message in messages if message.command), messages[0])
        if lead.where.via or not lead.where.group:
            way = structs.replace(lead.where, via=lead.press) if lead.where.via else lead.where
            await self._delivery.reach(lead.person, way)
        if lead.button in STATUS_BUTTONS:
            await self._commands.admin.press(lead)
            return
        if lead.button:
            await self._buttons.press(lead)
            return
        if lead.event:
            await self._commands.event(lead)
            return
        if not await self._asking.concerns(messages) or not await self._commands.admits(lead):
            return
        if not (await self._commands.admin.command(lead) or await self._commands.run(lead, stopped)):
            await self._asking.ask(messages)


async def work(surface: Surface, stores: Stores, limits: Limits, stop: asyncio.Event) -> None:
    """All that lies behind an adapter, until `stop`: its platform's intake and delivery."""
    delivery = Delivery(surface, stores)
    commands, asking = Commands(stores, limits, delivery), Asking(surface, stores, limits, delivery)
    buttons, inbox = Buttons(surface, stores, limits, delivery), stores.inbox(surface.platform)
    intake = Intake(surface, inbox, delivery, commands, buttons, asking)
    await asyncio.gather(delivery.run(stop), intake.run(stop), commands.admin.run(stop))
