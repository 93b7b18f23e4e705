"""A worker's place for tests: the stores, an engine that is played, and what asks do on their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from inference.answer import Answerer, Stop
from inference.engine import Engine, EngineAddress
from storage import keys
from storage.connection import StoreDown, forever
from storage.messages import Address, Ask, Delta, Event, Photo, Quote, Turn, decode_event
from storage.queue import Claim, Queue
from storage.replies import Notice
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.emulators.engine import StubEngine
from tests.waiting import wait_until

OUTBOX = "telegram"
FAILURES = 4  # until an ask is given up: each parks it for longer, and tests should end


@dataclass
class Desk:
    """Everything a worker works with; `notices` are (seconds, notice) as a platform hears them.

    Nobody acknowledges: the outbox shows every final event that was ever written.
    """

    stores: Stores
    stub: StubEngine
    engine: Engine
    answerer: Answerer
    notices: list[tuple[float, Notice]] = field(default_factory=list[tuple[float, Notice]])

    async def ask(
        self, id: str, text: str = "", *, person: str = "telegram:1", photos: tuple[Photo, ...] = (),
        quote: Quote | None = None, epoch: int = 0, conversation: str = "",
    ) -> Ask:  # fmt: skip
        """Put a question into the queue."""
        ask = Ask(
            id=id, person=person, conversation=conversation or f"{person}:chat", lane=person, outbox=OUTBOX,
            where=Address("telegram", "1", "7"), question=Turn("user", text or f"question {id}", photos, quote),
            epoch=epoch,
        )  # fmt: skip
        assert await self.stores.queue.enqueue(ask)
        return ask

    async def claim(self, worker: str = "hand") -> Claim:
        """Take the next ask by hand."""
        claims, _ = await self.stores.queue.claim(worker, 1)
        return claims[0]

    async def run(self, id: str, text: str = "", **options: Any) -> Event:
        """Ask and answer, without a worker; the event it ends with."""
        await self.ask(id, text, **options)
        await self.answerer.answer(await self.claim(), await self.engine.probe(), Stop())
        return await self.final(id)

    async def finals(self) -> dict[str, list[Event]]:
        """Every final event by its ask, in order; empty while the store is away."""
        try:
            entries: list[tuple[bytes, dict[bytes, bytes]]] = await self.stores.redis.xrange(keys.outbox(OUTBOX))
        except StoreDown:
            return {}
        found: dict[str, list[Event]] = {}
        for _, fields in entries:
            found.setdefault(fields[b"id"].decode(), []).append(decode_event(fields[b"event"]))
        return found

    async def final(self, id: str, seconds: float = 5) -> Event:
        """The one final event of an ask, when it has come."""

        async def came() -> bool:
            return id in await self.finals()

        await wait_until(came, seconds)
        (event,) = (await self.finals())[id]
        return event

    async def text(self, claim: Claim) -> str:
        """The answer so far."""
        return ((await self.stores.redis.get(keys.text(claim.ask.id, claim.fence))) or b"").decode()

    async def history(self) -> list[Turn]:
        return await self.stores.history.read("telegram:1:chat", 0)

    def deltas(self, id: str) -> list[tuple[float, Delta]]:
        """The pieces of one answer with the times at which they came."""
        heard = ((at, notice.event) for at, notice in self.notices if notice.id == id)
        return [(at, event) for at, event in heard if isinstance(event, Delta)]

    async def begun(self, claim: Claim) -> None:
        """Wait for the first piece of an answer."""

        async def written() -> bool:
            return bool(await self.text(claim))

        await wait_until(written)


@asynccontextmanager
async def open_desk(url: str, stub: StubEngine, address: EngineAddress | None = None) -> AsyncGenerator[Desk]:
    """A desk on this store and this engine (another one, at an address); it listens to what a platform would hear."""
    async with open_stores(url) as opened, Engine(lambda: address or EngineAddress(stub.url)) as engine:
        queue = Queue(opened.redis, opened.scripts, failure_limit=FAILURES)
        stores = replace(opened, queue=queue)
        answerer = Answerer(engine, stores.queue, stores.replies, stores.history, stores.images, b"secret")
        desk = Desk(stores, stub, engine, answerer)
        ready = asyncio.Event()

        async def hear() -> None:
            async for notice in stores.replies.listen(OUTBOX):
                ready.set()
                if notice:
                    desk.notices.append((time.monotonic(), notice))

        hearing = asyncio.create_task(forever(hear))
        await ready.wait()
        try:
            yield desk
        finally:
            await end([hearing])
