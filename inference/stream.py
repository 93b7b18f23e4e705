"""What comes back from an engine: a stream of server-sent events, its errors, its end.

EngineError
├── EngineDown     not reachable, broken off, stalled or overloaded: the ask goes back to the queue
└── EngineRefused  the engine read the request and will not serve it: the ask has no answer
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

LONGEST_EVENT = 1 << 20  # bytes


class EngineError(Exception):
    """Base of what the engine client raises."""


class EngineDown(EngineError):
    """The engine cannot answer now; `started` says that it had the request in hand, which may be what broke it."""

    def __init__(self, reason: str, *, started: bool = False) -> None:
        super().__init__(reason)
        self.started = started


class EngineRefused(EngineError):
    """The engine refused the request for good (HTTP 4xx)."""


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    finish_reason: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int | None = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class Chunk(msgspec.Struct):
    """One event of a stream."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None


class Generation(msgspec.Struct):
    """What is known of one answer when its stream has ended; tokens as the engine counts them."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    finish: str = ""


def refusal(status: int) -> EngineError:
    """What time, a key or a setting may mend is EngineDown. The body may quote the prompt: it goes nowhere."""
    if status in (401, 403, 404, 408, 429) or status >= 500:
        return EngineDown(f"HTTP {status}", started=status == 500)
    return EngineRefused(f"HTTP {status}")


async def events(parts: AsyncIterator[bytes]) -> AsyncGenerator[Chunk]:
    """The chunks of a server-sent event stream until [DONE]; a stream that ends without it broke off."""
    decoder, rest = msgspec.json.Decoder(Chunk), b""
    async for part in parts:
        # Not by str's lines: they also end at U+2028, U+0085 and the like, which JSON may hold as they are.
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > LONGEST_EVENT:
            raise EngineDown("an event has no end", started=True)
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments keep the connection alive
            if (data := line[5:].strip()) == b"[DONE]":
                return
            yield decoder.decode(data)
    raise EngineDown("the stream broke off", started=True)


def read(chunk: Chunk, generation: Generation) -> str:
    """The text of an event; what it says of the answer goes into `generation`. Raises EngineError."""
    if error := chunk.error:  # behind a status of 200; SGLang says so that its queue is full, or a prompt just too long
        code = error.get("code") if isinstance(error, dict) else None
        raise refusal(code if isinstance(code, int) and 400 <= code < 600 else 500)
    if chunk.usage:
        generation.prompt_tokens, generation.tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        details = chunk.usage.prompt_tokens_details
        generation.cached_tokens = (details.cached_tokens or 0) if details else 0
    text = ""
    for choice in chunk.choices or ():
        if choice.finish_reason == "abort":  # SGLang's word when it drains or drops a request
            raise EngineDown("the engine gave up", started=True)
        generation.finish = choice.finish_reason or generation.finish
        text += (choice.delta and choice.delta.content) or ""
    return text
