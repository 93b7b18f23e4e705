"""An answer of any length as pages of a platform's size, formatting whole on every page.

Markdown is cut into blocks (a fence, a table, or what lies between blank lines). Each is converted by itself and
remembered: a growing text costs its last block. What is shown of a block does not depend on later ones, and where a
page ends depends on that page's text alone, so a full page stays as it is while the answer grows behind it.
What the platforms differ in is their Dialect; Discord's is in bots/discord_pages.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, zip_longest
from string import punctuation
from typing import cast
from unicodedata import category, east_asian_width

from telegramify_markdown import MessageEntity, RenderConfig, convert, utf16_len
from telegramify_markdown.latex_escape.helper import LatexToUnicodeHelper

from bots.surface import Page

TELEGRAM_LIMIT = 4096  # UTF-16 code units
TABLE_CELLS = 60  # wider lines of a table break on a phone
GROWING = " …"  # ends a text that is still being written

Shown = tuple[str, list[MessageEntity]]

# Marks that mean nothing here get a stand-in during the conversion: one of the 32 characters which, Unicode promises,
# no text holds. They are one UTF-16 unit long, as the marks are, so every entity stays where it was.
_HIDE = dict(zip(map(ord, punctuation), map(chr, range(0xFDD0, 0xFDF0)), strict=True))
_SHOW = {ord(stand_in): chr(mark) for mark, stand_in in _HIDE.items()}

_PLAIN = {f"heading_level_{level}": "" for level in range(1, 5)}  # no sign that the model did not write
_LATEX = LatexToUnicodeHelper()

_FENCE = r"(?:`{3,}(?=[^`\n]*$)|~{3,})"
_TABLE = r"(?=[^\n]*\|)[^\n]+\n {0,3}(?=[^\n]*-)(?=[^\n]*\|)[|: \t-]+$"
_BLOCK = re.compile(
    rf"^ {{0,3}}(?P<fence>{_FENCE})[^\n]*(?:\n(?:.*?\n)?? {{0,3}}(?P=fence)[`~]*[ \t]*$|.*)"
    rf"|^(?P<table>{_TABLE}(?:\n(?=[^\n]*\|)[^\n]+)*)"
    rf"|^[^\n]*\S.*?(?=\n[ \t]*\n\S|\n{_FENCE}|\n(?! ){_TABLE}|\Z)",
    re.MULTILINE | re.DOTALL,
)
_MATH = (
    r"\$\$(.{1,1000}?)\$\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,1000}?)\\\)|\$([_^](?:\w|\{[^{}$\n]{1,50}\}))\$"
    # Dollars around a formula, not prices or $names: no letter or digit at their outer sides, nor words between them.
    r"|(?<![A-Za-z0-9$\\])\$(?=\S)([^$`\n]{0,200}?[\\^_{}][^$`\n]{0,200}?|(?:(?!\s[A-Za-z]{2}|[A-Za-z]{2}\s|[\u3000-\u9fff，])"
    r"[^$`\n]){1,200}?)(?<=\S)\$(?![A-Za-z0-9$])"
)
_NESTED = r"^[ \t]*(?:(?:[-*+>]|\d+[.)])[ \t]+){9,}"  # a model that loops; the converter takes minutes over thousands
# What the converter takes for HTML, a formula, a spoiler or the definition of a link, and drops or hides.
_LITERAL = re.compile(
    rf"(?P<code>(?:\n +(?=```))?(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`))|\*\*(?=\S)(?P<bold>[^*\n]+)\*\*"
    rf"|{_MATH}|{_NESTED}|\\?[<$]|\|\||(?<=\]):",
    re.DOTALL | re.MULTILINE,
)

# What a growing text may end with: the beginning of a line's mark or of a formula, and of a link.
_HALF_MARK = re.compile(r"(?:\A|\n)(?! *```)(?:[ \t]*\d+[.)]?)?[-+*=#>|`~:_$ \t]*(?:\[[ x]?\]? ?)?\Z|\\[(\[]?\Z")
_HALF_LINK = re.compile(r"!?\[([^\]\n]*)(?:\](?:\([^)\n]*)?)?\Z")

# Where a page may end, the best first: paragraphs, lines that are not indented, lines, sentences, words, letters.
_ENDS = [re.compile(end) for end in (r"\n\n(?=\S)", r"\n(?=\S)", r"\n", r"[.!?]\s|[。！？；]", r"\s|[，、]")]
_LETTER = re.compile(r"(?s)(?<!\u200d)(?![\u200d\ufe0f\u20e3\u0300-\u036f\U0001f3fb-\U0001f3ff])")


def symbols(**special: str) -> RenderConfig:
    """The converter's settings, with a platform's own signs for headings and list items."""
    config = RenderConfig.isolated()
    config.cite_expandable = False  # a quotation must not fold up while it grows
    vars(config.markdown_symbol).update(_PLAIN, task_uncompleted="⬜", **special)
    return config


@dataclass(frozen=True, eq=False)
class Dialect:
    """What the platforms differ in."""

    limit: int  # UTF-16 units a page
    rows: int  # of a table laid out together: about a third of a page at most, so that a page can end before them
    config: RenderConfig
    fits: Callable[[str, list[MessageEntity]], int]  # how many units of a text stand on one page with their formatting
    page: Callable[[str, list[MessageEntity]], Page]


TELEGRAM = Dialect(
    limit=TELEGRAM_LIMIT,
    rows=16,
    config=symbols(unordered_list_item="•"),
    fits=lambda text, _: utf16_len(text),
    # A link to tg://user would ping whom it names.
    page=lambda text, entities: Page(text, tuple(each for each in entities if re.match("https?:|None", str(each.url)))),
)


def telegram_pages(markdown: str) -> list[Page]:
    """Markdown as Telegram text and entities (MessageEntity of telegramify-markdown), at most 4096 units a page."""
    return pages(markdown, TELEGRAM)


def pages(markdown: str, dialect: Dialect) -> list[Page]:
    """At least one page, none of them blank; a text that ends with GROWING is still being written."""
    growing = markdown.endswith(GROWING)
    blocks = _blocks(markdown.removesuffix(GROWING).rstrip() if growing else markdown, growing, dialect)
    found = list(_cut(*_joined(blocks), dialect)) or [Page("…")]
    if growing and utf16_len(found[-1].text) + 2 <= dialect.limit and found[-1].text != "…":
        found[-1] = Page(found[-1].text + GROWING, found[-1].format)
    return found


def _blocks(markdown: str, growing: bool, dialect: Dialect) -> Iterator[tuple[str, Shown]]:
    """Every block with what parts it from the next."""
    found = list(_BLOCK.finditer(markdown))
    if growing and found:
        last = found.pop()
        markdown = markdown[: last.start()] + _mended(last)
        found += _BLOCK.finditer(markdown, last.start())
    for block, after in zip_longest(found, found[1:]):
        near = after and not after["table"] and markdown.count("\n", block.end(), after.start()) < 2
        near = near or re.fullmatch(r"#+ .*", block[0])  # no page ends between a heading and its text
        yield "\n" if near and not block["table"] else "\n\n", _shown(block[0], block.lastgroup or "", dialect)


def _mended(block: re.Match[str]) -> str:
    """The last block of a growing text without its half-written marks, and with the open ones closed."""
    text = block[0]
    if block["fence"]:
        return re.sub(r"\n[ `~]*\Z", "", text)
    nested = re.findall(r"^( +)```", text, re.MULTILINE)
    if len(nested) % 2:
        return re.sub(r"\n[ `]*\Z", "", text) + f"\n{nested[-1]}```"
    top, *rows = text.split("\n")
    # Of a wide table half of a first row would be shorter than the head that it replaces.
    half = len(rows) == 2 and len(top) > TABLE_CELLS and len(_split(rows[1])) < len(_split(top))
    table = block["table"] and len(rows) > 1 and not half
    text = text.partition("\n")[0] if block["table"] and not table else text
    text = _HALF_MARK.sub("", text)
    head, newline, line = text.rpartition("\n")
    if line.startswith("|") and not table:
        return f"{text}\n{'|-' * len(_split(line))}|"
    line = _HALF_LINK.sub(r"\1", line)
    for mark in ("`", "**", "~~"):
        if line.count(mark) % 2 and "```" not in line:
            line = line.rstrip(mark)
            line += mark * (line.count(mark) % 2)
    text = head + newline + line
    text += "$$" * (text.count("$$") % 2)
    return text + "".join(
        rf"\{end}" for start, end in ("[]", "()") if text.rfind(f"\\{start}") > text.rfind(f"\\{end}")
    )


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@lru_cache(maxsize=512)
def _shown(source: str, kind: str, dialect: Dialect) -> Shown:
    if kind == "table":
        source = re.sub(r"<br ?/?>", " ", source).replace("||", "| |")
    literal = source if kind == "fence" else _LITERAL.sub(_literal, source)
    text, entities = convert(literal, latex_escape=False, config=dialect.config)
    text = text.translate(_SHOW).rstrip()
    for entity in entities:
        entity.url = entity.url and entity.url.translate(_SHOW).strip("<>")
    if kind == "table" and re.fullmatch(r"-[-+]*", text.partition("\n")[2].partition("\n")[0]):
        return _table(text.split("\n"), source.split("\n")[1], dialect.rows)
    return text, list(_within(entities, 0, utf16_len(text)))


def _literal(match: re.Match[str]) -> str:
    if match["code"]:
        # Without an empty line before it, the converter glues code to the line before.
        return "\n" * match[0].startswith("\n") + match[0].replace("<", _HIDE[ord("<")])
    if match["bold"]:
        bold = _LITERAL.sub(_literal, match["bold"])
        around = match.string[match.start() - 1 : match.start()] + match.string[match.end() : match.end() + 1]
        # CommonMark sees none in 前**“好”**后 and 前**`a`**后: marks of a sentence go outside, code gets a joiner.
        if re.search(r"\w", around) and (edges := re.fullmatch(r"([^\w`]*)(.*[\w`])([^\w`]*)", bold)):
            words = re.sub(r"^(?=`)|(?<=`)$", "\u2060", edges[2])
            return f"{edges[1]}**{words}**{edges[3]}"
        return f"**{bold}**"
    if math := next(filter(None, match.groups()[3:]), None):
        math = re.sub(r"\\sqrt\s*\{([^{}]{2,})\}", r"√(\1)", math)
        plain = cast("str", _LATEX.convert(math))  # pyright: ignore[reportUnknownMemberType] : has no types
        return (plain.strip() or math).translate(_HIDE)
    return match[0].lstrip("\\").translate(_HIDE)


def _table(lines: list[str], rule: str, size: int) -> Shown:
    """The converter's table, whose columns its second line tells, laid out by the width that is seen."""
    edges = [-2, *(at.start() for at in re.finditer(r"\+", lines[1])), len(max(lines, key=len)) + 1]
    head, _, *rows = [[line[a + 2 : b - 1].strip() for a, b in pairwise(edges)] for line in lines]
    ways = _split(rule)
    return _joined(("\n\n", _rows(head, rows[at : at + size], ways)) for at in range(0, len(rows), size))


def _rows(head: list[str], rows: list[list[str]], ways: list[str]) -> Shown:
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    if sum(widths) + 3 * len(widths) - 3 > TABLE_CELLS:
        return _joined(("\n", _record(head, row)) for row in rows)
    lines = [" | ".join(map(_padded, row, widths, ways)).rstrip() for row in (head, *rows)]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    text = "\n".join(lines)
    return text, [MessageEntity("pre", 0, utf16_len(text))]


def _record(head: list[str], row: list[str]) -> Shown:
    """A row of a table that is too wide: a line for each of its cells, the first one bold."""
    lines = [f"{name}: {cell}" if name else cell for name, cell in zip(head, row, strict=True) if cell] or ["—"]
    return "\n".join(lines), [MessageEntity("bold", 0, utf16_len(lines[0]))]


def _padded(cell: str, width: int, way: str) -> str:
    room = width - _width(cell)
    left = room if way[-1:] == ":" != way[:1] else room // 2 if way[-1:] == ":" else 0
    return " " * left + cell + " " * (room - left)


def _width(text: str) -> int:
    """Cells of a fixed-width font."""
    return sum(0 if category(c) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _joined(parts: Iterable[tuple[str, Shown]]) -> Shown:
    """One text of parts with what parts each from the next."""
    texts: list[str] = []
    found: list[MessageEntity] = []
    at = 0
    for gap, (text, entities) in parts:
        if not text:
            continue
        found += [replace(entity, offset=entity.offset + at) for entity in entities]
        texts += [text, gap]
        at += utf16_len(text + gap)
    return "".join(texts[:-1]), found


def _cut(text: str, entities: list[MessageEntity], dialect: Dialect) -> Iterator[Page]:
    """A page ends in its last third, so none is nearly empty. The platforms trim white space, but not before code."""
    at = start = 0  # in units, in characters
    while start < len(text):
        code = any(entity.type == "pre" and 0 <= at - entity.offset < entity.length for entity in entities)
        if blank := re.match(r"\s*\n" if code else r"\s+", text[start:]):
            at, start = at + utf16_len(blank[0]), start + blank.end()
        room = _fitting(_first(text[start : start + dialect.limit], dialect.limit), entities, at, dialect)
        if start + len(room) < len(text):
            room = room[: _end(room, text[start + len(room)])]
        while len(less := _fitting(room, entities, at, dialect)) < len(room):  # what is cut off may have spared a mark
            room = less[: _end(less, room[len(less)])]
        shown = room.rstrip()
        if shown:
            yield dialect.page(shown, list(_within(entities, at, at + utf16_len(shown))))
        at, start = at + utf16_len(room), start + len(room)


def _fitting(text: str, entities: list[MessageEntity], at: int, dialect: Dialect) -> str:
    return _first(text, dialect.fits(text, list(_within(entities, at, at + utf16_len(text)))))


def _first(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")


def _within(entities: list[MessageEntity], start: int, end: int) -> Iterator[MessageEntity]:
    for entity in entities:
        first, last = max(entity.offset, start), min(entity.offset + entity.length, end)
        if first < last:
            yield replace(entity, offset=first - start, length=last - first)


def _end(room: str, after: str) -> int:
    """Where a page of at most these characters ends, before the character that comes after them."""
    for pattern in _ENDS:
        ends = (match.end() for match in pattern.finditer(room + after, len(room) * 2 // 3))
        if found := [end for end in ends if end <= len(room)]:
            return found[-1]
    return max((match.end() for match in _LETTER.finditer(room, len(room) * 2 // 3)), default=len(room))
