"""Pictures with print on them: words and numbers, bar charts, forms with boxes to tick, windows with buttons.

Fonts: Aileron (CC0, inside Pillow), and where the training environment has them Lato, Manrope and Hanken Grotesk (SIL
Open Font License) and Caladea (Apache 2.0), from the packages font-lato, font-manrope, font-hanken-grotesk and
font-caladea.
"""

from __future__ import annotations

import importlib.util
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from inference.demo import colours, words
from inference.demo.colours import Rgb

Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Drawn = tuple[str, Image.Image, "Page"]

FACES = {
    "font_lato": ("Lato-Regular.ttf", "Lato-Bold.ttf", "Lato-Italic.ttf", "Lato-Black.ttf"),
    "font_caladea": ("Caladea-Regular.ttf", "Caladea-Bold.ttf", "Caladea-Italic.ttf"),
    "font_manrope": ("Manrope-Regular.ttf", "Manrope-Bold.ttf"),
    "font_hanken_grotesk": ("HankenGrotesk-Regular.otf", "HankenGrotesk-Bold.otf", "HankenGrotesk-Italic.otf"),
}
# Letters and digits that look alike are not mixed.
CODE = "".join(letter for letter in string.ascii_uppercase + string.digits if letter not in "OI01")


@dataclass
class Page:
    """What is printed: the text or title, rows with whether they are ticked, bars with colour and value, buttons."""

    text: str = ""
    rows: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    bars: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    buttons: list[tuple[str, Box]] = field(default_factory=list[tuple[str, Box]])
    printed: bool = False  # whether the chart's values stand above its bars


@cache
def faces() -> tuple[Path | None, ...]:
    """The font files that are installed; None is Pillow's own."""
    found: list[Path | None] = [None, None]
    for package, files in FACES.items():
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            found += [Path(spec.origin).parent / "files" / name for name in files]
    return tuple(found)


@lru_cache(4096)
def font(face: Path | None, size: int) -> Font:
    """A face at a size in px."""
    return ImageFont.truetype(str(face), size) if face else ImageFont.load_default(size)


def fitting(face: Path | None, text: str, size: int, width: float) -> Font:
    """The face at this size, or as much smaller as the width demands."""
    chosen = font(face, size)
    taken = chosen.getlength(text)
    return chosen if taken <= width else font(face, max(8, int(size * width / taken)))


def some_text(rng: random.Random) -> str:
    """One to eight characters: a word, a number, a code."""
    kind = rng.random()
    if kind < 0.25:
        word = rng.choice(words.PRINTED)
        return rng.choice((word, word.upper(), word.upper(), word.capitalize()))
    if kind < 0.5:
        return "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 8)))
    if kind < 0.75:
        digits = "".join(rng.choices(string.digits, k=rng.randint(1, 8)))
        return f"{digits[0]}.{digits[1:3]}" if len(digits) == 3 and rng.random() < 0.5 else digits
    return "".join(rng.choices(CODE, k=rng.randint(2, 8)))


def word(rng: random.Random, size: tuple[int, int]) -> Drawn:
    """A word, a number or a code, on a plain ground or on a sign."""
    ground = rng.choice(("white", "white", "black", *colours.COLOURS))
    back = colours.shade(rng, ground)
    image = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(image)
    text = some_text(rng)
    high = rng.randint(26, max(40, size[1] // 3))
    chosen = fitting(rng.choice(faces()), text, high, size[0] * 0.9)
    left, top, right, bottom = chosen.getbbox(text)
    wide, high = right - left, bottom - top
    x = rng.uniform(4, max(5, size[0] - wide - 4))
    y = rng.uniform(4, max(5, size[1] - high - 4))
    if rng.random() < 0.3:
        _, back = colours.on(rng, back)
        edge = rng.uniform(3, 14)
        draw.rounded_rectangle((x - edge, y - edge, x + wide + edge, y + high + edge), rng.choice((0, 6)), back)
    _, ink = _ink(rng, back)
    draw.text((x - left, y - top), text, ink, chosen)
    return ground, image, Page(text)


def chart(rng: random.Random, size: tuple[int, int]) -> Drawn:
    """Three to five bars with a letter each, half of the time with their values."""
    ground, image, draw = _paper(rng, size)
    amount, printed = rng.randint(3, 5), rng.random() < 0.5
    values = rng.sample(range(10, 100, 8), amount)
    face = rng.choice(faces())
    small = font(face, rng.randint(18, 24))
    names = "ABCDE"
    wide = size[0] / amount
    foot, room = size[1] - 32, size[1] - 32 - 34
    hues = rng.sample([name for name in colours.COLOURS if name not in ("white", ground)], amount)
    bars: list[tuple[str, str, int]] = []
    for at, (value, hue) in enumerate(zip(values, hues, strict=True)):
        fill = colours.shade(rng, hue)
        left, right = wide * (at + 0.2), wide * (at + 0.8)
        top = foot - room * value / 100
        draw.rectangle((left, top, right, foot), fill)
        draw.text(((left + right) / 2, foot + 16), names[at], "black", small, anchor="mm")
        if printed:
            draw.text(((left + right) / 2, top - 14), str(value), "black", small, anchor="mm")
        bars.append((names[at], hue, value))
    draw.line((4, foot, size[0] - 4, foot), "black", 2)
    return ground, image, Page(bars=bars, printed=printed)


def form(rng: random.Random, size: tuple[int, int]) -> Drawn:
    """Three to five rows, each with a box that is ticked, crossed or empty."""
    ground, image, draw = _paper(rng, size)
    names = rng.sample(words.ROWS, rng.randint(3, 5))
    high = size[1] / len(names)
    side = min(34.0, high * 0.6)
    x = rng.uniform(8, 24)
    face = rng.choice(faces())
    mark, letters = rng.choice(("tick", "cross", "full")), rng.randint(22, 30)
    rows: list[tuple[str, bool]] = []
    for at, name in enumerate(names):
        y, ticked = high * at + (high - side) / 2, rng.random() < 0.5
        draw.rectangle((x, y, x + side, y + side), None, "black", 2)
        if ticked:
            _mark(draw, mark, (x, y, side))
        label = fitting(face, name, letters, size[0] - x - side - 20)
        draw.text((x + side + 12, y + side / 2), name, "black", label, anchor="lm")
        rows.append((name, ticked))
    return ground, image, Page(rows=rows)


def window(rng: random.Random, size: tuple[int, int]) -> Drawn:
    """A window with a title and one to three buttons."""
    ground = rng.choice(tuple(colours.COLOURS))
    desk = colours.shade(rng, ground)
    image = Image.new("RGB", size, desk)
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(2, 24), rng.uniform(2, size[1] * 0.25)
    right, bottom = size[0] - rng.uniform(2, 24), size[1] - rng.uniform(2, size[1] * 0.2)
    draw.rectangle((x, y, right, bottom), rng.choice(("white", (238, 238, 240))), (90, 90, 95))
    bar = colours.shade(rng, rng.choice(("blue", "brown", "black", "purple")))
    draw.rectangle((x, y, right, y + 32), bar)
    face = rng.choice(faces())
    title = rng.choice(words.TITLES)
    draw.text((x + 10, y + 16), title, "white", fitting(face, title, 22, right - x - 20), anchor="lm")
    names = rng.sample(words.BUTTONS, rng.randint(1, 3))
    stacked = rng.random() < 0.3 and bottom - y > 150
    buttons: list[tuple[str, Box]] = []
    wide = min(96.0, (right - x - 12) / len(names) - 8) if not stacked else min(140.0, right - x - 30)
    for at, name in enumerate(names):
        if stacked:
            left, top = x + (right - x - wide) / 2, y + 42 + at * 38
        else:
            left, top = right - (wide + 8) * (len(names) - at), bottom - 42
        box = left, top, left + wide, top + 32
        draw.rounded_rectangle(box, 5, (222, 224, 228), (90, 90, 95))
        draw.text((left + wide / 2, top + 16), name, "black", fitting(face, name, 20, wide - 8), anchor="mm")
        buttons.append((name, box))
    return ground, image, Page(title, buttons=buttons)


PAGES: dict[str, Callable[[random.Random, tuple[int, int]], Drawn]] = {
    "word": word,
    "chart": chart,
    "form": form,
    "window": window,
}


def _paper(rng: random.Random, size: tuple[int, int]) -> tuple[str, Image.Image, ImageDraw.ImageDraw]:
    shade = rng.randint(243, 255)
    image = Image.new("RGB", size, (shade, shade, shade))
    return "white", image, ImageDraw.Draw(image)


def _ink(rng: random.Random, back: Rgb) -> tuple[str, Rgb]:
    """An ink that can be read: also darker or lighter than the ground."""
    while True:
        name, ink = colours.on(rng, back, ("black", "black", "white", "white", *colours.COLOURS))
        if abs(_light(ink) - _light(back)) >= 70:
            return name, ink


def _light(colour: Rgb) -> float:
    """How light a colour is to the eye, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _mark(draw: ImageDraw.ImageDraw, mark: str, place: tuple[float, float, float]) -> None:
    x, y, side = place
    low, high = 0.2 * side, 0.8 * side
    if mark == "tick":
        points = [(x + low, y + 0.5 * side), (x + 0.42 * side, y + high), (x + high, y + low)]
        draw.line(points, "black", 4, joint="curve")
    elif mark == "cross":
        draw.line((x + low, y + low, x + high, y + high), "black", 4)
        draw.line((x + low, y + high, x + high, y + low), "black", 4)
    else:
        draw.rectangle((x + low, y + low, x + high, y + high), "black")
