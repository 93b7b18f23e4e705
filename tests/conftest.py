"""Fixtures that everybody shares: one real Valkey a session, empty at the start of every test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from storage.connection import connect
from storage.embedded import Store
from tests.browser import NO_BROWSER

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the session's own server, the one of our wheel; it starts with the first test that asks for it."""
    yield from serve(tmp_path_factory.mktemp("store"), path="")


@pytest.fixture(scope="session")
def system_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server of the system's own kind, where one is installed."""
    yield from serve(tmp_path_factory.mktemp("system"), path=os.environ["PATH"])


def serve(folder: Path, path: str) -> Iterator[str]:
    """A server found on this PATH, or else our wheel's, for as long as the generator lives."""
    store = Store(folder)
    # A loop of its own, which is not made the thread's loop: the tests' loops come and go.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            url = runner.run(store.__aenter__())
        yield url
        runner.run(store.__aexit__(None, None, None))


@pytest.fixture
def server_url(store_url: str) -> str:
    """The server that a test uses; tests of the storage's scripts use a system server too."""
    return store_url


@pytest_asyncio.fixture
async def redis(server_url: str) -> AsyncIterator[Redis]:
    """A client on the test's loop; the store is empty."""
    client = connect(server_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the whole service first, in their random order: they last longest; one left over would run alone."""
    items.sort(key=lambda item: item.path.parent != HERE)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line: a skipped browser is easily overlooked."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and any(NO_BROWSER in str(report.longrepr) for report in reporter.stats.get("skipped", ())):
        reporter.write_line(f"THE PAGE WAS NOT TESTED: {NO_BROWSER} (Debian: apt install chromium)", red=True)
