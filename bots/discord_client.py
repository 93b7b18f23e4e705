"""Discord's events on their way into the inbox: slash commands, the menu of a message, forms, presses, messages."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import aiohttp
import discord
import msgspec
from discord import app_commands

from bots.discord_commands import LONGEST, Names, commands
from bots.discord_reading import file_of, files, of_interaction, of_message
from bots.phrases import language_of, say
from bots.surface import FileRef, Incoming
from storage.connection import persist
from storage.held import HOLD, Held
from storage.inbox import Inbox
from storage.logs import describe
from storage.messages import decode, encode

log = logging.getLogger(__name__)
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # a bot that reads has no voice

AWAY = (
    discord.DiscordServerError, discord.GatewayNotFound, discord.RateLimited, aiohttp.ClientError, OSError,
    TimeoutError,
)  # fmt: skip
LOOK_BACK = 3600  # seconds of a channel's messages that are read again after a time without connection
AGAIN = 3.0  # seconds before what could not be read is tried again
BEHIND = 60.0  # seconds for which a message waits, at most, for what was written before it while nobody listened
DIRECT = 100  # chats of persons that are looked at then, the newest first

_Interaction = discord.Interaction[Any]
_Said = Incoming | Callable[[], Awaitable[Incoming]]


class Draft(msgspec.Struct, frozen=True):
    """What a form, which is answered later, asks about."""

    text: str
    photos: tuple[FileRef, ...]


class Press(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"askpix:(?P<code>[a-z]{1,20}\d?)"):
    """A button under an answer, known by its id whoever made it and when."""

    def __init__(self, code: str, label: str = "…", row: int | None = None) -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=f"askpix:{code}"), row=row)
        self.code = code

    @classmethod
    async def from_custom_id(
        cls, interaction: _Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Press:
        """The button that was pressed."""
        return cls(match["code"])

    async def callback(self, interaction: _Interaction) -> None:
        """Hand the press on."""
        await cast("Client", interaction.client).press(interaction, self.code)


class Client(discord.Client):
    """Takes in what happens, and does nothing else with it. sees: whether Discord shows us all that is written."""

    def __init__(self, inbox: Inbox, held: Held, proxy: str | None, *, sees: bool) -> None:
        intents = discord.Intents(guilds=True, messages=True, message_content=sees)
        super().__init__(
            intents=intents, max_messages=None, chunk_guilds_at_startup=False, proxy=proxy,
            member_cache_flags=discord.MemberCacheFlags.none(), allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=30.0,
        )  # fmt: skip
        self._inbox = inbox
        self._held = held
        self._sees = sees
        self._acks: dict[str, asyncio.Task[None]] = {}
        self._order = asyncio.Lock()  # of messages: none stands before an older one
        self._back = asyncio.Event()  # there may be messages that nobody told us of
        self._session = self._caught_up = 0  # the present one, and the last whose beginning was caught up with
        self._looked, self._unread = 0, set[int]()  # the last that was looked at so, and channels that gave nothing
        self._news = asyncio.Event()  # of these two
        self.add_dynamic_items(Press)

    @property
    def state(self) -> Any:
        """What the library's own webhooks are made with."""
        return self._connection

    async def acknowledged(self, interaction: str) -> None:
        """Wait until Discord knows that we heard an interaction: before, it takes no answer to it."""
        if ack := self._acks.get(interaction):
            await asyncio.wait([ack])

    async def press(self, interaction: _Interaction, code: str) -> None:
        """A button was pressed."""
        if code == "follow":
            await interaction.response.send_modal(_form(interaction, "follow"))
            return
        seen = "private" if interaction.message and interaction.message.flags.ephemeral else "public"
        await self._take(interaction, of_interaction(interaction, seen, button=code))

    async def on_interaction(self, interaction: _Interaction) -> None:
        """Take in a form: it may have been shown before our last restart, so no object of it is left."""
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        said = dict(_fields(cast("Any", interaction.data)["components"]))
        kind, _, name = str(cast("Any", interaction.data)["custom_id"]).removeprefix("askpix:").partition(":")
        private = said.get("seen") == "private" or bool(interaction.message and interaction.message.flags.ephemeral)

        async def incoming() -> Incoming:
            draft, refusal = Draft("", ()), ""
            if kind == "menu":
                raw = await persist(partial(self._inbox.kept, name))
                draft, refusal = (decode(raw, Draft), "") if raw else (draft, "discord.menu_old")
            elif interaction.message and not _own(interaction):
                draft = Draft(interaction.message.content, ())
            return of_interaction(
                interaction, "private" if private else "public", text=said.get("question", "").strip(),
                quote_text=draft.text, quote_photos=draft.photos, refusal=refusal,
            )  # fmt: skip

        await self._take(interaction, incoming, ephemeral=private, thinking=True)

    async def on_message(self, message: discord.Message) -> None:
        """Take in a message that is for us, behind those that nobody told us of."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEHIND):
                while self._looked != self._session or message.channel.id in self._unread:
                    await self._news.wait()  # all wake in their order
        await self._write(message)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Take in an edited message; Discord also tells when it has looked up a link."""
        if edited := payload.data.get("edited_timestamp"):
            await self._write(payload.message, edited)

    async def on_connect(self) -> None:
        """A new session: nobody told us what happened between."""
        self._session += 1

    async def on_ready(self) -> None:
        """Its channels are known."""
        self._back.set()

    async def setup_hook(self) -> None:
        """Know the commands, before they can come."""
        self._tree = app_commands.CommandTree(
            self, allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
        )  # fmt: skip
        await self._tree.set_translator(Names())
        for command in commands(self):
            self._tree.add_command(command)

    async def housekeeping(self) -> None:
        """Tell Discord our commands, and catch up on what was written while nobody listened; runs until cancelled."""
        try:
            await asyncio.gather(self._sync(), self._keep_up(), persist(partial(self._held.recover, self._inbox)))
        finally:
            await self._held.close()

    async def ask(
        self, interaction: _Interaction, question: str, photos: list[discord.Attachment], *, private: bool
    ) -> None:
        """Somebody asked with the command."""
        found = tuple(map(file_of, photos))
        incoming = of_interaction(interaction, "private" if private else "public", text=question.strip(), photos=found)
        await self._take(interaction, incoming, ephemeral=private, thinking=True)

    async def command(self, interaction: _Interaction, name: str, argument: str = "") -> None:
        """Somebody gave another command: they alone hear of it."""
        incoming = of_interaction(interaction, "private", command=name, argument=argument.strip())
        await self._take(interaction, incoming, ephemeral=True, thinking=True)

    async def menu(self, interaction: _Interaction, message: discord.Message) -> None:
        """Somebody wants to ask about a message: show a form for the question."""
        quoted = message.reference.resolved if message.reference else None
        photos = files([message, *([quoted] if isinstance(quoted, discord.Message) else [])])
        language, name = language_of(interaction.locale.value), str(interaction.id)
        if not photos:
            await interaction.response.send_message(say(language, "discord.no_picture"), ephemeral=True)
            return
        try:
            async with asyncio.timeout(HOLD):
                await persist(partial(self._inbox.keep, name, encode(Draft(message.content, photos))))
        except TimeoutError:
            await interaction.response.send_message(say(language, "went_wrong"), ephemeral=True)
            return
        await interaction.response.send_modal(_form(interaction, f"menu:{name}"))

    async def _take(self, interaction: _Interaction, incoming: _Said, **defer: bool) -> None:
        """Make it durable, then acknowledge, in time whatever the store does; whoever answers waits for that."""
        id = str(interaction.id)

        async def take() -> None:
            said = incoming if isinstance(incoming, Incoming) else await incoming()
            await self._held.put(self._inbox, id, encode(said))  # or our death would leave "thinking…" for good
            try:
                await interaction.response.defer(**defer)
            except (discord.HTTPException, discord.InteractionResponded, *AWAY) as error:  # the answer finds a way
                log.info("an interaction could not be acknowledged: %s", describe(error))

        self._acks[id] = taking = asyncio.create_task(take())
        taking.add_done_callback(lambda _: self._acks.pop(id, None))
        await taking

    async def _write(self, message: discord.Message, edited: str = "") -> None:
        incoming = of_message(message, self.user.id if self.user else 0, sees=self._sees, edited=bool(edited))
        if not incoming:
            return
        async with self._order:
            await persist(partial(self._inbox.put, f"{message.id}{edited}", encode(incoming)))
            if self._caught_up == self._session and not edited:  # else what lies before is still to be read
                await persist(partial(self._inbox.pass_by, incoming.where.chat, str(message.id)))
            elif not incoming.where.group:  # nobody else tells us that there is this chat
                await persist(partial(self._inbox.meet, incoming.where.chat, str(message.id)))

    async def _sync(self) -> None:
        while True:
            try:
                await self._tree.sync()
                return
            except AWAY as error:
                log.warning("the commands cannot be told: %s", describe(error))
                await asyncio.sleep(30)
            except discord.HTTPException as error:
                log.error("Discord does not take the commands: %s", describe(error))
                return

    async def _keep_up(self) -> None:
        while True:
            await self._back.wait()
            self._back.clear()
            session = self._session
            self._unread = await self._catch_up()
            self._looked = session
            self._news.set()
            self._news = asyncio.Event()
            if self._unread:
                self._back.set()
                await asyncio.sleep(AGAIN)
            else:
                self._caught_up = session

    async def _catch_up(self) -> set[int]:
        """Read what was written in each channel since we last heard of it, the oldest first; those that cannot be."""
        unread: set[int] = set()
        floor = discord.utils.time_snowflake(discord.utils.utcnow()) - (LOOK_BACK * 1000 << 22)
        passed = {int(chat): int(last) for chat, last in (await persist(self._inbox.passed)).items()}
        ours = {channel.id: channel for guild in self.guilds for channel in _written(guild)}
        direct = sorted(passed.keys() - ours.keys(), key=lambda chat: -passed[chat])[:DIRECT]
        active = [id for id, channel in ours.items() if (channel.last_message_id or 0) > max(floor, passed.get(id, 0))]
        for chat in (*active, *direct):
            message, after = None, discord.Object(max(floor, passed.get(chat, 0)))
            try:
                # Whole: of a channel of which only the id is known, every message looks like a direct one.
                channel = ours.get(chat) or cast("Any", await self.fetch_channel(chat))
                async for message in channel.history(after=after, limit=None, oldest_first=True):
                    await self._write(message)
                if message:
                    await persist(partial(self._inbox.pass_by, str(chat), str(message.id)))
            except AWAY as error:
                log.warning("a channel cannot be read yet: %s", describe(error))
                unread.add(chat)
            except discord.DiscordException as error:
                log.info("a channel cannot be read: %s", describe(error))
        return unread


def _written(guild: discord.Guild) -> list[Any]:
    return [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]


def _own(interaction: _Interaction) -> bool:
    """Whether an answer was given to the same person: their conversation knows it."""
    asked = interaction.message and interaction.message.interaction_metadata
    return bool(asked and asked.user.id == interaction.user.id)


def _fields(components: list[dict[str, Any]]) -> Any:
    """Name and value of each of a form's fields, however they are laid out."""
    for component in components:
        inner = [component["component"]] if "component" in component else component.get("components", [])
        yield from _fields(inner)
        if "custom_id" in component:
            yield component["custom_id"], component.get("value") or "".join(component.get("values", ()))


def _form(interaction: _Interaction, name: str) -> discord.ui.Modal:
    words = partial(say, language_of(interaction.locale.value))
    form = discord.ui.Modal(title=words("discord.form"), custom_id=f"askpix:{name}")
    text = discord.ui.TextInput[Any](style=discord.TextStyle.paragraph, max_length=LONGEST, custom_id="question")
    form.add_item(discord.ui.Label(text=words("discord.ask_question"), component=text))
    if name != "follow":
        seen = [
            discord.SelectOption(label=words(f"discord.{value}"), value=value, default=value == "private")
            for value in ("private", "public")
        ]
        choice = discord.ui.Select[Any](options=seen, custom_id="seen")
        form.add_item(discord.ui.Label(text=words("discord.seen"), component=choice))
    form.stop()  # it is known by its id: the library need not keep every form that is never sent
    return form
