"""What people send besides texts, photos and files: stickers, voices, music, films, and albums in any order."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from tests.emulators.server import Json
from tests.emulators.telegram_person import Person, captioned
from tests.emulators.telegram_shapes import photo_copies

if TYPE_CHECKING:
    from tests.emulators.telegram_world import Chat

StickerKind = Literal["static", "animated", "video"]
AlbumKind = Literal["photo", "video", "document", "audio"]

_STICKER_ENDS = {"static": "webp", "animated": "tgs", "video": "webm"}
_FILM = {"duration": 7, "width": 640, "height": 360}


class MediaSender(Person):
    """A person who sends media; every content is kept as it is, and `caption` is shown below it."""

    async def send_sticker(
        self,
        chat: Chat,
        content: bytes,
        kind: StickerKind = "static",
        emoji: str = "🙂",
        reply_to: Json | None = None,
        **extra: object,
    ) -> Json:
        """Send a sticker: a WebP picture, a TGS animation or a WebM film. A sticker has no caption."""
        width, height = size_of(content)
        sticker: Json = {"width": width, "height": height, "emoji": emoji, "set_name": "Animals"}
        sticker |= {"is_animated": kind == "animated", "is_video": kind == "video", "type": "regular"}
        sticker |= self.world.store(content, f"stickers/file_{len(self.world.files)}.{_STICKER_ENDS[kind]}")
        return self._send(chat, reply_to, sticker=sticker, **extra)

    async def send_voice(self, chat: Chat, content: bytes, caption: str = "", **extra: Any) -> Json:
        """Send a voice message."""
        voice = {"duration": 3, "mime_type": "audio/ogg", **self._file(content, "voice", "oga")}
        return await self.send(chat, voice=voice, **captioned(caption), **extra)

    async def send_audio(self, chat: Chat, content: bytes, caption: str = "", **extra: Any) -> Json:
        """Send a piece of music."""
        return await self.send(chat, **self._content("audio", content), **captioned(caption), **extra)

    async def send_video(self, chat: Chat, content: bytes, caption: str = "", **extra: Any) -> Json:
        """Send a film."""
        return await self.send(chat, **self._content("video", content), **captioned(caption), **extra)

    async def send_video_note(self, chat: Chat, content: bytes, **extra: Any) -> Json:
        """Send a round film; it has no caption."""
        note = {"duration": 5, "length": 240, **self._file(content, "video_notes", "mp4")}
        return await self.send(chat, video_note=note, **extra)

    async def send_animation(self, chat: Chat, content: bytes, caption: str = "", **extra: Any) -> Json:
        """Send a GIF, which comes as an animation and, for old bots, as a document too."""
        document = {"file_name": "giphy.mp4", "mime_type": "video/mp4", **self._file(content, "animations", "mp4")}
        both: Json = {"animation": {**document, **_FILM}, "document": document}
        return await self.send(chat, **both, **captioned(caption), **extra)

    async def send_album(
        self,
        chat: Chat,
        contents: Sequence[bytes],
        captions: Sequence[str] = (),
        *,
        kinds: Sequence[AlbumKind] = (),
        jitter: Sequence[float] = (),
        order: Sequence[int] = (),
        reply_to: Json | None = None,
        **extra: object,
    ) -> list[Json]:
        """Send an album, one message an item, with ids in the order of `contents`; photos, unless `kinds` says else.

        `jitter` holds for each item the seconds from sending to its update, `order` the items in which updates come
        that are due at once: an update may come before one with a lower message id. Returns when all have come.
        """
        album: Json = {**extra, "media_group_id": str(13_000_000_000_000_000 + next(self.world.albums))}
        items: list[Json] = []
        for index, content in enumerate(contents):
            kind = kinds[index] if kinds else "photo"
            caption = captions[index] if index < len(captions) else ""
            if kind == "photo":
                copies = await asyncio.to_thread(photo_copies, content)
                items.append({"photo": self.world.store_photo(copies), **captioned(caption)})
            else:
                items.append({**self._content(kind, content), **captioned(caption)})
        messages = [self._post(chat, reply_to, **item, **album) for item in items]
        turns = [order.index(index) if order else index for index in range(len(items))]
        due = [jitter[index] if jitter else 0.0 for index in range(len(items))]
        passed = 0.0
        for index in sorted(range(len(items)), key=lambda index: (due[index], turns[index])):
            if due[index] > passed:
                await asyncio.sleep(due[index] - passed)
                passed = due[index]
            self.world.deliver("message", messages[index])
        return messages

    def _content(self, kind: Literal["video", "document", "audio"], content: bytes) -> Json:
        if kind == "document":
            return {kind: self.world.store_document(content, "file.png", "image/png", None)}
        if kind == "video":
            about: Json = {**_FILM, "file_name": "film.mp4", "mime_type": "video/mp4"}
            return {kind: {**about, **self._file(content, "videos", "mp4")}}
        about = {"duration": 200, "file_name": "song.mp3", "mime_type": "audio/mpeg"}
        return {kind: {**about, "title": "Song", "performer": "Band", **self._file(content, "music", "mp3")}}

    def _file(self, content: bytes, folder: str, end: str) -> Json:
        return self.world.store(content, f"{folder}/file_{len(self.world.files)}.{end}")


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a picture; those of every animated sticker for what is none."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError):
        return 512, 512
