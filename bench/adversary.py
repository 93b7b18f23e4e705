"""Who acts against the service in bench/chaos.py: a plan drawn from a seed beforehand, and the deeds.

The plan depends on the seed and the length alone; which processes and chats there are at the moment does not change it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from bench.proxy import CALM, Weather
from bench.report import say
from bench.stage import Stage
from storage.embedded import open_lock, try_lock

ROLES = ("telegram", "discord", "worker", "worker2", "valkey", "llama", "engine")
NETWORKS = ("telegram", "discord", "engine", "store")
BETWEEN = (0.5, 2.0)  # seconds between two deeds
LONGEST_STOP = 30.0  # seconds: twice a lease, and longer than a heartbeat's life
LONGEST_FLOOD = 60.0
GIVEN_UP = 4.0  # seconds; after five python-telegram-bot takes a call as failed
HALF = b"*3\r\n$3\r\nSET\r\n$13\r\n{askpix}:torn\r\n$1000\r\nhalf of what was to be written"
TELEGRAM_CALLS = ("getUpdates", "sendMessage", "editMessageText", "getFile", "file", "setMessageReaction")
DISCORD_CALLS = (
    "POST /channels/{channel_id}/messages",
    "PATCH /channels/{channel_id}/messages/{message_id}",
    "PATCH /webhooks/{app_id}/{token}/messages/{message_id}",
    "GET /attachments",
)
WEIGHTS = {"kill": 8, "stop": 2, "torn": 1, "weather": 3, "cut": 2, "freeze": 1, "flood": 2, "error": 4}


class Deed(NamedTuple):
    """What is done at which second: to whom, for how long, and one more number from 0 to 1 for whatever it needs."""

    at: float
    what: str
    whom: str
    seconds: float
    chance: float


def plan(seed: int, seconds: float) -> list[Deed]:
    """The deeds of a run of so many seconds. None lasts longer than a quarter of it, floods than half of it."""
    chance = random.Random(seed)
    deeds: list[Deed] = []
    at = chance.uniform(*BETWEEN)
    while at < seconds:
        what = chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
        whom = {"kill": ROLES, "stop": ROLES, "torn": ("valkey",), "flood": NETWORKS[:2], "error": NETWORKS[:2]}
        longest = {"stop": min(LONGEST_STOP, seconds / 4), "flood": min(LONGEST_FLOOD, seconds / 2)}.get(what, 8.0)
        lasts = chance.uniform(1, max(1.0, longest))
        deeds.append(Deed(at, what, chance.choice(whom.get(what, NETWORKS)), lasts, chance.random()))
        at += chance.uniform(*BETWEEN)
    return deeds


class Adversary:
    """Does what the plan says. `done` counts deeds by kind and by kind and victim."""

    def __init__(self, stage: Stage, deeds: list[Deed]) -> None:
        self._stage = stage
        self._deeds = deeds
        self._lasting: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """All deeds at their times; returns when the last that lasts is over."""
        begun = time.monotonic()
        known: dict[str, Callable[[Deed], Awaitable[bool]]] = {
            "kill": self._kill, "stop": self._stop, "torn": self._tear, "weather": self._weather, "cut": self._cut,
            "freeze": self._freeze, "flood": self._flood, "error": self._spoil,
        }  # fmt: skip
        for deed in self._deeds:
            await asyncio.sleep(max(0.0, begun + deed.at - time.monotonic()))
            if await known[deed.what](deed):
                self.done[deed.what] += 1
                say(f"  {deed.at:6.1f} s {deed.what:8} {deed.whom:9} {deed.seconds:4.1f} s")
        if self._lasting:
            await asyncio.wait(self._lasting)

    def _last(self, seconds: float, undo: Callable[[], object]) -> bool:
        """Undo a deed when its time is over, or when we are ended."""

        async def wait() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                undo()

        task = asyncio.create_task(wait())
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)
        return True

    async def _kill(self, deed: Deed) -> bool:
        return await self._stage.signal(deed.whom) is not None

    async def _stop(self, deed: Deed) -> bool:
        pid = await self._stage.signal(deed.whom, signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):  # killed meanwhile
                os.kill(pid or 0, signal.SIGCONT)

        return pid is not None and self._last(deed.seconds, go_on)

    async def _tear(self, deed: Deed) -> bool:
        return await tear(self._stage)

    async def _weather(self, deed: Deed) -> bool:
        proxy, bad = self._stage.proxies[deed.whom], deed.chance
        proxy.weather = Weather((0.0, 0.3 * bad), refuse=0.1, cut=0.02, reset=0.02, twice=0.3)
        return self._last(deed.seconds, lambda: setattr(proxy, "weather", CALM))

    async def _cut(self, deed: Deed) -> bool:
        self._stage.proxies[deed.whom].cut_all()
        return True

    async def _freeze(self, deed: Deed) -> bool:
        """No byte passes. What is held for so long that its sender gave it up is dropped: nobody wants it later."""
        proxy = self._stage.proxies[deed.whom]
        proxy.open.clear()

        def go_on() -> None:
            if deed.seconds > GIVEN_UP:
                proxy.cut_all()
            proxy.open.set()

        return self._last(deed.seconds, go_on)

    async def _flood(self, deed: Deed) -> bool:
        """One chat that somebody used lately is closed."""
        telegram, discord, at = self._stage.telegram, self._stage.discord, int(deed.chance * 20)
        if deed.whom == "telegram":
            chats = [chat for chat in telegram.world.chats.values() if chat.messages][-20:]
            telegram.flood(chats[at % len(chats)].id, deed.seconds)
        else:
            channels = [channel for channel in discord.world.channels.values() if channel.messages][-20:]
            discord.flood(channels[at % len(channels)], deed.seconds)
        return True

    async def _spoil(self, deed: Deed) -> bool:
        """One to three calls fail: 500, 502 with a page of HTML, 429, or half of an answer and no more."""
        telegram, discord = self._stage.telegram, self._stage.discord
        way, times = int(deed.chance * 4), 1 + int(deed.seconds) % 3
        calls = TELEGRAM_CALLS if deed.whom == "telegram" else DISCORD_CALLS
        call = calls[int(deed.chance * 1000) % len(calls)]
        if deed.whom == "telegram":
            (
                lambda: telegram.fail_next(call, 500, "Internal Server Error", times),
                lambda: telegram.fail_next(call, 502, times=times, html=True),
                lambda: telegram.fail_next(call, 429, "Too Many Requests", times, retry_after=1 + int(deed.seconds)),
                lambda: telegram.drop_next(call, times=times, half=True),
            )[way]()
        else:
            (
                lambda: discord.fail_next(call, 500, times=times),
                lambda: discord.fail_next(call, 502, times=times, html=True),
                lambda: discord.limit_next(call, 1 + int(deed.seconds), times=times),
                lambda: discord.drop_next(call, times),
            )[way]()
        return True


async def tear(stage: Stage) -> bool:
    """Kill the store's server, and append half of a record that nobody was told of to its log before it is back."""
    if (pid := await stage.pid("valkey")) is None:
        return False
    with open_lock(stage.back, "server") as lock:
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 2
        while not try_lock(lock, fcntl.LOCK_EX):  # nobody may start another meanwhile: no await in between
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)  # noqa: ASYNC251 : see above
        if logs := [*stage.back.glob("valkey/appendonlydir/*.incr.aof")]:
            with max(logs, key=lambda file: int(file.name.split(".")[-3])).open("ab") as file:
                file.write(HALF)
    return True
