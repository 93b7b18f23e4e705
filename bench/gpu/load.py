"""People for bench.gpu.speed, in processes of their own: one alone could not read 64 streams fast enough."""

from __future__ import annotations

import asyncio
import io
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from PIL import Image

from bench.gpu.host import Answer, Bench, Card, abreast, content, photo
from inference import engine

CLIENTS = 4
Times = tuple[float, float, float, int]  # begun (time.monotonic), seconds to the first words, in all, tokens


def drawn(pool: ProcessPoolExecutor, amount: int) -> list[bytes]:
    """JPEGs of 1024x768, each another."""
    return [data for _, data in pool.map(photo, range(amount), chunksize=8)]


def _redrawn(data: bytes, name: str, width: int, height: int) -> bytes:
    image, file = Image.open(io.BytesIO(data)).resize((width, height)), io.BytesIO()
    image.save(file, "PNG" if name == "png" else "JPEG", **({} if name == "png" else {"quality": 87}))
    return file.getvalue()


def redrawn(pool: ProcessPoolExecutor, photos: Sequence[bytes], name: str, width: int, height: int) -> list[bytes]:
    """The same photos in another format ("png") or size."""
    return list(pool.map(partial(_redrawn, name=name, width=width, height=height), photos))


async def _asked(url: str, photos: Sequence[bytes], many: int, tokens: int) -> list[Times]:
    engine.SAMPLING.update(
        ignore_eos=True, temperature=float(os.environ.get("TEMPERATURE", "0.7"))
    )  # weights are random: an answer would end anywhere
    where = engine.EngineAddress(url, None)
    async with engine.Engine(lambda: where) as client:
        await client.probe()
        bench = Bench(where, client, Card())  # pyright: ignore[reportArgumentType] : only its `ask` is used here

        async def one(number: int, data: bytes) -> Times:
            question: Any = content(f"What is in picture {number}?", data) if data else f"Tell me story {number}."
            begun = time.monotonic()
            answer: Answer = await bench.ask(question, tokens)
            return begun, answer.first, answer.seconds, answer.tokens

        return await abreast(many, [partial(one, number, data) for number, data in enumerate(photos)])


def one_crowd(url: str, photos: Sequence[bytes], many: int, tokens: int) -> list[Times]:
    """All of one process's people; no photo is b""."""
    return asyncio.run(_asked(url, photos, many, tokens))


def crowd(pool: ProcessPoolExecutor, url: str, photos: Sequence[bytes], many: int, tokens: int) -> dict[str, Any]:
    """`many` people at once from CLIENTS processes."""
    shares = [photos[start::CLIENTS] for start in range(CLIENTS)]
    jobs = [pool.submit(one_crowd, url, share, max(1, many // CLIENTS), tokens) for share in shares]
    times = [each for job in jobs for each in job.result()]
    begun, ended = min(each[0] for each in times), max(each[0] + each[2] for each in times)
    firsts = sorted(each[1] for each in times)
    return {
        "requests": len(times),
        "per_second": round(len(times) / (ended - begun), 2),
        "tokens_per_second": round(sum(each[3] for each in times) / (ended - begun)),
        "first_p50_ms": round(1000 * statistics.median(firsts), 1),
        "first_p90_ms": round(1000 * firsts[int(0.9 * len(firsts))], 1),
    }


def alone(pool: ProcessPoolExecutor, url: str, photos: Sequence[bytes], texts: int = 6) -> dict[str, Any]:
    """One request at a time: words, then photos."""
    found: dict[str, Any] = {}
    asked = {"text": [b""] * texts, "photo": list(photos)}
    speeds: list[float] = []
    for name, each in asked.items():
        times = pool.submit(one_crowd, url, each, 1, 128).result() if each else []
        if times:
            found[f"{name}_first_ms"] = round(1000 * statistics.median(first for _, first, _, _ in times), 1)
            speeds += [(tokens - 1) / max(1e-6, seconds - first) for _, first, seconds, tokens in times]
    return found | {"tokens_per_second": round(statistics.median(speeds), 1)}


def _exam(url: str, task: str, chinese: bool, amount: int, end: float) -> tuple[float, int]:
    """(marks, questions) of one task; it ends early when time is up."""
    from inference.demo import engines, evaluate  # with fonts that only the demo's environment has

    asked = engines.Http.__new__(engines.Http)
    asked.__dict__.update(_url=url, _key="")
    marks: list[float] = []
    for turns in evaluate.cases(task, chinese, amount):
        if time.monotonic() > end:
            break
        marks.append(evaluate.mark(asked.answer(turns), turns[-1].answer))
    return sum(marks), len(marks)


def exams(pool: ProcessPoolExecutor, urls: dict[str, str], amount: int, seconds: float) -> dict[str, dict[str, Any]]:
    """The demo model's examination at several engines at once: the share of right answers, and of each task."""
    from inference.demo.evaluate import TASKS

    end = time.monotonic() + seconds
    jobs = {
        (name, task, chinese): pool.submit(_exam, url, task, chinese, amount, end)
        for task in TASKS
        for chinese in (False, True)
        for name, url in urls.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for name in urls:
        results = {task: [0.0, 0] for task in TASKS}
        for (where, task, _), job in jobs.items():
            if where == name:
                marks, asked = job.result()
                results[task] = [results[task][0] + marks, results[task][1] + asked]
        asked = sum(each[1] for each in results.values())
        tasks = {task: round(each[0] / each[1], 3) for task, each in results.items() if each[1]}
        share = sum(each[0] for each in results.values()) / max(1, asked)
        found[name] = {"questions": asked, "right": round(share, 4), "tasks": tasks}
    return found
