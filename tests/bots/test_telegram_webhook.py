"""Telegram by webhook, over real HTTP: what is refused, what is answered when, and how it is set."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bots.settings import BotSettings
from bots.telegram_bot import serve
from bots.telegram_webhook import HEADER, LARGEST
from storage import keys
from storage.connection import Client, connect
from storage.embedded import Store
from storage.messages import Done
from storage.settings import CannotRun, StorageSettings
from storage.stores import Stores
from tests.emulators.telegram import TelegramEmulator
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # set by the role, and gone again after the test


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramEmulator]:
    async with TelegramEmulator() as emulator:
        emulator.user(1001)
        yield emulator


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@asynccontextmanager
async def running(telegram: TelegramEmulator, store_url: str, folder: Path, port: int) -> AsyncGenerator[str]:
    """The role with a webhook; yields the webhook's address, once it is set."""
    url = f"http://127.0.0.1:{port}/telegram"
    settings = BotSettings(
        telegram_token=telegram.token, telegram_api_url=telegram.url, open=True, telegram_webhook_url=url,
        telegram_webhook_port=port,
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(serve(StorageSettings(redis_url=store_url, data_dir=folder), settings, stop))
    task.add_done_callback(lambda _: telegram.changes.notify())
    await telegram.until(lambda: telegram.webhook["url"] == url or task.done())
    try:
        yield url
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def url(telegram: TelegramEmulator, redis: Client, store_url: str, tmp_path: Path) -> AsyncIterator[str]:
    async with running(telegram, store_url, tmp_path, free_port()) as found:
        yield found


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def update(number: int = 7) -> dict[str, object]:
    """An update of a kind that asks nothing of anybody."""
    return {"update_id": number, "poll": {}}


@pytest.mark.parametrize("secret", [None, b"", b"wrong", "sÿcret".encode("latin-1")])
async def test_nobody_but_telegram_is_listened_to(
    http: httpx.AsyncClient, url: str, redis: Client, secret: bytes | None
) -> None:
    headers = [] if secret is None else [(HEADER.encode(), secret)]
    answer = await http.post(url, json=update(), headers=headers)
    assert answer.status_code == 403
    assert answer.content == b""
    assert not await redis.exists(keys.seen("telegram", "7"))


async def test_a_stranger_is_refused_before_its_body_is_read(url: str) -> None:
    at = httpx.URL(url)
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(b"POST /telegram HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
    assert b" 403 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_posts_are_taken(http: httpx.AsyncClient, url: str, telegram: TelegramEmulator, method: str) -> None:
    answer = await http.request(method, url, headers={HEADER: telegram.webhook["secret_token"]})
    assert answer.status_code == 405


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"update_id": "7"}', b"\xff\xfe", b'{"poll": {}}'])
async def test_what_is_no_update_is_refused(
    http: httpx.AsyncClient, url: str, telegram: TelegramEmulator, body: bytes
) -> None:
    answer = await http.post(url, content=body, headers={HEADER: telegram.webhook["secret_token"]})
    assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_refused(
    http: httpx.AsyncClient, url: str, telegram: TelegramEmulator
) -> None:
    async def endless() -> AsyncIterator[bytes]:  # it says no length beforehand
        for _ in range(LARGEST // 50_000 + 2):
            yield b" " * 50_000

    answer = await http.post(url, content=endless(), headers={HEADER: telegram.webhook["secret_token"]})
    assert answer.status_code == 413


async def test_a_body_that_does_not_come_is_given_up(
    url: str, telegram: TelegramEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.telegram_webhook.SLOWEST", 0.1)
    at = httpx.URL(url)
    reader, writer = await asyncio.open_connection(at.host, at.port)
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{HEADER}: {telegram.webhook['secret_token']}\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode())
    assert b" 503 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_an_update_is_confirmed_only_when_it_is_in_the_store(
    http: httpx.AsyncClient, telegram: TelegramEmulator, tmp_path: Path
) -> None:
    port = free_port()
    async with Store(tmp_path / "store") as store_url:
        async with running(telegram, store_url, tmp_path / "role", port) as url:
            headers = {HEADER: telegram.webhook["secret_token"]}
            assert (await http.post(url, json=update(1), headers=headers)).status_code == 200
            client = connect(store_url)
            assert await client.exists(keys.seen("telegram", "1"))
            await client.config_set("maxmemory", "1")  # it takes nothing more
            assert (await http.post(url, json=update(2), headers=headers)).status_code == 503
            await client.config_set("maxmemory", "0")
            assert (await http.post(url, json=update(2), headers=headers)).status_code == 200
            assert await client.exists(keys.seen("telegram", "2"))
            await client.aclose()


async def test_a_question_is_answered_and_one_sent_twice_once(
    telegram: TelegramEmulator, url: str, stores: Stores
) -> None:
    ann = telegram.user(1001)
    await ann.send_text(ann.private, "what is up?")
    telegram.redeliver(telegram.updates[-1])
    claims, _ = await stores.queue.claim("w", 1, wait=5)
    assert [claim.ask.question.text for claim in claims] == ["what is up?"]
    await stores.queue.finish(claims[0], Done("the sky"))
    await ann.private.wait_for(lambda texts: texts == ["the sky"])
    assert not any(call.method == "getUpdates" for call in telegram.calls)
    assert await stores.queue.claim("w", 1, wait=0.01) == ([], None)


async def test_what_telegram_could_not_deliver_comes_when_we_are_back(
    telegram: TelegramEmulator, redis: Client, stores: Stores, store_url: str, tmp_path: Path
) -> None:
    ann, port = telegram.user(1001), free_port()
    async with running(telegram, store_url, tmp_path, port):
        first = telegram.webhook["secret_token"]
    await ann.send_text(ann.private, "are you there?")
    await telegram.until(lambda: "last_error_message" in telegram.webhook)
    async with running(telegram, store_url, tmp_path, port):
        claims, _ = await stores.queue.claim("w", 1, wait=5)
        assert [claim.ask.question.text for claim in claims] == ["are you there?"]
        assert telegram.webhook["secret_token"] != first
        await stores.queue.finish(claims[0], Done("now"))
        await ann.private.wait_for(lambda texts: texts == ["now"])


async def test_it_is_set_for_what_we_read_and_again_when_somebody_took_it_away(
    telegram: TelegramEmulator, redis: Client, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.telegram_webhook.AGAIN", 0.02)
    telegram.fail_next("setWebhook", 429, "Too Many Requests", retry_after=0)
    telegram.fail_next("setWebhook", 502, html=True)
    async with running(telegram, store_url, tmp_path, free_port()) as url:
        wanted = ["message", "edited_message", "callback_query", "my_chat_member"]
        assert json.loads(json.dumps(telegram.webhook["allowed_updates"])) == wanted
        assert len(telegram.webhook["secret_token"]) >= 32
        telegram.leave_webhook("")
        await telegram.until(lambda: telegram.webhook["url"] == url)


async def test_without_the_setting_it_is_taken_away_and_telegram_is_asked(
    telegram: TelegramEmulator, redis: Client, store_url: str, tmp_path: Path
) -> None:
    telegram.leave_webhook()
    stop = asyncio.Event()
    settings = BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url, open=True)
    task = asyncio.create_task(serve(StorageSettings(redis_url=store_url, data_dir=tmp_path), settings, stop))
    await wait_until(lambda: telegram.polls == 1)
    assert telegram.webhook["url"] == ""
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_a_port_that_is_taken_is_said(
    telegram: TelegramEmulator, redis: Client, store_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotRun, match=f"webhook_port: {port}"):
            async with running(telegram, store_url, tmp_path, port):
                pass
    assert telegram.webhook["url"] == ""
