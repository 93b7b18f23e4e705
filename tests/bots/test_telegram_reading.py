"""What Telegram's updates say to us, and which of them are not for us."""

from __future__ import annotations

import pytest
from telegram import Bot

from bots.surface import Incoming, Page
from bots.telegram_bot import TelegramSurface
from storage.messages import Address
from tests.bots.pictures import encoded, photo
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User

PICTURE = encoded(photo(1600, 1200), "JPEG")


async def read(surface: TelegramSurface, bot: Bot) -> Incoming | None:
    """What the last update says, by way of the bytes that lie in the inbox."""
    updates = await bot.get_updates()
    return surface.read(updates[-1].to_json().encode())


async def said(surface: TelegramSurface, bot: Bot) -> Incoming:
    incoming = await read(surface, bot)
    assert incoming is not None
    return incoming


async def test_a_private_question(surface: TelegramSurface, bot: Bot, ann: User) -> None:
    message = await ann.send_text(ann.private, "what is a<b? 🙂")
    id = str(message["message_id"])
    assert await said(surface, bot) == Incoming(
        f"telegram:1001:{id}", "telegram:1001", "telegram:1001:1001", Address("telegram", "1001", id), "en",
        "what is a<b? 🙂", sent=message["date"],
    )  # fmt: skip


async def test_a_photo_comes_in_the_smallest_size_that_is_enough_else_in_the_largest(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    message = await ann.send_photo(ann.private, PICTURE, "what?")
    incoming = await said(surface, bot)
    assert incoming.text == "what?"
    (file,) = incoming.photos
    assert (file.id, file.size) == (message["photo"][-1]["file_id"], message["photo"][-1]["file_size"])
    assert file.mime == ""
    assert await surface.fetch(file) == telegram.world.files[file.id].content


async def test_an_image_as_a_file_keeps_its_type_and_size(surface: TelegramSurface, bot: Bot, ann: User) -> None:
    await ann.send_document(ann.private, PICTURE, "a.jpg", "image/jpeg", "what?")
    incoming = await said(surface, bot)
    assert (incoming.text, incoming.photos[0].mime, incoming.photos[0].size) == ("what?", "image/jpeg", len(PICTURE))


async def test_a_file_without_a_type_is_still_a_file(surface: TelegramSurface, bot: Bot, ann: User) -> None:
    await ann.send_document(ann.private, b"x", "a", "")
    assert (await said(surface, bot)).photos[0].mime == ""


async def test_a_reply_brings_the_words_and_photos_it_replies_to(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    bob = telegram.user(1002, first_name="Bob")
    group = telegram.group(-100)
    shown = await bob.send_photo(group, PICTURE, "my cat")
    await ann.send_text(group, "@askpix_bot what breed?", reply_to=shown)
    incoming = await said(surface, bot)
    assert (incoming.person, incoming.text, incoming.quote_text) == ("telegram:1001", "what breed?", "my cat")
    assert incoming.photos == ()
    assert [file.id for file in incoming.quote_photos] == [shown["photo"][-1]["file_id"]]
    assert incoming.where.group


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("just talking", None),
        ("@someone_else look", None),
        ("mail me at x@askpix_bot.org", None),
        ("@askpix_bot what is it?", "what is it?"),
        ("what is it, @AskPix_Bot", "what is it,"),
        ("@askpix_bot", ""),
    ],
)
async def test_in_a_group_only_what_mentions_us_is_for_us(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User, text: str, shown: str | None
) -> None:
    await ann.send_text(telegram.group(-100), text)
    incoming = await read(surface, bot)
    assert (incoming and incoming.text) == shown


async def test_in_a_group_a_photo_with_a_mention_is_for_us_and_one_without_is_not(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    await ann.send_photo(telegram.group(-100), PICTURE, "look")
    assert await read(surface, bot) is None
    await ann.send_photo(telegram.group(-100), PICTURE, "@askpix_bot look")
    incoming = await said(surface, bot)
    assert (incoming.text, len(incoming.photos)) == ("look", 1)


async def test_in_a_group_a_reply_to_us_is_for_us(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    group = telegram.group(-100)
    await surface.place(Address("telegram", "-100"), Page("an answer"))
    await ann.send_text(group, "why?", reply_to=group.messages[-1])
    incoming = await said(surface, bot)
    assert (incoming.text, incoming.quote_text) == ("why?", "an answer")


@pytest.mark.parametrize(
    ("text", "private", "group"),
    [
        ("/new", ("new", ""), ("new", "")),
        ("/start abc_-9", ("start", "abc_-9"), ("start", "abc_-9")),
        ("/New@AskPix_bot  now please", ("new", "now please"), ("new", "now please")),
        ("/what", ("what", ""), None),
        ("/what@askpix_bot", ("what", ""), ("what", "")),
        ("/new@other_bot", None, None),
        ("/ban@other_bot now", None, None),
    ],
)
async def test_a_command_is_ours_if_it_names_us_or_is_known(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User, text: str,
    private: tuple[str, str] | None, group: tuple[str, str] | None,
) -> None:  # fmt: skip
    chat = telegram.group(-100)
    await surface.place(Address("telegram", "-100"), Page("an answer"))
    for where, reply_to, expected in (
        (ann.private, None, private),
        (chat, None, group),
        (chat, chat.messages[0], group),
    ):
        await ann.send_text(where, text, reply_to=reply_to)
        incoming = await read(surface, bot)
        assert (incoming and (incoming.command, incoming.argument)) == expected
        assert not incoming or not incoming.text


async def test_a_command_in_the_middle_of_a_text_is_text(surface: TelegramSurface, bot: Bot, ann: User) -> None:
    await ann.send_text(ann.private, "what does /new do?")
    incoming = await said(surface, bot)
    assert (incoming.command, incoming.text) == ("", "what does /new do?")


async def test_a_topic_is_a_conversation_of_its_own_and_its_beginning_is_no_quote(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    group = telegram.group(-100)
    topic: Json = {"is_topic_message": True, "message_thread_id": 5}
    created = telegram.world.post(
        group, telegram.world.bot, None, {**topic, "forum_topic_created": {"name": "Cats", "icon_color": 0}}
    )
    await ann.send_text(group, "not for you", reply_to=created, **topic)
    assert await read(surface, bot) is None
    await ann.send_text(group, "@askpix_bot what?", reply_to=created, **topic)
    incoming = await said(surface, bot)
    assert (incoming.conversation, incoming.where.thread) == ("telegram:-100:5:1001", "5")
    assert (incoming.text, incoming.quote_text) == ("what?", "")
    await surface.place(incoming.where, Page("here"))
    assert group.messages[-1]["message_thread_id"] == 5
    await surface.typing(incoming.where)


async def test_a_thread_that_is_no_topic_is_not_part_of_the_conversation(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    await ann.send_text(telegram.group(-100), "@askpix_bot what?", message_thread_id=5)
    assert (await said(surface, bot)).conversation == "telegram:-100:1001"


@pytest.mark.parametrize("tag", ["zh-hans", "zh-hant", "zh", "en", "fr", "x-klingon", ""])
async def test_people_are_answered_in_their_language(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, tag: str
) -> None:
    user = telegram.user(1003, language_code=tag)
    await user.send_text(user.private, "hello")
    assert (await said(surface, bot)).language == ("zh" if "zh" in tag else "en")


async def test_nobody_speaks_for_a_bot_a_channel_or_an_anonymous_admin(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    channel: Json = {"id": -100200, "type": "channel", "title": "News"}
    await ann.send_text(telegram.group(-100), "@askpix_bot hello", sender_chat=channel)
    assert await read(surface, bot) is None
    await ann.send_text(ann.private, "hello", **{"from": {**ann.describe(), "is_bot": True}})
    assert await read(surface, bot) is None


@pytest.mark.parametrize(
    "event",
    [
        {"pinned_message": {"message_id": 1, "date": 1, "chat": {"id": 1001, "type": "private"}, "text": "x"}},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 60}},
        {"new_chat_members": [{"id": 5, "is_bot": False, "first_name": "Eve"}]},
    ],
)
async def test_what_a_chat_says_of_itself_is_no_question(
    surface: TelegramSurface, bot: Bot, ann: User, event: Json
) -> None:
    ann._send(ann.private, None, **event)  # pyright: ignore[reportPrivateUsage] : no user can write it
    assert await read(surface, bot) is None


async def test_a_die_has_nothing_to_read_but_is_for_us(surface: TelegramSurface, bot: Bot, ann: User) -> None:
    ann._send(ann.private, None, dice={"emoji": "🎲", "value": 3})  # pyright: ignore[reportPrivateUsage] : any other kind
    incoming = await said(surface, bot)
    assert (incoming.text, incoming.photos, incoming.command, incoming.refusal) == ("", (), "", "unreadable")


async def test_an_edit_is_the_same_message_again_and_a_command_is_done_once(
    surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    question = await ann.send_text(ann.private, "before")
    before = await said(surface, bot)
    await ann.edit_text(question, "after")
    after = await said(surface, bot)
    assert (after.id, after.text, before.edited, after.edited) == (before.id, "after", False, True)
    assert after.sent == (question["edit_date"] or 0) >= before.sent > 0
    await ann.edit_text(question, "/new")
    assert await read(surface, bot) is None


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}", b"null", b'{"update_id": 1, "message": {"message_id": 1}}'])
def test_bytes_that_are_no_update_are_an_error_or_nothing(surface: TelegramSurface, raw: bytes) -> None:
    try:
        assert surface.read(raw) is None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # intake puts it away
