"""What the GPU's proofs share: the engine under test, photos that nobody has seen before, and what the card says.

The engine is the one that `askpix engine` announced in the data folder; without one it is started there, as it would be
for a person, and stopped afterwards.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import random
import re
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image, ImageDraw

from bench.report import say
from inference import engine, gpu
from inference.embedded import EngineAddress, read_address
from storage.messages import Photo
from storage.tasks import end

START = 420.0  # seconds; a first start compiles kernels
WORDS = ("the", "of", "a", "red", "blue", "small", "old", "tree", "house", "river", "stone", "light", "road", "bird")


@dataclass
class Card:
    """The GPU over time: MiB used beyond what was used before the engine came, and watts."""

    before: int = 0
    samples: list[tuple[float, int, float]] = field(default_factory=list[tuple[float, int, float]])

    def now(self) -> int:
        """MiB that the engine has taken now."""
        found = gpu.seen()
        return found.used - self.before if found else 0

    def since(self, when: float) -> dict[str, float]:
        """Peak memory and the power of the stretch since `when` (time.monotonic)."""
        taken = [(used, watts) for at, used, watts in self.samples if at >= when]
        if not taken:
            return {}
        watts = [each for _, each in taken]
        mean = round(statistics.fmean(watts))
        return {"peak_mib": max(used for used, _ in taken), "watts_mean": mean, "watts_max": round(max(watts))}

    async def watch(self) -> None:
        """Sample five times a second until cancelled."""
        while True:
            found = await asyncio.to_thread(gpu.seen)
            if found:
                self.samples.append((time.monotonic(), found.used - self.before, found.watts))
            await asyncio.sleep(0.2)


@dataclass
class Bench:
    """The engine with its address and client, and the card under it."""

    address: EngineAddress
    client: engine.Engine
    card: Card

    async def info(self) -> dict[str, Any]:
        """The figures of SGLang's own that a plan is held against."""
        wanted = ("version", "max_total_num_tokens", "context_length", "mem_fraction_static", "max_running_requests")
        found = await self.get("/server_info")
        return {name: found.get(name) for name in wanted}

    async def get(self, path: str) -> Any:
        """An answer of the engine's: JSON, or the text of /metrics."""
        headers = {"Authorization": f"Bearer {self.address.key}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(self.address.url + path) as answer:
            return await answer.json() if "json" in answer.content_type else await answer.text()

    async def metrics(self) -> dict[str, float]:
        """SGLang's figures by name, summed over their labels; empty where it has none."""
        found: dict[str, float] = {}
        text = await self.get("/metrics")
        for name, value in re.findall(r"^sglang:(\w+)(?:\{[^\n]*\})? ([\d.e+-]+)$", str(text), re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    async def ask(self, content: Any, tokens: int, *, history: Sequence[Any] = ()) -> Answer:
        """One streamed request; every answer has the full number of tokens."""
        generation, begun = engine.Generation(), time.perf_counter()
        first, text = 0.0, ""
        messages = [*history, {"role": "user", "content": content}]
        stream = self.client.stream(
            messages, rid=os.urandom(16).hex(), salt="bench", max_tokens=tokens, generation=generation
        )
        async with aclosing(stream):
            async for piece in stream:
                first = first or time.perf_counter() - begun
                text += piece
        took = time.perf_counter() - begun
        return Answer(first, took, generation.prompt_tokens, generation.cached_tokens, generation.tokens, text)


@dataclass(frozen=True)
class Answer:
    """What one request took, in seconds and tokens."""

    first: float
    seconds: float
    prompt: int
    cached: int
    tokens: int
    text: str

    @property
    def speed(self) -> float:
        """Tokens a second after the first."""
        return (self.tokens - 1) / max(self.seconds - self.first, 1e-6)


@asynccontextmanager
async def bench(data_dir: Path) -> AsyncGenerator[Bench]:
    """The engine of this folder, ready."""
    engine.SAMPLING["ignore_eos"] = True  # weights are random: an answer would end anywhere
    card = Card()
    started: asyncio.subprocess.Process | None = None
    if read_address(data_dir) is None:
        found = gpu.seen()
        card.before = found.used if found else 0
        started = await asyncio.create_subprocess_exec(sys.executable, "-m", "askpix", "engine", stdout=sys.stderr)
    watching = asyncio.create_task(card.watch())
    try:
        async with asyncio.timeout(START):
            while (address := read_address(data_dir)) is None:
                if started and started.returncode is not None:
                    raise RuntimeError("the engine did not start")
                await asyncio.sleep(0.2)
        if started is None:
            card.before = int(os.environ.get("BENCH_BEFORE_MIB", "0"))
        where = engine.EngineAddress(address.url, address.key)
        async with engine.Engine(lambda: where) as client:
            await client.probe()
            yield Bench(address, client, card)
    finally:
        await end([watching])
        if started and started.returncode is None:
            started.terminate()
            await started.wait()


def photo(seed: int, width: int = 1024, height: int = 768) -> tuple[Photo, bytes]:
    """A JPEG of about 90 kB that no other seed gives."""
    rng = random.Random(seed)
    noise = Image.frombytes("RGB", (48, 36), rng.randbytes(48 * 36 * 3))
    image = noise.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(20):
        x, y, size = rng.randrange(width), rng.randrange(height), rng.randrange(10, width // 4)
        draw.ellipse((x, y, x + size, y + size), outline="white", fill=tuple(rng.randbytes(3)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=87)
    data = file.getvalue()
    return Photo(hashlib.sha256(data).hexdigest(), "image/jpeg", width, height, len(data)), data


def photos(seeds: Sequence[int]) -> list[tuple[Photo, bytes]]:
    """Many of them, drawn on all cores."""
    with ProcessPoolExecutor(max_workers=min(12, os.cpu_count() or 1)) as pool:
        return list(pool.map(photo, seeds, chunksize=8))


def content(text: str, *pictures: bytes) -> list[dict[str, Any]]:
    """A user message with photos before its words."""
    urls = [f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" for data in pictures]
    return [*({"type": "image_url", "image_url": {"url": url}} for url in urls), {"type": "text", "text": text}]


async def words(client: engine.Engine, tokens: int, seed: int) -> str:
    """A text of so many tokens, or a few less; each seed's is another from its start on."""
    rng = random.Random(seed)
    piece = " ".join(rng.choices(WORDS, k=2000))
    each = await client.count(piece) / 2000
    return " ".join(rng.choices(WORDS, k=int(tokens / each * 0.995)))


async def abreast(many: int, jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the jobs, so many at once, in order; their results."""
    waiting, results = iter(enumerate(jobs)), [None] * len(jobs)

    async def take() -> None:
        for number, job in waiting:
            results[number] = await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(many, len(jobs))):
            group.create_task(take())
    return results


async def part(name: str, results: dict[str, Any], job: Callable[[], Any]) -> None:
    """Run one part and keep what it found, or what broke it: the others are measured all the same."""
    say(f"{name} …")
    begun = time.perf_counter()
    try:
        results[name] = await job()
    except Exception as error:  # noqa: BLE001 : a bench goes on past a part that fails, and says so
        results[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
    say(f"{name}: {time.perf_counter() - begun:.0f} s  {results[name]}")


def run(main: Callable[[Path], Any]) -> None:
    """A module's command: the data folder is $ASKPIX_DATA_DIR."""
    asyncio.run(partial(main, Path(os.environ["ASKPIX_DATA_DIR"]))())
