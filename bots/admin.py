"""What admins see and decide: the status with its picture and buttons, rules and quotas, and the news that reach them.

Who is no admin gets one polite sentence. In a group the answer goes to the admin alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from bots.dashboard import draw
from bots.delivery import Delivery
from bots.phrases import say
from bots.reporting import status_lines, usage_lines
from bots.surface import Button, Closed, Gone, Incoming, Page, SurfaceError, Unreachable
from storage.connection import forever, persist
from storage.limits import Limits
from storage.messages import Address, Refused
from storage.notices import Notice
from storage.status import Point, past_day
from storage.stores import Stores
from storage.tasks import first_of

log = logging.getLogger(__name__)

MODES = {"pause": "paused", "drain": "draining", "resume": ""}
ADMIN_NAMES = ("status", "quota", "allow", "deny", "admins", *MODES)
WITH_ARGUMENT = ("quota", "allow", "deny", "admins")
STATUS_BUTTONS = ("refresh", *MODES)
PICTURE = "status.png"
NEWS = 86_400  # seconds after which news are none
AGAIN = 10.0  # seconds before a platform that is away is tried again
_NAME = re.compile(r"([a-z]+):(chat:)?-?\w+")
_MENTION = re.compile(r"<@!?(\d+)>|(\d+)")


class Admin:
    """One platform's part in it."""

    def __init__(self, stores: Stores, limits: Limits, delivery: Delivery) -> None:
        self._stores = stores
        self._limits = limits
        self._tools = delivery.tools
        self._surface = delivery.tools.surface
        self._placing = asyncio.Lock()  # a status: until it is known as ours, a press on it waits

    async def command(self, incoming: Incoming) -> bool:
        """Do what one of our commands says; False for any other message."""
        language, where = incoming.language, incoming.where
        if incoming.command == "usage":
            await self._usage(incoming)
        elif incoming.command not in ADMIN_NAMES:
            return False
        elif not await self._limits.is_admin(incoming.person):
            await self._tools.say(where, say(language, "admin.only"))
        else:
            await self._limits.speaks(incoming.person, language)
            if aside := where.group and not where.via:
                where = await self._surface.direct(incoming.person)
            if not await self._answer(incoming, where) and aside:
                await self._tools.say(incoming.where, say(language, "admin.private"))
        return True

    async def _answer(self, incoming: Incoming, where: Address) -> bool:
        if incoming.command == "status":
            return await self._show(where, incoming.language)
        try:
            text = await self._do(incoming)
        except Refused as refusal:
            text = say(incoming.language, refusal.code, **refusal.details)
        return bool(await self._tools.say(where, text))

    async def press(self, incoming: Incoming) -> None:
        """A button under a status: known by its message, which is ours, and pressed by an admin who is not denied."""
        where, person = incoming.where, incoming.person
        async with self._placing:
            picture = await self._stores.replies.sent(_shown(where, where.message), 0, "picture")
        if not (await self._limits.admits(person, *incoming.chats) and await self._limits.is_admin(person)):
            code = "admin.only"
        elif picture is None:
            code = "admin.stale"
        else:
            code = await self._switch(person, incoming.button) if incoming.button in MODES else "admin.fresh"
            await self._show(where, incoming.language, where.message, picture)
        with suppress(SurfaceError):  # after some seconds nobody can be told any more
            await self._surface.notify(incoming.press, say(incoming.language, code))

    async def _usage(self, incoming: Incoming) -> None:
        """What somebody asked today and this month, and what is left."""
        person = await self._stores.people.of(incoming.person)
        today, month = await self._limits.usage(person)
        quota = (0, 0) if await self._limits.is_admin(incoming.person) else await self._limits.quota(person)
        lines = usage_lines(incoming.language, today, month, *quota)
        await self._tools.say(incoming.where, "\n".join(lines))

    async def run(self, stop: asyncio.Event) -> None:
        """Tell this platform's admins the news until `stop`."""
        await first_of(stop.wait(), forever(self._tell))

    async def _show(self, where: Address, language: str, message: str = "", former: str = "") -> bool:
        """The status in words with its buttons, then as a picture; in the place of an older one, if that can be."""
        now = await self._stores.status()
        codes = ("refresh", *(code for code, mode in MODES.items() if mode != now.mode))
        buttons = tuple(Button(code, say(language, f"button.{code}")) for code in codes)
        page = Page("\n".join(status_lines(language, now)), buttons=buttons)
        try:
            if message:
                await self._surface.edit(where, message, page)
        except SurfaceError:
            message = ""
        async with self._placing:
            message = message or await self._tools.show(where, page)
            mark = partial(self._stores.replies.mark_sent, _shown(where, message), 0, "picture")
            if message:
                await mark("")  # its buttons may be pressed before the picture is there
        if message:
            await mark(await self._picture(where, now.points))
            with suppress(SurfaceError):
                if former:
                    await self._surface.remove(where, former)
        return bool(message)

    async def _picture(self, where: Address, points: Sequence[Point]) -> str:
        data = await asyncio.to_thread(draw, points, self._stores.daily.zone, "askpix")
        return await self._tools.send_file(where, PICTURE, data)

    async def _do(self, incoming: Incoming) -> str:
        """Rules, admins, quotas and modes; the answer in words. Raises Refused."""
        language, by, (name, value) = incoming.language, incoming.person, self._named(incoming)
        if name == by and (incoming.command, value) in (("deny", ""), ("admins", "-")):
            raise Refused("admin.not_oneself")
        match incoming.command:
            case "quota":
                return await self._quota(language, by, name, value)
            case "admins":
                if name:
                    await self._limits.change(by, "no_admin" if value == "-" else "admin", name)
                return say(language, "admin.admins", names=", ".join(await self._limits.admins()))
            case "allow" | "deny" as rule:
                if name:
                    await self._limits.change(by, "" if value == "-" else rule, name)
                return await self._rules(language, rule)
            case mode:
                return say(language, await self._switch(by, mode))

    async def _rules(self, language: str, rule: str) -> str:
        """Whom admins allowed or denied, and their newest changes."""
        names = sorted(name for name, known in (await self._limits.made()).items() if known == rule)
        zone = self._stores.daily.zone
        changes = [
            f"{datetime.fromtimestamp(at, zone):%m-%d %H:%M} {who}: {what}"
            for at, who, what in await self._limits.changes()
        ]
        return "\n".join([say(language, f"admin.{rule}", names=", ".join(names) or "–"), *changes])

    async def _quota(self, language: str, by: str, name: str, value: str) -> str:
        if not name:
            raise Refused("admin.quota_how")
        person = await self._stores.people.of(name)
        if value:
            if value != "-" and not value.isdecimal():
                raise Refused("admin.quota_how")
            await self._limits.change(by, "quota", person, "" if value == "-" else str(int(value)))
        today, month = await self._limits.usage(person)
        return "\n".join([person, *usage_lines(language, today, month, *await self._limits.quota(person))])

    async def _switch(self, by: str, button: str) -> str:
        await self._stores.health.set_mode(MODES[button])
        await self._limits.note(by, button)
        return f"admin.{button}"

    def _named(self, incoming: Incoming) -> tuple[str, str]:
        """Whom a command is about, and what it says of them: "-" takes something back. Raises Refused."""
        name, _, value = incoming.argument.partition(" ")
        if name.startswith("-") and not value:
            name, value = name[1:], "-"
        if mention := _MENTION.fullmatch(name):
            name = f"{incoming.where.platform}:{mention[1] or mention[2]}"
        if name and not _NAME.fullmatch(name):
            raise Refused("admin.who")
        return name, value.strip()

    async def _tell(self) -> None:
        while True:
            for notice in await self._stores.notices.read(self._surface.platform):
                while time.time() - notice.at < NEWS and not await self._spread(notice):  # noqa: ASYNC110 : no event
                    await asyncio.sleep(AGAIN)
                await persist(partial(self._stores.notices.done, self._surface.platform, notice))

    async def _spread(self, notice: Notice) -> bool:
        """Tell each admin of this platform, or take away what nobody waits for; False when that is still to be done."""
        platform = self._surface.platform
        try:
            for slot in notice.slots if notice.platform == platform else ():
                with suppress(Gone, Closed):
                    await self._surface.remove(Address(platform, notice.chat), slot)
            for person in await self._limits.admins() if not notice.platform else ():
                if person.startswith(f"{platform}:"):
                    await self._tell_one(notice, person)
        except Unreachable:
            return False
        except SurfaceError as error:
            log.info("%s cannot be told: %s", notice.id, type(error).__name__)
        return True

    async def _tell_one(self, notice: Notice, person: str) -> None:
        """Tell one admin, once also after a restart. Raises SurfaceError."""
        if await self._stores.replies.sent(f"{notice.id}:{person}", 0, "news"):
            return
        words = say(await self._limits.language(person), notice.note.code, **notice.note.args)
        where = await self._surface.direct(person)
        message = await self._tools.say(where, words)
        await self._stores.replies.mark_sent(f"{notice.id}:{person}", 0, "news", message or "-")
        if message and notice.picture:
            await self._picture(where, await past_day(self._stores.redis, notice.at))


def _shown(where: Address, message: str) -> str:
    """The name of a message that shows the status."""
    return f"status:{where.platform}:{where.chat}:{message}"
