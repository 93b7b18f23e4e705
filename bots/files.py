"""What people send, file by file: fetched, read, prepared and stored, as the photos and words that the model gets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from msgspec import structs

from bots import documents, videos
from bots.confined import confined
from bots.photos import MAX_MEGABYTES, Prepared, has_several, kind_of, prepare
from bots.surface import FileRef, Incoming, SurfaceError, Unreachable
from storage.health import Room
from storage.logs import describe
from storage.messages import Note, Photo, Refused
from storage.stores import Stores
from storage.vision import PixelLimits

log = logging.getLogger(__name__)

DOWNLOADS = 8  # at once; each may hold 20 MB
OWN = 6  # of one person: a hostile file holds its place for a minute
DOWNLOAD_TRIES = 8  # over 20 s: a network's bad moments pass, but nobody waits much longer without a word
SEVERAL = ("GIF", "WEBP", "PNG", "TIFF")  # kinds that may hold more than one picture
READABLE = ("image/", "video/", "application/pdf", "application/octet-stream")  # what the last one is, is seen later


@dataclass(frozen=True, slots=True)
class Got:
    """What a file is to the model: photos, a document's words, and what is to be said of it below the answer."""

    photos: tuple[Photo, ...] = ()
    document: str = ""
    notes: tuple[Note, ...] = ()


class Files:
    """One platform's files; `fetch` brings their bytes as Surface.fetch does."""

    def __init__(self, fetch: Callable[[FileRef], Awaitable[bytes]], stores: Stores) -> None:
        self._from = fetch
        self._stores = stores
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def get(
        self, message: Incoming, file: FileRef, room: Room, known: Mapping[str, Sequence[Photo]], question: str
    ) -> Got | Refused:
        """A file as the model gets it, prepared and stored, or why it cannot be taken. known: photos by source."""
        try:
            photos = known.get(file.source, ()) if file.source else ()
            kept = await self._stores.images.get(message.person, [photo.sha256 for photo in photos])
            got = Got(tuple(photos))
            if not photos or None in kept:
                got = await self._download(message, file, room, question)
        except Refused as refusal:
            return refusal
        caption, last = message.text if message.album else "", len(got.photos) - 1
        photos = [
            structs.replace(each, message=message.number, source=file.source, caption=caption if at == last else "")
            for at, each in enumerate(got.photos)
        ]
        return Got(tuple(photos), got.document, got.notes)

    async def fitted(self, person: str, photo: Photo, limits: PixelLimits) -> Photo:
        """An album's photo within its share, which shrinks when others come late."""
        if photo.width * photo.height <= limits.max_pixels:
            return photo
        (data,) = await self._stores.images.get(person, [photo.sha256])
        if data is None:
            return photo
        smaller = await self.store(person, data, limits)
        kept = {name: getattr(photo, name) for name in ("message", "source", "caption", "lead")}
        return structs.replace(smaller, **kept)

    async def store(self, person: str, data: bytes, limits: PixelLimits) -> Photo:
        """Prepare a photo and keep it; what it was shrunk from is kept for a day, where there is room."""
        prepared = await confined(prepare, data, limits)
        await self._stores.images.put(person, prepared.photo, prepared.data)
        if prepared.photo.full:
            await self._stores.images.put_original(person, prepared.photo, data)
        return prepared.photo

    async def _download(self, message: Incoming, file: FileRef, room: Room, question: str) -> Got:
        if file.size is not None and file.size > MAX_MEGABYTES * 1_000_000:
            raise Refused("too_large", limit=MAX_MEGABYTES)
        if file.seconds > videos.MAX_SECONDS:
            raise Refused("video_too_long", limit=videos.MAX_SECONDS // 60)
        if file.mime and not file.mime.startswith(READABLE):
            raise Refused("unsupported_image", kind=file.mime.rpartition("/")[2])
        own = self._own.setdefault(message.person, asyncio.Semaphore(OWN))
        for attempt in range(DOWNLOAD_TRIES):
            if attempt:  # outside: who waits for a retry holds no download
                await asyncio.sleep(min(4.0, 0.25 * 2**attempt))
            async with own, self._downloads:
                data = await self._fetch(file)
                if data is not None:
                    return await self._read(message, data, room, question)
        raise Refused("download_failed")

    async def _fetch(self, file: FileRef) -> bytes | None:
        """A file's bytes; None when another try may give them."""
        try:
            return await self._from(file)
        except Unreachable as error:
            log.warning("a download failed: %s", describe(error))
            return None
        except SurfaceError as error:
            raise Refused("download_failed") from error

    async def _read(self, message: Incoming, data: bytes, room: Room, question: str) -> Got:
        kind = kind_of(data)
        several = kind in SEVERAL and await confined(has_several, data, kind)
        if kind == "PDF" or (kind == "TIFF" and several):
            return await self._document(message, data, room, question)
        if kind == "video" or several:
            found = await videos.watch(data, room.context, room.whole)
            return Got(await self._keep(message.person, [frame.photo for frame in found.frames]))
        return Got((await self.store(message.person, data, room.limits),))

    async def _document(self, message: Incoming, data: bytes, room: Room, question: str) -> Got:
        found = await documents.read(data, question, room.context, room.whole, message.language)
        notes = [Note("document_scripts")] if found.scripts else []
        if len(found.used) < found.total:
            notes.append(Note("document_used", {"pages": documents.spans(found.used), "total": found.total}))
        return Got(await self._keep(message.person, found.pictures), found.text, tuple(notes))

    async def _keep(self, person: str, pictures: Sequence[Prepared]) -> tuple[Photo, ...]:
        await asyncio.gather(*(self._stores.images.put(person, each.photo, each.data) for each in pictures))
        return tuple(each.photo for each in pictures)
