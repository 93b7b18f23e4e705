"""What is taken out of answers as files: whatever an answer holds, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.extracts import page_html, plain, table_csv


def rows(answer: str) -> list[list[str]]:
    data = table_csv(answer)
    assert data is not None and data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(
    "answer", ["", "no table", "a | b", "| a |\n| b |", "|---|", "| a |\n\n|---|", "|-", "a - b\n| :"]
)
def test_what_holds_no_table_gives_no_file(answer: str) -> None:
    assert table_csv(answer) is None


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd", "-cmd|x", "@SUM(A1)", "\t=1", "＝1", "-1+1", "**=1**", "`@x`", "<br>=1"]
)
def test_what_a_spreadsheet_would_compute_is_only_shown(cell: str) -> None:
    shown = rows(f"| a |\n|---|\n| {cell} |")[1][0]
    assert shown.startswith("'")


@pytest.mark.parametrize("cell", ["-5", "+3.2", "-1,234.50", "-7 %", "-", "a=b", "3 - 2"])
def test_a_number_with_its_sign_stays_one(cell: str) -> None:
    assert rows(f"| a |\n|---|\n| {cell} |")[1] == [cell]


def test_ragged_rows_are_filled_up() -> None:
    assert rows("|a|b|\n|-|-|\n|1|\n|1|2|3|\n|||") == [["a", "b", ""], ["1", "", ""], ["1", "2", "3"], ["", "", ""]]


def test_a_table_stands_between_texts_and_the_first_one_counts() -> None:
    answer = "Here | it is:\n\n```\nItem | Price \n:--|--:\r\n Tea | **3.80** \n```\nMore | text\n\n| x |\n|---|\n| y |"
    assert rows(answer) == [["Item", "Price"], ["Tea", "3.80"]]


def test_cells_keep_pipes_lines_commas_and_quotes() -> None:
    assert rows('| a |\n|---|\n| x\\|y |\n| 1<br/>2<BR>3 |\n| "q", r |\n| **a** and **b** |')[1:] == [
        ["x|y"],
        ["1\n2\n3"],
        ['"q", r'],
        ["**a** and **b**"],
    ]


def test_a_row_without_end_is_cut_off() -> None:
    assert {len(row) for row in rows("|a|\n|-|\n" + "|x" * 50_000 + "\n|y" * 50_000)} == {64}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("", ""),
        ("```", ""),
        ("```text\n  TOTAL   3.80\n\n  Tea\n```", "  TOTAL   3.80\n\n  Tea"),
        ("```\ncut off", "cut off"),
        ("\n```\none\n```\n\n```\ntwo\n```\nsaid", "one\n\ntwo\nsaid"),
        ("  indented\nas it stands\n", "  indented\nas it stands"),
        ("a\n```\ncode\n```", "a\n```\ncode\n```"),
    ],
)
def test_a_text_loses_only_the_fence_around_it(answer: str, text: str) -> None:
    assert plain(answer) == text


@pytest.mark.parametrize(
    "answer", ["", "no page", "```python\nprint()\n```", "```html\n\n```", "a <b>word</b>", "<htmlx>"]
)
def test_what_holds_no_page_gives_none(answer: str) -> None:
    assert page_html(answer) is None


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        ("Here is `<html>`:\n```html\n<p>a</p>\n```\nDone.", "<p>a</p>"),
        ("```HTML\n<!DOCTYPE html>\n<p>cut", "<!DOCTYPE html>\n<p>cut"),
        ("~~~ html\n<p>```</p>\n~~~", "<p>```</p>"),
        ("Sure:\n<!doctype html>\n<html><p>a</p></HTML>\nDone.", "<!doctype html>\n<html><p>a</p></HTML>"),
        ("```\n<html lang=en>\n<p>cut\n```\nDone.", "<html lang=en>\n<p>cut"),
    ],
)
def test_a_page_is_found_in_its_fence_or_bare_even_unfinished(answer: str, page: str) -> None:
    assert page_html(answer) == page


_PIECES = (
    "|", "-", ":", "\\", "\n", " ", "`", "```", "~~~", "html", "<html", "<!doctype html", "</html>", "**", "=",
    "\ud800", "\0", "\r", "é",
)  # fmt: skip
answers = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=40).map("".join)


@settings(max_examples=300, deadline=None)
@given(answers)
def test_any_answer_gives_a_file_or_none(answer: str) -> None:
    for table in filter(None, (table_csv(answer), table_csv("|a|\n|-|\n" + answer))):
        assert len({len(row) for row in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))}) == 1
    assert isinstance(plain(answer), str)
    assert page_html(answer) != ""


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", [*_PIECES, "|-\n", "```\n", "```html\n", "\\|", "| ** ", "<br", "\n`", "{|"])
def test_a_long_answer_of_anything_takes_no_time(piece: str) -> None:
    """Any step that reads the rest of the answer for each of its characters would take minutes."""
    answer = piece * (200_000 // len(piece))
    assert table_csv(answer) is None or "-" in answer
    table_csv("|a|\n|-|\n| " + answer)
    plain(answer)
    page_html(answer)
