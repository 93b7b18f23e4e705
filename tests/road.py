"""The whole road with real processes: emulated platforms, `askpix up`, and an engine that says what it was shown."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.canary import number_of
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import Request, StubEngine
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import Chat, User
from tests.service import Service, askpix_up

ANN, BEN, ADMIN, GROUP = 1001, 1002, 1003, -100200


def newest(body: Json) -> tuple[list[int], str]:
    """The numbers of the newest turn's pictures, in order, and its words."""
    content: Any = body["messages"][-1]["content"]
    parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    turn: Json = {"messages": [{"content": [part for part in parts if part["type"] == "image_url"]}]}
    words = " | ".join(part["text"].strip() for part in parts if part["type"] == "text")
    return [number_of(picture) for picture in Request(0, "", turn).pictures()], words


def describe(body: Json) -> list[str]:
    """The engine's answer: `saw 3, 1: the words`, in a few pieces."""
    numbers, words = newest(body)
    return ["saw ", ", ".join(map(str, numbers)) or "nothing", ": ", words]


def pictures(chat: Chat) -> list[Image.Image]:
    """The pictures that the bot sent as such."""
    sent = [message["photo"][-1] for message in chat.bot_messages() if "photo" in message]
    return [Image.open(io.BytesIO(chat.world.content(photo))).convert("RGB") for photo in sent]


@dataclass
class Road:
    """Both emulated ends, and the service between."""

    telegram: TelegramEmulator
    engine: StubEngine
    askpix: Service

    @property
    def ann(self) -> User:
        """Somebody who speaks English."""
        return self.telegram.user(ANN)

    @property
    def ben(self) -> User:
        """Somebody else, who speaks Chinese."""
        return self.telegram.user(BEN, first_name="Ben", language_code="zh-hans")

    @property
    def admin(self) -> User:
        """The admin."""
        return self.telegram.user(ADMIN, first_name="Root")

    def asked(self) -> list[Request]:
        """The engine's chat requests, oldest first."""
        return [request for request in self.engine.requests if request.path == "/v1/chat/completions"]

    async def restart(self, *roles: str) -> None:
        """Kill -9 these roles, all at once, and wait until they are back."""
        await asyncio.gather(*(self.askpix.kill(role) for role in roles))


@asynccontextmanager
async def open_road(
    folder: Path, *, reply: Callable[[Json], Any] = describe, delay: float = 0.0, first_delay: float = 0.0,
    privacy: bool = True, discord: DiscordEmulator | None = None, slots: int = 4, **settings: str,
) -> AsyncGenerator[Road]:  # fmt: skip
    """Everything runs; everybody may ask, and one person is admin. Settings are ASKPIX_… without the prefix.

    With a Discord, which is started already, it is the only platform.
    """
    async with (
        TelegramEmulator(privacy=privacy) as telegram,
        StubEngine(reply, delay=delay, first_delay=first_delay, slots=slots) as engine,
        askpix_up(
            folder, ENGINE_URL=engine.url,
            **on_discord(discord) if discord else {"TELEGRAM_TOKEN": telegram.token, "TELEGRAM_API_URL": telegram.url},
            **{"OPEN": "1", "ADMINS": f"telegram:{ADMIN} discord:{ADMIN}"} | settings,
        ) as askpix,
    ):  # fmt: skip
        road = Road(telegram, engine, askpix)
        for user in (road.ann, road.ben, road.admin):
            assert user.private
        yield road


def on_discord(discord: DiscordEmulator) -> dict[str, str]:
    """The settings of a bot there."""
    return {
        "DISCORD_TOKEN": discord.token, "DISCORD_API_URL": discord.api_url, "DISCORD_GATEWAY_URL": discord.gateway_url,
    }  # fmt: skip
