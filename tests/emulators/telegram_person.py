"""A person with the app in hand: what one writes, edits, forwards, presses and deletes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.emulators.server import Json
from tests.emulators.telegram_shapes import (
    CHANNEL_BOT,
    GROUP_ANONYMOUS_BOT,
    MEDIA,
    WORDS,
    external_reply,
    origin,
    photo_copies,
    text_quote,
    wire,
    words,
)
from tests.emulators.telegram_text import found_entities

if TYPE_CHECKING:
    from tests.emulators.telegram_world import Chat, World


@dataclass(eq=False)
class Person:
    """One user; keyword arguments that a method does not know are put into the message as they are, but for three.

    `topic` is the id of the forum topic to write in, `quote` the part of `reply_to` that the reply is about, and
    `as_chat` the group or channel in whose name the user writes. A `reply_to` of another chat is an external reply.
    """

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

    async def send(self, chat: Chat, reply_to: Json | None = None, **fields: object) -> Json:
        """Send a message of any kind, made of its fields: location, contact, dice …"""
        return self._send(chat, reply_to, **fields)

    async def send_text(self, chat: Chat, text: str, reply_to: Json | None = None, **extra: object) -> Json:
        """Send a text; its commands and mentions become entities."""
        return self._send(chat, reply_to, text=text, **marks("entities", text), **extra)

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
        return self._send(chat, reply_to, photo=photo, **captioned(caption), **album, **extra)

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
        return self._send(chat, reply_to, document=document, **captioned(caption), **extra)

    async def forward(self, chat: Chat, message: Json, *, hidden: bool = False, **extra: object) -> Json:
        """Forward a message; `hidden`: its author lets forwards show a name only."""
        source = origin(message)
        if hidden:
            source = {"type": "hidden_user", "sender_user_name": message["from"]["first_name"], "date": source["date"]}
        content = {key: message[key] for key in (*MEDIA, *WORDS) if key in message}
        dated: Json = {"forward_origin": source, "forward_date": source["date"]}
        return self._send(chat, None, **content, **dated, **extra)

    async def edit_text(self, message: Json, text: str) -> Json:
        """Write another text, or caption, over one's own message."""
        name, entities = ("text", "entities") if "text" in message else ("caption", "caption_entities")
        for key in (name, entities):
            message.pop(key, None)
        content = {name: text} if text else {}
        return self._edited(message, content | marks(entities, text), text)

    async def edit_caption(self, message: Json, caption: str) -> Json:
        """Write another caption under one's own photo or file; an empty one takes it away."""
        if "text" in message:
            raise ValueError("a text has no caption")
        return await self.edit_text(message, caption)

    async def edit_media(self, message: Json, content: bytes) -> Json:
        """Put another photo into the place of one's own; the caption stays."""
        copies = await asyncio.to_thread(photo_copies, content)
        for key in MEDIA:
            message.pop(key, None)
        return self._edited(message, {"photo": self.world.store_photo(copies)}, words(message))

    async def press_button(self, message: Json, data: str, *, inaccessible: bool = False) -> Json:
        """Press the button that carries `data`; returns the callback query; raises LookupError if there is none.

        `inaccessible`: Telegram no longer shows the bot what is in the message, only which it was.
        """
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        if data not in [button.get("callback_data") for row in rows for button in row]:
            raise LookupError(f"no button {data!r} under {message.get('text')!r}")
        shown = wire(message)
        if inaccessible:
            shown = {"message_id": message["message_id"], "chat": message["chat"], "date": 0}
        query: Json = {"id": str(10**15 + len(self.world.queries)), "from": self.describe(), "message": shown}
        query |= {"chat_instance": str(message["chat"]["id"]), "data": data}
        self.world.queries[query["id"]] = time.monotonic()
        self.world.push("callback_query", query)
        return query

    async def delete(self, message: Json) -> None:
        """Delete a message, one's own or the bot's; Telegram does not tell the bot."""
        self.world.remove(self.world.chats[message["chat"]["id"]], message)

    def _send(self, chat: Chat, reply_to: Json | None, **fields: Any) -> Json:
        message = self._post(chat, reply_to, **fields)
        self.world.deliver("message", message)
        return message

    def _post(self, chat: Chat, reply_to: Json | None, **fields: Any) -> Json:
        """Put the message into the chat; the bot is not told yet."""
        sender, as_chat = self.describe(), fields.pop("as_chat", None)
        if as_chat is not None:
            sender = GROUP_ANONYMOUS_BOT if as_chat is chat else CHANNEL_BOT
            fields["sender_chat"] = as_chat.describe()
        quote = fields.pop("quote", None)
        if reply_to and isinstance(quote, str):
            fields["quote"] = text_quote(reply_to, quote)
        if reply_to and reply_to["chat"]["id"] != chat.id:
            if words(reply_to):  # nobody chose a part: Telegram quotes it all
                fields.setdefault("quote", {"text": words(reply_to)[:1024], "position": 0})
            fields["external_reply"] = external_reply(reply_to)
            reply_to = None
        return self.world.post(chat, sender, reply_to, fields)

    def _edited(self, message: Json, content: Json, text: str) -> Json:
        message.update({**content, "edit_date": int(time.time())})
        message["edits"].append({"at": time.perf_counter(), "text": text})
        self.world.deliver("edited_message", message)
        return message


def marks(name: str, text: str) -> Json:
    """The entities that Telegram finds in a text, under `name`; nothing when there are none."""
    found = found_entities(text)
    return {name: found} if found else {}


def captioned(caption: str) -> Json:
    """A caption with its entities; nothing when it is empty."""
    return {"caption": caption, **marks("caption_entities", caption)} if caption else {}
