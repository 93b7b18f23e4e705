"""What the claims have in common: an engine that says what it was shown, questions on both platforms, and their end."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.people import EMPTY, Question, Reply, on_discord, on_telegram
from bench.stage import Stage, open_stage, until
from storage import keys
from storage.messages import Turn, decode
from tests.canary import canary
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.road import describe, newest

PATIENCE = 60.0
SECOND = 2.0  # seconds in which a second answer would come


@dataclass(frozen=True)
class Outcome:
    """Whether a claim was kept, and the figures that say so."""

    kept: bool
    figures: dict[str, Any]


@dataclass
class Scene:
    """A stage with a scripted engine, and everything that was asked on it.

    `tries` counts how often the engine began to answer each question's words.
    """

    stage: Stage
    engine: StubEngine
    questions: list[Question] = field(default_factory=list[Question])
    tries: dict[str, int] = field(default_factory=dict[str, int])

    async def telegram(self, number: int, words: str, picture: int | None = None) -> Question:
        """Somebody writes to the bot in private, with a picture that carries a number."""
        user = self.stage.telegram.user(number)
        if picture is None:
            message = await user.send_text(user.private, words)
        else:
            message = await user.send_photo(user.private, canary(picture), words)
        return self._asked(on_telegram(user, message, answer_to(words, picture)))

    async def discord(self, number: int, words: str, picture: int | None = None) -> Question:
        """Somebody mentions the bot in a channel of their own."""
        user, channel = self.stage.discord.user(number), self.stage.discord.guild().channel(f"place-{number}")
        files = [] if picture is None else [("photo.jpg", canary(picture))]
        message = await user.says(channel, words, files, mention=True)
        return self._asked(on_discord(channel, message, answer_to(words, picture)))

    async def everywhere(self, number: int, words: str, picture: int | None = None) -> Question:
        """One person after the other on both platforms in turn."""
        ask = self.telegram if number % 2 else self.discord
        return await ask(number, words, picture)

    def _asked(self, question: Question) -> Question:
        self.questions.append(question)
        return question

    async def answered(self, seconds: float = PATIENCE, questions: Sequence[Question] | None = None) -> float:
        """Wait until every question has its whole answer; seconds that it took. Does not raise when they are over."""
        begun = time.perf_counter()
        asked = self.questions if questions is None else questions
        try:
            await until(lambda: all(map(answer_of, asked)), "answers", seconds)
        except TimeoutError:
            pass  # verdict() says how many are missing
        return time.perf_counter() - begun

    async def verdict(self, **figures: Any) -> Outcome:
        """Judge all that was asked: each has one answer, the right one, one turn in the history, and is closed once."""
        await asyncio.sleep(SECOND)
        whole = [[reply.text for reply in question.replies() if reply.whole] for question in self.questions]
        turns = [turn.ask for turn in await self.turns() if turn.role == "user"]
        found = {
            "asked": len(self.questions),
            "lost": sum(not texts for texts in whole),
            "doubled": sum(len(texts) > 1 for texts in whole),
            "wrong": sum(
                bool(texts) and question.answer not in texts[0]
                for question, texts in zip(self.questions, whole, strict=True)
            ),
            "halves": sum(
                any(not reply.whole and reply.text != EMPTY for reply in question.replies())
                for question, texts in zip(self.questions, whole, strict=True)
                if texts
            ),
            "turns_doubled": len(turns) - len(set(turns)),
            "closed_twice": max(0, (await self.stage.stores.queue.counts())["done"] - len(self.questions)),
        }
        return Outcome(not any(count for name, count in found.items() if name != "asked"), found | figures)

    async def turns(self) -> list[Turn]:
        """All turns of all histories."""
        redis, found = self.stage.stores.redis, list[Turn]()
        async for key in redis.scan_iter(keys.history("*")):
            found += [decode(raw, Turn) for raw in await redis.lrange(key, 0, -1)]
        return found


def answer_to(words: str, picture: int | None) -> str:
    """What the scripted engine says to that."""
    return f"saw {'nothing' if picture is None else picture}: {words}"


def answer_of(question: Question) -> Reply | None:
    """The whole and right answer, once it is there."""
    return next((reply for reply in question.replies() if reply.whole and question.answer in reply.text), None)


def quantiles(seconds: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest, in their own unit."""
    values = sorted(seconds)
    if len(values) < 2:
        return {"max": round(values[0], 3)} if values else {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {name: round(cuts[at], 3) for name, at in (("p50", 49), ("p95", 94), ("p99", 98))} | {
        "max": round(values[-1], 3)
    }


@asynccontextmanager
async def open_scene(
    *, delay: float = 0.0, first_delay: float = 0.0, slots: int = 4,
    reply: Callable[[Json], Sequence[str] | AsyncIterator[str]] = describe, **stage: Any,
) -> AsyncGenerator[Scene]:  # fmt: skip
    """A stage with an engine that says which picture it saw and what was asked, or what `reply` says."""
    tries: dict[str, int] = {}

    def counted(body: Json) -> Sequence[str] | AsyncIterator[str]:
        words = newest(body)[1]
        tries[words] = tries.get(words, 0) + 1
        return reply(body)

    async with StubEngine(counted, delay=delay, first_delay=first_delay, slots=slots) as engine:
        async with open_stage(engine=engine, **stage) as opened:
            yield Scene(opened, engine, tries=tries)
