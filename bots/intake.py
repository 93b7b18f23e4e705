"""From a platform's inbox to the queue: admit, download, prepare, store the photos, enqueue, show the first slot.

Several downloads run at once; each person's messages keep their order. An entry is acknowledged when its ask is
enqueued or its sender was told why not. After a crash it is read again; an ask's id keeps it from being asked twice.
"""

from __future__ import annotations

import asyncio
import logging
import time

from bots.commands import Commands
from bots.delivery import Delivery
from bots.photos import MAX_MEGABYTES, prepare
from bots.phrases import say
from bots.surface import FileRef, Incoming, Surface, SurfaceError, Unreachable
from storage.connection import forever, persist
from storage.health import Health
from storage.history import History
from storage.images import Images
from storage.inbox import Entry, Inbox
from storage.limits import Limits
from storage.logs import describe
from storage.messages import Ask, Photo, Quote, Refused, Turn
from storage.queue import Queue
from storage.tasks import end, first_of
from storage.vision import CHAT_LIMITS, PixelLimits, share

log = logging.getLogger(__name__)

DOWNLOADS = 8  # at once; each may hold 20 MB and a decoded picture
DOWNLOAD_TRIES = 5


class Intake:
    """One platform's intake."""

    def __init__(
        self, surface: Surface, inbox: Inbox, queue: Queue, history: History, images: Images, limits: Limits,
        health: Health, delivery: Delivery, commands: Commands,
    ) -> None:  # fmt: skip
        self._surface = surface
        self._inbox = inbox
        self._queue = queue
        self._history = history
        self._images = images
        self._limits = limits
        self._health = health
        self._delivery = delivery
        self._commands = commands
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._turns: dict[str, asyncio.Task[None]] = {}
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
        person = incoming.person if incoming else ""
        task = asyncio.create_task(self._handle(entry, incoming, self._turns.get(person)))
        self._tasks[entry.id] = task
        if incoming:
            self._turns[person] = task

        def done(task: asyncio.Task[None]) -> None:
            del self._tasks[entry.id]
            if self._turns.get(person) is task:
                del self._turns[person]

        task.add_done_callback(done)

    async def _handle(self, entry: Entry, incoming: Incoming | None, former: asyncio.Task[None] | None) -> None:
        if former:
            await asyncio.wait([former])
        try:
            if incoming:  # may be repeated from its start when the store was away in between
                await persist(lambda: self._admit(incoming))
        except Exception as error:  # the last guard: a bug on one update must not stop the others
            log.exception("an update could not be taken", exc_info=error)
            if incoming:
                await self._delivery.say(incoming.where, say(incoming.language, "went_wrong"))
        await persist(lambda: self._inbox.done(entry))

    async def _admit(self, incoming: Incoming) -> None:
        try:
            if await self._commands.admits(incoming) and not await self._commands.run(incoming):
                await self._ask(incoming)
        except Refused as refusal:
            await self._delivery.say(incoming.where, say(incoming.language, refusal.code, **refusal.details))

    async def _ask(self, incoming: Incoming) -> None:
        """Make an ask of a message. Raises Refused."""
        if not incoming.text and not incoming.photos:
            raise Refused("unreadable")
        started = time.time()
        _, epoch = await asyncio.gather(
            self._limits.take(incoming.person), self._history.enter(incoming.person, incoming.conversation)
        )
        photos = await self._photos(incoming, incoming.photos + incoming.quote_photos)
        own, quoted = photos[: len(incoming.photos)], photos[len(incoming.photos) :]
        quote = Quote(incoming.quote_text, quoted) if incoming.quote_text or quoted else None
        text = incoming.text or say(incoming.language, "default_question")
        ask = Ask(
            id=incoming.id, person=incoming.person, conversation=incoming.conversation, lane=incoming.person,
            outbox=self._surface.platform, where=incoming.where, question=Turn("user", text, own, quote),
            language=incoming.language, asked_at=started, epoch=epoch,
        )  # fmt: skip
        if await self._queue.enqueue(ask):
            self._delivery.follow(ask)
        else:  # enqueued before a crash, or before the store's answer was lost
            await self._delivery.resume(ask.id)

    async def _photos(self, incoming: Incoming, files: tuple[FileRef, ...]) -> tuple[Photo, ...]:
        """Download, prepare and store photos, for the model that runs."""
        if not files:
            return ()
        model = await self._health.model()
        limits = CHAT_LIMITS
        if model:
            limits = share(PixelLimits(model.min_pixels, model.max_pixels), len(files), model.context)
        return tuple([await self._photo(incoming.person, file, limits) for file in files])

    async def _photo(self, person: str, file: FileRef, limits: PixelLimits) -> Photo:
        if file.size is not None and file.size > MAX_MEGABYTES * 1_000_000:
            raise Refused("too_large", limit=MAX_MEGABYTES)
        if file.mime and not file.mime.startswith("image/") and file.mime != "application/octet-stream":
            raise Refused("unsupported_image", kind=file.mime.rpartition("/")[2])
        for attempt in range(DOWNLOAD_TRIES):
            await asyncio.sleep(0.25 * 2**attempt if attempt else 0)  # outside: who waits for a retry holds no download
            async with self._downloads:
                data = await self._fetch(file)
                if data is not None:
                    prepared = await asyncio.to_thread(prepare, data, limits)
                    await self._images.put(person, prepared.photo, prepared.data)
                    return prepared.photo
        raise Refused("download_failed")

    async def _fetch(self, file: FileRef) -> bytes | None:
        """A file's bytes; None when another try may give them."""
        try:
            return await self._surface.fetch(file)
        except Unreachable as error:
            log.info("a download failed: %s", describe(error))
            return None
        except SurfaceError as error:
            raise Refused("download_failed") from error
