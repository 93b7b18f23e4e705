"""Shows every open ask of one platform until its reply is whole there.

One follower an ask, each with its own task: a chat that must wait holds nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress

from bots.files import Files
from bots.follower import Follower
from bots.pace import Pace
from bots.results import Results
from bots.surface import Surface, SurfaceError
from bots.tools import Tools
from storage.connection import forever
from storage.health import Service
from storage.logs import about
from storage.messages import Address, Ask, Queued, Waiting
from storage.replies import Finished
from storage.stores import Stores
from storage.tasks import end, first_of

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between looks at the queue and the engine
SETTLE = 2.0  # seconds before a place is shown: most asks are claimed at once
KNOWN_WAYS = 1000  # people whose last word to us is remembered
TYPING = 4  # ticks; platforms show a typing action for about five seconds


class Delivery:
    """`follow`, `redo` and `resume` are called by intake; `run` does the rest until it is stopped."""

    def __init__(self, surface: Surface, stores: Stores) -> None:
        self._surface = surface
        self._replies = stores.replies
        self._queue = stores.queue
        self._health = stores.health
        self._outbox = surface.platform
        files = Files(surface.fetch, stores)
        self.tools = Tools(surface, stores.replies, stores.queue, Pace(), files, Results(files, stores))
        self._followers: dict[str, Follower] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ways: dict[str, Address] = {}  # in which people spoke to us last

    def follow(self, ask: Ask) -> None:
        """Show a fresh ask from now on."""
        if ask.id not in self._followers:
            self._start(Follower(self.tools, ask, stale=True))  # a quick worker's first words came before us

    async def redo(self, ask: Ask, fence: int) -> None:
        """Show an ask that was asked anew, under `fence`, in its old slots."""
        if ask.id not in self._followers:
            await self.resume(ask.id)
        if ask.id in self._followers:  # else it is answered and shown by now
            self._followers[ask.id].redo(ask, fence)

    async def reach(self, person: str, where: Address) -> None:
        """Somebody spoke to us: show what could not be shown before that, though it be found only later."""
        self._ways.pop(person, None)
        self._ways[person] = where
        if len(self._ways) > KNOWN_WAYS:
            del self._ways[next(iter(self._ways))]
        for follower in [*self._followers.values()]:
            if follower.ask.person == person:
                await follower.reach(where)

    async def resume(self, id: str, *, closed: bool = False) -> None:
        """Follow an ask of a former life. A closed one is followed only for the outbox entry that closed it."""
        if id in self._followers:
            return
        found = await self._replies.progress(id)
        if found and (closed or found.open) and id not in self._followers:  # it may be followed by now
            self._start(Follower(self.tools, found.ask, found.slots, fence=found.fence, stale=not closed))

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; what is not delivered then is still in the outbox."""
        try:
            await first_of(stop.wait(), *(forever(loop) for loop in (self._listen, self._collect, self._look)))
        finally:
            await end(self._tasks)

    async def _listen(self) -> None:
        missed = True
        async for notice in self._replies.listen(self._outbox):
            if notice is not None and notice.id in self._followers:
                self._followers[notice.id].notice(notice.event)
            if missed:  # what was announced while nobody listened
                for follower in self._followers.values():
                    follower.refresh()
                missed = False

    async def _collect(self) -> None:
        """Read the outbox: what a former life left there first, then what comes."""
        await self._replies.open_outbox(self._outbox)
        for id in await self._replies.open_asks(self._outbox):
            await self.resume(id)
        after = "0"
        while pending := await self._replies.pending(self._outbox, after):
            for finished in pending:
                await self._end(finished)
            after = pending[-1].entry
        while True:
            for finished in await self._replies.finished(self._outbox):
                await self._end(finished)

    async def _look(self) -> None:
        tick = 0
        while True:
            await asyncio.sleep(TICK)
            tick += 1
            waiting = [follower for follower in self._followers.values() if not follower.final]
            if waiting:
                service = await self._health.service()
                places = await self._queue.places([follower.ask.id for follower in waiting])
                for follower, place in zip(waiting, places, strict=True):
                    # Not at once: most answers begin by then, and the engine is asked first. Nor after its end.
                    if not (follower.seen or follower.final):
                        follower.seen = True
                        self._spawn(self._adorn(self._surface.sign(follower.ask.where, "seen")))
                    self._judge(follower, service, place, typing=tick % TYPING == 0)

    def _judge(self, follower: Follower, service: Service, place: int | None, *, typing: bool) -> None:
        """Tell a follower what its ask waits for."""
        if service.reason:
            follower.status(Waiting(service.reason))
        elif place is None:
            follower.status(None)
            if typing and not follower.text:
                self._spawn(self._adorn(self._surface.typing(follower.ask.where)))
        elif service.paused:
            follower.status(Waiting("paused"))
        elif asyncio.get_running_loop().time() - follower.since > SETTLE:
            follower.status(Queued(place, service.eta(place)))

    async def _adorn(self, ornament: Coroutine[None, None, None]) -> None:
        with suppress(SurfaceError):
            await ornament

    async def _end(self, finished: Finished) -> None:
        await self.resume(finished.id, closed=True)
        follower = self._followers.get(finished.id)
        if follower and follower.end(finished):
            return
        if not follower:
            log.warning("%s is finished, but nothing is known of it", finished.id)
        await self._replies.delivered(self._outbox, finished)

    def _start(self, follower: Follower) -> None:
        follower.way = self._ways.get(follower.ask.person)
        self._followers[follower.ask.id] = follower
        self._spawn(self._follow(follower))

    async def _follow(self, follower: Follower) -> None:
        about(follower.ask.id)
        try:
            await follower.run()
        except Exception as error:  # the last guard: one reply's bug must not stop the others; it stays in the outbox
            log.exception("cannot show %s", follower.ask.id, exc_info=error)
        finally:
            del self._followers[follower.ask.id]

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
