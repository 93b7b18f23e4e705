"""What trimming costs the engine: conversations replayed against SGLang's prefix cache; the last line is JSON.

`make bench-context` starts SGLang on this machine's CPU; `python -m bench.context --engine URL --context 32768` takes a
server that runs, started with --enable-cache-report, and needs only aiohttp, msgspec and pillow. Every turn (question
and answer) takes --share of the high mark in tokens, every fifth brings a photo, which is part of that. Answers are
replayed: the engine computes them as it need not in a real chat, where it has just said them. --generated lets it say
them, to their whole length, which takes longer.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import math
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bench.report import finish, say, target
from inference.budget import answer_reserve, fit, low_mark
from inference.engine import SAMPLING, Engine, EngineAddress
from inference.prompt import OPENING, SYSTEM, messages, template
from inference.stream import EngineError, Generation
from storage.messages import Photo, Turn

WORDS = "the a red green blue large small round square shape house tree left right above below one two photo where"
PHOTO = 0.015  # of the high mark
EVERY = 5  # turns bring a photo
QUESTION = 1 / 3  # of the words

Trim = Callable[[Sequence[Turn], Sequence[int], int, int], tuple[list[Turn], int]]


@dataclass
class Script:
    """One conversation: questions and answers in turn, what each costs, and the photos' bytes."""

    turns: list[Turn] = field(default_factory=list[Turn])
    tokens: list[int] = field(default_factory=list[int])
    kept: dict[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass
class Tally:
    """What one conversation cost under one way to trim. `later` are the prompts that follow one they begin with."""

    prompt: int = 0
    cached: int = 0
    later_prompt: int = 0
    later_cached: int = 0
    trims: int = 0
    miscounted: int = 0
    seconds: list[float] = field(default_factory=list[float])
    refused_from: int | None = None

    def add(self, generation: Generation, seconds: float, *, later: bool) -> None:
        """Take in one answered question."""
        self.prompt += generation.prompt_tokens
        self.cached += generation.cached_tokens
        if later:
            self.later_prompt += generation.prompt_tokens
            self.later_cached += generation.cached_tokens
        self.seconds.append(seconds)

    def figures(self) -> dict[str, float | int | None]:
        """What is reported; tokens are the engine's own."""
        return {
            "questions": len(self.seconds),
            "prompt_tokens": self.prompt,
            "prefill_tokens": self.prompt - self.cached,
            "cached": round(self.cached / max(1, self.prompt), 4),
            "cached_between_trims": round(self.later_cached / max(1, self.later_prompt), 4),
            "trims": self.trims,
            "miscounted": self.miscounted,
            "first_token_p50_ms": round(1000 * statistics.median(self.seconds), 1) if self.seconds else None,
            "refused_from": self.refused_from,
        }


def window(turns: Sequence[Turn], tokens: Sequence[int], base: int, context: int) -> tuple[list[Turn], int]:
    """Drop the oldest questions with their answers, only as many as must go."""
    used, first = sum(tokens), 0
    while used > context - answer_reserve(context) - base:
        used -= tokens[first] + tokens[first + 1]
        first += 2
    return list(turns[first:]), base + used


def everything(turns: Sequence[Turn], tokens: Sequence[int], base: int, context: int) -> tuple[list[Turn], int]:
    """Drop nothing; the engine refuses what is longer than its context."""
    return list(turns), base + sum(tokens)


WAYS: dict[str, Trim] = {"marks": fit, "window": window, "none": everything}


async def counted(engine: Engine, turn: Turn, kept: dict[str, bytes]) -> int:
    """A turn's tokens, template included."""
    text, photos = template(turn, kept)
    return await engine.count(text) + photos


async def said(engine: Engine, rng: random.Random, tokens: int) -> str:
    """Words of about so many tokens."""
    words = WORDS.split()
    each = await engine.count(" ".join(10 * words)) / (10 * len(words))
    return " ".join(rng.choices(words, k=max(1, round(tokens / each))))


def picture(rng: random.Random, tokens: float) -> tuple[Photo, bytes]:
    """A photo of about so many tokens, like no other."""
    side = 32 * max(1, round(math.sqrt(tokens)))
    image = Image.new("RGB", (side, side), rng.randbytes(3).hex().join(("#", "")))
    image.paste(Image.frombytes("RGB", (8, 8), rng.randbytes(192)))
    file = io.BytesIO()
    image.save(file, "PNG")
    data = file.getvalue()
    return Photo(hashlib.sha256(data).hexdigest(), "image/png", side, side, len(data)), data


async def written(engine: Engine, questions: int, high: int, share: float) -> Script:
    """A conversation, the same with every call."""
    rng, script = random.Random(questions), Script()
    for number in range(questions):
        room, photos = share * high - 10, ()  # the template's own tokens
        if number % EVERY == 0:
            photo, data = picture(rng, PHOTO * high)
            script.kept[photo.sha256] = data
            photos, room = (photo,), room - photo.width * photo.height / 1024
        script.turns.append(Turn("user", await said(engine, rng, round(room * QUESTION)), photos))
        script.turns.append(Turn("assistant", await said(engine, rng, round(room * (1 - QUESTION)))))
    script.tokens = [await counted(engine, turn, script.kept) for turn in script.turns]
    return script


async def replay(engine: Engine, script: Script, way: Trim, base: int, context: int, *, generated: bool) -> Tally:
    """Ask every question of a script, trimmed in this way; one token of an answer shows that the prompt was read.

    generated: the answer is the engine's own, as long as the script's, and takes its place.
    """
    tally, salt, first = Tally(), uuid.uuid4().hex, 0
    for last in range(0, len(script.turns), 2):
        turns, size = way(script.turns[first : last + 1], script.tokens[first : last + 1], base, context)
        trimmed, first = first < last + 1 - len(turns), last + 1 - len(turns)
        generation, began, seconds, text = Generation(), time.monotonic(), 0.0, ""
        stream = engine.stream(
            messages(turns, script.kept), rid=uuid.uuid4().hex, salt=salt, generation=generation,
            max_tokens=script.tokens[last + 1] if generated else 1,
        )  # fmt: skip
        try:
            async with aclosing(stream):
                async for delta in stream:
                    seconds = seconds or time.monotonic() - began
                    text += delta
        except EngineError as error:
            say(f"  question {last // 2 + 1}, {size} tokens: {error}")
            tally.refused_from = last // 2 + 1
            break
        tally.trims += trimmed
        tally.miscounted += generation.prompt_tokens != size
        tally.add(generation, seconds, later=last > 0 and not trimmed)
        if generated:
            script.turns[last + 1] = Turn("assistant", text)
            script.tokens[last + 1] = await counted(engine, script.turns[last + 1], script.kept)
    return tally


@asynccontextmanager
async def served(options: argparse.Namespace) -> AsyncGenerator[Engine]:
    """The engine that is named, or SGLang on this machine's CPU with the demo model."""
    if options.engine:
        async with Engine(lambda: EngineAddress(options.engine, options.key), context=options.context) as engine:
            yield engine
        return
    from inference.embedded import DEMO
    from tests.sglang.server import SGLang

    with tempfile.TemporaryDirectory() as folder:
        server = SGLang(DEMO / "checkpoint", Path(folder), "--context-length", options.context)
        server.start()
        try:
            await asyncio.to_thread(server.wait)
            async with Engine(lambda: server.address, context=options.context) as engine:
                yield engine
        finally:
            server.stop()


async def measure(options: argparse.Namespace) -> None:
    """Replay every length in every way, and print."""
    async with served(options) as engine:
        model = await engine.probe()
        base = await engine.count(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n") + await engine.count(OPENING)
        high = model.context - answer_reserve(model.context) - base
        found: dict[str, dict[str, dict[str, float | int | None]]] = {}
        largest = 0
        for questions in options.questions:
            for name in options.ways:
                script = await written(engine, questions, high, options.share)
                tally = await replay(engine, script, WAYS[name], base, model.context, generated=options.generated)
                pairs = zip(script.tokens[::2], script.tokens[1::2], strict=True)
                largest = max(largest, *(question + answer for question, answer in pairs))
                found.setdefault(str(questions), {})[name] = tally.figures()
                say(f"{questions} questions, {name}: {tally.figures()}")
    longest = found[str(max(options.questions))]
    reached: dict[str, dict[str, float | bool]] = {}
    if ours := longest.get("marks"):
        reached["cached_between_trims"] = target(float(ours["cached_between_trims"] or 0), at_least=0.95)
        reached["cached"] = target(float(ours["cached"] or 0), at_least=0.85)
    if ours and (theirs := longest.get("window")):
        ratio = float(theirs["prefill_tokens"] or 0) / float(ours["prefill_tokens"] or 1)
        reached["window_prefill_over_ours"] = target(ratio, at_least=3)
    finish(
        "context",
        {
            "model": model.name, "context": model.context, "high_mark": high, "low_mark": low_mark(high),
            "answers": "generated" if options.generated else "replayed", "turn_tokens": round(options.share * high),
            "largest_turn": round(largest / high, 4), "runs": found,
        },
        reached,
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", help="http:// address of an SGLang server; without it one is started here")
    parser.add_argument("--key", help="its API key")
    parser.add_argument("--context", type=int, default=4096, help="tokens (4096)")
    parser.add_argument("--share", type=float, default=0.025, help="tokens of a turn, of the high mark (0.025)")
    parser.add_argument("--questions", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument(
        "--generated", action="store_true", help="the engine's own answers, as long as the replayed ones"
    )
    options = parser.parse_args()
    if options.generated:
        SAMPLING["ignore_eos"] = True
    asyncio.run(measure(options))


if __name__ == "__main__":
    main()
