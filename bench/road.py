"""What askpix adds between a platform and the engine and back: `python -m bench.road [TEXTS [PLATFORM]]`.

With a number, only that many text questions are asked, with shorter pauses: to compare two trees in alternation.

The roles are real processes; the platforms and an engine that answers at once are emulated in this one, over real HTTP
on the loopback, so that one clock times both ends. They take their share of the same cores.
"""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.doors import Asker, DiscordDoor, Door, TelegramDoor
from bench.photos import encoded, measure
from bench.report import cpu_seconds, finish, rss_mb, say, spread, target
from inference.embedded import read_address
from storage.embedded import Store
from storage.roles import Role, Supervisor, environment
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.emulators.engine import StubEngine

WARM_UP, TEXTS, PHOTOS = 10, 100, 30
LOAD = 200  # people who ask at once
PAUSE = 0.1  # seconds before a question, the engine's first word and its last: the placeholder stands, nothing overlaps
QUICK_PAUSE = 0.04
FIRST, REST = "A blue ", "square."
PREPARATIONS = 100
FLOOD, MEASURED = 60, 50  # seconds that one chat is closed, and for how many of them the others are timed
ABREAST = 4  # of them at once
PATIENCE = 60.0
DOORS = (TelegramDoor, DiscordDoor)


class RoleDied(Exception):
    """A role ended while it was measured; its log says why."""


@dataclass
class Bench:
    """The emulated ends, and what lies between."""

    door: Door
    engine: StubEngine
    stores: Stores
    data_dir: Path
    photo: bytes = field(default_factory=lambda: encoded(1280, 960, "JPEG"))
    pause: float = PAUSE
    settings: dict[str, str] = field(default_factory=dict[str, str])
    command: tuple[str, ...] = ("-m", "askpix")
    first_words: list[float] = field(default_factory=list[float])
    people: int = 0

    async def reply(self) -> AsyncIterator[str]:
        """The engine's answer: its first word is timed just before it is written."""
        await asyncio.sleep(self.pause)
        self.first_words.append(time.perf_counter())
        yield FIRST
        await asyncio.sleep(self.pause)
        yield REST

    def somebody(self) -> Asker:
        """A person who never asked before."""
        self.people += 1
        return self.door.somebody(self.people)

    async def ask(self, asker: Asker, kind: str = "text") -> None:
        """Send one question, a different one each time; returns when the whole answer is shown."""
        await self.door.send(asker, kind, f"What is in picture {asker.user.id}?", self.photo)
        await asker.chat.wait_for(lambda texts: texts and texts[-1] == FIRST + REST, PATIENCE)

    async def whole(self, asker: Asker) -> float:
        """Ask; seconds from the update to the last edit."""
        begun = time.perf_counter()
        await self.ask(asker)
        return asker.chat.bot_messages()[-1]["edits"][-1]["at"] - begun

    async def road(self, rounds: int, kind: str = "text") -> dict[str, list[float]]:
        """One person after another: seconds from the update's arrival to the engine's request, and from the engine's
        first word to the edit that shows it.
        """
        there: list[float] = []
        back: list[float] = []
        for _ in range(rounds):
            asker = self.somebody()
            await asyncio.sleep(self.pause)  # the former answer is acknowledged
            calls, requests = len(self.door.emulator.calls), len(self.engine.requests)
            await self.ask(asker, kind)
            request, word = self.engine.requests[requests].at, self.first_words[-1]
            made = self.door.emulator.calls[calls:]
            there.append(request - self.door.told(made, request))
            back.append(min(call.at for call in made if self.door.shows(call).startswith(FIRST)) - word)
        return {"there": there, "back": back}

    async def load(self) -> float:
        """LOAD people ask at once, every fifth in the way that costs most; answers a second."""
        people = [self.somebody() for _ in range(LOAD)]
        await asyncio.sleep(1)  # their chats are known
        self.pause = 0.0
        start = time.perf_counter()
        kinds = ["text" if number % 5 else self.door.kinds[-1] for number in range(LOAD)]
        await asyncio.gather(*map(self.ask, people, kinds))
        self.pause = PAUSE
        return LOAD / (time.perf_counter() - start)

    def refused(self) -> int:
        """How many calls the platform answered with 429."""
        return sum(call.status == 429 for call in self.door.emulator.calls)

    async def valkey(self) -> int:
        """The server's process id."""
        info: dict[str, Any] = await self.stores.redis.info("server")
        return info["process_id"]


@asynccontextmanager
async def running(bench: Bench, roles: Sequence[str]) -> AsyncGenerator[dict[str, int]]:
    """The roles as `askpix up` runs them, ready; yields their process ids. Raises RoleDied on leaving."""
    own = {
        "DATA_DIR": str(bench.data_dir),
        "OPEN": "1",
        "ENGINE_URL": bench.engine.url,
        **bench.door.settings(),
        **bench.settings,
    }
    env = environment(os.environ, frozenset()) | {f"ASKPIX_{name}": value for name, value in own.items()}
    command = [sys.executable, "-P", *bench.command]
    pids: dict[str, int] = {}
    failed: list[str] = []
    ready = asyncio.Event()

    def changed(role: str, state: str, details: Mapping[str, str | int | float]) -> None:
        if state == "ready":
            pids[role] = int(details["pid"])
        elif state == "died":
            failed.append(f"{role}: {details}")
        if len(pids) == len(roles) or failed:
            ready.set()

    wanted = [Role(name, [*command, name], env) for name in roles]
    supervisor = asyncio.create_task(Supervisor(wanted, bench.data_dir, bench.stores.redis, changed).run())
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
        if not failed:
            yield pids
        if failed:
            raise RoleDied(*failed)
    finally:
        await end([supervisor])


async def engine_memory(bench: Bench) -> dict[str, float]:
    """The embedded engine with the demo model, its child included: MB idle and after some photos."""
    async with running(bench, ["engine"]) as pids:
        found = read_address(bench.data_dir)
        if found is None:
            raise RoleDied("engine")
        both = [pids["engine"], found.pid]
        idle = rss_mb(both)
        url = f"data:image/jpeg;base64,{base64.b64encode(bench.photo).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 32}
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {found.key}"}) as http:
            for _ in range(8):
                async with http.post(f"{found.url}/v1/chat/completions", json=body) as answer:
                    answer.raise_for_status()
        return {"idle": idle, "after": rss_mb(both)}


async def flooded(calm: Bench, struck: Bench) -> dict[str, object]:
    """Seconds from update to final edit, of people who ask in turns on two services: on one of them a chat waits for
    the end of a flood, with an answer to show.
    """
    victim = struck.somebody()
    await asyncio.sleep(struck.pause)
    await struck.door.send(victim, "text", "What?", b"")
    await victim.chat.wait_for(lambda texts: texts, PATIENCE)
    struck.door.flood(victim, FLOOD)
    await struck.door.emulator.until(struck.refused, PATIENCE)
    begun = time.perf_counter()
    sides: dict[str, list[float]] = {"without": [], "with": []}
    while time.perf_counter() - begun < MEASURED:
        for name, bench in (("without", calm), ("with", struck)):
            people = [bench.somebody() for _ in range(ABREAST)]
            await asyncio.sleep(QUICK_PAUSE)
            sides[name] += await asyncio.gather(*map(bench.whole, people))
    if FIRST + REST in victim.chat.texts():
        raise RuntimeError("the flood was over too early")
    await victim.chat.wait_for(lambda texts: texts[-1] == FIRST + REST, PATIENCE)
    p95 = {name: statistics.quantiles(taken, n=20, method="inclusive")[18] for name, taken in sides.items()}
    return {
        **{name: spread(taken) | {"p95_ms": round(p95[name] * 1000, 3)} for name, taken in sides.items()},
        "ratio_p95": round(p95["with"] / p95["without"], 3),
        "refused_calls": struck.refused(),
    }


async def measure_flood(struck: Bench) -> dict[str, object]:
    """`flooded` on this bench and on another like it, both with roles of their own."""
    roles = ["worker", struck.door.role]
    async with open_bench(type(struck.door)) as calm, running(calm, roles), running(struck, roles):
        for bench in (calm, struck):
            bench.pause = QUICK_PAUSE
            await bench.road(WARM_UP)
        return await flooded(calm, struck)


async def measure_platform(bench: Bench) -> dict[str, Any]:
    """The figures of one platform."""
    door = bench.door
    say(f"starting the roles for {door.role} …")
    async with running(bench, ["worker", door.role]) as pids:
        processes = {**pids, "valkey": await bench.valkey()}
        await bench.road(WARM_UP)
        idle = {name: rss_mb([pid]) for name, pid in processes.items()}
        roads: dict[str, dict[str, dict[str, float]]] = {"there": {}, "back": {}}
        for kind in door.kinds:
            for way, taken in (await bench.road(TEXTS if kind == "text" else PHOTOS, kind)).items():
                roads[way][kind] = spread(taken)
        say(f"{idle} MB\n{roads}\n{LOAD} people at once …")
        rate = await bench.load()
        after = {name: rss_mb([pid]) for name, pid in processes.items()}
    say(f"{rate:.0f} answers/s; {after} MB\none chat in a flood of {FLOOD} s …")
    figures: dict[str, Any] = {
        "update_to_engine": roads["there"],
        "first_word_to_edit": roads["back"],
        "answers_per_second": round(rate, 1),
        "rss_mb": {name: {"idle": idle[name], "after": after[name]} for name in idle},
        "flood": await measure_flood(bench),
    }
    if isinstance(door, DiscordDoor):
        taken = door.acknowledged()
        figures["acknowledged"] = {"one_by_one": spread(taken[:PHOTOS]), "load": spread(taken[PHOTOS:])}
    return figures


def targets(platform: str, found: Mapping[str, Any]) -> dict[str, dict[str, float | bool]]:
    """What one platform's figures should be."""
    met = {
        "text_update_to_engine_p50_ms": target(found["update_to_engine"]["text"]["p50_ms"], at_most=8),
        "first_word_to_edit_p50_ms": target(found["first_word_to_edit"]["text"]["p50_ms"], at_most=10),
        "others_p95_in_a_flood_ratio": target(found["flood"]["ratio_p95"], at_most=1.1),
    }
    if "acknowledged" in found:
        met["acknowledged_max_ms"] = target(found["acknowledged"]["load"]["max_ms"], at_most=3000)
    return {f"{platform}_{name}": value for name, value in met.items()}


async def measure_all() -> None:
    """Everything, then the line."""
    say("preparing a photo …")
    prepared = {f"1280x{height}": measure(encoded(1280, height, "JPEG"), PREPARATIONS) for height in (960, 720)}
    say(f"{prepared}\nthe embedded engine …")
    async with open_bench(TelegramDoor) as bench:
        engine = await engine_memory(bench)
    say(f"{engine} MB")
    platforms: dict[str, dict[str, Any]] = {}
    for door in DOORS:
        async with open_bench(door) as bench:
            platforms[door.role] = await measure_platform(bench)
    finish(
        "road",
        {**platforms, "prepare": prepared, "engine_rss_mb": engine},
        {
            "prepare_1280_p50_ms": target(max(float(each["p50_ms"]) for each in prepared.values()), at_most=30),
            **{name: met for role, found in platforms.items() for name, met in targets(role, found).items()},
        },
    )


async def measure_texts(bench: Bench, texts: int) -> None:
    """The road of a text alone, quickly."""
    bench.pause = QUICK_PAUSE
    async with running(bench, ["worker", bench.door.role]) as pids:
        await bench.road(WARM_UP)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        taken = await bench.road(texts)
        used = {name: round((cpu_seconds(pid) - before[name]) / texts * 1000, 2) for name, pid in pids.items()}
    tenth = round(statistics.quantiles(taken["there"], n=10)[0] * 1000, 3)
    say(str({name: spread(seconds) for name, seconds in taken.items()} | {"there_p10_ms": tenth, "cpu_ms": used}))


@asynccontextmanager
async def open_bench(door: Callable[[], Door]) -> AsyncGenerator[Bench]:
    """A store and both emulated ends, in a folder that goes afterwards; the roles are yet to be started."""
    with tempfile.TemporaryDirectory() as folder:
        ends, data_dir = door(), Path(folder)
        async with Store(data_dir) as url, open_stores(url) as stores, ends.emulator, StubEngine(slots=8) as engine:
            bench = Bench(ends, engine, stores, data_dir)
            engine.reply = lambda _: bench.reply()
            yield bench


async def main(arguments: Sequence[str]) -> None:
    """Everything, or that many texts on one platform."""
    if not arguments:
        await measure_all()
        return
    texts, platform = (*arguments, TelegramDoor.role)[:2]
    async with open_bench(next(door for door in DOORS if door.role == platform)) as bench:
        await measure_texts(bench, int(texts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
