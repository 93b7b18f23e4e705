"""Stop and Regenerate on the whole road: the engine is free at once, and old buttons work whoever died meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from bots.phrases import say
from tests.canary import canary
from tests.emulators.server import Json
from tests.emulators.telegram_world import Chat, User
from tests.road import Road, describe, newest, open_road
from tests.waiting import wait_until

STOPPED = say("en", "stopped")


async def endless(body: Json) -> AsyncIterator[str]:
    """An answer without an end; to a question with "prefill" in it, one without a beginning."""
    if "prefill" in newest(body)[1]:
        await asyncio.Event().wait()
    while True:
        yield "word "
        await asyncio.sleep(0.02)


async def begun(road: Road, words: str) -> None:
    """Wait until the engine has this question."""
    await wait_until(lambda: any(newest(request.body)[1] == words for request in road.asked()))


async def freed(road: Road, words: str) -> None:
    """Wait until the engine sees that nobody waits for this question's answer; it has a second."""
    await wait_until(lambda: any(newest(gone.body)[1] == words for gone in road.engine.disconnects), 1)


async def told(road: Road, press: Json) -> str:
    """What the one who pressed was told."""
    await wait_until(lambda: press["id"] in road.telegram.api.answers)
    return road.telegram.api.answers[press["id"]]["text"]


def codes(chat: Chat) -> list[list[str]]:
    """What the buttons under each of the bot's messages send."""
    markups: list[Json] = [message.get("reply_markup", {}) for message in chat.bot_messages()]
    rows = [row for markup in markups for row in markup.get("inline_keyboard", [[]])]
    return [[button["callback_data"] for button in row] for row in rows]


async def test_who_is_stopped_leaves_the_engine_within_a_second_and_who_waits_never_gets_there(tmp_path: Path) -> None:
    async def by_button(user: User, words: str, beginning: str) -> None:
        await user.send_text(user.private, words)
        await begun(road, words)
        await user.private.wait_for(lambda texts: texts and texts[0].startswith(beginning))
        await user.press_button(user.private.bot_messages()[0], "stop")
        await freed(road, words)
        await user.private.wait_for(lambda texts: texts[0].startswith(beginning.strip("…")) and STOPPED in texts[0])
        assert codes(user.private) == [["again"]]

    async def by_command(user: User) -> None:
        for words in ("by command", "waits"):
            await user.send_text(user.private, words)
        await user.private.wait_for(lambda texts: len(texts) == 2)
        await begun(road, "by command")
        await user.send_text(user.private, "/stop")
        await freed(road, "by command")
        await user.private.wait_for(lambda texts: texts[0].endswith(STOPPED) and texts[1] == STOPPED)

    async with open_road(tmp_path, reply=endless) as road:
        one, two, three = (road.telegram.user(2000 + n) for n in range(3))
        await road.ben.send_text(road.ben.private, "another's")
        await asyncio.gather(
            by_button(one, "in prefill", "…"), by_button(two, "in mid-answer", "word"), by_command(three)
        )
        asked = {newest(request.body)[1] for request in road.asked()}
        assert asked == {"another's", "in prefill", "in mid-answer", "by command"}
        assert road.engine.running == 1, "another's goes on"
        await road.ben.send_text(road.ben.private, "/stop")
        await freed(road, "another's")


async def test_buttons_work_after_every_process_was_killed(tmp_path: Path) -> None:
    after: dict[str, str] = {}  # what is answered from some time on

    def reply(body: Json) -> list[str] | AsyncIterator[str]:
        words = newest(body)[1]
        return [after[words]] if words in after else endless(body) if words == "runs" else describe(body)

    async with open_road(tmp_path, reply=reply) as road:
        one, runs = (road.telegram.user(2000 + n) for n in range(2))
        await runs.send_text(runs.private, "runs")
        await one.send_photo(one.private, canary(7), "one")
        await one.private.wait_for(lambda texts: texts == ["saw 7: one"])
        await runs.private.wait_for(lambda texts: texts and texts[0].startswith("word"))
        await road.engine.stop()
        await road.restart("telegram", "worker")
        await road.restart("valkey")
        await road.engine.start()
        after["one"] = "seen anew"
        (slot,) = one.private.bot_messages()
        assert await told(road, await road.ben.press_button(slot, "again")) == say("zh", "button.not_yours")
        assert await told(road, await one.press_button(slot, "again", inaccessible=True)) == say("en", "again")
        assert await told(road, await runs.press_button(runs.private.bot_messages()[0], "stop")) == say(
            "en", "button.stopping"
        )
        await runs.private.wait_for(lambda texts: texts[0].endswith(STOPPED), 20)
        after["runs"] = "the end"
        road.telegram.api.query_seconds = 0.0  # from now on nobody can be told any more
        await road.admin.press_button(runs.private.bot_messages()[0], "again")
        await runs.private.wait_for(lambda texts: texts == ["the end"])
        await one.private.wait_for(lambda texts: texts == ["seen anew"])
        await one.send_text(one.private, "and now?")
        await begun(road, "and now?")
        messages = road.asked()[-1].body["messages"]
        assert [said["content"] for said in messages if said["role"] == "assistant"] == ["seen anew"]
