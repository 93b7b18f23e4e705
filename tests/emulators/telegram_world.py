"""Telegram as its users see it: people, chats, their messages, the stored files and the updates that wait for the bot.

Messages are the dicts of the Bot API with two keys more, which the bot never gets: `at` (time.perf_counter() when the
message appeared) and `edits` (what each later edit made of it: at, text, entities, reply_markup).
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.emulators.server import Changes, Json
from tests.emulators.telegram_groups import GroupMember
from tests.emulators.telegram_media import MediaSender
from tests.emulators.telegram_shapes import TELEGRAM, StoredFile, origin, wire, words
from tests.emulators.telegram_text import entity_text

# The topic of a forum that is always there: its messages carry no thread id.
GENERAL = 1


class User(MediaSender, GroupMember):
    """A person with the app in hand; see Person for the keyword arguments that every message takes."""


@dataclass(eq=False)
class Chat:
    """A private chat, whose id is its user's, or a group or channel; `messages` holds both sides in order.

    status is what the bot is in it (member, administrator, restricted, left, kicked), forbidden what it may not send
    (keys of SENDABLE). reactions are the allowed ones, None for all. topics maps ids to names, in forums only.
    """

    world: World
    id: int
    kind: str
    title: str
    messages: list[Json] = field(default_factory=list[Json])
    deleted: list[Json] = field(default_factory=list[Json])
    blocked: bool = False
    forum: bool = False
    status: str = "member"
    forbidden: frozenset[str] = frozenset()
    reactions: Collection[str] | None = None
    topics: dict[int, str] = field(default_factory=dict[int, str])
    closed_topics: set[int] = field(default_factory=set[int])
    migrated_to: int = 0
    other_bot_spoke_last: bool = False  # then a command without a bot's name is not for ours

    def __post_init__(self) -> None:
        # Private chats and groups share one count of messages, each supergroup has its own: ids occur in several chats.
        self.numbers = self.world.numbers if self.kind in {"private", "group"} else itertools.count(1)
        if self.forum:
            self.next_id()  # the service message that opened the supergroup; GENERAL is its thread

    def next_id(self) -> int:
        """The id of the next message."""
        return next(self.numbers)

    def describe(self) -> Json:
        """The Chat object of the Bot API."""
        name = "first_name" if self.kind == "private" else "title"
        about: Json = {"id": self.id, "type": self.kind, name: self.title}
        if self.kind == "group":
            about |= {"all_members_are_administrators": False}
        return about | ({"is_forum": True} if self.forum else {})

    def bot_messages(self) -> list[Json]:
        """What the bot sent and did not delete."""
        return [message for message in self.messages if message.get("from") == self.world.bot]

    def texts(self) -> list[str]:
        """What a reader sees of the bot's messages: texts and captions as they are now."""
        return [words(message) for message in self.bot_messages()]

    def documents(self) -> list[tuple[str, bytes]]:
        """Name and content of every file that the bot sent and did not delete."""
        sent = [message["document"] for message in self.bot_messages() if "document" in message]
        return [(document["file_name"], self.world.content(document)) for document in sent]

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


class World:
    """What Telegram remembers; `updates` is all that ever happened, `pending` what the bot has not confirmed.

    With `privacy` the bot sees of a group only commands, replies to it or to what was meant for it, and mentions.
    Of mentions Telegram says two things: BotFather that they arrive, the documentation (bots/features, privacy mode)
    that they do not, and many bots' authors saw none. `mentions_arrive` = False plays the latter.
    """

    def __init__(self, changes: Changes, *, privacy: bool) -> None:
        self.changes = changes
        self.privacy = privacy
        self.mentions_arrive = True
        self.bot: Json = {"id": 4242, "is_bot": True, "first_name": "askpix", "username": "askpix_bot"}
        self.users: dict[int, User] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, StoredFile] = {}
        self.lost_files: set[str] = set()  # ids of files that getFile no longer finds
        self.queries: dict[str, float] = {}  # callback queries: when each was made, by time.monotonic()
        self.updates: list[Json] = []
        self.pending: list[Json] = []
        self.allowed_updates: list[str] = []  # empty: all
        self.numbers = itertools.count(1)
        self.albums = itertools.count(1)

    def user(self, user_id: int, *, first_name: str = "Ann", language_code: str = "en", username: str = "") -> User:
        """A person and the private chat with the bot, made at the first call."""
        if user_id not in self.users:
            name = username or f"user_{user_id}"
            self.users[user_id] = User(self, user_id, first_name, name, language_code)
            self.chats[user_id] = Chat(self, user_id, "private", first_name)
        return self.users[user_id]

    def group(
        self,
        chat_id: int,
        title: str = "Group",
        *,
        kind: Literal["supergroup", "group"] = "supergroup",
        forum: bool = False,
        bot_inside: bool = True,
    ) -> Chat:
        """A supergroup or group, made at the first call; its id is negative; a forum is a supergroup with topics."""
        status = "member" if bot_inside else "left"
        return self.chats.setdefault(chat_id, Chat(self, chat_id, kind, title, forum=forum, status=status))

    def channel(self, chat_id: int, title: str = "Channel") -> Chat:
        """A channel, made at the first call."""
        return self.chats.setdefault(chat_id, Chat(self, chat_id, "channel", title))

    def channel_post(self, channel: Chat, text: str) -> Json:
        """A post of a channel, which is from nobody: an update of its own kind."""
        message = self.post(channel, {}, None, {"sender_chat": channel.describe(), "text": text})
        self.push("channel_post", wire(message))
        return message

    def auto_forward(self, post: Json, group: Chat) -> Json:
        """What a channel's post becomes in the group that is linked to the channel."""
        fields: Json = {"sender_chat": post["chat"], "is_automatic_forward": True, "forward_origin": origin(post)}
        message = self.post(group, TELEGRAM, None, {**fields, "text": post["text"]})
        self.deliver("message", message)
        return message

    def other_bot_says(self, chat: Chat, text: str) -> Json:
        """Another bot speaks in a group: ours never sees it, and commands without a name are not ours from now on."""
        chat.other_bot_spoke_last = True
        return self.post(chat, {"id": 4343, "is_bot": True, "first_name": "Other"}, None, {"text": text})

    def post(self, chat: Chat, sender: Json, reply_to: Json | None, fields: Json) -> Json:
        """Put a message into a chat, whoever sent it; `topic` among the fields is the forum topic."""
        fields = dict(fields)
        message: Json = {"message_id": fields.pop("message_id", 0) or chat.next_id()}
        message |= {"date": int(time.time()), "chat": chat.describe()} | ({"from": sender} if sender else {})
        threaded, reply_to = _threaded(chat, fields.pop("topic", 0), reply_to)
        message |= {**threaded, **fields, "at": time.perf_counter(), "edits": []}
        if reply_to:  # one level only: what that message replied to is not shown
            message["reply_to_message"] = {k: v for k, v in wire(reply_to).items() if k != "reply_to_message"}
        if sender == self.bot:
            chat.other_bot_spoke_last = False
        chat.messages.append(message)
        self.changes.notify()
        return message

    def announce(self, chat: Chat, actor: Json, **fields: Any) -> Json:
        """Put a service message into a chat; privacy mode never hides one."""
        message = self.post(chat, actor, None, fields)
        if chat.status not in {"left", "kicked"}:
            self.push("message", wire(message))
        return message

    def remove(self, chat: Chat, message: Json) -> None:
        """Take a message out of a chat, for everybody."""
        chat.messages.remove(message)
        chat.deleted.append(message)
        self.changes.notify()

    def deliver(self, kind: str, message: Json) -> None:
        """Tell the bot of a message, unless the group's privacy mode hides it or the bot is not in the group."""
        if self._reaches_bot(self.chats[message["chat"]["id"]], message):
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
            {**self.store(copy, f"photos/file_{len(self.files)}.jpg"), "width": width, "height": height}
            for width, height, copy in copies
        ]

    def store_document(self, content: bytes, file_name: str, mime_type: str, declared_size: int | None) -> Json:
        """Keep a file; returns its Document."""
        suffix = file_name.rpartition(".")[2]
        stored = self.store(content, f"documents/file_{len(self.files)}.{suffix}", declared_size, file_name)
        return {**stored, "file_name": file_name, "mime_type": mime_type}

    def store(self, content: bytes, path: str, declared_size: int | None = None, file_name: str = "") -> Json:
        """Keep a file under a path of its own; returns what all file objects have in common."""
        unique = hashlib.sha256(content).hexdigest()[:15]
        file_id = f"AgACAgIAAx{len(self.files):06d}{unique}"
        size = len(content) if declared_size is None else declared_size
        self.files[file_id] = StoredFile(content, path, size, file_name)
        return {"file_id": file_id, "file_unique_id": unique, "file_size": size}

    def content(self, file: Json) -> bytes:
        """What is in a file; `file` is any object with a file_id: PhotoSize, Document, Sticker …"""
        return self.files[file["file_id"]].content

    def _reaches_bot(self, chat: Chat, message: Json) -> bool:
        if chat.kind == "private":
            return True
        if chat.status in {"left", "kicked"}:
            return False
        if not self.privacy or chat.status == "administrator":
            return True
        replied: Json = message.get("reply_to_message", {})
        return replied.get("from") == self.bot or any(self._addressed(chat, said) for said in (replied, message))

    def _addressed(self, chat: Chat, message: Json) -> bool:
        name = f"@{self.bot['username']}".lower()
        entities: list[Json] = message.get("entities") or message.get("caption_entities") or []
        for entity in entities:
            said = entity_text(words(message), entity).lower()
            if entity["type"] == "bot_command":
                if said.endswith(name) or ("@" not in said and not chat.other_bot_spoke_last):
                    return True
            elif self.mentions_arrive and (said == name or entity.get("user", {}).get("id") == self.bot["id"]):
                return True
        return False


def _threaded(chat: Chat, topic: int, reply_to: Json | None) -> tuple[Json, Json | None]:
    """The thread fields of a new message, and the message that it shows as replied to.

    Who replies in a forum writes in that message's topic; who does not, replies to the topic's first message. Replies
    in other supergroups are threads too, named by their first message, but no topics.
    """
    if chat.forum:
        topic = topic or (reply_to or {}).get("message_thread_id", 0)
        if topic in {0, GENERAL}:
            return {}, reply_to
        return {"message_thread_id": topic, "is_topic_message": True}, reply_to or chat.find(topic)
    if chat.kind == "supergroup" and reply_to:
        return {"message_thread_id": reply_to.get("message_thread_id") or reply_to["message_id"]}, reply_to
    return {}, reply_to
