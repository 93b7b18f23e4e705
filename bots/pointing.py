"""What a model points at: read from its answer, drawn on the photo, cut out of it. Pure; a photo is 1000 by 1000.

Photos are the bytes that somebody sent. What takes one raises Refused as bots.photos.prepare does, needs seconds and up
to 600 MB for the largest, and belongs in a confined child.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from bots.photos import encode, upright

Box = tuple[float, float, float, float]  # left, top, right, bottom
Place = tuple[float, float]
Font = ImageFont.FreeTypeFont

MOST = 100  # marks; a model that loops has no end
_FURTHEST = 10_000  # a number beyond it was not meant as a place
_LABEL = 200  # characters
_POINTS = ("point_2d", "point", "click")
_PLACES = ("bbox_2d", "bbox", "box_2d", "box", *_POINTS)
_LABELS = ("label", "name", "text", "description")

# A mark ends its string only before what may follow a string, since models forget to escape: "the "red" one". No token
# fails once it has begun, so nothing is read twice, whatever the answer holds.
_STRING = r"Q(?:[^Q\\\n]|\\.|Q(?![ \t]{0,9}(?:[,:\]}/\n]|\Z)))*+Q?"
_COMMENT = r"(?://|#)[^\n{]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?"
_WORD = r"[^\s\"'{}:,\[\]()/#]+"
_TOKEN = re.compile(
    "|".join((_STRING.replace("Q", '"'), _STRING.replace("Q", "'"), _COMMENT, "[{}:]", _WORD)), re.DOTALL
)

# Bright, for dark pictures; the black around them is for light ones.
_COLOURS = ("#ff5a4f", "#ffd60a", "#32d74b", "#40c8ff", "#ff7ad9", "#ff9f0a", "#b18cff", "#66e5d0")
_ROOM = 400  # px that the longer side of what is drawn on must have, or no number could be read
_PNG_PIXELS = 4_000_000  # a larger PNG takes seconds
_GRID = 1280  # px that it needs at most
_OVERLAP = 100 / 3  # a tenth of a cell
CROP_MARGIN = 0.08
_LEAST_CROP = 50.0


class Mark(NamedTuple):
    """A place (a point has left == right and top == bottom), what is there, and if it is next to be clicked."""

    box: Box
    label: str
    next: bool = False


def read_marks(answer: str) -> list[Mark]:
    """What is pointed at in an answer that should be a JSON array of {"bbox_2d": [l, t, r, b], "label": "…"}.

    Objects are taken wherever they stand and however they are spelt; what breaks off or has no place is left out. At
    most MOST, none twice.
    """
    found: dict[Mark, None] = {}
    for fields in _objects(answer):
        found |= dict.fromkeys(_marks(fields))
        if len(found) >= MOST:
            break
    return list(found)[:MOST]


def _objects(answer: str) -> Iterator[dict[str, list[str]]]:
    """Every whole object: the words and strings behind each of its names, lists in them flat; inner objects first."""
    stack: list[dict[str, list[str]]] = []
    values: list[str] = []
    at = answer.find("{")  # what is said around objects is no JSON
    while at >= 0 and (token := _TOKEN.search(answer, at)):
        at = token.end()
        match token[0]:
            case "{":
                stack.append({})
                values = []
            case "}":
                yield stack.pop()
                values = []
                at = at if stack else answer.find("{", at)
            case ":" if values:  # the last of them was no value
                values = stack[-1].setdefault(values.pop().lower(), [])
            case word if not word.startswith((":", "/", "#")):
                values.append(_unquoted(word))
            case _:
                pass  # a comment, or a colon behind nothing


def _unquoted(word: str) -> str:
    if word[0] not in "\"'":
        return word
    body = word[1:].removesuffix(word[0])
    try:
        return json.loads(f'"{body}"')
    except ValueError:
        return body


def _marks(fields: dict[str, list[str]]) -> Iterator[Mark]:
    name = next((name for name in _PLACES if name in fields), "")
    numbers = _numbers(" ".join(fields.get(name, [])))
    size = 2 if name in _POINTS or len(numbers) == 2 else 4
    if len(numbers) % size:
        return
    words = " ".join(next((" ".join(fields[label]) for label in _LABELS if label in fields), "").split())
    label = words[:_LABEL].encode("utf-8", "replace").decode()  # half of an escaped emoji is no text
    clicked = "".join(fields.get("next", [])).lower() in {"true", "1", "yes"}
    for at in range(0, len(numbers), size):
        across, down = sorted(numbers[at : at + size : 2]), sorted(numbers[at + 1 : at + size : 2])
        yield Mark((across[0], down[0], across[-1], down[-1]), label, clicked)


def _numbers(text: str) -> list[float]:
    """Numbers brought into 0..1000; none if anything else is among them."""
    try:
        numbers = [float(word) for word in re.split(r"[\s,;()\[\]]+", text) if word]
    except ValueError:
        return []
    return [min(max(number, 0.0), 1000.0) for number in numbers] if all(abs(n) <= _FURTHEST for n in numbers) else []


def draw(data: bytes, marks: Sequence[Mark]) -> bytes:
    """The photo with a numbered box or ring for each mark, JPEG or PNG: as large as it came, tiny ones larger."""
    image = _roomy(data)
    canvas = ImageDraw.Draw(image)
    font = _font(max(12, min(math.sqrt(image.width * image.height) / 40, min(image.size) / 4)))
    tags: list[Place] = []
    # The one to click comes last, over the others.
    for number, mark in sorted(enumerate(marks, 1), key=lambda pair: pair[1].next):
        left, top, right, bottom = _pixels(mark.box, image.size)
        line = max(2, round(font.size / (4 if mark.next else 8)))
        colour, shape = _colour(number), canvas.rectangle
        if (left, top) == (right, bottom):
            ring, shape = font.size * 0.6 + line, canvas.ellipse
            left, top, right, bottom = left - ring, top - ring, right + ring, bottom + ring
        for grown, stroke in ((3, "black"), (2, "white"), (1, "black"), (0, colour))[0 if mark.next else 2 :]:
            around = grown * max(1, round(font.size / 20))
            edges = (left - around, top - around, right + around, bottom + around)
            shape(edges, outline=stroke, width=line + 2 * around)
        _tag(canvas, font, number, left, top, tags)
    return _encoded(image)


def _tag(canvas: ImageDraw.ImageDraw, font: Font, number: int, left: float, top: float, tags: list[Place]) -> None:
    """Put a number above its corner, or below where there is no room, and beside the `tags` that are there already."""
    across, down = canvas.im.size
    width, height = font.size * (1 + len(str(number)) / 2), font.size * 1.25
    x = min(max(left, 0), across - width - 1)
    y = min(top - height if top >= height else max(top, 0), down - height - 1)
    while any(abs(x - a) < width and abs(y - b) < height for a, b in tags) and x + 2 * width < across:
        x += width / 2
    tags.append((x, y))
    canvas.rectangle((x, y, x + width, y + height), _colour(number), "black", max(1, round(font.size / 16)))
    canvas.text((x + width / 2, y + height / 2), str(number), "black", font, "mm")


def _colour(number: int) -> str:
    return _COLOURS[(number - 1) % len(_COLOURS)]


def crop(data: bytes, box: Box, margin: float = CROP_MARGIN) -> bytes:
    """The part of a photo that lies in this box and so much of it around, as JPEG or PNG at the photo's own pixels."""
    image = upright(data)
    (left, right), (top, bottom) = _widened(box[0], box[2], margin), _widened(box[1], box[3], margin)
    left, top, right, bottom = _pixels((left, top, right, bottom), image.size)
    part = image.crop((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)))
    return _encoded(part, 95)


def _widened(low: float, high: float, margin: float) -> tuple[float, float]:
    more = max((high - low) * margin, (_LEAST_CROP - (high - low)) / 2)
    return min(max(low - more, 0.0), 1000 - _LEAST_CROP), max(min(high + more, 1000.0), _LEAST_CROP)


def grid(data: bytes) -> bytes:
    """The photo, at most _GRID px long, as JPEG or PNG, with the numbers 1 to 9 in its cells: three by three."""
    image = _roomy(data)
    image.thumbnail((_GRID, _GRID))
    canvas, font = ImageDraw.Draw(image), _font(max(12, min(image.size) / 6))
    line = max(1, round(max(image.size) / 400))
    for third in (1000 / 3, 2000 / 3):
        for width, colour in ((3 * line, "black"), (line, "white")):
            for ends in ((third, 0, third, 1000), (0, third, 1000, third)):
                canvas.line(_pixels(ends, image.size), colour, width)
    for number in range(1, 10):
        left, top, right, bottom = _pixels(cell(number), image.size)
        middle = ((left + right) / 2, (top + bottom) / 2)
        canvas.text(middle, str(number), "white", font, "mm", stroke_width=font.size / 12, stroke_fill="black")
    return _encoded(image)


def cell(number: int) -> Box:
    """The box of one of the grid's cells, 1 to 9, with a tenth of each neighbour."""
    across, down = (
        (max(place * 1000 / 3 - _OVERLAP, 0.0), min((place + 1) * 1000 / 3 + _OVERLAP, 1000.0))
        for place in reversed(divmod(number - 1, 3))
    )
    return across[0], down[0], across[1], down[1]


def _roomy(data: bytes) -> Image.Image:
    image = upright(data)
    image = image if image.mode == "RGB" else image.convert("RGB")
    times = math.ceil(_ROOM / max(image.size))
    return image.resize((image.width * times, image.height * times)) if times > 1 else image


def _encoded(image: Image.Image, quality: int = 90) -> bytes:
    return encode(image, "" if image.width * image.height <= _PNG_PIXELS else "JPEG", quality)[0]


def _pixels(box: Box, size: tuple[int, int]) -> Box:
    across, down = size[0] / 1000, size[1] / 1000
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def _font(size: float) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, Font)  # with a size it is
    return font
