"""The page as people use it: a real browser, `askpix up` with its page's role, and a scripted engine."""

# Playwright's `expect` is loosely typed.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bots.phrases import say
from tests.browser import Visitor, chromium, free_port, needed, shots, visiting
from tests.canary import canary
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.road import newest
from tests.service import Service, askpix_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needed]

ALBUM = [(f"{number}.jpg", "image/jpeg", canary(number)) for number in (5, 9)]
MARKDOWN = "| cup | cost |\n|---|---|\n| tea | 2 |\n\n```python\nprint(1)\n```\n\n![](https://example.com/spy.png)"


@dataclass
class Engine:
    """What the scripted engine answers: words that say what it saw, or half an answer until `gate` opens."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def reply(self, body: Json) -> Sequence[str] | AsyncIterator[str]:
        numbers, words = newest(body)
        if "slowly" in words:
            return self._slowly()
        return [MARKDOWN] if "table" in words else ["saw ", ", ".join(map(str, numbers)) or "nothing", ": ", words]

    async def _slowly(self) -> AsyncIterator[str]:
        yield "The first half"
        await self.gate.wait()
        yield " and the second."


@dataclass
class Site:
    """The page, a browser to visit it, and what is behind it."""

    url: str
    browser: Browser
    engine: Engine
    stub: StubEngine
    askpix: Service

    def visit(self, **options: Any) -> Any:
        """Somebody new comes."""
        return visiting(self.browser, self.url, **options)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    port, engine = free_port(), Engine()
    async with (
        StubEngine(engine.reply) as stub,
        askpix_up(tmp_path_factory.mktemp("data"), ENGINE_URL=stub.url, WEB="1", WEB_PORT=str(port)) as askpix,
        chromium() as browser,
    ):
        await askpix.said(rf"http://127\.0\.0\.1:{port}")
        yield Site(f"http://127.0.0.1:{port}", browser, engine, stub, askpix)
    assert "Traceback" not in askpix.logs()


@pytest.fixture
def site(running: Site) -> Site:
    running.engine.gate.clear()
    return running


async def half_written(visitor: Visitor) -> None:
    """An answer stands there by half, and goes on when the gate opens."""
    await visitor.ask("Tell me slowly")
    await visitor.answered("The first half …")


async def test_several_pictures_are_one_question(site: Site) -> None:
    async with site.visit() as ann:
        await ann.attach(*ALBUM)
        await ann.ask("Which are these?")
        await ann.answered("saw 5, 9: Which are these?")
        await expect(ann.questions.locator("img")).to_have_count(2)
        await expect(ann.box).to_have_value("")
        await ann.ask("And now?")
        await ann.answered("saw nothing: And now?", count=2)


async def test_an_answer_grows_and_can_be_stopped_and_asked_anew(site: Site) -> None:
    async with site.visit() as ann:
        await half_written(ann)
        await expect(ann.button("Regenerate")).to_be_hidden()
        await ann.button("Stop").click()
        await ann.answered(say("en", "stopped"))
        await expect(ann.answers.last).to_contain_text("The first half")
        await expect(ann.button("Stop")).to_be_hidden()
        site.engine.gate.set()
        await ann.button("Regenerate").click()
        await ann.answered("The first half and the second.")


async def test_a_reload_and_a_lost_connection_in_mid_answer_lose_nothing(site: Site) -> None:
    async with site.visit() as ann:
        await ann.attach(ALBUM[0])
        await half_written(ann)
        await ann.page.reload()
        await ann.answered("The first half …")
        await expect(ann.questions.locator("img")).to_have_js_property("complete", True)
        await ann.context.set_offline(True)
        site.engine.gate.set()
        await ann.context.set_offline(False)
        await ann.answered("The first half and the second.")


async def test_a_page_whose_role_died_in_mid_answer_shows_it_whole(site: Site) -> None:
    async with site.visit() as ann:
        await half_written(ann)
        await site.askpix.kill("web")
        site.engine.gate.set()
        await ann.answered("The first half and the second.")
        await ann.ask("Still there?")
        await ann.answered("saw nothing: Still there?", count=2)


async def test_a_question_waits_for_an_engine_that_is_down(site: Site) -> None:
    async with site.visit() as ann:
        await site.stub.stop()
        await ann.ask("Anybody there?")
        await ann.answered(say("en", "engine_down"))
        await site.stub.start()
        await ann.answered("saw nothing: Anybody there?")


async def test_two_visitors_see_their_own_only(site: Site) -> None:
    async with site.visit() as ann, site.visit(locale="zh-CN") as ben:
        await expect(ben.page.locator("#chat strong")).to_contain_text("提问")  # bold between Chinese words
        await asyncio.gather(ann.attach(ALBUM[0]), ben.attach(ALBUM[1]))
        await asyncio.gather(ann.ask("Mine?"), ben.ask("我的？"))
        await asyncio.gather(ann.answered("saw 5: Mine?"), ben.answered("saw 9: 我的？"))
        await expect(ben.button(say("zh", "button.new"))).to_be_visible()
        await asyncio.gather(ann.attach(ALBUM[0]), ben.attach(ALBUM[0]))
        await asyncio.gather(ann.ask("The same?"), ben.ask("The same?"))
        await asyncio.gather(ann.answered("saw 5: The same?", count=2), ben.answered("saw 5: The same?", count=2))


async def test_a_new_chat_is_empty_and_frees_the_engine(site: Site) -> None:
    async with site.visit() as ann:
        await half_written(ann)
        await ann.button("New chat").click()
        await expect(ann.answers).to_have_count(0)
        await ann.ask("Hello")
        await ann.answered("saw nothing: Hello")


async def test_context_says_what_this_chat_has_shown(site: Site) -> None:
    async with site.visit() as ann:
        await ann.ask("hello")
        await ann.answered("saw nothing: hello")
        await ann.ask("/context")
        await expect(ann.answers).to_have_count(2)
        await expect(ann.answers.last).to_contain_text("▱▱▱▱▱▱▱▱▱ 0 %: ")


async def test_forget_leaves_no_file(site: Site) -> None:
    async with site.visit() as ann:
        await ann.attach(ALBUM[0])
        await ann.ask("What is it?")
        await ann.answered("saw 5")
        source = await ann.questions.locator("img").get_attribute("src")
        assert source
        kept = Path(source.partition("file=")[2])
        assert kept.exists()
        await ann.button("Forget").click()
        await ann.answered(say("en", "command.forget"))
        assert not kept.exists()
        await expect(ann.questions).to_have_count(0)


async def test_a_bad_file_gets_one_sentence(site: Site) -> None:
    async with site.visit(locale="zh-CN") as ann:
        await ann.attach(("broken.png", "image/png", b"\x89PNG\r\n\x1a\n and no more"))
        await ann.ask("What is it?")
        await ann.answered(say("zh", "broken_image"))
        await ann.ask("Hello")
        await ann.answered("saw nothing: Hello", count=2)


async def test_markdown_is_laid_out_and_nothing_leaves_the_machine(site: Site) -> None:
    async with site.visit() as ann:
        await ann.ask("A table, please")
        await expect(ann.answers.locator("table")).to_contain_text("tea")
        await expect(ann.answers.locator("pre")).to_contain_text("print(1)")
        await ann.page.screenshot(path=shots() / "markdown.png")
        await ann.page.get_by_role("tab", name="Status").click()
        await expect(ann.page.get_by_text("being answered")).to_be_visible()
        await ann.page.screenshot(path=shots() / "status.png")
        refused = await ann.page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'refused')")
        assert refused == "refused", "the browser itself holds every request back"
        assert {url for url in ann.outside if "example.com" not in url} == set()
        assert ann.complaints == []


async def test_the_keyboard_is_enough(site: Site) -> None:
    async with site.visit() as ann:
        keys = ann.page.keyboard
        await expect(ann.box).to_be_focused()
        await keys.type("Tell me slowly")
        await keys.press("Enter")
        await ann.answered("The first half …")
        for _ in range(20):
            await keys.press("Tab")
            if "Stop" in await ann.page.evaluate("document.activeElement.innerText"):
                break
        await keys.press("Enter")
        await ann.answered(say("en", "stopped"))


async def test_a_phone_in_the_dark(site: Site) -> None:
    async with site.visit(viewport={"width": 360, "height": 640}, color_scheme="dark", has_touch=True) as ann:
        await ann.page.screenshot(path=shots() / "phone-empty.png")
        await ann.attach(*ALBUM)
        await ann.ask("A table, please")
        await expect(ann.answers.locator("table")).to_contain_text("tea")
        wide = await ann.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360
        await ann.page.screenshot(path=shots() / "phone.png")


async def test_other_sites_and_other_names_are_refused(site: Site) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(site.url)).status_code == 200
        assert (await client.get(site.url, headers={"host": "evil.example:80"})).status_code == 403
        upload = f"{site.url}/gradio_api/upload"
        assert (await client.post(upload, headers={"origin": "https://evil.example"})).status_code == 403
        assert (await client.post(upload, headers={"origin": "null"})).status_code == 403
        assert (await client.get(f"{site.url}/gradio_api/file=/etc/passwd")).status_code == 403
        kept = site.askpix.data_dir / "web" / "chats"
        for file in kept.iterdir():
            assert (await client.get(f"{site.url}/gradio_api/file={file}")).status_code == 403
