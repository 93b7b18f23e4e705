"""Fetching a model from a hub that is played over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from inference.embedded import EngineFailed
from inference.hub import WHOLE, obtain
from tests.emulators.hub import HubEmulator
from tests.waiting import wait_until

NAME = "Qwen/Qwen3-VL-2B-Instruct-GGUF"
TEXT, VISION = "Qwen3VL-2B-Instruct-Q4_K_M.gguf", "mmproj-Qwen3VL-2B-Instruct-Q8_0.gguf"
FILES = {
    TEXT: bytes(range(256)) * 100_000, VISION: b"eye" * 1000, "Qwen3VL-2B-Instruct-F16.gguf": b"x" * 99,
    "mmproj-Qwen3VL-2B-Instruct-F16.gguf": b"y" * 99, "README.md": b"# Qwen",
}  # fmt: skip


@pytest_asyncio.fixture
async def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncGenerator[HubEmulator]:
    """The hub that our child process finds."""
    async with HubEmulator(NAME, dict(FILES)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def quiet(code: str, **details: object) -> None:
    """Tell nobody."""


async def refused(name: str, models: Path) -> str:
    """The code with which a model is not there."""
    with pytest.raises(EngineFailed) as caught:
        await obtain(name, models, quiet)
    return caught.value.code


async def test_without_a_network_it_is_told(hub: HubEmulator, tmp_path: Path):
    await hub.stop()
    assert await refused(NAME, tmp_path) == "model_offline"


async def test_a_model_that_nobody_has_is_told(hub: HubEmulator, tmp_path: Path):
    assert await refused("Qwen/none-such", tmp_path) in ("model_unknown", "model_offline")
    assert hub.reads == []


async def test_what_is_no_name_is_not_asked_for(tmp_path: Path):
    assert await refused("./nothing/here", tmp_path) == "model_missing"


async def test_a_wrong_checksum_is_told_and_the_file_is_gone(hub: HubEmulator, tmp_path: Path):
    hub.claimed[TEXT] = "0" * 64
    assert await refused(NAME, tmp_path) == "model_damaged"
    assert not (tmp_path / NAME / TEXT).exists() and not (tmp_path / NAME / WHOLE).exists()


async def test_one_model_of_each_kind_is_fetched_once_with_its_progress(hub: HubEmulator, tmp_path: Path):
    told: list[tuple[str, object]] = []

    def tell(code: str, **details: object) -> None:
        told.append((code, details.get("percent")))

    folder = await obtain(NAME, tmp_path, tell)
    assert {file.name for file in folder.glob("*.gguf")} == {TEXT, VISION}
    assert (folder / TEXT).read_bytes() == FILES[TEXT]
    assert told[-2:] == [("download", 100), ("check", None)]
    await hub.stop()
    assert await obtain(NAME, tmp_path, quiet) == folder


async def test_who_stops_waits_for_no_download_and_goes_on_where_it_was(hub: HubEmulator, tmp_path: Path):
    hub.hold_after = 12_000_000  # the client writes 10 MiB at a time
    fetching = asyncio.create_task(obtain(NAME, tmp_path, quiet))

    def there() -> int:
        return sum(file.stat().st_size for file in tmp_path.rglob("*.part"))

    await wait_until(lambda: there() >= 10_000_000, 30)
    fetching.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await fetching
    hub.hold_after = None
    hub.reads.clear()
    folder = await obtain(NAME, tmp_path, quiet)
    assert (folder / TEXT).read_bytes() == FILES[TEXT]
    assert (TEXT, 0) not in hub.reads and any(file == TEXT for file, _ in hub.reads)


async def test_a_folder_is_its_own_answer(tmp_path: Path):
    assert await obtain(str(tmp_path), tmp_path / "models", quiet) == tmp_path
