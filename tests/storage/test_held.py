"""Whatever the store does and whoever dies, an update that was taken in comes, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.connection import Client, Scripts, StoreDown
from storage.held import Held
from storage.inbox import Inbox
from tests.waiting import wait_until


class Gate(Inbox):
    """An inbox whose store is away until `back`."""

    back = False

    async def put(self, update: str, raw: bytes) -> bool:
        if not self.back:
            raise StoreDown[0]("away")
        return await super().put(update, raw)


@pytest_asyncio.fixture
async def gate(redis: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    monkeypatch.setattr("storage.held.HOLD", 0.05)
    found = Gate(redis, Scripts(redis), "discord")
    await found.open()
    yield found


async def come(inbox: Inbox) -> list[bytes]:
    """What is in the inbox."""
    return [entry.raw for entry in await inbox.read(wait=0.01)]


def files(held: Held) -> list[str]:
    return sorted(path.name for path in held.folder.glob("*"))


async def test_while_the_store_is_there_no_file_is_written(gate: Gate, tmp_path: Path) -> None:
    held, gate.back = Held(tmp_path / "held"), True
    for _ in range(2):
        await held.put(gate, "7", b"what?")
    assert await come(gate) == [b"what?"]
    assert not held.folder.exists()


async def test_a_file_keeps_it_until_the_store_is_back(gate: Gate, tmp_path: Path) -> None:
    held = Held(tmp_path / "held")
    await held.put(gate, "7", b"what?")
    assert files(held) == ["7.held"]
    assert (held.folder.stat().st_mode & 0o777, (held.folder / "7.held").stat().st_mode & 0o777) == (0o700, 0o600)
    gate.back = True
    await wait_until(lambda: files(held) == [])
    assert await come(gate) == [b"what?"]


async def test_the_next_life_puts_what_the_former_one_held_once(gate: Gate, tmp_path: Path) -> None:
    former = Held(tmp_path / "held")
    await asyncio.gather(former.put(gate, "8", b"second"), former.put(gate, "7", b"first"))
    await former.close()
    gate.back = True
    await Inbox.put(gate, "7", b"first")  # it died between the two steps
    (former.folder / "9.new").write_bytes(b"half")  # and before a file was whole
    for _ in range(2):
        await Held(tmp_path / "held").recover(gate)
    assert await come(gate) == [b"first", b"second"]
    assert files(former) == ["9.new"]


async def test_a_store_that_comes_back_while_the_file_is_written_leaves_none(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, write = Held(tmp_path / "held"), Held._write  # pyright: ignore[reportPrivateUsage] : between its lines

    def slowly(self: Held, update: str, raw: bytes) -> None:
        gate.back = True
        deadline.wait(5)
        write(self, update, raw)

    deadline = threading.Event()
    monkeypatch.setattr(Held, "_write", slowly)
    putting = asyncio.create_task(held.put(gate, "7", b"what?"))
    await wait_until(lambda: gate.back)
    assert await gate.read(wait=5)
    deadline.set()
    await putting
    assert files(held) == []


async def test_a_disk_that_takes_nothing_has_it_wait_for_the_store(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "held").write_bytes(b"no folder")
    putting = asyncio.create_task(Held(tmp_path / "held").put(gate, "7", b"what?"))
    await asyncio.sleep(0.3)
    assert not putting.done(), "nothing is said to be safe that is not"
    gate.back = True
    await putting
    assert await come(gate) == [b"what?"]
