"""Telegram in every mood, with the whole role in this process and a test in the worker's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.surface import Rate
from bots.telegram_bot import GROUP, PRIVATE
from storage.connection import Client
from storage.messages import Done
from storage.stores import Stores, open_stores
from tests.bots.board import worker
from tests.bots.test_telegram_role import answer, running
from tests.emulators import telegram as emulated
from tests.emulators.telegram import TelegramEmulator

QUESTION = "what?"
WORDS = "an answer"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")
    monkeypatch.setattr("bots.asking.DOWNLOAD_TRIES", 3)
    monkeypatch.setattr("bots.follower.LONGEST_BACKOFF", 0.6)
    caplog.set_level("INFO")


@pytest.fixture
async def stores(redis: Client, store_url: str) -> AsyncIterator[Stores]:
    await worker(redis, slots="1")
    async with open_stores(store_url) as stores:
        yield stores


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


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502])
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
    """Telegram's rates and ours, both three times as fast."""
    for name, rate in (("PRIVATE", PRIVATE), ("GROUP", GROUP)):
        monkeypatch.setattr(f"bots.telegram_bot.{name}", Rate(rate.burst, rate.seconds / 3))
        rates: tuple[tuple[int, float], ...] = getattr(emulated, f"{name}_RATES")
        monkeypatch.setattr(emulated, f"{name}_RATES", tuple((calls, seconds / 3) for calls, seconds in rates))


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
