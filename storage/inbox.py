"""Raw platform updates, from the moment they arrive until they are asks: nothing is confirmed before it lies here."""

from __future__ import annotations

from typing import Any

import msgspec
from redis.exceptions import ResponseError

from storage import keys
from storage.connection import Client, Scripts

GROUP = "intake"
CONSUMER = "1"  # one reader a group: its restart reads its own pending entries again


class Entry(msgspec.Struct, frozen=True):
    """One raw update and its place in the stream."""

    id: str
    raw: bytes


class Inbox:
    """The durable inbox of one platform."""

    def __init__(self, redis: Client, scripts: Scripts, platform: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._platform = platform
        self._stream = keys.inbox(platform)

    async def put(self, update: str, raw: bytes) -> bool:
        """Write one raw update, durable on return; False when the same update came before (within a day)."""
        return await self._scripts.call("receive", self._platform, update, keys.SEEN_TTL, raw) == 1

    async def keep(self, name: str, raw: bytes) -> None:
        """Keep what the answer to a form will need, for an hour."""
        await self._redis.set(keys.draft(self._platform, name), raw, ex=keys.DRAFT_TTL)

    async def kept(self, name: str) -> bytes | None:
        """What was kept under a name."""
        return await self._redis.get(keys.draft(self._platform, name))

    async def pass_by(self, chat: str, message: str) -> None:
        """Remember up to which message a chat was read."""
        await self._pass("HSET", chat, message)

    async def meet(self, chat: str, message: str) -> None:
        """Remember a chat from this message on, unless it is known already."""
        await self._pass("HSETNX", chat, message)

    async def _pass(self, how: str, chat: str, message: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command(how, keys.passed(self._platform), chat, message)
            pipe.expire(keys.passed(self._platform), keys.HISTORY_TTL)
            await pipe.execute()

    async def passed(self) -> dict[str, str]:
        """Up to which message each chat was read."""
        found = await self._redis.hgetall(keys.passed(self._platform))
        return {chat.decode(): message.decode() for chat, message in found.items()}

    async def open(self) -> None:
        """Create the consumer group; harmless when it exists."""
        await open_group(self._redis, self._stream, GROUP)

    async def pending(self, after: str = "0", n: int = 64) -> list[Entry]:
        """Entries that were read before but never acknowledged (a crash lay between), from `after` on."""
        return await self._read(after, n, None)

    async def read(self, n: int = 16, wait: float = 5.0) -> list[Entry]:
        """New entries; waits up to `wait` seconds for a first one."""
        return await self._read(">", n, int(wait * 1000))

    async def done(self, *entries: Entry) -> None:
        """Acknowledge and delete entries whose ask is enqueued, or that need none."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self._stream, GROUP, *(entry.id for entry in entries))
            pipe.xdel(self._stream, *(entry.id for entry in entries))
            await pipe.execute()

    async def _read(self, after: str, n: int, block: int | None) -> list[Entry]:
        found = await read_group(self._redis, self._stream, GROUP, after, n, block)
        return [Entry(id, fields[b"raw"]) for id, fields in found]


async def open_group(redis: Client, stream: str, group: str) -> None:
    """Create a stream's group, which reads it from its beginning; harmless when it exists."""
    try:
        await redis.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def read_group(
    redis: Client, stream: str, group: str, after: str, n: int, block: int | None
) -> list[tuple[str, dict[bytes, bytes]]]:
    """XREADGROUP of one stream; block in ms, None returns at once. Entries that were deleted meanwhile are left out."""
    while True:
        answer: Any = await redis.xreadgroup(group, CONSUMER, {stream: after}, count=n, block=block)
        entries: list[tuple[bytes, dict[bytes, bytes]]] = answer[0][1] if answer else []
        gone = [id for id, fields in entries if not fields]
        if gone:  # acknowledged, or a page of nothing else would look like the end
            await redis.xack(stream, group, *gone)
        if not entries or len(gone) < len(entries):
            return [(id.decode(), fields) for id, fields in entries if fields]
