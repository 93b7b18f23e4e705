"""`askpix doctor`: each trouble is found and its mending said; real servers, real files, real exit status."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bots.doctor import examine as platforms
from bots.settings import BotSettings
from inference.doctor import examine as engines
from inference.embedded import EngineAddress, write_private
from inference.settings import InferenceSettings
from storage.connection import Client
from storage.doctor import Finding, alive, examine
from storage.messages import Model, encode
from storage.settings import StorageSettings
from storage.stores import living
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import StubEngine
from tests.emulators.server import LocalServer
from tests.emulators.telegram import TelegramEmulator
from tests.service import environment

NOBODY = "http://127.0.0.1:9"


def troubles(findings: list[Finding]) -> set[str]:
    """The codes of what is not well."""
    return {found.code for found in findings if found.ok is False}


def codes(findings: list[Finding]) -> set[str]:
    """All codes."""
    return {found.code for found in findings}


async def doctor(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "askpix", "doctor", *arguments, env=environment(folder, settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


class Page(LocalServer):
    """A server that answers everything alike."""

    def __init__(self, status: int, body: str, **headers: str) -> None:
        super().__init__([web.get("/{path:.*}", self._say)])
        self._answer = status, body, headers

    async def _say(self, _: web.Request) -> web.Response:
        status, body, headers = self._answer
        return web.Response(status=status, text=body, headers=headers)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, "{}", "cli.bad_token"), (404, "{}", "cli.bad_token"), (502, "<html>", "platform_unreachable"),
        (200, "<html>", "platform_unreachable"), (429, "{}", "platform_unreachable"), (302, "", "cli.bad_token"),
    ],
)  # fmt: skip
async def test_a_telegram_that_does_not_know_us_or_is_not_there(status: int, body: str, code: str) -> None:
    async with Page(status, body) as page:
        found = await platforms(BotSettings(telegram_token="1:secret", telegram_api_url=page.url))
    assert troubles(found) == {code}
    assert "secret" not in str(found)


async def test_nobody_at_the_address_is_said_without_the_token() -> None:
    found = await platforms(BotSettings(telegram_token="1:secret", telegram_api_url=NOBODY))
    assert troubles(found) == {"platform_unreachable"}
    assert "secret" not in str(found) and "Connect call failed" in str(found)


async def test_a_clock_that_is_off_is_found_by_what_the_platform_says_of_the_time() -> None:
    said = json.dumps({"ok": True, "result": {"username": "a_bot"}})
    async with Page(200, said, Date="Sat, 01 Jan 2022 00:00:00 GMT") as page:
        found = await platforms(BotSettings(telegram_token="1:x", telegram_api_url=page.url))
    assert troubles(found) == {"clock_off"}
    assert next(each for each in found if each.what == "clock").details["seconds"] > 1e8  # pyright: ignore[reportOperatorIssue] : a number here


async def test_a_webhook_that_telegram_cannot_reach_is_said_with_its_reason() -> None:
    async with TelegramEmulator() as telegram:
        telegram.leave_webhook(f"{NOBODY}/lost")
        ann = telegram.user(1001)
        await ann.send_text(ann.private, "hello")
        await telegram.until(lambda: "last_error_message" in telegram.webhook)
        found = await platforms(BotSettings(telegram_token=telegram.token, telegram_api_url=telegram.url))
    assert troubles(found) == {"webhook_fails"}


async def test_discord_knows_a_token_or_does_not() -> None:
    async with DiscordEmulator() as discord:
        for token, code in ((discord.token, "platform_known"), ("wrong", "cli.bad_discord_token")):
            found = await platforms(BotSettings(discord_token=token, discord_api_url=discord.api_url))
            assert next(each for each in found if each.what == "discord").code == code


@pytest.fixture
async def server(redis: Client) -> AsyncIterator[Client]:
    """The session's server, whose settings are put back after the test."""
    before = await redis.config_get("append*", "maxmemory*")
    yield redis
    for name in ("appendonly", "appendfsync", "maxmemory-policy", "maxmemory"):
        await redis.config_set(name, before[name])


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [("appendonly", "no", "store_forgets"), ("appendfsync", "everysec", "store_late")],
)
async def test_a_store_that_may_lose_questions_is_said(
    server: Client, store_url: str, tmp_path: Path, setting: str, value: str, code: str
) -> None:
    await server.config_set(setting, value)
    assert troubles(await examine(StorageSettings(redis_url=store_url, data_dir=tmp_path), {})) - {"folder_open"} == {
        code
    }


async def test_a_store_that_throws_away_or_is_nearly_full_is_said(
    server: Client, store_url: str, tmp_path: Path
) -> None:
    used = (await server.info("memory"))["used_memory"]
    await server.config_set("maxmemory", str(int(used * 1.05)))
    await server.config_set("maxmemory-policy", "allkeys-lru")
    found = troubles(await examine(StorageSettings(redis_url=store_url, data_dir=tmp_path), {}))
    assert {"store_evicts", "store_full"} <= found


async def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = await examine(StorageSettings(redis_url="redis://127.0.0.1:9", data_dir=tmp_path), {})
    assert "cli.store_down" in troubles(found)
    assert troubles([await alive(StorageSettings(redis_url="redis://127.0.0.1:9"), "worker")]) == {"store_down"}


async def test_files_that_others_can_read_are_said(redis: Client, store_url: str, tmp_path: Path) -> None:
    settings = StorageSettings(redis_url=store_url, data_dir=tmp_path)
    (secret := tmp_path / "token").write_text("1:secret")
    tmp_path.chmod(0o755)
    secret.chmod(0o644)
    environ = {"ASKPIX_TELEGRAM_TOKEN_FILE": str(secret), "ASKPIX_DISCORD_TOKEN_FILE": str(tmp_path / "none")}
    assert troubles(await examine(settings, environ)) == {"folder_open", "secret_open"}
    tmp_path.chmod(0o700)
    secret.chmod(0o600)
    assert troubles(await examine(settings, environ)) == set()


async def test_a_full_disk_is_said(
    redis: Client, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.doctor.ROOM", 1e9)
    found = await examine(StorageSettings(redis_url=store_url, data_dir=tmp_path / "not yet" / "there"), {})
    assert troubles(found) == {"disk_full"}


async def test_engines_are_asked_one_by_one(tmp_path: Path) -> None:
    storage = StorageSettings(data_dir=tmp_path)
    assert {"engine_rests"} <= codes(await engines(storage, InferenceSettings()))
    async with StubEngine(slots=7) as stub:
        found = await engines(storage, InferenceSettings(engine_url=(stub.url, NOBODY)))
    assert [each.code for each in found if each.what == "engine"] == ["engine_up", "engine_down"]
    assert found[0].details["slots"] == 7


async def test_an_engine_of_ours_that_is_silent_is_not_blamed_on_an_address(tmp_path: Path) -> None:
    write_private(tmp_path / "engine.json", encode(EngineAddress(NOBODY, "key", 1, Model("demo", 1, 1, 1, 1))))
    assert troubles(await engines(StorageSettings(data_dir=tmp_path), InferenceSettings())) == {"engine_restarts"}


async def test_a_role_is_alive_while_it_lives(redis: Client, store_url: str, tmp_path: Path) -> None:
    settings = StorageSettings(redis_url=store_url, data_dir=tmp_path)
    async with living(settings, "worker", dict):
        assert (await alive(settings, "worker")).ok
        assert troubles([await alive(settings, "web")]) == {"role_gone"}
        status, said = await doctor(tmp_path, "worker", REDIS_URL=store_url)
        assert (status, said) == (0, "✓ worker runs on this machine.\n")
    status, said = await doctor(tmp_path, "worker", REDIS_URL=store_url)
    assert status == 1
    assert "No worker runs" in said and "logs/worker.log" in said


async def test_the_command_says_it_in_sentences_and_for_machines(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)  # noqa: PTH101 : the folder is pytest's
    async with StubEngine() as stub:
        status, said = await doctor(tmp_path, ENGINE_URL=stub.url)
        assert status == 0, said
        assert "✓ The engine serves stub" in said and "✗" not in said
        status, said = await doctor(tmp_path, ENGINE_URL=f"{stub.url},{NOBODY}")
        assert status == 1
        assert said.splitlines()[-1].startswith("✗ The engine at http://127.0.0.1:9 does not answer")
        status, said = await doctor(tmp_path, "--json", ENGINE_URL=NOBODY)
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    assert status == 1
    assert {"what", "ok", "code", "details", "says"} == set(lines[0])
    assert [line["code"] for line in lines if line["ok"] is False] == ["engine_down"]
    for wrong in ({"ENGINE_RUL": "x"}, {"ENGINE_URL": "nowhere"}):
        status, said = await doctor(tmp_path, **wrong)
        assert status == 2 and "ASKPIX_ENGINE_URL" in said and len(said.splitlines()) == 1, said
