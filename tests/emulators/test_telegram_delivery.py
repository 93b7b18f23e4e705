"""How the Telegram emulator delivers updates, refuses and fails, driven by the library that the real bot uses."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from telegram import Bot, MessageEntity, Update
from telegram.error import Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.ext import Updater

from tests.emulators.conftest import connect
from tests.emulators.server import LocalServer
from tests.emulators.telegram import TelegramEmulator


def seconds(error: RetryAfter) -> float:
    assert isinstance(error.retry_after, timedelta)
    return error.retry_after.total_seconds()


async def test_a_wrong_token_and_an_unknown_method_are_refused(telegram: TelegramEmulator, bot: Bot) -> None:
    with pytest.raises(InvalidToken):
        async with connect(telegram, "4242:wrong"):
            pass
    with pytest.raises(TelegramError):
        await bot.do_api_request("sendNothing")
    assert [call.status for call in telegram.calls[-2:]] == [401, 404]


async def test_updates_come_again_until_an_offset_confirms_them(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    for text in ("one", "two"):
        await ann.send_text(ann.private, text)
    first = await bot.get_updates()
    assert [update.message.text for update in first if update.message] == ["one", "two"]
    assert await bot.get_updates() == first
    assert await bot.get_updates(offset=first[0].update_id + 1) == first[1:]
    assert await bot.get_updates(offset=first[1].update_id + 1) == ()
    assert await bot.get_updates() == ()


async def test_a_long_poll_waits_for_the_next_update(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await asyncio.sleep(0.2)
    assert not poll.done()
    await ann.send_text(ann.private, "/new@askpix_bot now")
    (update,) = await poll
    assert update.message
    assert update.message.parse_entities() == {update.message.entities[0]: "/new@askpix_bot"}
    assert update.message.entities[0].type == MessageEntity.BOT_COMMAND


async def test_a_second_poller_ends_the_first_with_a_conflict(telegram: TelegramEmulator, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    async with connect(telegram) as other:
        await asyncio.sleep(0.2)  # a long poll leaves no trace until it ends
        second = asyncio.create_task(other.get_updates(timeout=20))
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await first
        await telegram.user(1001).send_text(telegram.user(1001).private, "hello")
        assert len(await second) == 1


async def test_updates_taken_by_a_poller_that_died_go_to_the_next(telegram: TelegramEmulator, bot: Bot) -> None:
    telegram.drop_next("getUpdates")
    await telegram.user(1001).send_text(telegram.user(1001).private, "hello")
    with pytest.raises(NetworkError):
        await bot.get_updates(timeout=5)
    async with connect(telegram) as restarted:
        assert len(await restarted.get_updates(timeout=5)) == 1


async def test_an_updater_polls_confirms_and_gets_a_redelivered_update_ten_times(telegram: TelegramEmulator) -> None:
    ann = telegram.user(1001)
    queue: asyncio.Queue[Any] = asyncio.Queue()
    updater = Updater(connect(telegram), queue)
    async with updater:
        await updater.start_polling(timeout=5)
        await ann.send_text(ann.private, "hello")
        update: Update = await queue.get()
        await telegram.until(lambda: not telegram.world.pending)
        telegram.redeliver(telegram.updates[0], times=10)
        again = [await queue.get() for _ in range(10)]
        await updater.stop()
    assert {copy.update_id for copy in again} == {update.update_id}


async def test_a_flooded_chat_says_how_long_to_wait_and_leaves_others_alone(
    telegram: TelegramEmulator, bot: Bot
) -> None:
    telegram.user(1002)
    telegram.flood(1001, 1.5)
    with pytest.raises(RetryAfter) as refused:
        await bot.send_message(1001, "text")
    assert seconds(refused.value) == 2
    await bot.send_message(1002, "text")
    assert [call.status for call in telegram.calls[-2:]] == [429, 200]


async def test_enforced_rates_refuse_a_burst_and_the_twenty_first_in_a_minute_of_a_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("tests.emulators.telegram.monotonic", lambda: now)
    async with TelegramEmulator(enforce_rates=True) as strict, connect(strict) as bot:
        strict.user(1001)
        strict.group(-100)
        for _ in range(3):
            await bot.send_message(1001, "text")
        with pytest.raises(RetryAfter) as burst:
            await bot.send_message(1001, "text")
        for _ in range(20):
            await bot.send_message(-100, "text")
            now += 1.5
        with pytest.raises(RetryAfter) as minute:
            await bot.send_message(-100, "text")
        now += 30
        await bot.send_message(-100, "text")
    assert (seconds(burst.value), seconds(minute.value)) == (3, 30)


async def test_faults_strike_as_often_as_they_were_ordered(telegram: TelegramEmulator, bot: Bot) -> None:
    chat = telegram.user(1001).private
    telegram.fail_next("sendMessage", 500, "Internal Server Error")
    with pytest.raises(NetworkError, match="Internal Server Error"):
        await bot.send_message(1001, "not done")
    telegram.drop_next("sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(1001, "done, reply lost")
    telegram.drop_next("sendMessage", after_processing=False)
    with pytest.raises(NetworkError):
        await bot.send_message(1001, "not done")
    telegram.block(chat)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(1001, "not done")
    telegram.block(chat, blocked=False)
    await bot.send_message(1001, "done")
    assert chat.texts() == ["done, reply lost", "done"]


async def test_a_webhook_gets_updates_with_its_secret_until_it_takes_them(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, got = telegram.user(1001), list[tuple[int, str | None]]()

    async def receive(request: web.Request) -> web.Response:
        update = Update.de_json(await request.json(), bot)
        got.append((update.update_id, request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        return web.Response(status=500 if len(got) == 1 else 200)

    async with LocalServer([web.post("/hook", receive)]) as server:
        await bot.set_webhook(f"{server.url}/hook", secret_token="s3cret")
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        await ann.send_text(ann.private, "hello")
        await telegram.until(lambda: not telegram.world.pending)
        assert "500" in str((await bot.get_webhook_info()).last_error_message)
    assert got == [(telegram.updates[0]["update_id"], "s3cret")] * 2
    await bot.delete_webhook()
    assert (await bot.get_webhook_info()).url == ""


async def test_telegram_can_go_down_and_come_back_with_everything(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await telegram.stop()
    with pytest.raises(NetworkError):
        await bot.send_message(1001, "lost")
    await ann.send_text(ann.private, "are you there?")
    await telegram.start()
    assert len(await bot.get_updates()) == 1
