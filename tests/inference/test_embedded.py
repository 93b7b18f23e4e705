"""The CPU engine over real HTTP: it answers, survives its own death and leaves nothing behind."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from inference.embedded import DEMO, Embedded, EngineAddress, EngineFailed, keep, read_address
from tests.waiting import wait_until

RED = (214, 30, 36)


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncGenerator[EngineAddress]:
    """An engine for the time of the block."""
    task = asyncio.create_task(keep(Embedded(folder, threads=1, **settings)))
    try:
        await wait_until(lambda: read_address(folder) is not None or task.done(), 20)
        address = read_address(folder)
        assert address is not None, task.exception()
        yield address
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def photo(colour: tuple[int, int, int], size: tuple[int, int]) -> dict[str, Any]:
    packed = io.BytesIO()
    Image.new("RGB", size, colour).save(packed, "JPEG")
    data = base64.b64encode(packed.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def client(address: EngineAddress, key: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=address.url, headers={"Authorization": f"Bearer {key or address.key}"}, timeout=20, trust_env=False
    )


async def answer(address: EngineAddress, *content: Any) -> str:
    """The streamed answer to one user message."""
    body = {"messages": [{"role": "user", "content": list(content)}], "stream": True, "temperature": 0, "min_p": 0}
    said = ""
    async with client(address) as http, http.stream("POST", "/v1/chat/completions", json=body) as reply:
        assert reply.status_code == 200
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line[6:])["choices"]
                said += "".join(choice["delta"].get("content") or "" for choice in choices)
    return said


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_folder_without_a_model_is_refused_at_once(tmp_path: Path):
    with pytest.raises(EngineFailed) as caught:
        await keep(Embedded(tmp_path, model=tmp_path))
    assert caught.value.code == "model_missing"


async def test_a_broken_model_is_refused_with_the_engines_own_words(tmp_path: Path):
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "text.gguf").write_bytes((DEMO / "text.gguf").read_bytes()[:500_000])
    (broken / "mmproj.gguf").write_bytes((DEMO / "mmproj.gguf").read_bytes())
    with pytest.raises(EngineFailed) as caught:
        await keep(Embedded(tmp_path, model=broken))
    assert caught.value.code == "engine_refused"
    assert not (tmp_path / "engine.json").exists()


async def test_a_missing_libgomp_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # What the loader says on a bare Linux; a stand-in for the wheel says it in its place.
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineFailed) as caught:
        await keep(Embedded(tmp_path))
    assert caught.value.code == "libgomp_missing"


async def test_it_names_the_colour_of_a_photo(tmp_path: Path):
    async with running(tmp_path) as address:
        question = {"type": "text", "text": "What colour is this?"}
        assert await answer(address, photo(RED, (320, 192)), question) == "The picture is red."
        async with client(address) as http:
            models = (await http.get("/v1/models")).json()
        assert models["data"][0]["id"] == address.model.name == "askpix-demo"


async def test_a_wrong_key_is_refused(tmp_path: Path):
    async with running(tmp_path) as address, client(address, "wrong") as http:
        reply = await http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hello"}]})
    assert reply.status_code == 401


async def test_only_its_owner_can_read_the_address_and_no_process_list_shows_the_key(tmp_path: Path):
    async with running(tmp_path) as address:
        assert (tmp_path / "engine.json").stat().st_mode & 0o777 == 0o600
        ps = await asyncio.create_subprocess_exec("ps", "-o", "args=", "-p", str(address.pid), stdout=PIPE)
        shown, _ = await ps.communicate()
        assert b"embedded_child" in shown
        assert address.key.encode() not in shown


async def test_a_clean_stop_ends_the_child_and_removes_the_address(tmp_path: Path):
    async with running(tmp_path) as address:
        assert alive(address.pid)
    assert not alive(address.pid)
    assert read_address(tmp_path) is None


async def test_a_killed_child_comes_back_on_the_same_port_with_the_same_key(tmp_path: Path):
    async with running(tmp_path) as first:
        for _ in range(2):  # the second restart has a backoff
            before = read_address(tmp_path) or first
            async with client(before) as http:
                assert (await http.get("/health")).status_code == 200  # an open connection, as a worker's pool has
                os.kill(before.pid, signal.SIGKILL)
                await wait_until(lambda pid=before.pid: (read_address(tmp_path) or first).pid != pid, 10)
        last = read_address(tmp_path)
        assert last is not None
        assert (last.url, last.key) == (first.url, first.key)
        assert (
            await answer(last, {"type": "text", "text": "Hello"}) == "Hello! Send me a photo and ask about its colour."
        )


async def test_a_killed_parent_leaves_no_child(tmp_path: Path):
    code = (
        "import asyncio, sys; from pathlib import Path;"
        "from inference.embedded import Embedded, keep;"
        "asyncio.run(keep(Embedded(Path(sys.argv[1]), threads=1)))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path))
    try:
        await wait_until(lambda: read_address(tmp_path) is not None, 20)
        address = read_address(tmp_path)
        assert address is not None
        assert alive(address.pid)
    finally:
        parent.kill()
        await parent.wait()
    await wait_until(lambda: not alive(address.pid), 5)
