"""Every kind of message as a question and as what a question replies to; what is shown to whom in which language."""

from __future__ import annotations

import json

import pytest

from bots.phrases import say
from bots.surface import Incoming, Page
from bots.tasks import TASKS
from bots.telegram_bot import TelegramSurface
from storage.messages import Address, Model
from tests.bots.life import Life
from tests.bots.pictures import encoded, halves, photo
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import Chat, User

PICTURE = encoded(halves(), "JPEG")
UNREADABLE = {
    "voice": "no_voice", "audio": "no_voice", "animated": "no_sticker", "film": "no_sticker", "zip": "no_document",
    "location": "unreadable", "contact": "unreadable", "dice": "unreadable",
}  # fmt: skip
QUOTED = {  # words, photos and why it cannot be read
    "photo": ("my cat", 1, ""), "text": ("I say so", 0, ""), "sticker": ("", 1, ""), "document": ("", 1, ""),
    "forwarded": ("my cat", 1, ""), "captioned": ("look at 0:30", 1, ""), "voice": ("", 0, "no_voice"),
    "video_note": ("", 1, ""), "animation": ("", 1, ""), "animated": ("", 0, "no_sticker"), "pdf": ("", 1, ""),
    "zip": ("", 0, "no_document"), "location": ("", 0, ""), "joined": ("", 0, ""),
}  # fmt: skip


def heard(telegram: TelegramEmulator, surface: TelegramSurface) -> Incoming | None:
    """What the newest update says to us."""
    return surface.read(json.dumps(telegram.world.updates[-1]).encode())


def question(telegram: TelegramEmulator, surface: TelegramSurface) -> Incoming:
    """The newest update, which is for us."""
    incoming = heard(telegram, surface)
    assert incoming
    return incoming


async def test_what_cannot_be_read_says_why_in_private_and_in_a_group_only_when_it_is_for_us(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    group = telegram.group(-100)
    await surface.place(Address("telegram", "-100"), Page("an answer"))
    for kind, code in UNREADABLE.items():
        for chat, reply_to, expected in (
            (ann.private, None, code), (group, None, None), (group, group.messages[0], code),
        ):  # fmt: skip
            await send_unreadable(ann, chat, kind, reply_to)
            incoming = heard(telegram, surface)
            assert (incoming and (incoming.refusal, incoming.photos)) == (expected and (expected, ())), kind


async def send_unreadable(user: User, chat: Chat, kind: str, reply_to: Json | None = None) -> Json:
    """Send one of what we cannot read."""
    match kind:
        case "animated" | "film":
            return await user.send_sticker(chat, b"x", "animated" if kind == "animated" else "video", reply_to=reply_to)
        case "pdf":
            return await user.send_document(chat, b"%PDF", "a.pdf", "application/pdf", reply_to=reply_to)
        case "zip":
            return await user.send_document(chat, b"PK", "a.zip", "application/zip", reply_to=reply_to)
        case "location":
            return await user.send(chat, reply_to, location={"latitude": 1.0, "longitude": 2.0})
        case "contact":
            return await user.send(chat, reply_to, contact={"phone_number": "1", "first_name": "Eve"})
        case "dice":
            return await user.send(chat, reply_to, dice={"emoji": "🎲", "value": 3})
        case _:
            return await getattr(user, f"send_{kind}")(chat, b"x", reply_to=reply_to)


async def test_a_film_whose_caption_mentions_us_is_for_us_and_a_sticker_that_stands_still_is_a_photo(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    await ann.send_video(telegram.group(-100), b"x", "@askpix_bot what happens?")
    (film,) = question(telegram, surface).photos
    assert (film.mime, film.seconds > 0) == ("video/mp4", True)
    sticker = await ann.send_sticker(ann.private, encoded(photo(512, 512), "WEBP"))
    incoming = question(telegram, surface)
    assert [file.id for file in incoming.photos] == [sticker["sticker"]["file_id"]]
    assert incoming.refusal == ""


async def test_a_reply_to_anything_brings_what_can_be_read_or_says_why_not(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    group = telegram.group(-100)
    for what, expected in QUOTED.items():
        shown = await send_anything(telegram.user(1002, first_name="Bob"), group, what)
        for chat in (group, ann.private):  # from where it stands, and from another chat
            await ann.send_text(chat, "@askpix_bot what?", reply_to=shown)
            said = question(telegram, surface)
            assert (said.quote_text, len(said.quote_photos), said.refusal) == expected, what
            await ann.send_photo(chat, PICTURE, "@askpix_bot and this?", reply_to=shown)
            assert question(telegram, surface).refusal == "", what


async def send_anything(user: User, chat: Chat, what: str) -> Json:
    """Send one of what can be quoted."""
    match what:
        case "photo":
            return await user.send_photo(chat, PICTURE, "my cat")
        case "text":
            return await user.send_text(chat, "I say so")
        case "sticker":
            return await user.send_sticker(chat, PICTURE)
        case "document":
            return await user.send_document(chat, PICTURE, "a.jpg", "image/jpeg")
        case "forwarded":
            return await user.forward(chat, await user.send_photo(user.private, PICTURE, "my cat"))
        case "captioned":
            return await user.send_video(chat, b"x", "look at 0:30")
        case "joined":
            return user.world.post(chat, user.describe(), None, {"new_chat_members": [user.describe()]})
        case _:
            return await send_unreadable(user, chat, what)


async def test_of_a_reply_to_a_part_only_that_part_is_quoted(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    group = telegram.group(-100)
    shown = await telegram.user(1002).send_photo(group, PICTURE, "my cat and your dog")
    await ann.send_text(group, "@askpix_bot whose?", reply_to=shown, quote="your dog")
    incoming = question(telegram, surface)
    assert (incoming.quote_text, len(incoming.quote_photos)) == ("your dog", 1)


async def test_a_reply_to_a_file_of_ours_goes_on_with_the_answer(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    await surface.send(Address("telegram", "1001"), "answer.md", b"words")
    await ann.send_text(ann.private, "shorter, please", reply_to=ann.private.messages[-1])
    incoming = question(telegram, surface)
    assert (incoming.text, incoming.quote_text, incoming.quote_photos, incoming.refusal) == (
        "shorter, please", "", (), "",
    )  # fmt: skip


async def test_what_is_quoted_reaches_the_question_and_what_cannot_be_read_is_said(life: Life) -> None:
    await life.start()
    ann, group = life.ann, life.telegram.group(-100)
    older = await ann.send_photo(ann.private, encoded(halves()), "look")
    photo_of = (await life.answer("red")).question.photos[0]
    await ann.send_text(ann.private, "and the left half?", reply_to=older)
    quote = (await life.answer("green")).question.quote
    assert quote and (quote.text, [photo.sha256 for photo in quote.photos]) == ("look", [photo_of.sha256])
    await ann.send_text(group, "@askpix_bot and here?", reply_to=older)  # from another chat
    quote = (await life.answer("red")).question.quote
    assert quote and (quote.text, len(quote.photos)) == ("look", 1)
    voice = await life.ben.send_voice(group, b"x")
    await ann.send_text(group, "/ask what do they say?", reply_to=voice)
    archive = await send_unreadable(ann, group, "zip")
    await life.ben.send_text(group, "@askpix_bot 这是什么？", reply_to=archive)
    await group.wait_for(
        lambda texts: sorted(texts) == sorted(["red", say("en", "no_voice"), say("zh", "no_document")])
    )
    asked = await life.stores.queue.counts()
    assert (asked["queued"], asked["running"]) == (0, 0)


async def test_a_forwarded_photo_and_a_sticker_are_photos_like_any_other(life: Life) -> None:
    await life.start()
    shown = await life.ben.send_photo(life.telegram.group(-100), PICTURE, "my cat")
    for hidden in (False, True):
        await life.ann.forward(life.ann.private, shown, hidden=hidden)
        asked = (await life.answer("a cat")).question
        assert (asked.text, len(asked.photos)) == ("my cat", 1)
    await life.ben.send_sticker(life.ben.private, encoded(photo(512, 512), "WEBP"))
    asked = (await life.answer("一只猫")).question
    assert (asked.text, len(asked.photos)) == (say("zh", "default_question"), 1)


async def test_each_unreadable_kind_gets_one_sentence_and_an_edit_of_it_none(life: Life) -> None:
    await life.start()
    ben = life.ben
    for kind in ("voice", "zip", "film"):
        await send_unreadable(ben, ben.private, kind)
    live = await ben.send(ben.private, None, location={"latitude": 1.0, "longitude": 2.0, "live_period": 60})
    await life.ann.send_album(life.ann.private, [b"x"] * 3, ["all mine"], kinds=("video", "video", "video"))
    expected = [say("zh", code) for code in ("no_voice", "no_document", "no_sticker", "unreadable")]
    await ben.private.wait_for(lambda texts: texts == expected)
    await ben.edit_text(live, "")
    await life.nothing_is_asked()
    assert ben.private.texts() == expected
    assert life.ann.private.texts() == [say("en", "not_an_image")]


async def test_strangers_hear_one_sentence_a_day_whatever_they_do_and_groups_of_them_nothing(life: Life) -> None:
    await life.start(open=False, privacy=False)
    ben, group = life.ben, life.telegram.group(-100)
    question = await ben.send_text(ben.private, "hello")
    told = [say("zh", "command.stranger", person="telegram:1002")]
    await ben.private.wait_for(lambda texts: texts == told)
    await ben.edit_text(question, "hello?")
    await ben.send_album(ben.private, [PICTURE] * 3, ["what?"])
    await ben.send_voice(ben.private, b"x")
    await ben.send_text(ben.private, "/forget")
    await ben.block_bot()
    await ben.unblock_bot()
    for text in ("/ask what?", "@askpix_bot what?", "/help@askpix_bot", "/start"):
        await ben.send_text(group, text)
    await ben.send_album(group, [PICTURE] * 2, ["@askpix_bot what?"])
    await life.ann.send_album(life.ann.private, [PICTURE] * 2)
    await life.nothing_is_asked()
    assert ben.private.texts() == told
    assert life.ann.private.texts() == [say("en", "command.stranger", person="telegram:1001")]
    assert group.texts() == []


async def test_menus_are_shown_by_language_and_scope(life: Life) -> None:
    await life.start()
    await life.telegram.until(lambda: len(life.telegram.api.commands) == 4)
    for language in ("en", "zh"):
        for scope, names in (
            ("all_private_chats", [*TASKS, "new", "stop", "context", "usage", "forget", "link", "help"]),
            ("all_group_chats", ["ask", *TASKS, "new", "stop", "context", "usage", "forget", "link", "help"]),
        ):
            menu = life.telegram.api.commands[scope, "" if language == "en" else language]
            assert [entry["command"] for entry in menu] == names
            assert [entry["description"] for entry in menu] == [say(language, f"menu.{name}") for name in names]


@pytest.mark.parametrize("name", ["", "askpix-demo", "Qwen3-VL-8B"])
async def test_help_says_what_the_model_that_runs_can_do(life: Life, name: str) -> None:
    if name:
        await life.stores.health.publish_model(Model(name, 32_768, 4, 65_536, 1_310_720))
    await life.start()
    group = life.telegram.group(-100)
    await life.ann.send_text(life.ann.private, "/help")
    await life.ben.send_text(group, "/help")
    about = {"": "", "askpix-demo": "command.help_demo", "Qwen3-VL-8B": "command.help_model"}[name]
    for chat, language, code in ((life.ann.private, "en", "command.help"), (group, "zh", "command.help_group")):
        said = [say(language, code), say(language, "command.help_tasks")]
        said += [say(language, about, model=name, pixels="1.3", limit=20)] if about else []
        await chat.wait_for(lambda texts, expected=tuple(said): texts == ["\n\n".join(expected)])
    assert ("/ask" in group.texts()[0], "/ask" in life.ann.private.texts()[0]) == (True, False)
