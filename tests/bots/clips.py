"""Videos for tests, whose colours tell the time, and how to look at the frames that were sampled."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, cast

import av
from PIL import Image, ImageDraw

from bots.videos import Sample, sample

CONTEXT, MIN_PIXELS, MAX_PIXELS = 32_768, 65_536, 1_310_720


def hues(count: int, size: tuple[int, int] = (320, 240)) -> list[Image.Image]:
    """Pictures from blue to red, with something that moves."""
    frames: list[Image.Image] = []
    for n in range(count):
        frames.append(Image.new("RGB", size, (n * 255 // count, 80, 255 - n * 255 // count)))
        ImageDraw.Draw(frames[-1]).rectangle((10, 10, 10 + n * 4 % 200, 40), fill="white")
    return frames


def clip(
    frames: Iterable[Image.Image],
    kind: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    *,
    at: Sequence[int] = (),
    turned: int | None = None,
    squeezed: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A video of pictures of one size; `at` are their times in frames, `turned` the degrees it is shown turned by."""
    file, make = io.BytesIO(), cast("Any", av.VideoFrame).from_image
    target: Any = av.open(file, "w", format=kind)  # half of PyAV's writing is untyped
    with target as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        for n, image in enumerate(frames):
            if not n:
                stream.width, stream.height = image.size
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                if squeezed:
                    stream.codec_context.sample_aspect_ratio = squeezed
                if turned is not None:
                    stream.set_display_rotation(turned)
            frame = make(image)
            if at:
                frame.pts, frame.time_base = at[n], Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def sound() -> bytes:
    """A second of silence."""
    file = io.BytesIO()
    target: Any = av.open(file, "w", format="mp4")
    with target as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def animated(kind: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    """A GIF, WebP or PNG of ten pictures a second."""
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100, **options)
    return file.getvalue()


def sampled(video: bytes, context: int = CONTEXT) -> list[Sample]:
    """The frames, read in this process."""
    return sample(video, context, MIN_PIXELS, MAX_PIXELS)[0]


def picture(frame: Sample) -> Image.Image:
    """A sampled frame, after checking that its record tells the truth."""
    image = Image.open(io.BytesIO(frame[1]), formats=["JPEG"])
    assert image.size == frame[2:] and image.mode == "RGB"
    assert image.width % 32 == image.height % 32 == 0
    return image


def hue(frame: Sample) -> float:
    """How far from blue (0) to red (1) the middle of a frame is."""
    pixel = picture(frame).getpixel((frame[2] // 2, frame[3] // 2))
    assert isinstance(pixel, tuple)
    return pixel[0] / 255
