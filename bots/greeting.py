"""What `askpix up` says when all of it runs, and what to do next."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable

from bots.settings import BotSettings, WebSettings
from storage.heartbeat import roles
from storage.housekeeping import PLATFORMS
from storage.limits import Rules
from storage.stores import Stores


async def greet(
    stores: Stores, bots: BotSettings, page: WebSettings, say: Callable[..., str], tell: Callable[[str], None]
) -> None:
    """Say that askpix is ready and what to do next; offer the admin link while nobody is admin."""
    await engine_up(stores)
    tell(say("cli.ready", command=f'{_command()} ask photo.jpg "{say("cli.try")}"'))
    model = await stores.health.model()
    if model and model.demo:
        tell(say("cli.demo_model"))
    limits = stores.limits(Rules(bots.allow, bots.deny, bots.admins, bots.open))
    for platform in PLATFORMS:
        if not getattr(bots, f"{platform}_token"):
            tell(say(f"cli.no_{platform}"))
            continue
        address: str = await _figure(stores, platform)
        tell(say(f"cli.ready_{platform}", address=address))
        if not await limits.has_admin():
            tell(say(f"cli.admin_{platform}", address=address, token=await limits.offer_admin()))
    tell(say("cli.stop_hint"))
    if page.web:
        tell(say("cli.page", url=await _figure(stores, "page")))


def _command() -> str:
    """How this person calls askpix from here."""
    return "askpix" if shutil.which("askpix") else os.path.relpath(sys.argv[0])


async def engine_up(stores: Stores) -> None:
    """Wait until an engine answers."""
    # Another process comes up: there is no event to wait for.
    while (await stores.health.service()).reason:  # noqa: ASYNC110 : see above
        await asyncio.sleep(0.1)


async def _figure(stores: Stores, name: str) -> str:
    while True:
        for role in await roles(stores.redis):
            if name in role.figures:
                return role.figures[name]
        await asyncio.sleep(0.1)
