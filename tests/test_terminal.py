"""`askpix ask` as a newcomer runs it: nothing runs yet, no account, no server."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from bots.phrases import say
from storage.connection import StoreDown
from tests.service import askpix_up, environment
from tests.waiting import wait_until


async def run(data_dir: Path, *words: str, **settings: str) -> tuple[int | None, str, str]:
    """Exit status, standard output and standard error of an `askpix` command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "askpix", *words, env=environment(data_dir, settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


class Screen:
    """A terminal of its own for one command, and what a person sees on it."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self._data_dir, self._words, self._bytes = data_dir, words, b""

    async def __aenter__(self) -> Screen:
        self._end, theirs = pty.openpty()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "askpix", *self._words, env=environment(self._data_dir, {}),
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        asyncio.get_running_loop().add_reader(self._end, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._end)
        os.close(self._end)

    def _read(self) -> None:
        try:
            self._bytes += os.read(self._end, 65_536)
        except OSError:  # the command has ended
            asyncio.get_running_loop().remove_reader(self._end)

    def text(self) -> str:
        """What stands there: an erased line is gone."""
        return re.sub(r"[^\n]*\r\x1b\[K", "", self._bytes.decode().replace("\r\n", "\n"))


@pytest.fixture
def red(tmp_path: Path) -> str:
    Image.new("RGB", (640, 480), "red").save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


async def test_a_plain_red_picture_is_red_and_nothing_is_left_running(tmp_path: Path, red: str) -> None:
    assert await run(tmp_path / "data", "ask", red, "What colour is this?") == (0, "The picture is red.\n", "")
    assert not (tmp_path / "data" / "engine.json").exists()


async def test_on_a_terminal_the_whole_answer_stands_there(tmp_path: Path) -> None:
    async with Screen(tmp_path, "ask", "Count to one hundred") as screen:
        await asyncio.wait_for(screen.process.wait(), 30)
        await wait_until(lambda: "README" in screen.text())
        assert screen.text().startswith("1, 2, 3, 4")
        assert "99, 100.\n" in screen.text()
        assert say("en", "cli.starting") not in screen.text()


async def test_a_question_can_go_on_with_the_last_conversation(tmp_path: Path, red: str) -> None:
    async with askpix_up(tmp_path):
        await run(tmp_path, "ask", red, "What colour is this?")
        assert "red" in (await run(tmp_path, "ask", "--continue", "What colour was it?"))[1]
        assert "red" not in (await run(tmp_path, "ask", "What colour was it?"))[1]
        status, out, _ = await run(tmp_path, "ask", red)  # a picture alone is described
        assert (status, "red" in out) == (0, True)


@pytest.mark.parametrize(("content", "code"), [(b"words", "not_an_image"), (b"", "empty")])
async def test_a_bad_file_is_one_sentence(tmp_path: Path, content: bytes, code: str) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    sentence = say("en", "cli.bad_photo", path=bad, why=say("en", code))
    assert await run(tmp_path, "ask", str(bad), "What is this?") == (1, "", sentence + "\n")


async def test_a_missing_file_is_one_sentence_before_anything_is_started(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert await run(data, "ask", "nowhere.jpg", "What is this?") == (
        1, "", say("en", "cli.no_such_file", path="nowhere.jpg") + "\n",
    )  # fmt: skip
    assert not data.exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"TELEGRM_TOKEN": "1"}, "ASKPIX_TELEGRM_TOKEN is not a setting. Did you mean ASKPIX_TELEGRAM_TOKEN?"),
        ({"PHOTO_MB": "many"}, f"ASKPIX_PHOTO_MB=many cannot be used: {say('en', 'setting.PHOTO_MB')}"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, say("en", "cli.store_down")),
    ],
    ids=["misspelt", "bad", "unreachable"],
)
async def test_what_cannot_start_says_why(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    status, out, err = await run(tmp_path, "up", **settings)
    assert (status in (1, 2), out, err) == (True, "", sentence + "\n")


async def test_settings_are_listed_with_their_secrets_masked(tmp_path: Path) -> None:
    status, out, _ = await run(
        tmp_path, "settings", TELEGRAM_TOKEN="1:verysecret", DISCORD_TOKEN="M.verysecret", ENGINE_KEY="hush"
    )
    assert status == 0
    assert "verysecret" not in out
    assert "hush" not in out
    assert out.count(say("en", "cli.secret")) == 3


async def test_with_a_discord_it_shows_how_to_invite_the_bot_and_who_sends_the_code_is_admin(tmp_path: Path) -> None:
    from tests.emulators.discord_emulator import DiscordEmulator
    from tests.emulators.discord_shapes import APP_ID

    async with DiscordEmulator() as discord:
        here = {"DISCORD_API_URL": discord.api_url, "DISCORD_GATEWAY_URL": discord.gateway_url}
        async with askpix_up(tmp_path, DISCORD_TOKEN=discord.token, **here) as service:
            address = rf"https://discord.com/oauth2/authorize\?client_id={APP_ID}.*scope=bot"
            await service.said(rf"^Discord: .*{address}.*permissions=274878008384")
            code = (await service.said(r"/start (\S+) on Discord"))[1]
            await wait_until(lambda: bool(discord.commands()), 20)
            ann, ben = discord.user(1001, installed=True), discord.user(1002, installed=True)
            for user, sentence in ((ann, "command.admin"), (ben, "command.stranger")):
                asked = await user.slash("start", code=code)
                assert (await asked.shows())["content"] == say("en", sentence, person=f"discord:{user.id}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_service_without_a_token_says_where_to_get_one_and_told_to_end_leaves_nothing_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with askpix_up(tmp_path) as service:
        for code in ("no_telegram", "no_discord"):
            await service.said(f"^{re.escape(say('en', f'cli.{code}'))}$")
        pids = [await service.pid(role) for role in ("worker", "engine", "llama")]
        service.process.send_signal(number)
        assert await asyncio.wait_for(service.process.wait(), 20) == 0
    for pid in pids:
        assert pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(StoreDown):
        await service.redis.ping()


async def test_a_wrong_token_is_said_on_the_bots_line(tmp_path: Path) -> None:
    from tests.emulators.telegram import TelegramEmulator

    async with TelegramEmulator() as telegram:
        async with askpix_up(tmp_path, TELEGRAM_TOKEN="1:wrong", TELEGRAM_API_URL=telegram.url) as service:
            await service.said(re.escape(say("en", "cli.bad_token")))
            service.process.send_signal(signal.SIGINT)
