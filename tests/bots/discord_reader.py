"""Discord's Markdown, read as its client does (the rules of simple-markdown, with its own marks)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"\\(?P<escaped>[^0-9A-Za-z\s])"
    r"|```(?:(?P<language>[a-z0-9_+\-.#]+?)\n)?\n*(?P<block>[^\n].*?)\n*```"
    r"|(?P<ticks>`+)(?P<code>.*?[^`])(?P=ticks)(?!`)"
    r"|(?P<live><(?:@[!&]?|\#)\d+>|@everyone|@here|<t:-?\d+(?::\w)?>|<a?:\w+:\d+>|</[\w -]+:\d+>|<id:\w+>|```|\|\|)"
    r"|<(?P<hidden>https?://[^\s<>]+)>"
    r"|(?P<bare>https?://[^\s<]+[^<.,:;\"')\]\s])"
    r"|\[(?P<words>(?:[^\[\]\\]|\\.|\[[^\]]*\])+)\]\(<?(?P<target>https?://[^>)\s]+)>?\)"
    r"|(?P<mark>\*\*|\*|~~|(?<![^\W_])_|_(?![^\W_]))"
    r"|^(?P<line>#{1,3} |> |>>> )",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


@dataclass
class Seen:
    """What a reader sees of a message: its text, its blocks of code (language and text), links, and what comes alive.

    `live` is what pings, turns into a time, a picture or a spoiler, or fences nothing; `marks` counts the formatting.
    """

    text: str = ""
    blocks: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    links: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    live: list[str] = field(default_factory=list[str])
    unfolds: list[str] = field(default_factory=list[str])
    marks: dict[str, int] = field(default_factory=dict[str, int])


def read(markdown: str) -> Seen:
    """One message as it is seen."""
    seen = Seen()
    at = 0
    for found in _TOKEN.finditer(markdown):
        seen.text += markdown[at : found.start()] + _shown(found, seen)
        at = found.end()
    seen.text = (seen.text + markdown[at:]).replace("\u200b", "")
    return seen


def _shown(found: re.Match[str], seen: Seen) -> str:
    if found["block"]:
        code = found["block"].replace("\u200b", "")
        seen.blocks.append((found["language"] or "", code))
        return code
    if found["words"]:
        words = read(found["words"])
        seen.links.append((words.text, found["target"]))
        seen.live += words.live
        return words.text
    if found["live"]:
        seen.live.append(found[0])
    if found["bare"]:
        seen.unfolds.append(found[0])
    if found["mark"]:
        seen.marks[found[0]] = seen.marks.get(found[0], 0) + 1
    return found["escaped"] or found["code"] or found["hidden"] or found["bare"] or found["live"] or ""
