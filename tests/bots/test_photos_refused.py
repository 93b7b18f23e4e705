"""Preparing what is no photo, or a damaged one: a refusal that says why, and never anything else."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bots.photos import prepare
from storage.messages import Refused
from storage.vision import PixelLimits
from tests.bots.pictures import FORMATS, RED, SMALL, display_p3, encoded, halves, noise, photo, shown

CODES = {"empty", "too_large", "not_an_image", "unsupported_image", "broken_image", "too_many_pixels", "too_narrow"}


def refusal(data: bytes, limits: PixelLimits = SMALL) -> Refused:
    with pytest.raises(Refused) as refused:
        prepare(data, limits)
    return refused.value


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def tiff(strips: int) -> bytes:
    """A TIFF whose table of strips has this many entries, all of them the same place."""
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, strips, 110)]
    tags += [(277, 3, 1, 1), (278, 4, 1, 1)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + b"\0\0\0\0" + struct.pack("<I", 8) * strips


@pytest.mark.parametrize(
    "data", [b"hello, this is no picture", b"\0" * 100, b"<html><body>404</body></html>", b"BM" * 9]
)
def test_what_is_no_image_is_refused_as_such(data: bytes) -> None:
    assert refusal(data).code == "not_an_image"


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").code == "empty"


def test_a_file_over_20_megabytes_is_refused_before_it_is_looked_at() -> None:
    refused = refusal(b"x" * 20_000_001)
    assert (refused.code, refused.details) == ("too_large", {"limit": 20})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "video"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "video"),
        (b"8BPS\0\x01", "PSD"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_a_kind_that_cannot_be_read_is_named(data: bytes, kind: str) -> None:
    refused = refusal(data)
    assert (refused.code, refused.details) == ("unsupported_image", {"kind": kind})


def test_a_tiff_of_measurements_is_not_taken_for_a_photo() -> None:
    assert refusal(encoded(Image.new("F", (64, 64), 0.5), "TIFF")).details == {"kind": "TIFF"}


@pytest.mark.parametrize("size", [(50_000, 50_000), (12_000, 10_000), (7_000, 5_000)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    """Above what Pillow refuses, between that and what it warns of, and below."""
    refused = refusal(png_header(*size))
    assert (refused.code, refused.details) == ("too_many_pixels", {"limit": 34})


# The peak of this process alone: a child's ru_maxrss counts its parent's memory too.
PEAK = """
import pathlib, sys
from bots.photos import prepare
from storage.vision import CHAT_LIMITS
prepare(pathlib.Path(sys.argv[1]).read_bytes(), CHAT_LIMITS)
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "options"),
    [
        ("PNG", "RGBA", (6_800, 5_000), {"compress_level": 1}),
        ("JPEG", "RGB", (8_192, 6_144), {"progressive": True, "subsampling": 0}),
        ("WEBP", "RGBA", (5_000, 4_000), {"lossless": True, "method": 0}),
    ],
)
def test_the_largest_picture_taken_stays_under_400_megabytes(
    kind: str, mode: str, size: tuple[int, int], options: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "largest"
    file.write_bytes(encoded(Image.new(mode, size, RED), kind, **options))
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", PEAK, file], cwd=root, check=True, capture_output=True, text=True)
    assert int(run.stdout) < 400_000


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    """Each empty scan costs some bytes here and a pass over the whole picture in the decoder."""
    data = encoded(halves(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert refusal(data[:-2] + data[last:-2] * 5_000 + b"\xff\xd9").code == "broken_image"


def test_a_tiff_of_too_many_strips_is_refused_unread() -> None:
    assert prepare(tiff(64), SMALL)
    assert refusal(tiff(1_000_000)).code == "broken_image"


def test_a_strip_over_200_to_1_is_refused() -> None:
    refused = refusal(encoded(Image.new("RGB", (2_010, 10))))
    assert (refused.code, refused.details) == ("too_narrow", {"limit": 200})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_in_half_is_refused_as_broken(kind: str) -> None:
    data = encoded(noise(128, 128), kind)
    assert prepare(data, SMALL)
    assert refusal(data[: len(data) // 2]).code == "broken_image"


@cache
def samples() -> list[bytes]:
    """One or more small pictures of every format and of every kind of pixel."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image, profile = photo(96, 64), display_p3()
    frames = [image, halves(96, 64)]
    many: dict[str, object] = {"save_all": True, "append_images": frames[1:]}
    return [
        encoded(image, "JPEG", exif=exif, icc_profile=profile),
        encoded(image, "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image, "MPO", **many),
        encoded(image, "PNG", exif=exif, icc_profile=profile),
        encoded(image.quantize(16), "PNG", transparency=b"\0\x80"),
        encoded(Image.new("I;16", (96, 64), 700), "PNG"),
        encoded(image, "GIF", **many),
        encoded(image, "BMP"),
        encoded(image.quantize(16), "BMP"),
        encoded(image, "TIFF", exif=exif),
        encoded(image.convert("RGBA"), "TIFF", compression="tiff_lzw"),
        encoded(image, "TIFF", compression="jpeg"),
        encoded(image, "WEBP", exif=exif, icc_profile=profile),
        encoded(image.convert("RGBA"), "WEBP", lossless=True),
        encoded(image, "WEBP", **many),
        encoded(image, "AVIF", exif=exif),
        encoded(image.convert("RGBA"), "AVIF"),
    ]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A picture with some bytes changed, cut out, doubled or cut off; headers are hit more often than the rest."""
    data = bytearray(draw(st.sampled_from(samples())))
    for _ in range(draw(st.integers(1, 6))):
        end = len(data) if draw(st.booleans()) else min(len(data), 200)
        at = draw(st.integers(0, max(0, end - 1)))
        to = at + draw(st.integers(1, 40))
        match draw(st.sampled_from(("set", "set", "set", "cut", "double", "end"))):
            case "set":
                data[at : at + 1] = draw(st.sampled_from((b"\0", b"\xff", b"\x7f", b"\x80", b"\x01", b"\xd9"))) or b""
            case "cut":
                del data[at:to]
            case "double":
                data[at:at] = data[at:to]
            case _:
                del data[max(at, len(data) // 4) :]
    return bytes(data)


def outcome(data: bytes) -> str:
    """The code of the refusal, or "" after checking the picture that came out."""
    try:
        prepared = prepare(data, SMALL)
    except Refused as refused:
        return refused.code
    shown(prepared)
    return ""


@settings(max_examples=500, deadline=None)
@given(damaged())
def test_damaged_bytes_give_a_picture_or_a_refusal(data: bytes) -> None:
    assert outcome(data) in {"", *CODES}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from((b"", *(sample[:16] for sample in samples()))))
def test_any_bytes_give_a_picture_or_a_refusal(data: bytes, beginning: bytes) -> None:
    assert outcome(beginning + data) in {"", *CODES}
