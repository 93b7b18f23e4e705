"""How long a minute of video takes until its frames are ready: `python -m bench.videos`; the last line is JSON.

The video is 60 s of H.264, 1280x720 at 30 frames a second, a picture that moves with things that move on it; it is read
in the confined child, as the bots do, for a context of 64K tokens (120 frames) and for one of 32K.
"""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any, cast

import av
from PIL import Image, ImageDraw

from bench.photos import picture
from bench.report import finish, say, target
from bots.videos import watch
from storage.vision import CHAT_LIMITS

SECONDS, RATE, WIDTH, HEIGHT = 60, 30, 1280, 720
ROUNDS = 5


def video() -> bytes:
    """The minute, with key frames as far apart as x264 puts them by itself (8 s)."""
    ground = picture(2 * WIDTH, 2 * HEIGHT)
    file, make = io.BytesIO(), cast("Any", av.VideoFrame).from_image
    container: Any = av.open(file, "w", format="mp4")  # half of PyAV's writing is untyped
    with container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(SECONDS * RATE):
            image = shown(ground, n)
            container.mux(stream.encode(make(image)))
        container.mux(stream.encode())
    return file.getvalue()


def shown(ground: Image.Image, n: int) -> Image.Image:
    """The n-th frame: the camera pans, a ball flies."""
    x, y = n * 2 % WIDTH, n % HEIGHT
    image = ground.crop((x, y, x + WIDTH, y + HEIGHT))
    x, y = n * 7 % WIDTH, n * 5 % HEIGHT
    ImageDraw.Draw(image).ellipse((x, y, x + 200, y + 200), fill=(n % 256, 80, 200), outline="white")
    return image


async def measure(data: bytes, context: int) -> dict[str, float]:
    """Seconds of the quickest, the middle and the slowest round, and what came out."""
    taken: list[float] = []
    found = await watch(data, context, CHAT_LIMITS)  # once unmeasured: files come into the system's cache
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = await watch(data, context, CHAT_LIMITS)
        taken.append(time.perf_counter() - begun)
    photo = found.frames[0].photo.photo
    return {
        "least_s": round(min(taken), 3),
        "p50_s": round(sorted(taken)[ROUNDS // 2], 3),
        "most_s": round(max(taken), 3),
        "frames": len(found.frames),
        "width": photo.width,
        "height": photo.height,
        "bytes": sum(frame.photo.photo.size for frame in found.frames),
        "sheet_bytes": len(found.sheet),
    }


def main() -> None:
    """Measure and print."""
    say("making the video …")
    data = video()
    results = {f"context {context}": asyncio.run(measure(data, context)) for context in (65_536, 32_768)}
    for name, result in results.items():
        say(f"{name}: {result}")
    slowest = max(result["p50_s"] for result in results.values())
    finish("videos", {"video_bytes": len(data), "results": results}, {"frames_ready_s": target(slowest, at_most=3)})


if __name__ == "__main__":
    main()
