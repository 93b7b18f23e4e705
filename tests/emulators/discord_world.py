"""Discord as its users see it: people, servers, messages, stored files, and what the gateway tells the bot of them.

Messages are the dicts of the API with five keys more, which the bot never gets: `at` (time.perf_counter() when it
appeared), `edits` (what each later edit made of it: at, content), `pings` (ids of the users it notified), `only_for`
(the id of the one who sees an ephemeral message, or 0) and `nonce_at` (when it came with an enforced nonce, or 0).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.emulators.discord_commands import Commands
from tests.emulators.discord_interactions import Interactions
from tests.emulators.discord_mentions import Mentions
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel, Guild
from tests.emulators.discord_shapes import (
    APP_ID,
    BLANKED,
    BOT_ID,
    DIRECT_MESSAGES,
    DM,
    EPHEMERAL,
    GROUP,
    GUILD_MESSAGES,
    GUILDS,
    MESSAGE_CONTENT,
    TEXT,
    Clock,
    Upload,
    described,
    iso,
    member_object,
    user_object,
    wire,
)
from tests.emulators.discord_writing import Writer
from tests.emulators.server import Changes, Json

ADDRESS_SECONDS = 86_400.0  # how long the signed address of a file can be fetched

Build = Callable[[int], Json | None]


class Listener(Protocol):
    """The gateway: hands an event to every session whose intents include all of these."""

    def __call__(self, event: str, intents: int, build: Build) -> None: ...


@dataclass
class StoredFile:
    """A file of the CDN; `path` is that of its address, size what Discord says it is, in bytes."""

    path: str
    content: bytes
    size: int
    content_type: str
    lost: bool = False


class World:
    """What Discord remembers. `tell` is the gateway; message_content whether the application has that intent."""

    def __init__(self, changes: Changes, tell: Listener, *, message_content: bool) -> None:
        self.changes, self.clock = changes, Clock()
        self.message_content = message_content
        self.cdn_url = ""
        self.bot: Json = user_object(BOT_ID, "askpix", bot=True)
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.files: dict[str, StoredFile] = {}  # by the id of the attachment
        self.commands = Commands(self.clock)
        self.writer = Writer(self)
        self.interactions = Interactions(self, self.writer)
        self._tell = tell

    def user(self, user_id: int, *, name: str = "", locale: str = "en-US", installed: bool = False) -> User:
        """A person, made at the first call; `installed`: has the application for use anywhere."""
        if user_id not in self.users:
            self.users[user_id] = User(self, user_id, name or f"user_{user_id}", locale, installed)
        self.users[user_id].installed |= installed
        return self.users[user_id]

    def guild(
        self, guild_id: int = 7000, name: str = "Friends", *, locale: str = "en-US", bot_inside: bool = True
    ) -> Guild:
        """A server, made at the first call."""
        if guild_id not in self.guilds:
            self.guilds[guild_id] = guild = Guild(self, guild_id, name, locale, bot_inside)
            if bot_inside:
                self.dispatch("GUILD_CREATE", guild.describe())
        return self.guilds[guild_id]

    def group_dm(self, *people: User) -> Channel:
        """Direct messages of several people; the bot is never among them."""
        return self.add_channel(GROUP, "", recipients=people)

    def dm_between(self, one: User, other: User) -> Channel:
        """Direct messages of two people, without the bot."""
        return self.add_channel(DM, "", recipients=(one, other))

    def add_channel(
        self, kind: int, name: str, guild: Guild | None = None, parent: Channel | None = None,
        recipients: Sequence[User] = (),
    ) -> Channel:  # fmt: skip
        """A new channel of any kind."""
        channel = Channel(self, self.clock.snowflake(), kind, name, guild, parent, list(recipients))
        self.channels[channel.id] = channel
        if guild:
            guild.channels.append(channel)
        if guild and guild.bot_inside:
            created = "CHANNEL_CREATE" if kind == TEXT else "THREAD_CREATE"
            self.dispatch(created, channel.describe() | ({} if kind == TEXT else {"newly_created": True}))
        return channel

    def knows(self, user_id: int) -> bool:
        """Whether there is such a user."""
        return user_id in self.users or user_id == BOT_ID

    def describe_user(self, user_id: int) -> Json:
        """The User of an id that is known."""
        return self.bot if user_id == BOT_ID else self.users[user_id].describe()

    def store(self, upload: Upload, folder: str) -> Json:
        """Keep a file; returns its Attachment, whose addresses are not signed."""
        name, content = upload.name, upload.content
        about: Json = {"id": str(self.clock.snowflake()), "filename": name, **described(name, content)}
        about["size"] = len(content) if upload.declared_size is None else upload.declared_size
        if upload.description:
            about["description"] = upload.description
        if folder.startswith("ephemeral"):
            about["ephemeral"] = True
        path = f"/{folder}/{about['id']}/{name}"
        kind = about.get("content_type", "application/octet-stream")
        self.files[about["id"]] = StoredFile(path, content, about["size"], kind)
        return about | {"url": path, "proxy_url": path}

    def sticker(self, content: bytes, name: str = "wave") -> Json:
        """A sticker to send, among `sticker_items`: a PNG that the CDN gives to everybody."""
        about = self.store(Upload(f"{name}.png", content), "stickers")
        self.files[about["id"]].path = f"/stickers/{about['id']}.png"
        return {"id": about["id"], "name": name, "format_type": 1}

    def embed(self, content: bytes, name: str = "picture.png") -> Json:
        """What Discord makes of a link to a picture: its own address is out of reach, proxy_url is Discord's copy."""
        about = self.store(Upload(name, content), "external")
        sizes = {key: about[key] for key in ("width", "height") if key in about}
        url = f"https://example.invalid/{name}"
        picture = {"url": url, "proxy_url": f"{self.cdn_url}{about['url']}", **sizes}
        return {"type": "image", "url": url, "thumbnail": picture}

    def signed(self, attachment: Json) -> Json:
        """The attachment with addresses that can be fetched for ADDRESS_SECONDS from now."""
        address = self.address(self.files[attachment["id"]].path)
        return attachment | {"url": address, "proxy_url": address}

    def address(self, path: str) -> str:
        """The signed address of a file."""
        since = int(self.clock.now())
        until = since + int(ADDRESS_SECONDS)
        return f"{self.cdn_url}{path}?ex={until:x}&is={since:x}&hm={signature(path, f'{until:x}')}&"

    def lose_file(self, attachment: Json) -> None:
        """Let the CDN answer 404 for this attachment from now on."""
        self.files[attachment["id"]].lost = True

    def new_message(self, channel: Channel, author: Json, fields: Json, only_for: int = 0) -> Json:
        """Put a message into a channel; nobody is told of it yet."""
        now, number = self.clock.now(), self.clock.snowflake()
        message: Json = {"id": str(number), "channel_id": str(channel.id), "author": author, "content": ""}
        message |= {"timestamp": iso(now), "edited_timestamp": None, "tts": False, "mention_everyone": False}
        message |= {"mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "pinned": False, "type": 0}
        message |= {"flags": 0, "components": [], "at": time.perf_counter(), "edits": [], "pings": set[int]()}
        message |= {"only_for": only_for, "nonce_at": 0.0, **fields}
        channel.messages.append(message)
        self.changes.notify()
        return message

    def mark_mentions(self, message: Json, found: Mentions) -> None:
        """Write into a message whom it mentions."""
        told = [*found.users, *([found.replied] if found.replied and found.replied not in found.users else [])]
        message["mentions"] = [self.describe_user(user) for user in told]
        message["mention_roles"] = [str(role) for role in found.roles]
        message["mention_everyone"] = found.everyone

    def change(self, message: Json, fields: Json) -> None:
        """Write over a message, and tell of it."""
        message.update(fields)
        message["edits"].append({"at": time.perf_counter(), "content": message["content"]})
        self.tell_message("MESSAGE_UPDATE", message)

    def remove(self, message: Json) -> None:
        """Delete a message, for everybody."""
        channel = self.channels[int(message["channel_id"])]
        channel.messages.remove(message)
        channel.deleted.append(message)
        gone = {"id": message["id"], "channel_id": message["channel_id"]} | _place(channel)
        if channel.bot_sees() and not message["flags"] & EPHEMERAL:
            self.dispatch("MESSAGE_DELETE", gone, GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES)
        self.changes.notify()

    def tell_message(self, event: str, message: Json) -> None:
        """MESSAGE_CREATE or MESSAGE_UPDATE, to whom it concerns; ephemeral ones are no event."""
        channel = self.channels[int(message["channel_id"])]
        self.changes.notify()
        if message["flags"] & EPHEMERAL or not channel.bot_sees():
            return
        extra = _place(channel) | {"channel_type": channel.kind}
        if channel.guild and "webhook_id" not in message:
            extra["member"] = member_object(None)

        def build(intents: int) -> Json:
            return self.show(message, whole=bool(intents & MESSAGE_CONTENT)) | extra

        self._tell(event, GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES, build)

    def dispatch(self, event: str, data: Json, intents: int = GUILDS) -> None:
        """Tell an event that is the same for all."""
        self._tell(event, intents, lambda _: data)
        self.changes.notify()

    def show(self, message: Json, *, whole: bool = False, quoted_whole: bool | None = None, deep: bool = True) -> Json:
        """The message as the bot gets it; without `whole` what the message-content intent covers is blank.

        What it replies to comes along, one level deep and blanked by its own rule, unless `quoted_whole`.
        """
        shown = wire(message)
        shown["attachments"] = [self.signed(each) for each in message["attachments"]]
        blank = {} if whole or self._open(message) else BLANKED
        shown.update(blank)
        if blank:
            shown.pop("poll", None)
        if "message_snapshots" in message:
            shown["message_snapshots"] = [
                self._snapshot(each["message"], blank) for each in message["message_snapshots"]
            ]
        reference: Any = message.get("message_reference")
        if deep and reference and reference["type"] == 0:
            channel = self.channels[int(reference["channel_id"])]
            quoted = channel.find(int(reference["message_id"]))
            inner = whole if quoted_whole is None else quoted_whole
            shown["referenced_message"] = self.show(quoted, whole=inner, deep=False) if quoted else None
        return shown

    def _snapshot(self, copy: Json, blank: Json) -> Json:
        """The copy within a forwarded message, as blank as that."""
        return {"message": copy | {"attachments": [self.signed(each) for each in copy["attachments"]]} | blank}

    def _open(self, message: Json) -> bool:
        """Whether a bot without the intent may read this."""
        own = {str(BOT_ID), str(APP_ID)} & {message["author"]["id"], message.get("webhook_id", "")}
        mentioned = any(user["id"] == str(BOT_ID) for user in message["mentions"])
        return bool(own) or mentioned or self.channels[int(message["channel_id"])].with_bot


def application_flags(world: World) -> int:
    """The application's flags: whether its small bot may have the message content."""
    return 1 << 19 if world.message_content else 0


def signature(path: str, until: str) -> str:
    """What makes an address valid until then (hexadecimal seconds) and for no other file."""
    return hashlib.sha256(f"{path} {until}".encode()).hexdigest()


def _place(channel: Channel) -> Json:
    return {"guild_id": str(channel.guild.id)} if channel.guild else {}
