"""Two engines against one, on the card: `python -m bench.gpu.pair PEOPLE QUESTIONS`, started by pair.sh.

Each person shows one photo and asks on; every prompt begins with the one before it. One JSON line each for one engine,
two with each person kept to theirs, and two in turns.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from bench.gpu.host import content, photos
from inference import engine
from inference.embedded import read_address
from inference.engine import EngineAddress, Generation
from inference.engines import Engines
from storage.settings import StorageSettings, read

TOKENS = 64


async def talk(choose: Callable[[], Engines], name: str, data: bytes, questions: int, seen: list[Generation]) -> None:
    """One person's chat; notes what the follow-ups found in the cache."""
    messages: list[dict[str, Any]] = []
    for turn in range(questions):
        words: Any = content("What is in this picture?", data) if turn == 0 else f"And what else, the {turn}th?"
        messages.append({"role": "user", "content": words})
        generation, rid = Generation(), f"{name}x{turn:04}".rjust(32, "0")
        stream = choose().stream(messages, rid=rid, salt=name, max_tokens=TOKENS, generation=generation)
        messages.append({"role": "assistant", "content": "".join([part async for part in stream])})
        if turn:
            seen.append(generation)


async def crowd(run: str, clients: list[list[EngineAddress]], drawn: list[bytes], questions: int) -> dict[str, Any]:
    """Everybody at once; each question goes to the next of the clients, which know one engine or several."""
    seen: list[Generation] = []
    async with AsyncExitStack() as held:
        made = [Engines([partial(staying, each) for each in addresses]) for addresses in clients]
        for each in made:
            await (await held.enter_async_context(each)).probe()
        turns = itertools.cycle(made)
        begun = time.monotonic()
        people = (
            talk(partial(next, turns), f"{run}{number}", data, questions, seen) for number, data in enumerate(drawn)
        )
        await asyncio.gather(*people)
        seconds = time.monotonic() - begun
    found = sum(each.cached_tokens for each in seen) / max(1, sum(each.prompt_tokens for each in seen))
    speed = len(drawn) * questions / seconds
    return {"run": run, "requests_per_second": round(speed, 2), "cached_share": round(found, 4)}


def staying(address: EngineAddress) -> EngineAddress:
    """Itself: an address that stays."""
    return address


async def main(people: int, questions: int) -> None:
    """Three crowds; none finds another's cache, since its names are others'."""
    engine.SAMPLING.update(ignore_eos=True)  # weights may be random: an answer would end anywhere
    folder = read(StorageSettings, os.environ).data_dir
    announced = [read_address(folder, number) for number in range(2)]
    both = [EngineAddress(each.url, each.key) for each in announced if each]
    assert len(both) == 2
    drawn = [data for _, data in photos(range(people))]
    for run, clients in (("one", [both[:1]]), ("kept", [both]), ("turns", [[each] for each in both])):
        print(json.dumps(await crowd(run, clients, drawn, questions)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
