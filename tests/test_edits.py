"""Edits on the whole road: asked again in the same message, or ignored, as people edit in a chat."""

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


async def reply(body: Json) -> AsyncIterator[str]:
    """What was seen; never, of what takes long."""
    if newest(body)[1] == "takes long":
        await asyncio.Event().wait()
    for piece in describe(body):
        yield piece


async def shows(chat: Chat, *texts: str) -> None:
    """Wait until these are the bot's messages."""
    await chat.wait_for(lambda found: found == list(texts), 20)


async def a_text(road: Road, user: User) -> None:
    chat = user.private
    question = await user.send_text(chat, "one")
    await shows(chat, "saw nothing: one")
    await user.edit_text(question, "two")
    await shows(chat, "saw nothing: two")
    await user.edit_text(question, "two")
    await user.send_text(chat, "three")
    await shows(chat, "saw nothing: two", "saw nothing: three")
    assert "one" not in str(road.asked()[-1].body["messages"])


async def a_photo(road: Road, user: User) -> None:
    chat = user.private
    question = await user.send_photo(chat, canary(3), "photo")
    await shows(chat, "saw 3: photo")
    await user.edit_caption(question, "caption")
    await shows(chat, "saw 3: caption")
    await user.edit_media(question, canary(5))
    await shows(chat, "saw 5: caption")


async def what_runs_and_what_waits(road: Road, user: User) -> None:
    chat = user.private
    running = await user.send_photo(chat, canary(6), "takes long")
    waiting = await user.send_text(chat, "early")
    await shows(chat, "…", "…")
    await wait_until(lambda: ([6], "takes long") in asked(road))
    await user.edit_text(waiting, "late")
    await user.edit_caption(running, "takes no time")
    await shows(chat, "saw 6: takes no time", "saw nothing: late")


async def a_file_that_was_refused(road: Road, user: User) -> None:
    chat = user.private
    question = await user.send_document(chat, b"no picture", "a.png", "image/png", caption="good?")
    await shows(chat, say("en", "not_an_image"))
    await user.edit_media(question, canary(4))
    await shows(chat, say("en", "not_an_image"), "saw 4: good?")


async def what_was_overheard(road: Road, user: User) -> None:
    chat = road.telegram.group(-100301)
    said = await user.send_text(chat, "hello")
    await user.edit_text(said, f"@{road.telegram.world.bot['username']} hello")
    await shows(chat, "saw nothing: hello")


async def a_question_by_command(road: Road, user: User) -> None:
    chat = road.telegram.group(-100302)
    question = await user.send_text(chat, "/ask first")
    await shows(chat, "saw nothing: first")
    await user.edit_text(question, "/ask second")
    await shows(chat, "saw nothing: second")


async def a_command(road: Road, user: User) -> None:
    chat = user.private
    await user.send_text(chat, "remember me")
    await shows(chat, "saw nothing: remember me")
    command = await user.send_text(chat, "/new")
    await shows(chat, "saw nothing: remember me", say("en", "command.new"))
    await user.edit_text(command, "/help")
    await user.edit_text(command, "/stop")
    await user.send_text(chat, "and now?")
    await chat.wait_for(lambda texts: texts[2:] == ["saw nothing: and now?"])


def asked(road: Road) -> list[tuple[list[int], str]]:
    """What the engine was shown and asked, in order."""
    return [newest(request.body) for request in road.asked()]


async def test_people_edit_and_are_answered_in_the_same_message(tmp_path: Path) -> None:
    scenes = (
        a_text, a_photo, what_runs_and_what_waits, a_file_that_was_refused, what_was_overheard, a_question_by_command,
        a_command,
    )  # fmt: skip
    async with open_road(tmp_path, reply=reply) as road:
        users = [road.telegram.user(2000 + n) for n in range(len(scenes))]
        await asyncio.gather(*(scene(road, user) for scene, user in zip(scenes, users, strict=True)))
        expected: list[tuple[list[int], str]] = [
            ([], "one"), ([], "two"), ([], "three"), ([3], "photo"), ([3], "caption"), ([5], "caption"),
            ([6], "takes long"), ([6], "takes no time"), ([], "late"), ([4], "good?"), ([], "hello"), ([], "first"),
            ([], "second"), ([], "remember me"), ([], "and now?"),
        ]  # fmt: skip
        assert sorted(asked(road)) == sorted(expected)
