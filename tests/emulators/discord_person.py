"""A person with Discord open: what one writes, asks by command, presses, fills in, edits, deletes, and sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.emulators.discord_commands import CHAT, MESSAGE, SUB, SUB_GROUP
from tests.emulators.discord_forms import filled, options_of, upload_of
from tests.emulators.discord_interactions import Interaction, reference
from tests.emulators.discord_mentions import mentioned
from tests.emulators.discord_places import THINKING, Channel
from tests.emulators.discord_shapes import (
    AUTOCOMPLETE,
    BOT_ID,
    COMMAND,
    COMPONENT,
    DIRECT_REACTIONS,
    DM,
    EPHEMERAL,
    GUILD_REACTIONS,
    LOADING,
    MODAL,
    every_component,
    iso,
    items,
    member_object,
    text_of,
    user_object,
)
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_world import World


@dataclass(eq=False)
class User:
    """One user. installed: has the application for use anywhere; blocked: lets the bot send no direct message."""

    world: World
    id: int
    name: str
    locale: str
    installed: bool
    blocked: bool = False

    @property
    def private(self) -> Channel:
        """The direct messages with the bot, made at the first call."""
        for channel in self.world.channels.values():
            if channel.with_bot and channel.recipients == [self]:
                return channel
        return self.world.add_channel(DM, "", recipients=[self])

    @property
    def reachable(self) -> bool:
        """Whether the bot may send direct messages: not blocked, and a common server, the installation or a past."""
        common = any(guild.bot_inside and self in guild.members for guild in self.world.guilds.values())
        spoke = any(message["author"]["id"] == str(self.id) for message in self.private.messages)
        return not self.blocked and (common or self.installed or spoke)

    def describe(self) -> Json:
        """The User object."""
        return user_object(self.id, self.name)

    def member(self, permissions: int | None = None) -> Json:
        """The Member object."""
        return member_object(self.describe(), permissions)

    async def says(
        self,
        channel: Channel,
        text: str = "",
        files: Iterable[Any] = (),
        reply_to: Json | None = None,
        *,
        mention: bool = False,
        ping: bool = True,
        **fields: Any,
    ) -> Json:
        """Send a message; `mention` puts the bot's mention before the text, files are (name, bytes) or Upload.

        `ping`: a reply notifies the author replied to, as the app's switch "@ ON" has it; answers to interactions
        come by webhook and are never notified. Fields of a message (embeds, sticker_items …) are taken as they are.
        """
        self._enter(channel)
        world = self.world
        content = f"<@{BOT_ID}> {text}".strip() if mention else text
        about: Json = {"content": content, **fields}
        about["attachments"] = [world.store(upload_of(each), f"attachments/{channel.id}") for each in files]
        replied = 0
        if reply_to:
            about |= {"type": 19, "message_reference": reference(channel, reply_to)}
            replied = int(reply_to["author"]["id"]) if ping and "webhook_id" not in reply_to else 0
        message = world.new_message(channel, self.describe(), about)
        found = mentioned(world, content, None, replied, may_everyone=False)
        world.mark_mentions(message, found)
        message["pings"] = found.pinged(channel, self.id)
        world.tell_message("MESSAGE_CREATE", message)
        return message

    async def forwards(self, channel: Channel, message: Json) -> Json:
        """Forward a message: a copy of what it holds, without its author."""
        origin = self._enter(self.world.channels[int(message["channel_id"])])
        kept = ("content", "attachments", "embeds", "components", "timestamp", "edited_timestamp", "flags", "type")
        copy: Json = {key: message[key] for key in (*kept, "mentions", "mention_roles")}
        copy["sticker_items"] = message.get("sticker_items", [])
        about = reference(origin, message) | {"type": 1}
        return await self.says(channel, message_reference=about, message_snapshots=[{"message": copy}], flags=1 << 14)

    async def dm(self, text: str = "", files: Iterable[Any] = (), reply_to: Json | None = None, **fields: Any) -> Json:
        """Write to the bot in private."""
        return await self.says(self.private, text, files, reply_to, **fields)

    async def edits(self, message: Json, text: str) -> None:
        """Write another text over one's own message."""
        found = mentioned(self.world, text, None, 0, may_everyone=False)
        pings = message["pings"]
        self.world.mark_mentions(message, found)
        message["pings"] = pings
        self.world.change(message, {"content": text, "edited_timestamp": iso(self.world.clock.now())})

    async def deletes(self, message: Json) -> None:
        """Delete a message: one's own, or any as a moderator."""
        self.world.remove(message)

    async def reacts(self, message: Json, emoji: str) -> None:
        """React to a message."""
        channel = self._enter(self.world.channels[int(message["channel_id"])])
        about: Json = {
            "user_id": str(self.id),
            "channel_id": str(channel.id),
            "message_id": message["id"],
            "burst": False,
        }
        about |= {"emoji": {"id": None, "name": emoji}, "type": 0}
        if channel.guild:
            about |= {"guild_id": str(channel.guild.id), "member": self.member()}
        if channel.bot_sees():
            intent = GUILD_REACTIONS if channel.guild else DIRECT_REACTIONS
            self.world.dispatch("MESSAGE_REACTION_ADD", about, intent)

    async def slash(self, name: str, channel: Channel | None = None, **options: Any) -> Interaction:
        """Use a command, by default in private; a subcommand is named after a space: "admin allow".

        Raises LookupError if no such command is registered or offered here, ValueError if the app would not send it.
        """
        command, wrap, place = self._command(name, CHAT, channel)
        chosen, resolved = options_of(self.world, wrap(command), options)
        data = _command_data(command, name, chosen)
        return self._start(place, COMMAND, data | ({"resolved": resolved} if resolved else {}))

    async def types(
        self, name: str, focused: str, value: str, channel: Channel | None = None, **options: Any
    ) -> Interaction:
        """Type into an option with autocomplete; see Interaction.offers."""
        command, wrap, place = self._command(name, CHAT, channel)
        known = {option["name"]: option for option in items(wrap(command), "options")}
        if not known[focused].get("autocomplete"):
            raise LookupError(f"option {focused} of /{name} has no autocomplete")
        chosen: list[Json] = [
            {"name": key, "type": known[key]["type"], "value": given} for key, given in options.items()
        ]
        chosen.append({"name": focused, "type": known[focused]["type"], "value": value, "focused": True})
        return self._start(place, AUTOCOMPLETE, _command_data(command, name, chosen))

    async def context(self, name: str, message: Json) -> Interaction:
        """Use a command of the menu of a message; it comes whole, whatever the bot may read."""
        channel = self.world.channels[int(message["channel_id"])]
        command, _, place = self._command(name, MESSAGE, channel)
        shown = self.world.show(message, whole=True, quoted_whole=self.world.message_content)
        data: Json = {"id": command["id"], "name": name, "type": MESSAGE, "target_id": message["id"]}
        return self._start(place, COMMAND, data | {"resolved": {"messages": {message["id"]: shown}}})

    async def press(self, message: Json, what: str, values: Sequence[str] = ()) -> Interaction:
        """Press a button, by its custom_id or label, or choose `values` in a menu; raises LookupError."""
        channel = self._enter(self.world.channels[int(message["channel_id"])])
        if message not in self.sees(channel):
            raise LookupError("this message cannot be seen")
        for component in every_component(message["components"]):
            if what in {component.get("custom_id"), component.get("label")} and not component.get("disabled"):
                data: Json = {"custom_id": component["custom_id"], "component_type": component["type"]}
                data |= {"id": component["id"]} | ({"values": list(values)} if component["type"] != 2 else {})
                return self._start(channel, COMPONENT, data, message)
        labels = [part.get("label") for part in every_component(message["components"])]
        raise LookupError(f"no button {what!r} to press under {message['content']!r}: {labels}")

    async def submit(self, origin: Interaction, values: Json) -> Interaction:
        """Fill in the modal that this interaction shows, by custom_id or label, and send it off."""
        modal = origin.modal
        if modal is None or origin.user is not self:
            raise LookupError("no modal is shown to this user")
        components, resolved = filled(self.world, modal, values)
        data: Json = {"custom_id": modal["custom_id"], "components": components}
        return self._start(
            origin.channel, MODAL, data | ({"resolved": resolved} if resolved else {}), origin.clicked, origin
        )

    def sees(self, channel: Channel) -> list[Json]:
        """The messages of a channel that this person sees, ephemeral ones included."""
        return [message for message in channel.messages if message["only_for"] in {0, self.id}]

    def reads(self, channel: Channel) -> list[str]:
        """Their texts, THINKING where an answer is deferred."""
        return [THINKING if message["flags"] & LOADING else text_of(message) for message in self.sees(channel)]

    async def reads_when(
        self, channel: Channel, predicate: Callable[[list[str]], object], seconds: float = 10.0
    ) -> list[str]:
        """What the bot says here, as this person reads it, as soon as `predicate` holds of it; see Channel.wait_for."""
        return await channel.wait_for(predicate, seconds, self)

    def only_i_see(self, channel: Channel) -> list[Json]:
        """The ephemeral messages for this person."""
        return [message for message in self.sees(channel) if message["flags"] & EPHEMERAL]

    def _enter(self, channel: Channel) -> Channel:
        if channel.gone:
            raise LookupError("this channel is gone")
        if channel.guild and self not in channel.guild.members:
            channel.guild.members.append(self)
        if not channel.guild and self not in channel.recipients:
            raise LookupError("these are others' direct messages")
        return channel

    def _command(self, name: str, kind: int, channel: Channel | None) -> tuple[Json, Callable[[Json], Json], Channel]:
        """A command that is offered here, what finds the options of its subcommand, and where it is used."""
        place = self._enter(channel or self.private)
        head, *rest = name.split(" ") if kind == CHAT else [name]
        command = self.world.commands.find(head, kind, place.guild.id if place.guild else 0)
        _check_offered(command, self, place)

        def wrap(found: Json) -> Json:
            for part in rest:
                found = next(option for option in found["options"] if option["name"] == part)
            return found

        return command, wrap, place

    def _start(
        self, channel: Channel, kind: int, data: Json, message: Json | None = None, origin: Interaction | None = None
    ) -> Interaction:
        return self.world.interactions.start(self, self._enter(channel), kind, data, message, origin)


def _command_data(command: Json, name: str, chosen: list[Json]) -> Json:
    options = chosen
    parts = name.split(" ")[1:]
    for depth, part in reversed(list(enumerate(parts, 1))):
        kind = SUB if depth == len(parts) else SUB_GROUP
        options = [{"name": part, "type": kind, "options": options}]
    about: Json = {"id": command["id"], "name": command["name"], "type": CHAT, "options": options}
    return about | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def _check_offered(command: Json, user: User, channel: Channel) -> None:
    context = 0 if channel.guild else 1 if channel.with_bot else 2
    contexts, types = command.get("contexts"), command["integration_types"]
    by_server = 0 in types and (channel.guild.bot_inside if channel.guild else channel.with_bot)
    if (contexts is not None and context not in contexts) or not (by_server or (1 in types and user.installed)):
        raise LookupError(f"{command['name']} is not offered here: contexts {contexts}, integration types {types}")
