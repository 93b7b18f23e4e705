"""How the Telegram emulator misbehaves by order, seen through the library that the real bot uses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from telegram import Bot, Update
from telegram.error import BadRequest, Conflict, NetworkError, RetryAfter, TelegramError
from telegram.ext import Updater

from tests.emulators.conftest import connect
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.test_telegram_delivery import seconds
from tests.emulators.test_telegram_emulator import STOP, jpeg


@pytest.mark.parametrize("status", [500, 502])
async def test_a_page_of_html_is_trouble_and_not_an_answer(telegram: TelegramEmulator, bot: Bot, status: int) -> None:
    telegram.fail_next("sendMessage", status, html=True)
    with pytest.raises(NetworkError, match=rf"\({status}\). Parsing the server response b'<html>"):
        await bot.send_message(1001, "not done")
    await bot.send_message(1001, "done")
    assert telegram.user(1001).private.texts() == ["done"]
    assert [call.status for call in telegram.calls[-2:]] == [status, 200]


async def test_a_download_can_end_in_a_page_of_html(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    photo = await ann.send_photo(ann.private, jpeg(100, 50))
    file = await bot.get_file(photo["photo"][-1]["file_id"])
    telegram.fail_next("file", 502, html=True)
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await file.download_as_bytearray()
    assert len(await file.download_as_bytearray()) == file.file_size


async def test_an_answer_that_breaks_off_in_its_middle_is_lost_but_the_work_is_done(
    telegram: TelegramEmulator, bot: Bot
) -> None:
    telegram.drop_next("sendMessage", half=True)
    with pytest.raises(NetworkError, match="without sending complete message body"):
        await bot.send_message(1001, "done, half a reply")
    assert telegram.user(1001).private.texts() == ["done, half a reply"]
    assert telegram.calls[-1].status == 0


async def test_a_download_that_breaks_off_in_its_middle_is_no_file(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    photo = await ann.send_photo(ann.private, jpeg(1280, 900))
    file = await bot.get_file(photo["photo"][-1]["file_id"])
    telegram.drop_next("file", half=True, times=2)
    for _ in range(2):
        with pytest.raises(NetworkError, match="without sending complete message body"):
            await file.download_as_bytearray()
    assert bytes(await file.download_as_bytearray()) == telegram.world.content(photo["photo"][-1])


async def test_a_file_can_be_unavailable_once_or_for_good(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    lost = await ann.send_photo(ann.private, jpeg(200, 100))
    other = await ann.send_photo(ann.private, jpeg(100, 200))
    why = "wrong file_id or the file is temporarily unavailable"
    telegram.fail_next("getFile", 400, f"Bad Request: {why}")
    with pytest.raises(BadRequest, match=f"(?i){why}"):
        await bot.get_file(lost["photo"][-1]["file_id"])
    await bot.get_file(lost["photo"][-1]["file_id"])
    telegram.lose_file(lost)
    for size in lost["photo"] * 2:
        with pytest.raises(BadRequest, match=f"(?i){why}"):
            await bot.get_file(size["file_id"])
    await bot.get_file(other["photo"][-1]["file_id"])
    telegram.lose_file(lost, lost=False)
    await bot.get_file(lost["photo"][0]["file_id"])


@pytest.mark.parametrize("wait", [1, 60])
async def test_a_flood_lasts_as_long_as_ordered(telegram: TelegramEmulator, bot: Bot, wait: int) -> None:
    telegram.flood(1001, wait)
    with pytest.raises(RetryAfter) as refused:
        await bot.send_message(1001, "text")
    assert seconds(refused.value) == wait


async def test_a_webhook_left_over_stops_polling_until_it_is_deleted(telegram: TelegramEmulator, bot: Bot) -> None:
    telegram.leave_webhook()
    await telegram.user(1001).send_text(telegram.user(1001).private, "hello")
    for _ in range(2):
        with pytest.raises(Conflict, match="can't use getUpdates method while webhook is active; use deleteWebhook"):
            await bot.get_updates()
    assert (await bot.get_webhook_info()).url.endswith("/left-over")
    await bot.delete_webhook()
    assert len(await bot.get_updates()) == 1  # what came meanwhile was kept


async def test_a_webhook_that_is_set_ends_a_long_poll(telegram: TelegramEmulator, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await telegram.until(lambda: telegram.polls)
    async with connect(telegram) as other:
        await other.set_webhook(f"{telegram.url}/nobody")
    with pytest.raises(Conflict, match="terminated by setWebhook request"):
        await poll


async def test_a_second_poller_ends_every_poll_until_it_stops(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await telegram.until(lambda: telegram.polls)
    with telegram.second_poller():
        for waiting in (poll, bot.get_updates(timeout=20), bot.get_updates()):
            with pytest.raises(Conflict, match="terminated by other getUpdates request"):
                await waiting
        await ann.send_text(ann.private, "hello")
        await bot.send_message(1001, "only polls are ended")
    assert len(await bot.get_updates()) == 1


async def test_an_updater_comes_back_when_the_second_poller_stops(telegram: TelegramEmulator) -> None:
    ann, troubles = telegram.user(1001), list[TelegramError]()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    updater = Updater(connect(telegram), queue)
    async with updater:
        with telegram.second_poller():
            await updater.start_polling(timeout=5, error_callback=troubles.append)
            await ann.send_text(ann.private, "hello")
            await telegram.until(lambda: [call for call in telegram.calls if call.status == 409])
        update: Update = await queue.get()
        await updater.stop()
    assert update.message and update.message.text == "hello"
    assert {type(trouble) for trouble in troubles} == {Conflict}


async def test_reactions_actions_and_answers_cost_nothing_of_a_chat_s_rate() -> None:
    async with TelegramEmulator(enforce_rates=True) as strict, connect(strict) as bot:
        ann = strict.user(1001)
        question = await ann.send_text(ann.private, "what?")
        sent = await bot.send_message(1001, "one", reply_markup=STOP)
        pressed = await ann.press_button(ann.private.messages[-1], "stop:1")

        async def free() -> None:
            await bot.set_message_reaction(1001, question["message_id"], "👀")
            await bot.send_chat_action(1001, "typing")
            await bot.answer_callback_query(pressed["id"])

        for text in ("two", "three"):
            await free()
            await bot.send_message(1001, text)
        with pytest.raises(RetryAfter):
            await bot.edit_message_text("four", 1001, sent.message_id)
        await free()
        await bot.delete_message(1001, sent.message_id)
