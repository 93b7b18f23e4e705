"""Intake and commands in front of a desk, for tests: what people send goes through a real inbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bots.asking import Asking
from bots.buttons import Buttons
from bots.commands import Commands
from bots.intake import Intake
from bots.surface import FileRef, Incoming
from storage import keys
from storage.limits import Daily, Limits, Rules
from storage.messages import Address, Done, encode
from tests.bots.conftest import Desk


@dataclass
class Door:
    """`start` and `desk.crash` are a process's life; `send` is what somebody does in their private chat or a group."""

    desk: Desk
    rules: Rules = field(default_factory=lambda: Rules(open=True))
    asks_a_minute: int = 1000
    daily: Daily = field(default_factory=Daily)
    sent: int = 0

    @property
    def platform(self) -> str:
        return self.desk.board.platform

    @property
    def limits(self) -> Limits:
        return Limits(self.desk.stores.redis, self.rules, self.asks_a_minute, self.daily)

    def start(self) -> None:
        """A fresh process: delivery and intake."""
        stores, board, delivery = self.desk.stores, self.desk.board, self.desk.start()
        commands = Commands(stores, self.limits, delivery)
        buttons = Buttons(board, stores, self.limits, delivery)
        asking = Asking(board, stores, self.limits, delivery)
        intake = Intake(board, stores.inbox(self.platform), delivery, commands, buttons, asking)
        for work in (intake.run, commands.admin.run):
            self.desk.running.append(asyncio.create_task(work(asyncio.Event())))

    async def send(
        self, text: str = "", *files: FileRef, user: int = 1, chat: str = "", command: str = "", argument: str = "",
        quote: str = "", quoted: tuple[FileRef, ...] = (), language: str = "en", sent: float = 0.0,
    ) -> Incoming:  # fmt: skip
        """Put one message into the inbox."""
        self.sent += 1
        where = Address(self.platform, chat or str(user), str(self.sent), group=bool(chat))
        incoming = Incoming(
            f"{self.platform}:{where.chat}:{self.sent}", f"{self.platform}:{user}",
            f"{self.platform}:{where.chat}:{user}", where, language, text, files, quote, quoted, command, argument,
            sent=sent,
        )  # fmt: skip
        await self.put(encode(incoming))
        return incoming

    async def press(self, button: str, message: str, *, user: int = 1, language: str = "en") -> None:
        """Press a button under a message, or forge that."""
        self.sent += 1
        where = Address(self.platform, str(user), message)
        person = f"{self.platform}:{user}"
        await self.put(encode(Incoming(f"p{self.sent}", person, "", where, language, button=button, press="p")))

    async def put(self, raw: bytes) -> None:
        """Put raw bytes into the inbox, as one update."""
        self.sent += 1
        await self.desk.stores.inbox(self.platform).put(str(self.sent), raw)

    async def settled(self) -> bool:
        """Whether every update was taken in."""
        return await self.desk.stores.redis.xlen(keys.inbox(self.platform)) == 0

    async def queued(self) -> list[str]:
        """The questions that wait, in the order in which a worker gets them."""
        found: list[str] = []
        while claims := (await self.desk.stores.queue.claim("w", 10))[0]:
            for claim in claims:
                found.append(claim.ask.question.text)
                await self.desk.stores.queue.finish(claim, Done("x"))
        return found
