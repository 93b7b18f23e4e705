"""What of a conversation fits the engine's context. Pure: counts in, turns out."""

from __future__ import annotations

from collections.abc import Sequence

from storage.messages import Refused, Turn


def answer_reserve(context: int) -> int:
    """Tokens of the context that a prompt may not use, so that the answer is not cut at once."""
    return min(context // 4, 4096)


def fit(turns: Sequence[Turn], tokens: Sequence[int], base: int, context: int) -> tuple[list[Turn], int]:
    """The newest turns that fit, and the prompt's exact size in tokens.

    The last turn is the question: it always stays, and raises Refused("too_long", over=…) when it alone is too much.
    base counts the system prompt and the opening of the answer; tokens counts each turn, template included.
    Turns go oldest first, a question together with its answer: what is kept begins with a question.
    """
    room = context - answer_reserve(context) - base
    if tokens[-1] > room:
        raise Refused("too_long", over=tokens[-1] - room)
    used, first = tokens[-1], len(turns) - 1
    pending = 0
    for index in range(len(turns) - 2, -1, -1):
        pending += tokens[index]
        if used + pending > room:
            break
        if turns[index].role == "user":
            used, pending, first = used + pending, 0, index
    return list(turns[first:]), base + used
