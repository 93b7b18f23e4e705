"""Several engines as one: a person keeps to one, whose cache holds what they spoke of, unless all its slots are taken.

Every engine ranks differently for every person (rendezvous hashing by its place in the list): all workers agree without
asking each other, and an engine that goes or comes moves only its own people. Evening out earlier than at the last slot
was measured, and costs more cache than it spares time (bench/gateway.py).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

from msgspec import structs

from inference.engine import Engine, EngineAddress
from inference.stream import EngineDown, Generation
from storage.messages import Model


class Engines:
    """The same calls as Engine. `slots` goes before the sum of what the engines say; the rest is each engine's."""

    def __init__(
        self, addresses: Sequence[Callable[[], EngineAddress | None]], *, model: str | None = None,
        slots: int | None = None, context: int | None = None,
    ) -> None:  # fmt: skip
        self._all = [Engine(address, model=model, context=context) for address in addresses]
        self._slots = slots
        self._up: dict[Engine, Model] = {}
        self._running: Counter[Engine] = Counter()
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Engines:
        for engine in self._all:
            await self._held.enter_async_context(engine)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held.aclose()

    async def probe(self) -> Model:
        """What the first engine that answers serves, with the slots of all that do. Raises EngineDown if none does."""
        found = await asyncio.gather(*(engine.probe() for engine in self._all), return_exceptions=True)
        for engine, model in zip(self._all, found, strict=True):
            self._up.pop(engine, None)
            if isinstance(model, Model):
                self._up[engine] = model
            elif not isinstance(model, EngineDown):
                raise model
        model = self._up[self._first()]
        return structs.replace(model, slots=self._slots or sum(each.slots for each in self._up.values()))

    async def count(self, text: str) -> int:
        """Tokens of a text, by the first engine that answers. Raises EngineError."""
        return await self._first().count(text)

    async def stream(
        self, messages: Sequence[dict[str, Any]], *, rid: str, salt: str, max_tokens: int, generation: Generation
    ) -> AsyncGenerator[str]:
        """An answer of the person's engine: `salt` is their name. Raises EngineError."""
        engine = self.choose(salt)
        self._running[engine] += 1
        stream = engine.stream(messages, rid=rid, salt=salt, max_tokens=max_tokens, generation=generation)
        try:
            async with aclosing(stream):
                async for text in stream:
                    yield text
        except EngineDown:
            self._up.pop(engine, None)  # until the next probe: the next try goes to another
            raise
        finally:
            self._running[engine] -= 1

    async def abort(self, rid: str) -> None:
        """Free the slot of a closed request, whichever engine has it."""
        await asyncio.gather(*(engine.abort(rid) for engine in self._all))

    def choose(self, person: str) -> Engine:
        """The engine for this person's next question. Raises EngineDown if none answers."""
        self._first()
        ranked = sorted(self._up, key=lambda engine: _rank(person, self._all.index(engine)))
        taken = {engine: self._running[engine] / self._up[engine].slots for engine in ranked}
        return next((each for each in ranked if taken[each] < 1), min(ranked, key=lambda each: taken[each]))

    def _first(self) -> Engine:
        if not self._up:
            raise EngineDown("no engine answers")
        return next(engine for engine in self._all if engine in self._up)


def _rank(person: str, place: int) -> bytes:
    return hashlib.sha256(f"{person} {place}".encode()).digest()
