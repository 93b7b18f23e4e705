"""What a Telegram update says to us: messages, edits, presses, and what befalls a chat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from telegram import CallbackQuery, Chat, ChatMemberUpdated, Message, MessageEntity, PhotoSize, Update, User
from telegram.ext import filters

from bots.admin import ADMIN_NAMES
from bots.commands import IN_GROUPS
from bots.files import READABLE
from bots.phrases import language_of
from bots.surface import FileRef, Incoming
from bots.tasks import TASKS
from storage.messages import Address

PLATFORM = "telegram"
ENOUGH = 1_310_720  # pixels: of the sizes Telegram offers, the smallest that has these, else the largest
READ = (Update.MESSAGE, Update.EDITED_MESSAGE, Update.CALLBACK_QUERY, Update.MY_CHAT_MEMBER)


class Reader:
    """Reads for one bot, whose id and name are known."""

    def __init__(self, me: User) -> None:
        self._me = me

    def read(self, raw: bytes) -> Incoming | None:
        """What an update says to us; None for what is not addressed to this bot."""
        update = Update.de_json(json.loads(raw))
        if update.callback_query:
            return _press(update.callback_query)
        if update.my_chat_member:
            return _membership(update.my_chat_member)
        message = update.message or update.edited_message
        if message and message.migrate_to_chat_id:
            return _event(message.chat, message.from_user, "moved", str(message.migrate_to_chat_id))
        if message is None or message.from_user is None or message.from_user.is_bot or message.sender_chat:
            return None  # who writes in the name of a chat is nobody whom we could admit
        if filters.StatusUpdate.ALL.check_update(update):
            return None
        return self._message(message, message.from_user, edited=update.edited_message is not None)

    def _message(self, message: Message, user: User, *, edited: bool) -> Incoming | None:
        words = self._words(message)
        if words is None:
            return None
        command, text = words
        quoted = message.reply_to_message
        if quoted and quoted.forum_topic_created:
            quoted = None  # in a topic every message "replies" to the topic's beginning
        addressed = message.chat.type == "private" or bool(command) or self._addressed(message, quoted)
        album = message.media_group_id or ""
        if not addressed and not album:
            return None
        name, _, argument = command.partition(" ")
        if name == "ask" or name in TASKS:
            name, text = "", argument if name == "ask" else f"/{command}"
        elif edited and name:
            return None  # a command is done once
        where, photos = _address(message), _photos(message)
        quote_text, quote_photos, unread = self._quote(message, quoted)
        return Incoming(
            id=f"{PLATFORM}:{where.chat}:{album or message.message_id}", person=f"{PLATFORM}:{user.id}",
            conversation=":".join(filter(None, (PLATFORM, where.chat, where.thread, str(user.id)))),
            where=where, language=language_of(user.language_code), text=text.strip(), photos=photos,
            quote_text=quote_text, quote_photos=quote_photos, command=name, edited=edited, addressed=addressed,
            argument="" if name == "" else argument.strip(), album=bool(album),
            sent=(message.edit_date or message.date).timestamp(),
            refusal="" if photos else unread if message.text else _unread(message) or "unreadable",
        )  # fmt: skip

    def _words(self, message: Message) -> tuple[str, str] | None:
        """The command ("" if none; name and argument) and the text without a mention of this bot.

        None for another bot's command: one that names it, or in a group one that we do not know.
        """
        text = message.text or message.caption or ""
        for entity, word in _entities(message).items():
            if entity.type == MessageEntity.BOT_COMMAND and entity.offset == 0:
                name, _, bot = word[1:].lower().partition("@")
                known = name in (*IN_GROUPS, *ADMIN_NAMES, "start") or message.chat.type == "private"
                if not (bot == str(self._me.username).lower() if bot else known):
                    return None
                return f"{name} {text[len(word) :].strip()}", ""
        for mention in self._mentions(message):
            text = text.replace(mention, "")
        return "", text

    def _mentions(self, message: Message) -> list[str]:
        name = f"@{self._me.username}".lower()
        found = _entities(message).items()
        return [word for entity, word in found if entity.type == MessageEntity.MENTION and word.lower() == name]

    def _addressed(self, message: Message, quoted: Message | None) -> bool:
        """Whether a message in a group is for us: it mentions us or replies to us."""
        return self._wrote(quoted) or bool(self._mentions(message))

    def _wrote(self, quoted: Message | None) -> bool:
        return bool(quoted and quoted.from_user and quoted.from_user.id == self._me.id)

    def _quote(self, message: Message, quoted: Message | None) -> tuple[str, tuple[FileRef, ...], str]:
        """Of what a message replies to the words (if a part was chosen, that) and photos; if it has none, why not."""
        found = quoted or message.external_reply
        words = quoted.text or quoted.caption or "" if quoted else ""
        text = message.quote.text if message.quote else words
        if found is None or self._wrote(quoted):  # our files are answers, which the conversation knows
            return text, (), ""
        photos = _photos(found)
        return text, photos, "" if text or photos else _unread(found)


def _press(query: CallbackQuery) -> Incoming | None:
    message = query.message  # of one that is too old to be shown, the place alone is known
    if message is None or not query.data:
        return None
    group = message.chat.type != "private"
    where = Address(PLATFORM, str(message.chat.id), str(message.message_id), group=group)
    person = f"{PLATFORM}:{query.from_user.id}"
    language = language_of(query.from_user.language_code)
    return Incoming(f"{person}:{query.id}", person, "", where, language, button=query.data, press=query.id)


def _membership(change: ChatMemberUpdated) -> Incoming | None:
    (was, could), (_, can) = (_standing(member) for member in (change.old_chat_member, change.new_chat_member))
    if could and not can:
        return _event(change.chat, change.from_user, "left")
    if can and not was and change.chat.type in ("group", "supergroup"):
        return _event(change.chat, change.from_user, "added")
    return None


def _standing(member: Any) -> tuple[bool, bool]:
    """Whether we are in the chat, and whether we may write there."""
    here = member.status in ("member", "administrator") or (member.status == "restricted" and member.is_member)
    return here, here and getattr(member, "can_send_messages", True) is not False


def _event(chat: Chat, user: User | None, event: str, argument: str = "") -> Incoming:
    where = Address(PLATFORM, str(chat.id), group=chat.type != "private")
    language = language_of(user.language_code if user else None)
    return Incoming("", f"{PLATFORM}:{user.id if user else ''}", "", where, language, event=event, argument=argument)


def _entities(message: Message) -> dict[MessageEntity, str]:
    return message.parse_entities() if message.text else message.parse_caption_entities()


def _address(message: Message) -> Address:
    thread = str(message.message_thread_id) if message.is_topic_message and message.message_thread_id else ""
    group = message.chat.type != "private"
    return Address(PLATFORM, str(message.chat.id), str(message.message_id), thread, group=group)


def _photos(message: Any) -> tuple[FileRef, ...]:
    """The photo of a message, a sticker that does not move, a video, or a file that may be read."""
    if message.photo:
        best = _best(message.photo)
        return (FileRef(best.file_id, best.file_size, source=best.file_unique_id),)
    sticker, document = message.sticker, message.document
    if video := message.video or message.video_note or message.animation:
        size, length = video.file_size, video.duration
        seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
        return (FileRef(video.file_id, size, "video/mp4", video.file_unique_id, seconds),)
    if sticker and not sticker.is_animated and not sticker.is_video:
        return (FileRef(sticker.file_id, sticker.file_size, source=sticker.file_unique_id),)
    if document:
        mime = document.mime_type or ""
        if not mime or mime.startswith(READABLE):
            return (FileRef(document.file_id, document.file_size, mime, document.file_unique_id),)
    return ()


def _unread(message: Any) -> str:
    """The phrase code of what a message without text and picture holds, "" for what has no code of its own."""
    kinds = {
        "no_voice": (message.voice, message.audio),
        "no_sticker": (message.sticker,),
        "no_document": (message.document,),
    }
    return next((code for code, found in kinds.items() if any(found)), "")


def _best(sizes: Sequence[PhotoSize]) -> PhotoSize:
    ordered = sorted(sizes, key=lambda size: size.width * size.height)
    return next((size for size in ordered if size.width * size.height >= ENOUGH), ordered[-1])
