"""Interactions: what a person asked of the bot by command, button or form, and what may still be answered."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.emulators.discord_rules import ApiError, check_choices, check_message, check_modal, invalid
from tests.emulators.discord_shapes import (
    APP_ID,
    AUTOCOMPLETE,
    CHOICES,
    COMMAND,
    COMPONENT,
    DEFER,
    DEFER_UPDATE,
    EPHEMERAL,
    EVERYONE,
    LOADING,
    MODAL,
    PERMISSIONS,
    REPLY,
    SHOW_MODAL,
    UPDATE,
    Upload,
)
from tests.emulators.discord_writing import Writer
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_person import User
    from tests.emulators.discord_places import Channel
    from tests.emulators.discord_world import World

_ALLOWED = {
    COMMAND: {REPLY, DEFER, SHOW_MODAL},
    COMPONENT: {REPLY, DEFER, DEFER_UPDATE, UPDATE, SHOW_MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL: {REPLY, DEFER},
}
_FOLLOW_UPS = 5  # of an application that only the user installed


@dataclass(eq=False)
class Interaction:
    """One interaction. `payload` is what INTERACTION_CREATE says, callback how the bot answered it ({} not yet).

    original is the message @original, modal the form that was shown, choices those of an autocomplete, followups the
    messages sent after. `acked` is when it was answered, by time.perf_counter(), 0.0 if never.
    """

    world: World
    user: User
    channel: Channel
    payload: Json
    made: float
    origin: Interaction | None = None  # what showed the form that was sent off
    callback: Json = field(default_factory=Json)
    original: Json | None = None
    modal: Json | None = None
    choices: list[Json] | None = None
    followups: list[Json] = field(default_factory=list[Json])
    posts: int = 0
    acked: float = 0.0
    expired: bool = False

    @property
    def id(self) -> int:
        """Its id."""
        return int(self.payload["id"])

    @property
    def token(self) -> str:
        """What its answers are sent with."""
        return self.payload["token"]

    @property
    def kind(self) -> int:
        """COMMAND, COMPONENT, AUTOCOMPLETE or MODAL."""
        return self.payload["type"]

    @property
    def clicked(self) -> Json | None:
        """The message whose component it came from, be it through a form."""
        shown: Json | None = self.payload.get("message")
        return self.channel.find(int(shown["id"])) if shown else None

    async def answered(self, seconds: float = 10.0) -> Json:
        """The callback as soon as there is one; raises TimeoutError."""
        return await self.world.changes.until(lambda: self.callback, seconds)

    async def shows_modal(self, seconds: float = 10.0) -> Json:
        """The form as soon as it is shown."""
        await self.world.changes.until(lambda: self.modal, seconds)
        return self.modal or {}

    async def offers(self, seconds: float = 10.0) -> list[Json]:
        """The choices of an autocomplete as soon as they are there."""
        await self.world.changes.until(lambda: self.choices is not None, seconds)
        return self.choices or []

    async def shows(self, seconds: float = 10.0) -> Json:
        """The answer @original as soon as it is no longer "thinking"."""

        def ready() -> list[Json]:
            return [self.original] if self.original and not self.original["flags"] & LOADING else []

        return (await self.world.changes.until(ready, seconds))[0]


class Interactions:
    """All interactions. ack_seconds is how long the bot has to answer, token_seconds how long the token is good."""

    def __init__(self, world: World, writer: Writer) -> None:
        self.world, self._writer = world, writer
        self.all: list[Interaction] = []
        self.ack_seconds, self.token_seconds = 3.0, 900.0

    def start(
        self, user: User, channel: Channel, kind: int, data: Json, message: Json | None = None,
        origin: Interaction | None = None,
    ) -> Interaction:  # fmt: skip
        """Make an interaction and tell the bot of it."""
        world, number = self.world, self.world.clock.snowflake()
        secret = f"interaction:{number}:{secrets.token_urlsafe(48)}"
        payload: Json = {
            "id": str(number), "application_id": str(APP_ID), "type": kind, "version": 1, "data": data,
            "token": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="), "channel_id": str(channel.id),
            "locale": user.locale, "entitlements": [], "entitlement_sku_ids": [], "attachment_size_limit": 10 * 1024**2,
            "authorizing_integration_owners": _owners(user, channel, message), "context": _context(channel),
            "app_permissions": str(channel.permissions() or PERMISSIONS["use_external_apps"]),
        }  # fmt: skip
        payload["channel"] = channel.describe(EVERYONE)
        if guild := channel.guild:
            payload |= {"guild_id": str(guild.id), "guild": guild.partial(), "guild_locale": guild.locale}
            payload["member"] = user.member(EVERYONE)
        else:
            payload["user"] = user.describe()
        if message:
            payload["message"] = world.show(message, whole=False)
        interaction = Interaction(world, user, channel, payload, world.clock.now(), origin)
        self.all.append(interaction)
        self.deliver(interaction)
        return interaction

    def deliver(self, interaction: Interaction) -> None:
        """Tell the bot of an interaction, if need be once more."""
        self.world.dispatch("INTERACTION_CREATE", interaction.payload, intents=0)

    def failed(self, interaction: Interaction) -> bool:
        """Whether the user reads that the application did not respond."""
        return not interaction.callback and self._age(interaction) > self.ack_seconds

    def respond(self, number: int, token: str, body: Json, files: list[Upload]) -> Json:
        """The callback; returns what with_response asks for."""
        found = next((each for each in self.all if each.id == number and each.token == token), None)
        if found is None:
            raise ApiError(10062)
        if found.callback:
            raise ApiError(40060)
        if self._age(found) > self.ack_seconds:
            raise ApiError(10062)
        kind: int = body.get("type") or 0
        data: Json = body.get("data") or {}
        allowed = _ALLOWED[COMPONENT if found.kind == MODAL and found.clicked else found.kind]
        if found.kind == MODAL:
            allowed = allowed - {SHOW_MODAL}
        if kind not in allowed:
            raise invalid("type", "BASE_TYPE_CHOICES", f"Value must be one of {tuple(sorted(allowed))}.")
        self._perform(found, kind, data, files)
        found.callback, found.acked = body, time.perf_counter()
        self.world.changes.notify()
        return self._resource(found, kind)

    def by_token(self, application: str, token: str) -> Interaction:
        """The interaction that a webhook's token stands for; raises what a dead, early or foreign one is told."""
        found = next((each for each in self.all if each.token == token), None)
        if found is None or found.expired or (found.callback and self._age(found) > self.token_seconds):
            raise ApiError(50027)
        if application != str(APP_ID) or not found.callback:
            raise ApiError(10015)
        return found

    def follow_up(self, interaction: Interaction, body: Json, files: list[Upload]) -> Json:
        """A message after the callback; the first one after a deferral takes the place of "thinking"."""
        by_server = "0" in interaction.payload["authorizing_integration_owners"]
        if not by_server and interaction.posts >= _FOLLOW_UPS:
            raise ApiError(40094)
        check_message(body, len(files))
        interaction.posts += 1
        original = interaction.original
        if original and original["flags"] & LOADING and original in interaction.channel.messages:
            return self._writer.edit(original, body, files)
        message = self._new(interaction, body, files, reply_to=original)
        interaction.followups.append(message)
        return message

    def message(self, interaction: Interaction, name: str) -> Json:
        """A message that this token may touch; `name` is its id or @original."""
        mine = [interaction.original, *interaction.followups, interaction.clicked]
        wanted = interaction.original if name == "@original" else None
        for message in mine if name != "@original" else []:
            wanted = message if message and message["id"] == name else wanted
        if wanted is None or wanted not in interaction.channel.messages:
            raise ApiError(10008)
        return wanted

    def _age(self, interaction: Interaction) -> float:
        return self.world.clock.now() - interaction.made

    def _perform(self, interaction: Interaction, kind: int, data: Json, files: list[Upload]) -> None:
        if kind == REPLY:
            check_message(data, len(files), "data.")
            interaction.original = self._new(interaction, data, files, reply_to=interaction.clicked)
        elif kind == DEFER:
            flags = (data.get("flags") or 0) & EPHEMERAL
            loading: Json = {"flags": flags | LOADING}
            interaction.original = self._new(interaction, loading, [], reply_to=interaction.clicked)
        elif kind in {DEFER_UPDATE, UPDATE}:
            interaction.original = interaction.clicked
            if kind == UPDATE:
                if interaction.original is None:
                    raise ApiError(10008)
                self._writer.edit(interaction.original, data, files, "data.")
        elif kind == CHOICES:
            check_choices(data.get("choices"))
            interaction.choices = data["choices"]
        else:
            check_modal(data)
            interaction.modal = data

    def _new(self, interaction: Interaction, body: Json, files: list[Upload], reply_to: Json | None) -> Json:
        flags = body.get("flags") or 0
        if interaction.channel.forces_ephemeral(interaction.user):
            flags |= EPHEMERAL
        command = interaction.kind == COMMAND and interaction.original is None
        about: Json = {"type": 20 if command else 0, "webhook_id": str(APP_ID), "application_id": str(APP_ID)}
        about["interaction_metadata"] = metadata(interaction)
        if command and interaction.payload["data"]["type"] != 1:
            about["type"] = 23
        if reply_to and reply_to in interaction.channel.messages:
            about["type"] = 19
            about["message_reference"] = reference(interaction.channel, reply_to)
        reader = interaction.user.id if flags & EPHEMERAL else 0
        return self._writer.post(interaction.channel, body | {"flags": flags}, files, about, only_for=reader)

    def _resource(self, interaction: Interaction, kind: int) -> Json:
        about: Json = {"id": str(interaction.id), "type": interaction.kind}
        answer: Json = {"interaction": about}
        if (original := interaction.original) and kind in {REPLY, DEFER, DEFER_UPDATE, UPDATE}:
            about["response_message_id"] = original["id"]
            about["response_message_loading"] = bool(original["flags"] & LOADING)
            about["response_message_ephemeral"] = bool(original["flags"] & EPHEMERAL)
            resource: Json = {"type": kind}
            if kind in {REPLY, UPDATE}:
                resource["message"] = self.world.show(original)
            answer["resource"] = resource
        return answer


def metadata(interaction: Interaction) -> Json:
    """What a message says of the interaction that it answers."""
    payload = interaction.payload
    about: Json = {"id": payload["id"], "type": payload["type"], "user": interaction.user.describe()}
    about["authorizing_integration_owners"] = payload["authorizing_integration_owners"]
    if interaction.kind == COMPONENT:
        about["interacted_message_id"] = payload["message"]["id"]
    elif interaction.kind == COMMAND and "target_id" in payload["data"]:
        about["target_message_id"] = payload["data"]["target_id"]
    if interaction.original:
        about["original_response_message_id"] = interaction.original["id"]
    if interaction.origin:
        about["triggering_interaction_metadata"] = metadata(interaction.origin)
    return about


def reference(channel: Channel, message: Json) -> Json:
    """A message_reference to a message of the channel."""
    about: Json = {"type": 0, "message_id": message["id"], "channel_id": str(channel.id)}
    return about | ({"guild_id": str(channel.guild.id)} if channel.guild else {})


def _owners(user: User, channel: Channel, message: Json | None) -> Json:
    """Who installed the application, for a deed: a component speaks for whoever made its message appear."""
    about: Json = (message or {}).get("interaction_metadata", {})
    return about.get("authorizing_integration_owners") or channel.owners(user)


def _context(channel: Channel) -> int:
    if channel.guild:
        return 0
    return 1 if channel.with_bot else 2
