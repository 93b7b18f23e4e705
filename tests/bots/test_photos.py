"""Preparing a photo: a picture of the right pixels comes out, and nothing private with it."""

from __future__ import annotations

import io
import struct

import pytest
from msgspec import structs
from PIL import Image, ImageCms, ImageDraw

from bots.photos import prepare
from storage.vision import CHAT_LIMITS, PixelLimits
from tests.bots.pictures import (
    BLUE,
    FORMATS,
    GREEN,
    GREY,
    RED,
    SMALL,
    WHITE,
    display_p3,
    encoded,
    halves,
    near,
    noise,
    photo,
    shown,
)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(100, 50), (1_000, 500)])
def test_every_format_comes_out_with_its_pixels(kind: str, size: tuple[int, int]) -> None:
    image = shown(prepare(encoded(halves(*size), kind), SMALL))
    assert near(image, (0.25, 0.5), RED)
    assert near(image, (0.75, 0.5), GREEN)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_comes_out_upright(orientation: int, kind: str) -> None:
    """What a camera held so stores, each half by its quarter: red, green above blue, white."""
    upright = Image.new("RGB", (256, 128), RED)
    for box, colour in (((128, 0, 256, 64), GREEN), ((0, 64, 128, 128), BLUE), ((128, 64, 256, 128), WHITE)):
        upright.paste(colour, box)
    turns = Image.Transpose
    stored = {
        1: upright,
        2: upright.transpose(turns.FLIP_LEFT_RIGHT),
        3: upright.transpose(turns.ROTATE_180),
        4: upright.transpose(turns.FLIP_TOP_BOTTOM),
        5: upright.transpose(turns.TRANSPOSE),
        6: upright.transpose(turns.ROTATE_90),
        7: upright.transpose(turns.TRANSVERSE),
        8: upright.transpose(turns.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = shown(prepare(encoded(stored, kind, exif=exif), SMALL))
    assert image.size == (256, 128)
    assert near(image, (0.25, 0.25), RED)
    assert near(image, (0.75, 0.25), GREEN)
    assert near(image, (0.25, 0.75), BLUE)
    assert near(image, (0.75, 0.75), WHITE)


def test_damaged_orientation_is_no_reason_to_refuse() -> None:
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"):
        assert near(shown(prepare(encoded(halves(), "JPEG", exif=exif), SMALL)), (0.25, 0.5), RED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "GIF"])
def test_what_is_transparent_is_white(kind: str) -> None:
    """Behind full transparency files hold any colour; here it is red, at the left."""
    image = halves(200, 100).convert("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 100, 100))
    result = shown(prepare(encoded(image, kind), SMALL))
    assert near(result, (0.2, 0.5), WHITE)
    assert near(result, (0.8, 0.5), GREEN)


def test_half_transparent_grey_is_lighter_grey() -> None:
    result = shown(prepare(encoded(Image.new("LA", (100, 60), (0, 127))), SMALL))
    assert near(result, (0.5, 0.5), GREY)


def test_a_transparent_colour_and_a_transparent_table_entry_are_white() -> None:
    data = encoded(halves(200, 100), transparency=RED)
    table = encoded(halves(200, 100).quantize(2), transparency=bytes([0, 255]))
    indexed = Image.open(io.BytesIO(table)).convert("RGBA")
    assert near(shown(prepare(data, SMALL)), (0.25, 0.5), WHITE)
    for at in (0.25, 0.75):
        pixel = indexed.getpixel((int(200 * at), 50))
        assert isinstance(pixel, tuple)
        assert near(shown(prepare(table, SMALL)), (at, 0.5), pixel[:3] if pixel[3] else WHITE)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("size", [(100, 50), (256, 128)])
def test_16_bits_are_scaled_not_clipped(kind: str, size: tuple[int, int]) -> None:
    image = Image.new("I;16", size, 128 * 257)
    image.paste(40 * 257, (0, 0, size[0] // 2, size[1]))
    result = shown(prepare(encoded(image, kind), SMALL))
    assert near(result, (0.2, 0.5), (40, 40, 40))
    assert near(result, (0.8, 0.5), GREY)


def test_16_bits_in_the_other_byte_order_too() -> None:
    samples = struct.pack(">4096H", *[128 * 257] * 4096)
    tags = [(256, 3, 1, 64 << 16), (257, 3, 1, 64 << 16), (258, 3, 1, 16 << 16), (259, 3, 1, 1 << 16)]
    tags += [(262, 3, 1, 1 << 16), (273, 4, 1, 110), (278, 3, 1, 64 << 16), (279, 4, 1, len(samples))]
    entries = b"".join(struct.pack(">HHII", *tag) for tag in tags)
    data = struct.pack(">2sHIH", b"MM", 42, 8, len(tags)) + entries + b"\0\0\0\0" + samples
    assert near(shown(prepare(data, SMALL)), (0.5, 0.5), GREY)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_red_stays_red(kind: str) -> None:
    image = shown(prepare(encoded(halves().convert("CMYK"), kind), SMALL))
    assert near(image, (0.25, 0.5), RED)
    assert near(image, (0.75, 0.5), GREEN)


def test_adobes_inverted_cmyk_red_stays_red() -> None:
    """Pillow writes CMYK inverted and says so in the Adobe segment, as Photoshop does."""
    data = encoded(halves().convert("CMYK"), "JPEG")
    assert b"Adobe" in data
    assert near(shown(prepare(data, CHAT_LIMITS)), (0.25, 0.5), RED)


def test_one_bit_pictures_are_black_and_white() -> None:
    image = Image.new("1", (200, 100), 1)
    image.paste(0, (0, 0, 100, 100))
    result = shown(prepare(encoded(image), SMALL))
    assert near(result, (0.2, 0.5), (0, 0, 0))
    assert near(result, (0.8, 0.5), WHITE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, GREEN, WHITE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert near(shown(prepare(data, SMALL)), (0.5, 0.5), RED)


def test_of_a_phones_double_picture_the_first_is_taken_alone() -> None:
    """An MPO holds a second JPEG (a depth map, a film) behind the first."""
    first = halves(256, 128)
    data = encoded(first, "MPO", save_all=True, append_images=[Image.new("RGB", (256, 128), WHITE)], quality=90)
    prepared = prepare(data + b"trailing film" * 1_000, SMALL)
    assert near(shown(prepared), (0.25, 0.5), RED)
    assert len(prepared.data) < len(data)
    assert b"trailing" not in prepared.data


def test_display_p3_is_turned_to_srgb() -> None:
    data = encoded(Image.new("RGB", (128, 64), (200, 50, 50)), "JPEG", icc_profile=display_p3(), quality=95)
    image = shown(prepare(data, SMALL))
    # By hand: to linear light by the gamma, through the two sets of primaries, and back by the curve of sRGB.
    assert near(image, (0.5, 0.5), (220, 14, 35))


def test_a_damaged_profile_is_no_reason_to_refuse() -> None:
    data = encoded(halves(), "JPEG", icc_profile=display_p3()[:140])
    assert near(shown(prepare(data, SMALL)), (0.25, 0.5), RED)


def with_metadata(image: Image.Image, **options: object) -> tuple[bytes, bytes]:
    """(a JPEG without, the same JPEG with EXIF, GPS, an sRGB profile, XMP and a comment)."""
    exif = Image.Exif()
    exif[0x0112] = 1
    exif[0x010F] = "a private camera"
    exif.get_ifd(0x8825)[1] = "N"
    srgb = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] : untyped
    profile = ImageCms.ImageCmsProfile(srgb).tobytes()  # pyright: ignore[reportUnknownArgumentType] : as above
    plain = encoded(image, "JPEG", **options)
    return plain, encoded(image, "JPEG", exif=exif, icc_profile=profile, comment=b"private", xmp=b"<x/>", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 87},
        {"quality": 87, "progressive": True},
        {"quality": 70, "subsampling": 2, "restart_marker_blocks": 7},
        {"quality": 80, "keep_rgb": True},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_fits_passes_through_without_its_metadata(options: dict[str, object], mode: str) -> None:
    plain, private = with_metadata(photo(1_280, 960).convert(mode), **options)
    assert prepare(plain, CHAT_LIMITS).data == plain
    assert prepare(private, CHAT_LIMITS).data == plain
    shown(prepare(private, CHAT_LIMITS))


def test_a_jpeg_twice_as_large_as_it_fits_does_not_pass_through() -> None:
    """Its decoder halves it to just the size that fits."""
    prepared = prepare(encoded(photo(512, 512), "JPEG"), PixelLimits(4_096, 65_536))
    assert shown(prepared).size == (256, 256)


def test_a_jpeg_that_is_padded_to_megabytes_does_not_pass_through() -> None:
    data = encoded(halves(256, 256), "JPEG")
    padding = b"\xff\xdb\x00\x43\x01" + bytes([8] * 64)  # a table that nothing uses
    padded = data[:2] + padding * 2_000 + data[2:]
    assert len(prepare(padded, SMALL).data) < 5_000


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_input_gives_the_same_bytes_and_a_prepared_photo_is_left_alone(kind: str) -> None:
    data = encoded(photo(700, 500), kind)
    once = prepare(data, SMALL)
    assert prepare(data, SMALL) == once
    assert prepare(once.data, SMALL).data == once.data
    assert once.photo.full == (700, 500), "what it was shrunk from"
    assert prepare(once.data, SMALL).photo == structs.replace(once.photo, full=None)


def test_a_screenshot_stays_lossless_and_a_photo_becomes_a_jpeg() -> None:
    screen = Image.new("RGB", (320, 192), WHITE)
    ImageDraw.Draw(screen).text((10, 10), "def main() -> None: ...", fill=(0, 0, 200))
    prepared = prepare(encoded(screen), SMALL)
    assert prepared.photo.mime == "image/png"
    assert shown(prepared).tobytes() == screen.tobytes()
    assert prepare(encoded(noise(256, 256)), SMALL).photo.mime == "image/jpeg"
