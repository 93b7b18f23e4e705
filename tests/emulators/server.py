"""What all emulators stand on: an aiohttp server on a port of 127.0.0.1, and waiting that every change wakes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from aiohttp import web

T = TypeVar("T")
Json = dict[str, Any]

# An album of ten photos of 5 MB; aiohttp's own limit is 1 MB.
_MAX_BODY = 64 * 1024 * 1024


class Changes:
    """Wakes whoever waits for the state of an emulator to become what it should be."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Say that something changed."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the next change, or after `seconds` without one."""
        with suppress(TimeoutError):  # asyncio.wait_for can lose a cancellation on Python 3.11
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._event.wait()

    async def until(self, predicate: Callable[[], T], seconds: float = 10.0) -> T:
        """The first true value of `predicate`, asked anew at every change; raises TimeoutError after `seconds`."""
        deadline = time.perf_counter() + seconds
        while not (value := predicate()):
            if (left := deadline - time.perf_counter()) <= 0:
                raise TimeoutError(f"not within {seconds} s")
            await self.wait(left)
        return value


class LocalServer:
    """Serves `routes` while started; the port stays the same over stop and start, so that it can play an outage."""

    def __init__(self, routes: Sequence[web.RouteDef], *, port: int = 0, cancel_on_disconnect: bool = False) -> None:
        self.port = port
        self.changes = Changes()
        self.stopping = False
        self._routes = routes
        self._cancel = cancel_on_disconnect
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The root, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; returns when a connection would be accepted."""
        self.stopping = False
        app = web.Application(client_max_size=_MAX_BODY)
        app.add_routes(self._routes)
        self._runner = web.AppRunner(
            app, handler_cancellation=self._cancel, shutdown_timeout=0.05, access_log=None, keepalive_timeout=60
        )
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Close the port and cut every connection, answered or not."""
        self.stopping = True
        self.changes.notify()  # a long poll ends now
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def until(self, predicate: Callable[[], T], seconds: float = 10.0) -> T:
        """See Changes.until."""
        return await self.changes.until(predicate, seconds)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def cut(request: web.Request) -> web.Response:
    """Drop the connection without an answer, as a dying server does."""
    if request.transport:
        request.transport.abort()
    return web.Response()
