"""Telegram's surface on the emulated Bot API: what it shows and fetches, and what Telegram's refusals mean."""

from __future__ import annotations

import asyncio

import pytest
from PIL import Image
from telegram import Bot

from bots.settings import BotSettings
from bots.surface import Button, Closed, FileRef, Flooded, Gone, Page, SurfaceError, Unfit, Unreachable
from bots.tasks import TASKS
from bots.telegram_bot import BadToken, TelegramSurface, introduce, make_bot, set_menus
from storage.messages import Address, Refused
from tests.bots.pictures import encoded, photo
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User

PICTURE = encoded(photo(1600, 1200), "JPEG")
HERE = Address("telegram", "1001")


async def only_file(surface: TelegramSurface, bot: Bot) -> FileRef:
    """The file of the last update."""
    incoming = surface.read((await bot.get_updates())[-1].to_json().encode())
    assert incoming is not None
    (file,) = incoming.photos
    return file


async def test_a_reply_stands_under_its_question_or_alone_when_that_is_gone(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    question = await ann.send_text(ann.private, "what?")
    where = Address("telegram", "1001", str(question["message_id"]))
    slot = await surface.place(where, Page("…"))
    assert ann.private.messages[-1]["reply_to_message"]["message_id"] == question["message_id"]
    assert slot == str(ann.private.messages[-1]["message_id"])
    await ann.delete(question)
    await surface.place(where, Page("again"))
    assert ann.private.texts() == ["…", "again"]


async def test_a_page_is_shown_with_its_formatting_and_twice_is_no_error(surface: TelegramSurface, ann: User) -> None:
    slot = await surface.place(HERE, Page("…"))
    (page,) = surface.pages("🙂 **bold**, [link](http://a.b) and\n\n```py\nx < 1\n```")
    await surface.edit(HERE, slot, page)
    await surface.edit(HERE, slot, page)
    (message,) = ann.private.bot_messages()
    kinds = [(entity["type"], entity.get("language"), entity.get("url")) for entity in message["entities"]]
    assert kinds == [("bold", None, None), ("text_link", None, "http://a.b"), ("pre", "py", None)]
    assert message["text"] == "🙂 bold, link and\n\nx < 1"
    assert len(message["edits"]) == 1


async def test_every_page_of_a_long_answer_is_accepted(surface: TelegramSurface, ann: User) -> None:
    slot = await surface.place(HERE, Page("…"))
    text = "".join(f"## {n}\n\n**b** 你好🙂\n\n```py\nx = {n}\n```\n\n" for n in range(400))
    for page in surface.pages(text):
        await surface.edit(HERE, slot, page)
    assert "399" in ann.private.texts()[0]


@pytest.mark.parametrize(
    ("size", "kind"), [((640, 480), "photo"), ((6200, 4000), "document"), ((2100, 100), "document")]
)
async def test_a_picture_that_telegram_does_not_take_as_one_goes_as_a_file(
    surface: TelegramSurface, ann: User, size: tuple[int, int], kind: str
) -> None:
    await surface.send(HERE, "drawn.png", encoded(Image.new("1", size)), [Button("cell1", "1")])
    (message,) = ann.private.bot_messages()
    assert kind in message and "cell1" in str(message["reply_markup"])


async def test_a_deleted_message_is_gone(surface: TelegramSurface, ann: User) -> None:
    slot = await surface.place(HERE, Page("…"))
    await ann.delete(ann.private.messages[-1])
    with pytest.raises(Gone):
        await surface.edit(HERE, slot, Page("text"))


async def test_a_message_that_is_not_ours_is_gone(surface: TelegramSurface, ann: User) -> None:
    message = await ann.send_text(ann.private, "mine")
    with pytest.raises(Gone):
        await surface.edit(HERE, str(message["message_id"]), Page("text"))


async def test_a_chat_that_blocked_us_or_never_was_is_closed(
    telegram: TelegramEmulator, surface: TelegramSurface, ann: User
) -> None:
    slot = await surface.place(HERE, Page("…"))
    telegram.block(ann.private)
    for call in (surface.place(HERE, Page("x")), surface.edit(HERE, slot, Page("x")), surface.typing(HERE)):
        with pytest.raises(Closed):
            await call
    with pytest.raises(Closed):
        await surface.place(Address("telegram", "999"), Page("x"))


@pytest.mark.parametrize(
    "words",
    [
        "not enough rights to send text messages to the chat",
        "have no rights to send a message",
        "CHAT_WRITE_FORBIDDEN",
        "TOPIC_CLOSED",
        "message thread not found",
    ],
)
async def test_a_chat_or_topic_that_we_may_not_write_to_is_closed(
    telegram: TelegramEmulator, surface: TelegramSurface, words: str
) -> None:
    telegram.fail_next("sendMessage", 400, f"Bad Request: {words}")
    with pytest.raises(Closed):
        await surface.place(HERE, Page("x"))


async def test_a_flood_says_for_how_long(telegram: TelegramEmulator, surface: TelegramSurface) -> None:
    slot = await surface.place(HERE, Page("…"))
    telegram.flood(1001, 6.5)
    for call in (surface.place(HERE, Page("x")), surface.edit(HERE, slot, Page("x"))):
        with pytest.raises(Flooded) as refused:
            await call
        assert refused.value.seconds == 7


async def test_content_that_telegram_refuses_is_unfit(surface: TelegramSurface) -> None:
    slot = await surface.place(HERE, Page("…"))
    for page in (Page("x" * 4097), Page(" "), Page("x", surface.pages("**longer**")[0].format)):
        with pytest.raises(Unfit):
            await surface.edit(HERE, slot, page)


@pytest.mark.parametrize("status", [500, 502, 409])
async def test_trouble_of_telegram_s_own_is_worth_another_try(
    telegram: TelegramEmulator, surface: TelegramSurface, status: int
) -> None:
    slot = await surface.place(HERE, Page("…"))
    for method, call in (
        ("sendMessage", surface.place(HERE, Page("x"))),
        ("editMessageText", surface.edit(HERE, slot, Page("x"))),
    ):
        telegram.fail_next(method, status, "trouble")
        with pytest.raises(Unreachable):
            await call


async def test_a_file_too_large_to_give_away_is_refused_with_the_limit(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    await ann.send_document(ann.private, b"x", "a.png", "image/png", declared_size=30_000_000)
    file = await only_file(surface, bot)
    assert file.size == 30_000_000
    with pytest.raises(Refused) as refused:  # "file is too big"
        await surface.fetch(file)
    assert (refused.value.code, refused.value.details) == ("too_large", {"limit": 20})


async def test_a_file_that_is_refused_is_unfit_and_one_that_may_come_later_is_not(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    telegram.fail_next("getFile", 400, "Bad Request: invalid file_id")
    with pytest.raises(Unfit):
        await surface.fetch(FileRef("no such file"))
    with pytest.raises(Unreachable):  # "wrong file_id or the file is temporarily unavailable"
        await surface.fetch(FileRef("no such file"))
    await ann.send_photo(ann.private, PICTURE)
    file = await only_file(surface, bot)
    for status in (500, 404):
        telegram.fail_next("file", status, "trouble")
        with pytest.raises(Unreachable):
            await surface.fetch(file)
    telegram.drop_next("file")
    with pytest.raises(Unreachable):
        await surface.fetch(file)
    assert (await surface.fetch(file)).startswith(b"\xff\xd8")


async def test_no_error_s_own_text_holds_the_token(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    await ann.send_photo(ann.private, PICTURE)
    file = await only_file(surface, bot)
    slot = await surface.place(HERE, Page("…"))
    seen: list[SurfaceError] = []
    for status in (400, 401, 403, 404, 409, 413, 429, 500):
        for method in ("sendMessage", "editMessageText", "getFile", "file", "sendChatAction"):
            telegram.fail_next(method, status, f"no: {telegram.url}/bot{telegram.token}/x")
        for call in (
            surface.place(HERE, Page("x")), surface.edit(HERE, slot, Page("x")), surface.typing(HERE),
            surface.fetch(file), surface.fetch(file),
        ):  # fmt: skip
            try:
                await call
            except SurfaceError as error:
                seen.append(error)
    await telegram.stop()
    for call in (surface.place(HERE, Page("x")), surface.fetch(file)):
        with pytest.raises(Unreachable) as refused:
            await call
        seen.append(refused.value)
    assert len(seen) > 30
    for error in seen:
        assert telegram.token.lower() not in f"{error} {error!r}".lower()


async def test_a_bot_introduces_itself_in_every_language(telegram: TelegramEmulator, bot: Bot) -> None:
    await introduce(bot)
    await set_menus(bot)
    menus = {key: [item["command"] for item in menu] for key, menu in telegram.api.commands.items()}
    private = [*TASKS, "new", "stop", "context", "usage", "forget", "link", "help"]
    expected = {"all_private_chats": private, "all_group_chats": ["ask", *private]}
    assert menus == {(scope, language): names for scope, names in expected.items() for language in ("", "zh")}
    assert bot.username == "askpix_bot"


async def test_a_bot_waits_for_telegram_to_come_up(telegram: TelegramEmulator) -> None:
    bot = make_bot(BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url))
    telegram.fail_next("getMe", 502, "Bad Gateway")
    telegram.fail_next("setMyCommands", 429, "Too Many Requests", retry_after=1)
    await asyncio.wait_for(introduce(bot), 5)
    await asyncio.wait_for(set_menus(bot), 5)
    assert ("all_group_chats", "zh") in telegram.api.commands
    await bot.shutdown()


async def test_a_wrong_token_and_none_are_said_as_such(telegram: TelegramEmulator) -> None:
    with pytest.raises(BadToken):
        make_bot(BotSettings())
    bot = make_bot(BotSettings(telegram_token="4242:wrong", telegram_api_url=telegram.url))
    with pytest.raises(BadToken) as refused:
        await introduce(bot)
    assert "4242:wrong" not in f"{refused.value} {refused.value!r}"
    await bot.shutdown()


def test_the_pace_of_groups_is_slower_than_that_of_private_chats(surface: TelegramSurface) -> None:
    group = Address("telegram", "-100", group=True)
    assert surface.rate(HERE).seconds < surface.rate(group).seconds


async def test_signs_are_reactions_unless_they_are_turned_off(
    telegram: TelegramEmulator, bot: Bot, surface: TelegramSurface, ann: User
) -> None:
    question = await ann.send_text(ann.private, "what?")
    where = Address("telegram", "1001", str(question["message_id"]))
    await TelegramSurface(bot, signs=False).sign(where, "seen")
    await surface.sign(HERE, "seen")  # at no message
    assert "setMessageReaction" not in [call.method for call in telegram.calls]
    shown: list[list[str]] = []
    for sign in ("seen", "done", ""):
        await surface.sign(where, sign)
        reactions = [call.params.get("reaction", []) for call in telegram.calls if call.method == "setMessageReaction"]
        shown.append([each["emoji"] for each in reactions[-1]])
    assert shown == [["👀"], ["👌"], []]
    telegram.fail_next("setMessageReaction", 400, "Bad Request: REACTION_INVALID")
    with pytest.raises(Unfit):
        await surface.sign(where, "seen")
