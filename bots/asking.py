"""From messages to an ask: download, prepare and store the photos, word the question, enqueue it or ask it anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container, Mapping, Sequence

from msgspec import structs

from bots.delivery import Delivery
from bots.photos import MAX_MEGABYTES, prepare
from bots.phrases import say
from bots.surface import FileRef, Incoming, Surface, SurfaceError, Unreachable
from storage.limits import Limits
from storage.logs import describe
from storage.messages import Ask, Photo, Quote, Refused, Turn
from storage.queue import Found
from storage.stores import Stores
from storage.vision import PixelLimits

log = logging.getLogger(__name__)

DOWNLOADS = 8  # at once; each may hold 20 MB and a decoded picture
DOWNLOAD_TRIES = 5
ADMIN_FIRST = 1_000_000  # turns in line that an admin's question jumps ahead

_Reasons = dict[str, tuple[Incoming, Refused]]  # by its code, so that each reason is said once; the message it is about


class Asking:
    """Makes one platform's asks."""

    def __init__(self, surface: Surface, stores: Stores, limits: Limits, delivery: Delivery) -> None:
        self._surface = surface
        self._stores = stores
        self._limits = limits
        self._delivery = delivery
        self._downloads = asyncio.Semaphore(DOWNLOADS)

    async def concerns(self, messages: Sequence[Incoming]) -> bool:
        """Whether messages are for us: one of them says so, or they came late to an album that was asked about."""
        return (
            any(message.addressed for message in messages) or await self._stores.queue.find(messages[0].id) is not None
        )

    async def ask(self, messages: Sequence[Incoming]) -> None:
        """Ask what these messages of one album, or this one message, ask; anew if it was asked before.

        What cannot be taken is said, and the rest of an album goes on.
        """
        unread = [message for message in messages if message.refusal]
        refused = {message.refusal: (message, Refused(message.refusal)) for message in unread if not message.edited}
        try:
            if len(unread) < len(messages):
                await self._ask(messages, refused)
        except Refused as refusal:
            refused.setdefault(refusal.code, (messages[0], refusal))
        for message, refusal in refused.values():  # behind the question: a chat that must wait does not hold it up
            await self._refuse(message, refusal)

    async def _ask(self, messages: Sequence[Incoming], refused: _Reasons) -> None:
        lead = messages[0]
        if lead.album or lead.edited:
            while found := await self._stores.queue.find(lead.id):
                if await self._ask_anew(messages, found, refused):
                    return
        started, lane = time.time(), await self._stores.people.of(lead.person)
        counted = lane, lead.id, sum(len(message.photos) for message in messages) + len(lead.quote_photos)
        admin, epoch = await asyncio.gather(
            self._limits.take(*counted, lead.person), self._stores.history.enter(lead.person, lead.conversation)
        )
        try:
            await self._enqueue(messages, refused, started, lane, epoch, first=admin)
        except Refused:
            await self._limits.give_back(*counted)
            raise

    async def _enqueue(
        self, messages: Sequence[Incoming], refused: _Reasons, started: float, lane: str, epoch: int, *, first: bool
    ) -> None:
        """Make an ask of messages that count as one. Raises Refused."""
        lead, question = messages[0], await self._question(messages, Turn(), refused)
        ask = Ask(
            id=lead.id, person=lead.person, conversation=lead.conversation, lane=lane,
            outbox=self._surface.platform, where=lead.where, question=question, language=lead.language,
            asked_at=started, epoch=epoch,
        )  # fmt: skip
        self._stores.health.metrics.asks.labels(self._surface.platform).inc()
        if await self._stores.queue.enqueue(ask, priority=ADMIN_FIRST if first else 0):
            self._delivery.follow(ask)
        else:  # enqueued before a crash, or before the store's answer was lost
            await self._delivery.resume(ask.id)

    async def _refuse(self, message: Incoming, refusal: Refused) -> None:
        """Say why something cannot be taken: of an album each reason once, also when its messages come apart."""
        self._stores.health.metrics.refusals.labels(refusal.code).inc()
        replies, once = self._stores.replies, message.album and not message.edited
        if once and await replies.mark(message.id, 0, refusal.code):
            return
        await self._delivery.tools.say(message.where, say(message.language, refusal.code, **refusal.details))
        if once:
            await replies.mark_sent(message.id, 0, refusal.code, "said")

    async def _ask_anew(self, messages: Sequence[Incoming], found: Found, refused: _Reasons) -> bool:
        """Amend an ask by an edit, or by photos that came late; False when it changed meanwhile. Raises Refused."""
        lead, edited = messages[0], any(message.edited for message in messages)
        if edited and not found.known:
            raise Refused("edit_old")
        if not found.known or (found.state == "cancelled" and not edited):
            return True  # what its asker stopped, or had forgotten, stays so
        former = found.ask.question
        question = await self._question(messages, former, refused)
        if question == structs.replace(former, ask=""):  # read twice, or nothing was changed
            await self._delivery.resume(lead.id)
            return True
        if edited:
            lane = await self._stores.people.of(lead.person)
            await self._limits.take(lane, f"{lead.id}:{found.fence}", len(found.ask.photos()), lead.person)
        ask = structs.replace(found.ask, question=question, asked_at=time.time())
        answer = await self._stores.queue.amend(ask, found.fence, newest=edited)
        if answer == "older":
            raise Refused("edit_old")
        if answer == "ok":
            await self._delivery.redo(ask, found.fence + 1)
        return answer == "ok"

    async def _question(self, messages: Sequence[Incoming], former: Turn, refused: _Reasons) -> Turn:
        """What messages ask. Of an album, `former` is what it asked so far: they add to it. Raises Refused."""
        lead = messages[0]
        own = [(message, file) for message in messages for file in message.photos]
        album = {photo.message: photo for photo in former.photos} if lead.album else {}
        count = len(album.keys() | {message.number for message, _ in own}) if lead.album else len(own)
        limits = await self._stores.health.pixel_limits(count + len(lead.quote_photos))
        known = {photo.source: photo for photo in (*former.photos, *(former.quote.photos if former.quote else ()))}
        files = own + [(lead, file) for file in lead.quote_photos]
        found = await asyncio.gather(*(self._photo(message, file, limits, known) for message, file in files))
        photos = [photo for photo in found[: len(own)] if isinstance(photo, Photo)]
        quoted = tuple(photo for photo in found[len(own) :] if isinstance(photo, Photo))
        refusals = [(message, one) for (message, _), one in zip(files, found, strict=True) if isinstance(one, Refused)]
        refused.update({refusal.code: (message, refusal) for message, refusal in refusals})
        if lead.album:
            album |= {photo.message: photo for photo in photos}
            limits = await self._stores.health.pixel_limits(len(album) + len(quoted))  # by now some are refused
            photos = [await self._fitted(lead.person, album[number], limits) for number in sorted(album)]
            quoted = tuple([await self._fitted(lead.person, photo, limits) for photo in quoted])
        if refusals and not (lead.album and photos):
            raise refusals[0][1]
        quote = Quote(lead.quote_text, quoted) if lead.quote_text or quoted else former.quote if lead.album else None
        text = _said(messages, former, album) if lead.album else lead.text
        if not text and not any(photo.caption for photo in photos):
            if not photos and not quote:
                raise Refused("ask_what")
            text = say(lead.language, "default_question" if photos or quoted else "default_quote")
        return Turn("user", text, tuple(photos), quote)

    async def _photo(
        self, message: Incoming, file: FileRef, limits: PixelLimits, known: Mapping[str, Photo]
    ) -> Photo | Refused:
        """One photo, prepared and stored, or why it cannot be taken."""
        try:
            photo = known.get(file.source)
            if not photo or not file.source or await self._stores.images.get(message.person, [photo.sha256]) == [None]:
                photo = await self._download(message.person, file, limits)
        except Refused as refusal:
            return refusal
        caption = message.text if message.album else ""
        return structs.replace(photo, message=message.number, source=file.source, caption=caption)

    async def _download(self, person: str, file: FileRef, limits: PixelLimits) -> Photo:
        if file.size is not None and file.size > MAX_MEGABYTES * 1_000_000:
            raise Refused("too_large", limit=MAX_MEGABYTES)
        if file.mime and not file.mime.startswith("image/") and file.mime != "application/octet-stream":
            raise Refused("unsupported_image", kind=file.mime.rpartition("/")[2])
        for attempt in range(DOWNLOAD_TRIES):
            await asyncio.sleep(0.25 * 2**attempt if attempt else 0)  # outside: who waits for a retry holds no download
            async with self._downloads:
                data = await self._fetch(file)
                if data is not None:
                    return await self._store(person, data, limits)
        raise Refused("download_failed")

    async def _fetch(self, file: FileRef) -> bytes | None:
        """A file's bytes; None when another try may give them."""
        try:
            return await self._surface.fetch(file)
        except Unreachable as error:
            log.warning("a download failed: %s", describe(error))
            return None
        except SurfaceError as error:
            raise Refused("download_failed") from error

    async def _fitted(self, person: str, photo: Photo, limits: PixelLimits) -> Photo:
        """An album's photo within its share, which shrinks when others come late."""
        if photo.width * photo.height <= limits.max_pixels:
            return photo
        (data,) = await self._stores.images.get(person, [photo.sha256])
        if data is None:
            return photo
        smaller = await self._store(person, data, limits)
        return structs.replace(smaller, message=photo.message, source=photo.source, caption=photo.caption)

    async def _store(self, person: str, data: bytes, limits: PixelLimits) -> Photo:
        prepared = await asyncio.to_thread(prepare, data, limits)
        await self._stores.images.put(person, prepared.photo, prepared.data)
        return prepared.photo


def _said(messages: Sequence[Incoming], former: Turn, album: Container[int]) -> str:
    """What was asked under those of an album that cannot be shown; the other captions stand with their photos."""
    lost = [message for message in messages if message.number not in album]
    ours = [say(messages[0].language, f"default_{code}") for code in ("question", "quote")]
    edited = any(message.edited for message in lost)
    lines = [] if edited or former.text in ours else former.text.splitlines()
    return "\n".join(dict.fromkeys(lines + [line for message in lost for line in message.text.splitlines()]))
