"""The colours that the demo model knows by name, and random shades of each."""

from __future__ import annotations

import colorsys
import random

Rgb = tuple[int, int, int]
Range = tuple[float, float]

# name: (Chinese name, hue range in degrees, saturation range, value range)
COLOURS: dict[str, tuple[str, Range, Range, Range]] = {
    "red": ("红色", (-8, 8), (0.78, 1.0), (0.72, 1.0)),
    "orange": ("橙色", (23, 39), (0.8, 1.0), (0.88, 1.0)),
    "yellow": ("黄色", (50, 61), (0.65, 1.0), (0.85, 1.0)),
    "green": ("绿色", (95, 150), (0.5, 1.0), (0.35, 1.0)),
    "blue": ("蓝色", (207, 245), (0.6, 1.0), (0.45, 1.0)),
    "purple": ("紫色", (268, 302), (0.45, 1.0), (0.4, 0.75)),
    "pink": ("粉色", (318, 352), (0.22, 0.5), (0.92, 1.0)),
    "brown": ("棕色", (16, 30), (0.55, 0.88), (0.3, 0.57)),
    "black": ("黑色", (0, 360), (0.0, 0.3), (0.0, 0.12)),
    "white": ("白色", (0, 360), (0.0, 0.03), (0.95, 1.0)),
    "grey": ("灰色", (0, 360), (0.0, 0.05), (0.35, 0.7)),
}
CLEAR = 110  # of the 765 by which black and white differ; less is hard to see


def shade(rng: random.Random, name: str) -> Rgb:
    """A random RGB of that colour."""
    _, hue, saturation, value = COLOURS[name]
    rgb = colorsys.hsv_to_rgb(rng.uniform(*hue) / 360 % 1, rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (round(part * 255) for part in rgb)
    return red, green, blue


def apart(one: Rgb, other: Rgb) -> bool:
    """Whether one is clearly seen on the other."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= CLEAR


def on(rng: random.Random, ground: Rgb, names: tuple[str, ...] = tuple(COLOURS)) -> tuple[str, Rgb]:
    """A colour of these names, and a shade of it that is clearly seen on `ground`."""
    while True:
        name = rng.choice(names)
        colour = shade(rng, name)
        if apart(colour, ground):
            return name, colour


def spoken(name: str, chinese: bool) -> str:
    """The colour's name in the language of the answer."""
    return COLOURS[name][0] if chinese else name
