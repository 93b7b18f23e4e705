"""The whole Telegram role on the emulated Bot API, with a test in the worker's place."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.settings import BotSettings
from bots.telegram_bot import serve
from storage.connection import Client
from storage.logs import setup
from storage.messages import Done
from storage.settings import StorageSettings
from storage.stores import Stores
from tests.bots.pictures import encoded, halves
from tests.emulators.telegram import TelegramEmulator
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # set by the role, and gone again after the test
    monkeypatch.setattr("bots.files.DOWNLOAD_TRIES", 3)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Logging is the whole process's: pytest gets its own back."""
    root, names = logging.getLogger(), ("", "bots", "inference", "storage")
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in names}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(logging, "raiseExceptions", logging.raiseExceptions)
        patched.setattr(sys, "excepthook", sys.excepthook)
        yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramEmulator]:
    async with TelegramEmulator() as emulator:
        emulator.user(1001)
        yield emulator


@pytest.fixture
async def role(telegram: TelegramEmulator, store_url: str, tmp_path: Path) -> AsyncIterator[asyncio.Task[None]]:
    """The role, which is told to stop after the test and must do so soon."""
    async with running(telegram, store_url, tmp_path) as task:
        yield task


@asynccontextmanager
async def running(telegram: TelegramEmulator, store_url: str, folder: Path) -> AsyncGenerator[asyncio.Task[None]]:
    storage = StorageSettings(redis_url=store_url, data_dir=folder, metrics_port=0)
    settings = BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url, open=True)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(storage, settings, stop))
    await telegram.until(lambda: any(call.method == "setMyCommands" for call in telegram.calls))
    yield task
    stop.set()
    await asyncio.wait_for(task, 10)


async def answer(stores: Stores, text: str) -> str:
    """Be the worker of one ask; returns its question."""
    claims, _ = await stores.queue.claim("w", 1, wait=5)
    assert len(claims) == 1
    await stores.replies.emit(claims[0], text[:3])
    await stores.queue.finish(claims[0], Done(text))
    return claims[0].ask.question.text


async def test_a_question_is_answered_under_it(
    telegram: TelegramEmulator, stores: Stores, role: asyncio.Task[None]
) -> None:
    ann = telegram.user(1001)
    question = await ann.send_photo(ann.private, encoded(halves()), "what?")
    assert await answer(stores, "**red** and green") == "what?"
    await ann.private.wait_for(lambda texts: texts == ["red and green"])
    (reply,) = ann.private.bot_messages()
    assert reply["reply_to_message"]["message_id"] == question["message_id"]
    assert [entity["type"] for entity in reply["entities"]] == ["bold"]
    await wait_until(lambda: not telegram.world.pending)


async def test_an_update_that_comes_ten_times_is_asked_once(
    telegram: TelegramEmulator, stores: Stores, role: asyncio.Task[None]
) -> None:
    ann = telegram.user(1001)
    await ann.send_text(ann.private, "once")
    telegram.redeliver(telegram.updates[0], times=10)
    assert await answer(stores, "yes") == "once"
    await ann.private.wait_for(lambda texts: texts == ["yes"])
    await wait_until(lambda: not telegram._again)  # pyright: ignore[reportPrivateUsage] : until all were delivered
    await ann.send_text(ann.private, "twice")
    assert await answer(stores, "no") == "twice"
    await ann.private.wait_for(lambda texts: texts == ["yes", "no"])


async def test_a_store_without_memory_takes_the_question_when_it_has_some_again(
    telegram: TelegramEmulator, stores: Stores, redis: Client, role: asyncio.Task[None]
) -> None:
    ann = telegram.user(1001)
    await redis.config_set("maxmemory", "1")
    try:
        polls = len(telegram.calls)
        await ann.send_text(ann.private, "still there?")
        await wait_until(lambda: any(call.method == "getUpdates" for call in telegram.calls[polls:]))
        await asyncio.sleep(0.3)  # longer than a try
        assert telegram.world.pending  # Telegram keeps what we could not
        assert not role.done()
    finally:
        await redis.config_set("maxmemory", "0")
    assert await answer(stores, "yes") == "still there?"
    await ann.private.wait_for(lambda texts: texts == ["yes"])


async def test_a_role_that_cannot_reach_telegram_stops_when_it_is_told_to(store_url: str, tmp_path: Path) -> None:
    storage, stop = StorageSettings(redis_url=store_url, data_dir=tmp_path, metrics_port=0), asyncio.Event()
    settings = BotSettings(telegram_token="1:token", telegram_api_url="http://127.0.0.1:9", open=True)
    role = asyncio.create_task(serve(storage, settings, stop))
    await asyncio.sleep(0.5)  # it has failed once by now
    assert not role.done()
    stop.set()
    await asyncio.wait_for(role, 5)


@pytest.mark.usefixtures("own_logging")
async def test_whatever_fails_the_log_holds_no_token_no_traceback_and_no_words(
    telegram: TelegramEmulator, stores: Stores, store_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup("DEBUG", [])  # as the role does, but with nothing masked
    telegram.fail_next("getMe", 502, "Bad Gateway")
    async with running(telegram, store_url, tmp_path):
        await everything_fails_once(telegram, stores)
    shown = capsys.readouterr().err
    assert "bots.telegram_polling: Telegram cannot be reached" in shown
    assert telegram.token.lower() not in shown.lower()
    assert "Traceback" not in shown
    assert "words" not in shown


async def everything_fails_once(telegram: TelegramEmulator, stores: Stores) -> None:
    ann = telegram.user(1001)
    url = f"{telegram.url}/bot{telegram.token}/x"
    telegram.fail_next("getUpdates", 500, f"no: {url}")
    telegram.drop_next("file")
    telegram.fail_next("file", 404, url)
    telegram.fail_next("sendMessage", 500, url)
    telegram.drop_next("sendMessage", after_processing=False)
    telegram.fail_next("editMessageText", 400, f"Bad Request: can't parse entities: {url}")
    await ann.send_photo(ann.private, encoded(halves()), "Ann's own words")
    assert await answer(stores, "the answer's words") == "Ann's own words"
    await ann.private.wait_for(lambda texts: texts == ["the answer's words"], 20)
    await telegram.stop()
