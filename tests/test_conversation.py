"""The story a newcomer reads first: a person, a photo, a question, and what happens to them.

Everything is real but Telegram itself: `askpix up` as a process with its store, its engine with the demo model, its
worker and its Telegram bot, which talks to an emulator over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from bots.phrases import say
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_person import Person
from tests.service import askpix_up

GROUP = -100200
PEOPLE = range(1001, 1021)  # a test takes two of them: nobody has a past

pytestmark = pytest.mark.asyncio(loop_scope="module")


def picture(colour: str, size: tuple[int, int] = (640, 480), form: str = "JPEG") -> bytes:
    """A plain picture."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


@dataclass
class Town:
    """A Telegram with a bot that runs, for all tests here, and people who have asked nothing yet."""

    telegram: TelegramEmulator
    numbers: Iterator[int]

    def people(self) -> tuple[Person, Person]:
        """One who speaks English and one who speaks Chinese."""
        ann = self.telegram.user(next(self.numbers))
        return ann, self.telegram.user(next(self.numbers), first_name="Ben", language_code="zh-hans")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    allowed = " ".join(f"telegram:{number}" for number in PEOPLE)
    async with (
        TelegramEmulator() as telegram,
        askpix_up(
            tmp_path_factory.mktemp("data"), TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, ALLOW=allowed
        ),
    ):
        yield Town(telegram, iter(PEOPLE))


async def test_a_photo_with_a_question_is_answered_in_one_message(town: Town) -> None:
    ann, _ = town.people()
    question = await ann.send_photo(ann.private, picture("red"), caption="What colour is this?")
    await ann.private.wait_for(lambda texts: "The picture is red." in texts)
    (answer,) = ann.private.bot_messages()
    assert answer["reply_to_message"]["message_id"] == question["message_id"]
    hers = [call.params for call in town.telegram.calls if call.params.get("chat_id") == str(ann.id)]
    sent = [params["text"] for params in hers if "text" in params and "message_id" not in params]
    assert sent == [say("en", "placeholder")], "it was placed empty, and the answer was edited into it"


async def test_a_follow_up_needs_no_photo(town: Town) -> None:
    ann, _ = town.people()
    await ann.send_photo(ann.private, picture("blue"), caption="What colour is this?")
    await ann.private.wait_for(lambda texts: "The picture is blue." in texts)
    await ann.send_text(ann.private, "What colour was it?")
    await ann.private.wait_for(lambda texts: len(texts) == 2 and "blue" in texts[-1])


async def test_people_do_not_see_each_others_photos(town: Town) -> None:
    ann, ben = town.people()
    await asyncio.gather(
        ann.send_photo(ann.private, picture("green"), caption="What colour is this?"),
        ben.send_photo(ben.private, picture("yellow"), caption="这是什么颜色？"),
    )
    await ann.private.wait_for(lambda texts: "The picture is green." in texts)
    await ben.private.wait_for(lambda texts: any("黄色" in text for text in texts))


async def test_a_question_in_reply_to_somebody_elses_photo_is_about_that_photo(town: Town) -> None:
    (ann, ben), group = town.people(), town.telegram.group(GROUP)
    photo = await ben.send_photo(group, picture("red"))
    await ann.send_text(group, f"@{town.telegram.world.bot['username']} What colour is this?", reply_to=photo)
    await group.wait_for(lambda texts: "The picture is red." in texts)


async def test_an_image_sent_as_a_file_is_read_too(town: Town) -> None:
    ann, _ = town.people()
    await ann.send_document(ann.private, picture("red", form="PNG"), "red.png", "image/png", caption="What colour?")
    await ann.private.wait_for(lambda texts: "The picture is red." in texts)


async def test_the_first_admin_comes_by_the_one_time_link(tmp_path: Path) -> None:
    async with (
        TelegramEmulator() as telegram,
        askpix_up(tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url) as askpix,
    ):
        ann, ben = Town(telegram, iter(PEOPLE)).people()
        await ann.send_text(ann.private, "Hello")
        await ann.private.wait_for(lambda texts: say("en", "command.stranger", person=f"telegram:{ann.id}") in texts)
        link = await askpix.said(r"https://t.me/\w+\?start=(\S+)")
        await ann.send_text(ann.private, f"/start {link[1]}")
        await ann.private.wait_for(lambda texts: say("en", "command.admin") in texts)
        await ben.send_text(ben.private, f"/start {link[1]}")
        await ben.private.wait_for(lambda texts: say("zh", "command.stranger", person=f"telegram:{ben.id}") in texts)
        await ann.send_photo(ann.private, picture("red"), caption="What colour is this?")
        await ann.private.wait_for(lambda texts: "The picture is red." in texts)


async def test_the_same_update_ten_times_gives_one_answer(town: Town) -> None:
    ann, _ = town.people()
    await ann.send_photo(ann.private, picture("red"), caption="What colour is this?")
    town.telegram.redeliver(town.telegram.updates[-1], 9)
    await ann.private.wait_for(lambda texts: "The picture is red." in texts)
    await ann.send_text(ann.private, "Hello")
    await ann.private.wait_for(lambda texts: texts[-1].startswith("Hello"))
    assert len(ann.private.bot_messages()) == 2
