"""Each role replaced by a new one under load, in order: no question is lost, none is answered twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from storage.connection import Client
from storage.heartbeat import roles
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.service import environment
from tests.waiting import wait_until

PEOPLE = 8

pytestmark = pytest.mark.timeout(180)  # many processes start, one after the other


def words_of(body: Json) -> list[str]:
    """An answer that names its question."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    return ["answer", " to", f" {text.split()[-1]}"]


@asynccontextmanager
async def role(name: str, redis: Client, folder: Path, settings: dict[str, str]) -> AsyncGenerator[Process]:
    """A process of a role, once its heartbeat is there; ended as a rolling restart ends it."""
    command = (sys.executable, "-P", "-m", "askpix", name)
    env = environment(folder, settings)
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=DEVNULL, stderr=DEVNULL)

    async def beats() -> bool:
        return any(record.pid == process.pid for record in await roles(redis))

    try:
        await wait_until(beats, 60)
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 40) == 0


async def test_every_role_is_replaced_under_load(redis: Client, store_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as held:
        telegram = await held.enter_async_context(TelegramEmulator())
        engines = [await held.enter_async_context(StubEngine(words_of, delay=0.1, slots=4)) for _ in range(2)]
        settings = {
            "REDIS_URL": store_url, "ENGINE_URL": ",".join(engine.url for engine in engines), "OPEN": "1",
            "TELEGRAM_TOKEN": telegram.token, "TELEGRAM_API_URL": telegram.url,
        }  # fmt: skip
        asked: Counter[str] = Counter()
        stop = asyncio.Event()

        async def person(number: int) -> None:
            """Ask one thing after the other, each when the one before is answered."""
            user = telegram.user(2000 + number)
            while not stop.is_set():
                word = f"q{number}-{asked[str(number)]}"
                asked[str(number)] += 1
                await user.send_text(user.private, f"say {word}")
                await user.private.wait_for(lambda texts, word=word: any(text.endswith(word) for text in texts), 60)

        async with AsyncExitStack() as old:
            await old.enter_async_context(role("telegram", redis, tmp_path, settings))
            for _ in range(2):
                await old.enter_async_context(role("worker", redis, tmp_path, settings))
            people = [asyncio.create_task(person(number)) for number in range(PEOPLE)]

            async def progress(more: int) -> None:
                goal = asked.total() + more
                await wait_until(lambda: asked.total() >= goal or any(task.done() for task in people), 60)

            await progress(PEOPLE)
            async with role("worker", redis, tmp_path, settings):  # a new worker comes before an old one goes
                await progress(PEOPLE)
                for engine in engines:  # each engine is away for a while
                    await engine.stop()
                    await progress(PEOPLE // 2)
                    await engine.start()
                await old.aclose()  # both old workers, then the bot: nobody polls for a moment
                async with role("telegram", redis, tmp_path, settings):
                    await progress(PEOPLE)
                    stop.set()
                    await asyncio.wait_for(asyncio.gather(*people), 60)
        for number in range(PEOPLE):
            texts = telegram.user(2000 + number).private.texts()
            answers = [text for text in texts if text.startswith("answer")]
            assert answers == [f"answer to q{number}-{each}" for each in range(asked[str(number)])]
            assert len(texts) == len(answers), texts
