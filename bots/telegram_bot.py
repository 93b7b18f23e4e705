"""Telegram: the only file that knows python-telegram-bot. Updates go raw into the inbox before Telegram is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from telegram import (
    Bot,
    BotCommand,
    LinkPreviewOptions,
    Message,
    MessageEntity,
    PhotoSize,
    ReplyParameters,
    Update,
)  # fmt: skip
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.ext import Updater, filters
from telegram.request import HTTPXRequest

from bots.commands import NAMES, Commands
from bots.delivery import Delivery
from bots.intake import Intake
from bots.photos import MAX_MEGABYTES
from bots.phrases import LANGUAGES, language_of, say
from bots.settings import BotSettings
from bots.splitting import telegram_pages
from bots.surface import (
    Closed,
    FileRef,
    Flooded,
    Gone,
    Incoming,
    Page,
    Rate,
    SurfaceError,
    Unfit,
    Unreachable,
)  # fmt: skip
from storage.connection import persist
from storage.inbox import Inbox
from storage.limits import Rules
from storage.logs import describe
from storage.messages import Address, Refused
from storage.settings import StorageSettings
from storage.stores import Stores, living

log = logging.getLogger(__name__)

PLATFORM = "telegram"
ENOUGH = 1_310_720  # pixels: of the sizes Telegram offers, the smallest that has these, else the largest
PRIVATE, GROUP = Rate(3, 1.0), Rate(3, 3.0)  # about one message a second a chat, 20 a minute a group; edits count
WRITES = 64  # connections to the Bot API

# What Telegram says when a message, or the whole chat, is not ours to write to any more.
_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
_CLOSED = (
    "chat not found", "not enough rights", "have no rights", "chat_write_forbidden", "topic_closed", "topic_deleted",
    "message thread not found",
)  # fmt: skip


class BadToken(Exception):
    """Telegram does not know this token."""


class TelegramSurface:
    """A Surface on one bot. `bot` is initialised: its name is known."""

    platform = PLATFORM

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    def read(self, raw: bytes) -> Incoming | None:
        """What an update says to us; None for what is not addressed to this bot."""
        update = Update.de_json(json.loads(raw), self._bot)
        message = update.message
        if message is None or message.from_user is None or message.from_user.is_bot or message.sender_chat:
            return None  # who writes in the name of a chat is nobody whom we could admit
        quoted = message.reply_to_message
        if quoted and quoted.forum_topic_created:
            quoted = None  # in a topic every message "replies" to the topic's beginning
        words = self._words(message)
        if words is None or filters.StatusUpdate.ALL.check_update(update):
            return None
        command, text = words
        if message.chat.type != "private" and not command and not self._addressed(message, quoted):
            return None
        where, user = _address(message), f"{PLATFORM}:{message.from_user.id}"
        name, _, argument = command.partition(" ")
        return Incoming(
            id=f"{PLATFORM}:{where.chat}:{message.message_id}",
            person=user,
            conversation=":".join(filter(None, (PLATFORM, where.chat, where.thread, str(message.from_user.id)))),
            where=where,
            language=language_of(message.from_user.language_code),
            text=text,
            photos=_photos(message),
            quote_text=(quoted.text or quoted.caption or "") if quoted else "",
            quote_photos=_photos(quoted) if quoted else (),
            command=name,
            argument=argument.strip(),
        )

    def rate(self, where: Address) -> Rate:
        """Telegram's own limits."""
        return GROUP if where.group else PRIVATE

    def pages(self, markdown: str) -> list[Page]:
        """Messages of at most 4096 UTF-16 units."""
        return telegram_pages(markdown)

    async def fetch(self, file: FileRef) -> bytes:
        """Download a file; the URL, which holds the token, stays in here."""
        with _mapped():
            try:
                found = await self._bot.get_file(file.id)
                if found.file_size is not None and found.file_size > MAX_MEGABYTES * 1_000_000:
                    raise Refused("too_large", limit=MAX_MEGABYTES)
                return bytes(await found.download_as_bytearray())
            except BadRequest as error:
                if "too big" in error.message.lower():
                    raise Refused("too_large", limit=MAX_MEGABYTES) from error
                raise

    async def place(self, where: Address, text: str) -> str:
        """Send a message in reply to the asker's."""
        reply = ReplyParameters(int(where.message), allow_sending_without_reply=True) if where.message else None
        thread = int(where.thread) if where.thread else None
        with _mapped():
            sent = await self._bot.send_message(
                int(where.chat),
                text,
                reply_parameters=reply,
                message_thread_id=thread,
                link_preview_options=_NO_PREVIEW,
            )
        return str(sent.message_id)

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        """Show a page in one of our messages."""
        entities = [MessageEntity(**entity.to_dict()) for entity in page.format]  # pyright: ignore[reportUnknownArgumentType, reportAttributeAccessIssue, reportUnknownMemberType] : telegramify-markdown's own entities
        with _mapped():
            try:
                await self._bot.edit_message_text(
                    page.text, int(where.chat), int(slot), entities=entities, link_preview_options=_NO_PREVIEW
                )
            except BadRequest as error:
                if "not modified" not in error.message.lower():
                    raise

    async def typing(self, where: Address) -> None:
        """Show "typing…"."""
        with _mapped():
            await self._bot.send_chat_action(
                int(where.chat), "typing", message_thread_id=int(where.thread) if where.thread else None
            )

    def _words(self, message: Message) -> tuple[str, str] | None:
        """The command ("" if none; name and argument) and the text without a mention of this bot.

        None for another bot's command: one that names it, or in a group one that we do not know.
        """
        text = message.text or message.caption or ""
        for entity, word in _entities(message).items():
            if entity.type == MessageEntity.BOT_COMMAND and entity.offset == 0:
                name, _, bot = word[1:].lower().partition("@")
                known = name in (*NAMES, "start") or message.chat.type == "private"
                if not (bot == self._bot.username.lower() if bot else known):
                    return None
                return f"{name} {text[len(word) :].strip()}", ""
        for mention in self._mentions(message):
            text = text.replace(mention, "")
        return "", text.strip()

    def _mentions(self, message: Message) -> list[str]:
        name = f"@{self._bot.username}".lower()
        found = _entities(message).items()
        return [word for entity, word in found if entity.type == MessageEntity.MENTION and word.lower() == name]

    def _addressed(self, message: Message, quoted: Message | None) -> bool:
        """Whether a message in a group is for us: it mentions us or replies to us."""
        to_us = bool(quoted and quoted.from_user and quoted.from_user.id == self._bot.id)
        return to_us or bool(self._mentions(message))


class _ToInbox(asyncio.Queue[object]):
    """python-telegram-bot confirms an update on its next poll after put(): so put() writes it to the inbox first."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox

    async def put(self, item: object) -> None:
        """Durable on return; while the store is away nothing is confirmed."""
        if isinstance(item, Update):
            raw = item.to_json().encode()
            await persist(lambda: self._inbox.put(str(item.update_id), raw))


_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


def make_bot(settings: BotSettings) -> Bot:
    """A bot on the configured Bot API server. Raises BadToken without a token."""
    if not settings.telegram_token:
        raise BadToken
    files = settings.telegram_file_url or f"{settings.telegram_api_url}/file"
    return Bot(
        settings.telegram_token, base_url=f"{settings.telegram_api_url}/bot", base_file_url=f"{files}/bot",
        request=HTTPXRequest(connection_pool_size=WRITES, pool_timeout=60.0, httpx_kwargs={"trust_env": True}),
    )  # fmt: skip


async def introduce(bot: Bot) -> None:
    """Learn our name and set the command menu; waits for Telegram. Raises BadToken."""
    os.environ["PTB_TIMEDELTA"] = "1"  # retry_after as a timedelta: the library's future form, without its warning
    backoff = 0.5
    while True:
        try:
            await bot.initialize()
            for language in LANGUAGES:
                menu = [BotCommand(name, say(language, f"menu.{name}")) for name in NAMES]
                await bot.set_my_commands(menu, language_code=None if language == "en" else language)
            return
        except (InvalidToken, Forbidden) as error:
            raise BadToken from error
        except TelegramError as error:
            log.warning("Telegram cannot be reached: %s", describe(error))
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, 30.0)


async def serve(storage: StorageSettings, settings: BotSettings, stop: asyncio.Event) -> None:
    """Run the Telegram role until `stop`. Raises BadToken."""
    bot = make_bot(settings)
    names: list[str] = []
    async with living(storage, PLATFORM, lambda: {"bot": names[0]} if names else {}) as (stores, _):
        await introduce(bot)
        names.append(bot.username)
        await _run(bot, settings, stores, stop)


async def _run(bot: Bot, settings: BotSettings, stores: Stores, stop: asyncio.Event) -> None:
    surface, inbox = TelegramSurface(bot), stores.inbox(PLATFORM)
    limits = stores.limits(Rules(settings.allow, settings.deny, settings.admins, settings.open))
    delivery = Delivery(surface, stores.replies, stores.queue, stores.health)
    commands = Commands(delivery, stores.queue, stores.history, stores.images, limits)
    intake = Intake(
        surface, inbox, stores.queue, stores.history, stores.images, limits, stores.health, delivery, commands
    )
    async with Updater(bot, update_queue=_ToInbox(inbox)) as updater:
        await updater.start_polling(bootstrap_retries=-1, allowed_updates=["message"])
        try:
            await asyncio.gather(delivery.run(stop), intake.run(stop))
        finally:
            await updater.stop()


def _entities(message: Message) -> dict[MessageEntity, str]:
    return message.parse_entities() if message.text else message.parse_caption_entities()


def _address(message: Message) -> Address:
    thread = str(message.message_thread_id) if message.is_topic_message and message.message_thread_id else ""
    group = message.chat.type != "private"
    return Address(PLATFORM, str(message.chat.id), str(message.message_id), thread, group=group)


def _photos(message: Message) -> tuple[FileRef, ...]:
    """The photo of a message, or the image sent as a file; what Pillow can make of a file is seen later."""
    if message.photo:
        best = _best(message.photo)
        return (FileRef(best.file_id, best.file_size),)
    document = message.document
    if document:
        return (FileRef(document.file_id, document.file_size, document.mime_type or ""),)
    return ()


def _best(sizes: tuple[PhotoSize, ...]) -> PhotoSize:
    ordered = sorted(sizes, key=lambda size: size.width * size.height)
    return next((size for size in ordered if size.width * size.height >= ENOUGH), ordered[-1])


@contextmanager
def _mapped() -> Generator[None]:
    """python-telegram-bot's errors as SurfaceError. Their texts may hold URLs: none is passed on."""
    try:
        yield
    except RetryAfter as error:
        wait = error.retry_after
        raise Flooded(wait.total_seconds() if isinstance(wait, timedelta) else wait) from error
    except (Forbidden, ChatMigrated) as error:
        raise Closed from error
    except BadRequest as error:
        raise _bad_request(error.message.lower()) from error
    except TelegramError as error:  # network errors, server errors
        raise Unreachable(type(error).__name__) from error


def _bad_request(text: str) -> SurfaceError:
    if any(sign in text for sign in _GONE):
        return Gone()
    if any(sign in text for sign in _CLOSED):
        return Closed()
    return Unfit(text.partition(":")[0])  # what follows may quote the content or a URL
