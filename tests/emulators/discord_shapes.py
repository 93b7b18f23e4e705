"""Discord's objects as dicts, its bit fields, and its ids; all of it pure."""

from __future__ import annotations

import io
import itertools
import mimetypes
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from PIL import Image

from tests.emulators.server import Json

# The application and its bot user have two ids, as with applications made before 2017: whoever mixes them up fails.
APP_ID = 1100000000000000001
BOT_ID = 1100000000000000002
OWNER_ID = 1100000000000000003

EPOCH = 1_420_070_400.0  # 2015-01-01: what Discord's ids count from

TEXT, DM, GROUP, THREAD = 0, 1, 3, 11  # kinds of channel

# Kinds of interaction, and what a callback can be.
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
REPLY, DEFER, DEFER_UPDATE, UPDATE, CHOICES, SHOW_MODAL = 4, 5, 6, 7, 8, 9

# Flags of a message.
SUPPRESS_EMBEDS, EPHEMERAL, LOADING, SILENT, COMPONENTS_V2 = 1 << 2, 1 << 6, 1 << 7, 1 << 12, 1 << 15

GUILDS, GUILD_MEMBERS, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 8
GUILD_MESSAGES, GUILD_REACTIONS, DIRECT_MESSAGES, DIRECT_REACTIONS = 1 << 9, 1 << 10, 1 << 12, 1 << 13
MESSAGE_CONTENT = 1 << 15

PERMISSIONS = {
    "add_reactions": 1 << 6,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "manage_messages": 1 << 13,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "mention_everyone": 1 << 17,
    "use_application_commands": 1 << 31,
    "send_messages_in_threads": 1 << 38,
    "use_external_apps": 1 << 50,
}
EVERYONE = sum(PERMISSIONS.values()) - PERMISSIONS["manage_messages"] - PERMISSIONS["mention_everyone"]

# What of a message is kept from a bot without the message-content intent.
BLANKED: dict[str, Any] = {"content": "", "attachments": [], "embeds": [], "components": []}

_OURS = ("at", "edits", "pings", "only_for", "nonce_at")


class Upload(NamedTuple):
    """A file on its way in; declared_size in bytes is what Discord says of a file too large to make here."""

    name: str
    content: bytes
    declared_size: int | None = None
    description: str = ""


class Clock:
    """Discord's clock: the machine's, moved by `shift` seconds; ids, ages and signed addresses go by it."""

    def __init__(self) -> None:
        self.shift = 0.0
        self._numbers = itertools.count(1)

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.shift

    def snowflake(self) -> int:
        """A new id: milliseconds since EPOCH, then a count; of two the later one is greater."""
        return (int((self.now() - EPOCH) * 1000) << 22) + next(self._numbers) % (1 << 22)


def iso(seconds: float) -> str:
    """A time as Discord writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def user_object(user_id: int, name: str, *, bot: bool = False) -> Json:
    """A User."""
    names: Json = {"id": str(user_id), "username": name.lower(), "discriminator": "0", "global_name": name}
    return names | {"avatar": None, "bot": bot, "public_flags": 0, "flags": 0}


def member_object(user: Json | None, permissions: int | None = None) -> Json:
    """A guild Member; `permissions` only where an interaction tells them."""
    about: Json = {"roles": [], "nick": None, "avatar": None, "deaf": False, "mute": False, "pending": False}
    about |= {"joined_at": iso(1_600_000_000.0), "premium_since": None, "flags": 0}
    about |= {"user": user} if user else {}
    return about | ({"permissions": str(permissions)} if permissions is not None else {})


def role_object(role_id: int, name: str, permissions: int, **more: object) -> Json:
    """A Role."""
    about: Json = {"id": str(role_id), "name": name, "color": 0, "hoist": False, "position": 0, "flags": 0}
    return about | {"permissions": str(permissions), "managed": False, "mentionable": False, **more}


def wire(message: Json) -> Json:
    """A copy of the message without what only the emulator knows; its attachments are not yet signed."""
    return {key: value for key, value in message.items() if key not in _OURS}


def items(body: Json, key: str) -> list[Json]:
    """The list of objects under a key; empty where it is missing or null."""
    return body.get(key) or []


def text_of(message: Json) -> str:
    """What a reader reads: the content, or the text displays of Components V2."""
    shown = [part["content"] for part in every_component(message.get("components", [])) if part["type"] == 10]
    return "\n".join([message["content"], *shown]) if message["content"] else "\n".join(shown)


def every_component(components: list[Json]) -> Iterator[Json]:
    """All components of a message or a modal, at whatever depth."""
    for component in components:
        yield component
        yield from every_component(component.get("components", []))
        for key in ("component", "accessory"):
            if key in component:
                yield from every_component([component[key]])


def described(name: str, content: bytes) -> Json:
    """Content type, and width and height if it is a picture that can be read."""
    about: Json = {}
    if kind := mimetypes.guess_type(name)[0]:
        about["content_type"] = kind
    try:
        with Image.open(io.BytesIO(content)) as picture:
            about |= {"width": picture.width, "height": picture.height}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass  # no picture: Discord then gives no size
    return about
