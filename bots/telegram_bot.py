"""Telegram: the telegram_*.py files alone know python-telegram-bot.

Updates go raw into the inbox before Telegram is told that they arrived.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MessageEntity,
    ReplyParameters,
)  # fmt: skip
from telegram.error import BadRequest, ChatMigrated, Forbidden, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from bots.intake import work
from bots.photos import MAX_MEGABYTES
from bots.settings import BotSettings
from bots.splitting import telegram_pages
from bots.surface import (
    PICTURES,
    ROW,
    Button,
    Closed,
    FileRef,
    Flooded,
    Gone,
    Moved,
    Page,
    Rate,
    SurfaceError,
    Unfit,
    Unreachable,
)  # fmt: skip
from bots.telegram_polling import BadToken, introduce, poll, seconds, set_menus
from bots.telegram_reading import PLATFORM, Reader
from storage.limits import Rules
from storage.messages import Address, Refused
from storage.settings import StorageSettings
from storage.stores import Stores, living
from storage.tasks import end, first_of

log = logging.getLogger(__name__)

# One message a second a chat, 20 a minute a group; edits count. A little slower: what is sent evenly arrives unevenly,
# and a minute may begin and end with a burst.
PRIVATE, GROUP = Rate(3, 1.05), Rate(3, 3.4)
WRITES = 64  # connections to the Bot API

PHOTO_BYTES = 10_000_000  # what Telegram takes as a photo; a larger picture goes as a file

_SIGNS = {"seen": "👀", "done": "👌"}

# What Telegram says when a message, or the whole chat, is not ours to write to any more.
_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid", "message to delete not found")
_CLOSED = (
    "chat not found", "not enough rights", "have no rights", "chat_write_forbidden", "topic_closed", "topic_deleted",
    "message thread not found",
)  # fmt: skip


class TelegramSurface:
    """A Surface on one bot. `bot` is initialised: its name is known. signs: whether to react to messages."""

    platform = PLATFORM
    offers: tuple[str, ...] = ("again",)

    def __init__(self, bot: Bot, *, signs: bool = True) -> None:
        self._bot = bot
        self._signs = signs
        self.read = Reader(bot.bot).read

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
            except RetryAfter as error:  # this flood is of no chat's
                await asyncio.sleep(seconds(error))
                raise Unreachable from error
            except BadRequest as error:
                if "too big" in error.message.lower():
                    raise Refused("too_large", limit=MAX_MEGABYTES) from error
                if "temporarily unavailable" in error.message.lower():  # "wrong file_id or …": it does not say which
                    raise Unreachable from error
                raise

    async def place(self, where: Address, page: Page, nonce: str = "") -> str:
        """Send a message in reply to the asker's; Telegram knows no nonce."""
        with _mapped():
            sent = await self._bot.send_message(
                int(where.chat), page.text, entities=_entities(page), reply_markup=_keyboard(page),
                link_preview_options=_NO_PREVIEW, **_reply(where),
            )  # fmt: skip
        return str(sent.message_id)

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        """Show a page in one of our messages."""
        with _mapped():
            try:
                await self._bot.edit_message_text(
                    page.text, int(where.chat), int(slot), entities=_entities(page), reply_markup=_keyboard(page),
                    link_preview_options=_NO_PREVIEW,
                )  # fmt: skip
            except BadRequest as error:
                if "not modified" not in error.message.lower():
                    raise

    async def typing(self, where: Address) -> None:
        """Show "typing…"."""
        with _mapped():
            await self._bot.send_chat_action(
                int(where.chat), "typing", message_thread_id=int(where.thread) if where.thread else None
            )

    async def remove(self, where: Address, slot: str) -> None:
        """Delete one of our messages; Telegram allows it for two days."""
        with _mapped():
            await self._bot.delete_message(int(where.chat), int(slot))

    async def send(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        """Send a document, or a picture, in reply to the asker's message."""
        rest: dict[str, Any] = {"reply_markup": _keyboard(Page("", buttons=tuple(buttons))), **_reply(where)}
        with _mapped():
            if name.endswith(PICTURES) and len(data) < PHOTO_BYTES:
                with suppress(BadRequest):  # a picture of other measures than Telegram likes goes as a file
                    return str((await self._bot.send_photo(int(where.chat), data, filename=name, **rest)).message_id)
            return str((await self._bot.send_document(int(where.chat), data, filename=name, **rest)).message_id)

    async def sign(self, where: Address, sign: str) -> None:
        """React to the asker's message."""
        if self._signs and where.message:
            with _mapped():
                await self._bot.set_message_reaction(int(where.chat), int(where.message), _SIGNS.get(sign))

    async def notify(self, press: str, text: str) -> None:
        """Show a text over the chat of the one who pressed; after some seconds Telegram no longer takes it."""
        with _mapped():
            await self._bot.answer_callback_query(press, text)

    async def direct(self, person: str) -> Address:
        """A person's chat with us has their own id."""
        return Address(PLATFORM, person.rpartition(":")[2])


_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


def _reply(where: Address) -> dict[str, Any]:
    reply = ReplyParameters(int(where.message), allow_sending_without_reply=True) if where.message else None
    return {"reply_parameters": reply, "message_thread_id": int(where.thread) if where.thread else None}


def _entities(page: Page) -> list[MessageEntity]:
    return [MessageEntity(**entity.to_dict()) for entity in page.format]  # pyright: ignore[reportUnknownArgumentType, reportAttributeAccessIssue, reportUnknownMemberType] : telegramify-markdown's own entities


def _keyboard(page: Page) -> InlineKeyboardMarkup | None:
    keys = [InlineKeyboardButton(button.label, callback_data=button.code) for button in page.buttons]
    return InlineKeyboardMarkup([keys[at : at + ROW] for at in range(0, len(keys), ROW)]) if keys else None


def make_bot(settings: BotSettings) -> Bot:
    """A bot on the configured Bot API server. Raises BadToken without a token."""
    if not settings.telegram_token:
        raise BadToken
    files = settings.telegram_file_url or f"{settings.telegram_api_url}/file"
    return Bot(
        settings.telegram_token, base_url=f"{settings.telegram_api_url}/bot", base_file_url=f"{files}/bot",
        request=HTTPXRequest(connection_pool_size=WRITES, pool_timeout=60.0, httpx_kwargs={"trust_env": True}),
    )  # fmt: skip


async def serve(storage: StorageSettings, settings: BotSettings, stop: asyncio.Event) -> None:
    """Run the Telegram role until `stop`. Raises BadToken."""
    bot = make_bot(settings)
    names: list[str] = []
    async with living(storage, PLATFORM, lambda: {PLATFORM: names[0]} if names else {}) as (stores, _):
        await first_of(stop.wait(), introduce(bot))
        if not stop.is_set():
            names.append(bot.username)
            await _run(bot, settings, stores, stop)


async def _run(bot: Bot, settings: BotSettings, stores: Stores, stop: asyncio.Event) -> None:
    surface, inbox = TelegramSurface(bot, signs=settings.reactions), stores.inbox(PLATFORM)
    limits = stores.limits(Rules(settings.allow, settings.deny, settings.admins, settings.open))
    async with bot:
        menus = asyncio.create_task(set_menus(bot))
        try:
            if settings.telegram_webhook_url:
                from bots.telegram_webhook import listen  # a web server, 13 MB: only for who needs one

                taking = listen(bot, inbox, settings)
            else:
                taking = poll(bot, inbox)
            await first_of(work(surface, stores, limits, stop), taking)
        finally:
            await end([menus])


@contextmanager
def _mapped() -> Generator[None]:
    """python-telegram-bot's errors as SurfaceError. Their texts may hold URLs: none is passed on."""
    try:
        yield
    except RetryAfter as error:
        raise Flooded(seconds(error)) from error
    except ChatMigrated as error:
        raise Moved(str(error.new_chat_id)) from error
    except Forbidden as error:
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
