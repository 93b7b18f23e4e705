"""The tasks on the page, in a real browser: a button each, and what their answers earn."""

# Playwright's `expect` is loosely typed.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bots.phrases import say
from bots.tasks import TASKS
from tests import exhibits
from tests.bots.papers import paper
from tests.browser import Visitor, chromium, free_port, needed, shots, visiting
from tests.emulators.engine import StubEngine
from tests.exhibits import encoded, shown
from tests.service import Service, askpix_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needed]


class Site:
    """The page, a browser, and the engine behind."""

    def __init__(self, url: str, browser: Browser, engine: StubEngine, askpix: Service) -> None:
        self.url, self.browser, self.engine, self.askpix = url, browser, engine, askpix


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    port = free_port()
    async with (
        StubEngine(exhibits.reply) as engine,
        askpix_up(tmp_path_factory.mktemp("tasks"), ENGINE_URL=engine.url, WEB="1", WEB_PORT=str(port)) as askpix,
        chromium() as browser,
    ):
        await askpix.said(rf"http://127\.0\.0\.1:{port}")
        yield Site(f"http://127.0.0.1:{port}", browser, engine, askpix)
    assert "Traceback" not in askpix.logs()


async def give(visitor: Visitor, task: str, file: tuple[str, str, bytes] | None, argument: str = "") -> None:
    """Attach, type and press a task's button."""
    if file:
        await visitor.attach(file)
    await visitor.box.fill(argument)
    await visitor.page.get_by_role("button", name=say("en", f"page.{task}"), exact=True).click()


async def test_each_task_has_a_button(site: Site) -> None:
    async with visiting(site.browser, site.url) as ann:
        for name in TASKS:
            await expect(ann.page.get_by_role("button", name=say("en", f"page.{name}"), exact=True)).to_be_visible()
        await expect(ann.page.get_by_role("button", name="1", exact=True)).to_be_hidden()


async def test_what_is_found_is_drawn_and_listed(site: Site) -> None:
    async with visiting(site.browser, site.url) as ann:
        await give(ann, "find", ("cups.png", "image/png", encoded(exhibits.cups())), "the cups")
        await expect(ann.answers.first).to_contain_text("red cup")
        await expect(ann.answers.locator("img")).to_have_js_property("naturalWidth", 640)
        await expect(ann.box).to_have_value("")
        await give(ann, "ocr", None)
        await expect(ann.answers.last.locator("pre")).to_contain_text("Cheese cake   1        3.80")
        await ann.page.screenshot(path=shots() / "tasks.png")


async def test_a_table_and_a_page_can_be_taken_home(site: Site) -> None:
    async with visiting(site.browser, site.url) as ann:
        await give(ann, "table", ("receipt.png", "image/png", encoded(exhibits.receipt())))
        await expect(ann.answers.first.locator("table")).to_contain_text("Espresso")
        async with ann.page.expect_download() as download:
            await ann.answers.locator(f"a[href$='{say('en', 'file_table')}']").first.click()
        assert b"Espresso,2,4.40" in Path(await (await download.value).path()).read_bytes()
        await give(ann, "html", None)
        await ann.button(say("en", "page.code")).click()
        await expect(ann.answers.last.locator("pre")).to_contain_text("place-items")


async def test_a_film_is_watched_and_a_paper_read(site: Site) -> None:
    async with visiting(site.browser, site.url) as ann:
        await give(ann, "video", ("film.mp4", "video/mp4", exhibits.rolling(3)))
        await expect(ann.answers.first).to_contain_text("It rolls to the right")
        await expect(ann.answers.locator("img")).to_have_count(1)
        await ann.attach(("report.pdf", "application/pdf", paper(exhibits.report(2, 2, "The heron weighs 2 kg."))))
        await ann.ask("How heavy is the heron?")
        await expect(ann.answers.last).to_contain_text("0 seen: How heavy is the heron?")
        assert "The heron weighs 2 kg." in shown(site.engine.requests[-1]).words


async def test_a_part_is_looked_at_closer_and_another_after_it(site: Site) -> None:
    async with visiting(site.browser, site.url) as ann:
        await ann.attach(("nine.jpg", "image/jpeg", encoded(exhibits.nine(), "JPEG")))
        await ann.ask("Which colours?")
        await ann.answered("1 seen: Which colours?")
        await ann.button(say("en", "page.closer")).click()
        await expect(ann.button("9")).to_be_visible()
        for times, number in enumerate((1, 9), 1):
            await ann.page.get_by_role("button", name=str(number), exact=True).click()
            await expect(ann.page.get_by_text("This is a part of the photo, enlarged. Which")).to_have_count(times)
        parts = [shown(request).pictures[0].convert("RGB") for request in site.engine.requests[-2:]]
        corners = [parts[0].getpixel((9, 9)), parts[1].getpixel((parts[1].width - 9, parts[1].height - 9))]
        assert corners == [pytest.approx(exhibits.NINE[0], abs=8), pytest.approx(exhibits.NINE[8], abs=8)]
