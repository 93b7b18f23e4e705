"""The real library's client, pointed at an emulator for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.emulators.discord_emulator import DiscordEmulator


@contextmanager
def pointed_at(emulator: DiscordEmulator) -> Generator[None]:
    """Let discord.py take the emulator for Discord meanwhile."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE
    Route.BASE = f"{emulator.api_url}/api/v10"
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(emulator.gateway_url)
    asset: Any = discord.Asset  # its type says that the address never changes
    asset.BASE = emulator.cdn_url
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, asset.BASE = before


def new_client(*, message_content: bool = False) -> discord.Client:
    """A client that does not wait long for its guilds."""
    intents = discord.Intents.default()
    intents.message_content = message_content
    return discord.Client(intents=intents, guild_ready_timeout=0.02)


@asynccontextmanager
async def connected(emulator: DiscordEmulator, client: discord.Client | None = None) -> AsyncGenerator[discord.Client]:
    """A client that is ready; closed at the end."""
    client = client or new_client()
    with pointed_at(emulator):
        async with client:
            running = asyncio.create_task(client.start(emulator.token))
            ready = asyncio.create_task(client.wait_until_ready())
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED, timeout=10)
            if running.done():
                await running
            assert client.is_ready()
            try:
                yield client
            finally:
                await client.close()
                await running
