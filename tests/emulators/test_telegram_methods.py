"""What the emulated Telegram makes of reactions, menus, answers to buttons, files and keyboards of the bot."""

from __future__ import annotations

import pytest
from telegram import (
    Bot,
    BotCommandScope,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BotCommandScopeChatMember,
    BotCommandScopeDefault,
    ReactionTypeCustomEmoji,
    ReactionTypeEmoji,
)
from telegram.constants import ReactionEmoji
from telegram.error import BadRequest, RetryAfter

from tests.emulators.conftest import connect
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_rules import REACTIONS
from tests.emulators.test_telegram_emulator import STOP, jpeg


def test_the_library_knows_the_same_reactions() -> None:
    assert {str(emoji).replace("\ufe0f", "") for emoji in ReactionEmoji} == REACTIONS


async def test_a_reaction_replaces_the_one_before_and_an_empty_list_takes_it_away(
    telegram: TelegramEmulator, bot: Bot
) -> None:
    ann = telegram.user(1001)
    where = 1001, (await ann.send_text(ann.private, "what?"))["message_id"]
    for emoji in ("👀", "❤️‍🔥", "👍"):
        await bot.set_message_reaction(*where, emoji)
    assert [reaction["emoji"] for reaction in telegram.api.reactions[where]] == ["👍"]
    await bot.set_message_reaction(*where, [])
    assert telegram.api.reactions[where] == []
    await bot.set_message_reaction(*where, "👀")
    await bot.set_message_reaction(*where)
    assert telegram.api.reactions[where] == []


async def test_reactions_that_telegram_refuses(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100)
    where = 1001, (await ann.send_text(ann.private, "what?"))["message_id"]
    for refused in ("✅", "⏳", ReactionTypeCustomEmoji("5368324170671202286")):
        with pytest.raises(BadRequest, match=r"(?i)REACTION_INVALID"):
            await bot.set_message_reaction(*where, refused)
    with pytest.raises(BadRequest, match=r"(?i)REACTIONS_TOO_MANY"):
        await bot.set_message_reaction(*where, [ReactionTypeEmoji("👍"), ReactionTypeEmoji("👎")])
    with pytest.raises(BadRequest, match=r"(?i)message to react not found"):
        await bot.set_message_reaction(1001, 99, "👍")
    there = -100, (await ann.send_text(group, "what?"))["message_id"]
    group.reactions = {"👍"}
    await bot.set_message_reaction(*there, "👍")
    for allowed in ({"👍"}, set[str]()):
        group.reactions = allowed
        with pytest.raises(BadRequest, match=r"(?i)REACTION_INVALID"):
            await bot.set_message_reaction(*there, "👀")
    await bot.set_message_reaction(*there, [])
    assert where not in telegram.api.reactions


async def test_an_answer_to_a_button_has_at_most_200_characters(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await bot.send_message(1001, "…", reply_markup=STOP)
    query = (await ann.press_button(ann.private.messages[0], "stop:1"))["id"]
    with pytest.raises(BadRequest, match=r"(?i)MESSAGE_TOO_LONG"):
        await bot.answer_callback_query(query, "x" * 201)
    assert telegram.api.answers == {}
    await bot.answer_callback_query(query, "停" * 200, show_alert=True)
    assert len(telegram.api.answers[query]["text"]) == 200


SCOPES: list[tuple[BotCommandScope, str]] = [
    (BotCommandScopeDefault(), "default"),
    (BotCommandScopeAllPrivateChats(), "all_private_chats"),
    (BotCommandScopeAllGroupChats(), "all_group_chats"),
    (BotCommandScopeChat(-100), "chat:-100"),
    (BotCommandScopeChatMember(-100, 1001), "chat_member:-100:1001"),
]


async def test_each_scope_and_language_has_a_menu_of_its_own(telegram: TelegramEmulator, bot: Bot) -> None:
    for scope, name in SCOPES:
        for language in ("", "zh"):
            await bot.set_my_commands([("ask", f"{name} {language}")], scope, language or None)
    assert set(telegram.api.commands) == {(name, language) for _, name in SCOPES for language in ("", "zh")}
    for scope, name in SCOPES:
        (command,) = await bot.get_my_commands(scope, "zh")
        assert command.description == f"{name} zh"
    await bot.delete_my_commands(SCOPES[2][0], "zh")
    assert ("all_group_chats", "zh") not in telegram.api.commands
    assert ("all_group_chats", "") in telegram.api.commands


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("Ask", "upper case"), "BOT_COMMAND_INVALID"),
        (("x" * 33, "too long"), "BOT_COMMAND_INVALID"),
        (("ask", ""), "BOT_COMMAND_DESCRIPTION_INVALID"),
        (("ask", "x" * 257), "BOT_COMMAND_DESCRIPTION_INVALID"),
    ],
)
async def test_menus_that_telegram_refuses(
    telegram: TelegramEmulator, bot: Bot, command: tuple[str, str], why: str
) -> None:
    with pytest.raises(BadRequest, match=f"(?i){why}"):
        await bot.set_my_commands([command])
    assert telegram.api.commands == {}


async def test_a_file_that_the_bot_sends_can_be_read(telegram: TelegramEmulator, bot: Bot) -> None:
    chat = telegram.user(1001).private
    sent = await bot.send_document(1001, "# 答案\n".encode(), filename="answer.md", caption="the whole answer")
    assert sent.document
    await bot.send_document(1001, sent.document.file_id)
    assert chat.documents() == [("answer.md", "# 答案\n".encode())] * 2
    assert chat.texts() == ["the whole answer", ""]
    assert (
        telegram.world.content(chat.messages[0]["document"])
        == await (await bot.get_file(sent.document)).download_as_bytearray()
    )


async def test_an_edit_without_a_keyboard_takes_the_keyboard_away(telegram: TelegramEmulator, bot: Bot) -> None:
    (chat, sent) = telegram.user(1001).private, await bot.send_message(1001, "…", reply_markup=STOP)
    await bot.edit_message_text("so far", 1001, sent.message_id, reply_markup=STOP)
    assert "reply_markup" in chat.messages[0]
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("so far", 1001, sent.message_id, reply_markup=STOP)
    await bot.edit_message_text("so far", 1001, sent.message_id)  # a change: the keyboard goes
    assert "reply_markup" not in chat.messages[0]
    await bot.edit_message_reply_markup(1001, sent.message_id, reply_markup=STOP)
    await bot.edit_message_reply_markup(1001, sent.message_id)
    assert ("reply_markup" in chat.messages[0], chat.texts()) == (False, ["so far"])
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_reply_markup(1001, sent.message_id)


async def test_a_photo_of_the_bot_can_lose_its_keyboard_but_has_no_text(telegram: TelegramEmulator, bot: Bot) -> None:
    sent = await bot.send_photo(1001, jpeg(40, 30), reply_markup=STOP)
    with pytest.raises(BadRequest, match=r"(?i)no text in the message to edit"):
        await bot.edit_message_text("text", 1001, sent.message_id)
    assert "reply_markup" in telegram.user(1001).private.messages[0]


async def test_a_flooded_chat_refuses_messages_and_edits_alone(telegram: TelegramEmulator, bot: Bot) -> None:
    async with connect(telegram) as other:
        sent = await other.send_message(1001, "…")
    telegram.flood(1001, 30)
    for call in (bot.send_message(1001, "x"), bot.edit_message_text("x", 1001, sent.message_id)):
        with pytest.raises(RetryAfter):
            await call
    await bot.send_chat_action(1001, "typing")
    await bot.set_message_reaction(1001, sent.message_id, "👀")
