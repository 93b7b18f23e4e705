"""A video as the model gets it: upright frames, evenly over its whole length, each with its time, and a sheet of them.

Foreign errors: everything that PyAV raises becomes storage.messages.Refused here, once. The file is read in a confined
child; formats that name other files or addresses (playlists, concat) are not opened.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Transpose

from bots.confined import confined
from bots.photos import DAMAGE, Prepared, encode, flat, named
from storage.messages import Refused
from storage.vision import TOKEN_PIXELS, PixelLimits, fit, image_tokens, share

MAX_SECONDS = 600
FPS = 2.0  # Qwen3-VL's own rate
MIN_FRAMES, MAX_FRAMES = 4, 120  # of videos that have as many
FRAME_TOKENS = 128  # fewer, larger frames from here on: about 416x320 px, where faces and print begin to be seen
MOST_TOKENS = 768  # Qwen3-VL's own limit for a frame
LEAD_TOKENS = 9  # "<599.5 seconds>": Qwen counts every digit
MAX_SIDE = 8192  # px
MAX_PIXELS = 40_000_000

_FORMATS = "mov,matroska,webm,avi,gif,apng,mpegts,mpeg,flv,ogg"
_THREADS = 4  # more hold more frames at once, of 150 MB at worst
_TURNS = (None, Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)

SHEET_FRAMES = 36
SHEET_WIDTH = 1600  # px
_GAP = 6

Sample = tuple[float, bytes, int, int]


class Frame(NamedTuple):
    """What is seen `seconds` after the beginning; the photo's lead says it to the model."""

    seconds: float
    photo: Prepared


class Video(NamedTuple):
    """The sampled frames, in order, and all of them (36 at most) on one JPEG."""

    frames: list[Frame]
    sheet: bytes


async def watch(data: bytes, context: int, limits: PixelLimits) -> Video:
    """The frames of a video that together take at most half of `context` tokens.

    Raises Refused with code empty, broken_video, no_picture_in_video, video_too_long (limit: minutes),
    video_too_many_pixels (limit: megapixels), too_narrow (limit: aspect ratio) or too_hard.
    """
    samples, sheet = await confined(sample, data, context, limits.min_pixels, limits.max_pixels)
    frames = [Frame(at, named(jpeg, "image/jpeg", (width, height), lead(at))) for at, jpeg, width, height in samples]
    return Video(frames, sheet)


def lead(seconds: float) -> str:
    """What Qwen3-VL is told before a frame."""
    return f"<{seconds:.1f} seconds>"


def clock(seconds: float) -> str:
    """What people are told: m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def frames_for(seconds: float, context: int, limits: PixelLimits) -> tuple[int, PixelLimits]:
    """How many frames of a video of this length, and each one's limits, so that together they take half the context."""
    limits = PixelLimits(limits.min_pixels, max(limits.least_room, min(limits.max_pixels, MOST_TOKENS * TOKEN_PIXELS)))
    least = max(image_tokens(1, limits.least_room), min(FRAME_TOKENS, image_tokens(1, limits.max_pixels)))
    most = min(MAX_FRAMES, context // 2 // (least + LEAD_TOKENS), math.ceil(seconds * FPS))
    count = max(MIN_FRAMES, most)
    return count, share(limits, count, context - 2 * count * LEAD_TOKENS)


def sample(data: bytes, context: int, min_pixels: int, max_pixels: int) -> tuple[list[Sample], bytes]:
    """The reader, confined: (seconds, JPEG, width, height) of each frame, and the sheet. Raises as `watch` does."""
    if not data:
        raise Refused("empty")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
    try:
        data = _apng(data) if data[8:12] == b"WEBP" else data
        with av.open(io.BytesIO(data), "r", options=options, metadata_errors="ignore") as container:
            samples = list(_samples(container, context, PixelLimits(min_pixels, max_pixels)))
    except (FFmpegError, Image.DecompressionBombError, *DAMAGE) as error:
        raise Refused("broken_video") from error
    if not samples:
        raise Refused("broken_video")
    return samples, contact_sheet([(jpeg, clock(seconds)) for seconds, jpeg, _, _ in samples])


def _apng(webp: bytes) -> bytes:
    """An animation in a form that FFmpeg reads."""
    file = io.BytesIO()
    Image.open(io.BytesIO(webp), formats=["WEBP"]).save(file, "PNG", save_all=True, compress_level=1)
    return file.getvalue()


def _samples(container: InputContainer, context: int, limits: PixelLimits) -> Iterator[Sample]:
    stream = _stream(container)
    packets = list(_packets(container, stream))
    times = sorted({at for packet in packets if (at := _at(packet)) is not None})
    if not times or not stream.time_base:
        return
    seconds = float((times[-1] - times[0]) * stream.time_base)
    if seconds > MAX_SECONDS:
        raise Refused("video_too_long", limit=MAX_SECONDS // 60)
    count, limits = frames_for(seconds, context, limits)
    # What is shown at each of `count` even times, the first and the last frame among them.
    even = (times[0] + (times[-1] - times[0]) * n // (count - 1) for n in range(count))
    wanted = sorted({times[bisect_right(times, at) - 1] for at in even})
    scaler = VideoReformatter()
    for at, frame in _decoded(stream, packets, wanted):
        image = _upright(scaler, frame, stream.sample_aspect_ratio, limits)
        yield float((at - times[0]) * stream.time_base), encode(image, "JPEG")[0], image.width, image.height


def _stream(container: InputContainer) -> VideoStream:
    """The moving picture, unless its header says that it is too long or too large."""
    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        raise Refused("no_picture_in_video")
    if (container.duration or 0) > MAX_SECONDS * 1_000_000:
        raise Refused("video_too_long", limit=MAX_SECONDS // 60)
    context = streams[0].codec_context
    if not context:  # of a codec that FFmpeg does not know
        raise Refused("broken_video")
    if max(context.width, context.height) > MAX_SIDE or context.width * context.height > MAX_PIXELS:
        raise Refused("video_too_many_pixels", limit=MAX_PIXELS // 1_000_000)
    context.options = {"max_pixels": str(MAX_PIXELS)}  # should the data say otherwise than the header
    context.thread_count, context.thread_type = _THREADS, ThreadType.AUTO
    return streams[0]


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Everything up to where the file is damaged; no decoding yet."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except FFmpegError:
        return


def _at(part: Packet[VideoStream] | VideoFrame) -> int | None:
    return part.dts if part.pts is None else part.pts  # AVI has no pts


def _decoded(
    stream: VideoStream, packets: Sequence[Packet[VideoStream]], wanted: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted frames with their times, the next whole ones where those are damaged; little else is decoded."""
    context, left, next_packet = stream.codec_context, deque(wanted), 0
    begins = _begins(packets, set(wanted))
    while left and next_packet <= len(packets):
        if begins[left[0]] > next_packet:
            context.flush_buffers()
            next_packet = begins[left[0]]
        packet = packets[next_packet] if next_packet < len(packets) else None  # None: give what is left
        next_packet += 1
        context.skip_frame = "DEFAULT" if packet is None or packet.pts is None or packet.pts in begins else "NONREF"
        try:
            frames = context.decode(packet)  # pyright: ignore[reportUnknownMemberType] : its stub leaves out of what a packet is
        except FFmpegError:
            continue
        for frame in frames:
            at = _at(frame)
            if at is not None and left and at >= left[0]:
                yield at, frame
                while left and at >= left[0]:
                    left.popleft()


def _begins(packets: Sequence[Packet[VideoStream]], wanted: set[int]) -> dict[int, int]:
    """For each wanted time the packet (its index) from which on decoding shows it: the key frame at or before it."""
    begins: dict[int, int] = {}
    keys = [(0, -math.inf)]
    for index, packet in enumerate(packets):
        at = _at(packet)
        if at is not None and packet.is_keyframe:
            keys.append((index, at))
        if at in wanted:
            begins.setdefault(at, next(key for key, shown in reversed(keys) if shown <= at))
    return begins


def _upright(scaler: VideoReformatter, frame: VideoFrame, ratio: Fraction | None, limits: PixelLimits) -> Image.Image:
    """The frame at the size that the model sees, as a player shows it: square pixels, upright, on white."""
    turns = round(frame.rotation / 90) % 4
    width, height = max(1, round(frame.width * (ratio or 1))), frame.height
    fitted = fit(height, width, limits) if turns % 2 else fit(width, height, limits)
    width, height = (fitted[1], fitted[0]) if turns % 2 else fitted
    mode = "RGBA" if any(component.is_alpha for component in frame.format.components) else "RGB"
    scaled = scaler.reformat(frame, width, height, mode.lower() + "24" * (mode == "RGB"), interpolation="BICUBIC")
    plane = scaled.planes[0]
    image = Image.frombytes(mode, (width, height), bytes(plane), "raw", mode, plane.line_size)
    image = flat(image, "video")
    return image.transpose(turn) if (turn := _TURNS[turns]) is not None else image


def contact_sheet(frames: Sequence[tuple[bytes, str]]) -> bytes:
    """A JPEG of a video's frames (their bytes, what is written on them), at most 36 of them and 1600 px wide."""
    count = min(SHEET_FRAMES, len(frames))
    shown = [frames[n * (len(frames) - 1) // max(1, count - 1)] for n in range(count)]
    columns = math.ceil(math.sqrt(count))
    side = (SHEET_WIDTH - _GAP) // columns - _GAP
    images = [Image.open(io.BytesIO(data), formats=["JPEG"]) for data, _ in shown]
    for image in images:
        image.thumbnail((side, side))
    width, height = (max(image.size[axis] for image in images) + _GAP for axis in (0, 1))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(count / columns) * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(max(14, side // 14))
    for n, (image, (_, text)) in enumerate(zip(images, shown, strict=True)):
        x, y = n % columns * width + _GAP, n // columns * height + _GAP
        sheet.paste(image, (x, y))
        draw.text((x + 6, y + image.height - 6), text, "white", font, "lb", stroke_width=2, stroke_fill="black")
    return encode(sheet, "JPEG", 85)[0]
