"""Asks that are answered and asked anew, for tests."""

from __future__ import annotations

from msgspec import structs

from storage.messages import Done, Event, Turn
from storage.queue import Claim
from storage.replies import Finished
from storage.stores import Stores
from tests.storage.asks import make_ask


async def claim(stores: Stores, worker: str = "w1") -> Claim:
    """What a worker does first."""
    ((held,), _) = await stores.queue.claim(worker, 1)
    return held


async def close(stores: Stores, event: Event, *, text: str = "") -> Claim:
    """Answer the next ask; with a text it leaves turns."""
    held = await claim(stores)
    question = structs.replace(held.ask.question, ask=held.ask.id)
    turns = [question, Turn("assistant", text, ask=held.ask.id)] if text else []
    assert await stores.queue.finish(held, event, turns)
    return held


async def read(stores: Stores) -> list[Finished]:
    """What the outbox holds."""
    return await stores.replies.finished("telegram", wait=0.01)


async def deliver(stores: Stores) -> None:
    """Show what the outbox holds."""
    for finished in await read(stores):
        await stores.replies.delivered("telegram", finished)


async def answered(stores: Stores, id: str, text: str) -> None:
    """An ask that was answered and shown."""
    await stores.queue.enqueue(make_ask(id))
    await close(stores, Done(text), text=text)
    await deliver(stores)


async def again(stores: Stores, id: str, text: str = "", *, newest: bool = False) -> str:
    """Ask anew, with another text if there is one."""
    found = await stores.queue.find(id)
    assert found
    question = structs.replace(found.ask.question, text=text) if text else found.ask.question
    return await stores.queue.amend(structs.replace(found.ask, question=question), found.fence, newest=newest)


async def said(stores: Stores) -> list[str]:
    """The turns of the history."""
    return [turn.text for turn in await stores.history.read(make_ask("a").conversation, 0)]


async def state(stores: Stores, id: str) -> tuple[str, bool, int] | None:
    """What is known of an ask: its state, whether its question is known, its fence."""
    found = await stores.queue.find(id)
    return found and (found.state, found.known, found.fence)
