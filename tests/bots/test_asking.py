"""Albums at the door: one question with every photo in order, however its messages come."""

from __future__ import annotations

import asyncio
import random

import pytest

from bots.phrases import say
from bots.surface import FileRef
from storage import keys
from storage.messages import Done, Model
from storage.vision import image_tokens
from tests.bots.album import Album, numbers, settled, shown, waiting, with_photos, work
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.waiting import wait_until

LONG = 3600.0  # seconds that no test waits for

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_photos(desk)


async def test_a_single_photo_waits_for_no_other(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    for wait in ("QUIET", "UNADDRESSED"):
        monkeypatch.setattr(f"bots.intake.{wait}", LONG)
    door.start()
    await Album(door).photos(1)
    await door.send("alone", FileRef("p2"), user=2)
    await wait_until(lambda: door.desk.board.texts("2") == ["…"])
    assert await door.queued() == ["alone"]
    assert not await door.settled(), "the album still waits for its next photo"


@pytest.mark.parametrize("count", [2, 3, 10])
async def test_photos_in_any_order_are_one_question_in_the_order_of_their_messages(door: Door, count: int) -> None:
    order = random.Random(count).sample(range(1, count + 1), count)
    door.start()
    await Album(door).photos(*order)
    await settled(door)
    (ask,) = await waiting(door)
    assert ask.id == Album(door).id
    assert numbers(ask) == sorted(order)
    assert ask.question.text == say("en", "default_question")
    assert ask.where.message == "1"
    await shown(door, f"saw {sorted(order)}")


async def test_more_messages_than_an_album_should_have_lose_nothing(door: Door) -> None:
    await Album(door).photos(*range(12, 0, -1))
    door.start()
    await settled(door)
    await Album(door).photos(13)
    await settled(door)
    (ask,) = await waiting(door)
    assert numbers(ask) == list(range(1, 14))


@pytest.mark.parametrize("state", ["waiting", "running", "finished"])
async def test_photos_that_come_late_are_asked_about_in_the_same_message(door: Door, state: str) -> None:
    album = Album(door)
    door.start()
    await album.photos(3, 2)
    await settled(door)
    claim = None
    if state == "running":
        claim = await door.desk.claim()
    elif state == "finished":
        await work(door)
        await shown(door, "saw [2, 3]")
    await album.photos(4, 1)
    await settled(door)
    if claim:
        assert not await door.desk.stores.queue.finish(claim, Done("saw [2, 3]")), "the former try is dead"
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2, 3, 4]]
    await shown(door, "saw [1, 2, 3, 4]")
    assert sorted(door.desk.board.fetched) == ["p1", "p2", "p3", "p4"], "each is downloaded once"
    found = await door.desk.stores.history.read("telegram:1:1", 0)
    assert [turn.text for turn in found if turn.role == "assistant"] == ["saw [1, 2, 3, 4]"]


async def test_ten_photos_one_by_one_and_a_quoted_one_take_half_the_context_together(door: Door) -> None:
    context = 1024
    await door.desk.stores.health.publish_model(Model("m", context, 2, 4096, 1_310_720))
    album = Album(door)
    door.start()
    for number in range(1, 11):
        await album.send(number, quoted=(FileRef("p13", source="p13"),))
        await settled(door)
        if number in (4, 7):  # whether it waits or is answered
            await work(door)
    (ask,) = await waiting(door)
    assert numbers(ask) == list(range(1, 11))
    tokens = [image_tokens(photo.width, photo.height) for photo in ask.photos()]
    assert sum(tokens) <= context // 2
    assert (len(tokens), len(set(tokens))) == (11, 1), "the early ones have no larger share"
    kept = await door.desk.stores.images.get(ask.person, [photo.sha256 for photo in ask.photos()])
    assert [len(data or b"") for data in kept] == [photo.size for photo in ask.photos()]


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_single_caption_is_the_question_wherever_it_stands(door: Door, at: int) -> None:
    for number in (1, 2, 3):
        await Album(door).send(number, "what?" if number == at else "")
    door.start()
    await settled(door)
    (ask,) = await waiting(door)
    assert ask.question.text == ""
    assert [photo.caption for photo in ask.question.photos] == ["what?" if n == at else "" for n in (1, 2, 3)]


async def test_captions_stay_each_with_its_photo_also_with_those_that_come_late(door: Door) -> None:
    album = Album(door)
    await album.send(3, "the third")
    await album.photos(2)
    door.start()
    await settled(door)
    await album.send(1, "the first")
    await settled(door)
    (ask,) = await waiting(door)
    assert [photo.caption for photo in ask.question.photos] == ["the first", "", "the third"]
    assert ask.question.text == ""


async def test_a_caption_that_comes_late_takes_the_place_of_the_question_of_ours(door: Door) -> None:
    door.start()
    await Album(door).photos(1)
    await settled(door)
    await Album(door).send(2, "which one is older?")
    await settled(door)
    (ask,) = await waiting(door)
    assert (ask.question.text, ask.question.photos[1].caption) == ("", "which one is older?")


async def test_a_question_right_behind_an_album_is_asked_after_it(door: Door) -> None:
    door.start()
    await Album(door).photos(2, 1)
    await door.send("and now?")
    await settled(door)
    assert [ask.question.text for ask in await waiting(door)] == [say("en", "default_question"), "and now?"]


async def test_albums_back_to_back_and_of_two_people_do_not_mix(door: Door) -> None:
    one, two, other = Album(door, "one"), Album(door, "two"), Album(door, "three", user=2)
    door.start()
    await one.photos(2)
    await other.photos(6)
    await one.photos(1)
    await two.photos(4)
    await other.photos(5)
    await two.photos(3)
    await settled(door)
    asks = await waiting(door)
    assert [numbers(ask) for ask in asks if ask.lane == "telegram:1"] == [[1, 2], [3, 4]]
    assert [numbers(ask) for ask in asks if ask.lane == "telegram:2"] == [[5, 6]]


async def test_an_album_counts_as_one_question(door: Door) -> None:
    door.asks_a_minute = 1
    door.start()
    await Album(door).photos(1, 2, 3)
    await settled(door)
    await Album(door).photos(4)
    await settled(door)
    await work(door)
    await Album(door).photos(5)
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2, 3, 4, 5]]
    await shown(door, "saw [1, 2, 3, 4, 5]")


async def test_in_a_group_the_last_photo_says_that_the_album_is_for_us_and_what_follows_waits(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.intake.QUIET", 0.2)
    album = Album(door, chat="-7")
    door.start()
    await album.photos(1, 2, addressed=False)
    await album.send(3, "what?")
    await door.send("and now?", chat="-7")
    await settled(door)
    asks = await waiting(door)
    assert [numbers(ask) for ask in asks] == [[1, 2, 3], []]


async def test_an_album_that_is_not_for_us_is_dropped_quietly(door: Door) -> None:
    album = Album(door, chat="-7")
    await album.photos(1, 2, addressed=False)
    await album.send(3, refusal="no_voice", addressed=False)
    door.start()
    await settled(door)
    assert await waiting(door) == []
    assert door.desk.board.texts("-7") == []
    assert door.desk.board.fetched == []


async def test_an_album_that_may_not_be_for_us_holds_nobody_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.intake.UNADDRESSED", LONG)
    door.start()
    await Album(door, chat="-7").photos(1, 2, addressed=False)
    await door.send("mine", chat="-7")
    await door.send("another's", chat="-7", user=2)
    await wait_until(lambda: door.desk.board.texts("-7") == ["…", "…"])
    assert sorted(await door.queued()) == ["another's", "mine"]


async def test_a_late_photo_in_a_group_needs_no_mention_also_while_the_others_are_downloaded(door: Door) -> None:
    album = Album(door, chat="-7")
    slow = door.desk.board.slow["p1"] = asyncio.Event()
    await album.photos(1)
    door.start()
    await wait_until(lambda: door.desk.board.fetched == ["p1"])
    await album.photos(2, addressed=False)
    # A later message of the inbox is through: the late photo has waited for longer than it would for its neighbours.
    await Album(door, "other", 2, chat="-8").photos(3, addressed=False)
    await wait_until(lambda: in_stream(door, 2))
    slow.set()
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2]]


async def in_stream(door: Door, count: int) -> bool:
    return await door.desk.stores.redis.xlen(keys.inbox("telegram")) == count
