"""Reading a document: what nobody can read is refused in one sentence; else the pages that answer are sent."""

from __future__ import annotations

import io
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bots.documents import MAX_PAGES, Chosen, choose, chosen, named_pages, read, spans, tokens
from bots.phrases import say
from storage.messages import Refused
from storage.vision import CHAT_LIMITS, PixelLimits, image_tokens
from tests.bots.papers import LOCKED, SCRIPTED, built, form, paper
from tests.bots.pictures import BLUE, GREEN, RED, WHITE, halves, near

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # which only warns of some damage

CONTEXT = 32_768
CODES = {"empty", "document_broken", "document_locked", "document_pages", "too_narrow", "too_many_pixels"}
PROSE = "The committee met in the usual room and talked about the usual things for most of the morning."


def reading(data: bytes, question: str = "", context: int = CONTEXT, limits: PixelLimits = CHAT_LIMITS) -> Chosen:
    """What is chosen, read in this process."""
    return chosen(data, question, context, limits.min_pixels, limits.max_pixels)


def refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        reading(data)
    return refused.value


def outcome(data: bytes) -> str:
    """The code of the refusal, or "" after looking at what came out."""
    try:
        found = reading(data)
    except Refused as refused:
        return refused.code
    assert found.texts or found.pictures
    return ""


def tiff(*pages: Image.Image) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()


@cache
def report() -> list[str]:
    """300 pages of much the same words; on three of them stands what somebody will ask for."""
    rng = random.Random(5)
    common = ["the", "of", "a", "in", "budget", "year", "report", "committee", "water", "supply", "region", "growth"]
    pages = [" ".join(rng.choices(common, k=400)) for _ in range(300)]
    pages[216] += "\nThe lighthouse at Cape Varnum was painted in 1931 and is 47 metres high."
    pages[41] += "\n浮标由海事局于一九八二年更换，费用为十二万元。"
    pages[270] += "\nMaintenance of pumping stations weighs heavily: 12,430 litres of oil."
    return pages


# --- what cannot be read


@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"%PDF-1.7\n%%EOF", b"II*\0", b"MM\0*\0\0\0\x08\0\0"])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    assert refusal(data).code == "document_broken"


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").code == "empty"


async def test_a_document_without_pages_is_refused() -> None:
    with pytest.raises(Refused, match="document_broken"):
        await read(paper([]), "", CONTEXT, CHAT_LIMITS, "en")


async def test_a_document_with_a_password_is_refused() -> None:
    with pytest.raises(Refused, match="document_locked"):
        await read(paper([PROSE], trailer=LOCKED), "", CONTEXT, CHAT_LIMITS, "en")


def test_a_thousand_pages_are_refused_with_the_limit() -> None:
    refused = refusal(paper(["x"] * 1_000))
    assert (refused.code, refused.details) == ("document_pages", {"pages": 1_000, "limit": MAX_PAGES})


def test_a_tree_of_pages_that_holds_itself_is_refused() -> None:
    tree = b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 3 >>"
    assert refusal(built([b"<< /Type /Catalog /Pages 2 0 R >>", tree])).code == "document_broken"


def test_of_a_document_that_claims_more_pages_than_it_has_those_are_read() -> None:
    assert reading(paper([PROSE], count=400)).texts == {1: PROSE}


@pytest.mark.parametrize("size", [(100_000, 100_000), (100_000, 3), (0, 0), (0.1, 90_000)])
def test_a_page_of_any_size_is_drawn_within_the_limits(size: tuple[float, float]) -> None:
    found = reading(paper(["x"], size, content=b"1 0 0 rg 0 0 99999 99999 re f"))
    ((number, data, mime, width, height),) = found.pictures
    assert number == 1 and mime == "image/png" and width * height <= CHAT_LIMITS.max_pixels
    assert Image.open(io.BytesIO(data)).size == (width, height)


def test_scripts_are_told_of_and_not_run() -> None:
    opening = b"/OpenAction << /S /JavaScript /JS (while \\(1\\) app.alert\\(1\\)) >>"
    assert reading(paper([PROSE], catalogue=SCRIPTED)) == Chosen({1: PROSE}, [], 1, scripts=True)
    assert reading(paper([PROSE], catalogue=opening)).scripts
    assert not reading(paper([PROSE])).scripts


@pytest.mark.parametrize("kind", ["PDF", "TIFF"])
def test_a_file_cut_off_anywhere_is_read_in_part_or_refused(kind: str) -> None:
    data = paper([PROSE] * 3) if kind == "PDF" else tiff(halves(), halves(64, 64), halves())
    for tenth in range(1, 10):
        assert outcome(data[: len(data) * tenth // 10]) in {"", *CODES}


@settings(max_examples=300, deadline=None, derandomize=True)  # a crash of PDFium's is for the cell to hold
@given(st.data())
def test_damaged_bytes_give_pages_or_a_refusal(data: st.DataObject) -> None:
    document = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(1, 8))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.sampled_from(b"\0\xff\x80<>[]/R0915 "))
    assert outcome(bytes(document)) in {"", *CODES, "broken_image", "unsupported_image", "not_an_image"}


@cache
def samples() -> list[bytes]:
    """Small documents without what is the same in all of them."""
    kids = b"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"
    plain = built([b"<< /Type /Catalog /Pages 2 0 R >>", kids, page, page])
    return [
        plain,
        plain,
        tiff(halves(40, 40), halves(20, 60)),
        built([b"<< /Type /Catalog /Pages 2 0 R >>", kids, page]),
    ]


# --- what goes with the question


async def test_a_short_document_goes_as_a_whole_in_the_asker_s_language() -> None:
    chinese = "企鹅的体重是五公斤，生活在南极洲的冰面上。" * 4
    found = await read(paper([PROSE, chinese]), "?", CONTEXT, CHAT_LIMITS, "zh")
    said = say("zh", "document_prompt", total=2, pages="1-2")
    assert found.text == f"{said}\n\n[Page 1]\n{PROSE}\n\n[Page 2]\n{chinese}"
    assert (found.used, found.total, found.scripts, found.pictures) == ([1, 2], 2, False, [])


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How high is the lighthouse?", 217),
        ("When was Cape Varnum's light-house painted?", 217),
        ("浮标是哪一年更换的？", 42),
        ("What do the pumping stations weigh on?", 271),
        ("What is said on page 133 about growth?", 133),
        ("第88页讲了什么？", 88),
        ("And the last page?", 300),
    ],
)
@pytest.mark.parametrize("context", [8_192, 32_768])
def test_of_300_pages_the_one_that_answers_is_sent(question: str, page: int, context: int) -> None:
    texts = report()
    used = choose(texts, question, context // 2)
    assert page in used and used == sorted(used) and len(used) < 100
    assert sum(tokens(texts[number - 1]) for number in used) <= context // 2


async def test_of_a_real_pdf_of_300_pages_too() -> None:
    pages = ["\n".join(page.split("\n")) for page in report()]
    found = await read(paper(pages), "How high is the lighthouse?", CONTEXT, CHAT_LIMITS, "en")
    assert 217 in found.used and "[Page 217]\n" in found.text and "47 metres" in found.text
    assert found.total == 300 and spans(found.used) in found.text
    assert tokens(found.text) < CONTEXT // 2 + 200


def test_where_nothing_matches_the_first_pages_are_sent() -> None:
    assert choose(report(), "Zzyzx?", 4_000) == list(range(1, len(choose(report(), "Zzyzx?", 4_000)) + 1))


def test_a_page_that_is_too_long_alone_is_cut() -> None:
    found = reading(paper(["\n".join([PROSE] * 100)]), context=1_000)
    assert found.texts[1].startswith(PROSE) and 300 < tokens(found.texts[1]) <= 508


def test_pages_with_little_text_are_pictures_and_share_the_room() -> None:
    drawn = paper(["Figure 1"] * 30, content=b"1 0 0 rg 0 421 595 421 re f")
    found = reading(drawn)
    assert not found.texts and 10 < len(found.pictures) < 25
    assert sum(image_tokens(width, height) for *_, width, height in found.pictures) <= CONTEXT // 2
    image = Image.open(io.BytesIO(found.pictures[0][1])).convert("RGB")
    assert near(image, (0.5, 0.25), RED) and near(image, (0.5, 0.75), WHITE)
    alone = reading(paper([""], content=b"0 0 1 rg 0 0 595 842 re f")).pictures[0]
    assert alone[3] * alone[4] > 1_000_000 and near(Image.open(io.BytesIO(alone[1])), (0.5, 0.5), BLUE)


def test_a_page_that_is_asked_for_by_its_number_comes_with_its_picture() -> None:
    found = reading(paper([PROSE] * 5), "What does the chart on page 4 show?")
    assert set(found.texts) == {1, 2, 3, 4, 5} and [number for number, *_ in found.pictures] == [4]


async def test_every_page_of_a_tiff_is_a_picture_that_says_its_page() -> None:
    pages = halves(400, 200), Image.new("CMYK", (300, 300), (0, 255, 255, 0)), Image.new("1", (800, 600), 1)
    found = await read(tiff(*pages), "?", CONTEXT, CHAT_LIMITS, "en")
    assert [each.photo.lead for each in found.pictures] == ["[Page 1]", "[Page 2]", "[Page 3]"]
    first, second, third = (Image.open(io.BytesIO(each.data)).convert("RGB") for each in found.pictures)
    assert near(first, (0.2, 0.5), RED) and near(first, (0.8, 0.5), GREEN)
    assert near(second, (0.5, 0.5), RED) and near(third, (0.5, 0.5), WHITE)
    assert found.text == say("en", "document_prompt", total=3, pages="1-3") and found.used == [1, 2, 3]


def test_what_was_filled_into_a_form_is_read() -> None:
    assert reading(form("ADA LOVELACE")).texts[1].endswith("in capitals.\nADA LOVELACE")


def test_the_pages_of_a_question_are_those_that_exist() -> None:
    for question, pages in {
        "page 17": {17},
        "Pages 3-5 and p. 9, pp. 11–12": {3, 4, 5, 9, 11, 12},
        "pages 2 to 4": {2, 3, 4},
        "第3到5页和第 7 頁": {3, 4, 5, 7},
        "最后一页": {20},
        "page 21 of 1999, ppp 4, homepage 3": set[int](),
        "page 5-2": set[int](),
        "pages 18-9999": {18, 19, 20},
    }.items():
        assert named_pages(question, 20) == pages, question


def test_control_characters_are_gone_and_accents_are_joined() -> None:
    text = reading(paper([f"{PROSE}\x07 e\u0301  \u00a0x"])).texts[1]
    assert text == f"{PROSE} é x"


def test_numbers_in_order_are_written_as_people_do() -> None:
    assert spans([1, 3, 4, 5, 9, 10]) == "1, 3-5, 9-10" and spans([]) == "" and spans([7]) == "7"


@given(st.text())
def test_a_text_costs_a_token_for_three_bytes_at_least(text: str) -> None:
    assert tokens(text) >= len(text.encode("utf-8", "replace")) / 3
