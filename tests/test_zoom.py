"""Looking closer, on Telegram over the whole road: nine parts of what was shrunk, or the one that is described."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bots.phrases import say
from storage import keys
from tests import exhibits
from tests.emulators.engine import Request
from tests.emulators.server import Json
from tests.emulators.telegram_world import Chat, User
from tests.exhibits import codes, encoded, shown
from tests.road import Road, open_road, pictures
from tests.test_buttons import told
from tests.waiting import wait_until

BIG = encoded(exhibits.nine(), "JPEG")  # 3000x2400: seen at 1280x1024
CELLS = [f"cell{number}" for number in range(1, 10)]


async def big(user: User, caption: str, chat: Chat | None = None) -> Json:
    """A photo that Telegram does not shrink is asked about; returns the message that asks."""
    return await user.send_document(chat or user.private, BIG, "nine.jpg", "image/jpeg", caption=caption)


async def offered(user: User) -> Json:
    """The newest answer of the bot that offers a closer look."""
    await user.private.wait_for(lambda _: any("closer" in codes(each) for each in user.private.bot_messages()), 20)
    return [each for each in user.private.bot_messages() if "closer" in codes(each)][-1]


async def grid(user: User) -> Json:
    """The nine parts, as they are shown."""
    await user.press_button(await offered(user), "closer")
    await user.private.wait_for(lambda _: any("cell1" in codes(each) for each in user.private.bot_messages()), 20)
    return [each for each in user.private.bot_messages() if "cell1" in codes(each)][-1]


def asked(road: Road, words: str) -> list[exhibits.Shown]:
    """What the engine was asked in these words, oldest first."""
    return [found for request in road.asked() if words in (found := shown(request)).words]


def colour(picture: Image.Image, at: tuple[float, float]) -> int:
    """Which of the nine fields a point of a picture (0 to 1) is in."""
    found = picture.convert("RGB").getpixel((int(picture.width * at[0]), int(picture.height * at[1])))
    assert isinstance(found, tuple)
    return min(range(9), key=lambda n: sum(abs(a - b) for a, b in zip(found, exhibits.NINE[n], strict=True)))


def stripes(picture: Image.Image) -> int:
    """How sharp the stripes in the picture's middle are: 0 for grey."""
    middle = picture.convert("L").crop(
        (picture.width // 2 - 16, picture.height // 3, picture.width // 2 + 16, picture.height // 3 + 1)
    )
    return max(middle.tobytes()) - min(middle.tobytes())


async def a_number_asks_the_same_of_that_part_of_the_original(road: Road, ann: User) -> None:
    await big(ann, "What is there?")
    answer = await offered(ann)
    seen, full = "1280×1024", "3000×2400"
    labels = [button["text"] for row in answer["reply_markup"]["inline_keyboard"] for button in row]
    assert say("en", "button.closer", seen=seen, full=full) in labels
    parts = await grid(ann)
    assert codes(parts) == CELLS
    assert [len(row) for row in parts["reply_markup"]["inline_keyboard"]] == [3, 3, 3]
    (shown_grid,) = pictures(ann.private)
    assert [colour(shown_grid, (0.1 + n % 3 / 3, 0.1 + n // 3 / 3)) for n in range(9)] == list(range(9))
    await ann.press_button(parts, "cell2")
    question = say("en", "task.part", argument="What is there?")
    await ann.private.wait_for(lambda texts: f"1 seen: {question}" in texts, 20)
    whole, part = asked(road, "What is there?")
    (first,), (second,) = whole.pictures, part.pictures
    assert first.size == (1280, 1024)
    assert second.width >= 1152 and second.width / 3000 * 1000 < 420, "a ninth and a little, none of its pixels lost"
    assert [colour(second, at) for at in ((0.3, 0.3), (0.02, 0.5), (0.98, 0.5), (0.3, 0.98))] == [1, 0, 2, 4]
    assert stripes(second) > 100 > stripes(first)
    (sent,) = [each for each in ann.private.bot_messages() if each.get("text") == f"1 seen: {question}"]
    assert sent["message_id"] > parts["message_id"], "a message of its own"
    assert sent["reply_to_message"]["message_id"] == parts["message_id"]


async def what_is_described_is_found_and_looked_at_in_the_same_message(road: Road, ann: User) -> None:
    await big(ann, "How many stripes?")
    await offered(ann)
    await ann.send_text(ann.private, "/zoom the bottom middle field")
    question = say("en", "task.part", argument="How many stripes?")
    await ann.private.wait_for(lambda texts: f"1 seen: {question}" in texts, 20)
    await ann.private.wait_for(lambda texts: len(texts) == 3)
    (found,), (looked,) = asked(road, "Locate the bottom middle field and"), asked(road, question)
    assert not found.pictures, "it is in the conversation"
    assert colour(looked.pictures[0], (0.2, 0.5)) == 7
    assert stripes(looked.pictures[0]) > 100
    answer = ann.private.bot_messages()[1]
    assert not any("bbox" in str(edit["text"]) for edit in answer["edits"])
    (part,) = pictures(ann.private)
    assert colour(part, (0.2, 0.5)) == 7, "the part is shown"


async def a_part_of_a_photo_that_comes_with_the_task(road: Road, ann: User) -> None:
    await big(ann, "/zoom bottom middle")
    question = say("en", "task.part", argument=say("en", "default_question"))
    await ann.private.wait_for(lambda texts: texts[:1] == [f"1 seen: {question}"], 20)


async def when_the_original_is_gone_it_says_so(road: Road, ann: User) -> None:
    await big(ann, "How old?")
    parts = await grid(ann)
    originals = [key async for key in road.askpix.redis.scan_iter(f"{keys.PREFIX}img:telegram:{ann.id}|*.full")]
    assert len(originals) == 1
    assert 0 < await road.askpix.redis.ttl(originals[0]) <= keys.DAY
    await road.askpix.redis.delete(*originals)
    gone = say("en", "original_gone")
    assert await told(road, await ann.press_button(parts, "cell5")) == gone
    assert await told(road, await ann.press_button(await offered(ann), "closer")) == gone


async def only_its_asker_and_admins_look_closer(road: Road, ann: User) -> None:
    await big(ann, "Whose is it?")
    parts, answer = await grid(ann), await offered(ann)
    refused = say("zh", "button.not_yours")
    for message, code in ((answer, "closer"), (parts, "cell3")):
        assert await told(road, await road.ben.press_button(message, code)) == refused
    assert await told(road, await road.admin.press_button(parts, "cell3")) == say("en", "button.looking")
    await ann.private.wait_for(
        lambda texts: any(say("en", "task.part", argument="Whose is it?") in each for each in texts), 20
    )


async def forged_buttons_are_not_known(road: Road, ann: User) -> None:
    await big(ann, "Forged?")
    answer = await offered(ann)
    await ann.send_text(ann.private, "no photo")
    await ann.private.wait_for(lambda texts: "0 seen: no photo" in texts)
    bare = next(each for each in ann.private.bot_messages() if each.get("text") == "0 seen: no photo")
    for message, code in (
        (answer, "cell"), (answer, "cell0"), (answer, "cell10"), (answer, "cellar"), (answer, "cell-1"), (answer, "x"),
        (bare, "closer"), (bare, "cell1"), (bare, "code"),
    ):  # fmt: skip
        message["reply_markup"] = {"inline_keyboard": [[{"text": "?", "callback_data": code}]]}
        assert await told(road, await ann.press_button(message, code)) == say("en", "button.unknown"), code


async def forget_leaves_no_original(road: Road, ann: User) -> None:
    await big(ann, "Forget me?")
    parts, answer = await grid(ann), await offered(ann)
    await ann.send_text(ann.private, "/forget")
    await ann.private.wait_for(lambda texts: say("en", "command.forget") in texts)
    assert [key async for key in road.askpix.redis.scan_iter(f"{keys.PREFIX}img:telegram:{ann.id}|*")] == []
    for message, code in ((answer, "closer"), (parts, "cell1")):
        assert await told(road, await ann.press_button(message, code)) in (
            say("en", "original_gone"),
            say("en", "button.unknown"),
        )


SCENES = (
    a_number_asks_the_same_of_that_part_of_the_original,
    what_is_described_is_found_and_looked_at_in_the_same_message,
    a_part_of_a_photo_that_comes_with_the_task,
    when_the_original_is_gone_it_says_so,
    only_its_asker_and_admins_look_closer,
    forged_buttons_are_not_known,
    forget_leaves_no_original,
)


async def test_people_look_closer(tmp_path: Path) -> None:
    async with open_road(tmp_path, reply=exhibits.reply, slots=32) as road:
        users = [road.telegram.user(2000 + n) for n in range(len(SCENES))]
        async with asyncio.TaskGroup() as scenes:
            for scene, user in zip(SCENES, users, strict=True):
                scenes.create_task(scene(road, user), name=scene.__name__)
    assert "Traceback" not in road.askpix.logs()


@dataclass
class Gates:
    """An engine that waits before each step of a closer look, until the test opens its gate."""

    find: asyncio.Event = field(default_factory=asyncio.Event)
    look: asyncio.Event = field(default_factory=asyncio.Event)

    async def reply(self, body: Json) -> AsyncIterator[str]:
        """What a large model says, when it may."""
        words = shown(Request(0, "", body)).words
        await (self.find if "Locate" in words else self.look).wait()
        for piece in exhibits.reply(body):
            yield piece


async def test_an_adapter_that_dies_before_between_and_in_the_steps_answers_once(tmp_path: Path) -> None:
    gates, question = Gates(), say("en", "task.part", argument=say("en", "default_question"))
    async with open_road(tmp_path, reply=gates.reply) as road:
        one, other = road.telegram.user(2000), road.telegram.user(2001)
        asking = await big(one, "/zoom bottom middle")

        async def placed() -> bool:  # a crash before that leaves an empty message
            return await road.askpix.redis.llen(keys.slots(f"telegram:{one.id}:{asking['message_id']}")) == 1

        await wait_until(placed, 20)
        pid = await road.askpix.pid("telegram")
        assert pid
        os.kill(pid, signal.SIGKILL)
        gates.find.set()  # the first step ends while nobody shows it
        await wait_until(lambda: len(road.asked()) == 2, 20)
        await big(other, "/zoom bottom middle")
        await wait_until(lambda: len(road.asked()) == 4, 20)
        await road.restart("telegram")  # in the second step of both
        gates.look.set()
        for user in (one, other):
            await user.private.wait_for(lambda _, user=user: pictures(user.private), 30)
            assert user.private.texts() == [f"1 seen: {question}", ""]
        assert [len(shown(request).pictures) for request in road.asked()] == [1] * 4
