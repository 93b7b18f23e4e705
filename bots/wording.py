"""What an ask's reply says in words: how it ended, and what it waits for."""

from __future__ import annotations

import math

from bots.phrases import phrases, say
from storage.messages import Cancelled, Done, Event, Failed, Queued, Waiting


def ending(language: str, event: Event) -> str:
    """The words of a final event."""
    match event:
        case Done(text=text, cut=cut):
            return _followed(text, say(language, "cut")) if cut else text.strip() or say(language, "empty_answer")
        case Cancelled(text=text):
            return _followed(text, say(language, "stopped"))
        case Failed(code=code, args=args):
            # A worker of a newer version may know a code that we have no words for.
            return say(language, code, **args) if code in phrases(language) else say(language, "went_wrong")
        case _:
            raise TypeError(type(event).__name__)


def _followed(text: str, sentence: str) -> str:
    """What had been written, and a sentence of ours, outside of a code block in which the text broke off."""
    text = text.strip()
    if sum(line.lstrip().startswith("```") for line in text.splitlines()) % 2:
        text += "\n```"
    return f"{text}\n\n{sentence}".strip()


def waiting(language: str, status: Queued | Waiting) -> str:
    """The words of a waiting ask: its reason, or its place and when its turn comes by measured speed."""
    if isinstance(status, Waiting):
        return say(language, status.reason)
    code = "next" if status.place == 0 else "place"
    if status.eta is None:
        return say(language, code, place=status.place + 1)
    return say(language, f"{code}_eta", place=status.place + 1, eta=duration(language, status.eta))


def duration(language: str, seconds: float) -> str:
    """A rough time: in steps of 5 s, from 90 s on in minutes."""
    if seconds < 90:
        return say(language, "seconds", n=5 * max(1, math.ceil(seconds / 5)))
    return say(language, "minutes", n=math.ceil(seconds / 60))
