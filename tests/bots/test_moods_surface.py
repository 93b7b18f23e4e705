"""Telegram in every mood, with the whole role in this process and a test in the worker's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.phrases import say
from bots.settings import BotSettings
from bots.surface import Rate
from bots.telegram_bot import GROUP, PRIVATE, serve
from storage.messages import Cancelled, Done
from storage.queue import Claim
from storage.settings import StorageSettings
from storage.stores import Stores
from tests.bots.pictures import encoded, halves
from tests.bots.test_telegram_role import answer, running
from tests.emulators import telegram as emulated
from tests.emulators.telegram import TelegramEmulator
from tests.waiting import wait_until

QUESTION = "what?"
WORDS = "an answer"
METHODS = (
    "getUpdates", "getFile", "file", "sendMessage", "editMessageText", "sendChatAction", "setMessageReaction",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")
    monkeypatch.setattr("bots.files.DOWNLOAD_TRIES", 3)
    monkeypatch.setattr("bots.follower.FIRST_BACKOFF", 0.05)
    monkeypatch.setattr("bots.tools.FIRST_BACKOFF", 0.05)
    monkeypatch.setattr("bots.telegram_polling.FIRST_BACKOFF", 0.1)
    monkeypatch.setattr("bots.telegram_bot.PRIVATE", Rate(3, 0.1))
    caplog.set_level("INFO")


@pytest.fixture
async def role(telegram: TelegramEmulator, stores: Stores, store_url: str, tmp_path: Path) -> AsyncIterator[None]:
    async with running(telegram, store_url, tmp_path):
        yield


def spoken(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the role's log holds, libraries included; httpx's lines are not shown by a role."""
    return [
        f"{record.name}: {record.getMessage()}" + (" Traceback" if record.exc_info else "")
        for record in caplog.records
        if record.name.partition(".")[0] in {"bots", "storage"} or record.levelname not in {"DEBUG", "INFO"}
    ]  # fmt: skip


async def claimed(stores: Stores) -> Claim:
    """What a worker does first."""
    ((claim,), _) = await stores.queue.claim("w", 1, wait=5)
    return claim


async def is_answered(telegram: TelegramEmulator, stores: Stores, *former: str) -> None:
    """The next question of Ann's gets its answer."""
    ann = telegram.user(1001)
    await ann.send_text(ann.private, QUESTION)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [*former, WORDS])


@pytest.mark.usefixtures("role")
async def test_an_update_that_the_library_cannot_read_holds_up_no_other(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.world.push("message", {"text": "of a future kind"})
    polls = len(telegram.calls)
    await is_answered(telegram, stores)
    assert sum(call.method == "getUpdates" for call in telegram.calls[polls:]) < 5
    assert len(spoken(caplog)) == 1
    assert "of a future kind" not in caplog.text


@pytest.mark.usefixtures("role")
async def test_fields_and_kinds_of_updates_that_nobody_knows_yet_are_passed_over(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    telegram.world.allowed_updates = []
    telegram.world.push("mind_read", {"thought": 1})
    await ann.send_text(ann.private, QUESTION, mood={"colour": "blue"})
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert spoken(caplog) == []


@pytest.mark.usefixtures("role")
async def test_a_webhook_that_somebody_sets_meanwhile_is_deleted_again(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    await telegram.until(lambda: telegram.polls)
    telegram.leave_webhook()
    await is_answered(telegram, stores)
    assert telegram.webhook["url"] == ""
    (line,) = spoken(caplog)
    assert "webhook" in line


async def test_a_webhook_left_over_is_deleted_at_the_start_and_its_updates_are_kept(
    telegram: TelegramEmulator, stores: Stores, store_url: str, tmp_path: Path
) -> None:
    telegram.leave_webhook()
    ann = telegram.user(1001)
    await ann.send_text(ann.private, QUESTION)
    telegram.fail_next("deleteWebhook", 502, html=True, times=2)
    async with running(telegram, store_url, tmp_path):
        assert await answer(stores, WORDS) == QUESTION
        await ann.private.wait_for(lambda texts: texts == [WORDS])


@pytest.mark.usefixtures("role")
async def test_a_second_poller_is_named_once_and_its_end_is_noticed(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    refused = len(telegram.calls)
    with telegram.second_poller():
        await telegram.until(lambda: [call.status for call in telegram.calls[refused:]].count(409) >= 2)
    await is_answered(telegram, stores)
    (line,) = spoken(caplog)
    assert "another process polls with this token" in line


@pytest.mark.parametrize("status", [401, 429, 502])
async def test_polls_go_on_whatever_telegram_said(
    telegram: TelegramEmulator, stores: Stores, store_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:  # fmt: skip
    telegram.fail_next("getUpdates", status, html=status >= 500, retry_after=int(status == 429))
    async with running(telegram, store_url, tmp_path):
        await is_answered(telegram, stores)
    assert len(spoken(caplog)) == 1
    assert "Traceback" not in spoken(caplog)[0]


@pytest.fixture
def strict_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram's rates and ours, both four times as fast."""
    for name, rate in (("PRIVATE", PRIVATE), ("GROUP", GROUP)):
        monkeypatch.setattr(f"bots.telegram_bot.{name}", Rate(rate.burst, rate.seconds / 4))
        rates: tuple[tuple[int, float], ...] = getattr(emulated, f"{name}_RATES")
        monkeypatch.setattr(emulated, f"{name}_RATES", tuple((calls, seconds / 4) for calls, seconds in rates))


@pytest.mark.usefixtures("role", "strict_and_faster")
async def test_our_own_pace_is_never_too_fast_for_telegram(telegram: TelegramEmulator, stores: Stores) -> None:
    telegram.enforce_rates = True
    ann, group = telegram.user(1001), telegram.group(-100200)
    ben = telegram.user(1002)
    await ann.send_text(ann.private, QUESTION)
    await ben.send_text(group, f"/ask@askpix_bot {QUESTION}")
    claims = [claim for _ in range(2) for claim in (await stores.queue.claim("w", 1, wait=5))[0]]
    text = ""
    for n in range(50):
        text += f"{n} " + "word " * 20
        for claim in claims:
            assert await stores.replies.emit(claim, text[-len(f"{n} ") - 100 :])
        await asyncio.sleep(0.04)
    for claim in claims:
        await stores.queue.finish(claim, Done(text))
    for chat in (ann.private, group):
        await chat.wait_for(lambda texts: " ".join(texts).split() == text.split(), 20)
    assert len(ann.private.texts()) == 2
    assert {call.status for call in telegram.calls} == {200}


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
async def test_a_flood_is_waited_out_and_others_do_not_wait_for_it(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    ann, ben = telegram.user(1001), telegram.user(1002)
    telegram.fail_next(method, 429, retry_after=1)
    await ann.send_text(ann.private, QUESTION)
    await stores.queue.finish(await claimed(stores), Done(WORDS))
    await telegram.until(lambda: [call for call in telegram.calls if call.status == 429])
    await ben.send_text(ben.private, QUESTION)
    await stores.queue.finish(await claimed(stores), Done(WORDS))
    await ben.private.wait_for(lambda texts: texts == [WORDS])
    assert WORDS not in ann.private.texts()
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert spoken(caplog) == []


@pytest.mark.usefixtures("role")
async def test_pages_of_html_on_every_method_lose_nothing_and_say_little(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    for method in METHODS:
        telegram.fail_next(method, 502, html=True)
    telegram.fail_next("sendMessage", 500, html=True)
    telegram.fail_next("editMessageText", 500, html=True)
    await ann.send_photo(ann.private, encoded(halves()), QUESTION)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert len(spoken(caplog)) <= 6
    assert "Traceback" not in "".join(spoken(caplog))
    assert "html" not in "".join(spoken(caplog))


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("how", ["before", "half", "after"])
async def test_connections_that_break_lose_nothing_and_answer_nobody_twice(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    ann = telegram.user(1001)
    for method in METHODS:
        telegram.drop_next(method, after_processing=how != "before", half=how == "half")
    await ann.send_photo(ann.private, encoded(halves()), QUESTION)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts[-1:] == [WORDS])
    assert set(ann.private.texts()) <= {"…", WORDS}  # a placeholder whose id was lost stays empty
    assert ann.private.texts().count(WORDS) == 1
    assert len(spoken(caplog)) <= 6
    assert "Traceback" not in "".join(spoken(caplog))


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("final", [False, True])
async def test_a_message_that_cannot_be_found_is_placed_anew(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture, *, final: bool
) -> None:
    ann = telegram.user(1001)
    await ann.send_text(ann.private, QUESTION)
    claim = await claimed(stores)
    await ann.private.wait_for(lambda texts: texts == ["…"])
    if final:
        await stores.replies.emit(claim, WORDS[:2])
        await ann.private.wait_for(lambda texts: texts == [f"{WORDS[:2]} …"])
    await ann.delete(ann.private.bot_messages()[0])
    if not final:
        await stores.replies.emit(claim, WORDS[:2])
        await ann.private.wait_for(lambda texts: texts == [f"{WORDS[:2]} …"])
    await stores.queue.finish(claim, Done(WORDS))
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert spoken(caplog) == []


@pytest.mark.usefixtures("role")
async def test_a_deleted_question_is_answered_in_its_place(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    telegram.fail_next("sendMessage", 502)
    question = await ann.send_text(ann.private, QUESTION)
    await telegram.until(lambda: [call for call in telegram.calls if call.status == 502])
    await ann.delete(question)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert spoken(caplog) == []


@pytest.mark.usefixtures("role")
async def test_who_blocks_us_in_the_middle_costs_the_engine_nothing_more_and_may_come_back(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    await ann.send_text(ann.private, QUESTION)
    claim = await claimed(stores)
    await ann.private.wait_for(lambda texts: texts == ["…"])
    telegram.block(ann.private)
    await stores.replies.emit(claim, WORDS[:2])

    async def cancelled() -> bool:
        return await stores.queue.renew([claim]) == ["cancelled"]

    await wait_until(cancelled)
    await stores.queue.finish(claim, Cancelled(WORDS[:2]))
    refused = [call.method for call in telegram.calls if call.status == 403]
    assert refused.count("editMessageText") == 1
    telegram.block(ann.private, blocked=False)
    await is_answered(telegram, stores, "…")
    assert len(spoken(caplog)) <= 2


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("trouble", ["unavailable", "flooded", "cut"])
async def test_a_file_that_fails_once_is_fetched_all_the_same(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    ann = telegram.user(1001)
    if trouble == "unavailable":
        telegram.fail_next("getFile", 400, "Bad Request: wrong file_id or the file is temporarily unavailable")
    elif trouble == "flooded":
        telegram.fail_next("getFile", 429, "Too Many Requests", retry_after=1)
    else:
        telegram.drop_next("file", half=True)
    await ann.send_photo(ann.private, encoded(halves()), QUESTION)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    assert len(spoken(caplog)) <= 1


@pytest.mark.usefixtures("role")
async def test_a_file_that_is_lost_for_good_is_one_sentence_and_holds_up_nothing_else(
    telegram: TelegramEmulator, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    lost = await ann.send_photo(ann.private, encoded(halves()), "lost")
    telegram.lose_file(lost)
    await ann.send_photo(ann.private, encoded(halves()), QUESTION)
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [say("en", "download_failed"), WORDS])
    assert len(spoken(caplog)) <= 3


async def test_telegram_may_be_down_when_the_role_starts(
    telegram: TelegramEmulator, stores: Stores, store_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ann = telegram.user(1001)
    await ann.send_text(ann.private, QUESTION)
    await telegram.stop()
    settings = BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url, open=True)
    stop = asyncio.Event()
    storage = StorageSettings(redis_url=store_url, data_dir=tmp_path, metrics_port=0)
    role = asyncio.create_task(serve(storage, settings, stop))
    await wait_until(lambda: "Telegram cannot be reached" in caplog.text)
    await asyncio.sleep(0.5)  # some tries
    await telegram.start()
    assert await answer(stores, WORDS) == QUESTION
    await ann.private.wait_for(lambda texts: texts == [WORDS])
    stop.set()
    await asyncio.wait_for(role, 10)
    assert len(spoken(caplog)) == 1
