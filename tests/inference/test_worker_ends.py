"""How a worker ends and begins again, and what it does while the store is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference import worker as module
from storage.embedded import Store
from storage.messages import Done, Started
from tests.emulators.engine import StubEngine
from tests.inference.desk import Desk, open_desk
from tests.inference.test_worker import engine_is, whole, working
from tests.waiting import wait_until


@asynccontextmanager
async def own_store(folder: Path, stub: StubEngine) -> AsyncGenerator[tuple[Desk, int]]:
    """A desk on a store of its own, and the process of its server."""
    async with Store(folder) as url, open_desk(url, stub) as desk:
        yield desk, (await desk.stores.redis.info("server"))["process_id"]


async def test_a_stop_lets_answers_end_and_takes_no_new_ones(desk: Desk):
    desk.stub.delay, desk.stub.slots = 0.2, 1
    async with working(desk):
        await desk.ask("a")
        await desk.stub.until(lambda: desk.stub.running)
        await desk.ask("b", person="telegram:2")
    await whole(desk, "a")
    assert await desk.stores.queue.places(["b"]) == [0] and len(desk.stub.requests) == 1


async def test_what_takes_longer_than_the_drain_goes_back_to_the_queue(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAIN", 0.1)
    desk.stub.first_delay = 30
    async with working(desk):
        await desk.ask("a")
        await desk.stub.until(lambda: desk.stub.running)
    await desk.stub.until(lambda: not desk.stub.running, 1)
    assert await desk.stores.queue.places(["a"]) == [0] and await desk.finals() == {}
    desk.stub.first_delay = 0
    async with working(desk):
        await whole(desk, "a")


async def test_an_idle_worker_stops_at_once(desk: Desk):
    async with working(desk, quick=1) as worker:
        await wait_until(lambda: engine_is(worker, "up"))
    async with working(desk, quick=1):
        pass  # before it has even begun


async def test_a_worker_whose_engine_is_down_stops_at_once_and_keeps_the_asks(desk: Desk):
    await desk.stub.stop()
    async with working(desk, quick=1) as worker:
        await desk.ask("a")
        await wait_until(lambda: worker.figures()["error"] != "")
    assert await desk.stores.queue.places(["a"]) == [0]
    assert not [notice for _, notice in desk.notices if isinstance(notice.event, Started)]


async def test_a_worker_that_is_cancelled_leaves_no_task_behind(desk: Desk):
    desk.stub.first_delay = 30
    before = asyncio.all_tasks()
    worker = module.Worker("w", desk.engine, desk.stores.queue, desk.answerer, desk.stores.health)
    running = asyncio.create_task(worker.run(asyncio.Event()))
    await desk.ask("a")
    await desk.stub.until(lambda: desk.stub.running)
    running.cancel()
    await asyncio.wait([running])
    await desk.stub.until(lambda: not desk.stub.running)
    await wait_until(lambda: asyncio.all_tasks() <= before)
    assert await desk.stores.queue.places(["a"]) == [0]


async def test_what_a_former_life_held_is_answered_at_once(desk: Desk):
    ids = [str(number) for number in range(3)]
    for id in ids:
        await desk.ask(id, person=f"telegram:{id}")
        await desk.claim("w")  # and then the process was killed
    async with working(desk):
        await whole(desk, *ids, seconds=3)  # its lease would have run for 15


async def test_a_worker_stops_at_once_while_the_store_never_answered(tmp_path: Path):
    stub = StubEngine()
    async with stub, own_store(tmp_path, stub) as (desk, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            async with working(desk):
                pass
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_worker_stops_soon_while_the_store_hangs_in_mid_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAIN", 0.1)
    monkeypatch.setattr(module, "PARTING", 0.5)
    async with StubEngine(lambda _: ["word "] * 1000, delay=0.01) as stub, own_store(tmp_path, stub) as (desk, pid):
        try:
            async with working(desk):
                await desk.ask("a")
                await wait_until(lambda: len(desk.deltas("a")) > 1)
                os.kill(pid, signal.SIGSTOP)
        finally:
            os.kill(pid, signal.SIGCONT)
        stub.reply = lambda _: ("A blue square.",)
        async with working(desk):
            await whole(desk, "a")


async def test_a_store_that_is_killed_in_mid_answer_costs_no_answer_and_makes_no_second(tmp_path: Path):
    words = [f"{number} " for number in range(100)]
    async with StubEngine(lambda _: words, delay=0.01) as stub, own_store(tmp_path, stub) as (desk, pid):
        ids = [str(number) for number in range(4)]
        async with working(desk):
            for id in ids:
                await desk.ask(id, person=f"telegram:{id}")
            await wait_until(lambda: all(len(desk.deltas(id)) > 1 for id in ids))
            os.kill(pid, signal.SIGKILL)
            for id in ids:
                done = await desk.final(id, 20)
                assert isinstance(done, Done) and done.text == "".join(words)
        assert (await desk.stores.queue.counts())["done"] == len(ids)
        assert all(len(events) == 1 for events in (await desk.finals()).values())
