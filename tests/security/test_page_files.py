"""What somebody who can speak to the page, but is no browser, makes of names and paths of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser import free_port
from tests.emulators.engine import StubEngine
from tests.service import askpix_up
from tests.waiting import wait_until

SECRETS = ("/etc/passwd", "/proc/self/environ", "../../etc/passwd", "http://127.0.0.1:9/x.png", "file:///etc/passwd")


class Caller:
    """Speaks Gradio's own words to the page."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def asks(self, path: str) -> bool:
        """Ask about a file by this path; whether the page took it."""
        config: dict[str, Any] = (await self._client.get("/config")).json()
        (submit,) = [each["id"] for each in config["dependencies"] if each["targets"][0][1] == "submit"]
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        said = {"data": [{"text": "what?", "files": [file]}], "fn_index": submit, "session_hash": "s"}
        assert (await self._client.post("/gradio_api/queue/join", json=said)).status_code == 200
        async with self._client.stream("GET", "/gradio_api/queue/data?session_hash=s") as told:
            async for line in told.aiter_lines():
                if "process_completed" in line:
                    return '"success":true' in line
        return False

    async def uploads(self, name: str) -> str:
        """Where a file of this name is put, "" if it is refused."""
        files = [("files", (name, b"x", "image/png"))]
        answer = await self._client.post("/gradio_api/upload", files=files)
        return answer.json()[0] if answer.status_code == 200 else ""


@pytest.mark.timeout(120)
async def test_no_path_and_no_name_leads_out_of_the_page_s_folder(tmp_path: Path) -> None:
    port = free_port()
    async with (
        StubEngine(lambda _: ["seen"]) as engine,
        askpix_up(tmp_path, WEB="1", WEB_PORT=str(port), ENGINE_URL=engine.url) as askpix,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        caller, chats, files = Caller(client), tmp_path / "web" / "chats", tmp_path / "web" / "files"

        async def awake() -> bool:
            try:
                return (await client.get("/config")).status_code == 200
            except httpx.TransportError:
                return False

        await wait_until(awake, 60)
        for path in (*SECRETS, str(chats), str(tmp_path / "locks")):
            assert not await caller.asks(path), path
        names = (
            "../../../evil.png",
            "\u202egnp.exe.png",
            "nul\0.png",
            "a" * 300 + ".png",
            "..",
            "x/../../../y.png",
            "-rf.png",
        )
        for name in names:
            place = await caller.uploads(name)
            assert not place or files in Path(place).resolve().parents, name
            if place:
                await caller.asks(place)
        kept = [path.relative_to(files).parts for path in files.rglob("*") if "-" in path.parent.name]
        assert kept, "the asked ones got names of ours"
        assert all(len(name) == 16 + len(".png") and name.isascii() for _, name in kept)
        assert engine.requests == []  # what is no picture reaches no engine
        assert {path.parent for path in tmp_path.rglob("*.png")} <= {files, *files.rglob("*")}
        logs = askpix.logs()
        assert "Traceback" not in logs
        assert not any(path in logs for path in SECRETS)
