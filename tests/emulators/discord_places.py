"""Where people meet on Discord: servers, channels, threads, and direct messages of two or more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.emulators.discord_rules import ApiError
from tests.emulators.discord_shapes import (
    BOT_ID,
    DM,
    EPHEMERAL,
    EVERYONE,
    GROUP,
    LOADING,
    OWNER_ID,
    PERMISSIONS,
    TEXT,
    THREAD,
    iso,
    member_object,
    role_object,
    text_of,
)
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_person import User
    from tests.emulators.discord_world import World

THINKING = "<thinking>"  # how a deferred answer reads until it is there


@dataclass(eq=False)
class Guild:
    """A server. People are members from their first deed in it; the bot is one if `bot_inside`."""

    world: World
    id: int
    name: str
    locale: str
    bot_inside: bool
    channels: list[Channel] = field(default_factory=list["Channel"])
    members: list[User] = field(default_factory=list["User"])
    bot_permissions: int = EVERYONE
    external_apps: bool = True  # whether what people's own applications answer is for all to see

    def channel(self, name: str = "general") -> Channel:
        """The text channel of this name, made at the first call."""
        for channel in self.channels:
            if channel.name == name and channel.kind == TEXT and not channel.gone:
                return channel
        return self.world.add_channel(TEXT, name, guild=self)

    def allow(self, *names: str) -> None:
        """Give the bot permissions (keys of PERMISSIONS) in every channel."""
        self.bot_permissions |= sum(PERMISSIONS[name] for name in names)

    def kick_bot(self) -> None:
        """Throw the bot out."""
        self.bot_inside = False
        self.world.dispatch("GUILD_DELETE", {"id": str(self.id)})

    def invite_bot(self) -> None:
        """Let the bot in."""
        self.bot_inside = True
        self.world.dispatch("GUILD_CREATE", self.describe())

    def partial(self) -> Json:
        """The guild within an interaction."""
        return {"id": str(self.id), "locale": self.locale, "features": []}

    def describe(self) -> Json:
        """The guild of GUILD_CREATE; without the members intent the bot is the only member told."""
        roles = [role_object(self.id, "@everyone", EVERYONE)]
        roles.append(
            role_object(self.bot_role, "askpix", self.bot_permissions, managed=True, tags={"bot_id": str(BOT_ID)})
        )
        bot = member_object(self.world.bot) | {"roles": [str(self.bot_role)]}
        return {
            "id": str(self.id), "name": self.name, "icon": None, "owner_id": str(OWNER_ID), "roles": roles,
            "preferred_locale": self.locale, "features": [], "emojis": [], "stickers": [], "members": [bot],
            "member_count": len(self.members) + 1, "large": False, "unavailable": False, "verification_level": 0,
            "channels": [each.describe() for each in self.channels if each.kind == TEXT and not each.gone],
            "threads": [each.describe() for each in self.channels if each.kind == THREAD and not each.gone],
            "joined_at": iso(1_600_000_000.0), "afk_timeout": 300, "premium_tier": 0, "nsfw_level": 0, "mfa_level": 0,
            "default_message_notifications": 0, "explicit_content_filter": 0, "system_channel_flags": 0,
            "voice_states": [], "presences": [], "stage_instances": [], "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }  # fmt: skip

    @property
    def bot_role(self) -> int:
        """The id of the role that the bot brought along."""
        return self.id + 1


@dataclass(eq=False)
class Channel:
    """A channel, thread or direct message; `messages` holds all of it in order, ephemeral ones included.

    denied are the permissions that the bot lacks here, typing when it was seen to type (time.perf_counter()).
    """

    world: World
    id: int
    kind: int
    name: str
    guild: Guild | None = None
    parent: Channel | None = None
    recipients: list[User] = field(default_factory=list["User"])
    messages: list[Json] = field(default_factory=list[Json])
    deleted: list[Json] = field(default_factory=list[Json])
    typing: list[float] = field(default_factory=list[float])
    denied: int = 0
    gone: bool = False
    locked: bool = False

    def thread(self, name: str = "thread") -> Channel:
        """A public thread of this channel, made at the first call."""
        for each in self.guild.channels if self.guild else []:
            if each.parent is self and each.name == name and not each.gone:
                return each
        return self.world.add_channel(THREAD, name, guild=self.guild, parent=self)

    def deny(self, *names: str) -> None:
        """Take permissions (keys of PERMISSIONS) from the bot here; the bot is told by CHANNEL_UPDATE."""
        place = self.parent or self  # a thread has the permissions of its channel
        place.denied |= sum(PERMISSIONS[name] for name in names)
        if self.guild:
            self.world.dispatch("CHANNEL_UPDATE", place.describe())

    def remove(self) -> None:
        """Delete the channel with all that is in it."""
        about, self.gone = self.describe(), True
        for each in self.guild.channels if self.guild else []:
            each.gone = each.gone or each.parent is self
        self.world.dispatch("THREAD_DELETE" if self.kind == THREAD else "CHANNEL_DELETE", about)

    def permissions(self) -> int:
        """What the bot may do here."""
        if self.guild is None:
            return EVERYONE
        if not self.guild.bot_inside:
            return 0
        return (EVERYONE | self.guild.bot_permissions) & ~(self.parent or self).denied

    def may(self, *names: str) -> bool:
        """Whether the bot has all these permissions here."""
        return all(self.permissions() & PERMISSIONS[name] for name in names)

    def require(self, *names: str) -> None:
        """Raise what the bot is told where it may not do this; 50001 where it cannot even look."""
        if self.gone:
            raise ApiError(10003)
        if not self.bot_sees():
            raise ApiError(50001)
        if not self.may(*names):
            raise ApiError(50013)

    def bot_sees(self) -> bool:
        """Whether the bot gets the events of this channel."""
        return not self.gone and (self.may("view_channel") if self.guild else self.with_bot)

    @property
    def with_bot(self) -> bool:
        """Whether this is somebody's direct messages with the bot."""
        return self.kind == DM and len(self.recipients) == 1

    def people(self) -> list[User]:
        """Who is here, the bot apart."""
        return self.guild.members if self.guild else self.recipients

    def describe(self, permissions: int | None = None) -> Json:
        """The Channel object; with `permissions` as an interaction tells it."""
        about: Json = {"id": str(self.id), "type": self.kind, "flags": 0}
        about["last_message_id"] = str(self.messages[-1]["id"]) if self.messages else None
        if self.guild:
            about |= {"guild_id": str(self.guild.id), "name": self.name, "rate_limit_per_user": 0}
            about["parent_id"] = str(self.parent.id) if self.parent else None
        else:
            about["recipients"] = [user.describe() for user in self.recipients]
        if self.kind == GROUP:
            about |= {"name": self.name, "icon": None, "owner_id": str(self.recipients[0].id)}
        elif self.kind == THREAD:
            archive: Json = {"archived": False, "auto_archive_duration": 1440, "locked": self.locked}
            archive["archive_timestamp"] = iso(1_600_000_000.0)
            about |= {"owner_id": str(OWNER_ID), "message_count": len(self.messages), "member_count": 1}
            about |= {"thread_metadata": archive, "total_message_sent": len(self.messages)}
        elif self.kind == TEXT:
            overwrite = {"id": str(BOT_ID), "type": 1, "allow": "0", "deny": str(self.denied)}
            about |= {"position": 0, "topic": None, "nsfw": False, "permission_overwrites": [overwrite]}
        return about | ({"permissions": str(permissions)} if permissions is not None else {})

    def find(self, message_id: int) -> Json | None:
        """The message of this id, unless it was deleted."""
        return next((message for message in self.messages if int(message["id"]) == message_id), None)

    def bot_messages(self, reader: User | None = None) -> list[Json]:
        """What the bot said here and is not deleted: what all can see, and what `reader` alone can."""
        seen = [message for message in self.messages if not message["flags"] & EPHEMERAL]
        if reader:
            seen = [message for message in self.messages if message["only_for"] in {0, reader.id}]
        return [message for message in seen if message["author"]["id"] == str(BOT_ID)]

    def texts(self, reader: User | None = None) -> list[str]:
        """What a reader reads of the bot's messages as they are now; THINKING where an answer is deferred."""
        shown = self.bot_messages(reader)
        return [THINKING if message["flags"] & LOADING else text_of(message) for message in shown]

    async def wait_for(
        self, predicate: Callable[[list[str]], object], seconds: float = 10.0, reader: User | None = None
    ) -> list[str]:
        """The bot's texts as soon as `predicate` holds of them; raises TimeoutError, which shows them."""
        try:
            await self.world.changes.until(lambda: predicate(self.texts(reader)), seconds)
        except TimeoutError:
            raise TimeoutError(f"not within {seconds} s; the bot's messages are {self.texts(reader)}") from None
        return self.texts(reader)

    def typed(self) -> None:
        """The bot was seen to type."""
        self.typing.append(time.perf_counter())

    def forces_ephemeral(self, user: User) -> bool:
        """Whether an answer to this user's own application is for that user alone."""
        return bool(self.guild) and "0" not in self.owners(user) and not (self.guild and self.guild.external_apps)

    def owners(self, user: User) -> Json:
        """Who installed the application for a deed of this user here: a server ("0"), the user ("1")."""
        owners: Json = {}
        if self.guild and self.guild.bot_inside:
            owners["0"] = str(self.guild.id)
        elif self.with_bot:
            owners["0"] = "0"
        return owners | ({"1": str(user.id)} if user.installed else {})
