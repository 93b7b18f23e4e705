"""What the tasks are shown in tests and in the documents: pictures, a film, papers; and a large model's answers.

These have the shape of those that Qwen3-VL-8B gives: fences, prose around them, coordinates from 0 to 1000.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import av
from PIL import Image, ImageChops, ImageDraw, ImageFont

from bots.phrases import say
from tests.emulators.engine import Request
from tests.emulators.server import Json

Cell = tuple[int, int, int]

RECEIPT = (("Espresso", "2", "4.40"), ("Cheese cake", "1", "3.80"), ("Tap water", "1", "0.00"), ("Total", "", "8.20"))
HEAD = ("item", "amount", "price")
NINE: tuple[Cell, ...] = (
    (200, 40, 40), (40, 160, 40), (40, 40, 200), (200, 200, 40), (40, 190, 190), (190, 40, 190), (230, 140, 40),
    (120, 120, 120), (110, 60, 20),
)  # fmt: skip

OCR = "CAFE MOSAIK\n\n" + "\n".join(f"{row[0]:14}{row[1]:9}{row[2]}" for row in (HEAD, *RECEIPT))
TRANSLATED = "| Original | Deutsch |\n|---|---|\n| Espresso | Espresso |\n| Cheese cake | Käsekuchen |"
TABLE = "Here is the table:\n\n| item | amount | price |\n|:---|---:|---:|\n" + "\n".join(
    f"| {item} | {amount} | **{price}** |" for item, amount, price in RECEIPT
)
BOXES = (
    '```json\n[\n\t{"bbox_2d": [112, 360, 400, 755], "label": "red cup"},\n'
    '\t{"bbox_2d": [566, 400, 855, 795], "label": "blue cup"},\n]\n```'
)
CONTROLS = (
    '```json\n[{"bbox_2d": [50, 183, 950, 303], "label": "Email: takes the address"},'
    '{"bbox_2d": [50, 375, 950, 495], "label": "Password: takes the secret"},'
    '{"bbox_2d": [615, 673, 950, 813], "label": "Sign in: sends the form", "next": true}]\n```'
)
PAGE = (
    "```html\n<!DOCTYPE html>\n<html><head><style>\n"
    "body{font:28px sans-serif;background:#eef2fb;display:grid;place-items:center;height:90vh;margin:0}\n"
    "form{background:#fff;padding:48px;border-radius:16px;width:420px;display:grid;gap:18px}\n"
    "input,button{font:inherit;padding:12px;border-radius:8px;border:1px solid #aab}\n"
    "button{background:#2456d6;color:#fff;justify-self:end}\n</style></head>\n"
    '<body><form><b>Sign in</b><input value="ann@example.org"><input type="password" value="secret">'
    '<button id="b">…</button></form>\n<script>document.getElementById("b").textContent = "Sign in"</script>\n'
    "</body></html>\n```"
)
EVENTS = "0:00 A ball lies on the left.\n0:02 It rolls to the right.\n0:05 It reaches the wall and stops."
DESCRIBED = "Two cups stand on a wooden table: a **red** one on the left, a **blue** one on the right."
FOUND = '```json\n[{"bbox_2d": [340, 680, 660, 990], "label": "bottom middle"}]\n```'

SAID = {
    "describe": DESCRIBED, "ocr": f"```\n{OCR}\n```", "translate": TRANSLATED, "table": TABLE, "find": BOXES,
    "gui": CONTROLS, "html": PAGE, "video": EVENTS,
}  # fmt: skip


class Shown(NamedTuple):
    """The newest turn as the engine got it: its texts, and its pictures."""

    parts: list[str | bytes]

    @property
    def words(self) -> str:
        """All texts, one a line."""
        return "\n".join(part.strip() for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> list[Image.Image]:
        """All pictures."""
        return [Image.open(io.BytesIO(part)) for part in self.parts if isinstance(part, bytes)]


def shown(request: Request) -> Shown:
    """What a chat request asks."""
    content: Any = request.body["messages"][-1]["content"]
    parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    pictures = iter(Request(0, "", {"messages": [{"content": parts}]} if isinstance(content, list) else {}).pictures())
    return Shown([part["text"] if part["type"] == "text" else next(pictures) for part in parts])


def task_of(words: str) -> str:
    """Whose prompt the engine was given, in English or Chinese; "" for a question."""
    for name in SAID:
        for language in ("en", "zh"):
            if re.search(re.escape(say(language, f"task.{name}", argument="•")).replace("•", ".+"), words):
                return name
    return ""


def reply(body: Json) -> list[str]:
    """What a large model answers to a task; to a question what it was asked, and how many pictures it saw."""
    asked = shown(Request(0, "", body))
    name = task_of(asked.words)
    if "bottom middle" in asked.words and name == "find":
        return [FOUND]
    text = SAID.get(name) or f"{len(asked.pictures)} seen: {asked.words.rpartition(chr(10))[2]}"
    return [text[at : at + 40] for at in range(0, len(text), 40)]


def codes(message: Json) -> list[str]:
    """What the buttons under a message of Telegram's send."""
    rows: list[list[Json]] = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button["callback_data"] for row in rows for button in row]


def block(message: Json) -> str:
    """The language of the one block of code that a message of Telegram's is."""
    (entity,) = [each for each in message["entities"] if each["type"] == "pre"]
    assert (entity["offset"], entity["length"]) == (0, len(message["text"].encode("utf-16-le")) // 2)
    return entity.get("language", "")


def drawn_on(pictures: Sequence[Image.Image], photo: Image.Image) -> bool:
    """Whether the one picture is the photo with something drawn on it: for the most part the same."""
    (picture,) = pictures
    assert picture.size == photo.size
    changed = ImageChops.difference(picture, photo).convert("L").histogram()[60:]
    return 0.005 < sum(changed) / (photo.width * photo.height) < 0.2


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """The bytes of a picture."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def receipt() -> Image.Image:
    """A printed table."""
    image = Image.new("RGB", (640, 480), "#fbfaf5")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(34)
    draw.text((320, 50), "CAFE MOSAIK", "black", ImageFont.load_default(44), "mm")
    for n, row in enumerate((HEAD, *RECEIPT)):
        y = 120 + 65 * n
        for x, word, anchor in zip((40, 400, 600), row, ("lm", "mm", "rm"), strict=True):
            draw.text((x, y), word, "black" if n else "#667", font, anchor)
        draw.line((40, y + 32, 600, y + 32), "#99a", 1)
    return image


def cups() -> Image.Image:
    """A red cup and a blue one on a table."""
    image = Image.new("RGB", (640, 480), "#e9e2d0")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 300, 640, 480), "#9a6a3c")
    for x, colour in ((80, "#c3342d"), (370, "#2d5ec3")):
        y = 190 if x == 80 else 210
        draw.ellipse((x + 105, y + 40, x + 165, y + 120), outline=colour, width=16)
        draw.rounded_rectangle((x, y, x + 130, y + 165), 22, colour)
        draw.ellipse((x, y - 12, x + 130, y + 22), "#f3ede0", colour, 6)
    return image


def form() -> Image.Image:
    """A window to sign in."""
    image = Image.new("RGB", (640, 416), "#eef2fb")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(26)
    draw.rectangle((0, 0, 640, 44), "#33415c")
    draw.text((20, 22), "Sign in", "white", font, "lm")
    for y, label, value in ((80, "Email", "ann@example.org"), (160, "Password", "••••••")):
        draw.rounded_rectangle((36, y, 604, y + 42), 6, "white", "#8899bb", 2)
        draw.text((50, y + 21), f"{label}: {value}".replace("•", "*"), "#333", font, "lm")
    for x, label, fill in ((230, "Cancel", "#ccd4e6"), (400, "Sign in", "#2456d6")):
        draw.rounded_rectangle((x, 284, x + 204 if label == "Sign in" else x + 150, 334), 8, fill)
        draw.text((x + (102 if label == "Sign in" else 75), 309), label, "white" if x == 400 else "#223", font, "mm")
    return image


def nine(width: int = 3000, height: int = 2400) -> Image.Image:
    """Nine fields, each of its own colour, with fine stripes that no shrunk picture keeps."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for n, colour in enumerate(NINE):
        left, top = n % 3 * width // 3, n // 3 * height // 3
        draw.rectangle((left, top, left + width // 3, top + height // 3), colour)
    for x in range(width // 2 - 60, width // 2 + 60, 2):
        draw.line((x, 0, x, height), "white")
    return image


def rolling(seconds: float, size: tuple[int, int] = (320, 240), rate: int = 10) -> bytes:
    """An MP4 of a ball that rolls from left to right; the ground goes from blue to red meanwhile."""
    count, file, picture = round(seconds * rate), io.BytesIO(), cast("Any", av.VideoFrame).from_image
    target: Any = av.open(file, "w", format="mp4")  # half of PyAV's writing is untyped
    with target as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for n in range(count):
            image = Image.new("RGB", size, (n * 255 // count, 80, 255 - n * 255 // count))
            x, y, r = size[0] * (n + 1) / (count + 2), size[1] * 0.7, size[1] / 8
            ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), "white")
            container.mux(stream.encode(picture(image)))
        container.mux(stream.encode())
    return file.getvalue()


def report(pages: int, answer_on: int, answer: str) -> Sequence[str]:
    """The texts of a dull paper's pages, one of which says something."""
    dull = "The committee met and took note of the report of its members for this part of the year. " * 8
    texts = [f"Chapter {n}\n" + dull.replace(". ", f" ({n}).\n") for n in range(1, pages + 1)]
    texts[answer_on - 1] += f"\n{answer}"
    return texts
