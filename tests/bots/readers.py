"""Readers that a hostile file might make of ours: they run in the confined child."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from storage.messages import Record, Refused


class Size(Record, frozen=True):
    bytes: int
    word: str


def size(data: bytes, word: str = "") -> Size:
    return Size(len(data), word)


def refuse(data: bytes) -> Size:
    raise Refused("document_pages", pages=len(data), limit=2)


def raise_error(data: bytes) -> Size:
    raise ValueError(data)


def die(data: bytes) -> Size:
    os.kill(os.getpid(), signal.SIGSEGV)
    return size(data)


def eat(data: bytes) -> Size:
    return size(bytes(3 << 30) + data)


def spin(data: bytes) -> Size:
    while True:
        len(data)


def flood(data: bytes) -> bytes:
    return data * 200_000_000


def lie(data: bytes) -> Size:
    return "no size"  # pyright: ignore[reportReturnType] : that is the lie


def write(data: bytes, file: str) -> Size:
    Path(file).write_bytes(data)
    return size(data)


def environment(data: bytes) -> list[str]:
    return [f"{name}={value}" for name, value in os.environ.items()]


def hang(data: bytes, folder: str) -> Size:
    """Leaves folders named by its process id and its own child's."""
    child = subprocess.Popen(["sleep", "60"])
    for pid in (os.getpid(), child.pid):
        (Path(folder) / str(pid)).mkdir()
    child.wait()
    return size(data)


def beside(data: bytes, folder: str) -> int:
    """How many of these were at work at once."""
    mine = Path(folder) / str(os.getpid())
    mine.mkdir()
    seen = 0
    for _ in range(10):
        seen = max(seen, len(list(Path(folder).iterdir())))
        time.sleep(0.02)
    mine.rmdir()
    return seen
