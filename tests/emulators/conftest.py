"""A Telegram with one user and the real library's bot; a Discord, and a bot without a library."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from telegram import Bot

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_raw import RawBot
from tests.emulators.telegram import TelegramEmulator


def connect(telegram: TelegramEmulator, token: str = "") -> Bot:
    """The real library's bot, not yet initialised."""
    return Bot(token or telegram.token, base_url=f"{telegram.url}/bot", base_file_url=f"{telegram.url}/file/bot")


@pytest.fixture(autouse=True)
def timedeltas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # without it RetryAfter warns while it is made, and warnings are errors


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramEmulator]:
    async with TelegramEmulator() as emulator:
        emulator.user(1001)
        yield emulator


@pytest.fixture
async def bot(telegram: TelegramEmulator) -> AsyncIterator[Bot]:
    async with connect(telegram) as bot:
        yield bot


@pytest.fixture
async def emulator() -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator() as discord:
        yield discord
        assert [call.path for call in discord.unknown] == []


@pytest.fixture
async def raw(emulator: DiscordEmulator) -> AsyncIterator[RawBot]:
    async with aiohttp.ClientSession() as session:
        yield RawBot(emulator, session)
