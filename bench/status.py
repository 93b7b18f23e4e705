"""What `/status` takes with 200 asks waiting, and what measuring costs the road: `python -m bench.status`.

Two services run at once and are asked in turns, one of them with everything that measures taken out of it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import MagicMock

from bench.doors import TelegramDoor
from bench.report import finish, say, spread, target
from bench.road import QUICK_PAUSE, WARM_UP, Bench, open_bench, running
from storage.messages import Address, Ask, Turn
from storage.metrics import Metrics
from tests.emulators.telegram_world import Chat

WAITING, ROUNDS = 200, 15
TURNS, BLOCK = 40, 10  # blocks of texts on each side, and how many texts a block has
COSTS = 5000
ROOT = 900_001  # the admin
WITHOUT = """
import asyncio
from prometheus_client import Counter, Histogram
from storage import housekeeping, metrics
Counter.inc = Histogram.observe = metrics.Metrics.used = metrics.Metrics.write_on = lambda *_, **__: None
housekeeping.Housekeeper.run = lambda _: asyncio.Event().wait()
from askpix import main
main()
"""


async def never() -> AsyncIterator[str]:
    """An answer that does not come."""
    await asyncio.Event().wait()
    yield ""


async def answered(bench: Bench) -> dict[str, dict[str, float]]:
    """Seconds from the admin's `/status` to its words and to its picture, with 200 asks waiting."""
    bench.settings["ADMINS"] = f"telegram:{ROOT}"
    bench.engine.reply = lambda _: never()
    async with running(bench, ["worker", "telegram"]):
        for n in range(WAITING + 8):
            person = f"telegram:{n}"
            where = bench.door.somebody(n).chat
            await bench.stores.queue.enqueue(Ask(
                f"telegram:{where.id}:{n}", person, f"{person}:chat", person, "nobody",
                Address("telegram", str(where.id)), Turn("user", "What is this?"), asked_at=time.time(),
            ))  # fmt: skip
        user: Any = bench.door.emulator.user(ROOT)
        chat: Chat = user.private
        words, pictures = list[float](), list[float]()
        for _ in range(ROUNDS):
            before, begun = len(chat.bot_messages()), time.perf_counter()
            await user.send_text(chat, "/status")
            await chat.wait_for(lambda texts, before=before: len(texts) > before, 60)
            words.append(time.perf_counter() - begun)
            await chat.wait_for(lambda _, before=before: len(chat.bot_messages()) > before + 1, 60)
            pictures.append(time.perf_counter() - begun)
            if f"{WAITING} waiting" not in chat.texts()[before]:
                raise RuntimeError(chat.texts()[before])
            await asyncio.sleep(1.2)  # within the chat's rate
    return {
        "words": spread(words), "picture": spread(pictures), "first_picture": {"ms": round(pictures[0] * 1000, 1)},
    }  # fmt: skip


def cost() -> dict[str, float]:
    """Microseconds that one ask's measuring takes in all roles, and one heartbeat's share of it."""
    metrics = Metrics()

    pipe: Any = MagicMock()
    begun = time.perf_counter()
    for _ in range(COSTS):
        metrics.asks.labels("telegram").inc()
        for histogram in (metrics.waited, metrics.first, metrics.answer):
            histogram.observe(0.3)
        metrics.answers.labels("done").inc()
        for kind in ("prompt", "cached", "answer"):
            metrics.tokens.labels(kind).inc(100)
        metrics.used("telegram:1", 100)
    each = (time.perf_counter() - begun) / COSTS
    begun = time.perf_counter()
    for _ in range(COSTS // 10):
        metrics.first.observe(0.3)
        metrics.write_on(pipe)
        metrics.written()
    return {"ask_us": round(each * 1e6, 1), "beat_us": round((time.perf_counter() - begun) / COSTS * 1e7, 1)}


async def compared(measured: Bench, bare: Bench) -> dict[str, Any]:
    """The road of a text on both, in turns: update to engine and first word to edit, together."""
    bare.command = ("-c", WITHOUT)
    sides: dict[str, list[float]] = {"measured": [], "bare": []}
    roles = ["worker", "telegram"]
    async with running(measured, roles), running(bare, roles):
        for bench in (measured, bare):
            bench.pause = QUICK_PAUSE
            await bench.road(WARM_UP)
        for turn in range(TURNS):
            pair = [("measured", measured), ("bare", bare)]
            for name, bench in pair if turn % 2 else reversed(pair):
                taken = await bench.road(BLOCK)
                sides[name] += [sum(both) for both in zip(taken["there"], taken["back"], strict=True)]
    p50 = {name: statistics.median(taken) for name, taken in sides.items()}
    found: dict[str, Any] = {name: spread(taken) for name, taken in sides.items()}
    return found | {"ratio_p50": round(p50["measured"] / p50["bare"], 4), "bare_p50_us": p50["bare"] * 1e6}


async def main() -> None:
    """Everything, then the line."""
    async with open_bench(TelegramDoor) as bench:
        status = await answered(bench)
    say(str(status))
    async with open_bench(TelegramDoor) as measured, open_bench(TelegramDoor) as bare:
        for each in (measured, bare):
            each.settings["METRICS_PORT"] = "0"
        road = await compared(measured, bare)
    costs = cost()
    share = costs["ask_us"] / road["bare_p50_us"]
    finish(
        "status",
        {"status": status, "road": road, "cost": costs | {"share_of_road": round(share, 4)}},
        {
            "status_words_max_ms": target(status["words"]["max_ms"], at_most=1500),
            "picture_max_ms": target(status["picture"]["max_ms"], at_most=2500),
            "measuring_share_of_road": target(share, at_most=0.01),
            "road_ratio_p50": target(road["ratio_p50"], at_most=1.01),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
