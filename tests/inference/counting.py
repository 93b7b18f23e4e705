"""The promise that all rests on: a random conversation, counted by us and by an engine."""

from __future__ import annotations

import random
import uuid
from collections.abc import Container, Mapping, Sequence

from inference.engine import Engine
from inference.prompt import OPENING, SYSTEM, messages, template
from inference.stream import Generation
from storage.messages import Turn
from tests.inference.turns import conversation

MOST = 6  # photos


def few_photos(rng: random.Random, exchanges: int) -> tuple[list[Turn], dict[str, bytes], int]:
    """A random conversation, its photos, and how many of them it shows: at most six."""
    while True:
        turns, kept = conversation(rng, exchanges)
        shown = sum(photo.sha256 in kept for turn in turns for photo in turn.every_photo())
        if shown <= MOST:
            return turns, kept, shown


async def counted(engine: Engine, turns: Sequence[Turn], kept: Container[str]) -> int:
    """A prompt's tokens, as the worker counts them."""
    tokens = await engine.count(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n{OPENING}")
    for turn in turns:
        text, photos = template(turn, kept)
        tokens += await engine.count(text) + photos
    return tokens


async def counted_by(engine: Engine, turns: Sequence[Turn], kept: Mapping[str, bytes]) -> int:
    """A prompt's tokens, as the engine itself counts them."""
    generation, rid = Generation(), uuid.uuid4().hex
    stream = engine.stream(messages(turns, kept), rid=rid, salt=rid, max_tokens=1, generation=generation)
    assert len([text async for text in stream]) <= 1
    return generation.prompt_tokens


async def check_counts(engine: Engine, seed: int, conversations: int) -> None:
    """Fail where the two counts of one of so many random conversations differ."""
    rng, seen = random.Random(seed), set[int]()
    for _ in range(conversations):
        turns, kept, shown = few_photos(rng, rng.choice((1, 1, 2, 3)))
        assert await counted(engine, turns, kept) == await counted_by(engine, turns, kept), turns
        seen.add(shown)
    assert seen == set(range(MOST + 1)), "some number of photos was never drawn"
