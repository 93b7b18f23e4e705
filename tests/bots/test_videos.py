"""Sampling a video: what nobody can watch is refused in one sentence, all else gives upright frames at true times."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bots.videos import MAX_FRAMES, MIN_FRAMES, Frame, clock, contact_sheet, frames_for, lead, sample, watch
from storage.messages import Refused
from storage.vision import CHAT_LIMITS, PixelLimits, image_tokens
from tests.bots.clips import CONTEXT, animated, clip, hue, hues, picture, sampled, sound
from tests.bots.pictures import GREEN, RED, WHITE, halves, near

CODES = {"broken_video", "no_picture_in_video", "video_too_long", "video_too_many_pixels", "too_narrow", "empty"}
QUIET = {"libx265": {"x265-params": "log-level=none"}}
DEMO = PixelLimits(4_096, 102_400)


def refusal(video: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        sampled(video)
    return refused.value


def outcome(video: bytes) -> str:
    """The code of the refusal, or "" after looking at the frames."""
    try:
        assert all(map(picture, sampled(video)))
    except Refused as refused:
        return refused.code
    return ""


@cache
def samples() -> list[bytes]:
    """Small videos of several kinds."""
    return [
        clip(hues(12, (64, 64))),
        clip(hues(12, (64, 64)), "matroska", "mpeg4"),
        clip(hues(12, (64, 64)), "webm", "libvpx-vp9"),
        clip(hues(12, (64, 64)), "avi", "mpeg4"),
        animated("GIF", hues(6, (64, 64))),
        animated("WEBP", hues(6, (64, 64))),
    ]


def with_length(matroska: bytes, seconds: int) -> bytes:
    """A file whose header says this length; it is written in milliseconds."""
    at = matroska.index(b"\x44\x89\x88") + 3
    return matroska[:at] + struct.pack(">d", seconds * 1000) + matroska[at + 8 :]


# --- what cannot be watched


@pytest.mark.parametrize("data", [b"\0" * 100, b"hello", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", b"GIF89a"])
def test_what_is_no_video_is_refused(data: bytes) -> None:
    assert refusal(data).code == "broken_video"


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").code == "empty"


def test_a_file_with_sound_only_is_refused() -> None:
    assert refusal(sound()).code == "no_picture_in_video"


def test_ten_hours_by_the_header_are_refused_before_anything_is_read() -> None:
    refused = refusal(with_length(clip(hues(10), "matroska"), 36_000))
    assert (refused.code, refused.details) == ("video_too_long", {"limit": 10})


def test_frames_eleven_minutes_apart_are_too_long_whatever_the_header_says() -> None:
    video = clip(hues(4), "matroska", at=(0, 10, 20, 6_600))
    assert refusal(with_length(video, 1)).code == "video_too_long"


def test_a_picture_of_more_than_eight_thousand_pixels_a_side_is_refused() -> None:
    refused = refusal(clip(hues(1, (8_320, 64))))
    assert (refused.code, refused.details) == ("video_too_many_pixels", {"limit": 40})


def test_a_playlist_opens_no_other_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "other.mp4"
    other.write_bytes(clip(hues(10)))
    for listed in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {other}\n",
        f'<?xml version="1.0"?><MPD><BaseURL>file://{other}</BaseURL></MPD>',
    ):
        assert refusal(listed.encode()).code == "broken_video"


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_a_file_cut_off_anywhere_gives_its_first_frames_or_a_refusal(kind: str) -> None:
    video = clip(hues(30), kind)
    for tenth in range(1, 10):
        assert outcome(video[: len(video) * tenth // 10]) in {"", *CODES}
    if kind != "mp4":  # whose table of contents comes last
        assert hue(sampled(video[: len(video) // 2])[0]) < 0.1


def test_a_hole_in_the_middle_costs_only_the_frames_there() -> None:
    video = bytearray(clip(hues(60), "mpegts", options={"g": "10"}))
    middle = len(video) // 2
    video[middle : middle + 2_000] = bytes(2_000)
    frames = sampled(bytes(video))
    assert hue(frames[0]) < 0.1 and hue(frames[-1]) > 0.85


@settings(max_examples=300, deadline=None, derandomize=True)  # a crash of FFmpeg's is for the cell to hold
@given(st.data())
def test_damaged_bytes_give_frames_or_a_refusal(data: st.DataObject) -> None:
    video = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(1, 8))):
        end = data.draw(st.sampled_from((100, 1_000, len(video))))
        video[data.draw(st.integers(0, min(end, len(video)) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(video)) in {"", *CODES}


# --- what comes out


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("mp4", "libx264"),
        ("mp4", "libx265"),
        ("mov", "mjpeg"),
        ("webm", "libvpx-vp9"),
        ("matroska", "libx264"),
        ("avi", "mpeg4"),
        ("mpegts", "libx264"),
        ("flv", "flv"),
    ],
)
def test_every_kind_of_video_is_sampled_evenly_with_true_times(kind: str, codec: str) -> None:
    frames = sampled(clip(hues(40), kind, codec, options=QUIET.get(codec)))
    times = [seconds for seconds, *_ in frames]
    assert times == pytest.approx([0, 0.5, 1.1, 1.6, 2.2, 2.7, 3.3, 3.9], abs=0.05)
    assert [hue(frame) for frame in frames] == pytest.approx([seconds / 4 for seconds in times], abs=0.06)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_videos_too(kind: str) -> None:
    frames = sampled(animated(kind, hues(40)))
    assert len(frames) == 8 and frames[-1][0] == pytest.approx(3.9, abs=0.05)
    assert [hue(frame) for frame in frames] == pytest.approx([seconds / 4 for seconds, *_ in frames], abs=0.04)


@pytest.mark.parametrize(("kind", "options"), [("GIF", {"disposal": 2}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_what_is_transparent_in_an_animation_is_white(kind: str, options: dict[str, object]) -> None:
    frames: list[Image.Image] = []
    for n in range(4):
        frames.append(Image.new("RGBA", (256, 256)))
        ImageDraw.Draw(frames[-1]).rectangle((0, 128, 100 + n, 256), fill="red")
    image = picture(sampled(animated(kind, frames, **options))[-1])
    assert near(image, (0.2, 0.2), WHITE) and near(image, (0.2, 0.8), RED)


def test_a_video_of_one_frame_and_a_still_one_give_that_frame_once() -> None:
    assert [seconds for seconds, *_ in sampled(clip(hues(1)))] == [0]
    assert len(sampled(animated("GIF", hues(1)))) == 1


def test_of_a_recording_of_a_still_screen_each_picture_is_sent_once_with_its_time() -> None:
    """Ten frames in the first second, then one that stays for a minute."""
    frames = sampled(clip(hues(12), "matroska", at=(*range(11), 600)))
    assert [seconds for seconds, *_ in frames] == pytest.approx([0, 0.5, 1, 60], abs=0.01)


def test_a_stream_that_tells_no_length_is_read_to_its_end() -> None:
    frames = sampled(clip(hues(40), "matroska", options={"live": "1"}))
    assert frames[-1][0] == pytest.approx(3.9, abs=0.01)


@pytest.mark.parametrize(
    ("turned", "size", "red"),
    [
        (0, (384, 192), (0.25, 0.5)),
        (90, (192, 384), (0.5, 0.75)),
        (-90, (192, 384), (0.5, 0.25)),
        (180, (384, 192), (0.75, 0.5)),
    ],
)
def test_a_phone_s_video_comes_out_upright(turned: int, size: tuple[int, int], red: tuple[float, float]) -> None:
    image = picture(sampled(clip([halves(320, 160)] * 5, turned=turned))[0])
    assert image.size == size
    assert near(image, red, RED) and near(image, (1 - red[0], 1 - red[1]), GREEN)


def test_pixels_that_are_not_square_come_out_square() -> None:
    assert sampled(clip(hues(5, (320, 320)), squeezed=Fraction(1, 2)))[0][2:] == (192, 384)


@pytest.mark.parametrize(
    "options", [{"g": "10"}, {"g": "7", "bf": "3"}, {"g": "1000", "bf": "4"}, {"g": "12", "flags": "-cgop"}]
)
def test_far_apart_frames_are_found_whatever_lies_between_their_key_frames(options: dict[str, str]) -> None:
    """Ten seconds in four frames: most of it is not decoded."""
    frames = sample(clip(hues(100), options=options), 1_000, 4_096, 102_400)[0]
    assert [seconds for seconds, *_ in frames] == pytest.approx([0, 3.3, 6.6, 9.9], abs=0.01)
    assert [hue(frame) for frame in frames] == pytest.approx([0, 0.33, 0.66, 0.99], abs=0.04)


@given(st.floats(0, 600), st.integers(2_048, 262_144), st.sampled_from((CHAT_LIMITS, DEMO, PixelLimits())))
def test_all_frames_together_take_at_most_half_the_context(seconds: float, context: int, limits: PixelLimits) -> None:
    count, each = frames_for(seconds, context, limits)
    assert MIN_FRAMES <= count <= MAX_FRAMES
    tokens = image_tokens(1, each.max_pixels)
    assert count * (tokens + 9) <= context // 2 or count == MIN_FRAMES
    assert tokens >= min(126, image_tokens(1, limits.max_pixels))


def test_a_minute_is_watched_at_two_frames_a_second_where_there_is_room() -> None:
    assert frames_for(60, 65_536, CHAT_LIMITS)[0] == 120
    assert frames_for(60, 32_768, CHAT_LIMITS)[0] in range(110, 121)
    assert frames_for(60, 2_048, DEMO)[0] == 9
    count, each = frames_for(1, 262_144, PixelLimits())
    assert (count, image_tokens(1, each.max_pixels)) == (4, 770)


async def test_watching_gives_photos_that_say_their_times_and_a_sheet() -> None:
    video = await watch(clip(hues(40)), CONTEXT, CHAT_LIMITS)
    assert [frame.photo.photo.lead for frame in video.frames[:3]] == ["<0.0 seconds>", "<0.5 seconds>", "<1.1 seconds>"]
    assert all(isinstance(frame, Frame) and frame.photo.photo.mime == "image/jpeg" for frame in video.frames)
    assert Image.open(io.BytesIO(video.sheet)).format == "JPEG"


async def test_a_refusal_comes_out_of_the_cell_as_it_is() -> None:
    with pytest.raises(Refused) as refused:
        await watch(with_length(clip(hues(10), "matroska"), 36_000), CONTEXT, CHAT_LIMITS)
    assert (refused.value.code, refused.value.details) == ("video_too_long", {"limit": 10})


def test_times_are_said_to_the_model_and_to_people() -> None:
    assert lead(0) == "<0.0 seconds>" and lead(61.25) == "<61.2 seconds>"
    assert clock(0.9) == "0:00" and clock(61) == "1:01" and clock(599.9) == "9:59"


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (4, 2), (5, 2), (36, 6), (120, 6)])
def test_a_sheet_holds_at_most_36_frames_and_is_not_too_wide(count: int, rows: int) -> None:
    jpeg = io.BytesIO()
    hues(1, (640, 320))[0].save(jpeg, "JPEG")
    sheet = Image.open(io.BytesIO(contact_sheet([(jpeg.getvalue(), clock(n)) for n in range(count)])))
    assert sheet.width <= 1_600
    columns = {1: 1, 2: 2, 4: 2, 5: 3}.get(count, 6)
    assert sheet.width / columns == pytest.approx(2 * sheet.height / rows, rel=0.06)
