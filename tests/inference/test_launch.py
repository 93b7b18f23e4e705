"""The launcher with a stand-in for SGLang: a process with its words and its API (real SGLang: tests/sglang)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from inference import gpu
from inference.embedded import EngineAddress, EngineFailed, keep, read_address
from inference.launch import LaunchSettings, SGLang, find_card, installed
from inference.plan import Wish, catalogue, plan, shape_of
from tests.inference.test_embedded import alive
from tests.waiting import wait_until

NAME = "Qwen/Qwen3-VL-2B-Instruct"
ROOT = Path(__file__).parents[2]


@dataclass
class Machine:
    """A data folder, a card whose memory the test says, and what the launcher told."""

    folder: Path
    used: int = 500
    told: list[str] = field(default_factory=list[str])

    def settings(self, **changes: Any) -> LaunchSettings:
        """The 4090D's plan."""
        shape = shape_of(NAME)
        assert shape
        found = plan(Wish(catalogue().card["4090d"], "/model", shape))
        return LaunchSettings(self.folder, found, NAME, used=lambda _: self.used, watch=0.01, **changes)

    def starts(self) -> list[dict[str, Any]]:
        """How the stand-in was started, each time."""
        log = self.folder / "stub.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def tell(self, code: str, **_: object) -> None:
        """Note what is told."""
        self.told.append(code)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """`-m sglang.launch_server` is the stand-in."""
    package = tmp_path / "site" / "sglang"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "launch_server.py").write_text("from tests.inference.sglang_stub import main\nmain()\n")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{ROOT}")
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "stub.jsonl"))
    return Machine(tmp_path)


@asynccontextmanager
async def running(machine: Machine, **changes: Any) -> AsyncGenerator[EngineAddress]:
    """The launcher keeps its engine for the time of the block."""
    task = asyncio.create_task(keep(SGLang(machine.settings(**changes), machine.tell)))
    try:
        await wait_until(lambda: read_address(machine.folder) is not None or task.done(), 20)
        address = read_address(machine.folder)
        assert address, task.exception()
        yield address
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def another(machine: Machine, pid: int) -> EngineAddress:
    """The engine after the one of this process."""
    found: list[EngineAddress] = []

    def replaced() -> bool:
        address = read_address(machine.folder)
        found[:] = [address] if address and address.pid != pid else []
        return bool(found)

    await wait_until(replaced, 20)
    return found[0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("ValueError: no such flag", "sglang_died"),
        ("RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.", "sglang_memory"),
    ],
)
async def test_a_server_that_does_not_start_is_told_with_its_own_words(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, words: str, code: str
):
    monkeypatch.setenv("STUB_SAYS", words)
    with pytest.raises(EngineFailed) as caught:
        await keep(SGLang(machine.settings(), machine.tell))
    assert (caught.value.code, caught.value.details) == (code, {"detail": words})
    assert read_address(machine.folder) is None and not (machine.folder / "sglang.yaml").exists()


@pytest.mark.parametrize(("extra", "theirs"), [([], "0"), (["--mm-feature-transport", "cuda_ipc"], "")])
async def test_photos_are_not_hashed_beside_the_scheduler_where_the_owner_or_the_card_keeps_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, extra: list[str], theirs: str
):
    if theirs:
        monkeypatch.setenv("SGLANG_MM_PRECOMPUTE_HASH", theirs)
    async with running(machine, extra=extra):
        assert machine.starts()[0]["hashed"] == "0"


async def test_it_is_started_with_the_plans_flags_and_the_key_stands_in_no_process_list(machine: Machine):
    async with running(machine, extra=["--device", "cpu"]) as address:
        (started,) = machine.starts()
        expected = machine.settings().plan.flags
        assert started["argv"][3 : 3 + len(expected)] == expected
        assert started["argv"][-2:] == ["--device", "cpu"]
        assert address.key not in " ".join(started["argv"]) and started["config"] == {"api-key": address.key}
        assert (machine.folder / "engine.json").stat().st_mode & 0o777 == 0o600
        assert (machine.folder / "sglang.yaml").stat().st_mode & 0o777 == 0o600
        assert address.url.startswith("http://127.0.0.1:") and started["hashed"] == "1"
        assert (address.model.name, address.model.slots, address.model.context) == (NAME, 3, 4096)
        assert machine.told == ["load", "graphs", "served"]
    assert not alive(address.pid) and read_address(machine.folder) is None


async def test_a_killed_server_comes_back_on_the_same_port_with_the_same_key(machine: Machine):
    async with running(machine) as first:
        os.kill(first.pid, signal.SIGKILL)
        second = await another(machine, first.pid)
        assert (second.url, second.key) == (first.url, first.key)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{second.url}/v1/models")).status_code == 200


async def test_memory_that_grows_past_the_plan_restarts_it_and_within_the_plan_does_not(machine: Machine):
    planned = machine.settings().plan
    room = planned.total_mib - planned.parts["driver"]
    async with running(machine) as first:
        machine.used = 500 + room
        await asyncio.sleep(0.1)  # ten looks
        assert read_address(machine.folder) == first
        machine.used = 500 + room + planned.parts["reserve"]
        await wait_until(lambda: read_address(machine.folder) is None, 5)
        machine.used = 500
        assert (await another(machine, first.pid)).url == first.url


async def test_who_is_answered_when_it_is_drained_is_answered_to_the_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STUB_DRAIN", "0.3")
    async with running(machine) as first:
        machine.used = 1_000_000
        await wait_until(lambda: read_address(machine.folder) is None, 5)
        async with httpx.AsyncClient(trust_env=False) as http:  # it drains: workers wait, but its port answers yet
            assert (await http.get(f"{first.url}/v1/models")).status_code == 200
        machine.used = 0
        await another(machine, first.pid)


async def test_a_killed_parent_leaves_no_server(machine: Machine):
    code = (
        "import asyncio; from tests.inference.test_launch import *; m = Machine(Path(sys.argv[1]));"
        "asyncio.run(keep(SGLang(m.settings(), m.tell)))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(machine.folder))
    try:
        await wait_until(lambda: read_address(machine.folder) is not None, 20)
        address = read_address(machine.folder)
        assert address and alive(address.pid)
    finally:
        parent.kill()
        await parent.wait()
    await wait_until(lambda: not alive(address.pid), 5)


async def test_a_python_without_sglang_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert await installed(sys.executable) is None
    info = tmp_path / "sglang-0.5.23.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sglang\nVersion: 0.5.23.post1\n")
    assert await installed(sys.executable) == (0, 5, 23)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NVIDIA GeForce RTX 4090 D", "RTX 4090D"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L4", "L4"),
        ("X", "X"),
    ],
)
def test_the_gpu_that_is_here_is_known_by_its_name_and_what_is_free_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, title: str
):
    monkeypatch.setattr(gpu, "seen", lambda: gpu.Gpu(name, 24_564, 3_000))
    card = find_card("auto")
    assert card and (card.title, card.mib, card.idle) == (title, 24_564, 3_000)
    named = find_card("4090D")
    assert named and named == structs.replace(named, title="RTX 4090D", idle=564)


def test_without_a_gpu_there_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "seen", lambda: None)
    assert find_card("auto") is None and find_card("gtx") is None
