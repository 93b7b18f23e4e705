"""Fixtures that everybody shares: one real Valkey a session, empty at the start of every test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from storage.connection import connect
from storage.embedded import Store


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the session's own server; it starts with the first test that asks for it."""
    store = Store(tmp_path_factory.mktemp("store"))
    # A loop of its own, which is not made the thread's loop: the tests' loops come and go.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner.run(store.__aenter__())
        runner.run(store.__aexit__(None, None, None))


@pytest_asyncio.fixture
async def redis(store_url: str) -> AsyncIterator[Redis]:
    """A client on the test's loop; the store is empty."""
    client = connect(store_url)
    await client.flushall()
    yield client
    await client.aclose()
