"""Several engines behind one client: who goes where, what happens when one is gone, and how evenly they work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from inference.engine import EngineAddress
from inference.engines import Engines
from inference.stream import EngineDown, EngineRefused, Generation
from tests.emulators.engine import StubEngine

SLOTS = 40


@asynccontextmanager
async def town(count: int = 2, *, delay: float = 0.0) -> AsyncGenerator[tuple[Engines, list[StubEngine]]]:
    """So many engines, probed."""
    async with AsyncExitStack() as held:
        stubs = [await held.enter_async_context(StubEngine(delay=delay, slots=SLOTS)) for _ in range(count)]
        engines = await held.enter_async_context(Engines([partial(EngineAddress, stub.url) for stub in stubs]))
        await engines.probe()
        yield engines, stubs


async def ask(engines: Engines, person: str) -> str:
    messages = [{"role": "user", "content": "hi"}]
    rid = person.zfill(32)
    stream = engines.stream(messages, rid=rid, salt=person, max_tokens=9, generation=Generation())
    return "".join([text async for text in stream])


def asked(stub: StubEngine) -> set[str]:
    """Who asked this engine."""
    return {request.body["cache_salt"] for request in stub.requests}


async def test_without_an_engine_it_says_so():
    async with Engines([lambda: None, lambda: EngineAddress("http://127.0.0.1:9")]) as engines:
        with pytest.raises(EngineDown):
            await engines.probe()
        for call in (engines.count("x"), ask(engines, "ann")):
            with pytest.raises(EngineDown):
                await call
        await engines.abort("x")


async def test_when_one_dies_its_people_go_to_another_and_come_back_with_it():
    async with town() as (engines, stubs):
        for person in map(str, range(20)):
            await ask(engines, person)
        mine, others = asked(stubs[0]), asked(stubs[1])
        assert mine | others == set(map(str, range(20))) and not mine & others
        await stubs[0].stop()
        with pytest.raises(EngineDown):
            await ask(engines, min(mine))
        assert await ask(engines, min(mine)) == "A blue square."  # before any probe
        assert (await engines.probe()).slots == SLOTS
        assert await engines.count("four") == 4  # the second counts now
        for person in mine:
            await ask(engines, person)
        assert mine <= asked(stubs[1])
        await stubs[0].start()
        assert (await engines.probe()).slots == 2 * SLOTS
        stubs[0].requests.clear()
        for person in map(str, range(20)):
            await ask(engines, person)
        assert asked(stubs[0]) == mine


async def test_an_engine_that_refuses_a_question_stays():
    async with town() as (engines, stubs):
        for stub in stubs:
            stub.fail("bad_request")
        with pytest.raises(EngineRefused):
            await ask(engines, "ann")
        assert len({engines.choose(person) for person in map(str, range(20))}) == 2


async def test_all_workers_agree_on_who_goes_where():
    async with town(3) as (engines, stubs):
        addresses = [partial(EngineAddress, stub.url) for stub in stubs]
        async with Engines(addresses) as others:
            await others.probe()
            for person in map(str, range(30)):
                await ask(engines, person)
                await ask(others, person)
        seen = Counter(person for stub in stubs for person in asked(stub))
        assert set(seen.values()) == {1}
        assert all(stub.requests for stub in stubs)


async def test_an_engine_that_goes_moves_only_its_own_people():
    async with town(4) as (engines, stubs):
        people = list(map(str, range(80)))
        before = {person: engines.choose(person) for person in people}
        await stubs[2].stop()
        await engines.probe()
        gone = set(before.values()) - {engines.choose(person) for person in people}
        assert len(gone) == 1
        assert all(engines.choose(person) is before[person] for person in people if before[person] not in gone)


async def test_a_crowd_of_one_engine_spills_over_at_its_last_slot():
    async with town() as (engines, stubs):
        crowd = [person for person in map(str, range(400)) if engines.choose(person) is engines.choose("0")]
        for stub in stubs:
            stub.first_delay = 60
        tasks: list[asyncio.Task[str]] = []

        async def join(count: int) -> list[int]:
            """Let so many more of them ask, one after the other; how many each engine has then, the fuller first."""
            for person in crowd[len(tasks) : len(tasks) + count]:
                tasks.append(asyncio.create_task(ask(engines, person)))
                await asyncio.sleep(0)  # it chooses in its first step
            total = len(tasks)
            await stubs[0].until(lambda: stubs[0].running + stubs[1].running == total or None)
            return sorted((stub.running for stub in stubs), reverse=True)

        assert await join(SLOTS) == [SLOTS, 0]
        assert await join(10) == [SLOTS, 10]
        assert await join(30) == [SLOTS, SLOTS]
        assert max(await join(4)) == SLOTS + 2  # more than there are slots: evenly
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await stubs[0].until(lambda: not stubs[0].running and not stubs[1].running)
        assert engines.choose(crowd[0]) is engines.choose("0")


async def test_slots_that_are_given_go_before_the_sum():
    async with StubEngine(slots=7) as stub:
        async with Engines([partial(EngineAddress, stub.url)] * 2, slots=3, context=512) as engines:
            assert (await engines.probe()).slots == 3
            assert (await engines.probe()).context == 512


async def test_an_abort_reaches_whichever_engine_has_it():
    async with town() as (engines, stubs):
        await engines.abort("r" * 32)
        assert [stub.aborts for stub in stubs] == [["r" * 32]] * 2
