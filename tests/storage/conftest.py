"""The storage's tests run on our own server and, where one is installed, on the system's."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from storage.connection import Client
from storage.stores import Stores, open_stores

INSTALLED = any(shutil.which(name) for name in ("valkey-server", "redis-server"))


@pytest.fixture(params=["store_url", *(["system_url"] if INSTALLED else [])])
def server_url(request: pytest.FixtureRequest) -> str:
    """One server after the other."""
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture
async def stores(redis: Client, server_url: str) -> AsyncIterator[Stores]:
    """Every store of one server, with the outbox of a platform."""
    async with open_stores(server_url) as found:
        await found.replies.open_outbox("telegram")
        yield found
