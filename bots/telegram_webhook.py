"""Telegram by webhook: its calls are listened to, and each is answered when its update lies in the inbox."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import NoReturn

import msgspec
from aiohttp import web
from telegram import Bot
from telegram.error import TelegramError

from bots.settings import BotSettings
from bots.telegram_polling import Patience
from bots.telegram_reading import READ
from storage.connection import StoreDown
from storage.inbox import Inbox
from storage.settings import CannotRun

HEADER = "X-Telegram-Bot-Api-Secret-Token"
LARGEST = 1_000_000  # bytes of one update; Telegram's own are some tens of thousands at most
SLOWEST = 10.0  # seconds for the body of one call
AGAIN = 300.0  # seconds until the webhook is set once more, should somebody have taken it away


class _Update(msgspec.Struct):
    update_id: int


class _Listener:
    """Takes calls that know `secret`, which is made anew at every start and told to Telegram alone."""

    def __init__(self, inbox: Inbox) -> None:
        self.secret = secrets.token_urlsafe(32)
        self._inbox = inbox

    async def receive(self, call: web.Request) -> web.Response:
        """200 only when the update is durable; whatever is not, Telegram sends again."""
        given = call.headers.get(HEADER, "").encode(errors="surrogateescape")
        if not secrets.compare_digest(given, self.secret.encode()):
            return web.Response(status=403)  # its body is not even read
        try:
            async with asyncio.timeout(SLOWEST):
                raw = await call.read()
            update = msgspec.json.decode(raw, type=_Update)
            await self._inbox.put(str(update.update_id), raw)
        except msgspec.MsgspecError:
            return web.Response(status=400)
        except StoreDown:  # a body that does not come in time is one of them, by its type
            return web.Response(status=503)
        return web.Response()


async def listen(bot: Bot, inbox: Inbox, settings: BotSettings) -> NoReturn:
    """Listen on BIND, and have Telegram call there, until cancelled. Raises CannotRun for a port that is taken."""
    listener, patience = _Listener(inbox), Patience("the webhook cannot be set")
    app = web.Application(client_max_size=LARGEST)
    app.router.add_post("/{path:.*}", listener.receive)  # a proxy in front of it may change the path
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            listening = socket.create_server((settings.bind, settings.telegram_webhook_port), backlog=128)
        except OSError as error:
            raise CannotRun("webhook_port", port=str(settings.telegram_webhook_port)) from error
        await web.SockSite(runner, listening).start()
        while True:
            try:
                await bot.set_webhook(
                    settings.telegram_webhook_url or "", allowed_updates=READ, secret_token=listener.secret
                )
                patience.calm()
                await asyncio.sleep(AGAIN)
            except TelegramError as error:
                await patience.after(error)
    finally:
        await runner.cleanup()  # calls that are being answered are
