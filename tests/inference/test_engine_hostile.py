"""An engine that means ill, or whose memory is broken: the worker hears one of its two errors, and fills no memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest

from inference.engine import LONGEST_TOKEN, Engine, EngineAddress
from inference.stream import LONGEST_EVENT, EngineDown, Generation

EVENT = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'


@asynccontextmanager
async def speaking(body: bytes, times: int = 1) -> AsyncGenerator[Engine]:
    """An engine that answers every request with this body, so many times over."""
    sent = 0

    async def serve(coming: asyncio.StreamReader, going: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await coming.readuntil(b"\r\n\r\n")
            going.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for _ in range(times):
                going.write(body)
                sent += len(body)
                await going.drain()
        going.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = EngineAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, Engine(lambda: address) as engine:
        yield engine
    assert sent < 50_000_000, "who reads no more ends the line"


async def told(engine: Engine, max_tokens: int = 10) -> str:
    stream = engine.stream([], rid="r", salt="s", max_tokens=max_tokens, generation=Generation())
    async with aclosing(stream) as words:
        return "".join([word async for word in words])


@pytest.mark.parametrize(
    "body", [b"data: \xff\xfe\n", b'data: {"error": "\xff"}\n', b'data: {"usage": \x80}\n', b"data: {\n"]
)
async def test_what_is_no_json_or_no_utf_8_is_a_broken_engine(body: bytes) -> None:
    async with speaking(body) as engine:
        with pytest.raises(EngineDown) as down:
            await told(engine)
        assert down.value.started
        with pytest.raises(EngineDown):
            await engine.count("words")
        with pytest.raises(EngineDown):
            await engine.probe()


async def test_an_event_without_end_is_not_waited_for() -> None:
    async with speaking(b"data: " + b"x" * LONGEST_EVENT, 1_000) as engine:
        with pytest.raises(EngineDown, match="no end"):
            await told(engine)


async def test_an_answer_longer_than_its_tokens_can_be_is_ended() -> None:
    async with speaking(EVENT % (b"x" * 10_000), 10_000) as engine:
        with pytest.raises(EngineDown, match="does not end"):
            await told(engine)
    async with speaking(EVENT % (b"x" * (LONGEST_TOKEN * 10)) + b"data: [DONE]\n") as engine:
        assert len(await told(engine)) == LONGEST_TOKEN * 10
