"""Albums for tests: how their messages come in through a door, and a worker that says what it was shown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from msgspec import structs
from PIL import Image

from bots.surface import FileRef, Incoming
from storage.messages import Address, Ask, Done, Turn, encode
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.pictures import encoded
from tests.waiting import wait_until


def with_photos(desk: Desk) -> Door:
    """A door whose platform has the files p1 to p13, and one that is no picture."""
    desk.board.files = {f"p{n}": encoded(Image.new("RGB", (320, 320), (n, 0, 0))) for n in range(1, 14)}
    desk.board.files["junk"] = b"no picture"
    return Door(desk)


@dataclass
class Album:
    """Somebody's album; its photo number n is the file p{n}, in the message of that number."""

    door: Door
    name: str = "album"
    user: int = 1
    chat: str = ""

    @property
    def id(self) -> str:
        return f"telegram:{self.chat or self.user}:{self.name}"

    async def photos(self, *numbers: int, addressed: bool = True) -> None:
        """These photos come, in this order."""
        for number in numbers:
            await self.send(number, addressed=addressed)

    async def send(
        self, number: int, text: str = "", file: FileRef | None = None, *, refusal: str = "", addressed: bool = True,
        edited: bool = False, quoted: tuple[FileRef, ...] = (),
    ) -> None:  # fmt: skip
        """One message comes."""
        where = Address("telegram", self.chat or str(self.user), str(number), group=bool(self.chat))
        person, conversation = f"telegram:{self.user}", f"telegram:{where.chat}:{self.user}"
        photos = () if refusal else (file or FileRef(f"p{number}", source=f"p{number}"),)
        await self.door.put(
            encode(
                Incoming(
                    self.id, person, conversation, where, "en", text, photos, quote_photos=quoted, album=True,
                    addressed=addressed, edited=edited, refusal=refusal,
                )
            )
        )  # fmt: skip


async def work(door: Door) -> Ask:
    """Answer the next ask: with the numbers of its photos."""
    claim = await door.desk.claim()
    ask = claim.ask
    answer = Turn("assistant", f"saw {numbers(ask)}", ask=ask.id)
    turns = [structs.replace(ask.question, ask=ask.id), answer]
    assert await door.desk.stores.queue.finish(claim, Done(answer.text), turns)
    return ask


def numbers(ask: Ask) -> list[int]:
    return [photo.message for photo in ask.question.photos]


async def waiting(door: Door) -> list[Ask]:
    """Every ask that waits, in order; they are answered."""
    found: list[Ask] = []
    while (await door.desk.stores.queue.counts())["queued"]:
        found.append(await work(door))
    return found


async def settled(door: Door) -> None:
    await wait_until(door.settled)


async def shown(door: Door, *texts: str) -> None:
    """Wait until everything is delivered; then this is what the chat shows."""
    await wait_until(door.desk.delivered)
    assert door.desk.board.texts() == list(texts)


async def dead(*_: object) -> None:
    """What a process that is killed here never does."""
    await asyncio.Event().wait()
