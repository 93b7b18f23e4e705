"""The first look at the page: the demo model names an example, and what guards a page that others can reach."""

# Playwright's `expect` is loosely typed.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import socket
import sys
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image, ImageDraw
from playwright.async_api import expect

from bots.phrases import say
from tests.browser import chromium, free_port, needed, shots, visiting
from tests.service import askpix_up, environment


def picture() -> bytes:
    out = BytesIO()
    image = Image.new("RGB", (640, 480), "white")
    ImageDraw.Draw(image).regular_polygon((320, 240, 150), 3, fill="green")
    image.save(out, "PNG")
    return out.getvalue()


@needed
async def test_with_the_password_the_demo_model_answers_about_a_picture(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with askpix_up(tmp_path, WEB="1", WEB_PORT=str(port), WEB_PASSWORD="open sesame") as askpix:
        await askpix.said(url)
        async with httpx.AsyncClient(base_url=url) as stranger:
            assert (await stranger.post("/login", data={"username": "ann", "password": "guess"})).is_client_error
            assert (await stranger.get("/config")).status_code == 401
        async with chromium() as browser, visiting(browser, url, password="open sesame") as ann:
            await expect(ann.page.get_by_text("The demo model answers")).to_be_visible()
            await ann.page.screenshot(path=shots() / "empty.png")
            await ann.page.locator("#chat button.example").first.click()
            await ann.answered("A red circle")
            await ann.attach(("triangle.png", "image/png", picture()))
            await ann.ask("What is this?")
            await ann.answered("A green triangle", count=2)
            await ann.page.screenshot(path=shots() / "page.png")
            assert ann.outside == []
            assert ann.complaints == []
        assert "open sesame" not in askpix.logs()


async def web(data_dir: Path, **settings: str) -> tuple[int | None, str]:
    """Run `askpix web`: its status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "askpix", "web", env=environment(data_dir, settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode().strip()


async def test_without_a_password_it_is_for_this_machine_only(tmp_path: Path) -> None:
    assert await web(tmp_path, BIND="0.0.0.0") == (2, say("en", "cli.web_password", bind="0.0.0.0"))  # noqa: S104 : it refuses


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert await web(tmp_path, WEB_PORT=str(port)) == (
            1,
            say("en", "cli.port_taken", url=f"http://127.0.0.1:{port}"),
        )
