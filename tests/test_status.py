"""`askpix status`, and the status on the whole road of both platforms: busy, without a worker, after a night."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bots.phrases import say
from storage import keys
from storage.housekeeping import Run
from storage.messages import encode
from tests.canary import canary
from tests.emulators.server import Json
from tests.road import Road, newest, open_road
from tests.service import environment
from tests.street import open_street
from tests.waiting import wait_until


async def status(folder: Path, *arguments: str, **settings: str) -> tuple[int | None, str]:
    """Run `askpix status`: its exit status, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "askpix", "status", *arguments, env=environment(folder, settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode().strip()


async def test_when_nothing_runs_that_is_no_error_and_nothing_is_started(tmp_path: Path) -> None:
    code, said = await status(tmp_path / "none", "--json")
    assert (code, json.loads(said)["running"]) == (0, False)
    assert (await status(tmp_path / "none"))[1].startswith(say("en", "status.nothing"))
    assert not (tmp_path / "none").exists()


async def told(road: Road, words: str, seconds: float = 20) -> str:
    """The admin's newest text with these words."""
    chat = road.admin.private
    await chat.wait_for(lambda texts: any(words in text for text in texts), seconds)
    return next(text for text in reversed(chat.texts()) if words in text)


async def test_the_status_of_a_busy_service_on_telegram_and_in_the_terminal(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def held(body: Json) -> AsyncIterator[str]:
        if "wait" in newest(body)[1]:
            await released.wait()
        yield "x"

    async with open_road(tmp_path, reply=held, slots=1) as road:
        ann, group = road.ann, road.telegram.group(-100)
        await ann.send_text(ann.private, "now")
        await ann.private.wait_for(lambda texts: texts == ["x"])
        for user in (ann, road.ben):
            await user.send_text(user.private, "wait here")
        await ann.private.wait_for(lambda texts: len(texts) == 2)
        await road.admin.send_text(group, "/status")
        text = await told(road, "Questions: 1 waiting, 1 being answered; today 1 answered, 0 failed")
        assert say("en", "status.no_gpu") in text and say("en", "status.saved_each") in text
        assert "worker:1 (" in text and "telegram:1 (" in text
        assert group.texts() == []
        await wait_until(lambda: bool(road.admin.private.bot_messages()[-1].get("document")
                                      or road.admin.private.bot_messages()[-1].get("photo")), 10)  # fmt: skip
        await ann.send_text(ann.private, "/status")
        await ann.private.wait_for(lambda texts: texts[-1] == say("en", "admin.only"))
        code, said = await status(tmp_path, "--json")
        found = json.loads(said)
        assert (code, found["running"], found["waiting"], found["active"], found["done"]) == (0, True, 1, 1, 1)
        assert found["hour"]["first_p50"] is not None
        released.set()


async def test_presses_pause_and_resume_and_somebody_else_s_are_refused(tmp_path: Path) -> None:
    async with open_road(tmp_path) as road:
        await road.admin.send_text(road.admin.private, "/status")
        await told(road, "Questions:")
        message = next(each for each in road.admin.private.bot_messages() if each.get("reply_markup"))
        pressed = await road.admin.press_button(message, "pause")
        await wait_until(lambda: road.telegram.api.answers.get(pressed["id"]) is not None, 10)
        assert road.telegram.api.answers[pressed["id"]]["text"] == say("en", "admin.pause")
        await road.ann.send_text(road.ann.private, "Are you there?")
        await road.ann.private.wait_for(lambda texts: texts == [say("en", "paused")])
        await told(road, say("en", "status.paused"))
        await road.admin.press_button(next(each for each in road.admin.private.bot_messages()
                                           if each["message_id"] == message["message_id"]), "resume")  # fmt: skip
        await road.ann.private.wait_for(lambda texts: texts == ["saw nothing: Are you there?"])


async def test_without_a_worker_the_status_says_so_within_15_seconds(tmp_path: Path) -> None:
    async with open_road(tmp_path) as road:
        supervisor = road.askpix.process.pid
        worker = await road.askpix.pid("worker")
        assert worker
        os.kill(supervisor, signal.SIGSTOP)  # or it would start another
        begun = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        try:
            while not any(say("en", "status.worker_down") in text for text in road.admin.private.texts()):
                assert time.monotonic() - begun < 15
                await road.admin.send_text(road.admin.private, "/status")
                await asyncio.sleep(1)
        finally:
            os.kill(supervisor, signal.SIGCONT)


async def test_a_digest_that_was_missed_comes_once_when_the_service_is_back(tmp_path: Path) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    now = datetime.now(zone)
    at = (now - timedelta(minutes=3)).strftime("%H:%M")
    settings: dict[str, Any] = {"DIGEST_AT": at, "TIMEZONE": str(zone)}
    over = (now.date() - timedelta(days=1)).isoformat()
    async with open_road(tmp_path, **settings) as road:  # it never ran: it is not sent for the time before
        missed = encode(Run((now - timedelta(days=2)).timestamp()))
        await road.askpix.redis.hset(keys.DONE, "digest", missed)
        former = await road.askpix.redis.get(keys.LEADER)
        await road.askpix.redis.set(keys.LEADER, "somebody else", px=1500)

        async def led() -> bool:
            return await road.askpix.redis.get(keys.LEADER) not in (None, b"somebody else")

        assert former
        await wait_until(led, 20)
        await told(road, f"{over}: 0 questions answered")  # its picture follows once it is noted as told
        await wait_until(
            lambda: any("photo" in each or "document" in each for each in road.admin.private.bot_messages()), 10
        )
        await road.restart("telegram", "worker")
        await road.admin.send_text(road.admin.private, "/admins")
        await told(road, "Admins:")
        assert sum(over in text for text in road.admin.private.texts()) == 1


async def test_on_discord_the_status_is_the_admin_s_alone(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        channel = street.channel()
        asked = await street.admin.slash("status", channel)
        await wait_until(lambda: len(asked.followups) + bool(asked.original) >= 2, 20)
        texts = [each["content"] for each in (asked.original, *asked.followups) if each]
        assert any("Questions: 0 waiting" in text for text in texts)
        other = street.person()
        refused = await other.slash("pause", channel)
        await wait_until(lambda: bool(refused.original) and refused.original["content"] == say("en", "admin.only"), 10)
        assert await street.road.askpix.redis.get(keys.MODE) is None


async def test_on_discord_buttons_pause_and_resume_and_strangers_are_refused(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        channel, redis, other = street.channel(), street.road.askpix.redis, street.person()
        asked = await street.admin.slash("status", channel)
        shown = await asked.shows(20)

        async def mode(wanted: bytes | None) -> None:
            async def so() -> bool:
                return await redis.get(keys.MODE) == wanted

            await wait_until(so, 15)

        pressed = await street.admin.press(shown, say("en", "button.pause"))
        await mode(b"paused")
        await wait_until(lambda: say("en", "admin.pause") in [each["content"] for each in pressed.followups], 15)
        question = await other.slash("ask", channel, question="Hello?", image=canary(3))
        await wait_until(lambda: bool(question.original) and question.original["content"] == say("en", "paused"), 15)
        await street.admin.slash("resume", channel)
        await mode(None)
        await wait_until(lambda: bool(question.original) and "saw 3" in question.original["content"], 15)
