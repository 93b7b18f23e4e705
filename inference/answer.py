"""One ask, top to bottom: history, budget, prompt, engine, replies."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncGenerator, Container
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import takewhile

import msgspec
from msgspec import structs

from inference import budget, prompt
from inference.engine import Engine
from inference.engines import Engines
from inference.stream import EngineRefused, Generation
from storage.history import History
from storage.images import Images
from storage.messages import Ask, Cancelled, Done, Event, Failed, Model, Photo, Refused, Turn, View
from storage.queue import Claim, Queue
from storage.replies import Replies
from storage.settings import CannotRun

COALESCE = 0.1  # seconds between deltas after the first
UNTIL = 60  # characters of the question up to which a conversation was dropped


class FenceLost(Exception):
    """Another worker holds this ask now; whatever is done here is dead."""


class Stop:
    """An asker's wish to stop one answer. It is felt at once while the engine is read, and nowhere else."""

    def __init__(self) -> None:
        self.requested = False
        self._scope: asyncio.Timeout | None = None

    def request(self) -> None:
        """Stop; harmless when that was said before or the answer is over."""
        again, self.requested = self.requested, True
        if self._scope is not None and not again:  # a scope that is ending already takes no new time
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def felt(self) -> AsyncGenerator[None]:
        """The stretch in which a stop interrupts; it ends quietly."""
        try:
            async with asyncio.timeout(0 if self.requested else None) as self._scope:
                yield
        except TimeoutError:
            if not self.requested:
                raise
        finally:
            self._scope = None


class Figures(msgspec.Struct):
    """What one answer took: seconds from the claim, tokens by the engine's count; how it ended, by its event's name."""

    started: float = msgspec.field(default_factory=time.monotonic)
    first: float | None = None
    seconds: float = 0.0
    generation: Generation = msgspec.field(default_factory=Generation)
    outcome: str = "done"


@dataclass(slots=True)
class Answerer:
    """Answers claims with one engine; holds no state of its own."""

    engine: Engine | Engines
    queue: Queue
    replies: Replies
    history: History
    images: Images
    secret: bytes

    async def answer(self, claim: Claim, model: Model, stop: Stop) -> Figures:
        """Answer one claim and close it.

        `stop` ends it early: what is written stays as the answer. Raises EngineDown (the caller gives the
        claim back), FenceLost, and what storage.connection.StoreDown names.
        """
        figures, ask = Figures(), claim.ask
        event: Event
        turns: list[Turn] = []
        view, first = None, ""
        try:
            messages, view, first = await self._prompt(ask, model)
            text = await self._write(claim, messages, model.context - view.tokens, stop, figures)
            figures.seconds = time.monotonic() - figures.started
            generation = figures.generation
            if stop.requested:
                event = Cancelled(text)
            else:
                cut = generation.finish == "length"
                event = Done(text, cut=cut, seconds=figures.seconds, tokens=generation.tokens)
            if text:
                answer = Turn("assistant", text, stopped=stop.requested, ask=ask.id)
                turns = [structs.replace(ask.question, ask=ask.id), answer]
            view = structs.replace(view, tokens=view.tokens + generation.tokens)
        except Refused as refusal:
            event = Failed(refusal.code, refusal.details)
        except EngineRefused:
            event = Failed("engine_refused")
        if not await self.queue.finish(claim, event, turns, view, first):
            raise FenceLost
        figures.outcome = str(event.__struct_config__.tag)
        return figures

    async def check(self, model: Model) -> None:
        """Raise CannotRun where the context does not hold the system prompt and an answer; `least` tokens would."""
        base = await self._base()
        if model.context < (least := budget.least_context(base)):
            raise CannotRun("context_too_small", context=str(model.context), least=str(least))

    async def _base(self) -> int:
        """Tokens of every prompt, whatever is asked."""
        system = f"<|im_start|>system\n{prompt.SYSTEM}<|im_end|>\n"
        return await self.engine.count(system) + await self.engine.count(prompt.OPENING)

    async def _prompt(self, ask: Ask, model: Model) -> tuple[list[dict[str, object]], View, str]:
        """The messages to send, what they show, and the ask that they begin with when earlier ones were dropped."""
        # The question can be counted before the store has said what came before it: all of its photos are needed.
        needed = {photo.sha256 for photo in ask.photos()}
        (turns, kept), newest = await asyncio.gather(self._turns(ask), self._tokens(ask.question, needed))
        if not needed <= kept.keys():
            raise Refused("photo_gone")
        counts = [*[await self._tokens(turn, kept) for turn in turns[:-1]], newest]
        fitting, size = budget.fit(turns, counts, await self._base(), model.context)
        view = View(
            turns=sum(turn.role == "user" for turn in fitting),
            photos=sum(photo.sha256 in kept for turn in fitting for photo in turn.every_photo()),
            tokens=size,
            budget=model.context - budget.answer_reserve(model.context),
        )
        if gone := [turn for turn in turns[: len(turns) - len(fitting)] if turn.role == "user"]:
            view = structs.replace(view, dropped=len(gone), until=gone[-1].text[:UNTIL])
        messages = prompt.messages(fitting, kept)
        return messages, view, (fitting[0].ask or ask.id) if gone else ""

    async def _tokens(self, turn: Turn, kept: Container[str]) -> int:
        text, photos = prompt.template(turn, kept)
        return await self.engine.count(text) + photos

    async def _turns(self, ask: Ask) -> tuple[list[Turn], dict[str, bytes]]:
        """The conversation up to the question, and the photos in it that are still kept."""
        before = takewhile(lambda turn: turn.ask != ask.id, await self.history.read(ask.conversation, ask.epoch))
        turns = [*before, ask.question]
        wanted: dict[str, Photo] = {}
        for turn in turns:
            wanted |= {photo.sha256: photo for photo in turn.every_photo()}
        found = await self.images.get(ask.person, list(wanted))
        return turns, {sha256: data for sha256, data in zip(wanted, found, strict=True) if data is not None}

    async def _write(
        self, claim: Claim, messages: list[dict[str, object]], room: int, stop: Stop, figures: Figures
    ) -> str:
        """Stream the answer into the replies; returns all of it, or what was written until `stop`."""
        rid = hashlib.sha256(f"{claim.ask.id}:{claim.fence}".encode()).hexdigest()[:32]
        salt = hmac.new(self.secret, claim.ask.person.encode(), "sha256").hexdigest()[:32]
        told = 0.0
        text = fresh = ""
        stream = self.engine.stream(messages, rid=rid, salt=salt, max_tokens=room, generation=figures.generation)
        async with stop.felt(), aclosing(stream):
            async for delta in stream:
                fresh += delta
                now = time.monotonic()
                if figures.first is None:
                    figures.first = now - figures.started
                if now - told < COALESCE:
                    continue
                if not await self.replies.emit(claim, fresh):
                    await self.engine.abort(rid)
                    raise FenceLost
                text, fresh, told = text + fresh, "", now
        if stop.requested:
            await self.engine.abort(rid)
        return text + fresh
