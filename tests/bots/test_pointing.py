"""What a model points at: read from any answer, drawn so that it is seen, cut out of the photo."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bots.photos import encode, upright
from bots.pointing import MOST, Box, Mark, cell, crop, draw, grid, read_marks
from storage.messages import Refused
from tests.bots.pictures import BLUE, FORMATS, GREEN, RED, WHITE, encoded, halves, near, noise

CUP = Mark((10, 20, 30, 40), "cup")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "There is no cup in this photo.",
        "[10, 20, 30, 40]",
        "{}",
        "{{{",
        '{"label": "cup"}',
        '{"bbox_2d": [], "label": "cup"}',
        '{"bbox_2d": [10, 20, 30], "label": "cup"}',
        '{"bbox_2d": [10, 20, 30, 40, 50], "label": "cup"}',
        '{"bbox_2d": [10, NaN, 30, 40]}',
        '{"bbox_2d": [10, Infinity, 30, 40]}',
        '{"bbox_2d": [10, 1e999, 30, 40]}',
        '{"bbox_2d": [10, 99999, 30, 40]}',
        '{"bbox_2d": [true, false, true, true]}',
        '{"bbox_2d": [null, 1, 2, 3]}',
        '{"bbox_2d": {"left": 1}}',
        '{"bbox_2d": [10, 20, 30, 40], "label": "cu',
        '{"bbox_2d": [10, 20, 30, 40',
    ],
)
def test_where_nothing_is_pointed_at_nothing_is_read(answer: str) -> None:
    assert read_marks(answer) == []


@pytest.mark.parametrize(
    "answer",
    [
        '[{"bbox_2d": [10, 20, 30, 40], "label": "cup"}]',
        '```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "cup"}\n]\n```',
        'Here\'s the {cup}: [{"bbox_2d": [10, 20, 30, 40], "label": "cup"}] It\'s on the "table.',
        '[{"bbox_2d": [10, 20, 30, 40,], "label": "cup",},]',
        "[{'bbox_2d': [10, 20, 30, 40], 'label': 'cup'}]",
        "{bbox_2d: [10, 20, 30, 40], label: cup}",
        '{"bbox_2d": [10, 20, 30, 40], // it\'s white\n"label": "cup" /* really } */}',
        '{"bbox_2d": [10, 20, 30, 40], # white\n"label": "cup"}',
        '[{"bbox_2d": [10, 20, 30, 40], "label": "cup"}, {"bbox_2d": [50, 60, 70',
        '{"objects": [{"bbox_2d": [10, 20, 30, 40], "label": "cup"}, {"bbox_2d": [50, 60, 70, 80], "la',
        '{"bbox_2d": ["10", "20", "30", "40"], "label": "cup"}',
        '{"bbox_2d": "[10, 20, 30, 40]", "label": "cup"}',
        '{"bbox_2d": [[10, 20], [30, 40]], "label": "cup"}',
        '{"label": "cup", "box": [[10.0, 2e1, 30, 40]]}',
        '{"Name": " cup\\n", "score": 0.9, "more": {"a": [1]}, "BBOX": [30, 40, 10, 20]}',
        '{"bbox_2d": [10, 20, 30, 40], "label": "cup"}\n' * 3,
    ],
)
def test_an_answer_is_read_however_it_is_spelt(answer: str) -> None:
    assert read_marks(answer) == [CUP]


@pytest.mark.parametrize(
    ("answer", "marks"),
    [
        ('{"bbox_2d": [-5, 20, 1003, 40]}', [Mark((0, 20, 1000, 40), "")]),
        ('{"point_2d": [10, 20], "label": "a"}', [Mark((10, 20, 10, 20), "a")]),
        ('{"bbox_2d": [10, 20]}', [Mark((10, 20, 10, 20), "")]),
        ('{"click": "10, 20", "description": "OK", "next": true}', [Mark((10, 20, 10, 20), "OK", next=True)]),
        ('{"box": [1, 2, 3, 4], "next": False}', [Mark((1, 2, 3, 4), "")]),
        ('{"box": [[1,2,3,4],[5,6,7,8]], "name": "x"}', [Mark((1, 2, 3, 4), "x"), Mark((5, 6, 7, 8), "x")]),
        ('{"point": [[1, 2], [3, 4]]}', [Mark((1, 2, 1, 2), ""), Mark((3, 4, 3, 4), "")]),
        ('{"box": [1, 2, 3, 4], "label": "the "red" one"}', [Mark((1, 2, 3, 4), 'the "red" one')]),
        ("{'box': [1, 2, 3, 4], 'label': 'it's {red}: \\'x\\''}", [Mark((1, 2, 3, 4), "it's {red}: \\'x\\'")]),
        ('{"box": [1, 2, 3, 4], "label": "\\u676f\\ud83d"}', [Mark((1, 2, 3, 4), "杯?")]),
    ],
)
def test_what_a_mark_says(answer: str, marks: list[Mark]) -> None:
    assert read_marks(answer) == marks


def test_a_model_that_loops_ends_after_a_hundred_marks() -> None:
    many = read_marks("".join(f'{{"box": [{n}, 0, {n}, 9], "label": "{"x" * 999}"}}' for n in range(900)))
    assert len(many) == MOST
    assert max(len(mark.label) for mark in many) == 200


_PIECES = (
    "{", "}", "[", "]", '"', "'", "\\", "/*", "//", "#", ":", ",", "\n", " ", "1", "bbox_2d", '"box":', "[1,2,3,4]",
    "label",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=60).map("".join))
def test_any_answer_gives_marks_inside_the_photo(answer: str) -> None:
    for mark in read_marks(answer) + read_marks('{"box":[1,2,3,4],"label":' + answer + "}"):
        left, top, right, bottom = mark.box
        assert 0 <= left <= right <= 1000 and 0 <= top <= bottom <= 1000
        mark.label.encode()


boxes = st.tuples(*[st.floats(0, 1000)] * 4)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(boxes, st.text(max_size=20)), max_size=5), st.integers(0, 300))
def test_what_json_says_is_what_is_read_and_a_cut_keeps_whole_objects(said: list[tuple[Box, str]], end: int) -> None:
    objects = [{"bbox_2d": box, "label": label} for box, label in said]
    whole = read_marks(json.dumps(objects))
    meant = [
        Mark((min(a, c), min(b, d), max(a, c), max(b, d)), " ".join(label.split())) for (a, b, c, d), label in said
    ]
    assert whole == list(dict.fromkeys(meant))
    cut = read_marks(json.dumps(objects)[:end])
    assert cut == whole[: len(cut)]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", [*_PIECES, "{/*", '{"', "{'", '{"\\', "{a:", '{"a" "', "9", '{"   ', "{}", "{//", "['"]
)
def test_a_long_answer_of_anything_takes_no_time(piece: str) -> None:
    """Any step that reads the rest of the answer for each of its characters would take minutes."""
    for start in ("", '{"box":', '{"box": "'):
        assert isinstance(read_marks(start + piece * (200_000 // len(piece))), list)


def shown(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]).convert("RGB")


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(noise(64, 64))[:900], b"%PDF-1.7"])
def test_what_is_no_photo_is_refused_as_ever(data: bytes) -> None:
    for work in (lambda: draw(data, [CUP]), lambda: crop(data, CUP.box), lambda: grid(data)):
        with pytest.raises(Refused):
            work()


@pytest.mark.parametrize("size", [(2_010, 10), (7_000, 5_000)])
def test_a_photo_too_narrow_or_too_large_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(Refused):
        upright(encoded(Image.new("1", size)))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_drawn_on_upright_and_as_large_as_it_came(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = kind in {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"}
    image = shown(draw(encoded(halves(800, 600), kind, **({"exif": exif} if turned else {})), [CUP]))
    assert image.size == ((600, 800) if turned else (800, 600))
    assert near(image, (0.5, 0.2) if turned else (0.25, 0.5), RED, 12)
    assert near(image, (0.5, 0.8) if turned else (0.75, 0.5), GREEN, 12)


MARKS = [Mark((0, 0, 0, 0), ""), Mark((1000, 1000, 1000, 1000), ""), Mark((0, 0, 1000, 1000), "", next=True), CUP] * 5


@pytest.mark.parametrize("size", [(1, 1), (2_000, 10), (10, 2_000), (3, 5), (1_280, 800)])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA"])
def test_marks_are_drawn_on_a_photo_of_any_shape(size: tuple[int, int], mode: str) -> None:
    data = encoded(Image.new(mode, size))
    assert max(shown(draw(data, MARKS)).size) == max(400, *size)
    assert 400 <= max(shown(grid(data)).size) <= 1_280
    for number in range(1, 10):
        assert crop(data, cell(number))


@pytest.mark.parametrize("ground", ["white", "black", "#888888", "#ff5a4f", "#ffd60a"])
def test_a_box_is_seen_on_any_ground(ground: str) -> None:
    """Along its left edge, in the middle, there is something much lighter or darker than what was there."""
    before = Image.new("RGB", (1_000, 1_000), ground)
    after = shown(draw(encoded(before), [Mark((300, 300, 700, 700), "")]))
    row = [after.convert("L").getpixel((x, 500)) for x in range(285, 315)]
    ground_light = before.convert("L").getpixel((0, 0))
    assert isinstance(ground_light, int)
    assert max(abs(light - ground_light) for light in row if isinstance(light, int)) > 60
    assert after.getpixel((500, 500)) == before.getpixel((500, 500))


def test_numbers_stand_side_by_side_where_boxes_begin_together() -> None:
    one, two = (shown(draw(encoded(Image.new("RGB", (800, 600))), [CUP] * n)) for n in (1, 2))
    light = [sum(1 for pixel in image.convert("L").tobytes() if pixel > 100) for image in (one, two)]
    assert light[1] > light[0] * 1.3


def test_the_next_click_stands_out() -> None:
    data = encoded(Image.new("RGB", (800, 600)))
    plain, marked = (shown(draw(data, [Mark((200, 200, 600, 600), "", next=n)])) for n in (False, True))
    light = [sum(1 for pixel in image.convert("L").tobytes() if pixel > 60) for image in (plain, marked)]
    assert light[1] > light[0] * 1.5


def test_a_large_photo_comes_back_as_jpeg_and_a_small_flat_one_without_loss() -> None:
    assert draw(encoded(Image.new("RGB", (3_000, 2_000))), [CUP]).startswith(b"\xff\xd8")
    assert draw(encoded(Image.new("RGB", (800, 600))), [CUP]).startswith(b"\x89PNG")
    assert encode(noise(64, 64))[1] == "image/jpeg"


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 1000, 1000), (1_000, 800)),
        ((500, 500, 500, 500), (50, 40)),
        ((0, 0, 0, 0), (50, 40)),
        ((1000, 1000, 1000, 1000), (50, 40)),
        ((250, 250, 500, 500), (290, 232)),
    ],
)
def test_a_crop_holds_its_box_and_a_little_around_it(box: Box, size: tuple[int, int]) -> None:
    assert shown(crop(encoded(noise(1_000, 800)), box)).size == size


def test_a_crop_shows_the_pixels_of_the_photo() -> None:
    photo = Image.new("RGB", (1_000, 500), WHITE)
    photo.paste(BLUE, (600, 200, 700, 300))
    part = shown(crop(encoded(photo), (600, 400, 700, 600)))
    assert part.size == (116, 116)
    assert part.getpixel((0, 0)) == WHITE and part.getpixel((8, 8)) == part.getpixel((107, 107)) == BLUE


def test_nine_cells_cover_the_photo_and_reach_into_each_other() -> None:
    assert cell(1) == pytest.approx((0, 0, 366.67, 366.67), abs=0.01)
    assert cell(5) == pytest.approx((300, 300, 700, 700))
    assert cell(9) == pytest.approx((633.33, 633.33, 1000, 1000), abs=0.01)
    assert math.isclose(cell(6)[3], cell(4)[3])
