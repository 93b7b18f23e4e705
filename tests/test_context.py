"""What a conversation's memory is to the people of the whole service."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

from bots.phrases import say
from storage.connection import connect
from storage.embedded import Store
from storage.health import Health
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator
from tests.service import askpix_up, environment
from tests.test_conversation import picture


async def test_context_on_telegram_shows_the_turns_and_photos_that_the_model_sees(tmp_path: Path) -> None:
    async with (
        TelegramEmulator() as telegram,
        askpix_up(tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1"),
    ):
        ann = telegram.user(1001)
        await ann.send_photo(ann.private, picture("red"), caption="What colour is this?")
        await ann.private.wait_for(lambda texts: any("red" in text for text in texts), 30)
        await ann.send_text(ann.private, "/context")
        await ann.private.wait_for(lambda texts: any("▰" in text for text in texts), 30)
        (shown,) = [text for text in ann.private.texts() if "▰" in text]
        numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", shown)]
        percent, tokens, budget, turns, photos = numbers
        assert (turns, photos) == (1, 1)
        assert 0 < tokens < budget
        assert percent == 100 * tokens // budget


async def test_a_context_that_is_too_small_is_said_on_the_workers_line(tmp_path: Path) -> None:
    async with StubEngine(context=20) as stub, Store(tmp_path) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "askpix", "up", env=environment(tmp_path, {"ENGINE_URL": stub.url}),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout
        heard = ""
        try:
            while "worker" not in heard or "died" not in heard:
                heard = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        finally:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.communicate(), 40)
        redis = connect(url)
        assert await Health(redis).model() is None, "no photo is prepared for a model that cannot answer"
        await redis.aclose()
    (least,) = re.findall(r"(\d+) is the least", heard)
    sentence = say("en", "cli.context_too_small", context=20, least=least)
    assert heard.split() == ["worker", *say("en", "cli.role_died", detail=sentence).split()]
