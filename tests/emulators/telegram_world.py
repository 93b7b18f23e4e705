"""Telegram as its users see it: people, chats, their messages, the stored files and the updates that wait for the bot.

Messages are the dicts of the Bot API with two keys more, which the bot never gets: `at` (time.perf_counter() when the
message appeared) and `edits` (what each later edit made of it: at, text, entities, reply_markup).
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image, ImageOps

from tests.emulators.server import Changes, Json
from tests.emulators.telegram_text import entity_text, found_entities

# The longest sides of the copies that Telegram makes of a photo, in pixels.
_SIDES = (90, 320, 800, 1280)

_OURS = ("at", "edits")


class StoredFile(NamedTuple):
    """A file on Telegram's servers; size is what Telegram says it is, in bytes."""

    content: bytes
    path: str
    size: int


def wire(message: Json) -> Json:
    """The message as the Bot API gives it out."""
    return {key: value for key, value in message.items() if key not in _OURS}


def photo_copies(content: bytes) -> list[tuple[int, int, bytes]]:
    """Width, height and JPEG of each size that Telegram offers, smallest first; what is no picture comes as it is."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return [(1280, 960, content)]
    longest = max(picture.size)
    copies: list[tuple[int, int, bytes]] = []
    for side in sorted({min(side, longest) for side in _SIDES}):
        copy = ImageOps.contain(picture, (side, side)) if side < longest else picture
        stream = io.BytesIO()
        copy.save(stream, "JPEG", quality=87)
        copies.append((copy.width, copy.height, stream.getvalue()))
    return copies


@dataclass(eq=False)
class Chat:
    """A private chat, whose id is its user's, or a group; `messages` holds both sides in order."""

    world: World
    id: int
    kind: str
    title: str
    messages: list[Json] = field(default_factory=list[Json])
    deleted: list[Json] = field(default_factory=list[Json])
    blocked: bool = False

    def __post_init__(self) -> None:
        # Private chats share one count of messages, each supergroup has its own: the same id occurs in several chats.
        self.numbers = self.world.numbers if self.kind == "private" else itertools.count(1)

    def describe(self) -> Json:
        """The Chat object of the Bot API."""
        name = "first_name" if self.kind == "private" else "title"
        return {"id": self.id, "type": self.kind, name: self.title}

    def bot_messages(self) -> list[Json]:
        """What the bot sent and did not delete."""
        return [message for message in self.messages if message["from"]["id"] == self.world.bot["id"]]

    def texts(self) -> list[str]:
        """What a reader sees of the bot's messages: texts and captions as they are now."""
        return [message.get("text") or message.get("caption") or "" for message in self.bot_messages()]

    def find(self, message_id: int) -> Json | None:
        """The message of this id, unless it was deleted."""
        return next((message for message in self.messages if message["message_id"] == message_id), None)

    async def wait_for(self, predicate: Callable[[list[str]], object], seconds: float = 10.0) -> list[str]:
        """The bot's texts as soon as `predicate` holds of them; raises TimeoutError, which shows them."""
        try:
            await self.world.changes.until(lambda: predicate(self.texts()), seconds)
        except TimeoutError:
            raise TimeoutError(f"not within {seconds} s; the bot's messages are {self.texts()}") from None
        return self.texts()


@dataclass(eq=False)
class User:
    """A person with the app in hand; extra keyword arguments are put into the message as they are."""

    world: World
    id: int
    first_name: str
    username: str
    language_code: str

    @property
    def private(self) -> Chat:
        """The chat with the bot."""
        return self.world.chats[self.id]

    def describe(self) -> Json:
        """The User object of the Bot API."""
        names = {"first_name": self.first_name, "username": self.username}
        return {"id": self.id, "is_bot": False, **names, "language_code": self.language_code}

    async def send_text(self, chat: Chat, text: str, reply_to: Json | None = None, **extra: object) -> Json:
        """Send a text; its commands and mentions become entities."""
        return self._send(chat, reply_to, text=text, **_entities("entities", text), **extra)

    async def send_photo(
        self,
        chat: Chat,
        content: bytes,
        caption: str = "",
        reply_to: Json | None = None,
        media_group_id: str = "",
        **extra: object,
    ) -> Json:
        """Send a photo, which Telegram shrinks and encodes anew; the photos of an album share a media_group_id."""
        photo = self.world.store_photo(await asyncio.to_thread(photo_copies, content))
        album = {"media_group_id": media_group_id} if media_group_id else {}
        return self._send(chat, reply_to, photo=photo, **_caption(caption), **album, **extra)

    async def send_document(
        self,
        chat: Chat,
        content: bytes,
        file_name: str,
        mime_type: str,
        caption: str = "",
        declared_size: int | None = None,
        reply_to: Json | None = None,
        **extra: object,
    ) -> Json:
        """Send a file as it is; `declared_size` in bytes is what the bot is told of a file too large to make here."""
        document = self.world.store_document(content, file_name, mime_type, declared_size)
        return self._send(chat, reply_to, document=document, **_caption(caption), **extra)

    async def edit_text(self, message: Json, text: str) -> Json:
        """Write another text, or caption, over one's own message."""
        name, marks = ("text", "entities") if "text" in message else ("caption", "caption_entities")
        for key in (name, marks):
            message.pop(key, None)
        message.update({name: text, **_entities(marks, text), "edit_date": int(time.time())})
        message["edits"].append({"at": time.perf_counter(), "text": text})
        self.world.deliver("edited_message", message)
        return message

    async def press_button(self, message: Json, data: str) -> Json:
        """Press the button that carries `data`; returns the callback query; raises LookupError if there is none."""
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        if data not in [button.get("callback_data") for row in rows for button in row]:
            raise LookupError(f"no button {data!r} under {message.get('text')!r}")
        query: Json = {"id": str(10**15 + len(self.world.queries)), "from": self.describe(), "message": wire(message)}
        query |= {"chat_instance": str(message["chat"]["id"]), "data": data}
        self.world.queries[query["id"]] = time.monotonic()
        self.world.push("callback_query", query)
        return query

    async def delete(self, message: Json) -> None:
        """Delete a message, one's own or the bot's; Telegram does not tell the bot."""
        self.world.remove(self.world.chats[message["chat"]["id"]], message)

    def _send(self, chat: Chat, reply_to: Json | None, **fields: object) -> Json:
        message = self.world.post(chat, self.describe(), reply_to, fields)
        self.world.deliver("message", message)
        return message


def _entities(name: str, text: str) -> Json:
    found = found_entities(text)
    return {name: found} if found else {}


def _caption(caption: str) -> Json:
    return {"caption": caption, **_entities("caption_entities", caption)} if caption else {}


class World:
    """What Telegram remembers; `updates` is all that ever happened, `pending` what the bot has not confirmed."""

    def __init__(self, changes: Changes, *, privacy: bool) -> None:
        self.changes = changes
        self.privacy = privacy  # in groups the bot sees only commands, mentions of it and replies to it
        self.bot: Json = {"id": 4242, "is_bot": True, "first_name": "askpix", "username": "askpix_bot"}
        self.users: dict[int, User] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, StoredFile] = {}
        self.queries: dict[str, float] = {}  # callback queries: when each was made, by time.monotonic()
        self.updates: list[Json] = []
        self.pending: list[Json] = []
        self.allowed_updates: list[str] = []  # empty: all
        self.numbers = itertools.count(1)

    def user(self, user_id: int, *, first_name: str = "Ann", language_code: str = "en", username: str = "") -> User:
        """A person and the private chat with the bot, made at the first call."""
        if user_id not in self.users:
            name = username or f"user_{user_id}"
            self.users[user_id] = User(self, user_id, first_name, name, language_code)
            self.chats[user_id] = Chat(self, user_id, "private", first_name)
        return self.users[user_id]

    def group(self, chat_id: int, title: str = "Group") -> Chat:
        """A supergroup that the bot is a member of, made at the first call; its id is negative."""
        return self.chats.setdefault(chat_id, Chat(self, chat_id, "supergroup", title))

    def post(self, chat: Chat, sender: Json, reply_to: Json | None, fields: Json) -> Json:
        """Put a message into a chat, whoever sent it."""
        message: Json = {"message_id": next(chat.numbers), "date": int(time.time()), "chat": chat.describe()}
        message |= {"from": sender, **fields, "at": time.perf_counter(), "edits": []}
        if reply_to:  # one level only: what that message replied to is not shown
            message["reply_to_message"] = {k: v for k, v in wire(reply_to).items() if k != "reply_to_message"}
        chat.messages.append(message)
        self.changes.notify()
        return message

    def remove(self, chat: Chat, message: Json) -> None:
        """Take a message out of a chat, for everybody."""
        chat.messages.remove(message)
        chat.deleted.append(message)
        self.changes.notify()

    def deliver(self, kind: str, message: Json) -> None:
        """Tell the bot of a message, unless the group's privacy mode hides it."""
        if message["chat"]["type"] == "private" or not self.privacy or self._concerns_bot(message):
            self.push(kind, wire(message))

    def push(self, kind: str, payload: Json) -> None:
        """Queue an update for the bot."""
        if not self.allowed_updates or kind in self.allowed_updates:
            update = {"update_id": 700_000_000 + len(self.updates), kind: payload}
            self.updates.append(update)
            self.pending.append(update)
        self.changes.notify()

    def store_photo(self, copies: list[tuple[int, int, bytes]]) -> list[Json]:
        """Keep the copies of a photo; returns its list of PhotoSize, smallest first."""
        return [
            {**self._store(copy, f"photos/file_{len(self.files)}.jpg"), "width": width, "height": height}
            for width, height, copy in copies
        ]

    def store_document(self, content: bytes, file_name: str, mime_type: str, declared_size: int | None) -> Json:
        """Keep a file; returns its Document."""
        suffix = file_name.rpartition(".")[2]
        stored = self._store(content, f"documents/file_{len(self.files)}.{suffix}", declared_size)
        return {**stored, "file_name": file_name, "mime_type": mime_type}

    def _store(self, content: bytes, path: str, declared_size: int | None = None) -> Json:
        unique = hashlib.sha256(content).hexdigest()[:15]
        file_id = f"AgACAgIAAx{len(self.files):06d}{unique}"
        size = len(content) if declared_size is None else declared_size
        self.files[file_id] = StoredFile(content, path, size)
        return {"file_id": file_id, "file_unique_id": unique, "file_size": size}

    def _concerns_bot(self, message: Json) -> bool:
        text = message.get("text") or message.get("caption") or ""
        name: str = self.bot["username"]
        entities: list[Json] = message.get("entities") or message.get("caption_entities") or []
        for entity in entities:
            words = entity_text(text, entity)
            if words == f"@{name}" or (entity["type"] == "bot_command" and words.partition("@")[2] in {"", name}):
                return True
        return message.get("reply_to_message", {}).get("from", {}).get("id") == self.bot["id"]
