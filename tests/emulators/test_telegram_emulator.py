"""What the Telegram emulator makes of messages, driven by the library that the real bot uses."""

from __future__ import annotations

import asyncio
import io
import random

import pytest
from PIL import Image
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto, MessageEntity
from telegram.error import BadRequest

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_shapes import photo_copies

STOP = InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data="stop:1")]])


def jpeg(width: int = 2000, height: int = 1000) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 40).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


async def test_a_photo_comes_in_sizes_and_can_be_downloaded(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await ann.send_photo(ann.private, jpeg(), caption="what is this?", media_group_id="7")
    (update,) = await bot.get_updates()
    assert update.message
    assert [(size.width, size.height) for size in update.message.photo] == [
        (90, 45),
        (320, 160),
        (800, 400),
        (1280, 640),
    ]
    file = await bot.get_file(update.message.photo[-1])
    content = bytes(await file.download_as_bytearray())
    assert len(content) == file.file_size == update.message.photo[-1].file_size
    assert Image.open(io.BytesIO(content)).size == (1280, 640)
    assert (update.message.caption, update.message.media_group_id) == ("what is this?", "7")


@pytest.mark.parametrize(("longest", "sides"), [(60, [60]), (500, [90, 320, 500]), (1280, [90, 320, 800, 1280])])
def test_a_photo_is_never_enlarged(longest: int, sides: list[int]) -> None:
    assert [max(width, height) for width, height, _ in photo_copies(jpeg(longest, longest // 2))] == sides


async def test_bytes_that_are_no_picture_travel_untouched(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, hostile = telegram.user(1001), random.Random(1).randbytes(999)
    sent = await ann.send_photo(ann.private, hostile)
    file = await bot.get_file(sent["photo"][0]["file_id"])
    assert await file.download_as_bytearray() == hostile


async def test_a_file_that_is_too_big_cannot_be_fetched(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await ann.send_document(ann.private, b"x", "big.png", "image/png", declared_size=20 * 1024 * 1024 + 1)
    (update,) = await bot.get_updates()
    assert update.message
    assert update.message.document
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(update.message.document)


async def test_an_edit_returns_the_message_and_only_a_change_is_taken(telegram: TelegramEmulator, bot: Bot) -> None:
    chat = telegram.user(1001).private
    sent = await bot.send_message(1001, "…", reply_markup=STOP)
    edited = await bot.edit_message_text("Hi 👋 there ", 1001, sent.message_id, entities=[MessageEntity("bold", 3, 2)])
    assert not isinstance(edited, bool)
    assert (edited.text, edited.parse_entities()) == ("Hi 👋 there", {edited.entities[0]: "👋"})
    assert edited.date == sent.date
    assert edited.reply_markup is None
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("Hi 👋 there", 1001, sent.message_id, entities=[MessageEntity("bold", 3, 2)])
    await bot.edit_message_reply_markup(1001, sent.message_id, reply_markup=STOP)
    assert [edit["text"] for edit in chat.messages[0]["edits"]] == ["Hi 👋 there"] * 2
    assert chat.texts() == ["Hi 👋 there"]


@pytest.mark.parametrize(
    ("text", "entities", "why"),
    [
        (" \n", [], "Message text is empty"),
        ("👋" * 2049, [], "Message is too long"),
        ("abc", [MessageEntity("bold", 2, 2)], "(?i)entity beginning at UTF-16 offset 2 ends after the end"),
        ("👋", [MessageEntity("bold", 0, 1)], "(?i)in a middle of a UTF-16 symbol"),
    ],
)
async def test_texts_that_telegram_refuses(
    telegram: TelegramEmulator, bot: Bot, text: str, entities: list[MessageEntity], why: str
) -> None:
    with pytest.raises(BadRequest, match=why):
        await bot.send_message(1001, text, entities=entities)
    assert telegram.user(1001).private.messages == []


async def test_html_becomes_entities_and_broken_html_is_refused(telegram: TelegramEmulator, bot: Bot) -> None:
    sent = await bot.send_message(1001, "<b>a &amp; <i>b</i></b>", parse_mode="HTML")
    assert sent.text == "a & b"
    assert [(entity.type, entity.offset, entity.length) for entity in sent.entities] == [
        ("bold", 0, 5),
        ("italic", 4, 1),
    ]
    with pytest.raises(BadRequest, match="Can't parse entities"):
        await bot.send_message(1001, "<b>a", parse_mode="HTML")


async def test_what_is_gone_or_another_s_cannot_be_edited(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    hers = await ann.send_text(ann.private, "mine")
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("yours", 1001, hers["message_id"])
    sent = await bot.send_message(1001, "…")
    await ann.delete(ann.private.bot_messages()[0])
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("text", 1001, sent.message_id)
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(1001, "text", reply_to_message_id=sent.message_id)
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(77, "text")


async def test_buttons_reach_the_bot_and_their_queries_grow_old(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await bot.send_message(1001, "…", reply_markup=STOP)
    with pytest.raises(LookupError):
        await ann.press_button(ann.private.messages[0], "other")
    await ann.press_button(ann.private.messages[0], "stop:1")
    (update,) = await bot.get_updates()
    assert update.callback_query
    assert update.callback_query.data == "stop:1"
    assert await update.callback_query.answer("Stopped")
    assert telegram.api.answers[update.callback_query.id]["text"] == "Stopped"
    telegram.api.query_seconds = 0
    with pytest.raises(BadRequest, match="Query is too old"):
        await update.callback_query.answer()


async def test_an_edited_question_and_a_reply_bring_what_they_refer_to(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    photo = await ann.send_photo(ann.private, jpeg(100, 50))
    question = await ann.send_text(ann.private, "what", reply_to=photo)
    await ann.edit_text(question, "what is it?")
    *_, asked, edited = await bot.get_updates()
    assert asked.message
    assert asked.message.reply_to_message
    assert asked.message.reply_to_message.photo[-1].width == 100
    assert edited.edited_message
    assert (edited.edited_message.text, asked.message.text) == ("what is it?", "what")


async def test_in_a_group_the_bot_sees_only_what_concerns_it(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100123, "Friends")
    answer = await bot.send_message(-100123, "I am here")
    await ann.send_text(group, "hello all")
    await ann.send_text(group, "/new@other_bot")
    await ann.send_text(group, "@askpix_bot what?")
    await ann.send_text(group, "/status")
    await ann.send_text(group, "and this?", reply_to=group.find(answer.message_id))
    texts = [update.message.text for update in await bot.get_updates() if update.message]
    assert texts == ["@askpix_bot what?", "/status", "and this?"]


async def test_photos_documents_and_albums_of_the_bot_arrive(telegram: TelegramEmulator, bot: Bot) -> None:
    chat = telegram.user(1001).private
    photo = await bot.send_photo(1001, jpeg(400, 300), caption="a picture")
    document = await bot.send_document(1001, b"text", filename="answer.md")
    album = await bot.send_media_group(1001, [InputMediaPhoto(jpeg(40, 30)), InputMediaPhoto(photo.photo[-1].file_id)])
    assert document.document
    assert (document.document.file_name, document.document.file_size) == ("answer.md", 4)
    assert len({message.media_group_id for message in album}) == 1
    assert [max(size["width"] for size in message["photo"]) for message in chat.messages if "photo" in message] == [
        400,
        40,
        400,
    ]


async def test_actions_drafts_reactions_commands_and_deletion(telegram: TelegramEmulator, bot: Bot) -> None:
    await bot.send_chat_action(1001, "typing")
    await bot.send_message_draft(1001, 5, "so far")
    sent = await bot.send_message(1001, "text")
    await bot.set_message_reaction(1001, sent.message_id, "👍")
    await bot.set_my_commands([("new", "start afresh")], language_code="en")
    assert [command.command for command in await bot.get_my_commands(language_code="en")] == ["new"]
    await bot.delete_my_commands(language_code="en")
    assert await bot.get_my_commands(language_code="en") == ()
    await bot.delete_message(1001, sent.message_id)
    assert [action.action for action in telegram.actions] == ["typing"]
    assert telegram.api.drafts[0]["text"] == "so far"
    assert telegram.api.reactions[1001, sent.message_id][0]["emoji"] == "👍"
    assert (telegram.user(1001).private.messages, len(telegram.user(1001).private.deleted)) == ([], 1)


async def test_waiting_for_an_answer_wakes_at_its_edit_and_says_what_was_there(
    telegram: TelegramEmulator, bot: Bot
) -> None:
    chat = telegram.user(1001).private
    waiting = asyncio.create_task(chat.wait_for(lambda texts: "blue" in texts))
    sent = await bot.send_message(1001, "…")
    await bot.edit_message_text("blue", 1001, sent.message_id)
    assert await waiting == ["blue"]
    with pytest.raises(TimeoutError, match="the bot's messages are \\['blue'\\]"):
        await chat.wait_for(lambda texts: "red" in texts, seconds=0.05)
