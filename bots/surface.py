"""What every platform gives askpix: messages that came in, and a surface on which replies are shown.

SurfaceError
├── Flooded      the platform asks for patience in this chat, for `seconds`
├── Gone         the message to edit was deleted
├── Closed       this chat cannot be written to: blocked, removed, no right to write
├── Moved        what belongs here goes to another chat now: `chat`
├── Later        the asker cannot be reached before they speak to us again
├── Unreachable  the network or the platform failed; the same call may work later
└── Unfit        the platform refuses this content for good
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from storage.messages import Address

PICTURES = (".jpg", ".png")  # names of files that are shown
ROW = 3  # buttons beside each other
ALONE = ":private"  # ends the name of a conversation that its person alone sees, beside the one in the same chat


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


class Moved(SurfaceError):
    """The chat goes on under another id, or the asker is answered elsewhere; old messages cannot be edited."""

    def __init__(self, chat: str) -> None:
        super().__init__(f"moved to {chat}")
        self.chat = chat


class Later(SurfaceError):
    """Only at the asker's next word to us can this be shown."""


class Unreachable(SurfaceError):
    """Try again later."""


class Unfit(SurfaceError):
    """The platform refuses this content."""


class FileRef(msgspec.Struct, frozen=True):
    """A file on its platform; size in bytes, media type and length as the platform declares them, if it does.

    `source` is the platform's lasting name of these bytes, if it has one: `id` may differ from message to message.
    """

    id: str
    size: int | None = None
    mime: str = ""
    source: str = ""
    seconds: float = 0.0


class Incoming(msgspec.Struct, frozen=True):
    """One message that is for us, in no platform's words. A command has no slash; `id` becomes the ask's id.

    album: one of several messages that share `id`; only those that are not `addressed` need their neighbours to be for
    us. edited: the message was there before. refusal: the phrase code of what nobody can read. button: the one pressed
    (`where.message` is the message under which it stands). press: how to tell its sender alone. event: "added", "left"
    or "moved" (to the chat in `argument`), what befell the chat itself. server: what the chat is a part of. sent: when
    (s since 1970), 0 where the platform does not say.
    """

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
    album: bool = False
    addressed: bool = True
    edited: bool = False
    refusal: str = ""
    button: str = ""
    press: str = ""
    event: str = ""
    server: str = ""
    sent: float = 0.0

    @property
    def number(self) -> int:
        """The message's place in its chat."""
        return int(self.where.message or 0)

    @property
    def conversations(self) -> tuple[str, str]:
        """Its person's in this chat: what a command is about."""
        return self.conversation, f"{self.conversation}{ALONE}"

    @property
    def chat(self) -> str:
        """The chat as the allow-lists write it."""
        return f"{self.where.platform}:chat:{self.where.chat}"

    @property
    def chats(self) -> tuple[str, ...]:
        """The chat, and what it is a part of, as the allow-lists write them."""
        return (self.chat, f"{self.where.platform}:chat:{self.server}") if self.server else (self.chat,)


class Button(NamedTuple):
    """A button under a message: what a press says, and what it shows."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one slot shows: text and, in the surface's own form, its formatting; and the buttons under it."""

    text: str
    format: tuple[object, ...] = ()
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls a chat takes: `burst` at once, and never more in any stretch of `burst` times `seconds`."""

    burst: int
    seconds: float


class Surface(Protocol):
    """A platform, as intake and delivery see it. Every coroutine raises SurfaceError."""

    platform: str
    offers: tuple[str, ...]  # the buttons under a whole answer

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

    async def place(self, where: Address, page: Page, nonce: str = "") -> str:
        """Send a message that answers `where`; returns its id. The same nonce within minutes is the same message."""
        ...

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        """Show a page in a message of ours; showing the same again is success."""

    async def typing(self, where: Address) -> None:
        """Show for about five seconds that an answer is being written."""

    async def remove(self, where: Address, slot: str) -> None:
        """Take a message of ours away."""

    async def send(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        """Send a file that answers `where`, a picture (.jpg, .png) as one; returns its message's id."""
        ...

    async def sign(self, where: Address, sign: str) -> None:
        """Put a light sign on the asker's message: "seen", "done", or "" for none."""
        ...

    async def notify(self, press: str, text: str) -> None:
        """Tell the one who pressed a button, and nobody else."""

    async def direct(self, person: str) -> Address:
        """Where somebody is written to in private."""
        ...
