"""What a Discord message or interaction says to us."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import discord

from bots.files import READABLE
from bots.phrases import language_of
from bots.surface import ALONE, FileRef, Incoming
from storage.messages import Address

PLATFORM = "discord"

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_KINDS = {"audio": "no_voice"}  # what is said of a file that cannot be read


class Via(NamedTuple):
    """How an interaction can be answered, for 15 minutes: by its token. It travels in an Address, as text.

    seen: "public", "private" (only by the one who made it), or "whisper": privately, beside what may be public.
    """

    interaction: str
    token: str
    chat: str
    user: str
    seen: str

    @classmethod
    def of(cls, interaction: discord.Interaction[Any], seen: str) -> Via:
        """The way to answer this interaction."""
        return cls(
            str(interaction.id), interaction.token, str(interaction.channel_id), str(interaction.user.id), seen
        )  # fmt: skip

    @classmethod
    def read(cls, text: str) -> Via | None:
        """The way that an address holds, if it holds one."""
        return cls(*text.split(" ")) if text else None

    def __str__(self) -> str:
        return " ".join(self)


def of_interaction(interaction: discord.Interaction[Any], seen: str, **said: Any) -> Incoming:
    """An interaction, `said` being what it says in the terms of Incoming."""
    channel, user, via = str(interaction.channel_id), str(interaction.user.id), Via.of(interaction, seen)
    message = str(interaction.message.id) if "button" in said and interaction.message else ""
    # What one alone was shown must not come up in an answer for everybody. A command is for both.
    apart = ALONE if seen == "private" and not ("command" in said or interaction.context.dm_channel) else ""
    return Incoming(
        id=f"{PLATFORM}:{channel}:{interaction.id}", person=f"{PLATFORM}:{user}",
        conversation=f"{PLATFORM}:{channel}:{user}{apart}", language=language_of(interaction.locale.value),
        where=Address(PLATFORM, channel, message, group=not interaction.context.dm_channel, via=str(via)),
        press=str(via._replace(seen="whisper")), server=str(interaction.guild_id or ""),
        sent=interaction.created_at.timestamp(), **said,
    )  # fmt: skip


def of_message(message: discord.Message, me: int, *, sees: bool, edited: bool = False) -> Incoming | None:
    """A message, None if it is not for us: whose id is `me`. sees: whether we are shown what is not addressed to us."""
    if message.author.bot or message.webhook_id or message.type not in _SAID:
        return None
    quoted = message.reference.resolved if message.reference else None
    quoted = quoted if isinstance(quoted, discord.Message) else None
    ours = quoted is not None and quoted.author.id == me
    direct, named = message.guild is None, _names(message, me)
    if not (direct or named or ours):
        return None
    found = files([message])
    hidden = quoted and not (sees or direct or ours or _names(quoted, me) or quoted.content or _holds(quoted))
    unread = "discord.use_menu" if hidden else _unread(message)
    channel, user = str(message.channel.id), str(message.author.id)
    text = re.sub(rf"<@!?{me}>", "", message.content).strip()
    return Incoming(
        id=f"{PLATFORM}:{channel}:{message.id}", person=f"{PLATFORM}:{user}",
        conversation=f"{PLATFORM}:{channel}:{user}",
        where=Address(PLATFORM, channel, str(message.id), group=not direct),
        language=_language(message, text), text=text, photos=found, edited=edited,
        quote_text="\n".join(each.content for each in ([quoted] if quoted else message.message_snapshots)),
        quote_photos=files([quoted]) if quoted and not ours else (),
        refusal="" if found else unread, server=str(message.guild.id) if message.guild else "",
        sent=(message.edited_at or message.created_at).timestamp(),
    )  # fmt: skip


_SAID = (discord.MessageType.default, discord.MessageType.reply)


def files(messages: Iterable[discord.Message | discord.MessageSnapshot]) -> tuple[FileRef, ...]:
    """Every file in messages that may be read: attached, forwarded, a sticker, or a picture shown of a link."""
    return tuple(file for message in messages for file in _files(message))


def _files(message: discord.Message | discord.MessageSnapshot) -> Iterator[FileRef]:
    for attachment in message.attachments:
        if (attachment.content_type or READABLE[-1]).startswith(READABLE):
            yield file_of(attachment)
    for sticker in message.stickers:
        if sticker.format in (discord.StickerFormatType.png, discord.StickerFormatType.apng):
            yield FileRef(sticker.url, mime="image/png", source=f"sticker:{sticker.id}")
    for embed in message.embeds:
        # Discord's own copy: we go to no address that somebody wrote.
        if shown := embed.image.proxy_url or embed.thumbnail.proxy_url:
            yield FileRef(shown, source=shown)
    if isinstance(message, discord.Message):
        yield from files(message.message_snapshots)


def file_of(attachment: discord.Attachment) -> FileRef:
    """An attachment as a file."""
    mime = (attachment.content_type or "").partition(";")[0]
    return FileRef(attachment.url, attachment.size, mime, str(attachment.id))


def _unread(message: discord.Message) -> str:
    """The phrase code of what a message without a picture holds, "" if that is words."""
    if message.attachments:
        return _KINDS.get((message.attachments[0].content_type or "").partition("/")[0], "no_document")
    return "no_sticker" if message.stickers and not message.content else ""


def _names(message: discord.Message, me: int) -> bool:
    return any(user.id == me for user in message.mentions)


def _holds(message: discord.Message) -> bool:
    return bool(message.attachments or message.embeds or message.stickers or message.message_snapshots)


def _language(message: discord.Message, text: str) -> str:
    """Of a message Discord says no language: the one it is written in, else its server's."""
    if _CHINESE.search(text):
        return "zh"
    return language_of(message.guild.preferred_locale.value if message.guild else None)
