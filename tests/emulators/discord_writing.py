"""How the bot's messages come to be and change, through whichever route."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.emulators.discord_mentions import Mentions, mentioned
from tests.emulators.discord_rules import ApiError, check_message, invalid
from tests.emulators.discord_shapes import (
    BOT_ID,
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SILENT,
    SUPPRESS_EMBEDS,
    Upload,
    iso,
    items,
)
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_places import Channel
    from tests.emulators.discord_world import World

NONCE_SECONDS = 180.0  # how long Discord knows an enforced nonce again: "a few minutes"
FILE_BYTES = 10 * 1024**2  # the most of one file in a server without boosts

_KEPT = LOADING | EPHEMERAL | COMPONENTS_V2 | SILENT | SUPPRESS_EMBEDS


class Writer:
    """Writes as the bot; a message that was posted is told to the gateway."""

    def __init__(self, world: World) -> None:
        self._world = world

    def post(self, channel: Channel, body: Json, files: list[Upload], about: Json, *, only_for: int = 0) -> Json:
        """A new message; `about` are fields of its own. It was checked, but for what is looked up here."""
        world, now = self._world, self._world.clock.now()
        nonce = body.get("nonce")
        if nonce is not None and body.get("enforce_nonce") and (known := self._known(str(nonce))):
            return known
        fields: Json = {"content": (body.get("content") or "").strip(), "tts": bool(body.get("tts"))}
        fields |= {"embeds": items(body, "embeds"), "components": _numbered(items(body, "components"))}
        fields |= {"flags": (body.get("flags") or 0) & _KEPT, **about}
        if nonce is not None:
            fields |= {"nonce": nonce, "nonce_at": now if body.get("enforce_nonce") else 0.0}
        found = self._mentions(channel, body, fields)
        fields["attachments"] = self._stored(channel, body, files, ephemeral=bool(only_for))
        message = world.new_message(channel, world.bot, fields, only_for)
        self._note_mentions(channel, message, found)
        world.tell_message("MESSAGE_CREATE", message)
        return message

    def edit(self, message: Json, body: Json, files: list[Upload], at: str = "") -> Json:
        """Write over a message of the bot; a field that is not given stays as it is, "thinking" ends."""
        world = self._world
        channel = world.channels[int(message["channel_id"])]
        kept = message["attachments"]
        if "attachments" in body:
            ids = {str(each.get("id")) for each in items(body, "attachments")}
            kept = [each for each in kept if each["id"] in ids]
        fields: Json = {key: body[key] or [] for key in ("embeds", "components") if key in body}
        if "content" in body:
            fields["content"] = (body["content"] or "").strip()
        given = (body.get("flags") or 0) & (COMPONENTS_V2 | SUPPRESS_EMBEDS)
        fields["flags"] = (message["flags"] & ~LOADING) | given
        check_message({**message, **fields, "nonce": None}, len(kept) + len(files), at)
        deferred = bool(message["flags"] & LOADING)
        found = (
            self._mentions(channel, body, {**message, **fields}, at)
            if {"content", "allowed_mentions"} & set(body)
            else None
        )
        fields["components"] = _numbered(fields.get("components", message["components"]))
        fields["attachments"] = kept + self._stored(channel, body, files, ephemeral=bool(message["only_for"]))
        if not deferred:
            fields["edited_timestamp"] = iso(world.clock.now())
        if found:
            pings = message["pings"]
            self._note_mentions(channel, message, found)
            message["pings"] = message["pings"] if deferred else pings  # an edit notifies nobody
        world.change(message, fields)
        return message

    def _known(self, nonce: str) -> Json | None:
        since = self._world.clock.now() - NONCE_SECONDS
        for channel in self._world.channels.values():
            for message in channel.messages:
                if message["nonce_at"] > since and str(message["nonce"]) == nonce:
                    return message
        return None

    def _mentions(self, channel: Channel, body: Json, message: Json, at: str = "") -> Mentions:
        everyone = bool(channel.guild) and channel.may("mention_everyone")
        replied = 0
        if "message_reference" in message and "webhook_id" not in message:
            quoted = channel.find(int(message["message_reference"]["message_id"]))
            replied = int(quoted["author"]["id"]) if quoted else 0
        allowed = body.get("allowed_mentions")
        return mentioned(self._world, message["content"], allowed, replied, may_everyone=everyone, at=at)

    def _note_mentions(self, channel: Channel, message: Json, found: Mentions) -> None:
        self._world.mark_mentions(message, found)
        message["pings"] = found.pinged(channel, BOT_ID)

    def _stored(self, channel: Channel, body: Json, files: list[Upload], *, ephemeral: bool) -> list[Json]:
        about = {str(each.get("id")): each for each in items(body, "attachments")}
        for number, upload in enumerate(files):
            if len(upload.content) > FILE_BYTES:
                raise ApiError(40005)
            if about and str(number) not in about:
                raise invalid(f"attachments.{number}", "MESSAGE_ATTACHMENT_NOT_FOUND", "Attachment data not found")
        folder = f"{'ephemeral-' if ephemeral else ''}attachments/{channel.id}"
        return [
            self._world.store(
                upload._replace(
                    name=about.get(str(number), {}).get("filename") or upload.name,
                    description=about.get(str(number), {}).get("description") or "",
                ),
                folder,
            )
            for number, upload in enumerate(files)
        ]


def _numbered(components: list[Json], numbers: Iterator[int] | None = None) -> list[Json]:
    """The components with the ids that Discord gives to those that have none."""
    numbers = numbers or itertools.count(1)
    numbered: list[Json] = []
    for component in components:
        copy: Json = {"id": next(numbers)} | component
        if "components" in component:
            copy["components"] = _numbered(component["components"], numbers)
        if "accessory" in component:
            copy["accessory"] = _numbered([component["accessory"]], numbers)[0]
        numbered.append(copy)
    return numbered
