"""`askpix discord`: what it says when it cannot run, and that each platform's role gets its own token only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

import askpix
from bots.discord_bot import BadToken, NoIntent, serve
from bots.phrases import say
from bots.settings import BotSettings
from storage.settings import StorageSettings, read

TOKENS = {"telegram": "1:AAtelegram", "discord": "AAdiscord.BB.CC"}


def logs(level: str, secrets: list[str], form: str) -> None:
    """In the place of logging's own set-up."""
    assert secrets == [TOKENS["discord"]], "what is to be masked"


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment of ours only; logging stays as the tests have it."""
    for name in askpix.os.environ.copy():
        if name.startswith("ASKPIX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("ASKPIX_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("askpix.setup", logs)
    return monkeypatch


@pytest.mark.usefixtures("environ")
def test_without_a_token_it_says_where_to_get_one() -> None:
    result = CliRunner().invoke(askpix.app, ["discord"])
    assert (result.exit_code, result.stderr) == (1, say("en", "cli.no_discord_token") + "\n")


@pytest.mark.parametrize(("error", "code"), [(BadToken, "bad_discord_token"), (NoIntent, "no_intent")])
def test_what_discord_does_not_accept_is_said_in_one_sentence_without_the_token(
    environ: pytest.MonkeyPatch, error: type[Exception], code: str
) -> None:
    async def fails(storage: StorageSettings, settings: BotSettings, stop: asyncio.Event) -> None:
        assert settings.discord_token == TOKENS["discord"]
        raise error

    environ.setenv("ASKPIX_DISCORD_TOKEN", TOKENS["discord"])
    environ.setattr("bots.discord_bot.serve", fails)
    result = CliRunner().invoke(askpix.app, ["discord"])
    assert (result.exit_code, result.stderr) == (1, say("en", f"cli.{code}") + "\n")
    assert TOKENS["discord"] not in result.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DISCORD_GATEWAY_URL", "https://gateway.discord.gg"),
        ("DISCORD_API_URL", "discord.com"),
        ("DISCORD_MESSAGE_CONTENT", "2"),
    ],
)
def test_a_setting_of_discord_s_that_cannot_be_used_is_named(
    environ: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environ.setenv(f"ASKPIX_{name}", value)
    result = CliRunner().invoke(askpix.app, ["discord"])
    assert result.exit_code == 2
    assert f"ASKPIX_{name}={value}" in result.stderr


@pytest.mark.parametrize("by_file", [False, True])
def test_each_role_gets_its_own_token_and_nobody_else_s(
    environ: pytest.MonkeyPatch, tmp_path: Path, by_file: bool
) -> None:
    for platform, token in TOKENS.items():
        file = tmp_path / platform
        file.write_text(token)
        name = f"ASKPIX_{platform.upper()}_TOKEN"
        environ.setenv(f"{name}_FILE" if by_file else name, str(file) if by_file else token)
    environ.setenv("ASKPIX_TELEGRAM_API_URL", "http://127.0.0.1:1")
    environ.setenv("ASKPIX_DISCORD_MESSAGE_CONTENT", "1")
    environ.setenv("ASKPIX_OPEN", "1")
    environ.setenv("ASKPIX_ENGINE_KEY", "secret")
    environ.setenv("ASKPIX_WEB_PASSWORD", "secret")
    wanted = askpix._wanted(["telegram", "discord"], web=True)  # pyright: ignore[reportPrivateUsage] : what `up` runs
    given = {role.name: role.env for role in wanted}
    assert set(given) == {"engine", "worker", "telegram", "discord", "web"}
    for name, env in given.items():
        settings = read(BotSettings, env)
        tokens = {"telegram": settings.telegram_token, "discord": settings.discord_token}
        assert tokens == {platform: token if platform == name else None for platform, token in TOKENS.items()}, name
        assert ("ASKPIX_TELEGRAM_API_URL" in env) == (name == "telegram")
        assert ("ASKPIX_DISCORD_MESSAGE_CONTENT" in env) == (name == "discord")
        assert ("ASKPIX_OPEN" in env) == (name in TOKENS)
        assert ("ASKPIX_ENGINE_KEY" in env) == (name in ("engine", "worker"))
        assert ("ASKPIX_WEB_PASSWORD" in env) == (name == "web")


async def test_a_role_that_hears_nothing_from_discord_stops_when_it_is_told_to(store_url: str, tmp_path: Path) -> None:
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        here = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        storage, stop = StorageSettings(redis_url=store_url, data_dir=tmp_path, metrics_port=0), asyncio.Event()
        settings = BotSettings(discord_token=TOKENS["discord"], discord_api_url=here, open=True)
        role = asyncio.create_task(serve(storage, settings, stop))
        await asyncio.wait_for(connected.wait(), 10)
        stop.set()
        await asyncio.wait_for(role, 5)


def test_no_token_is_shown_with_the_settings() -> None:
    assert TOKENS["discord"] not in repr(read(BotSettings, {"ASKPIX_DISCORD_TOKEN": TOKENS["discord"]}))
