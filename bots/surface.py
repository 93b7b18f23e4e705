"""What every platform gives askpix: messages that came in, and a surface on which replies are shown.

SurfaceError
├── Flooded      the platform asks for patience in this chat, for `seconds`
├── Gone         the message to edit was deleted
├── Closed       this chat cannot be written to: blocked, removed, no right to write
├── Unreachable  the network or the platform failed; the same call may work later
└── Unfit        the platform refuses this content for good
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from storage.messages import Address


class SurfaceError(Exception):
    """Base of what a surface raises."""


class Flooded(SurfaceError):
    """Wait `seconds` before the next call in this chat."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"flooded for {seconds} s")
        self.seconds = seconds


class Gone(SurfaceError):
    """The message is not there any more."""


class Closed(SurfaceError):
    """The chat cannot be written to."""


class Unreachable(SurfaceError):
    """Try again later."""


class Unfit(SurfaceError):
    """The platform refuses this content."""


class FileRef(msgspec.Struct, frozen=True):
    """A file on its platform; size in bytes and media type as the platform declares them, if it does."""

    id: str
    size: int | None = None
    mime: str = ""


class Incoming(msgspec.Struct, frozen=True):
    """One message that is for us, in no platform's words. A command has no slash; `id` becomes the ask's id."""

    id: str
    person: str
    conversation: str
    where: Address
    language: str
    text: str = ""
    photos: tuple[FileRef, ...] = ()
    quote_text: str = ""
    quote_photos: tuple[FileRef, ...] = ()
    command: str = ""
    argument: str = ""

    @property
    def chat(self) -> str:
        """The chat as the allow-lists write it."""
        return f"{self.where.platform}:chat:{self.where.chat}"


@dataclass(frozen=True, slots=True)
class Page:
    """What one slot shows: text and, in the surface's own form, its formatting."""

    text: str
    format: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls a chat takes: `burst` at once, then one every `seconds`."""

    burst: int
    seconds: float


class Surface(Protocol):
    """A platform, as intake and delivery see it. Every coroutine raises SurfaceError."""

    platform: str

    def read(self, raw: bytes) -> Incoming | None:
        """What a raw update says to us; None when it is not for us."""
        ...

    def rate(self, where: Address) -> Rate:
        """How often this chat may be written to."""
        ...

    def pages(self, markdown: str) -> list[Page]:
        """A whole text as the slots that hold it, at least one."""
        ...

    async def fetch(self, file: FileRef) -> bytes:
        """A file's bytes; also raises Refused("too_large", limit=…)."""
        ...

    async def place(self, where: Address, text: str) -> str:
        """Send a message that answers `where`; returns its id."""
        ...

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        """Show a page in a message of ours; showing the same again is success."""
        ...

    async def typing(self, where: Address) -> None:
        """Show for about five seconds that an answer is being written."""
        ...
