"""The platforms as bench/road.py meets them: people who ask there, and what the adapters' calls say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from tests.emulators import discord_http, discord_places, telegram, telegram_world
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_interactions import Interaction
from tests.emulators.telegram import TelegramEmulator

Call = telegram.Call | discord_http.Call


@dataclass(frozen=True)
class Asker:
    """A person, and where they are answered."""

    user: Any
    chat: telegram_world.Chat | discord_places.Channel


class Door(Protocol):
    """A platform, emulated. kinds: of questions, "text" first and the one with the longest road last."""

    role: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    emulator: Any

    def settings(self) -> dict[str, str]:
        """What the adapter must know, without ASKPIX_."""
        ...

    def somebody(self, number: int) -> Asker:
        """A person who never asked before, alone in a chat."""
        ...

    async def send(self, asker: Asker, kind: str, question: str, photo: bytes) -> None:
        """Ask; a text has no photo."""

    def told(self, made: Sequence[Call], before: float) -> float:
        """When the adapter was told of the newest question, given the calls since and when the engine was asked."""
        ...

    def shows(self, call: Call) -> str:
        """The text that a call writes over a message, "" if it does something else."""
        ...

    def flood(self, asker: Asker, seconds: float) -> None:
        """Answer 429 to all that is written to this person."""


class TelegramDoor:
    """People in private chats."""

    role: ClassVar[str] = "telegram"
    kinds: ClassVar[tuple[str, ...]] = ("text", "photo")

    def __init__(self) -> None:
        self.emulator = TelegramEmulator()

    def settings(self) -> dict[str, str]:
        """See Door."""
        return {"TELEGRAM_TOKEN": self.emulator.token, "TELEGRAM_API_URL": self.emulator.url}

    def somebody(self, number: int) -> Asker:
        """See Door."""
        user = self.emulator.user(100_000 + number)
        return Asker(user, user.private)

    async def send(self, asker: Asker, kind: str, question: str, photo: bytes) -> None:
        """See Door."""
        if kind == "text":
            await asker.user.send_text(asker.chat, question)
        else:
            await asker.user.send_photo(asker.chat, photo, question)

    def told(self, made: Sequence[Any], before: float) -> float:
        """The end of the poll that brought it."""
        return max(call.answered for call in made if call.method == "getUpdates" and call.answered < before)

    def shows(self, call: Any) -> str:
        """See Door."""
        return str(call.params.get("text", "")) if call.method == "editMessageText" else ""

    def flood(self, asker: Asker, seconds: float) -> None:
        """See Door."""
        self.emulator.flood(asker.chat.id, seconds)


@dataclass
class DiscordDoor:
    """People in channels of their own, who mention the bot, or ask by the command ("slash")."""

    role: ClassVar[str] = "discord"
    kinds: ClassVar[tuple[str, ...]] = ("text", "photo", "slash")

    emulator: DiscordEmulator = field(default_factory=DiscordEmulator)
    sent: float = 0.0
    commands: list[tuple[float, Interaction]] = field(default_factory=list[tuple[float, Interaction]])

    def settings(self) -> dict[str, str]:
        """See Door."""
        api, gateway = self.emulator.api_url, self.emulator.gateway_url
        return {"DISCORD_TOKEN": self.emulator.token, "DISCORD_API_URL": api, "DISCORD_GATEWAY_URL": gateway}

    def somebody(self, number: int) -> Asker:
        """See Door."""
        return Asker(self.emulator.user(100_000 + number), self.emulator.guild().channel(f"channel-{number}"))

    async def send(self, asker: Asker, kind: str, question: str, photo: bytes) -> None:
        """See Door."""
        files = [] if kind == "text" else [("photo.jpg", photo)]
        if kind == "slash":
            command = await asker.user.slash("ask", asker.chat, question=question, image=files[0])
            self.sent = time.perf_counter()
            self.commands.append((self.sent, command))
        else:
            await asker.user.says(asker.chat, question, files, mention=True)
            self.sent = time.perf_counter()

    def told(self, made: Sequence[Any], before: float) -> float:
        """When it was handed to the socket, which nobody must ask for."""
        return self.sent

    def shows(self, call: Any) -> str:
        """See Door."""
        body: dict[str, Any] = call.body or {}
        return str(body.get("content", "")) if call.method == "PATCH" else ""

    def flood(self, asker: Asker, seconds: float) -> None:
        """See Door."""
        assert isinstance(asker.chat, discord_places.Channel)
        self.emulator.flood(asker.chat, seconds)

    def acknowledged(self) -> list[float]:
        """Seconds from each command to its acknowledgement; Discord waits for three."""
        return [command.acked - sent for sent, command in self.commands]
