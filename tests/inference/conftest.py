"""Fixtures of the inference half: the real engine, one a session, and a worker's desk with a played one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from inference import embedded
from inference.engine import EngineAddress
from tests.emulators.engine import StubEngine
from tests.inference.desk import Desk, open_desk


@pytest.fixture(scope="session")
def embedded_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineAddress]:
    """The CPU engine with the model that is shipped; it starts with the first test that asks for it."""
    own = embedded.Embedded(tmp_path_factory.mktemp("engine"), slots=2)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        loop = runner.get_loop()
        ready: asyncio.Future[embedded.EngineAddress] = loop.create_future()

        def answers(address: embedded.EngineAddress) -> None:
            if not ready.done():
                ready.set_result(address)

        serving = loop.create_task(embedded.keep(own, answers))

        async def started() -> embedded.EngineAddress:
            await asyncio.wait([ready, serving], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            return await ready

        address = runner.run(started())
        yield EngineAddress(address.url, address.key, address.model)
        serving.cancel()

        async def ended() -> None:
            await asyncio.wait([serving])

        runner.run(ended())


@pytest_asyncio.fixture
async def desk(store_url: str, redis: Redis) -> AsyncIterator[Desk]:
    """The stores, empty, and a played engine that answers at once."""
    async with StubEngine() as stub, open_desk(store_url, stub) as desk:
        yield desk
