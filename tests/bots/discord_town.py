"""A Discord and our client in it, for tests: what people do there goes through a real gateway into a real inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp

from bots.discord_bot import DiscordSurface
from bots.discord_client import Client
from bots.phrases import say
from bots.surface import Button, Incoming
from storage.connection import StoreDown
from storage.held import Held
from storage.inbox import Inbox
from storage.messages import Address, decode
from storage.tasks import end
from tests.bots.pictures import encoded, halves
from tests.emulators.discord_client import connected
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import BOT_ID
from tests.waiting import wait_until

PICTURE = encoded(halves())
ME = f"<@{BOT_ID}>"
MENU = say("en", "discord.name_menu")
ASK_AGAIN = (Button("again", "Again"), Button("follow", "Follow"))
CALLBACK = "POST /interactions/{id}/{token}/callback"
POST, PATCH = "POST /channels/{channel_id}/messages", "PATCH /channels/{channel_id}/messages/{message_id}"
HOOK, HOOK_PATCH = "POST /webhooks/{app_id}/{token}", "PATCH /webhooks/{app_id}/{token}/messages/{message_id}"
DELETE = "DELETE /channels/{channel_id}/messages/{message_id}"


@dataclass
class Town:
    """An emulated Discord, and the inbox that our client fills; `listening` is the client's life."""

    discord: DiscordEmulator
    inbox: Inbox
    held: Held
    sees: bool = False
    heard: list[Incoming] = field(default_factory=list[Incoming])

    @property
    def ann(self) -> User:
        return self.discord.user(1001, installed=True)

    @property
    def ben(self) -> User:
        return self.discord.user(1002, locale="zh-TW")

    @property
    def square(self) -> Channel:
        return self.discord.guild().channel("general")

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[Client]:
        """A client that is connected, has told its commands, and has caught up."""
        client = Client(self.inbox, self.held, None, sees=self.sees)
        client.state.guild_ready_timeout = 0.05
        async with connected(self.discord, client):
            keeping = asyncio.create_task(client.housekeeping())
            try:
                await wait_until(lambda: bool(self.discord.commands()) and caught_up(client))
                yield client
            finally:
                await end([keeping])

    @asynccontextmanager
    async def showing(self) -> AsyncGenerator[DiscordSurface]:
        """The surface of a client that listens."""
        assert self.square
        async with self.listening() as client, surface_of(client) as surface:
            yield surface

    async def asks(
        self, channel: Channel | None = None, *, private: bool = False, picture: bytes = b"x"
    ) -> tuple[Interaction, Address]:
        """Ann asks by command; how to answer her."""
        image = ("a.png", picture)
        asked = await self.ann.slash("ask", channel or self.square, question="?", image=image, private=private)
        where = (await self.hears()).where
        await asked.answered()
        return asked, where

    async def hears(self) -> Incoming:
        """The next that comes into the inbox."""
        while not self.heard:
            entries = await self.inbox.read()
            await self.inbox.done(*entries)
            self.heard += [decode(entry.raw, Incoming) for entry in entries]
        return self.heard.pop(0)

    async def hears_nothing(self) -> None:
        """What people did was not for us: the next that comes is a word in private."""
        await self.ann.dm("the end")
        assert (await self.hears()).text == "the end"


def there(channel: Channel, message: str = "") -> Address:
    """How to write into a channel as its member."""
    return Address("discord", str(channel.id), message, group=bool(channel.guild))


def caught_up(client: Client) -> bool:
    """Whether all that was written in the client's absence is read."""
    return client._caught_up == client._session > 0  # pyright: ignore[reportPrivateUsage] : Discord is told nothing


class Away:
    """An inbox whose store is away until `back`; `tried` are the steps that were tried meanwhile."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.back = asyncio.Event()
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    async def _call(self, name: str, *args: Any) -> Any:
        self.tried.append(name)
        if not self.back.is_set():
            raise StoreDown[0]("away")
        return await getattr(self._inbox, name)(*args)


@asynccontextmanager
async def surface_of(client: Client) -> AsyncGenerator[DiscordSurface]:
    """The surface of a client, whose files are at home here."""
    async with aiohttp.ClientSession() as session:
        yield DiscordSurface(client, session, "127.0.0.1")
