"""(a) The card under its plan: `python -m bench.gpu.card [PHOTOS]`, 1,000 of 64 people, then the longest prompt."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.gpu.host import Answer, Bench, abreast, bench, content, part, photo, photos, run, words
from bench.report import finish, spread, target

PHOTOS, PEOPLE, EARLY = 1000, 64, 100
SHORT, LONG = 64, 1024  # tokens of the answers


async def many_photos(bench: Bench, amount: int) -> dict[str, Any]:
    """Every photo is new to the engine. Memory is read when EARLY answers are there, and at the end."""
    drawn = photos(range(amount))
    begun, early = time.monotonic(), 0
    failed = done = 0

    async def one(data: bytes) -> Answer | None:
        nonlocal early, done, failed
        try:
            answer = await bench.ask(content("What is in this picture?", data), SHORT)
        except Exception:  # noqa: BLE001 : a failure is a figure here
            failed += 1
            return None
        done += 1
        if done == min(EARLY, amount // 2):
            early = bench.card.now()
        return answer

    answers = [each for each in await abreast(PEOPLE, [partial(one, data) for _, data in drawn]) if each]
    seconds = time.monotonic() - begun
    late = bench.card.now()
    return {
        "photos": amount,
        "failed": failed,
        "photos_per_second": round(len(answers) / seconds, 2),
        "first_token": spread([each.first for each in answers]),
        "prompt_tokens": round(statistics.fmean(each.prompt for each in answers)),
        "memory_early_mib": early,
        "memory_end_mib": late,
        "growth": round(late / early, 4) if early else 0,
        **bench.card.since(begun),
    }


async def longest(bench: Bench, context: int, tokens: int = LONG) -> dict[str, Any]:
    """One photo and words up to the context, the answer included; its KV use is the engine's own figure."""
    _, data = photo(10_000_001)
    text = await words(bench.client, context - tokens - 1000, seed=context)
    begun, used = time.monotonic(), 0.0

    async def watch() -> None:
        nonlocal used
        while True:
            figures = await bench.metrics()
            used = max(used, figures.get("num_used_tokens", 0.0))
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    try:
        answer = await bench.ask(content(text, data), tokens)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    again = await bench.ask(content(text, data), 64)
    return {
        "prompt_tokens": answer.prompt,
        "tokens": answer.tokens,
        "first_token_s": round(answer.first, 3),
        "tokens_per_second": round(answer.speed, 1),
        "kv_tokens_used": round(used),
        "again_first_token_s": round(again.first, 3),
        "again_cached": again.cached,
        **bench.card.since(begun),
    }


async def one_stream(bench: Bench) -> dict[str, Any]:
    """One person alone, with and without a photo."""
    texts = [await bench.ask(content(f"Say something, {number}."), 128) for number in range(5)]
    seen = [await bench.ask(content("What is this?", photo(20_000_000 + number)[1]), 128) for number in range(5)]
    return {
        "text_first_ms": round(1000 * statistics.median(each.first for each in texts), 1),
        "photo_first_ms": round(1000 * statistics.median(each.first for each in seen), 1),
        "tokens_per_second": round(statistics.median(each.speed for each in texts + seen), 1),
    }


async def main(data_dir: Path) -> None:
    """All of it."""
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS
    results: dict[str, Any] = {}
    async with bench(data_dir) as found:
        model = found.address.model
        results["served"] = {"context": model.context, "slots": model.slots}
        await part("engine", results, found.info)
        results["ready_mib"] = found.card.now()
        await part("alone", results, partial(one_stream, found))
        await part("photos", results, partial(many_photos, found, amount))
        await part("longest", results, partial(longest, found, model.context))
        results["end_mib"], results["peak_mib"] = found.card.now(), found.card.since(0).get("peak_mib", 0)
    growth = float(results["photos"].get("growth", 9))
    finish("gpu.card", results, {"growth_over_1000_photos": target(growth, at_most=1.03)})


if __name__ == "__main__":
    run(main)
