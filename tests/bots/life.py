"""The whole Telegram role among people, for tests: an emulated Telegram, and a test in the worker's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from bots.settings import BotSettings
from bots.surface import Rate
from bots.telegram_bot import serve
from storage.messages import Ask, Done, Turn
from storage.queue import Claim
from storage.settings import StorageSettings
from storage.stores import Stores, open_stores
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User
from tests.waiting import wait_until


@dataclass
class Life:
    """An emulated Telegram, the role, and a worker's place."""

    telegram: TelegramEmulator
    stores: Stores
    storage: StorageSettings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    running: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @property
    def ann(self) -> User:
        return self.telegram.user(1001)

    @property
    def ben(self) -> User:
        return self.telegram.user(1002, first_name="Ben", language_code="zh-hans")

    async def start(self, *, privacy: bool = True, **settings: object) -> None:
        """Run the role; everybody may ask unless the settings say otherwise."""
        self.telegram.world.privacy = privacy
        made = BotSettings(
            telegram_token=self.telegram.token, telegram_api_url=self.telegram.url,
            **{"open": True} | settings,  # pyright: ignore[reportArgumentType] : each test gives what it means
        )  # fmt: skip
        self.running.append(asyncio.create_task(serve(self.storage, made, self.stop)))
        await self.telegram.until(lambda: self.telegram.polls)

    async def settled(self) -> None:
        """Wait until everything that people did was taken in."""
        await wait_until(lambda: not self.telegram.world.pending)
        await wait_until(self._taken_in)

    async def _taken_in(self) -> bool:
        return await self.stores.redis.xlen("{askpix}:in:telegram") == 0

    async def claim(self) -> Claim:
        """Be a worker: the next ask."""
        async with asyncio.timeout(5):
            while not (claims := (await self.stores.queue.claim("w", 1, wait=5))[0]):
                pass  # woken for an ask that was stopped meanwhile
        return claims[0]

    async def finish(self, claim: Claim, text: str) -> None:
        """Answer a claim, as a worker does: with its turns."""
        turns = [replace(claim.ask.question, ask=claim.ask.id), Turn("assistant", text, ask=claim.ask.id)]
        assert await self.stores.queue.finish(claim, Done(text), turns)

    async def answer(self, text: str) -> Ask:
        """Answer the next ask; returns it."""
        claim = await self.claim()
        await self.finish(claim, text)
        return claim.ask

    async def nothing_is_asked(self) -> None:
        """What people did was for nobody here."""
        await self.settled()
        assert await self.stores.queue.counts() == dict.fromkeys(
            ("queued", "done", "failed", "cancelled", "running"), 0
        )

    async def engine_is_free(self, claim: Claim) -> None:
        """Wait until a worker hears that nobody waits for its answer."""

        async def cancelled() -> bool:
            return await self.stores.queue.renew([claim]) == ["cancelled"]

        await wait_until(cancelled)

    async def turns(self, ask: Ask) -> list[str]:
        """What its conversation remembers."""
        return [turn.text for turn in await self.stores.history.read(ask.conversation, ask.epoch)]

    async def nothing_waits(self) -> bool:
        """Whether the queue is empty."""
        return (await self.stores.queue.counts())["queued"] == 0

    async def delivered(self) -> bool:
        """Whether every answer was shown, or given up."""
        return not await self.stores.replies.open_asks("telegram")


@asynccontextmanager
async def alive(store_url: str, folder: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[Life]:
    """Ann and Ben, and a role that may be started; it is told to stop after the test, and must do so soon."""
    patch.setenv("PTB_TIMEDELTA", "1")  # set by the role, and gone again after the test
    for name in ("GROUP", "PRIVATE"):
        patch.setattr(f"bots.telegram_bot.{name}", Rate(1000, 0.001))
    patch.setattr("bots.delivery.TICK", 0.05)
    patch.setattr("bots.commands.SETTLED", 0.1)
    patch.setattr("bots.intake.QUIET", 0.1)
    patch.setattr("bots.intake.UNADDRESSED", 0.2)
    async with TelegramEmulator() as telegram, open_stores(store_url) as stores:
        life = Life(telegram, stores, StorageSettings(redis_url=store_url, data_dir=folder, metrics_port=0))
        assert life.ann.private and life.ben.private
        try:
            yield life
        finally:
            life.stop.set()
            await asyncio.wait_for(asyncio.gather(*life.running), 10)
