"""Files for the fuzzer that are damaged in every way, and what reads them. What a function raises is a crash."""

from __future__ import annotations

import io
from functools import cache
from random import Random

from PIL import Image

from bench.bad_words import words
from bots import documents, photos, pointing, videos
from bots.phrases import say
from storage.messages import Refused
from storage.vision import CHAT_LIMITS, PixelLimits
from tests.bots import clips, papers
from tests.bots.test_photos_refused import png_header, samples, tiff

SMALL = PixelLimits(4_096, 65_536)
BYTES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\x01", b"\xd9", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"9999999999")
NUMBERS = (0, 1, -5, 500, 999.5, 1000, 1e4, 2e5)


def damaged(rng: Random, whole: bytes, other: bytes = b"") -> bytes:
    """A file with bytes changed, cut out, doubled, cut off or put in from another; the beginning is hit more often."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(max(1, len(data) if rng.random() < 0.5 else min(len(data), 200)))
        to = at + rng.randint(1, 40)
        match rng.randrange(8):
            case 0 | 1 | 2:
                patch = rng.choice(BYTES)
                data[at : at + len(patch)] = patch
            case 3:
                data[at : at + 1] = rng.randbytes(1)
            case 4:
                del data[at:to]
            case 5:
                data[at:at] = data[at:to] * rng.choice((1, 1, 100))
            case 6 if other:
                data[at:at] = other[at:to]
            case _:
                del data[max(at, len(data) // 4) :]
    return bytes(data)


def told(refused: Refused) -> str:
    """A refusal is one sentence in both languages."""
    for language in ("en", "zh"):
        sentence = say(language, refused.code, **refused.details)
        assert sentence and "\n" not in sentence, sentence
    return refused.code


def photo(rng: Random) -> str:
    """Prepare a picture."""
    known = samples()
    data = damaged(rng, rng.choice(known), rng.choice(known))
    match rng.randrange(30):
        case 0:
            data = rng.randbytes(rng.randrange(300))
        case 1:
            data = rng.choice(known)[:16] + rng.randbytes(300)
        case 2:
            data = png_header(rng.choice((1, 4_000, 5_830, 2**31 - 1)), rng.choice((1, 5_830, 2**31 - 1)))
        case 3:
            data = damaged(rng, tiff(rng.choice((1, 64, 70_000))))
        case _:
            pass
    several = photos.has_several(data, photos.kind_of(data))
    try:
        prepared = photos.prepare(data, rng.choice((SMALL, CHAT_LIMITS)))
    except Refused as refused:
        return told(refused)
    with Image.open(io.BytesIO(prepared.data), formats=["JPEG", "PNG"]) as image:
        image.load()
        assert image.size == (prepared.photo.width, prepared.photo.height) and not any(n % 32 for n in image.size)
    return "several" if several else "ok"


def marked(rng: Random) -> str:
    """Draw what an answer says on a picture that somebody sent, and cut it out."""
    data = rng.choice(samples()) if rng.random() < 0.5 else damaged(rng, rng.choice(samples()))
    marks = pointing.read_marks(pointed(rng)) or [pointing.Mark((0, 0, 0, 0), words(rng, 5))]
    try:
        for drawn in (pointing.draw(data, marks), pointing.crop(data, marks[0].box), pointing.grid(data)):
            Image.open(io.BytesIO(drawn), formats=["JPEG", "PNG"]).load()
    except Refused as refused:
        return told(refused)
    return "ok"


def pointed(rng: Random) -> str:
    """An answer that points at things, more or less."""
    text = ""
    for _ in range(rng.randrange(8)):
        name, end = rng.choice(("bbox_2d", "point_2d", "box")), rng.choice(("}", "},", "", "}}"))
        numbers = ", ".join(str(rng.choice(NUMBERS)) for _ in range(rng.choice((2, 4, 4, 3, 8))))
        text += f'{{"{name}": [{numbers}], "label": "{words(rng, 4)[:300]}"{end} '
    return text


@cache
def papers_and_scans() -> list[bytes]:
    """Documents of every kind that is read."""
    image = Image.effect_noise((96, 64), 60)
    scans = io.BytesIO()
    image.save(scans, "TIFF", save_all=True, append_images=[image, image.rotate(90)])
    return [
        papers.paper(["one page\nwith words " * 20, "another", ""]),
        papers.paper(["x"], catalogue=papers.SCRIPTED),
        papers.paper(["locked"], trailer=papers.LOCKED),
        papers.paper(["thin"], size=(1, 20_000)),
        papers.paper(["中文 " * 60] * 8, content=b"q 100 0 0 100 0 0 cm /X Do Q"),
        papers.paper(["a"], count=5_000),
        scans.getvalue(),
    ]


def document(rng: Random) -> str:
    """Read a document."""
    known = papers_and_scans()
    data = damaged(rng, rng.choice(known), rng.choice(known))
    try:
        found = documents.chosen(data, words(rng, 12), rng.choice((512, 8_192, 32_768)), 65_536, 1_310_720)
    except Refused as refused:
        return told(refused)
    assert found.texts or found.pictures
    return "ok"


@cache
def films() -> list[bytes]:
    """Short videos of every kind that is read."""
    frames = clips.hues(8, (96, 64))
    kinds = (("mp4", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mjpeg"), ("mpegts", "mpeg2video"), ("flv", "flv"))
    moving = [clips.animated(kind, frames) for kind in ("GIF", "WEBP", "PNG")]
    return [*(clips.clip(frames, *kind, rate=25) for kind in kinds), clips.sound(), *moving]


def film(rng: Random) -> str:
    """Sample a video."""
    known = films()
    data = damaged(rng, rng.choice(known), rng.choice(known))
    try:
        frames, sheet = videos.sample(data, rng.choice((2_048, 32_768)), 65_536, 1_310_720)
    except Refused as refused:
        return told(refused)
    assert frames and sheet and all(0 <= frame[0] <= videos.MAX_SECONDS for frame in frames)
    return "ok"
