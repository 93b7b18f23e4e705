"""An answer of any length as pages of Discord's Markdown.

Discord reads Markdown by rules of its own: marks pair over paragraphs, neither ~~~ nor four backticks fence code, and
<t:0:R> is a time. So no source is passed on: bots/splitting.py finds out what is text and how it is formatted, and here
that is written in Discord's marks, closed and opened again where a page ends, and what would be read as more of them
gets a backslash. A mark counts towards its page from where it opens: a page's end depends on nothing behind it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from urllib.parse import quote

from telegramify_markdown import MessageEntity, utf16_len

from bots.splitting import Dialect, pages, symbols
from bots.surface import Page

DISCORD_LIMIT = 2000  # UTF-16 code units, marks and all
URL_LIMIT = 500  # a link must fit a page with its text; of one that is longer only the text is shown

# What the converter writes before a heading: characters of no text, so that a "#" of the answer itself is known.
_HEADING, _DEEP = "\ufffe", "\uffff"
_SIGNS = {f"heading_level_{level}": _HEADING * level if level < 4 else _DEEP for level in (1, 2, 3, 5, 6)}
_HEADED = {(f"{_HEADING} ", "bold"): "heading", (f"{_DEEP} ", "italic"): "bold"}  # deep ones come as italic
# Every line of a quotation has its mark; a space of no width parts backticks that would end code.
_INSIDE = {"blockquote": ("\n", "> "), "code": ("`(?=`)", "\u200b"), "pre": ("``(?=`)", "\u200b")}
_WRAPPED = {"bold": "**", "italic": "*", "strikethrough": "~~"}
_READ = re.compile(
    # A bare address stays as it is; Discord's goes on to the next space, so one that ends before gets <>.
    r"(?m)https?://[!-;=-~]+(?=\s)|(?P<url>https?://[!-;=-~]*[A-Za-z0-9/&=#%+-])"
    r"|(?P<inline>[\\*`]|(?<![^\W_])_|_(?![^\W_])|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\||\[(?![^\[\]\n]{0,99}\](?!\())"
    # Mentions, times and emoji; std::map::at holds no map, 12:100:5 no hundred.
    r"|<(?=[@#:]|a:|t:|id:|/[\w -]+:\d)|@(?=everyone|here)|(?<=[\w:]):(?=(?:100|[a-z]\w*):))"
    r"|^[ \t]*(?P<line>#(?=#{0,2}[ \t])|-(?=#)|>(?=[ \t]|>>))"
)
Mark = tuple[int, int, str, str]  # a stretch of a text, in UTF-16 units; what is written before and after it


def discord_pages(markdown: str) -> list[Page]:
    """Markdown as Discord shows it, at most 2000 units a page and none blank; a page's `format` is empty."""
    return pages(markdown, DISCORD)


def _page(text: str, entities: list[MessageEntity]) -> Page:
    units = _units(text)
    writes = [(0, 0, 0, ""), (len(units), 2, 0, "")]
    for rank, (start, end, before, after) in enumerate(_marks(units, entities)):
        writes += [(start, 1, rank, before), (end, 0, -rank, after)]  # at one place marks close before others open
    whole = "".join(written + units[at:end] for (at, _, _, written), (end, *_) in pairwise(sorted(writes)))
    whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return Page(re.sub(rf"{_DEEP} (?=\S)", "", whole).replace(_DEEP, "#").replace(_HEADING, "#"))


def _fits(text: str, entities: list[MessageEntity]) -> int:
    units = _units(text)
    sizes = [1] * len(units)
    for start, _, before, after in _marks(units, entities):
        sizes[start] += utf16_len(before + after)
    return bisect_right(list(accumulate(sizes)), DISCORD_LIMIT)


DISCORD = Dialect(DISCORD_LIMIT, 10, symbols(**_SIGNS, unordered_list_item="-"), _fits, _page)


def _units(text: str) -> str:
    """The text with its surrogate pairs in halves, so that its indices count as entities do."""
    return "".join(map(chr, memoryview(text.encode("utf-16")[2:]).cast("H")))


def _marks(units: str, entities: list[MessageEntity]) -> Iterator[Mark]:
    """Of what stands at one place, the outer marks first."""
    edges, code = {0, len(units) + 1}, set[int]()
    until: dict[str, int] = {}
    # Of two that are as long as each other the converter gives the inner first.
    from_inner = sorted(entities, key=lambda entity: (-entity.offset, entity.length))
    for entity in reversed(from_inner):
        shown = units[entity.offset : entity.offset + entity.length].rstrip()
        end = entity.offset + len(shown)
        start = entity.offset if entity.type in {"pre", "blockquote"} else end - len(shown.lstrip())
        kind = _HEADED.get((units[max(start - 2, 0) : start], entity.type), entity.type)
        if start < end and start >= until.get(kind, 0):  # something of it is seen, and not in such marks already
            if start in until.values():
                yield start, start, "\u200b", ""  # ** that ends and ** that begins are not ****
            until[kind] = end
            edges |= {start, end}
            code |= {start} if kind in {"code", "pre"} else set()
            newline = "\n> " if start < until.get("blockquote", 0) else "\n"
            yield from _written(kind, entity, units, start, end, newline)
    for at, end in pairwise(sorted(edges)):
        for found in _READ.finditer((units + "\n")[at:end]) if at not in code else ():
            if mark := found.lastgroup:
                before, after = ("<", ">") if mark == "url" else ("\\", "")
                yield at + found.start(mark), at + found.end(mark), before, after


def _written(kind: str, entity: MessageEntity, units: str, start: int, end: int, newline: str) -> Iterator[Mark]:
    """One stretch of the text, formatted."""
    shown = units[start:end]
    if mark := _WRAPPED.get(kind):
        yield start, end, mark, mark
    elif kind == "blockquote":
        yield start, start, "> ", ""
    elif kind == "text_link":
        yield start, end, *_linked(entity.url or "", shown)
    elif kind == "code":
        tick = "``" if "`" in shown else "`"
        yield start, end, tick + " " * shown.startswith("`"), " " * shown.endswith("`") + tick
    elif kind == "pre":
        language = re.split(r"[^A-Za-z0-9_+#.-]", (entity.language or "")[:40], maxsplit=1)[0]
        yield start, end, f"```{language}{newline}", f"{newline}```"
    if inside := _INSIDE.get(kind):
        places = (start + found.end() for found in re.finditer(inside[0], shown))
        yield from ((place, place, inside[1], "") for place in places)


def _linked(url: str, shown: str) -> tuple[str, str]:
    """Discord hides an address behind words only, and in <> it unfolds nothing."""
    url = re.sub(r"[\s<>()`\\]", lambda found: quote(found[0]), url)
    if len(url) > URL_LIMIT or url in shown:
        return "", ""
    if not re.match("https?://", url):
        return "", f" (`{url}`)"
    return ("", f" (<{url}>)") if "://" in shown else ("[", f"](<{url}>)")
