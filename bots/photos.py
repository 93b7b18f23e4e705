"""From whatever bytes a person sent to the one JPEG or PNG that the engine gets. Pure: bytes in, bytes out.

Foreign errors: everything Pillow raises becomes storage.messages.Refused here, once.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms
from PIL.Image import Resampling, Transpose

from storage.messages import Photo, Refused
from storage.vision import PixelLimits, fit

MAX_MEGABYTES = 20  # what Telegram lets a bot download
SHRUNK = 1.2  # times the pixels: from there on a closer look shows more than was seen

# The formats that are opened, and the most megapixels of each: what keeps decoding for a chat under 400 MB. A pixel
# takes 4 bytes in Pillow, twice that with transparency, and WebP and AVIF hold the whole canvas several times over.
# JPEG is scaled down while it is decoded, but a progressive one keeps up to 6 bytes a pixel until then; 51 takes what
# phones call 50.
_MEGAPIXELS = {"JPEG": 51, "PNG": 34, "GIF": 34, "BMP": 51, "TIFF": 34, "WEBP": 20, "AVIF": 20}

# How a file of each format begins, and of the kinds that people send but Pillow is not asked to open; the first match
# counts. What matches none is not taken for an image.
_BEGINNINGS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{4}\0{4}",
    "TIFF": rb"II\*\0|MM\0\*",
    "AVIF": rb".{4}ftyp(.{4}){0,12}?avi[fs]",
    "HEIC": rb".{4}ftyp(.{4}){0,12}?(hei[cfmsx]|hevc|mif1|msf1)",
    "video": rb".{4}ftyp|RIFF.{4}AVI |\x1aE\xdf\xa3",
    "SVG": rb".{0,1000}?<(svg|SVG)",
    "PDF": rb"%PDF",
    "PSD": rb"8BPS",
    "JPEG XL": rb"\xff\x0a|.{4}JXL ",
    "JPEG 2000": rb".{4}jP  ",
}

# EXIF orientation -> what turns the picture upright.
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = (5, 6, 7, 8)
_ORIENTATION = 0x0112

_FLAT_COLOURS = 1 << 16  # a picture with more colours than this is a photo, and PNG never the smaller form

_MAX_SCANS = 32  # encoders write 10 at most; each costs a pass over the picture, and empty ones cost no bytes
_MAX_STRIPS = 1 << 16  # of a TIFF; Pillow makes an object of each before it looks at the picture

# What Pillow's plug-ins raise on damaged bytes: seen under fuzzing (RuntimeError: AVIF) or caught by Image.open itself.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)

# A marker inside JPEG data: not a stuffed FF, not a restart, not filling.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_EOI, _SOS = 0xD9, 0xDA
# Lossless, hierarchical and arithmetic coding: not every engine's decoder reads what Pillow reads.
_ODD_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_METADATA = (*range(0xE1, 0xEE), 0xEF, 0xFE)  # all but JFIF (E0) and Adobe (EE), which say what the colours are


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo as the engine gets it: its record and its bytes."""

    photo: Photo
    data: bytes


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened picture (a JPEG is not decoded yet) with all that its metadata says about showing it."""

    image: Image.Image
    orientation: int
    to_srgb: ImageCms.ImageCmsTransform | None  # None: it is sRGB already
    jpeg: bytes  # a JPEG without its metadata, when every engine can read it as it is; else empty


def prepare(data: bytes, limits: PixelLimits) -> Prepared:
    """Verify, turn upright, flatten on white, fit to `limits` and encode once; the same input gives the same bytes.

    A JPEG that fits already passes through without its metadata, its pixels untouched. Takes up to 400 MB of memory
    for the largest pictures: what people send is read in a confined child.

    Raises Refused with code empty, too_large (limit: MB), not_an_image, unsupported_image (kind), broken_image,
    too_many_pixels (limit: megapixels) or too_narrow (limit: aspect ratio).
    """
    kind = _verified(data)
    with _pillows_errors(kind):
        source = _open(data, kind)
        width, height = source.image.size
        on_its_side = source.orientation in _ON_THEIR_SIDE
        fitted = fit(height, width, limits) if on_its_side else fit(width, height, limits)
        image = _decode(source.image, (fitted[1], fitted[0]) if on_its_side else fitted)
    # No photo is stored that weighs more than its pixels, however it was padded.
    if source.jpeg and fitted == (width, height) and len(source.jpeg) <= width * height:
        return named(source.jpeg, "image/jpeg", fitted)
    full = (height, width) if on_its_side else (width, height)
    shrunk = width * height > SHRUNK * fitted[0] * fitted[1]
    return named(*encode(_as_seen(source, image, kind), kind), fitted, full=full if shrunk else None)


def upright(data: bytes) -> Image.Image:
    """The whole picture as people see it, in mode L or RGB, to be drawn on or cut: as large as it came.

    Takes up to 450 MB of memory for the largest pictures. Raises Refused as `prepare` does.
    """
    kind = _verified(data)
    with _pillows_errors(kind):
        source = _open(data, kind)
        fit(*source.image.size, PixelLimits())  # one that is too narrow is refused here as well
        image = _decode(source.image, source.image.size)
    return _as_seen(source, image, kind)


def _verified(data: bytes) -> str:
    """The kind of picture that these bytes claim to be; Refused unless it is one that is opened."""
    if not data:
        raise Refused("empty")
    if len(data) > MAX_MEGABYTES * 1_000_000:
        raise Refused("too_large", limit=MAX_MEGABYTES)
    kind = kind_of(data)
    if not kind:
        raise Refused("not_an_image")
    if kind not in _MEGAPIXELS:
        raise Refused("unsupported_image", kind=kind)
    # Oddities that Pillow only warns of are no news to anybody. catch_warnings is not for threads; this is idempotent.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return kind


def kind_of(data: bytes) -> str:
    """What a file is by how it begins: a key of _BEGINNINGS, "" for none of them."""
    return next((kind for kind, pattern in _BEGINNINGS.items() if re.match(pattern, data, re.DOTALL)), "")


def has_several(data: bytes, kind: str) -> bool:
    """Whether a picture moves, or has more than one page."""
    try:
        return bool(getattr(Image.open(io.BytesIO(data), formats=[kind]), "is_animated", False))
    except (*DAMAGE, Image.DecompressionBombError):
        return False  # prepare() says so


@contextmanager
def _pillows_errors(kind: str) -> Generator[None]:
    """Every way Pillow's plug-ins fail on damaged bytes means one thing: the image is broken."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Refused("too_many_pixels", limit=_MEGAPIXELS[kind]) from error
    except DAMAGE as error:
        raise Refused("broken_image") from error


def _open(data: bytes, kind: str) -> _Source:
    if kind == "TIFF" and _too_many_strips(data):
        raise Refused("broken_image")
    image = Image.open(io.BytesIO(data), formats=[kind])
    if image.width * image.height > _MEGAPIXELS[kind] * 1_000_000:
        raise Refused("too_many_pixels", limit=_MEGAPIXELS[kind])
    if kind != "JPEG":
        image.load()  # a PNG's EXIF may come after its pixels, and loading turns a TIFF upright
        return _Source(_scalable(image), _orientation(image), _to_srgb(image), b"")
    orientation, to_srgb = _orientation(image), _to_srgb(image)
    # From here on only the bytes that may pass through are looked at: what is sent is what was verified.
    stripped, plain = _strip(data)
    image = Image.open(io.BytesIO(stripped), formats=[kind])
    whole = plain and orientation not in _TURNS and not to_srgb and image.mode in ("L", "RGB")
    return _Source(image, orientation, to_srgb, stripped if whole else b"")


def _too_many_strips(tiff: bytes) -> bool:
    order = "<" if tiff.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, at)
    counts = (struct.unpack_from(order + "HHI", tiff, at + 2 + 12 * i) for i in range(entries))
    return any(count > _MAX_STRIPS for tag, _, count in counts if tag in (273, 279, 324, 325))


def _orientation(image: Image.Image) -> int:
    try:
        value: object = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1  # damaged metadata is no reason to refuse a picture
    return value if isinstance(value, int) else 1


def _to_srgb(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """What turns this picture's colours to sRGB (phones write Display P3), or None where that would change nothing."""
    icc = image.info.get("icc_profile")
    if not icc:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] : untyped
        transform = ImageCms.buildTransform(profile, srgb, "RGB", "RGB")  # pyright: ignore[reportUnknownArgumentType] : as above
        # Profiles of sRGB come in dozens of spellings: ask what it does to colours, not what it is called.
        samples = Image.frombytes("RGB", (125, 1), bytes(c // d % 5 * 63 for c in range(125) for d in (25, 5, 1)))
        shown = ImageCms.applyTransform(samples, transform) or samples
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # not a profile for RGB, or a damaged one: shown as sRGB, as everywhere
    return transform if max(ImageChops.difference(samples, shown).tobytes()) > 3 else None


def _strip(jpeg: bytes) -> tuple[bytes, bool]:
    """(the first picture without metadata and without what follows it, whether every engine's decoder can read it)."""
    parts, at, scans, plain = [jpeg[:2]], 2, 0, True
    while found := _MARKER.search(jpeg, at):
        code = found[1][0]
        if scans:
            parts.append(jpeg[at : found.start()])
        if code == _EOI:
            return b"".join((*parts, b"\xff\xd9")), plain and scans > 0
        at = found.end() + int.from_bytes(jpeg[found.end() : found.end() + 2], "big")
        scans += code == _SOS
        if scans > _MAX_SCANS:
            raise Refused("broken_image")
        plain = plain and code not in _ODD_FRAMES
        if code not in _METADATA:
            parts.append(jpeg[found.start() : at])
    return b"".join((*parts, jpeg[at:])), False


def _scalable(image: Image.Image) -> Image.Image:
    """The picture in a mode that can be scaled: colours and transparency as such, not as entries of a table."""
    if image.mode in ("P", "PA") or (image.mode in ("1", "L", "RGB") and "transparency" in image.info):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("L") if image.mode == "1" else image


def _decode(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Decode and scale to `size` by the filter that Qwen's processor uses."""
    # A JPEG is halved (again and again) inside its decoder: half the time, 48 dB from what the filter alone gives.
    image.draft(None, size)
    image.load()
    # The gap of 2 takes two thirds of the time off a picture of 48 megapixels, and stays within 54 dB of all the work.
    if image.size == size:
        return image
    return image.resize(size, Resampling.BICUBIC, reducing_gap=2.0)


def flat(image: Image.Image, kind: str) -> Image.Image:
    """A picture of this kind in mode L or RGB, what is transparent on white. Raises Refused("unsupported_image")."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("LA", "RGBA"):
        opaque = image.convert("L" if image.mode == "LA" else "RGB")
        white = Image.new(opaque.mode, image.size, "white")
        white.paste(opaque, mask=image.getchannel("A"))
        return white
    if image.mode.startswith("I;16"):  # scaled here: Pillow's own conversion clips to 255
        wide = image.convert("I")
        return wide.point(lambda value: value * (1 / 257)).convert("L")
    if image.mode in ("CMYK", "RGBX", "YCbCr"):
        return image.convert("RGB")
    raise Refused("unsupported_image", kind=kind)  # 32 bits a channel, Lab: measurements, not photos


def _as_seen(source: _Source, image: Image.Image, kind: str) -> Image.Image:
    """Its decoded picture turned upright, flat and in sRGB."""
    if source.orientation in _TURNS:
        image = image.transpose(_TURNS[source.orientation])
    image = flat(image, kind)
    if source.to_srgb and image.mode == "RGB":
        image = ImageCms.applyTransform(image, source.to_srgb) or image
    return image


def encode(image: Image.Image, kind: str = "", quality: int = 90) -> tuple[bytes, str]:
    """(JPEG or PNG, its media type) of a picture in mode L or RGB that came as this kind: PNG where that is smaller."""
    # Thin coloured strokes are what questions are about (a red line, blue letters), so colour keeps the full
    # resolution: 6 dB on drawings for half as many bytes more. Beyond quality 90 bytes grow faster than what is seen.
    image.info = {}  # Pillow would write a comment, a profile or a transparent colour from here
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=quality, subsampling=0)
    # A screenshot or a drawing is often smaller without loss.
    if kind != "JPEG" and image.getcolors(_FLAT_COLOURS):
        png = io.BytesIO()
        image.save(png, "PNG")
        if len(png.getvalue()) <= len(jpeg.getvalue()):
            return png.getvalue(), "image/png"
    return jpeg.getvalue(), "image/jpeg"


def named(
    data: bytes, mime: str, size: tuple[int, int], lead: str = "", full: tuple[int, int] | None = None
) -> Prepared:
    """A picture (width, height in px) that is ready, with its record."""
    return Prepared(Photo(hashlib.sha256(data).hexdigest(), mime, *size, len(data), lead=lead, full=full), data)
