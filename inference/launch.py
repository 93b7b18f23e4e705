"""The engine of a machine with a GPU: SGLang in a process of its own, kept alive and within the memory plan.

Address and key stand in `engine.json`, as the embedded engine's do. The key and all flags travel in a file that only
its owner can read: a process list shows neither. SGLang's output is in `logs/sglang.log`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from inference import engine, gpu
from inference.embedded import EngineAddress, EngineFailed, numbered, write_private
from inference.plan import Card, Plan, catalogue
from storage.messages import encode
from storage.roles import environment

log = logging.getLogger(__name__)

Tell = Callable[..., None]  # (code, **details) of a sentence about the progress

_START_SECONDS = 1800.0  # weights off a slow disk, then kernels that are compiled the first time
_STOP_SECONDS = 25.0  # SGLang finishes what it answers; the supervisor kills after 30
_DRAIN_SECONDS = 120.0  # the same before a restart, when nobody waits for us
_WATCH_SECONDS = 5.0
_LOG_BYTES = 10_000_000
_READY = b"ready to roll"
_PHASES = {b"Load weight begin": "load", b"raph begin": "graphs"}  # "Capture … CUDA graph begin"
_OUT_OF_MEMORY = ("out of memory", "Not enough memory", "leave no GPU memory")
# SGLang's own processes die with its first one, and this makes the first one die with us, however we end.
_TIED = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.executable,[sys.executable,*sys.argv[1:]])"
_VERSION = "from importlib.metadata import version;print(version('sglang'))"


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """What to launch: the plan says the flags, `name` what the model is called, `extra` are flags of the owner's."""

    data_dir: Path
    plan: Plan
    name: str
    bind: str = "127.0.0.1"
    extra: Sequence[str] = ()
    python: str = sys.executable
    number: int | None = None  # of the GPU, where there is one engine for each
    used: Callable[[int], int | None] = field(default=lambda number: (found := gpu.seen(number)) and found.used)  # MiB
    watch: float = _WATCH_SECONDS


async def installed(python: str) -> tuple[int, ...] | None:
    """The version of the SGLang that this Python has, None without one."""
    asked = await asyncio.create_subprocess_exec(python, "-c", _VERSION, stdout=PIPE, stderr=DEVNULL)
    said, _ = await asked.communicate()
    return tuple(map(int, re.findall(r"\d+", said.decode())[:3])) or None


def find_card(name: str) -> Card | None:
    """The card of that name in the catalogue; "auto" is the GPU that is here, with what is free of it. None: none."""
    cards = catalogue().card
    if name != "auto":
        return cards.get(name.lower())
    if (found := gpu.seen()) is None:
        return None
    known = max(
        (card for card in cards.values() if card.name in found.name), key=lambda card: len(card.name), default=None
    )
    known = known or Card(found.name, found.name, found.total, 0)
    return msgspec.structs.replace(known, mib=found.total, idle=max(known.idle, found.used))


class SGLang:
    """One server after another, all behind one address; see embedded.keep."""

    def __init__(self, settings: LaunchSettings, tell: Tell) -> None:
        self._settings = settings
        self._tell = tell
        self._child: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._words: list[str] = []
        with socket.create_server((settings.bind, 0)) as free:
            port = free.getsockname()[1]
        here = "127.0.0.1" if settings.bind in ("0.0.0.0", "::") else settings.bind  # noqa: S104 : only compared
        self._where = engine.EngineAddress(f"http://{here}:{port}", secrets.token_urlsafe(24))
        self._file = settings.data_dir / numbered("engine.json", settings.number)
        self._config = settings.data_dir / numbered("sglang.yaml", settings.number)
        logs = settings.data_dir / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_name = numbered("sglang.log", settings.number)
        self._log = RotatingFileHandler(logs / log_name, maxBytes=_LOG_BYTES, backupCount=1)
        where = ("--host", settings.bind, "--port", str(port))
        self._flags = [*settings.plan.flags, "--served-model-name", settings.name, *where, *settings.extra]
        write_private(self._config, msgspec.json.encode({"api-key": self._where.key}))
        parts = settings.plan.parts
        self._growth = settings.plan.total_mib - parts["driver"] + parts["reserve"] / 2
        self._mark = 0.0
        self.address: EngineAddress | None = None

    async def start(self) -> None:
        """Start a server and wait until it answers; raises EngineFailed and leaves none behind."""
        settings = self._settings
        self._mark = (settings.used(settings.number or 0) or 0) + self._growth
        command = ["-P", "-m", "sglang.launch_server", "--config", str(self._config), *self._flags]
        self._ready.clear()
        self._words.clear()
        env = settings.plan.env | environment(os.environ, frozenset())  # what people send is decoded there: no secret
        if settings.number is not None:
            env["CUDA_VISIBLE_DEVICES"] = str(settings.number)
        if "cuda_ipc" in settings.extra:
            env["SGLANG_MM_PRECOMPUTE_HASH"] = "0"  # photos that stay on the card are hashed there, by the scheduler
        self._child = await asyncio.create_subprocess_exec(
            settings.python, "-c", _TIED, *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=2**22,
            start_new_session=True, env=env,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._child))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait([ready, self._reading], timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            if not self._ready.is_set():
                raise engine.EngineDown("not ready")
            async with engine.Engine(lambda: self._where) as client:
                model = await client.probe()
        except engine.EngineDown as error:
            await self._end(0)
            memory = any(word in line for line in self._words for word in _OUT_OF_MEMORY)
            raise EngineFailed("sglang_memory" if memory else "sglang_died", self._last_words()) from error
        self.address = EngineAddress(self._where.url, self._where.key or "", self._child.pid, model)
        write_private(self._file, encode(self.address))
        self._tell("served", model=model.name, slots=model.slots, tokens=model.context)

    async def died(self) -> int | None:
        """Wait for the server's end; its exit status. One whose memory has grown past the plan is ended, drained."""
        child, reading = self._child, self._reading
        if child is None or reading is None:
            return None
        while not reading.done():
            await asyncio.wait([reading], timeout=self._settings.watch)
            used = self._settings.used(self._settings.number or 0) or 0
            if used > self._mark:
                log.warning("GPU memory has grown to %d MiB, past %d: draining", used, self._mark)
                await self._end(_DRAIN_SECONDS)
                return None
        await self._end(0)
        return child.returncode

    async def stop(self) -> None:
        """Let the server finish its answers, end it and forget the address."""
        await self._end(_STOP_SECONDS)
        self._config.unlink(missing_ok=True)
        self._log.close()

    async def _end(self, seconds: float) -> None:
        """Take the address back, so that workers wait; then SIGTERM, and SIGKILL for what is left after `seconds`."""
        self._file.unlink(missing_ok=True)
        self.address, child, self._child = None, self._child, None
        if child is None or self._reading is None:
            return
        with suppress(ProcessLookupError):
            if seconds:
                child.terminate()
                await asyncio.wait([self._reading], timeout=seconds)
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        await self._reading

    async def _read(self, child: Process) -> None:
        """Log what the server says until it ends, and know by it how far it is."""
        while child.stdout and (line := await child.stdout.readline()):
            text = line.decode(errors="replace").rstrip()
            self._log.emit(logging.makeLogRecord({"msg": text.replace(self._where.key or "\0", "…")}))
            if self._ready.is_set():
                continue
            self._words = [*self._words[-99:], text] if text else self._words
            for mark, phase in _PHASES.items():
                if mark in line:
                    self._tell(phase)
            if _READY in line:
                self._ready.set()
        await child.wait()

    def _last_words(self) -> str:
        errors = [line for line in self._words if re.match(r"\S*(Error|Exception)\b", line)]
        return (errors or self._words or [""])[-1]
