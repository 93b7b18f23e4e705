"""Every process killed with SIGKILL in mid-answer: one answer, complete, in one message."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from bots.phrases import say
from storage import keys
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator
from tests.service import askpix_up
from tests.waiting import wait_until

ANN = 1001
TO_100 = ", ".join(str(n) for n in range(1, 101)) + "."


@pytest_asyncio.fixture
async def telegram() -> AsyncIterator[TelegramEmulator]:
    async with TelegramEmulator() as emulator:
        emulator.user(ANN)
        yield emulator


async def test_a_process_killed_in_mid_answer_costs_nothing(telegram: TelegramEmulator, tmp_path: Path) -> None:
    words = TO_100.split(" ")
    async with StubEngine(lambda _: [words[0], *(f" {word}" for word in words[1:])], delay=0.02) as engine:
        settings = {"ENGINE_URL": engine.url, "OPEN": "1"}
        async with askpix_up(
            tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, **settings
        ) as askpix:
            for number, role in enumerate(("telegram", "worker", "valkey")):
                user = telegram.user(ANN + number)
                chat = user.private
                await user.send_text(chat, "Count to one hundred.")
                await chat.wait_for(lambda texts: any(text.startswith("1") for text in texts))
                assert TO_100 not in chat.texts()
                await askpix.kill(role)
                await chat.wait_for(lambda texts: TO_100 in texts, 40)
                assert [text for text in chat.texts() if text != say("en", "placeholder")] == [TO_100], role


async def test_the_engine_killed_with_a_question_in_hand_costs_nothing(
    telegram: TelegramEmulator, tmp_path: Path
) -> None:
    async with askpix_up(tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1") as askpix:

        async def claimed() -> bool:
            return await askpix.redis.hlen(keys.ACTIVE) == 1

        for number, role in enumerate(("llama", "engine")):
            user = telegram.user(ANN + number)
            child = await askpix.pid("llama")
            assert child
            os.kill(child, signal.SIGSTOP)  # the demo model answers too fast to be caught at it
            await user.send_text(user.private, "Count to one hundred.")
            await wait_until(claimed)
            await askpix.kill(role)
            await user.private.wait_for(lambda texts: texts == [TO_100], 40)


async def test_a_question_sent_while_the_bot_is_down_is_answered_once(
    telegram: TelegramEmulator, tmp_path: Path
) -> None:
    chat = telegram.user(ANN).private
    await telegram.user(ANN).send_text(chat, "Hello")
    async with askpix_up(tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1"):
        await chat.wait_for(lambda texts: len(texts) == 1 and texts[0].startswith("Hello"))
        await telegram.user(ANN).send_text(chat, "Thanks")
        await wait_until(lambda: len(chat.texts()) == 2)


async def test_when_the_engine_is_down_the_waiting_are_told_within_five_seconds_and_answered_after(
    telegram: TelegramEmulator, tmp_path: Path
) -> None:
    chat = telegram.user(ANN).private
    async with StubEngine(lambda _: ["Here I am."]) as engine:
        settings = {"ENGINE_URL": engine.url, "OPEN": "1"}
        async with askpix_up(tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, **settings):
            await engine.stop()
            await telegram.user(ANN).send_text(chat, "Hello?")
            await chat.wait_for(lambda texts: texts == [say("en", "engine_down")], 5)
            await engine.start()
            await chat.wait_for(lambda texts: texts == ["Here I am."])
