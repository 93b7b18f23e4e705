"""What people and workers do at a door, for the tests of buttons and edits."""

from __future__ import annotations

import asyncio

from msgspec import structs

from bots.surface import FileRef, Incoming
from storage.limits import Rules
from storage.messages import Address, Done, Event, Turn, encode
from storage.queue import Claim
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.pictures import encoded, halves
from tests.waiting import wait_until


def with_admin(desk: Desk) -> Door:
    """A door where everybody may ask, `telegram:9` is admin, and the photo p1 can be fetched."""
    desk.board.files = {"p1": encoded(halves())}
    return Door(desk, Rules(open=True, admins=frozenset({"telegram:9"})))


def slots(door: Door, chat: str = "1") -> list[str]:
    """The messages of a chat, in order."""
    return [slot for slot in door.desk.board.shown if door.desk.board.chats[slot] == chat]


def codes(door: Door, chat: str = "1") -> list[list[str]]:
    """What the buttons under each message of a chat say when they are pressed."""
    return [[button.code for button in door.desk.board.shown[slot].buttons] for slot in slots(door, chat)]


async def press(
    door: Door, button: str, *, user: int = 1, chat: str = "", slot: str = "", language: str = "en", times: int = 1
) -> list[str]:
    """Press a button under the last message, or under `slot`; returns what the presser was told, when that is done."""
    chat = chat or str(user)
    where = Address("telegram", chat, slot or slots(door, chat)[-1])
    told = len(door.desk.board.told)
    id = f"press{told}"
    raw = encode(Incoming(f"{user}:{id}", f"telegram:{user}", "", where, language, button=button, press=id))
    await asyncio.gather(*(door.put(raw) for _ in range(times)))
    await wait_until(lambda: len(door.desk.board.told) == told + times)
    await wait_until(door.settled)
    assert {press for press, _ in door.desk.board.told[told:]} == {id}
    return [text for _, text in door.desk.board.told[told:]]


def turns(id: str, text: str = "x") -> list[Turn]:
    """What an answered ask leaves in the history."""
    return [Turn("user", "q", ask=id), Turn("assistant", text, ask=id)]


async def claim(door: Door) -> Claim:
    """What a worker does first, as soon as there is something to do."""
    found: list[Claim] = []

    async def there() -> bool:
        found.extend((await door.desk.stores.queue.claim("w", 1))[0])
        return bool(found)

    await wait_until(there)
    return found[0]


async def answer(door: Door, text: str = "", event: Event | None = None) -> Claim:
    """Answer what is next, with a text or without one, and wait until that is shown."""
    held = await claim(door)
    question = structs.replace(held.ask.question, ask=held.ask.id)
    left = [question, Turn("assistant", text, ask=held.ask.id)] if text else []
    assert await door.desk.stores.queue.finish(held, event or Done(text), left)
    await wait_until(lambda: not_open(door, held))
    return held


async def not_open(door: Door, held: Claim) -> bool:
    return held.ask.id not in await door.desk.stores.replies.open_asks("telegram")


async def ask(door: Door, text: str = "what is it?", *files: FileRef, user: int = 1) -> Incoming:
    """Ask, and wait for the placeholder, whose buttons are known as soon as its slot is stored."""
    before = len(slots(door, str(user)))
    incoming = await door.send(text, *files, user=user)

    async def stored() -> bool:
        found = slots(door, str(user))[before:]
        return bool(found) and await door.desk.stores.replies.ask_of("telegram", str(user), found[0]) is not None

    await wait_until(stored)
    return incoming


async def remembered(door: Door, user: int = 1) -> list[str]:
    """The turns of a person's private chat."""
    return [turn.text for turn in await door.desk.stores.history.read(f"telegram:{user}:{user}", 0)]


async def is_state(door: Door, incoming: Incoming) -> str:
    """What becomes of a message's ask at present."""
    found = await door.desk.stores.queue.find(incoming.id)
    return found.state if found else ""
