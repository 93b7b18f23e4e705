"""Pictures for tests: how to make them, and how to look at what became of them."""

from __future__ import annotations

import hashlib
import io
import random
import struct

from PIL import Image, ImageDraw

from bots.photos import Prepared
from storage.vision import PixelLimits

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"]
SMALL = PixelLimits(4_096, 65_536)
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(width: int = 128, height: int = 64) -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    return image


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))


def photo(width: int, height: int) -> Image.Image:
    """Smooth, with some detail, so that a JPEG of it has a usual size."""
    image = noise(16, 16).resize((width, height))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill=RED, outline=WHITE)
    return image


def shown(prepared: Prepared) -> Image.Image:
    """The prepared picture, after checking that its record tells the truth."""
    image = Image.open(io.BytesIO(prepared.data), formats=["JPEG", "PNG"])
    image.load()
    record = prepared.photo
    assert record.sha256 == hashlib.sha256(prepared.data).hexdigest()
    assert record.size == len(prepared.data)
    assert record.mime == f"image/{(image.format or '').lower()}"
    assert (record.width, record.height) == image.size
    assert record.width % 32 == record.height % 32 == 0
    assert image.mode in ("L", "RGB")
    assert not {"exif", "icc_profile", "comment", "xmp", "photoshop", "transparency"} & image.info.keys()
    return image.convert("RGB")


def near(image: Image.Image, at: tuple[float, float], colour: tuple[int, ...], tolerance: int = 6) -> bool:
    """Whether the pixel at these fractions of width and height has this colour."""
    pixel = image.getpixel((int(image.width * at[0]), int(image.height * at[1])))
    assert isinstance(pixel, tuple)
    return all(abs(got - wanted) <= tolerance for got, wanted in zip(pixel, colour, strict=True))


def display_p3() -> bytes:
    """A minimal ICC profile with the primaries of Display P3 (adapted to D50) and a gamma of 2.2."""
    primaries = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2920, 0.6922, 0.0419),
        b"bXYZ": (0.1571, 0.0666, 0.7841),
        b"wtpt": (0.9642, 1.0, 0.8249),
    }
    tags = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz)) for name, xyz in primaries.items()
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(2.2 * 256))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(tag))
        body += tag
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s12x4s", at + len(body), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (header + b"\0" * 28 + illuminant).ljust(128, b"\0") + table + body
