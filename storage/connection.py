"""How askpix talks to Redis: one connection policy and the Lua scripts.

Foreign errors: `redis.exceptions.RedisError` stays what it is inside storage; callers see `StoreDown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage.keys import PREFIX
from storage.settings import sentinels
from storage.tasks import end

T = TypeVar("T")

# Longer than any blocking call of ours (5 s): a reply that is later than this is a dead connection.
SOCKET_TIMEOUT = 15.0

RETRY = 0.2  # seconds between tries while the store is down

# What a caller catches to wait for Redis to come back. A busy loading server answers with a ConnectionError's child;
# one at its maxmemory, or demoted to a replica, takes nothing for now, and nothing may be lost or die meanwhile.
StoreDown = (RedisConnectionError, RedisTimeoutError, OSError, OutOfMemoryError, ReadOnlyError)

# redis-py types every reply as bytes or str, awaited or not, at once; what comes is known from how we connect.
Client = Any

_FOLDER = Path(__file__).parent / "scripts"


class _Cancellable:
    """Mixed into redis-py's connections: on Python 3.11 their `asyncio.wait_for` can lose a cancellation, and uvloop
    has an error of its own for a connection that the other side has closed.
    """

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(seconds):
                sent: Any = super()  # of the class it is mixed into
                await sent.send_packed_command(command, check_health)
        except RuntimeError as error:  # "the handler is closed"
            raise RedisConnectionError from error
        finally:
            self.socket_timeout = seconds


class _Watched(SentinelConnectionPool):
    """Connections to whichever server the Sentinels name now; theirs end with it.

    After a failure all connections want to know at once: one question, which nobody's end breaks off, serves them all.
    """

    _asking: asyncio.Task[Any] | None = None

    async def get_master_address(self) -> Any:
        if self._asking is None or self._asking.done():
            question: Any = super().get_master_address()  # pyright: ignore[reportUnknownVariableType] : untyped
            self._asking = asyncio.create_task(question)
        return await asyncio.shield(self._asking)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:  # else only the primary has changed, and somebody may be asking a Sentinel
            await end([self._asking] if self._asking else [])
            manager: Any = self.sentinel_manager
            for sentinel in manager.sentinels:
                await sentinel.aclose()


def connect(url: str) -> Client:
    """A client that never retries by itself: redis-py's silent retries can write an entry twice."""
    patience: dict[str, Any] = {"socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": 5.0}
    options: dict[str, Any] = {**patience, "retry": Retry(NoBackoff(), 0), "max_connections": 1000}
    watchers: list[Any] = []
    if found := sentinels(url):
        quick = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": Retry(NoBackoff(), 0)}
        watch: Any = Sentinel(found.places, sentinel_kwargs=quick, **found.login, **options)
        client: Any = watch.master_for(found.name, connection_pool_class=_Watched)
        watchers = watch.sentinels
    else:
        client = Redis.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType] : its keyword arguments are untyped
    for each in (client, *watchers):
        pool = each.connection_pool
        pool.connection_class = type("Cancellable", (_Cancellable, pool.connection_class), {})
    return client


class Scripts:
    """Calls the Lua scripts of storage/scripts by name, one round trip each.

    Every script is `_lib.lua` followed by its own file, so that the rules of the queue are written once.
    """

    def __init__(self, redis: Client) -> None:
        library = (_FOLDER / "_lib.lua").read_text()
        files = [file for file in _FOLDER.glob("*.lua") if file.name != "_lib.lua"]
        self._scripts: dict[str, Any] = {
            file.stem: redis.register_script(f"{library}\n{file.read_text()}") for file in files
        }

    async def call(self, name: str, *args: str | bytes | int | float) -> Any:
        """Run a script; a server that has lost it gets it again."""
        # One key, the prefix, routes the script to the slot that all keys share.
        return await self._scripts[name]((PREFIX,), args)

    def queue_on(self, pipe: Pipeline, name: str, *args: str | bytes | int | float) -> None:
        """Append a call to a pipeline; on NoScriptError the caller does it again with `call`."""
        # Not by redis-py's own way: it asks the server for the script in front of every pipeline.
        pipe.evalsha(self._scripts[name].sha, 1, PREFIX, *args)


async def persist(step: Callable[[], Awaitable[T]]) -> T:
    """Repeat one idempotent step until the store has taken it; returns what it brings."""
    while True:
        try:
            return await step()
        except StoreDown:
            await asyncio.sleep(RETRY)


async def forever(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop again whenever the store comes back."""
    while True:
        await persist(loop)
