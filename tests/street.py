"""What the tests of Discord share: a road on which it is the only platform, its people, and an engine led by hand."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel, Guild
from tests.emulators.discord_shapes import text_of
from tests.emulators.engine import Request
from tests.emulators.server import Json
from tests.exhibits import shown
from tests.road import ADMIN, Road, describe, open_road
from tests.waiting import wait_until

PAUSE = 0.12  # seconds; what comes sooner than 0.1 s after other text is shown with the text after it
_NUMBERS = itertools.count(20_000)


class Tap:
    """An answer that the engine gives piece by piece, when the test says so; to every question that names it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0  # how often the engine began to give it
        self._pieces: asyncio.Queue[str] = asyncio.Queue()

    def say(self, *pieces: str, end: bool = False) -> None:
        """Let these be said, and the answer end after them."""
        for piece in (*pieces, *[""] * end):
            self._pieces.put_nowait(piece)

    async def flow(self) -> AsyncIterator[str]:
        """The pieces, from the first that nobody was told."""
        self.asked += 1
        while piece := await self._pieces.get():
            yield piece[:-1]
            await asyncio.sleep(PAUSE)
            yield piece[-1]


@dataclass
class Street:
    """One service that many tests use: each with people and places of its own."""

    road: Road
    discord: DiscordEmulator
    taps: dict[str, Tap]
    lost: set[int] = field(default_factory=set[int])  # messages whose "thinking" nobody can end any more

    def person(self, *, locale: str = "en-US", installed: bool = False) -> User:
        """Somebody new."""
        return self.discord.user(next(_NUMBERS), locale=locale, installed=installed)

    @property
    def admin(self) -> User:
        """The admin."""
        return self.discord.user(ADMIN)

    def guild(self, *, bot_inside: bool = True) -> Guild:
        """A new server."""
        return self.discord.guild(next(_NUMBERS), bot_inside=bot_inside)

    def channel(self, *, bot_inside: bool = True) -> Channel:
        """The channel of a new server."""
        return self.guild(bot_inside=bot_inside).channel()

    def tap(self) -> Tap:
        """A new answer; ask about its name."""
        tap = Tap(f"tap{next(_NUMBERS)}")
        self.taps[tap.name] = tap
        return tap

    async def refused(self, route: str, channel: Channel) -> None:
        """Wait until a call to a channel was refused."""
        await self.discord.until(
            lambda: [call for call in self.discord.called(route, str(channel.id)) if call.status >= 400]
        )

    async def restart(self, *roles: str) -> None:
        """Kill -9 roles, and wait until they are back; of the bot until it is connected."""
        former = set(self.discord.gateway.sessions)
        await self.road.restart(*roles)
        if "discord" in roles:
            await wait_until(lambda: any(live.id not in former for live in self.discord.gateway.live()), 20)

    def expire(self, *interactions: Interaction) -> None:
        """Let tokens be no longer good, as after 15 minutes."""
        for each in interactions:
            self.discord.expire_token(each)
            self.lost.update({int(each.original["id"])} if each.original else ())

    def thinking(self) -> list[Json]:
        """The answers that are still awaited."""
        return [each for each in self.discord.thinking() if int(each["id"]) not in self.lost]

    def secrets(self) -> list[str]:
        """What may stand in no log and no chat."""
        tokens = [each.token for each in self.discord.interactions.all]
        return [self.discord.token, *tokens, *(file.path for file in self.discord.world.files.values())]

    def told(self) -> list[str]:
        """All texts that the bot ever showed, wherever."""
        places = self.discord.world.channels.values()
        ours = [each for place in places for each in (*place.messages, *place.deleted) if each["author"].get("bot")]
        return [text for each in ours for text in (text_of(each), *(edit["content"] for edit in each["edits"]))]


@asynccontextmanager
async def open_street(
    folder: Path, *, message_content: bool = False, enforce_rates: bool = False,
    answer: Callable[[Json], Sequence[str]] = describe,
    before: Callable[[DiscordEmulator], dict[str, str] | None] = lambda _: None, **settings: Any,
) -> AsyncGenerator[Street]:  # fmt: skip
    """Everything runs, and is looked over at the end: no strange request, nobody left waiting, no secret told.

    `before` happens to Discord before the bot comes, and may make settings of what it made there.
    """
    taps: dict[str, Tap] = {}

    def reply(body: Json) -> Sequence[str] | AsyncIterator[str]:
        named = re.search(r"tap\d+", shown(Request(0, "", body)).words)
        return taps[named[0]].flow() if named else answer(body)

    async with DiscordEmulator(message_content=message_content, enforce_rates=enforce_rates) as discord:
        settings |= before(discord) or {}
        async with open_road(folder, reply=reply, discord=discord, slots=16, **settings) as road:
            street = Street(road, discord, taps)
            await wait_until(lambda: bool(discord.commands()), 20)
            yield street
            await wait_until(lambda: not street.thinking())
        assert [call.path for call in discord.unknown] == []
        logs, told = road.askpix.logs(), "\n".join(street.told())
        assert "Traceback" not in logs
        assert not [secret for secret in street.secrets() if secret in logs or secret in told]
