"""A delivery on a board in memory and on a real store, with an engine that is up; emulated platforms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from telegram import Bot

from bots.delivery import Delivery
from bots.discord_bot import DiscordSurface
from bots.discord_client import Client as DiscordClient
from bots.settings import BotSettings
from bots.surface import Rate
from bots.telegram_bot import TelegramSurface, make_bot
from storage.connection import Client, Scripts
from storage.held import Held
from storage.inbox import Inbox
from storage.messages import Ask, Event, Turn
from storage.queue import Claim
from storage.replies import Finished
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.bots.board import Board, worker
from tests.bots.discord_town import Away, Town
from tests.bots.life import Life, alive
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User


@dataclass
class Desk:
    """What a test of delivery works with; `start` and `crash` are a process's life."""

    stores: Stores
    board: Board = field(default_factory=Board)
    running: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def start(self) -> Delivery:
        """A fresh process."""
        delivery = Delivery(self.board, self.stores)
        self.running.append(asyncio.create_task(delivery.run(asyncio.Event())))
        return delivery

    async def crash(self) -> None:
        """The process dies wherever it is."""
        await end(self.running)
        self.running.clear()

    async def claim(self) -> Claim:
        """What a worker does first."""
        ((claim,), _) = await self.stores.queue.claim("w", 1)
        return claim

    async def answer(self, ask: Ask, event: Event) -> None:
        """Enqueue and answer at once."""
        await self.stores.queue.enqueue(ask)
        await self.stores.queue.finish(await self.claim(), event, [ask.question, Turn("assistant", "x")])

    async def delivered(self) -> bool:
        """Whether nothing is left to deliver."""
        return not await self.stores.replies.open_asks("telegram")

    async def pending(self) -> list[Finished]:
        """What is read but not acknowledged."""
        return await self.stores.replies.pending("telegram")


@pytest_asyncio.fixture
async def desk(redis: Client, store_url: str) -> AsyncIterator[Desk]:
    await worker(redis, slots="2")
    async with open_stores(store_url) as stores:
        found = Desk(stores)
        yield found
        await found.crash()


@pytest_asyncio.fixture
async def stores(redis: Client, store_url: str) -> AsyncIterator[Stores]:
    """A real store, and a worker's sign of life in it."""
    await worker(redis, slots="1")
    async with open_stores(store_url) as stores:
        yield stores


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the queue fifty times as often, so that no test waits for seconds."""
    monkeypatch.setattr("bots.delivery.TICK", 0.02)
    monkeypatch.setattr("bots.delivery.SETTLE", 0.05)
    monkeypatch.setattr("bots.follower.LONGEST_BACKOFF", 0.6)
    monkeypatch.setattr("bots.tools.LONGEST_BACKOFF", 0.6)
    monkeypatch.setattr("bots.intake.QUIET", 0.05)
    monkeypatch.setattr("bots.intake.UNADDRESSED", 0.15)


@pytest.fixture
def slow_board(desk: Desk) -> Board:
    """A chat that takes three calls at once and then one each 0.15 s."""
    desk.board = Board(Rate(3, 0.15))
    return desk.board


@pytest.fixture
def timedeltas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # set by introduce(), and gone again after the test


@pytest_asyncio.fixture
async def telegram(timedeltas: None) -> AsyncIterator[TelegramEmulator]:
    """Telegram with one user; its bot sees everything that is written in groups."""
    async with TelegramEmulator(privacy=False) as emulator:
        emulator.user(1001)
        yield emulator


@pytest_asyncio.fixture
async def bot(telegram: TelegramEmulator) -> AsyncIterator[Bot]:
    async with make_bot(BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url)) as bot:
        yield bot


@pytest.fixture
def surface(bot: Bot) -> TelegramSurface:
    return TelegramSurface(bot)


@pytest.fixture
def ann(telegram: TelegramEmulator) -> User:
    return telegram.user(1001)


@pytest_asyncio.fixture
async def life(redis: Client, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    """The Telegram role, to be started, and the people around it."""
    await worker(redis, slots="1")
    async with alive(store_url, tmp_path, monkeypatch) as life:
        yield life


@pytest_asyncio.fixture
async def town(redis: Client, tmp_path: Path) -> AsyncIterator[Town]:
    """A Discord with nobody of ours in it yet."""
    inbox = Inbox(redis, Scripts(redis), "discord")
    await inbox.open()
    async with DiscordEmulator() as discord:
        yield Town(discord, inbox, Held(tmp_path / "held"))
        assert [call.path for call in discord.unknown] == []


@pytest_asyncio.fixture
async def hall(town: Town) -> AsyncIterator[DiscordSurface]:
    """Our surface on Discord."""
    async with town.showing() as surface:
        yield surface


@pytest_asyncio.fixture
async def client(town: Town) -> AsyncIterator[DiscordClient]:
    """Ours on Discord, which is shown what is addressed to it."""
    async with town.listening() as client:
        yield client


@pytest_asyncio.fixture
async def seeing(town: Town) -> AsyncIterator[DiscordClient]:
    """Ours on Discord, with the message-content intent."""
    town.sees = town.discord.world.message_content = True
    async with town.listening() as client:
        yield client


@pytest.fixture
def away(client: DiscordClient, town: Town, monkeypatch: pytest.MonkeyPatch) -> Away:
    """The client's store, which goes away."""
    found = Away(town.inbox)
    monkeypatch.setattr(client, "_inbox", found)
    return found
