"""What of a conversation fits the engine's context. Pure: counts in, turns out."""

from __future__ import annotations

from collections.abc import Sequence

from storage.messages import Refused, Turn


def answer_reserve(context: int) -> int:
    """Tokens of the context that a prompt may not use, so that the answer is not cut at once."""
    return min(context // 4, 4096)


def low_mark(room: int) -> int:
    """Tokens that trimming goes down to: far enough below `room`, the high mark, for the prefix cache to serve long."""
    return room // 2


def least_context(base: int) -> int:
    """The smallest context that leaves a question a token beside the system prompt and the answer's reserve."""
    context = base + 1
    while context - answer_reserve(context) <= base:
        context += 1
    return context


def fit(turns: Sequence[Turn], tokens: Sequence[int], base: int, context: int) -> tuple[list[Turn], int]:
    """The newest turns that fit, and the prompt's exact size in tokens.

    The last turn is the question: it always stays, and raises Refused("too_long", over=…) when it alone is too much.
    base counts the system prompt and the opening of the answer; tokens counts each turn, template included.
    Turns go oldest first, a question together with its answer, down to the low mark at once. What went is never given
    again (the history drops it with the answer), so until the next trimming every prompt begins with the one before it.
    """
    room = context - answer_reserve(context) - base
    if tokens[-1] > room:
        raise Refused("too_long", over=tokens[-1] - room)
    used, first = sum(tokens), 0
    mark = low_mark(room) if used > room else room
    while first < len(turns) - 1 and (used > mark or turns[first].role != "user"):
        used -= tokens[first]
        first += 1
    return list(turns[first:]), base + used
