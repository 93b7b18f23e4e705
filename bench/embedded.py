"""The embedded engine's settings one by one: `python -m bench.embedded [FOLDER]`, one JSON line last.

FOLDER holds a model as ASKPIX_MODEL takes it; without one it is the demo. Each try is a child as askpix starts it,
with one setting changed; a slow model (over 500 MB) is asked less. $SECONDS (440) is all the time there is.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.gpu.host import Answer, Bench, Card, abreast, content, photo
from bench.report import cpu_seconds, finish, rss_mb, say
from bots.photos import prepare
from inference import embedded_child, engine
from inference.embedded import DEMO, Embedded
from inference.stream import EngineError
from storage.vision import PixelLimits

SECONDS = float(os.environ.get("SECONDS", "440"))
RESERVE = 10.0


@dataclass(frozen=True)
class Try:
    """A change: of llama.cpp's parameters, or of the environment; beside so many busy processes."""

    name: str
    wishes: dict[str, Any]
    predicted: str
    env: dict[str, str] = field(default_factory=dict[str, str])
    beside: int = 0


PASSIVE = {"OMP_WAIT_POLICY": "passive"}  # a thread that waits for the others sleeps
SMALL = (
    Try("as it is", {}, ""),
    Try("one slot", {"n_parallel": 1}, "fewer photos/min, the same alone"),
    Try("two slots", {"n_parallel": 2}, "the same photos/min"),
    Try("eight slots", {"n_parallel": 8}, "the same photos/min, a later first token"),
    Try("two threads", {"cpuparams.n_threads": 2}, "faster on a quiet machine alone"),
    Try("two threads that sleep", {"cpuparams.n_threads": 2}, "nearly as fast", PASSIVE),
    Try("beside two busy processes", {}, "half the photos/min", beside=2),
    Try("two threads, beside", {"cpuparams.n_threads": 2}, "ten times slower", beside=2),
    Try("two threads that sleep, beside", {"cpuparams.n_threads": 2}, "no slower than one", PASSIVE, 2),
    Try("ubatch 128", {"n_ubatch": 128}, "no change: a prompt is 100 to 200 tokens"),
    Try("64 tokens a photo", {"image_max_tokens": 64}, "first token a third sooner"),
)
LARGE = (
    Try("as it is", {}, ""),
    Try("128 tokens a photo", {"image_max_tokens": 128}, "first token in half the time"),
    Try("64 tokens a photo", {"image_max_tokens": 64}, "a quarter of the time"),
    Try("one thread", {"cpuparams.n_threads": 1}, "half as fast"),
    Try("two slots", {"n_parallel": 2}, "the same photos/min, sooner for each"),
    Try("ubatch 256", {"n_ubatch": 256}, "no change"),
    Try("ubatch 1024", {"n_ubatch": 1024}, "no change"),
)


@asynccontextmanager
async def served(folder: Path, tried: Try) -> AsyncGenerator[tuple[Bench, dict[str, Any], int]]:
    """(the engine, what was wished for, its process)."""
    own = Embedded(Path(os.environ["ASKPIX_DATA_DIR"]), folder)._wishes  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] : as it is
    wishes = own | tried.wishes
    wishes["n_ctx"] = own["n_ctx"] // own["n_parallel"] * wishes["n_parallel"]
    busy = [await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass") for _ in range(tried.beside)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", embedded_child.__file__, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **tried.env},
    )  # fmt: skip
    try:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps(wishes).encode() + b"\n")
        url = json.loads(await child.stdout.readline() or b'{"url": ""}')["url"]
        where = engine.EngineAddress(url, wishes["api_keys"][0])
        async with engine.Engine(lambda: where) as client:
            await client.probe()
            yield Bench(where, client, Card()), wishes, child.pid  # pyright: ignore[reportArgumentType] : only `ask` is used
    finally:
        for each in (child, *busy):
            each.kill()
            await each.wait()


async def measure(folder: Path, tried: Try, large: bool, first: int) -> dict[str, Any]:
    """Alone, with and without a photo; then everybody at once, for so long as the amount takes."""
    begun = time.monotonic()
    async with served(folder, tried) as (bench, wishes, pid):
        ready = time.monotonic() - begun
        slots, tokens = wishes["n_parallel"], 16 if large else 32
        least, most = wishes["image_min_tokens"], wishes["image_max_tokens"]
        limits = PixelLimits(least * 1024, max(2 * least, most) * 1024)
        amount = 2 if large else 12
        seeds = range(first, first + amount + slots * (1 if large else 6))
        pictures = [prepare(photo(seed)[1], limits).data for seed in seeds]

        async def ask(data: bytes) -> Answer:
            return await bench.ask(content("What is in this picture?", data), tokens)

        await bench.ask("Hello!", 4)
        alone = [await ask(data) for data in pictures[:amount]]
        speeds = [(await bench.ask(f"Tell story {number}.", 2 * tokens)).speed for number in range(2 if large else 5)]
        begun, spent = time.monotonic(), cpu_seconds(pid)
        crowd: list[Answer] = await abreast(slots, [partial(ask, data) for data in pictures[amount:]])
        took = time.monotonic() - begun
        return {
            "ready_s": round(ready, 2),
            "rss_mb": rss_mb([pid]),
            "prompt_tokens": alone[-1].prompt,
            "photo_first_ms": round(1000 * statistics.median(each.first for each in alone)),
            "tokens_per_second": round(statistics.median(speeds), 1),
            "at_once": slots,
            "photos_per_minute": round(60 * len(crowd) / took, 1),
            "first_p50_ms_at_once": round(1000 * statistics.median(each.first for each in crowd)),
            "cores_busy": round((cpu_seconds(pid) - spent) / took, 2),
        }


async def main() -> None:
    """Each try while there is time; the first once more at the end, for what the machine itself changed meanwhile."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    large = sum(file.stat().st_size for file in folder.glob("*.gguf")) > 500_000_000
    tries, end = LARGE if large else SMALL, time.monotonic() + SECONDS
    engine.SAMPLING["ignore_eos"] = True  # weights may be random, and every answer is to be as long
    results: dict[str, Any] = {}
    longest = 0.0
    for number, tried in enumerate((*tries, Try("as it is, again", {}, "as the first"))):
        begun = time.monotonic()
        if begun + 1.5 * longest + RESERVE > end:
            results[tried.name] = "no time"
            continue
        results[tried.name] = {"predicted": tried.predicted}
        try:
            results[tried.name] |= await measure(folder, tried, large, 1000 * number)
        except (EngineError, ValueError) as error:  # the other tries are measured all the same
            results[tried.name]["failed"] = f"{type(error).__name__}: {error}"
        longest = max(longest, time.monotonic() - begun)
        say(f"{tried.name}: {results[tried.name]}")
    finish("embedded", {"model": folder.name, "tries": results}, {})


if __name__ == "__main__":
    asyncio.run(main())
