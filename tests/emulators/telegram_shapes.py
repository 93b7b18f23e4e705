"""The Bot API's objects as dicts, and the copies that Telegram makes of photos; all of it pure."""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from tests.emulators.server import Json
from tests.emulators.telegram_text import units

# Who Telegram says wrote a message that a group, a channel or a linked channel wrote; their ids never change.
GROUP_ANONYMOUS_BOT: Json = {
    "id": 1087968824,
    "is_bot": True,
    "first_name": "Group",
    "username": "GroupAnonymousBot",
}
CHANNEL_BOT: Json = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
TELEGRAM: Json = {"id": 777000, "is_bot": False, "first_name": "Telegram"}

# What a message can carry besides words.
MEDIA = (
    "animation",
    "audio",
    "document",
    "photo",
    "sticker",
    "video",
    "video_note",
    "voice",
    "contact",
    "dice",
    "location",
)
WORDS = ("text", "entities", "caption", "caption_entities")

# The kinds of content whose sending a group can forbid, in the words of the refusal.
SENDABLE = {"text": "text messages", "photo": "photos", "document": "documents"}

# The longest sides of the copies that Telegram makes of a photo, in pixels.
_SIDES = (90, 320, 800, 1280)

_OURS = ("at", "edits")

_ADMIN_RIGHTS = (
    "can_manage_chat",
    "can_change_info",
    "can_delete_messages",
    "can_invite_users",
    "can_restrict_members",
    "can_pin_messages",
    "can_manage_topics",
    "can_promote_members",
    "can_manage_video_chats",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_manage_tags",
)
_PERMISSIONS = (
    "can_send_audios",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)


class StoredFile(NamedTuple):
    """A file on Telegram's servers; size is what Telegram says it is, in bytes."""

    content: bytes
    path: str
    size: int
    file_name: str = ""


def wire(message: Json) -> Json:
    """The message as the Bot API gives it out."""
    return {key: value for key, value in message.items() if key not in _OURS}


def words(message: Json) -> str:
    """Text or caption."""
    return message.get("text") or message.get("caption") or ""


def origin(message: Json) -> Json:
    """The MessageOrigin of a message that is forwarded, or replied to from another chat."""
    if message["chat"]["type"] == "channel":
        about: Json = {"type": "channel", "chat": message["chat"], "message_id": message["message_id"]}
    elif "sender_chat" in message:
        about = {"type": "chat", "sender_chat": message["sender_chat"]}
    else:
        about = {"type": "user", "sender_user": message["from"]}
    return about | {"date": message["date"]}


def external_reply(message: Json) -> Json:
    """The ExternalReplyInfo of a message of another chat; its text is told by the quote alone."""
    public: Json = {}
    if message["chat"]["type"] in {"supergroup", "channel"}:
        public = {"chat": message["chat"], "message_id": message["message_id"]}
    media = {key: message[key] for key in MEDIA if key in message}
    if "animation" in media:
        media.pop("document", None)
    return {"origin": origin(message), **public, **media}


def text_quote(message: Json, part: str) -> Json:
    """The TextQuote of a part that somebody chose; raises ValueError if the message does not have it."""
    position = units(words(message)[: words(message).index(part)])
    return {"text": part, "position": position, "is_manual": True}


def chat_member(user: Json, status: str, forbidden: Collection[str] = ()) -> Json:
    """The ChatMember of a user; `forbidden` holds keys of SENDABLE, for the status restricted."""
    about: Json = {"user": user, "status": status}
    if status == "administrator":
        about |= dict.fromkeys(_ADMIN_RIGHTS, True) | {"can_be_edited": False, "is_anonymous": False}
    elif status == "restricted":
        about |= dict.fromkeys(_PERMISSIONS, "text" not in forbidden) | {
            "can_send_messages": "text" not in forbidden,
            "can_send_photos": "photo" not in forbidden,
            "can_send_documents": "document" not in forbidden,
            "until_date": 0,
            "is_member": True,
        }
    elif status == "kicked":
        about |= {"until_date": 0}
    return about


def member_updated(chat: Json, actor: Json, old: Json, new: Json) -> Json:
    """A ChatMemberUpdated that happened now."""
    return {"chat": chat, "from": actor, "date": int(time.time()), "old_chat_member": old, "new_chat_member": new}


def file_ids(value: Any) -> Iterator[str]:
    """The id of every file of a message, each size of a photo included."""
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType] : JSON's lists hold anything
        for item in items:
            yield from file_ids(item)
    elif isinstance(value, dict):
        fields: Json = value  # pyright: ignore[reportUnknownVariableType] : JSON's keys are texts
        if "file_id" in fields:
            yield fields["file_id"]
        for item in fields.values():
            yield from file_ids(item)


def photo_copies(content: bytes) -> list[tuple[int, int, bytes]]:
    """Width, height and JPEG of each size that Telegram offers, smallest first; what is no picture comes as it is."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return [(1280, 960, content)]
    longest = max(picture.size)
    copies: list[tuple[int, int, bytes]] = []
    for side in sorted({min(side, longest) for side in _SIDES}):
        copy = ImageOps.contain(picture, (side, side)) if side < longest else picture
        stream = io.BytesIO()
        copy.save(stream, "JPEG", quality=87)
        copies.append((copy.width, copy.height, stream.getvalue()))
    return copies
