"""Readers in their cell: whatever a file does to one, the bot hears one sentence about it and goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from bots import confined as room
from bots.confined import confined
from storage.messages import Refused
from storage.tasks import end
from tests.bots import readers
from tests.waiting import wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or needs a limit of the address space")

Loop = Callable[[], asyncio.AbstractEventLoop]


def gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it ended before its file was opened, or before it was read
        return True


@pytest.mark.parametrize("reader", [readers.die, readers.raise_error, readers.lie, readers.flood])
async def test_a_reader_that_dies_or_answers_nonsense_is_one_refusal(reader: Callable[[bytes], object]) -> None:
    with pytest.raises(Refused) as refused:
        await confined(reader, b"x")
    assert (refused.value.code, refused.value.details) == ("too_hard", {})


@linux
async def test_a_reader_gets_two_gigabytes_and_no_more() -> None:
    with pytest.raises(Refused, match="too_hard"):
        await confined(readers.eat, b"x")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_reader_that_hangs_is_ended_in_time(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SECONDS", 0.3)
    with asyncio.Runner(loop_factory=loop) as runner:
        with pytest.raises(Refused, match="too_hard"):
            runner.run(confined(readers.spin, b"x"))


@linux
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_stops_waiting_ends_the_reader_and_what_it_started(loop: Loop, tmp_path: Path) -> None:
    async def stopped() -> list[str]:
        reading = asyncio.create_task(confined(readers.hang, b"x", str(tmp_path)))
        await wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 20)
        await end([reading])
        pids = [each.name for each in tmp_path.iterdir()]
        await wait_until(lambda: all(map(gone, pids)))
        return pids

    with asyncio.Runner(loop_factory=loop) as runner:
        assert len(runner.run(stopped())) == 2


async def test_a_reader_s_own_refusal_arrives_whole() -> None:
    with pytest.raises(Refused) as refused:
        await confined(readers.refuse, b"xyz")
    assert (refused.value.code, refused.value.details) == ("document_pages", {"pages": 3, "limit": 2})


async def test_a_reader_learns_no_secret_and_writes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASKPIX_TELEGRAM_TOKEN", "1:secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    known = await confined(readers.environment, b"")
    assert {each.partition("=")[0] for each in known} <= {"PATH", "PYTHONPATH", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    with pytest.raises(Refused, match="too_hard"):
        await confined(readers.write, b"x", str(tmp_path / "file"))
    assert not (tmp_path / "file").read_bytes()


async def test_two_readers_work_at_once_and_the_others_wait(tmp_path: Path) -> None:
    seen = await asyncio.gather(*(confined(readers.beside, b"", str(tmp_path)) for _ in range(5)))
    assert max(seen) == 2


async def test_a_large_file_goes_in_and_a_record_comes_out() -> None:
    assert await confined(readers.size, b"x" * 20_000_000, word="ja") == readers.Size(20_000_000, "ja")
