r"""Turns to what the engine reads: chat messages to send, and the template's text to count. Pure.

The template is Qwen3-VL's: `<|im_start|>role\n…<|im_end|>\n` a turn, an image as one run of pad tokens between
`<|vision_start|>` and `<|vision_end|>`, where it stands in the content.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from storage.messages import Photo, Turn
from storage.vision import image_tokens

# Constant, without a clock: the engine's prefix cache begins with it.
SYSTEM = "You are askpix, a helpful assistant that answers questions about photos."
GONE = "[a photo that is no longer kept]"
OPENING = "<|im_start|>assistant\n"

_SPECIAL = re.compile(r"<\|(?=\w+\|>)")


def clean(text: str) -> str:
    """A text as every engine may see it: NFC, and no special token of the template in it."""
    return _SPECIAL.sub("< |", unicodedata.normalize("NFC", text))


def pieces(turn: Turn, kept: Container[str]) -> Iterator[str | Photo]:
    """A turn's content in order: quoted photos, quoted words, document, own photos, own words. `kept`: photos' names.

    An album's captions stand each behind its photo and what was asked besides stands last; a single one is the question
    and stands last too, as under one photo.
    Texts never touch: engines join neighbours differently. Answers are cleaned too, a model may spell what it was told.
    """
    text = clean(turn.text.strip() if turn.role == "user" else turn.text)
    captions = [clean(photo.caption.strip()) for photo in turn.photos]
    groups: list[tuple[tuple[Photo, ...], str]]
    if sum(map(bool, (*captions, text))) > 1:
        groups = [((photo,), caption) for photo, caption in zip(turn.photos, captions, strict=True)]
        groups.append(((), f"\n{text}" if text and captions[-1] else text))
    else:
        groups = [(turn.photos, text or "".join(captions))]
    if turn.document:
        groups.insert(0, ((), clean(turn.document) + "\n\n"))
    if turn.quote:
        quoted = clean(turn.quote.text.strip())
        groups.insert(0, (turn.quote.photos, f"They quote this message:\n{quoted}\n\n" if quoted else ""))
    words = ""
    for photos, following in groups:
        for photo in photos:
            words += photo.lead
            if photo.sha256 not in kept:
                words += ("\n" if words and not words.endswith("\n") else "") + GONE + "\n"
                continue
            if words:
                yield words
            words = ""
            yield photo
        words += following
    if words:
        yield words


def messages(turns: Sequence[Turn], kept: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The system prompt and the turns as OpenAI chat messages; photos travel as `data:` URLs only."""
    found: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for turn in turns:
        parts = [_part(piece, kept) for piece in pieces(turn, kept)]
        plain = all(part["type"] == "text" for part in parts)
        found.append({"role": turn.role, "content": "".join(part["text"] for part in parts) if plain else parts})
    return found


def template(turn: Turn, kept: Container[str]) -> tuple[str, int]:
    """What the template makes of one turn: its text without the images, and the images' tokens."""
    text, tokens = "", 0
    for piece in pieces(turn, kept):
        if isinstance(piece, str):
            text += piece
        else:
            # The two vision tokens part the texts around an image, so that counting sees the same words.
            text += "<|vision_start|><|vision_end|>"
            tokens += image_tokens(piece.width, piece.height) - 2
    return f"<|im_start|>{turn.role}\n{text}<|im_end|>\n", tokens


def _part(piece: str | Photo, kept: Mapping[str, bytes]) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    data = base64.b64encode(kept[piece.sha256]).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{piece.mime};base64,{data}"}}
