"""The records that travel between bots, queue and worker.

Everything is an immutable msgspec struct, encoded as JSON. A sentence never travels: what one half tells the other is
a code with arguments, and the adapters and the command line turn it into words.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of every record; unknown fields are ignored, so that old and new processes can share one queue."""


class Refused(Exception):
    """The asker's input cannot be taken; `code` and `args` name the sentence that says why."""

    def __init__(self, code: str, **args: str | int | float) -> None:
        super().__init__(code)
        self.code = code
        self.details = args


class Address(Record, frozen=True):
    """Where a reply goes: a chat of a platform, and the message that asked.

    `via` is a platform's own, passing way to answer what was no message (a command, a press), in the platform's words.
    """

    platform: str
    chat: str
    message: str = ""
    thread: str = ""
    group: bool = False
    via: str = ""

    @property
    def bucket(self) -> str:
        """What its platform counts a rate by."""
        return self.via or self.chat

    def moved(self, chat: str) -> Address:
        """The same asker in another chat."""
        return msgspec.structs.replace(self, chat=chat, message="")


class Photo(Record, frozen=True):
    """One photo in the form the engine gets; the bytes lie in the photo store under person and sha256.

    width and height are pixels (multiples of 32), size is bytes, sha256 is lower-case hex of the encoded bytes.
    `message` is the number of the message that brought it, `source` the platform's own name of the file, `caption` what
    an album says beside this photo. `lead` stands before it: a frame's time, a page's number. `full` is the width and
    height (px, upright) of what it was shrunk from, if it was; those bytes are kept for a day, see storage/images.py.
    """

    sha256: str
    mime: str
    width: int
    height: int
    size: int
    message: int = 0
    source: str = ""
    caption: str = ""
    lead: str = ""
    full: tuple[int, int] | None = None


class Quote(Record, frozen=True):
    """The one message a question replies to: its words and its photos."""

    text: str = ""
    photos: tuple[Photo, ...] = ()


class Turn(Record, frozen=True):
    """One turn of a conversation as the model will see it again; `stopped` marks an answer its asker cut short.

    `ask` is the id of the ask it belongs to: a question that is answered anew finds its turns by it. `document` is what
    was read of a document that came with a question: those of its pages that were chosen.
    """

    role: str = "user"  # or "assistant"
    text: str = ""
    photos: tuple[Photo, ...] = ()
    quote: Quote | None = None
    stopped: bool = False
    ask: str = ""
    document: str = ""

    def every_photo(self) -> tuple[Photo, ...]:
        """Its own photos, and the quoted ones last."""
        return self.photos + (self.quote.photos if self.quote else ())


class View(Record, frozen=True):
    """What the engine was given of a conversation when it last answered, for its person to see.

    turns are questions with their answers, photos those that were shown; tokens, prompt and answer by the engine's
    count, are out of `budget`. The last trimming dropped so many turns; `until` begins the newest of those questions.
    """

    turns: int
    photos: int
    tokens: int
    budget: int
    dropped: int = 0
    until: str = ""


class Note(Record, frozen=True):
    """Something to say with an answer: a phrase code and its arguments."""

    code: str
    args: dict[str, str | int | float] = {}


class Ask(Record, frozen=True):
    """One question on its way; `id` is `platform:chat:message`, of an album `platform:chat:media_group_id`.

    `epoch` is the conversation's count of fresh starts. `task` names the entry of bots/tasks.py whose prompt the
    question is; `then` is what to ask of the part of the photo that it finds. `notes` are said below the answer.
    """

    id: str
    person: str  # "telegram:123"
    conversation: str  # "telegram:chat[:thread]:user"
    lane: str
    outbox: str  # the platform, or "terminal:<session>"
    where: Address
    question: Turn = Turn()
    language: str = "en"
    epoch: int = 0
    asked_at: float = 0.0  # seconds since 1970
    task: str = ""
    then: str = ""
    notes: tuple[Note, ...] = ()

    def photos(self) -> tuple[Photo, ...]:
        """Every photo this ask needs, the quoted ones last."""
        return self.question.every_photo()


class Queued(Record, frozen=True, tag="queued"):
    """The ask waits: `place` asks are served before it (0: it is next); eta in seconds, None while unmeasured."""

    place: int
    eta: float | None = None


class Waiting(Record, frozen=True, tag="waiting"):
    """The ask waits for something that is not its turn; `reason` is a phrase code such as "engine_down"."""

    reason: str


class Started(Record, frozen=True, tag="started"):
    """A worker claimed the ask under `fence`; text of a lower fence is dead."""

    fence: int


class Delta(Record, frozen=True, tag="delta"):
    """`text` starts at byte `offset` of the answer's UTF-8 text under `fence`."""

    fence: int
    offset: int
    text: str


class Done(Record, frozen=True, tag="done"):
    """The whole answer; `cut` says that the context was full before the model was done."""

    text: str
    cut: bool = False
    seconds: float = 0.0
    tokens: int = 0


class Failed(Record, frozen=True, tag="failed"):
    """There is no answer; code and args name the sentence that says why."""

    code: str
    args: dict[str, str | int | float] = {}


class Cancelled(Record, frozen=True, tag="cancelled"):
    """The asker stopped it; `text` is what had been written so far."""

    text: str = ""


Event = Queued | Waiting | Started | Delta | Done | Failed | Cancelled
Final = Done | Failed | Cancelled


class Model(Record, frozen=True):
    """What the worker publishes about the engine that runs: intake prepares photos for it.

    context is tokens a request, slots how many requests it serves at once, pixels are per photo.
    """

    name: str
    context: int
    slots: int
    min_pixels: int
    max_pixels: int

    @property
    def demo(self) -> bool:
        """Whether it is the small model that comes with askpix."""
        return self.name == "askpix-demo"


def encode(record: Any) -> bytes:
    """Encode a record as JSON."""
    return msgspec.json.encode(record)


def decode(data: bytes, kind: type[T]) -> T:
    """Decode a record; raises msgspec.ValidationError when `data` is not one."""
    return msgspec.json.decode(data, type=kind)


_EVENT = msgspec.json.Decoder(Event)


def decode_event(data: bytes) -> Event:
    """Decode any reply event by its tag."""
    return _EVENT.decode(data)
