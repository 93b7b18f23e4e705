"""(d) What of a chat the engine has cached: `python -m bench.gpu.chats [PEOPLE]`, turns through the service."""

from __future__ import annotations

import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bench.gpu.host import Bench, abreast, bench, part, photos, run
from bench.gpu.service import Surface, service
from bench.report import finish, spread
from storage.messages import Turn

PEOPLE, TURNS, ABREAST = 32, 6, 16
QUESTIONS = ("What is in this picture?", "And what else?", "Which colours?", "How many things?", "Where?", "Thanks!")


async def turn(found: Bench, surface: Surface, number: int, turns: dict[str, Turn]) -> dict[str, Any]:
    """Everybody's n-th question; shares by the engine's own counters."""
    before = await found.metrics()
    times = await abreast(
        ABREAST, [partial(surface.ask, f"{name}:{number}", name, question) for name, question in turns.items()]
    )
    after = await found.metrics()
    grown = {name: after.get(name, 0) - before.get(name, 0) for name in ("prompt_tokens_total", "cached_tokens_total")}
    prompt, cached = grown["prompt_tokens_total"], grown["cached_tokens_total"]
    return {
        "prompt_tokens": round(prompt / len(turns)),
        "cached_share": round(cached / prompt, 4) if prompt else None,
        "first_token": spread([first for first, _ in times]),
    }


async def main(data_dir: Path) -> None:
    """Some people who ask in turns; each has one photo, in the first question."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    results: dict[str, Any] = {"people": people}
    numbers = count(time.time_ns() // 1000 % 10**9 * 1000)
    names = [f"chat:{next(numbers)}" for _ in range(people)]
    async with bench(data_dir) as found, service(data_dir) as surface:
        first: dict[str, Turn] = {}
        drawn = photos([50_000_000 + next(numbers) for _ in names])
        for name, (picture, data) in zip(names, drawn, strict=True):
            await surface.stores.images.put(name, picture, data)
            first[name] = Turn("user", QUESTIONS[0], (picture,))
        for number, question in enumerate(QUESTIONS[:TURNS], 1):
            turns = first if number == 1 else {name: Turn("user", question) for name in names}
            await part(f"turn_{number}", results, partial(turn, found, surface, number, turns))
    shares = [results[f"turn_{number}"].get("cached_share") or 0 for number in range(2, TURNS + 1)]
    results["cached_share_later_turns"] = round(sum(shares) / len(shares), 4)
    finish("gpu.chats", results, {})


if __name__ == "__main__":
    run(main)
