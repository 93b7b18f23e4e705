"""Readers of foreign files, each in a child process with limits: what breaks, fills or hangs a reader is not the bot.

A reader is a function of a module: bytes and plain arguments in, plain values or records out, `Refused` its only error.
The file goes in by stdin, msgpack comes back on stdout; nothing of the child's environment is a secret.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import resource
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

import msgspec

from storage.messages import Refused

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2  # readers; the next ones wait
SECONDS = 60
_CPU_SECONDS = 120  # several threads decode
_MEMORY = 2 << 30  # bytes of address space
_FOUND = 128 << 20  # bytes; 120 frames of 0.8 megapixels are about 40 MB

_Refusal = tuple[str, dict[str, str | int | float]]
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def confined(reader: Callable[Concatenate[bytes, P], T], data: bytes, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `reader` returns for this file and these arguments, of the type that it says.

    Raises Refused as the reader does, and Refused("too_hard") when it dies, takes too long or answers nonsense.
    """
    name = f"{reader.__module__}:{reader.__name__}"
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
        found = await _run(name, msgspec.msgpack.encode((data, args, kwargs)))
    try:
        if found[:1] == b"\0":
            code, details = msgspec.msgpack.decode(found[1:], type=_Refusal)
            raise Refused(code, **details)
        return msgspec.msgpack.decode(found[1:], type=get_type_hints(reader)["return"])
    except msgspec.DecodeError as error:
        log.warning("%s read nothing of a file of %d bytes", name, len(data))
        raise Refused("too_hard") from error


async def _run(name: str, given: bytes) -> bytes:
    """What the child wrote; nothing when it took too long or wrote too much."""
    # Several arenas would reserve most of the address space that a child may have.
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ} | {"MALLOC_ARENA_MAX": "2"}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-B", "-m", "bots.confined", name),
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=kept, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            return await _talk(child, given)
    except TimeoutError:
        return b""
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


async def _talk(child: Process, given: bytes) -> bytes:
    assert child.stdin and child.stdout
    child.stdin.write(given)
    with suppress(ConnectionError):  # it is dead already
        await child.stdin.drain()
    child.stdin.close()
    try:
        await child.stdout.readexactly(_FOUND)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    return b""


def _limit() -> None:
    signal.alarm(SECONDS + 1)  # should the bot be dead
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, _MEMORY),
    ):
        with suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(kind, (most, most))


def _main(name: str) -> None:
    module, _, function = name.partition(":")
    reader = getattr(importlib.import_module(module), function)
    _limit()
    data, args, kwargs = msgspec.msgpack.decode(sys.stdin.buffer.read())
    try:
        found = b"\1" + msgspec.msgpack.encode(reader(data, *args, **kwargs))
    except Refused as refused:
        found = b"\0" + msgspec.msgpack.encode((refused.code, refused.details))
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    _main(sys.argv[1])
