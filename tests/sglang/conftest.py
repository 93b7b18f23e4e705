"""Fixtures of the SGLang lane: one real server a session, the engine's client on it, and a worker's desk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from inference import engine as module
from inference.engine import Engine
from tests.emulators.engine import StubEngine
from tests.inference.desk import Desk, open_desk
from tests.sglang.server import PYTHON, ROOT, SGLang

DEMO = ROOT / "inference/demo/checkpoint"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--checkpoint", default=DEMO, help="a Qwen3-VL folder; skips what only our demo can")


def checkpoint(request: pytest.FixtureRequest) -> Path:
    """The folder that is served."""
    return Path(str(request.config.getoption("checkpoint"))).resolve()


@pytest.fixture(scope="session")
def sglang(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SGLang]:
    """The server, ready; whoever kills it starts it again."""
    if not PYTHON.exists():
        pytest.fail(".venv-sglang is missing: make test-sglang installs it")
    server = SGLang(checkpoint(request), tmp_path_factory.mktemp("sglang"))
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> None:
    """For a test of what the model says: it needs the model that learned it."""
    if checkpoint(request) != DEMO:
        pytest.skip("another checkpoint than the demo model's")


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that go on to the last token they may have, whatever the model wants to say."""
    monkeypatch.setitem(module.SAMPLING, "ignore_eos", True)


@pytest_asyncio.fixture
async def engine(sglang: SGLang) -> AsyncIterator[Engine]:
    """The engine's client on the server."""
    async with Engine(lambda: sglang.address) as engine:
        yield engine


@pytest_asyncio.fixture
async def desk(store_url: str, redis: Any, sglang: SGLang) -> AsyncIterator[Desk]:
    """The stores, empty, and the server; the played engine is not there."""
    async with open_desk(store_url, StubEngine(), sglang.address) as desk:
        yield desk
