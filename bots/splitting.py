"""An answer of any length as pages of a platform's size, formatting whole on every page."""

from __future__ import annotations

from telegramify_markdown import RenderConfig, convert, split_entities

from bots.surface import Page

TELEGRAM_LIMIT = 4096  # UTF-16 code units

# Stands for "<" during the conversion, which takes `a<b and b>c` or `List<str>` for HTML and drops it. Unicode promises
# that no text holds this character; it is one UTF-16 unit long, as "<" is, so every entity stays where it was.
_LESS = "\ufdd0"


def telegram_pages(markdown: str) -> list[Page]:
    """Markdown as Telegram text and entities (MessageEntity of telegramify-markdown), at most 4096 units a page."""
    text, entities = convert(markdown.replace("<", _LESS), config=RenderConfig.isolated())
    pages = split_entities(text.replace(_LESS, "<"), entities, TELEGRAM_LIMIT)
    return [Page(text, tuple(found)) for text, found in pages] or [Page("…")]
