"""Pictures to teach and to test with, drawn from a seed: `draw(kind, rng, size)` also says what there is to see.

`example(kind, seed)` is one picture of a kind, for tests and for showing. Kinds: see KINDS.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from inference.demo import colours, pages
from inference.demo.colours import Rgb
from inference.demo.pages import Box, Page

SIDE = 32  # pixels a visual token covers, each way (Qwen3-VL: patches of 16, merged two by two)
MIN_TOKENS, MAX_TOKENS = 4, 100  # visual tokens a picture: 64x64 to 320x320 pixels

# name: (plural, Chinese name)
SHAPES = {
    "circle": ("circles", "圆形"),
    "square": ("squares", "正方形"),
    "triangle": ("triangles", "三角形"),
    "star": ("stars", "星形"),
    "heart": ("hearts", "心形"),
    "cross": ("crosses", "十字形"),
    "diamond": ("diamonds", "菱形"),
    "ring": ("rings", "圆环"),
}

# What the size rule makes of photos of the usual ratios, and somewhat smaller ones; (width, height) in px.
SIZES = (
    (320, 320), (352, 256), (256, 352), (416, 224), (224, 416), (384, 256), (256, 384), (288, 288), (256, 256),
    (224, 224), (320, 224), (224, 320), (320, 256), (256, 320), (320, 288), (288, 224),
)  # fmt: skip
# Too small for details: plain colours and single shapes only.
SMALL = (
    (64, 64), (96, 96), (128, 96), (128, 128), (160, 128), (192, 192), (192, 128), (128, 192), (512, 128), (128, 512),
    (288, 192), (192, 288), (640, 64), (64, 128),
)  # fmt: skip
UNCLEAR = -1  # between two ninths


@dataclass(frozen=True)
class Thing:
    """A shape of a colour, its box in px (left, top, right, bottom) and the ninth of the picture where it lies."""

    shape: str
    colour: str
    box: Box
    cell: int = UNCLEAR  # row by row, 4 is the middle


@dataclass
class Picture:
    """A picture and what there is to see; `colour` is that of the ground, or of the whole picture."""

    kind: str
    image: Image.Image
    colour: str = ""
    things: list[Thing] = field(default_factory=list[Thing])
    page: Page = field(default_factory=Page)


def example(kind: str, seed: int, size: tuple[int, int] = (320, 320)) -> Picture:
    """One picture of a kind; the same arguments give the same picture."""
    return draw(kind, random.Random(f"{kind} {seed}"), size)


def draw(kind: str, rng: random.Random, size: tuple[int, int]) -> Picture:
    """A picture of a kind of KINDS, of this (width, height) in px."""
    return KINDS[kind](rng, size)


def plain(rng: random.Random, size: tuple[int, int], name: str | None = None) -> Picture:
    """A plain picture as cameras and messengers leave it: uneven light, grain, JPEG."""
    name = name or rng.choice(list(colours.COLOURS))
    colour = colours.shade(rng, name)
    image = Image.new("RGB", size, colour)
    if rng.random() < 0.4:
        light = [rng.uniform(0.9, 1.0) for _ in range(4)]
        corners = bytes(int(part * factor) for factor in light for part in colour)
        # Pillow's own types leave the resample filter unknown.
        image = Image.frombytes("RGB", (2, 2), corners).resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.4 and name not in ("white", "black"):
        grain = Image.effect_noise(size, rng.uniform(4, 60)).convert("RGB")
        image = Image.blend(image, grain, rng.uniform(0.02, 0.1))
    return Picture("plain", _packed(rng, image) if rng.random() < 0.5 else image, name)


def single(rng: random.Random, size: tuple[int, int], shape: str | None = None) -> Picture:
    """One shape, small or large, anywhere."""
    ground, colour = _ground(rng)
    name, fill = colours.on(rng, colour)
    side = min(size) * rng.uniform(0.28, 0.85)
    column, row = rng.randrange(3), rng.randrange(3)
    left = (size[0] - side) * (column + rng.uniform(0.15, 0.85)) / 3
    top = (size[1] - side) * (row + rng.uniform(0.15, 0.85)) / 3
    shape = shape or rng.choice(tuple(SHAPES))
    canvas = _Canvas(rng, size, colour)
    thing = canvas.add(rng, shape, name, fill, (left, top, side))
    return Picture("single", canvas.done(rng), ground, [Thing(shape, name, thing.box, _cell(thing.box, size))])


def _cell(box: Box, size: tuple[int, int]) -> int:
    """The ninth in which the middle of the box lies, or UNCLEAR near its borders."""
    across, down = (box[0] + box[2]) * 1.5 / size[0], (box[1] + box[3]) * 1.5 / size[1]
    if any(abs(place - border) < 0.12 for place in (across, down) for border in (1, 2)):
        return UNCLEAR
    return int(down) * 3 + int(across)


def count(rng: random.Random, size: tuple[int, int]) -> Picture:
    """One to nine shapes of one kind and colour, or of two."""
    ground, colour = _ground(rng)
    canvas = _Canvas(rng, size, colour)
    sorts = [(shape, *colours.on(rng, colour)) for shape in rng.sample(tuple(SHAPES), rng.choice((1, 1, 2)))]
    if len(sorts) == 2 and sorts[0][1] == sorts[1][1]:
        sorts.pop()
    columns, rows = _grid(size)
    amount = min(rng.randint(1, 9), columns * rows)
    side = min(size[0] / columns, size[1] / rows)
    things: list[Thing] = []
    for at in sorted(rng.sample(range(columns * rows), amount)):
        shape, name, fill = rng.choice(sorts)
        length = side * rng.uniform(0.5, 0.85)
        left = size[0] / columns * (at % columns) + (size[0] / columns - length) * rng.uniform(0.1, 0.9)
        top = size[1] / rows * (at // columns) + (size[1] / rows - length) * rng.uniform(0.1, 0.9)
        things.append(canvas.add(rng, shape, name, fill, (left, top, length)))
    return Picture("count", canvas.done(rng), ground, things)


def scene(rng: random.Random, size: tuple[int, int]) -> Picture:
    """Two to four different shapes of different colours, each in a ninth of its own."""
    ground, colour = _ground(rng)
    canvas = _Canvas(rng, size, colour)
    amount = rng.choice((2, 2, 3, 4))
    shapes, cells = rng.sample(tuple(SHAPES), amount), sorted(rng.sample(range(9), amount))
    wide, high = size[0] / 3, size[1] / 3
    things: list[Thing] = []
    while len(things) < amount:
        name, fill = colours.on(rng, colour)
        if any(thing.colour == name for thing in things):
            continue
        shape, cell = shapes[len(things)], cells[len(things)]
        side = min(wide, high) * rng.uniform(0.6, 0.95)
        left = wide * (cell % 3) + (wide - side) * rng.uniform(0.2, 0.8)
        top = high * (cell // 3) + (high - side) * rng.uniform(0.2, 0.8)
        box = canvas.add(rng, shape, name, fill, (left, top, side)).box
        things.append(Thing(shape, name, box, cell))
    return Picture("scene", canvas.done(rng), ground, things)


def clutter(rng: random.Random, size: tuple[int, int]) -> Picture:
    """Colour at all scales, as in photos of the world: what the demo model must not pretend to know."""
    image = Image.new("RGB", size, colours.shade(rng, rng.choice(list(colours.COLOURS))))
    for cells in rng.sample((2, 3, 5, 9, 20, 60), rng.randint(2, 4)):
        high = max(1, cells * size[1] // size[0])
        noise = Image.frombytes("RGB", (cells, high), rng.randbytes(cells * high * 3))
        # Pillow's own types leave the resample filter unknown.
        scaled = noise.resize(size, Image.Resampling.BICUBIC)
        image = Image.blend(image, scaled, rng.uniform(0.3, 0.7))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 12)):
        x, y, wide, high = (rng.randint(0, max(size)) for _ in range(4))
        fill = rng.randrange(256), rng.randrange(256), rng.randrange(256)
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + wide // 3, y + high // 3), fill)
    return Picture("clutter", _packed(rng, image))


def _page(kind: str) -> Callable[[random.Random, tuple[int, int]], Picture]:
    def drawn(rng: random.Random, size: tuple[int, int]) -> Picture:
        ground, image, page = pages.PAGES[kind](rng, size)
        return Picture(kind, _packed(rng, image) if rng.random() < 0.25 else image, ground, [], page)

    return drawn


KINDS: dict[str, Callable[[random.Random, tuple[int, int]], Picture]] = {
    "plain": plain,
    "single": single,
    "count": count,
    "scene": scene,
    "clutter": clutter,
    **{kind: _page(kind) for kind in pages.PAGES},
}


def _ground(rng: random.Random) -> tuple[str, Rgb]:
    name = rng.choice(("white", "white", "white", "black", "grey", *colours.COLOURS))
    return name, colours.shade(rng, name)


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows for nine shapes."""
    ratio = size[0] / size[1]
    return (
        (3, 3)
        if 0.7 < ratio < 1.45
        else (4, 3)
        if ratio >= 1.45 and ratio < 2
        else (5, 2)
        if ratio >= 2
        else ((3, 4) if ratio > 0.5 else (2, 5))
    )


def _packed(rng: random.Random, image: Image.Image) -> Image.Image:
    """The picture as JPEG leaves it."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=rng.randint(40, 95))
    return Image.open(packed).convert("RGB")


class _Canvas:
    """Draws shapes, half of the time with smooth edges: at twice the size, then halved."""

    def __init__(self, rng: random.Random, size: tuple[int, int], ground: Rgb) -> None:
        self._scale = rng.choice((1, 2))
        self._ground = ground
        self._image = Image.new("RGB", (size[0] * self._scale, size[1] * self._scale), ground)
        self._draw = ImageDraw.Draw(self._image)

    def add(self, rng: random.Random, shape: str, colour: str, fill: Rgb, place: tuple[float, float, float]) -> Thing:
        """Draw one shape at (left, top, side) and return it with its true box."""
        left, top, side = (value * self._scale for value in place)
        if shape in ("circle", "ring"):
            box = left, top, left + side, top + side
            self._draw.ellipse(box, fill)
            if shape == "ring":
                rim = side * rng.uniform(0.18, 0.26)
                self._draw.ellipse((left + rim, top + rim, left + side - rim, top + side - rim), self._ground)
        else:
            points = _outline(shape, left, top, side, math.radians(rng.uniform(-8, 8)))
            self._draw.polygon(points, fill)
            across, down = zip(*points, strict=True)
            box = min(across), min(down), max(across), max(down)
        left, top, right, bottom = (value / self._scale for value in box)
        return Thing(shape, colour, (left, top, right, bottom))

    def done(self, rng: random.Random) -> Image.Image:
        """The finished picture."""
        image = self._image.reduce(2) if self._scale == 2 else self._image
        return _packed(rng, image) if rng.random() < 0.25 else image


def _ring_of(points: int, radii: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    angles = [2 * math.pi * at / points for at in range(points)]
    return tuple(
        (0.5 + radii[at % len(radii)] * math.sin(angle), 0.5 - radii[at % len(radii)] * math.cos(angle))
        for at, angle in enumerate(angles)
    )


def _heart() -> tuple[tuple[float, float], ...]:
    turns = [2 * math.pi * at / 40 for at in range(40)]
    return tuple(
        (
            0.5 + 0.5 * math.sin(turn) ** 3,
            0.45 - (13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)) / 32,
        )
        for turn in turns
    )


# Corners in a square of side 1.
_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95)),
    "triangle": ((0.5, 0.05), (1.0, 0.93), (0.0, 0.93)),
    "diamond": ((0.5, 0.0), (0.9, 0.5), (0.5, 1.0), (0.1, 0.5)),
    "star": _ring_of(10, (0.52, 0.21)),
    "heart": _heart(),
    "cross": tuple(
        (x / 100, y / 100)
        for x, y in (
            (35, 3), (65, 3), (65, 35), (97, 35), (97, 65), (65, 65), (65, 97), (35, 97), (35, 65), (3, 65), (3, 35),
            (35, 35),
        )
    ),
}  # fmt: skip


def _outline(shape: str, left: float, top: float, side: float, turn: float) -> list[tuple[float, float]]:
    cos, sin = math.cos(turn) * side, math.sin(turn) * side
    middle = left + side / 2, top + side / 2
    return [
        (middle[0] + (x - 0.5) * cos - (y - 0.5) * sin, middle[1] + (x - 0.5) * sin + (y - 0.5) * cos)
        for x, y in _OUTLINES[shape]
    ]
