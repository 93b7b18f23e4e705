"""What Telegram refuses a bot, in its own words (tdlib/telegram-bot-api: Client.cpp; tdlib/td: MessageContent.cpp)."""

from __future__ import annotations

import re

from tests.emulators.server import Json
from tests.emulators.telegram_shapes import SENDABLE
from tests.emulators.telegram_world import GENERAL, Chat

# Every emoji that a bot may react with, as the documentation of ReactionTypeEmoji lists them.
_EMOJI = """
❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐
🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾
🤷\u200d♂ 🤷 🤷\u200d♀ 😡
"""
REACTIONS = frozenset(_EMOJI.split())

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")


class ApiError(Exception):
    """An answer with ok false; `code` is also the HTTP status, `parameters` the ResponseParameters."""

    def __init__(self, code: int, description: str, retry_after: int = 0, migrate_to_chat_id: int = 0) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        given = {"retry_after": retry_after, "migrate_to_chat_id": migrate_to_chat_id}
        self.parameters = {key: value for key, value in given.items() if value}


def bad(description: str) -> ApiError:
    """The commonest error."""
    return ApiError(400, f"Bad Request: {description}")


def check_access(chat: Chat) -> None:
    """Raise what a bot is told in a chat that it cannot enter, or that has become another.

    What Telegram says to an edit in a group that has become a supergroup is not documented; it gets the same here.
    """
    if chat.migrated_to:
        words = "Bad Request: group chat was upgraded to a supergroup chat"
        raise ApiError(400, words, migrate_to_chat_id=chat.migrated_to)
    if chat.kind == "private":
        if chat.blocked:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
    elif chat.blocked or chat.status == "kicked":
        raise ApiError(403, f"Forbidden: bot was kicked from the {chat.kind} chat")
    elif chat.status == "left":
        raise ApiError(403, f"Forbidden: bot is not a member of the {chat.kind} chat")


def check_sending(chat: Chat, content: Json, topic: int, replied: Json | None) -> int:
    """Raise why a bot may not send this here; returns the topic that it goes to, 0 for none.

    In a chat that is no forum any topic is taken as it is.
    """
    if chat.forum:
        if topic and topic not in chat.topics:  # GENERAL has no id either
            raise bad("message thread not found")
        topic = topic or (replied or {}).get("message_thread_id", 0)
        if (topic or GENERAL) in chat.closed_topics and chat.status != "administrator":
            raise bad("TOPIC_CLOSED")
    for kind, words in SENDABLE.items():
        if kind in content and kind in chat.forbidden:
            raise bad(f"not enough rights to send {words} to the chat")
    return topic


def check_reactions(chat: Chat, reactions: list[Json]) -> None:
    """Raise why these cannot be the bot's reactions to a message; none at all takes them away."""
    if len(reactions) > 1:
        raise bad("REACTIONS_TOO_MANY")
    for reaction in reactions:
        emoji = str(reaction.get("emoji")).replace("\ufe0f", "")
        if emoji not in REACTIONS or (chat.reactions is not None and emoji not in chat.reactions):
            raise bad("REACTION_INVALID")


def check_commands(commands: list[Json]) -> None:
    """Raise why these cannot be a menu."""
    for command in commands:
        if not _COMMAND.fullmatch(command["command"]):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(command["description"]) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
