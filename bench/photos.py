"""How long preparing a photo takes, one at a time: `python -m bench.photos`; the last line is JSON."""

from __future__ import annotations

import io
import json
import platform
import random
import statistics
import time

from PIL import Image, ImageDraw, features

from bots.photos import prepare
from storage.vision import CHAT_LIMITS

ROUNDS = {"jpeg 4000x3000": 30, "png 4000x3000": 10}  # others: 200


def picture(width: int, height: int) -> Image.Image:
    """Colour at all scales, from skies to grain, and sharp edges: a JPEG of it is as large as a photo's."""
    rng = random.Random(3)
    image = Image.new("RGB", (width, height), "grey")
    for cells, weight in ((6, 0.7), (40, 0.4), (250, 0.2), (width // 3, 0.08)):
        size = (cells, max(1, cells * height // width))
        noise = Image.frombytes("RGB", size, rng.randbytes(size[0] * size[1] * 3))
        scaled = noise.resize((width, height), Image.Resampling.BICUBIC)
        image = Image.blend(image, scaled, weight)
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y, r = rng.randrange(width), rng.randrange(height), rng.randrange(10, width // 10)
        draw.ellipse((x, y, x + r, y + r), outline="white", fill=(rng.randrange(256), rng.randrange(256), 0))
    return image


def encoded(width: int, height: int, kind: str) -> bytes:
    """Quality 87 is about what Telegram's apps send."""
    file = io.BytesIO()
    options = {"quality": 87} if kind == "JPEG" else {"compress_level": 1}
    picture(width, height).save(file, kind, **options)
    return file.getvalue()


def measure(data: bytes, rounds: int) -> dict[str, float | int | str]:
    """p50 and p99 in ms, and what went in and came out."""
    taken: list[float] = []
    prepared = prepare(data, CHAT_LIMITS)  # once unmeasured: Pillow loads its plug-in
    for _ in range(rounds):
        start = time.perf_counter()
        prepare(data, CHAT_LIMITS)
        taken.append((time.perf_counter() - start) * 1000)
    return {
        "p50_ms": round(statistics.median(taken), 1),
        "p99_ms": round(statistics.quantiles(taken, n=100, method="inclusive")[98], 1),
        "rounds": rounds,
        "bytes_in": len(data),
        "bytes_out": prepared.photo.size,
        "out": f"{prepared.photo.mime} {prepared.photo.width}x{prepared.photo.height}",
    }


def main() -> None:
    """Measure and print."""
    inputs = {
        "jpeg 1280x960 (passes through)": encoded(1280, 960, "JPEG"),
        "jpeg 1280x720": encoded(1280, 720, "JPEG"),
        "jpeg 960x1280, on its side": turned(encoded(1280, 960, "JPEG")),
        "jpeg 4000x3000": encoded(4000, 3000, "JPEG"),
        "png 4000x3000": encoded(4000, 3000, "PNG"),
    }
    results = {name: measure(data, ROUNDS.get(name, 200)) for name, data in inputs.items()}
    for name, result in results.items():
        print(f"{name:32} {result}")
    machine = f"{platform.machine()}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    print(json.dumps({"bench": "photos", "machine": machine, "results": results}))


def turned(jpeg: bytes) -> bytes:
    """The same JPEG, marked to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, "JPEG", quality="keep", exif=exif)
    return file.getvalue()


if __name__ == "__main__":
    main()
