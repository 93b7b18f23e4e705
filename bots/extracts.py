"""What is taken out of an answer as a file or a text of its own. Pure; linear in the answer, whatever it holds."""

from __future__ import annotations

import csv
import io
import re
from itertools import takewhile

_COLUMNS = 64  # a model that loops writes thousands of them, and every row is filled up to the longest
_WRAPPED = re.compile(r"(\*\*|`)((?:(?!\1).)+)\1", re.DOTALL)
_FORMULA = re.compile(r"[=@＝＠]|[-+－＋](?![\d., ]*%?\Z)")  # a number may begin with its sign
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[ \t]*[\w-]*[ \t]*(?:\n|\Z)", re.MULTILINE)
_FENCED_PAGE = re.compile(r"(?ims)^[ \t]*(`{3,}|~{3,})[ \t]*html\b[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)")
_BARE_PAGE = re.compile(r"(?ims)(?:<!doctype html|<html\b).*?(?:</html>|^[ \t]*```|\Z)")


def table_csv(answer: str) -> bytes | None:
    """The first markdown table of an answer as CSV, in UTF-8 with the mark that Excel wants; or None."""
    lines = answer.split("\n")
    rules = (at for at, rule in enumerate(lines) if at and {"|", "-"} <= set(rule) <= set("|:- \t\r"))
    at = next((at for at in rules if "|" in lines[at - 1]), 0)
    if not at:
        return None
    rows = [_cells(line) for line in (lines[at - 1], *takewhile(lambda line: "|" in line, lines[at + 1 :]))]
    width = max(map(len, rows))
    file = io.StringIO()
    csv.writer(file).writerows(row + [""] * (width - len(row)) for row in rows)
    return file.getvalue().encode("utf-8-sig", "replace")


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|"), maxsplit=_COLUMNS)[:_COLUMNS]
    return [_cell(cell) for cell in (cells if cells[-1].strip() or len(cells) == 1 else cells[:-1])]


def _cell(text: str) -> str:
    text = re.sub(r"<br ?/?>", "\n", text.replace(r"\|", "|"), flags=re.IGNORECASE).strip()
    text = wrapped[2].strip() if (wrapped := _WRAPPED.fullmatch(text)) else text
    return f"'{text}" if _FORMULA.match(text) else text  # a spreadsheet would compute it


def plain(answer: str) -> str:
    """The text of an answer, its layout kept, without the fence that a model likes to put around it."""
    text = answer.strip("\n")
    return (_FENCE.sub("", text) if _FENCE.match(text) else text).rstrip()


def page_html(answer: str) -> str | None:
    """The page in an answer, even one that broke off: what is fenced as HTML, or what begins like a page; or None."""
    fenced, bare = _FENCED_PAGE.search(answer), _BARE_PAGE.search(answer)
    page = fenced[2] if fenced else bare[0].removesuffix("```") if bare else ""
    return page.strip() or None
