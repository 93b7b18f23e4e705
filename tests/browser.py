"""Debian's Chromium, driven by Playwright: a visitor of the page, with what a person does and sees."""

# Playwright's `expect` is loosely typed.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, Request, async_playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "there is no Chromium on this machine"
# CI has no excuse: .ci/run installs it.
needed = pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason=NO_BROWSER)

# Chromium asks nobody for anything of its own; root, as in CI, needs --no-sandbox.
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SECONDS = 15.0  # that a test waits for something to be seen

expect.set_options(timeout=SECONDS * 1000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A browser; each visitor gets a profile of their own in it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        await browser.close()


@dataclass
class Visitor:
    """One person with a browser profile of their own, and a page."""

    page: Page
    context: BrowserContext
    outside: list[str] = field(default_factory=list[str])  # requests to any other host
    complaints: list[str] = field(default_factory=list[str])  # errors of the page's scripts

    @property
    def box(self) -> Locator:
        """Where a question is typed."""
        return self.page.locator("textarea")

    @property
    def answers(self) -> Locator:
        """What was answered, oldest first."""
        return self.page.locator("#chat .bot.message")

    @property
    def questions(self) -> Locator:
        """What this visitor asked."""
        return self.page.locator("#chat .user.message")

    def button(self, name: str) -> Locator:
        """A button by its words."""
        return self.page.get_by_role("button", name=name)

    async def attach(self, *files: tuple[str, str, bytes]) -> None:
        """Choose files: name, media type and bytes of each."""
        chosen: list[Any] = [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
        await self.page.locator("input[type=file]").first.set_input_files(chosen)
        await expect(self.page.locator(".thumbnail-item")).to_have_count(len(files))

    async def ask(self, question: str) -> None:
        """Type and press Enter."""
        await self.box.fill(question)
        await self.box.press("Enter")

    async def answered(self, text: str, *, count: int = 1) -> None:
        """Wait until there are so many answers and the newest holds this text."""
        await expect(self.answers).to_have_count(count)
        await expect(self.answers.last).to_contain_text(text)


@asynccontextmanager
async def visiting(browser: Browser, url: str, *, password: str = "", **options: Any) -> AsyncGenerator[Visitor]:
    """Somebody opens the page; options are a browser context's: viewport, locale, color_scheme."""
    options.setdefault("viewport", {"width": 1000, "height": 750})
    context = await browser.new_context(**options)
    visitor = Visitor(await context.new_page(), context)

    def requested(request: Request) -> None:
        if urlsplit(request.url).hostname not in (None, "127.0.0.1", ""):
            visitor.outside.append(request.url)

    context.on("request", requested)
    visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    await visitor.page.goto(url)
    if password:
        await visitor.page.get_by_role("textbox").first.fill("ann")
        await visitor.page.locator("input[type=password]").fill(password)
        await visitor.page.keyboard.press("Enter")
    await expect(visitor.box).to_be_visible()
    yield visitor
    await context.close()


def shots() -> Path:
    """The folder for screenshots, to be looked at."""
    folder = Path(os.environ.get("ASKPIX_SHOTS", "build/screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
