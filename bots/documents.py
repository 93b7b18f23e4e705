"""A document as the model gets it: the text of its pages, pictures of those that have little, chosen by the question.

PDF by PDFium (its build without a JavaScript engine), TIFF by Pillow; both only in a confined child. Foreign errors
become storage.messages.Refused here, once. Pages are counted from 1, as people do.
"""

from __future__ import annotations

import importlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unicodedata import normalize

from PIL import Image

from bots.confined import confined
from bots.photos import DAMAGE, Prepared, encode, named, prepare
from bots.phrases import say
from storage.messages import Record, Refused
from storage.vision import TOKEN_PIXELS, PixelLimits, fit, share

MAX_PAGES = 500
_PAGE_LETTERS = 20_000
_FEW_LETTERS = 60  # a page with fewer is a scan, a slide or a drawing: its picture says more
_PICTURE_TOKENS = 800  # an A4 page of 750x1060 px: print of 10 points is 12 px high
_LEAD_TOKENS = 8  # "[Page 117]" and what parts it from the next
_MAX_SCALE = 3  # px for each 1/72 inch
_MAX_RATIO = 20  # thinner pages are drawn broader
_TIFF_PIXELS = 34_000_000

# Control characters, halves of a surrogate pair, and what PDFium has for a hyphen at a line's end.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\uffff\ud800-\udfff]|\ufffe\s*")
_SCRIPTS = re.compile(rb"/(JavaScript|JS)\b")

_EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # scripts without spaces: their words are pairs of signs
_WORDS = re.compile(rf"([{_EAST}]+)|([^\W{_EAST}]+)")
_SPAN = r"(\d{1,4})(?:\s*(?:-|–|to|到|至)\s*(\d{1,4}))?"
_NAMED = re.compile(rf"\b(?:pages?|pp?\.?)\s*{_SPAN}|第\s*{_SPAN}\s*[页頁]|last page|最后一页|最後一頁", re.IGNORECASE)

Picture = tuple[int, bytes, str, int, int]  # the page, bytes, mime, width and height in px
Drawn = tuple[bytes, str, int, int]  # its last four
Draw = Callable[[int, PixelLimits], Drawn | None]  # None of a page that is damaged


class Read(NamedTuple):
    """What goes with the question. text begins with which pages of how many these are; each picture's lead is its page.

    `scripts` says that the document carries scripts; none is ever run.
    """

    text: str
    pictures: list[Prepared]
    used: list[int]
    total: int
    scripts: bool


class Chosen(Record, frozen=True):
    """The pages of a document that fit: the texts of some by number, pictures of others."""

    texts: dict[int, str]
    pictures: list[Picture]
    total: int
    scripts: bool


async def read(data: bytes, question: str, context: int, limits: PixelLimits, language: str) -> Read:
    """The pages of a PDF or TIFF that answer the question best, in at most half of `context` tokens.

    Raises Refused with code empty, document_locked, document_broken, document_pages (pages, limit), too_many_pixels
    (limit: megapixels), too_narrow (limit: aspect ratio) or too_hard.
    """
    found = await confined(chosen, data, question, context, limits.min_pixels, limits.max_pixels)
    used = sorted({*found.texts, *(number for number, *_ in found.pictures)})
    parts = [say(language, "document_prompt", total=found.total, pages=spans(used))]
    parts += [f"[Page {number}]\n{text}" for number, text in sorted(found.texts.items())]
    pictures = [
        named(picture, mime, (width, height), f"[Page {number}]")
        for number, picture, mime, width, height in found.pictures
    ]
    return Read("\n\n".join(parts), pictures, used, found.total, found.scripts)


def spans(numbers: Sequence[int]) -> str:
    """Numbers in order as people write them: 1, 3-5."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in zip(starts, ends, strict=True))


def chosen(data: bytes, question: str, context: int, min_pixels: int, max_pixels: int) -> Chosen:
    """The reader, confined. Raises as `read` does."""
    if not data:
        raise Refused("empty")
    limits, room = PixelLimits(min_pixels, max_pixels), context // 2
    picture = min(_PICTURE_TOKENS, limits.max_pixels // TOKEN_PIXELS + 2) + _LEAD_TOKENS
    with (_tiff if data[:4] in (b"II*\0", b"MM\0*") else _pdf)(data) as (texts, draw, scripts):
        used = choose(texts, question, room, picture)
        told = {number: text for number in used if len(text := texts[number - 1]) >= _FEW_LETTERS}
        if len(used) == 1 and told:
            told = {number: text[: len(text) * room // tokens(text)] for number, text in told.items()}
        left = room - sum(map(tokens, told.values()))
        asked = named_pages(question, len(texts))
        shown = [number for number in used if number not in told]
        # A page that is asked for by its number may be asked for its figures.
        shown += [number for number in told if number in asked][: max(0, left // picture - len(shown))]
        limits = share(limits, len(shown), 2 * (left - _LEAD_TOKENS * len(shown))) if shown else limits
        pictures = [(number, *drawn) for number in sorted(shown) if (drawn := draw(number, limits))]
    if not told and not pictures:
        raise Refused("document_broken")
    return Chosen(told, pictures, len(texts), scripts)


def tokens(text: str) -> int:
    """About as many tokens as Qwen's tokenizer makes of a page's text, rather more than fewer.

    Measured: half as many again for English and Chinese prose, twice as many for Russian and Korean, the same for
    tables of numbers, a tenth too few for hexadecimal. What it is short by has the other half of the context.
    """
    # A token takes three bytes or more of any script, but each digit is one, and capitals and signs seldom join.
    dear = sum(2 if c.isdigit() else c.isupper() or not (c.isalnum() or c.isspace()) for c in text)
    return math.ceil((len(text.encode()) + dear) / 3) + _LEAD_TOKENS


def choose(texts: Sequence[str], question: str, room: int, picture: int = _PICTURE_TOKENS) -> list[int]:
    """The pages to send, in order: those that the question names, then those that have most of its rarer words.

    One page at least; what follows it fits into `room` tokens, a page with little text at the price of its picture.
    """
    asked, scores = named_pages(question, len(texts)), _scores(texts, question)
    used: list[int] = []
    for number in sorted(range(1, len(texts) + 1), key=lambda n: (n not in asked, -scores[n - 1], n)):
        text = texts[number - 1]
        cost = tokens(text) if len(text) >= _FEW_LETTERS else picture
        if cost <= room or not used:
            used.append(number)
            room -= cost
    return sorted(used)


def named_pages(question: str, total: int) -> set[int]:
    """The pages that a question names: "page 17", "pages 3-5", "p. 4", "第17页", "the last page"."""
    found: set[int] = set()
    for match in _NAMED.finditer(question):
        first, last = (match[1] or match[3] or total), (match[2] or match[4])
        found |= set(range(int(first), int(last or first) + 1))
    return found & set(range(1, total + 1))


def _scores(texts: Sequence[str], question: str) -> list[float]:
    """BM25 with its usual constants."""
    asked = set(_terms(question))
    pages = [Counter(_terms(text)) for text in texts]
    lengths = [page.total() for page in pages]
    usual = sum(lengths) / len(pages) or 1.0
    scores = [0.0] * len(pages)
    for term in asked:
        having = sum(term in page for page in pages)
        weight = math.log(1 + (len(pages) - having + 0.5) / (having + 0.5))
        for n, page in enumerate(pages):
            if count := page[term]:
                scores[n] += weight * count * 2.5 / (count + 1.5 * (0.25 + 0.75 * lengths[n] / usual))
    return scores


def _terms(text: str) -> list[str]:
    """Words, and their first five letters with a mark, by which "weighs" finds "weighed"; of eastern scripts, pairs."""
    found: list[str] = []
    for east, word in _WORDS.findall(normalize("NFKC", text).lower()):
        found += [east[at : at + 2] for at in range(max(1, len(east) - 1))] if east else [word, word[:5] + "*"]
    return found


@contextmanager
def _pdf(data: bytes) -> Generator[tuple[list[str], Draw, bool]]:
    pdfium: Any = importlib.import_module("pypdfium2")  # in the child only; it has no types

    def draw(number: int, limits: PixelLimits) -> Drawn | None:
        try:
            page = pdf[number - 1]
        except pdfium.PdfiumError:
            return None
        return _drawn(pdfium, page, limits)

    try:
        with pdfium.PdfDocument(data) as pdf:
            pdf.init_forms()
            _countable(len(pdf))
            scripts = pdfium.raw.FPDFDoc_GetJavaScriptActionCount(pdf) > 0 or _SCRIPTS.search(data) is not None
            yield [_text(pdfium, pdf, number) for number in range(len(pdf))], draw, scripts
    except pdfium.PdfiumError as error:
        locked = error.err_code in (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY)
        raise Refused("document_locked" if locked else "document_broken") from error


def _countable(pages: int) -> None:
    if pages > MAX_PAGES:
        raise Refused("document_pages", pages=pages, limit=MAX_PAGES)
    if pages < 1:
        raise Refused("document_broken")


def _text(pdfium: Any, pdf: Any, index: int) -> str:
    """A page's text; none of a page that is damaged."""
    try:
        page = pdf[index]
        if page.formenv:  # what was filled in becomes part of the page
            page.flatten()
            page.close()
            page = pdf[index]
        text = page.get_textpage().get_text_bounded()
    except pdfium.PdfiumError:
        return ""
    text = _NO_TEXT.sub("", text.replace("\r\n", "\n"))
    return normalize("NFC", re.sub(r"[^\S\n]+", " ", text)).strip()[:_PAGE_LETTERS]


def _drawn(pdfium: Any, page: Any, limits: PixelLimits) -> Drawn:
    """A picture of a page at the size that the model sees, however large or thin its paper is."""
    sides: list[float] = page.get_size()
    across, down = (max(side, max(sides) / _MAX_RATIO, 1) for side in sides)
    scale = min(_MAX_SCALE, math.sqrt(limits.max_pixels / (across * down)))
    width, height = fit(math.ceil(across * scale), math.ceil(down * scale), limits)
    bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium.raw.FPDFBitmap_BGRx)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    pdfium.raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, pdfium.raw.FPDF_ANNOT)
    return *encode(bitmap.to_pil().convert("RGB")), width, height


@contextmanager
def _tiff(data: bytes) -> Generator[tuple[list[str], Draw, bool]]:
    """Every page is a picture."""

    def draw(number: int, limits: PixelLimits) -> Drawn:
        image.seek(number - 1)
        if image.width * image.height > _TIFF_PIXELS:
            raise Refused("too_many_pixels", limit=_TIFF_PIXELS // 1_000_000)
        file = io.BytesIO()
        image.save(file, "TIFF", compression=None)
        ready = prepare(file.getvalue(), limits)
        return ready.data, ready.photo.mime, ready.photo.width, ready.photo.height

    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            pages = getattr(image, "n_frames", 1)
            _countable(pages)
            yield [""] * pages, draw, False
    except Image.DecompressionBombError as error:
        raise Refused("too_many_pixels", limit=_TIFF_PIXELS // 1_000_000) from error
    except DAMAGE as error:
        raise Refused("document_broken") from error
