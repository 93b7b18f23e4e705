"""A group on the real road: what the engine is shown of whom, and what happens to it when the group changes."""

from __future__ import annotations

from pathlib import Path

from tests.canary import canary, number_of
from tests.emulators.engine import Request
from tests.emulators.server import Json
from tests.road import GROUP, describe, newest, open_road
from tests.waiting import wait_until


def said(request: Request) -> list[str]:
    """The words of every turn that the engine was shown."""
    found: list[str] = []
    for message in request.body["messages"][1:]:
        content = message["content"]
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        found.append("".join(parts).strip())
    return found


async def test_each_member_has_a_conversation_of_their_own_and_may_ask_about_another_s_photo(tmp_path: Path) -> None:
    async with open_road(tmp_path) as road:
        group, asked = road.telegram.group(GROUP), road.asked
        photo = await road.ann.send_photo(group, canary(7), "@askpix_bot what is mine?")
        await group.wait_for(lambda texts: texts == ["saw 7: what is mine?"])
        await road.ben.send_text(group, "/ask what do I know?")
        await wait_until(lambda: len(asked()) == 2)
        await road.ben.send_text(group, "/ask what is Ann's?", reply_to=photo)
        await wait_until(lambda: len(asked()) == 3)
        await road.ann.send_text(group, "/ask and still mine?")
        await wait_until(lambda: len(asked()) == 4)
        _, ben, quoting, ann = asked()
        assert (said(ben), ben.pictures()) == (["what do I know?"], [])
        assert said(quoting)[:2] == ["what do I know?", "saw nothing: what do I know?"]
        numbers, words = newest(quoting.body)
        assert (numbers, "@askpix_bot what is mine?" in words, "what is Ann's?" in words) == ([7], True, True)
        assert said(ann) == ["what is mine?", "saw 7: what is mine?", "and still mine?"]
        assert [number_of(picture) for picture in ann.pictures()] == [7]


async def test_a_group_that_grows_as_the_bot_dies_is_answered_once_and_goes_on(tmp_path: Path) -> None:
    async with open_road(tmp_path, OPEN="0", ALLOW="telegram:chat:-77") as road:
        group = road.telegram.group(-77, "Friends", kind="group")
        await road.ann.send_text(group, "/ask one")
        await group.wait_for(lambda texts: texts == ["saw nothing: one"])
        road.engine.first_delay = 1.0
        await road.ann.send_text(group, "/ask two")
        await wait_until(lambda: len(road.asked()) == 2)
        grown = await road.ann.migrate(group)
        await road.restart("telegram")
        await grown.wait_for(lambda texts: texts == ["saw nothing: two"])
        road.engine.first_delay = 0.0
        await road.ann.send_text(grown, "/ask three")
        await wait_until(lambda: len(road.asked()) == 3)
        assert said(road.asked()[-1]) == ["one", "saw nothing: one", "two", "saw nothing: two", "three"]
        assert grown.texts().count("saw nothing: two") == 1


def long(_: Json) -> list[str]:
    """An answer of a minute."""
    return ["word "] * 1000


async def test_thrown_out_in_mid_answer_the_engine_is_free_at_once(tmp_path: Path) -> None:
    async with open_road(tmp_path, reply=long, delay=0.05) as road:
        group = road.telegram.group(GROUP)
        await road.ann.send_text(group, "/ask for a thousand words")
        await group.wait_for(lambda texts: any("word" in text for text in texts))
        await road.ann.remove_bot(group)
        await wait_until(lambda: road.engine.running == 0 and road.engine.disconnects != [], 5)
        road.engine.delay, road.engine.reply = 0.0, describe
        await road.ann.send_text(road.ann.private, "and here?")
        await road.ann.private.wait_for(lambda texts: texts == ["saw nothing: and here?"])
