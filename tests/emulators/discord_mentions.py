"""Whom a message mentions, and so pings: read from its content as far as allowed_mentions lets it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.emulators.discord_rules import invalid
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_world import Channel, World

_USER, _ROLE = re.compile(r"<@!?(\d+)>"), re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(everyone|here)\b")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)  # in code nothing is a mention


class Mentions(NamedTuple):
    """Ids of users and roles, and whether everyone is meant; replied is the author of the message replied to, or 0."""

    users: list[int]
    roles: list[int]
    everyone: bool
    replied: int

    def pinged(self, channel: Channel, author: int) -> set[int]:
        """The ids of all who get a notification."""
        whole = [user.id for user in channel.people()] if self.everyone or self.roles else []
        return {*self.users, *whole, self.replied} - {author, 0}


def mentioned(
    world: World, content: str, allowed: Json | None, replied: int, *, may_everyone: bool, at: str = ""
) -> Mentions:
    """What a message mentions; raises ApiError where allowed_mentions contradicts itself.

    Without allowed_mentions all counts that the content names, and the author of the message replied to.
    """
    plain = _CODE.sub("", content)
    users = [user for user in _ids(_USER, plain) if world.knows(user)]
    roles, everyone = _ids(_ROLE, plain), bool(_EVERYONE.search(plain)) and may_everyone
    if allowed is None:
        return Mentions(users, roles, everyone, replied)
    parse: list[str] = allowed.get("parse") or []
    chosen: dict[str, list[Any]] = {key: allowed.get(key) or [] for key in ("users", "roles")}
    for key, listed in chosen.items():
        if key in parse and listed:
            words = f"`parse` and `{key}` fields are mutually exclusive"
            raise invalid(f"{at}allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", words)
        if len(listed) > 100:
            raise invalid(f"{at}allowed_mentions.{key}", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")
    return Mentions(
        [user for user in users if "users" in parse or user in map(int, chosen["users"])],
        [role for role in roles if "roles" in parse or role in map(int, chosen["roles"])],
        everyone and "everyone" in parse,
        replied if allowed.get("replied_user") else 0,
    )


def _ids(pattern: re.Pattern[str], text: str) -> list[int]:
    return list(dict.fromkeys(int(found) for found in pattern.findall(text)))
