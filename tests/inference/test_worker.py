"""The worker: whatever dies beside it, every ask ends with one whole answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from inference import worker as module
from inference.worker import Worker
from storage import keys
from storage.messages import Cancelled, Done, Failed, Started
from tests.emulators.engine import Request, StubEngine
from tests.emulators.server import Json, cut
from tests.inference.desk import FAILURES, Desk, open_desk
from tests.waiting import wait_until

ANSWER = "A blue square."
GIVING_UP = 10.0  # each failure parks an ask for longer
QUICK = 3.0  # seconds a stop may take when nothing is being answered


@asynccontextmanager
async def working(desk: Desk, quick: float = QUICK) -> AsyncGenerator[Worker]:
    """A worker at work; at the end it is told to stop, and must do so in time and without an error."""
    worker, stop = Worker("w", desk.engine, desk.stores.queue, desk.answerer, desk.stores.health), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        yield worker
        assert not running.done(), running
        began = time.monotonic()
        stop.set()
        await asyncio.wait([running], timeout=10)
        assert time.monotonic() - began < quick
    finally:
        running.cancel()
        await asyncio.wait([running])
    running.result()
    assert worker.figures()["running"] == 0


def engine_is(worker: Worker, state: str) -> bool:
    return worker.figures()["engine"] == state


async def whole(desk: Desk, *ids: str, seconds: float = 10) -> None:
    """Wait until these asks have their one, whole answer."""
    for id in ids:
        done = await desk.final(id, seconds)
        assert isinstance(done, Done) and done.text == ANSWER, done


class Poisoned(StubEngine):
    """An engine that breaks on one question: that connection alone, or all of them as a process that dies."""

    dies = False

    async def _answer(self, http: web.Request, request: Request, fault: Any) -> web.StreamResponse:
        if "poison" in str(request.body["messages"][-1]):
            if self.dies:
                await asyncio.sleep(0.05)  # it is read beside the others, and then takes them with it
                for other in [other for other in self.open if other is not http]:
                    cut(other)
            return cut(http)
        self.open.append(http)
        try:
            return await super()._answer(http, request, fault)
        finally:
            self.open.remove(http)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.open: list[web.Request] = []


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_EVERY", 0.1)  # every test would wait for the engine's return


async def test_as_many_asks_are_answered_at_once_as_the_engine_has_slots(desk: Desk):
    gate = asyncio.Event()

    async def reply(_: Json) -> AsyncGenerator[str]:
        await gate.wait()
        yield ANSWER

    desk.stub.reply, desk.stub.slots = reply, 3
    ids = [str(number) for number in range(9)]
    for id in ids:
        await desk.ask(id, person=f"telegram:{id}")
    async with working(desk) as worker:
        await desk.stub.until(lambda: desk.stub.running == 3)
        assert worker.figures()["running"] == 3
        gate.set()
        await whole(desk, *ids)
    assert desk.stub.peak == 3


async def test_one_person_is_answered_one_by_one_and_in_order(desk: Desk):
    ids = [str(number) for number in range(6)]
    for id in ids:
        await desk.ask(id)
    async with working(desk):
        await whole(desk, *ids)
    assert list(await desk.finals()) == ids
    assert desk.stub.peak == 1


async def test_while_the_engine_is_down_asks_wait_and_nothing_fails(desk: Desk):
    await desk.stub.stop()
    ids = [str(number) for number in range(8)]
    async with working(desk) as worker:
        for id in ids:
            await desk.ask(id, person=f"telegram:{id}")
        await wait_until(lambda: worker.figures()["error"] == "ClientConnectorError")
        assert engine_is(worker, "down") and await desk.finals() == {}
        await desk.stub.start()
        await whole(desk, *ids)
        assert engine_is(worker, "up")
    assert await desk.stores.health.model() == await desk.engine.probe()
    assert not [notice for _, notice in desk.notices if isinstance(notice.event, Started) and notice.event.fence > 1]


async def test_an_engine_that_goes_down_is_known_within_two_seconds(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()  # as it really watches
    async with working(desk) as worker:
        await wait_until(lambda: engine_is(worker, "up"))
        await desk.stub.stop()
        await wait_until(lambda: engine_is(worker, "down"), 2)
        await desk.ask("a")
        await desk.stub.start()
        await whole(desk, "a")


async def test_an_overloaded_engine_is_asked_again_and_it_counts_against_nobody(desk: Desk):
    desk.stub.fail("refuse", times=8)
    async with working(desk):
        await desk.ask("a")
        await whole(desk, "a")
    assert len(desk.stub.requests) == 9


@pytest.mark.parametrize("fault", ["break", "end", "garbage", "no_done"])
async def test_an_answer_that_breaks_off_begins_anew_under_a_higher_fence(desk: Desk, fault: Any):
    desk.stub.fail(fault, after=1, times=2)
    async with working(desk):
        await desk.ask("a")
        await whole(desk, "a")
    fences = [notice.event.fence for _, notice in desk.notices if isinstance(notice.event, Started)]
    assert fences == [1, 2, 3]
    last = [delta for _, delta in desk.deltas("a") if delta.fence == 3]
    assert last[0].offset == 0 and ANSWER.startswith("".join(delta.text for delta in last))
    assert len(await desk.history()) == 2


async def test_an_ask_that_always_breaks_the_engine_is_given_up_and_the_next_is_served(store_url: str, redis: Any):
    async with Poisoned() as stub, open_desk(store_url, stub) as desk:
        await desk.ask("bad", "poison")
        await desk.ask("next")
        await desk.ask("other", person="telegram:2")
        async with working(desk):
            await whole(desk, "other", "next", seconds=GIVING_UP)
            assert await desk.final("bad", GIVING_UP) == Failed("gave_up")
    assert sum("poison" in str(request.body) for request in stub.requests) == FAILURES


async def test_those_beside_an_ask_that_kills_the_engine_are_answered(store_url: str, redis: Any):
    async with Poisoned(slots=4, delay=0.03) as stub, open_desk(store_url, stub) as desk:
        stub.dies = True
        for number in range(3):
            await desk.ask(f"before {number}", person=f"telegram:{number}")
        await desk.ask("bad", "poison", person="telegram:9")
        async with working(desk):
            for number in range(3):
                await whole(desk, f"before {number}")
            assert await desk.final("bad", GIVING_UP) == Failed("gave_up")


async def test_a_bug_in_one_ask_fails_that_one_alone(desk: Desk, caplog: pytest.LogCaptureFixture):
    await desk.stores.redis.set(keys.history("telegram:1:chat"), b"no list of turns")
    async with working(desk) as worker:
        await desk.ask("a")
        await wait_until(lambda: "failed on a" in caplog.text)
        await desk.stores.redis.hset(keys.job("a"), "failures", FAILURES - 1)  # as after some more tries
        assert await desk.final("a") == Failed("gave_up")
        await desk.ask("b", person="telegram:2")
        await whole(desk, "b")
        assert "bug" in str(worker.figures()["error"])


@pytest.mark.parametrize("hint", [True, False])
async def test_an_asker_who_stops_is_heard_by_the_channel_or_else_by_a_renewal(desk: Desk, hint: bool):
    desk.stores.queue.lease = 15 if hint else 0.8
    desk.stub.reply = lambda _: ["word "] * 1000
    desk.stub.delay = 0.01
    async with working(desk):
        await desk.ask("a")
        await wait_until(lambda: len(desk.deltas("a")) > 1)
        if hint:
            assert await desk.stores.queue.cancel("telegram:1", id="a") == 1
        else:
            await desk.stores.redis.hset(keys.job("a"), "cancel", 1)
        cancelled = await desk.final("a", 1)
        assert isinstance(cancelled, Cancelled) and "word" in cancelled.text
        await desk.stub.until(lambda: desk.stub.disconnects and not desk.stub.running, 1)
        desk.stub.reply = lambda _: (ANSWER,)
        await desk.ask("b")
        await whole(desk, "b")
    assert [turn.stopped for turn in await desk.history()] == [False, True, False, False]


async def test_a_long_answer_is_kept_by_renewing_its_lease(desk: Desk):
    desk.stores.queue.lease = 0.4
    desk.stub.first_delay = 1.2
    async with working(desk):
        await desk.ask("a")
        await whole(desk, "a")
    assert len(desk.stub.requests) == 1


async def test_an_ask_that_is_lost_and_claimed_again_at_once_is_answered_once(desk: Desk):
    desk.stores.queue.lease = 0.8
    desk.stub.first_delay = 0.3
    async with working(desk):
        await desk.ask("a")
        for _ in range(3):
            await desk.stub.until(lambda: desk.stub.running)
            await desk.stores.queue.reset("w")  # as when a lease ran out while the store was away
            seen = len(desk.stub.requests)
            await desk.stub.until(lambda seen=seen: len(desk.stub.requests) > seen)
        await whole(desk, "a")
        await desk.stub.until(lambda: not desk.stub.running)
    assert len(await desk.history()) == 2
