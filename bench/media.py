"""How soon the engine is asked about a video or a document: `python -m bench.media [ROUNDS]`; the last line is JSON.

The roles are real processes; Telegram and an engine that answers at once are emulated in this one, over real HTTP on
the loopback. From the update, which the adapter is polling for, to the chat request with all frames or pages.
"""

from __future__ import annotations

import asyncio
import io
import math
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av

from bench.photos import picture
from bench.report import finish, say, spread, target
from tests import exhibits
from tests.bots.papers import paper
from tests.exhibits import shown
from tests.road import Road, open_road

SECONDS, RATE, SIZE = 60, 30, (1280, 720)
PAGES, ANSWER_ON = 300, 217
VIDEO_TARGET = 4.0  # seconds


def film() -> bytes:
    """A minute of 720p as phones make it: a camera that moves over something with all kinds of detail."""
    file, from_image = io.BytesIO(), cast("Any", av.VideoFrame).from_image
    ground = picture(SIZE[0] + 400, SIZE[1] + 240)
    target_: Any = av.open(file, "w", format="mp4")  # half of PyAV's writing is untyped
    with target_ as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "17"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for n in range(SECONDS * RATE):
            turn = n / RATE / 3
            x, y = round(200 + 200 * math.sin(turn)), round(120 + 120 * math.cos(turn))
            container.mux(stream.encode(from_image(ground.crop((x, y, x + SIZE[0], y + SIZE[1])))))
        container.mux(stream.encode())
    return file.getvalue()


async def timed(road: Road, words: str, message: dict[str, Any]) -> tuple[float, exhibits.Shown]:
    """Seconds from a message to the engine's request with these words, and what it shows."""
    await road.engine.changes.until(lambda: any(words in str(r.body["messages"][-1]) for r in road.asked()), 120)
    (request,) = [request for request in road.asked() if words in str(request.body["messages"][-1])]
    return request.at - message["at"], shown(request)


async def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds, by what was sent."""
    video, document = film(), paper(exhibits.report(PAGES, ANSWER_ON, "The heron on the roof weighs 1,742 grams."))
    say(f"video: {SECONDS} s of {SIZE[0]}x{SIZE[1]}, {RATE} frames/s, {len(video):,} bytes")
    say(f"document: {PAGES} pages, {len(document):,} bytes")
    took: dict[str, list[float]] = {"video": [], "document": []}
    with TemporaryDirectory() as folder:
        async with open_road(Path(folder), reply=lambda _: ["Yes."]) as road:
            road.engine.token_bytes = 3  # about as Qwen's tokenizer
            for n in range(rounds):
                user = road.telegram.user(2000 + n)
                about = {"duration": SECONDS, "width": SIZE[0], "height": SIZE[1], "mime_type": "video/mp4"}
                stored = road.telegram.world.store(video, f"videos/{n}.mp4")
                asking = await user.send(user.private, video=about | stored, caption=f"What happens in film {n}?")
                seconds, got = await timed(road, f"film {n}?", asking)
                took["video"].append(seconds)
                width, height = got.pictures[0].size
                say(f"video {n}: {seconds:.2f} s, {len(got.pictures)} frames of {width}x{height}")
                words = f"How much does heron {n} weigh?"
                asking = await user.send_document(user.private, document, "a.pdf", "application/pdf", caption=words)
                seconds, got = await timed(road, words, asking)
                took["document"].append(seconds)
                numbers = re.findall(r"\[Page (\d+)\]", got.words)
                assert str(ANSWER_ON) in numbers
                say(f"document {n}: {seconds:.2f} s, {len(numbers)} pages, page {ANSWER_ON} among them")
    return took


def main() -> None:
    """Measure and print."""
    took = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    results = {name: spread(seconds) for name, seconds in took.items()}
    finish("media", {"results": results}, {"video": target(max(took["video"]), at_most=VIDEO_TARGET)})


if __name__ == "__main__":
    main()
