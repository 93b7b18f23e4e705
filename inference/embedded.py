"""The engine of a machine without a GPU: llama.cpp (wheel `xllamacpp`) in a child process that is kept alive.

It speaks the same OpenAI-compatible HTTP as SGLang; where and with which key stands in `engine.json` in the data
folder. `EngineFailed` is all that can go wrong before the first answer; later deaths of the child are repaired.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from storage.logs import last_line
from storage.messages import Model, Record, decode, encode
from storage.roles import environment
from storage.settings import CannotRun
from storage.vision import TOKEN_PIXELS

log = logging.getLogger(__name__)

DEMO = Path(__file__).parent / "demo"  # the model that is shipped
SLOTS = 4

_CHILD = Path(__file__).parent / "embedded_child.py"
_START_SECONDS = 300.0  # gigabytes of weights come off a slow disk
_STOP_SECONDS = 5.0
_STEADY_SECONDS = 30.0  # a child that lived this long is restarted at once
_BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0)  # seconds before the n-th restart in a row; the last one repeats
_PROMPT_CACHE_MIB = 256  # llama.cpp's own default is 8192
_WARNINGS = 2  # llama.cpp's verbosity: 1 errors, 2 warnings, 3 everything it does


class EngineFailed(CannotRun):
    """The engine cannot start here.

    `code` is "libgomp_missing" (the system package of that name), "engine_missing" (the wheel does not load),
    "model_missing" (the folder holds no two GGUF files), "engine_refused" (a bad file or a taken port) or
    "engine_died"; `detail` is the engine's own last word.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail=detail)


class EngineAddress(Record, frozen=True):
    """A running engine: base URL (no path), API key, process id of the child, and what it serves."""

    url: str
    key: str
    pid: int
    model: Model


class Keepable(Protocol):
    """An engine that `keep` keeps: started, it has an address until it dies; stop ends it and what it left."""

    address: EngineAddress | None

    async def start(self) -> None:
        """Start it; raises EngineFailed."""

    async def died(self) -> int | None:
        """Wait for its end; the exit status, None where there is none to tell."""

    async def stop(self) -> None:
        """End it."""


class _Card(Record, frozen=True):
    """`askpix.json` beside a model; the defaults fit Qwen3-VL on a CPU, where a photo costs a second per 80 tokens.

    threads 0 is every core. A tiny model wants one: two that wait for each other on a busy machine are ten times
    slower.
    """

    name: str
    context: int = 8192
    min_pixels: int = 65_536
    max_pixels: int = 262_144
    threads: int = 0


def read_address(data_dir: Path, number: int = 0) -> EngineAddress | None:
    """The engine that was announced in this data folder, alive or not, by its replica; None when there is none."""
    try:
        return decode((data_dir / numbered("engine.json", number)).read_bytes(), EngineAddress)
    except (FileNotFoundError, ValueError):
        return None


def numbered(name: str, number: int | None) -> str:
    """A file's name for one of several replicas; the first one's is as if it were alone."""
    return name.replace(".", f"-{number}.") if number else name


async def keep(engine: Keepable, ready: Callable[[EngineAddress], None] | None = None) -> None:
    """Start an engine and start it again whenever it ends, until cancelled; `ready` is called whenever it answers.

    Raises EngineFailed when the first start fails.
    """
    try:
        await engine.start()
        failures = 0
        while True:
            if engine.address and ready:
                ready(engine.address)
            began = time.monotonic()
            code = await engine.died()
            failures = 0 if time.monotonic() - began > _STEADY_SECONDS else failures + 1
            log.warning("the engine ended (%s), restart %d", code, failures)
            await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1] if failures else 0)
            try:
                await engine.start()
            except EngineFailed as error:
                log.warning("the engine did not come back: %s", error)
    finally:
        await engine.stop()


class Embedded:
    """One child after another, all behind one address: on the same port with the same key.

    model is a folder with `mmproj*.gguf`, one other `*.gguf` and perhaps `askpix.json`; context_tokens: a slot's share
    and threads: what one step may use (0: what the model's card says of itself); port 0 takes any free one.
    Raises EngineFailed for a folder without a model.
    """

    def __init__(
        self, data_dir: Path, model: Path = DEMO, context_tokens: int = 0, slots: int = SLOTS, bind: str = "127.0.0.1",
        port: int = 0, threads: int = 0,
    ) -> None:  # fmt: skip
        vision, text, card = _inspect(model)
        context = context_tokens or card.context
        self._model = Model(card.name, context, slots, card.min_pixels, card.max_pixels)
        self._key = secrets.token_urlsafe(24)
        self._wishes: dict[str, Any] = {  # llama.cpp's parameters under its own names
            "model.path": str(text), "mmproj.path": str(vision), "model_alias": [card.name],
            "hostnames": [bind], "port": port, "api_keys": [self._key],
            "n_parallel": slots, "n_ctx": context * slots,
            "cpuparams.n_threads": threads or card.threads or os.cpu_count() or 1,
            "image_min_tokens": card.min_pixels // TOKEN_PIXELS,
            "image_max_tokens": card.max_pixels // TOKEN_PIXELS,
            "cache_ram_mib": _PROMPT_CACHE_MIB, "n_gpu_layers": 0, "mmproj_use_gpu": False,
            "fit_params": False,  # it would shrink the context to fit a GPU's memory
            "ui": False, "endpoint_metrics": True, "verbosity": _WARNINGS,
        }  # fmt: skip
        self._child: Process | None = None
        self._file = data_dir / "engine.json"
        self._log = data_dir / "logs" / "engine.log"
        self.address: EngineAddress | None = None  # of the child that answers now
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log.write_bytes(b"")

    async def start(self) -> None:
        """Start a child and wait until it listens; raises EngineFailed and leaves none behind."""
        # -P: nothing in the present folder may shadow what the child imports.
        with self._log.open("ab") as sink:
            child = self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", str(_CHILD), stdin=PIPE, stdout=PIPE, stderr=sink,
                env=environment(os.environ, frozenset()),  # what people send is decoded there: no secret
            )  # fmt: skip
        try:
            line = await asyncio.wait_for(self._greet(child), _START_SECONDS)
        except (ConnectionError, TimeoutError):
            line = b""
        answer: dict[str, str] = msgspec.json.decode(line) if line else {"error": "engine_died"}
        if "url" not in answer:
            await self._end_child()
            raise EngineFailed(answer["error"], answer.get("detail") or last_line(self._log))
        self._wishes["port"] = int(answer["url"].rpartition(":")[2])
        self.address = EngineAddress(answer["url"], self._key, child.pid, self._model)
        write_private(self._file, encode(self.address))

    async def died(self) -> int | None:
        """Wait for the child's end; its exit status, negative for a signal, None if there was no child."""
        status = await self._child.wait() if self._child else None
        self.address = None
        return status

    async def stop(self) -> None:
        """End the child, politely first, and forget the address."""
        self._file.unlink(missing_ok=True)
        await self._end_child()

    async def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def _greet(self, child: Process) -> bytes:
        if child.stdin is None or child.stdout is None:  # never, they are pipes; the types cannot know
            return b""
        child.stdin.write(msgspec.json.encode(self._wishes) + b"\n")
        await child.stdin.drain()
        return await child.stdout.readline()


def _inspect(folder: Path) -> tuple[Path, Path, _Card]:
    """The vision file, the text file and the card; a model without a card is called by its text file."""
    files = sorted(folder.glob("*.gguf"))
    vision = [file for file in files if file.name.startswith("mmproj")]
    text = [file for file in files if file not in vision]
    if len(vision) != 1 or len(text) != 1:
        raise EngineFailed("model_missing", str(folder))
    file = folder / "askpix.json"
    card = decode(file.read_bytes(), _Card) if file.exists() else _Card(name=text[0].stem)
    return vision[0], text[0], card


def write_private(file: Path, data: bytes) -> None:
    """Replace a file in one step; only its owner may read it, from its first byte on."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    fresh.replace(file)
