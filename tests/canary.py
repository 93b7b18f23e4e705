"""Pictures that carry a number: whoever gets one, scaled and encoded anew, can say which it was."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

SIDE, CELL = 4, 64  # cells a side; pixels of one
LEVELS = (0, 255)


def canary(number: int) -> bytes:
    """A JPEG that carries a number below 2^14; the first cell is black and the last white."""
    image = Image.new("L", (SIDE * CELL, SIDE * CELL))
    draw = ImageDraw.Draw(image)
    for at in range(SIDE * SIDE):
        bit = at == SIDE * SIDE - 1 or (0 < at < SIDE * SIDE - 1 and number >> (at - 1) & 1)
        x, y = at % SIDE * CELL, at // SIDE * CELL
        draw.rectangle((x, y, x + CELL, y + CELL), LEVELS[int(bool(bit))])
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=92)
    return file.getvalue()


def number_of(picture: bytes) -> int:
    """The number that a picture carries, whatever its size. Raises ValueError for another picture."""
    shown = Image.open(io.BytesIO(picture)).convert("L")
    image = shown.resize((SIDE, SIDE), Image.Resampling.BOX)
    bits = [level > 127 for level in image.tobytes()]
    if bits[0] or not bits[-1]:
        raise ValueError("this picture carries no number")
    return sum(1 << at for at, bit in enumerate(bits[1:-1]) if bit)
