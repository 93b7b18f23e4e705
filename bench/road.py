"""What askpix adds between Telegram and the engine and back: `python -m bench.road [TEXTS]`.

With a number, only that many text questions are asked, with shorter pauses: to compare two trees in alternation.

The roles are real processes; Telegram and an engine that answers at once are emulated in this one, over real HTTP on
the loopback, so that one clock times both ends. They take their share of the same cores.
"""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.photos import encoded, measure
from bench.report import cpu_seconds, finish, rss_mb, say, spread, target
from inference.embedded import read_address
from storage.embedded import Store
from storage.roles import Role, Supervisor, environment
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import Call, TelegramEmulator
from tests.emulators.telegram_world import User

WARM_UP, TEXTS, PHOTOS = 10, 100, 30
LOAD = 200  # people who ask at once
PAUSE = 0.1  # seconds before a question, the engine's first word and its last: the placeholder stands, nothing overlaps
QUICK_PAUSE = 0.04
FIRST, REST = "A blue ", "square."
PREPARATIONS = 100
FLOOD, MEASURED = 60, 50  # seconds that one chat is closed, and for how many of them the others are timed
ABREAST = 4  # of them at once
PATIENCE = 60.0


class RoleDied(Exception):
    """A role ended while it was measured; its log says why."""


@dataclass
class Bench:
    """The emulated ends, and what lies between."""

    telegram: TelegramEmulator
    engine: StubEngine
    stores: Stores
    data_dir: Path
    pause: float = PAUSE
    first_words: list[float] = field(default_factory=list[float])
    users: int = 0

    async def reply(self) -> AsyncIterator[str]:
        """The engine's answer: its first word is timed just before it is written."""
        await asyncio.sleep(self.pause)
        self.first_words.append(time.perf_counter())
        yield FIRST
        await asyncio.sleep(self.pause)
        yield REST

    def somebody(self) -> User:
        """A person who never asked before."""
        self.users += 1
        return self.telegram.user(100_000 + self.users)

    async def ask(self, user: User, photo: bytes | None = None) -> None:
        """Send one question, a different one each time; returns when the whole answer is shown."""
        question = f"What is in picture {user.id}?"
        if photo:
            await user.send_photo(user.private, photo, question)
        else:
            await user.send_text(user.private, question)
        await user.private.wait_for(lambda texts: texts and texts[-1] == FIRST + REST, PATIENCE)

    async def whole(self, user: User) -> float:
        """Ask; seconds from the update to the last edit."""
        begun = time.perf_counter()
        await self.ask(user)
        return user.private.bot_messages()[-1]["edits"][-1]["at"] - begun

    async def road(self, rounds: int, photo: bytes | None = None) -> dict[str, list[float]]:
        """One person after another: seconds from the update's arrival to the engine's request, and from the engine's
        first word to the edit that shows it.
        """
        there: list[float] = []
        back: list[float] = []
        for _ in range(rounds):
            await asyncio.sleep(self.pause)  # the former answer is acknowledged
            calls, requests = len(self.telegram.calls), len(self.engine.requests)
            await self.ask(self.somebody(), photo)
            request, word = self.engine.requests[requests].at, self.first_words[-1]
            made = self.telegram.calls[calls:]
            there.append(request - max(call.answered for call in made if _carries_update(call, before=request)))
            back.append(min(call.at for call in made if _shows_words(call)) - word)
        return {"there": there, "back": back}

    async def load(self, photo: bytes) -> float:
        """LOAD people ask at once, every fifth with a photo; answers a second."""
        self.pause = 0.0
        start = time.perf_counter()
        people = [self.somebody() for _ in range(LOAD)]
        await asyncio.gather(*(self.ask(user, None if user.id % 5 else photo) for user in people))
        self.pause = PAUSE
        return LOAD / (time.perf_counter() - start)

    async def valkey(self) -> int:
        """The server's process id."""
        info: dict[str, Any] = await self.stores.redis.info("server")
        return info["process_id"]


def _carries_update(call: Call, *, before: float) -> bool:
    return call.method == "getUpdates" and call.answered < before


def _shows_words(call: Call) -> bool:
    return call.method == "editMessageText" and str(call.params.get("text", "")).startswith(FIRST)


@asynccontextmanager
async def running(bench: Bench, roles: Sequence[str]) -> AsyncGenerator[dict[str, int]]:
    """The roles as `askpix up` runs them, ready; yields their process ids. Raises RoleDied on leaving."""
    own = {
        "ASKPIX_DATA_DIR": str(bench.data_dir), "ASKPIX_OPEN": "1", "ASKPIX_TELEGRAM_TOKEN": bench.telegram.token,
        "ASKPIX_TELEGRAM_API_URL": bench.telegram.url, "ASKPIX_ENGINE_URL": bench.engine.url,
    }  # fmt: skip
    env = environment(os.environ, frozenset()) | own
    command = [sys.executable, "-P", "-m", "askpix"]
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


async def engine_memory(bench: Bench, photo: bytes) -> dict[str, float]:
    """The embedded engine with the demo model, its child included: MB idle and after some photos."""
    async with running(bench, ["engine"]) as pids:
        found = read_address(bench.data_dir)
        if found is None:
            raise RoleDied("engine")
        both = [pids["engine"], found.pid]
        idle = rss_mb(both)
        url = f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"
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
    await victim.send_text(victim.private, "What?")
    await victim.private.wait_for(lambda texts: texts, PATIENCE)
    struck.telegram.flood(victim.id, FLOOD)
    await struck.telegram.until(lambda: any(call.status == 429 for call in struck.telegram.calls), PATIENCE)
    begun = time.perf_counter()
    sides: dict[str, list[float]] = {"without": [], "with": []}
    while time.perf_counter() - begun < MEASURED:
        for name, bench in (("without", calm), ("with", struck)):
            people = [bench.somebody() for _ in range(ABREAST)]
            sides[name] += await asyncio.gather(*(bench.whole(user) for user in people))
            await asyncio.sleep(QUICK_PAUSE)
    if FIRST + REST in victim.private.texts():
        raise RuntimeError("the flood was over too early")
    await victim.private.wait_for(lambda texts: texts[-1] == FIRST + REST, PATIENCE)
    p95 = {name: statistics.quantiles(taken, n=20, method="inclusive")[18] for name, taken in sides.items()}
    refused = sum(call.status == 429 for call in struck.telegram.calls)
    return {
        **{name: spread(taken) | {"p95_ms": round(p95[name] * 1000, 3)} for name, taken in sides.items()},
        "ratio_p95": round(p95["with"] / p95["without"], 3),
        "refused_calls": refused,
    }


async def measure_flood(struck: Bench) -> dict[str, object]:
    """`flooded` on this bench and on another like it, both with roles of their own."""
    roles = ["worker", "telegram"]
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder)) as calm, running(calm, roles), running(struck, roles):
            for bench in (calm, struck):
                bench.pause = QUICK_PAUSE
                await bench.road(WARM_UP)
            return await flooded(calm, struck)


async def measure_all(bench: Bench) -> None:
    """Everything, then the line."""
    photo = encoded(1280, 960, "JPEG")
    say("preparing a photo …")
    prepared = {f"1280x{height}": measure(encoded(1280, height, "JPEG"), PREPARATIONS) for height in (960, 720)}
    say(f"{prepared}\nstarting the roles …")
    async with running(bench, ["worker", "telegram"]) as pids:
        processes = {**pids, "valkey": await bench.valkey()}
        await bench.road(WARM_UP)
        idle = {name: rss_mb([pid]) for name, pid in processes.items()}
        say(f"{idle} MB\n{TEXTS} questions, one after another …")
        text = {name: spread(taken) for name, taken in (await bench.road(TEXTS)).items()}
        say(f"{text}\n{PHOTOS} photos …")
        with_photo = {name: spread(taken) for name, taken in (await bench.road(PHOTOS, photo)).items()}
        say(f"{with_photo}\n{LOAD} people at once …")
        rate = await bench.load(photo)
        after = {name: rss_mb([pid]) for name, pid in processes.items()}
    say(f"{rate:.0f} answers/s; {after} MB\nthe embedded engine …")
    memory = {name: {"idle": idle[name], "after": after[name]} for name in idle}
    memory["engine"] = await engine_memory(bench, photo)
    say(f"{memory} MB\none chat in a flood of {FLOOD} s …")
    flood = await measure_flood(bench)
    finish(
        "road",
        {
            "update_to_engine": {"text": text["there"], "photo": with_photo["there"]},
            "first_word_to_edit": {"text": text["back"], "photo": with_photo["back"]},
            "prepare": prepared,
            "answers_per_second": round(rate, 1),
            "flood": flood,
            "rss_mb": memory,
        },
        {
            "text_update_to_engine_p50_ms": target(text["there"]["p50_ms"], at_most=8),
            "prepare_1280_p50_ms": target(max(float(each["p50_ms"]) for each in prepared.values()), at_most=30),
            "first_word_to_edit_p50_ms": target(text["back"]["p50_ms"], at_most=10),
            "others_p95_in_a_flood_ratio": target(float(str(flood["ratio_p95"])), at_most=1.1),
        },
    )


async def measure_texts(bench: Bench, texts: int) -> None:
    """The road of a text alone, quickly."""
    bench.pause = QUICK_PAUSE
    async with running(bench, ["worker", "telegram"]) as pids:
        await bench.road(WARM_UP)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        taken = await bench.road(texts)
        used = {name: round((cpu_seconds(pid) - before[name]) / texts * 1000, 2) for name, pid in pids.items()}
    tenth = round(statistics.quantiles(taken["there"], n=10)[0] * 1000, 3)
    say(str({name: spread(seconds) for name, seconds in taken.items()} | {"there_p10_ms": tenth, "cpu_ms": used}))


@asynccontextmanager
async def open_bench(data_dir: Path) -> AsyncGenerator[Bench]:
    """A store and both emulated ends; the roles are yet to be started."""
    async with (
        Store(data_dir) as url,
        open_stores(url) as stores,
        TelegramEmulator() as telegram,
        StubEngine(slots=8) as engine,
    ):
        bench = Bench(telegram, engine, stores, data_dir)
        engine.reply = lambda _: bench.reply()
        yield bench


async def main(texts: int | None) -> None:
    """Everything, or that many texts, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder)) as bench:
            await (measure_all(bench) if texts is None else measure_texts(bench, texts))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
