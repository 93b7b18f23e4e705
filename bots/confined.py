"""Readers of foreign files, each in a child process with limits: what breaks, fills or hangs a reader is not the bot.

A reader is a function of a module: bytes and plain arguments in, plain values or records out, `Refused` its only error.
One nursery, which imports the readers and never sees a file, forks a child for each: that takes some milliseconds where
a fresh Python takes a tenth of a second. File and arguments go in by a socket, msgpack comes back; nothing of the
child's environment is a secret.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

import msgspec
from PIL import Image

from storage.messages import Refused

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2  # readers of a module; the next ones wait, but no photo for a video
SECONDS = 60
_CPU_SECONDS = 120  # several threads decode
MEMORY = 2 << 30  # bytes of address space
_FOUND = 128 << 20  # bytes; 120 frames of 0.8 megapixels are about 40 MB
_NAME = 64  # bytes that a module's name is filled up to: a stream knows no other end

_Refusal = tuple[str, dict[str, str | int | float]]
_Turns = defaultdict[str, asyncio.Semaphore]


async def confined(reader: Callable[Concatenate[bytes, P], T], data: bytes, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `reader` returns for this file and these arguments, of the type that it says.

    Raises Refused as the reader does, and Refused("too_hard") when it dies, takes too long or answers nonsense.
    """
    loop, module = asyncio.get_running_loop(), reader.__module__
    turns = _turns.setdefault(loop, defaultdict(lambda: asyncio.Semaphore(AT_ONCE)))
    nursery = _nurseries.get(loop) or _nurseries.setdefault(loop, _Nursery(loop))
    async with turns[module]:
        found = await _run(nursery, module, msgspec.msgpack.encode((reader.__name__, data, args, kwargs)))
    try:
        if found[:1] == b"\0":
            code, details = msgspec.msgpack.decode(found[1:], type=_Refusal)
            raise Refused(code, **details)
        return msgspec.msgpack.decode(found[1:], type=get_type_hints(reader)["return"])
    except ValueError as error:  # no msgpack, not of this type, or no UTF-8
        log.warning("%s:%s read nothing of a file of %d bytes", module, reader.__name__, len(data))
        raise Refused("too_hard") from error


class _Nursery:
    """The process in which children are born, as long as a loop lives; started when it is needed, also once more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._line: socket.socket | None = None

    def send(self, module: str, line: socket.socket) -> None:
        """Have a child read what comes on this line by a reader of this module."""
        what = [module.encode().ljust(_NAME)], [line.fileno()]
        if self._line:
            with suppress(OSError):
                socket.send_fds(self._line, *what)
                return
        self._line = self._start()
        socket.send_fds(self._line, *what)

    def _start(self) -> socket.socket:
        # Several arenas would reserve most of the address space that a child may have.
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ} | {"MALLOC_ARENA_MAX": "2"}
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-B", "-m", "bots.confined"],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept,
                start_new_session=True,
            )  # fmt: skip

        def end() -> None:
            ours.close()
            process.kill()
            process.wait()

        weakref.finalize(self._loop(), end)
        return ours


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()
_nurseries: WeakKeyDictionary[asyncio.AbstractEventLoop, _Nursery] = WeakKeyDictionary()


async def _run(nursery: _Nursery, module: str, given: bytes) -> bytes:
    """What the child wrote; nothing when it took too long or wrote too much."""
    ours, theirs = socket.socketpair()
    with theirs:
        nursery.send(module, theirs)
    child = 0
    coming, going = await asyncio.open_unix_connection(sock=ours)
    try:
        async with asyncio.timeout(SECONDS):
            child = int.from_bytes(await coming.readexactly(4), "big")
            going.write(given)
            going.write_eof()
            await coming.readexactly(_FOUND)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    except (TimeoutError, ConnectionError):
        pass
    finally:
        going.close()
        if child:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
    return b""


def _main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children: they write, or they do not
    control = socket.socket(fileno=0)
    Image.init()  # its plug-ins
    while True:
        name, lines, _, _ = socket.recv_fds(control, _NAME, 1)
        if not lines:
            return
        readers = importlib.import_module(name.decode().strip())
        with socket.socket(fileno=lines[0]) as line:
            if os.fork() == 0:
                try:
                    _read(readers.__dict__, line)
                finally:
                    os._exit(0)


def _read(readers: dict[str, Callable[..., object]], line: socket.socket) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _limit()
    line.sendall(os.getpid().to_bytes(4, "big"))
    with line.makefile("rb") as coming:
        name, data, args, kwargs = msgspec.msgpack.decode(coming.read())
    reader = readers[name]
    kinds = get_type_hints(reader)
    args = [msgspec.convert(arg, kind) for arg, kind in zip(args, [*kinds.values()][1:], strict=False)]
    kwargs = {key: msgspec.convert(arg, kinds[key]) for key, arg in kwargs.items()}
    try:
        found = b"\1" + msgspec.msgpack.encode(reader(data, *args, **kwargs))
    except Refused as refused:
        found = b"\0" + msgspec.msgpack.encode((refused.code, refused.details))
    line.sendall(found)


def _limit() -> None:
    signal.alarm(SECONDS + 1)  # should the bot be dead
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
    ):
        with suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    _main()
