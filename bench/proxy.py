"""A network as it is: a proxy that delays, refuses, cuts and resets connections, doubles requests, and sets traps.

Chaos and the claims put one in front of each platform, the engine and the store. It knows bytes, no protocols.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from storage.tasks import end

PIECE = 1 << 16  # bytes read at once
PARTING = 5.0  # seconds for a client to go when all is said
TWICE_AT_MOST = 10.0  # seconds for the answer to a doubled request, which nobody reads
# What a client may send twice at no harm: reads, and edits, which say what shall stand there.
_CALLS = rb"(?:editMessageText|getFile|getMe|sendChatAction) "
IDEMPOTENT = re.compile(rb"GET /(?!gateway|resume)|PATCH /api/|POST /tokenize|POST /bot[^/]+/" + _CALLS)

Address = str | int | None  # the path of a socket, a port here, or None while there is nobody


@dataclass(frozen=True, slots=True)
class Weather:
    """What befalls connections: seconds before each piece of bytes (at least, at most: late pieces pass earlier ones
    of other connections), the shares of new connections refused, of pieces at which a connection ends (half of the
    piece still passes) or is reset, and of idempotent requests that are sent twice.
    """

    delay: tuple[float, float] = (0.0, 0.0)
    refuse: float = 0.0
    cut: float = 0.0
    reset: float = 0.0
    twice: float = 0.0


CALM = Weather()


@dataclass
class Trap:
    """Waits for a piece from a client that matches; lets it through, and springs at the first answer, which is lost.

    before: springs at once, and the piece is lost.
    """

    pattern: re.Pattern[bytes]
    act: Callable[[], object]
    before: bool = False
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Client:
    """One connection: where it leads, the request that may be doubled as far as it came, the trap it walked into."""

    address: str | int
    request: bytes = b""
    caught: Trap | None = None


class Proxy:
    """One port in front of `upstream`, whose address is asked anew for each connection; an async context manager.

    `counts` says what befell how many connections.
    """

    def __init__(self, upstream: Callable[[], Address], seed: int = 0) -> None:
        self.upstream = upstream
        self.weather = CALM
        self.counts: Counter[str] = Counter()
        self.port = 0
        self.open = asyncio.Event()  # not set: no byte passes, no connection ends
        self.open.set()
        self._chance = random.Random(seed)
        self._trap: Trap | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """For HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def trap(self, pattern: bytes, act: Callable[[], object], *, before: bool = False) -> Trap:
        """Set a trap; a former one is taken away."""
        self._trap = Trap(re.compile(pattern, re.DOTALL), act, before)
        return self._trap

    def cut_all(self) -> None:
        """Reset every connection there is."""
        self.counts["reset"] += len(self._tasks)
        for task in self._tasks:
            task.cancel()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await end(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # cut_all and the end; asyncio's own callback would log it
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        address = self.upstream()
        if address is None or self._chance.random() < self.weather.refuse:
            self.counts["refused"] += 1
            _reset(writer)
            return
        try:
            there, out = await _connect(address)
        except OSError:
            return
        client = _Client(address)
        ways = [
            asyncio.create_task(self._pass(reader, out, partial(self._asked, client))),
            asyncio.create_task(self._pass(there, writer, partial(self._answered, client))),
        ]
        rough = True
        try:  # a half of a request that is cut gets no answer: the other way ends with it
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not any(way.result() for way in ended):  # who has said all may still be answered
                await asyncio.wait(ways, timeout=PARTING if ways[1] in ended else None)
                rough = any(way.done() and way.result() for way in ways)
        finally:
            await end(ways)
            for each in (out, writer):
                _reset(each) if rough else each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[bytes], bool]
    ) -> bool:
        """Pass bytes on until they end; True when the connection was ended by us."""
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self.open.wait()
                if not seen(piece):
                    return True
                weather, chance = self.weather, self._chance.random()
                if weather.delay[1]:
                    await asyncio.sleep(self._chance.uniform(*weather.delay))
                if chance < weather.reset:
                    self.counts["reset"] += 1
                    return True
                if chance < weather.reset + weather.cut:
                    self.counts["cut"] += 1
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                    return True
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        return False

    def _asked(self, client: _Client, piece: bytes) -> bool:
        if self._trap and self._trap.pattern.search(piece):
            client.caught, self._trap = self._trap, None
            if client.caught.before:
                return self._answered(client, b"")
        client.request = piece if IDEMPOTENT.match(piece) else client.request and client.request + piece
        if _whole(client.request):
            if self._chance.random() < self.weather.twice:
                self.counts["twice"] += 1
                task = asyncio.create_task(_again(client.address, client.request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            client.request = b""
        return True

    def _answered(self, client: _Client, piece: bytes) -> bool:
        if not client.caught:
            return True
        client.caught.act()
        client.caught.sprung.set()
        self.counts["trapped"] += 1
        return False


def _whole(request: bytes) -> bool:
    """Whether an HTTP request is there to its end."""
    head, found, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(found) and len(body) >= (int(length[1]) if length else 0) and b"chunked" not in head


async def _again(address: str | int, request: bytes) -> None:
    """Send a request once more over a connection of its own; nobody reads the answer."""
    with suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(TWICE_AT_MOST):
            reader, writer = await _connect(address)
            try:
                alone = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request)
                writer.write(alone.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                while await reader.read(PIECE):
                    pass
            finally:
                _reset(writer)


async def _connect(address: str | int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection("127.0.0.1", address)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, with an RST where there are such."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None and found.family == socket.AF_INET and found.fileno() >= 0:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
