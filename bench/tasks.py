"""The pictures of docs/tasks.md and of README: `python -m bench.tasks`. A Chromium on the page of a real `askpix up`.

The answers are the tests' (tests/exhibits.py), in the form of a large model's; in `demo.png` and `page.png` the demo
model's.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageChops
from playwright.async_api import Browser, expect

from bots.phrases import say
from inference.demo.pictures import example
from tests import exhibits
from tests.bots.papers import paper
from tests.browser import Visitor, chromium, free_port, visiting
from tests.emulators.engine import Request, StubEngine
from tests.emulators.server import Json
from tests.exhibits import encoded, shown
from tests.service import askpix_up
from tests.test_web_page_first import picture

FOLDER = Path("docs/tasks")
VIEW = {"width": 720, "height": 980}
WHOLE = {"width": 880, "height": 690}
File = tuple[str, str, bytes]

CUPS: File = ("cups.png", "image/png", encoded(exhibits.cups()))
RECEIPT: File = ("receipt.png", "image/png", encoded(exhibits.receipt()))
FORM: File = ("form.png", "image/png", encoded(exhibits.form()))
SHELF: File = ("shelf.png", "image/png", encoded(exhibits.cups().resize((3200, 2400))))
FILM: File = ("ball.mp4", "video/mp4", exhibits.rolling(5.5))
HERON = "The heron on the roof weighs 1,742 grams."
PAPER: File = ("report.pdf", "application/pdf", paper(exhibits.report(300, 217, HERON)))

# The picture's name: the task ("" for a question), what is sent with it, what is typed, the pictures to wait for.
SHOWN: dict[str, tuple[str, File, str, int]] = {
    "describe": ("describe", CUPS, "", 0), "ocr": ("ocr", RECEIPT, "", 0),
    "translate": ("translate", RECEIPT, "German", 0), "table": ("table", RECEIPT, "", 0),
    "find": ("find", CUPS, "the cups", 1), "gui": ("gui", FORM, "sign in", 1), "html": ("html", FORM, "", 1),
    "video": ("video", FILM, "", 1), "document": ("", PAPER, "How much does the heron weigh?", 0),
    "zoom": ("zoom", SHELF, "the blue cup", 1), "closer": ("", SHELF, "Is there tea in it?", 0),
}  # fmt: skip


def reply(body: Json) -> list[str]:
    """The tests' answers, and one about the paper and the part."""
    words = shown(Request(0, "", body)).words
    if "heron weigh" in words:
        return [HERON.replace(".", " (p. 217).")]
    if "tea" in words:
        return ["I cannot tell: both cups are small from here."]
    if "enlarged" in words:
        return ["A blue cup, seen from the side: its handle is on the right, and it is empty."]
    if "blue cup" in words:
        return ['[{"bbox_2d": [566, 400, 855, 795], "label": "blue cup"}]']
    return exhibits.reply(body)


async def take(visitor: Visitor, name: str, file: File, button: str, words: str) -> None:
    """Send a file with a task's button, or with a question, and wait until the answer is whole."""
    await visitor.attach(file)
    await visitor.box.fill(words)
    if button:
        await visitor.page.get_by_role("button", name=say("en", f"page.{button}"), exact=True).click()
    else:
        await visitor.box.press("Enter")
    pictures = visitor.answers.locator("img")
    await expect(visitor.button("Regenerate")).to_be_visible()
    await expect(pictures).to_have_count(SHOWN[name][3])
    for at in range(await pictures.count()):
        await expect(pictures.nth(at)).to_have_js_property("complete", True)


async def keep(visitor: Visitor, name: str) -> None:
    """The chat as it is seen, without what is empty below, in at most 60 kB."""
    await visitor.page.mouse.move(1, 1)
    shot = await visitor.page.locator("#chat").screenshot(animations="disabled")
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    empty = Image.new("RGB", image.size, image.getpixel((image.width // 2, image.height - 3)))
    _, _, _, bottom = ImageChops.difference(image, empty).point(([0] * 9 + [255] * 247) * 3).getbbox() or (0,) * 4
    image = image.crop((0, 0, image.width, min(bottom + 12, image.height)))
    save(image, FOLDER / f"{name}.png")


def save(image: Image.Image, file: Path) -> None:
    """Write it with few colours."""
    image.quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
    sys.stdout.write(f"{file}: {image.width}x{image.height}, {file.stat().st_size} bytes\n")


async def show_tasks(browser: Browser) -> None:
    """Every task, asked by a visitor of its own."""
    port = free_port()
    with TemporaryDirectory() as data:
        async with StubEngine(reply, model="Qwen3-VL") as engine, askpix_up(
            Path(data), ENGINE_URL=engine.url, WEB="1", WEB_PORT=str(port)
        ) as askpix:  # fmt: skip
            engine.token_bytes = 3
            await askpix.said(rf"http://127\.0\.0\.1:{port}")
            for name, (button, file, words, _) in SHOWN.items():
                async with visiting(browser, f"http://127.0.0.1:{port}", viewport=VIEW) as visitor:
                    await take(visitor, name, file, button, words)
                    if name == "closer":
                        await visitor.button(say("en", "page.closer")).click()
                        await expect(visitor.answers.locator("img")).to_have_js_property("complete", True)
                    await keep(visitor, name)


async def show_demo(browser: Browser) -> None:
    """The whole page, and a shape that the demo model finds."""
    port, scene = free_port(), example("scene", 4)
    with TemporaryDirectory() as data:
        async with askpix_up(Path(data), WEB="1", WEB_PORT=str(port)) as askpix:
            await askpix.said(rf"http://127\.0\.0\.1:{port}")
            async with visiting(browser, f"http://127.0.0.1:{port}", viewport=VIEW) as visitor:
                await take(visitor, "find", ("scene.png", "image/png", encoded(scene.image)), "find", "ring")
                await keep(visitor, "demo")
            async with visiting(browser, f"http://127.0.0.1:{port}", viewport=WHOLE) as visitor:
                await visitor.attach(("triangle.png", "image/png", picture()))
                await visitor.ask("What is this?")
                await visitor.answered("A green triangle")
                await expect(visitor.button("Regenerate")).to_be_visible()
                await visitor.page.mouse.move(1, 1)
                shot = await visitor.page.screenshot(animations="disabled", full_page=True)
                save(Image.open(io.BytesIO(shot)).convert("RGB"), FOLDER.parent / "page.png")


async def main() -> None:
    """Take them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser:
        await show_tasks(browser)
        await show_demo(browser)


if __name__ == "__main__":
    asyncio.run(main())
