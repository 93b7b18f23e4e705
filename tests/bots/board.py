"""A platform in memory for intake's and delivery's tests: it shows what it is told and fails as it is told."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bots.splitting import telegram_pages
from bots.surface import Button, FileRef, Gone, Incoming, Page, Rate, Surface, SurfaceError
from storage import keys
from storage.connection import Client
from storage.messages import Address


class Call(NamedTuple):
    """One call that a chat got, refused or not."""

    method: str
    chat: str
    slot: str
    page: Page


class Board:
    """`shown` is what each message shows now, by id in order; `faults` are raised by the next calls of a method.

    `files` are what `fetch` finds; each waits for its event in `slow`, if it has one.
    """

    platform = "telegram"
    offers: tuple[str, ...] = ("again",)

    def __init__(self, rate: Rate = Rate(1000, 0.001)) -> None:  # noqa: B008 : frozen
        self.shown: dict[str, Page] = {}
        self.chats: dict[str, str] = {}
        self.answered: dict[str, str] = {}
        self.calls: list[Call] = []
        self.faults: defaultdict[str, deque[SurfaceError]] = defaultdict(deque)
        self.files: dict[str, bytes] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.fetched: list[str] = []
        self.documents: list[tuple[str, bytes]] = []
        self.signs: dict[str, str] = {}  # by the message that they stand at
        self.told: list[tuple[str, str]] = []  # press and text
        self.nonces: list[str] = []  # of every try to place a message
        self._rate = rate

    def texts(self, chat: str = "1") -> list[str]:
        """What the messages of a chat show."""
        return [page.text for slot, page in self.shown.items() if self.chats[slot] == chat]

    def edits(self, chat: str = "1") -> list[str]:
        """What was ever edited into a chat's messages."""
        return [call.page.text for call in self.calls if call.method == "edit" and call.chat == chat]

    def read(self, raw: bytes) -> Incoming | None:
        try:
            return msgspec.json.decode(raw, type=Incoming | None)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error

    def rate(self, where: Address) -> Rate:
        return self._rate

    def pages(self, markdown: str) -> list[Page]:
        return telegram_pages(markdown)

    async def fetch(self, file: FileRef) -> bytes:
        self.fetched.append(file.id)
        if file.id in self.slow:
            await self.slow[file.id].wait()
        self._fail(f"fetch {file.id}")
        return self.files[file.id]

    async def place(self, where: Address, page: Page, nonce: str = "") -> str:
        slot = str(100 + len(self.calls))
        self.nonces.append(nonce)
        self._called("place", where, slot, page)
        self.shown[slot] = page
        self.chats[slot] = where.chat
        self.answered[slot] = where.message
        return slot

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        self._called("edit", where, slot, page)
        if slot not in self.shown:
            raise Gone
        self.shown[slot] = page

    async def typing(self, where: Address) -> None:
        self._called("typing", where, "", Page(""))

    async def remove(self, where: Address, slot: str) -> None:
        self._called("remove", where, slot, Page(""))
        if self.shown.pop(slot, None) is None:
            raise Gone

    async def send(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        slot = str(100 + len(self.calls))
        self._called("send", where, slot, Page(name, (), tuple(buttons)))
        self.documents.append((name, data))
        return slot

    async def sign(self, where: Address, sign: str) -> None:
        self.signs[where.message] = sign
        self._fail("sign")

    async def notify(self, press: str, text: str) -> None:
        self.told.append((press, text))
        self._fail("notify")

    async def direct(self, person: str) -> Address:
        self._fail("direct")
        return Address(self.platform, person.rpartition(":")[2])

    def _called(self, method: str, where: Address, slot: str, page: Page) -> None:
        self.calls.append(Call(method, where.chat, slot, page))
        self._fail(f"{method} {where.chat}")
        self._fail(method)

    def _fail(self, what: str) -> None:
        if self.faults[what]:
            raise self.faults[what].popleft()


_: type[Surface] = Board  # it is one


async def worker(redis: Client, **figures: str) -> None:
    """A worker's sign of life, with its engine up unless `figures` say otherwise; it does not expire."""
    record = {"role": "worker", "pid": "1", "host": "here", "version": "1", "started": "1.0", "engine": "up", **figures}
    await redis.delete(keys.role("w"))
    await redis.hset(keys.role("w"), mapping=record)
    await redis.sadd(keys.ROLES, "w")
