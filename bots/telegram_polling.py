"""How the Telegram role gets to know its bot, its menus and its updates, in whatever mood Telegram is."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

from telegram import Bot, BotCommand, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats
from telegram.error import Conflict, Forbidden, InvalidToken, RetryAfter, TelegramError

from bots.commands import IN_GROUPS, NAMES
from bots.phrases import LANGUAGES, say
from bots.tasks import TASKS
from bots.telegram_reading import READ
from storage.connection import persist
from storage.inbox import Inbox
from storage.logs import describe

log = logging.getLogger(__name__)

POLL = 10  # seconds for which Telegram holds a poll open
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 10.0  # seconds between tries while Telegram gives no updates

_MENUS = {BotCommandScopeAllPrivateChats: (*TASKS, *NAMES), BotCommandScopeAllGroupChats: IN_GROUPS}


class BadToken(Exception):
    """Telegram does not know this token."""


class Patience:
    """Waits after each failure, longer each time; each reason is said once a minute."""

    def __init__(self, trouble: str) -> None:
        self._trouble = trouble
        self._said: dict[str, float] = {}
        self._backoff = FIRST_BACKOFF

    async def after(self, error: TelegramError) -> None:
        """Wait before the next try."""
        reason, now = _reason(error), time.monotonic()
        if now - self._said.get(reason, -60.0) >= 60:
            self._said[reason] = now
            log.warning("%s: %s", self._trouble, reason)
        await asyncio.sleep(seconds(error) if isinstance(error, RetryAfter) else self._backoff)
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)

    def calm(self) -> None:
        """A try succeeded."""
        self._backoff = FIRST_BACKOFF


async def introduce(bot: Bot) -> None:
    """Learn our name; waits for Telegram. Raises BadToken."""
    os.environ["PTB_TIMEDELTA"] = "1"  # retry_after as a timedelta: the library's future form, without its warning
    logging.getLogger("telegram.request").setLevel(logging.CRITICAL)  # it logs each page of HTML, and raises it too
    patience = Patience("Telegram cannot be reached")
    while True:
        try:
            await bot.initialize()
            return
        except (InvalidToken, Forbidden) as error:
            raise BadToken from error
        except TelegramError as error:
            await patience.after(error)


async def set_menus(bot: Bot) -> None:
    """Set the command menus, however long Telegram makes that wait."""
    patience = Patience("the command menu cannot be set")
    for language, (scope, names) in product(LANGUAGES, _MENUS.items()):
        menu = [BotCommand(name, say(language, f"menu.{name}")) for name in names]
        while True:
            try:
                await bot.set_my_commands(menu, scope(), None if language == "en" else language)
                break
            except TelegramError as error:
                await patience.after(error)


async def poll(bot: Bot, inbox: Inbox) -> None:
    """Write updates to the inbox, raw: the library's own form of one with anything new in it may not exist.

    Telegram forgets an update when the next poll names it, which is when it is in the inbox.
    """
    patience, offset = Patience("updates cannot be read"), 0
    webhook = True  # another bot may have left one
    asked = f"{bot.base_url}/getUpdates?timeout={POLL}&allowed_updates={json.dumps(READ, separators=(',', ':'))}"
    while True:
        try:
            if webhook:
                await bot.delete_webhook()
            webhook = False
            updates: Any = await bot.request.post(f"{asked}&offset={offset}", read_timeout=POLL + 5)
            for update in updates:
                await persist(partial(inbox.put, str(update["update_id"]), json.dumps(update).encode()))
                offset = update["update_id"] + 1
            patience.calm()
        except TelegramError as error:
            webhook = webhook or _is_webhook(error)
            await patience.after(error)


def _is_webhook(error: TelegramError) -> bool:
    return isinstance(error, Conflict) and "webhook" in error.message.lower()


def _reason(error: TelegramError) -> str:
    if _is_webhook(error):
        return "somebody set a webhook for this token; it is deleted"
    if isinstance(error, Conflict):
        return "another process polls with this token"
    if isinstance(error, InvalidToken):
        return "Telegram does not accept this token"
    return describe(error)


def seconds(error: RetryAfter) -> float:
    """For how long Telegram asks for patience."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else wait
