"""What Telegram does to a text: it counts UTF-16 units, trims, finds commands and mentions, and reads HTML.

Every error is a ValueError whose words are those of the Bot API after "Bad Request: ".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from tests.emulators.server import Json

_FOUND = re.compile(r"(?<![\w/@])(?:(?P<bot_command>/\w{1,32}(?:@\w{3,32})?)|(?P<mention>@\w{4,32}))", re.ASCII)

_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "s": "strikethrough",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
}


def units(text: str) -> int:
    """Length in UTF-16 code units, in which Telegram counts lengths and offsets."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def found_entities(text: str) -> list[Json]:
    """The commands and mentions of a user's text, as Telegram marks them."""
    return [
        {"type": str(match.lastgroup), "offset": units(text[: match.start()]), "length": units(match[0])}
        for match in _FOUND.finditer(text)
    ]


def entity_text(text: str, entity: Json) -> str:
    """The part of `text` that `entity` covers."""
    data = text.encode("utf-16-le", "surrogatepass")
    start = 2 * entity["offset"]
    return data[start : start + 2 * entity["length"]].decode("utf-16-le", "surrogatepass")


def cleaned(text: str, entities: Sequence[Json]) -> tuple[str, list[Json]]:
    """Text without white space at its ends, entities moved along; raises ValueError for an entity off the text."""
    for entity in entities:
        _check(text, entity)
    kept = text.strip()
    shift, length = units(text) - units(text.lstrip()), units(kept)
    moved: list[Json] = []
    for entity in entities:
        start = max(entity["offset"] - shift, 0)
        end = min(entity["offset"] + entity["length"] - shift, length)
        if end > start:
            moved.append({**entity, "offset": start, "length": end - start})
    return kept, moved


def _check(text: str, entity: Json) -> None:
    start, length = int(entity["offset"]), int(entity["length"])
    if start < 0 or length < 0:
        raise ValueError("entity offset and length must be non-negative")
    if start + length > units(text):
        raise ValueError(
            f"entity beginning at UTF-16 offset {start} ends after the end of the text at UTF-16 offset {units(text)}"
        )
    data = text.encode("utf-16-le", "surrogatepass")
    for edge in (start, start + length):
        if edge and 0xD8 <= data[2 * edge - 1] <= 0xDB:  # the first half of a pair: the entity would cut it in two
            raise ValueError(
                f"entity beginning at UTF-16 offset {start} ends in a middle of a UTF-16 symbol at offset {edge}"
            )


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.entities: list[Json] = []
        self._open: list[tuple[str, Json]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            raise ValueError(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset {self._offset()}')
        link = {"url": dict(attrs).get("href") or ""} if tag == "a" else {}
        self._open.append((tag, {"type": _TAGS[tag], "offset": units(self.text), **link}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            raise ValueError(f"can't parse entities: Unexpected end tag at byte offset {self._offset()}")
        entity = self._open.pop()[1]
        if length := units(self.text) - entity["offset"]:
            self.entities.append({**entity, "length": length})

    def handle_data(self, data: str) -> None:
        self.text += data

    def finish(self) -> tuple[str, list[Json]]:
        self.close()
        if self._open:
            raise ValueError(
                f"can't parse entities: Can't find end tag corresponding to start tag \"{self._open[-1][0]}\""
            )
        return self.text, sorted(self.entities, key=lambda entity: (entity["offset"], -entity["length"]))

    def _offset(self) -> int:
        return len(self.text.encode())


def parsed(text: str, parse_mode: str) -> tuple[str, list[Json]]:
    """Text and entities of HTML; other modes are not emulated and refused, as Telegram refuses unknown ones."""
    if parse_mode.lower() != "html":
        raise ValueError("unsupported parse_mode")
    html = _Html()
    html.feed(text)
    return html.finish()
