"""What people do in the emulated Telegram, as the library that the real bot uses reads it."""

from __future__ import annotations

import asyncio
import io

import pytest
from PIL import Image
from telegram import (
    Bot,
    Dice,
    Message,
    MessageOriginChannel,
    MessageOriginHiddenUser,
    MessageOriginUser,
    Update,
)

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.test_telegram_emulator import STOP, jpeg


async def seen(bot: Bot) -> list[Message]:
    """The message of every update so far, edited or not."""
    updates: tuple[Update, ...] = await bot.get_updates()
    return [message for update in updates if (message := update.message or update.edited_message)]


@pytest.mark.parametrize(("kind", "flags"), [("static", (False, False)), ("animated", (True, False))])
async def test_a_sticker_says_whether_it_moves(
    telegram: TelegramEmulator, bot: Bot, kind: str, flags: tuple[bool, bool]
) -> None:
    ann, stream = telegram.user(1001), io.BytesIO()
    Image.new("RGBA", (512, 300), (200, 30, 40, 128)).save(stream, "WEBP")
    if kind == "static":
        await ann.send_sticker(ann.private, stream.getvalue())
    else:
        await ann.send_sticker(ann.private, b"\x1f\x8b tgs", "animated", "🎉")
    (message,) = await seen(bot)
    assert message.sticker
    assert (message.sticker.is_animated, message.sticker.is_video) == flags
    if kind == "static":
        assert (message.sticker.width, message.sticker.height) == (512, 300)
        file = await bot.get_file(message.sticker)
        assert bytes(await file.download_as_bytearray()) == stream.getvalue()


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("sticker", (b"\x1aE\xdf\xa3", "video")),
        ("voice", (b"OggS", "said")),
        ("audio", (b"ID3", "sung")),
        ("video", (b"ftyp", "filmed")),
        ("video_note", (b"ftyp",)),
        ("animation", (b"ftyp", "moved")),
    ],
)
async def test_media_come_as_what_they_are(
    telegram: TelegramEmulator, bot: Bot, field: str, arguments: tuple[object, ...]
) -> None:
    ann = telegram.user(1001)
    sent = await getattr(ann, f"send_{field}")(ann.private, *arguments)
    (message,) = await seen(bot)
    media = getattr(message, field)
    assert media.file_size == len(telegram.world.content(sent[field]))
    assert message.caption == sent.get("caption")
    assert await (await bot.get_file(media.file_id)).download_as_bytearray() == arguments[0]
    assert bool(message.document) is (field == "animation")  # a GIF comes twice, for bots that know none
    assert not message.photo


async def test_other_kinds_are_made_of_their_fields(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await ann.send(ann.private, location={"latitude": 47.1, "longitude": 8.5})
    await ann.send(ann.private, contact={"phone_number": "+41", "first_name": "Ben"})
    await ann.send(ann.private, dice={"emoji": "🎲", "value": 6})
    place, contact, dice = await seen(bot)
    assert place.location and place.location.latitude == 47.1
    assert contact.contact and contact.contact.first_name == "Ben"
    assert dice.dice == Dice(6, "🎲")


async def test_an_album_is_one_message_a_photo_in_order(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    question = await ann.send_text(ann.private, "look")
    sent = await ann.send_album(
        ann.private, [jpeg(100 + n, 50) for n in range(3)], ["first", "", "@askpix_bot third"], reply_to=question
    )
    messages = (await seen(bot))[1:]
    assert [message.message_id for message in messages] == [item["message_id"] for item in sent] == [2, 3, 4]
    assert [message.photo[-1].width for message in messages] == [100, 101, 102]
    assert [message.caption for message in messages] == ["first", None, "@askpix_bot third"]
    assert len({message.media_group_id for message in messages}) == 1
    assert [message.reply_to_message.text for message in messages if message.reply_to_message] == ["look"] * 3
    assert list(messages[2].parse_caption_entities().values()) == ["@askpix_bot"]


async def test_updates_of_an_album_come_in_any_order_and_at_their_times(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    backwards = await ann.send_album(ann.private, [jpeg(40, 30)] * 3, order=[2, 0, 1])
    ids = [item["message_id"] for item in backwards]
    assert [message.message_id for message in await seen(bot)] == [ids[2], ids[0], ids[1]]
    late = asyncio.create_task(ann.send_album(ann.private, [jpeg(40, 30)] * 3, jitter=[0.3, 0, 0.15]))
    await telegram.until(lambda: len(telegram.updates) == 4)
    assert len(ann.private.messages) == 6  # all are sent before the first update comes
    assert not late.done()
    ids = [item["message_id"] for item in await late]
    assert [message.message_id for message in await seen(bot)][3:] == [ids[1], ids[2], ids[0]]


async def test_an_album_may_mix_photos_and_films_or_hold_documents(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await ann.send_album(ann.private, [jpeg(40, 30), b"ftyp"], ["both"], kinds=["photo", "video"])
    await ann.send_album(ann.private, [jpeg(40, 30)] * 2, kinds=["document", "document"])
    photo, film, *documents = await seen(bot)
    assert photo.photo and film.video and photo.media_group_id == film.media_group_id
    assert photo.caption == "both"
    assert all(item.document and item.document.mime_type == "image/png" for item in documents)
    assert {item.media_group_id for item in documents}.isdisjoint({photo.media_group_id})


async def test_a_caption_and_a_photo_can_be_edited(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    photo = await ann.send_photo(ann.private, jpeg(100, 50), "what?")
    await ann.edit_caption(photo, "what is it?")
    await ann.edit_caption(photo, "")
    await ann.edit_media(photo, jpeg(50, 100))
    await ann.edit_caption(photo, "and now?")
    with pytest.raises(ValueError, match="no caption"):
        await ann.edit_caption(await ann.send_text(ann.private, "text"), "caption")
    messages = (await seen(bot))[:-1]
    assert {message.message_id for message in messages} == {photo["message_id"]}
    assert [message.caption for message in messages] == ["what?", "what is it?", None, None, "and now?"]
    assert [message.photo[-1].width for message in messages] == [100, 100, 100, 50, 50]
    assert [message.edit_date is None for message in messages] == [True, False, False, False, False]


async def test_a_reply_can_quote_a_part(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    said = await ann.send_text(ann.private, "👋 a red square")
    await ann.send_text(ann.private, "why that?", said, quote="red")
    with pytest.raises(ValueError, match="substring"):
        await ann.send_text(ann.private, "why that?", said, quote="blue")
    message = (await seen(bot))[-1]
    assert message.reply_to_message
    assert message.reply_to_message.text == "👋 a red square"
    assert message.quote
    assert (message.quote.text, message.quote.position, message.quote.is_manual) == ("red", 5, True)


async def test_a_reply_to_another_chat_s_message_brings_what_it_shows(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100, bot_inside=False)
    photo = await telegram.user(1002, first_name="Ben").send_photo(group, jpeg(100, 50), "our house")
    await ann.send_text(ann.private, "whose?", photo)
    await ann.send_text(ann.private, "whose?", photo, quote="house")
    elsewhere = telegram.user(1002).private
    document = await telegram.user(1002).send_document(elsewhere, b"%PDF", "a.pdf", "application/pdf")
    await ann.send_text(ann.private, "and this?", document)
    whole, part, *_, private = await seen(bot)
    assert whole.reply_to_message is None
    assert whole.external_reply
    assert isinstance(whole.external_reply.origin, MessageOriginUser)
    assert whole.external_reply.origin.sender_user.first_name == "Ben"
    assert whole.external_reply.photo and whole.external_reply.photo[-1].width == 100
    assert whole.external_reply.chat and whole.external_reply.message_id == photo["message_id"]
    assert whole.quote and part.quote
    assert [(quote.text, quote.is_manual) for quote in (whole.quote, part.quote)] == [
        ("our house", None),
        ("house", True),
    ]
    assert private.external_reply and private.external_reply.document
    assert (private.external_reply.document.file_name, private.external_reply.chat) == ("a.pdf", None)


async def test_a_forward_says_where_it_is_from(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, ben = telegram.user(1001), telegram.user(1002, first_name="Ben")
    channel = telegram.world.channel(-1009)
    photo = await ben.send_photo(telegram.group(-100, bot_inside=False), jpeg(100, 50), "our house")
    await ann.forward(ann.private, photo)
    await ann.forward(ann.private, photo, hidden=True)
    await ann.forward(ann.private, telegram.world.channel_post(channel, "news"))
    known, hidden, post = await seen(bot)
    assert isinstance(known.forward_origin, MessageOriginUser)
    assert known.forward_origin.sender_user.id == 1002
    assert (known.photo[-1].width, known.caption, known.from_user and known.from_user.id) == (100, "our house", 1001)
    assert isinstance(hidden.forward_origin, MessageOriginHiddenUser)
    assert hidden.forward_origin.sender_user_name == "Ben"
    assert isinstance(post.forward_origin, MessageOriginChannel)
    assert (post.text, post.forward_origin.chat.id) == ("news", -1009)


async def test_a_button_of_an_old_message_tells_which_and_no_more(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    sent = await bot.send_message(1001, "…", reply_markup=STOP)
    await ann.press_button(ann.private.messages[0], "stop:1", inaccessible=True)
    (update,) = await bot.get_updates()
    assert update.callback_query
    message = update.callback_query.message
    assert isinstance(message, Message)  # the library makes no InaccessibleMessage of it: only is_accessible tells
    assert not message.is_accessible
    assert (message.message_id, message.chat.id, message.text) == (sent.message_id, 1001, None)
