"""Looking closer, on Telegram over the whole road: nine parts of what was shrunk, or the one that is described."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image

from bots.phrases import say
from storage import keys
from tests import exhibits
from tests.emulators.server import Json
from tests.emulators.telegram_world import Chat, User
from tests.exhibits import codes, encoded, shown
from tests.road import Road, open_road, pictures
from tests.test_buttons import told

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = encoded(exhibits.nine(), "JPEG")  # 3000x2400: seen at 1280x1024
CELLS = [f"cell{number}" for number in range(1, 10)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    async with open_road(tmp_path_factory.mktemp("zoom"), reply=exhibits.reply, slots=16) as road:
        yield road
    assert "Traceback" not in road.askpix.logs()


@pytest.fixture
def ann(road: Road) -> User:
    """Somebody new."""
    return road.telegram.user(5000 + len(road.telegram.world.users))


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


async def test_a_number_asks_the_same_of_that_part_of_the_original(road: Road, ann: User) -> None:
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
    question = say("en", "task.part", question="What is there?")
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


async def test_what_is_described_is_found_and_looked_at_in_the_same_message(road: Road, ann: User) -> None:
    await big(ann, "How many stripes?")
    await offered(ann)
    await ann.send_text(ann.private, "/zoom bottom middle")
    question = say("en", "task.part", question="How many stripes?")
    await ann.private.wait_for(lambda texts: f"1 seen: {question}" in texts, 20)
    await ann.private.wait_for(lambda texts: len(texts) == 3)
    (found,), (looked,) = asked(road, "bottom middle"), asked(road, question)
    assert not found.pictures, "it is in the conversation"
    assert colour(looked.pictures[0], (0.2, 0.5)) == 7
    assert stripes(looked.pictures[0]) > 100
    answer = ann.private.bot_messages()[1]
    assert not any("bbox" in str(edit["text"]) for edit in answer["edits"])
    (part,) = pictures(ann.private)
    assert colour(part, (0.2, 0.5)) == 7, "the part is shown"


async def test_a_part_of_a_photo_that_comes_with_the_task(road: Road, ann: User) -> None:
    await big(ann, "/zoom bottom middle")
    question = say("en", "task.part", question=say("en", "default_question"))
    await ann.private.wait_for(lambda texts: texts[:1] == [f"1 seen: {question}"], 20)


async def test_when_the_original_is_gone_it_says_so(road: Road, ann: User) -> None:
    await big(ann, "How old?")
    parts = await grid(ann)
    originals = [key async for key in road.askpix.redis.scan_iter(f"{keys.PREFIX}img:telegram:{ann.id}|*.full")]
    assert len(originals) == 1
    assert 0 < await road.askpix.redis.ttl(originals[0]) <= keys.DAY
    await road.askpix.redis.delete(*originals)
    gone = say("en", "original_gone")
    assert await told(road, await ann.press_button(parts, "cell5")) == gone
    assert await told(road, await ann.press_button(await offered(ann), "closer")) == gone


async def test_only_its_asker_and_admins_look_closer(road: Road, ann: User) -> None:
    await big(ann, "Whose is it?")
    parts, answer = await grid(ann), await offered(ann)
    refused = say("zh", "button.not_yours")
    for message, code in ((answer, "closer"), (parts, "cell3")):
        assert await told(road, await road.ben.press_button(message, code)) == refused
    assert await told(road, await road.admin.press_button(parts, "cell3")) == say("en", "button.looking")
    await ann.private.wait_for(
        lambda texts: any(say("en", "task.part", question="Whose is it?") in each for each in texts), 20
    )


async def test_forged_buttons_are_not_known(road: Road, ann: User) -> None:
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


async def test_forget_leaves_no_original(road: Road, ann: User) -> None:
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
