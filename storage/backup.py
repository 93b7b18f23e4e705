"""All that askpix keeps in one file, and back: a line a key, in no server's own format, so that any other reads it.

The file is gzip: lines of JSON, what it is, then the keys, at last the sha256 of all before. Photos come last: what
lies before them is one moment of the store, which takes no writes until it is read (at most PAUSE after our death).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from storage import keys
from storage.connection import Client, StoreDown
from storage.messages import Record, Refused, decode, encode

FORMAT = 1
PAUSE = 5000  # ms
_PHOTO = keys.photo("", "").partition("|")[0].encode()
_OF_A_LIFE = (keys.ROLES.encode(), keys.MODEL.encode(), keys.role("").encode())  # who runs: nobody, when it comes back


class Head(Record, frozen=True):
    """What a file is; `at` is seconds since 1970."""

    askpix: int
    version: str
    at: float


class Kept(Record, frozen=True):
    """One key; `until` is ms since 1970, 0 without end. An item is a value, a pair, or an entry's id and fields."""

    key: bytes
    kind: str
    items: list[list[bytes]]
    until: int = 0


_READ: dict[str, Callable[[Client, bytes], Any]] = {
    "string": lambda redis, key: redis.get(key),
    "list": lambda redis, key: redis.lrange(key, 0, -1),
    "set": lambda redis, key: redis.smembers(key),
    "hash": lambda redis, key: redis.hgetall(key),
    "zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
    "stream": lambda redis, key: redis.xrange(key),
}
_ITEMS: dict[str, Callable[[Any], list[list[bytes]]]] = {
    "string": lambda value: [[value]],
    "list": lambda values: [[value] for value in values],
    "set": lambda values: [[value] for value in values],
    "hash": lambda values: [[*pair] for pair in values.items()],
    "zset": lambda values: [[b"%.17g" % score, member] for member, score in values],
    "stream": lambda entries: [[id, *(each for pair in fields.items() for each in pair)] for id, fields in entries],
}
_WRITE = {"string": "SET", "list": "RPUSH", "set": "SADD", "hash": "HSET", "zset": "ZADD", "stream": "XADD"}


async def save(redis: Client, path: Path) -> int:
    """Write the file whole or not at all, for its owner alone, also while askpix runs; how many keys it holds.

    Raises Refused("backup_unwritable", reason=…), or Refused("backup_forbidden") where the server allows no pause.
    """
    found = 0
    try:
        with _written(path) as write:
            write(encode(Head(FORMAT, version("askpix"), time.time())))
            await redis.client_pause(PAUSE, all=False)
            names = {name async for name in redis.scan_iter(f"{keys.PREFIX}*", count=1000)}  # which names some twice
            photos = {name for name in names if name.startswith(_PHOTO)}
            for name in (*sorted(names - photos), *sorted(photos)):
                if name in photos:
                    await redis.client_unpause()
                elif not found % 100:
                    await redis.client_pause(PAUSE, all=False)
                kept = None if name.startswith(_OF_A_LIFE) else await _kept(redis, name)
                if kept and kept.items:
                    write(encode(kept))
                    found += 1
            return found
    except ResponseError as error:
        raise Refused("backup_forbidden") from error
    finally:
        with suppress(ResponseError, *StoreDown):
            await redis.client_unpause()


async def _kept(redis: Client, key: bytes) -> Kept | None:
    kind, left = (await redis.type(key)).decode(), await redis.pttl(key)
    value = await _READ[kind](redis, key) if kind in _READ else None
    until = int(time.time() * 1000) + left if left > 0 else 0
    return None if value is None else Kept(key, kind, _ITEMS[kind](value), until)


async def load(redis: Client, path: Path) -> int:
    """Put a file's keys into an empty store, but those whose time has passed; how many these were.

    Raises Refused: "restore_not_empty", or "restore_damaged" before anything is written.
    """
    async for _ in redis.scan_iter(f"{keys.PREFIX}*", count=1000):
        raise Refused("restore_not_empty")
    for _ in _lines(path):  # to its end, where it says whether it is whole
        pass
    found = 0
    for line in _lines(path):
        kept = decode(line, Kept)
        if not kept.until or kept.until > time.time() * 1000:
            async with redis.pipeline(transaction=True) as pipe:
                for item in kept.items:
                    pipe.execute_command(_WRITE[kept.kind], kept.key, *item)
                if kept.until:
                    pipe.pexpireat(kept.key, kept.until)
                await pipe.execute()
            found += 1
    return found


@contextmanager
def _written(path: Path) -> Generator[Callable[[bytes], None]]:
    digest, fresh = hashlib.sha256(), path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with gzip.GzipFile("", "wb", 1, file) as packed:

                def write(line: bytes) -> None:
                    digest.update(line + b"\n")
                    packed.write(line + b"\n")

                yield write
                packed.write(digest.hexdigest().encode() + b"\n")
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise Refused("backup_unwritable", reason=error.strerror or type(error).__name__) from error
    finally:
        fresh.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file's keys; at its end Refused("restore_damaged") unless it is whole."""
    try:
        with gzip.open(path) as file:
            line = file.readline()
            if decode(line, Head).askpix != FORMAT:
                raise Refused("restore_damaged")
            digest = hashlib.sha256(line)
            line = file.readline()
            for after in file:
                digest.update(line)
                yield line
                line = after
        if line != digest.hexdigest().encode() + b"\n":
            raise Refused("restore_damaged")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise Refused("restore_damaged") from error
