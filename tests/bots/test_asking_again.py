"""Albums after they were asked about: stopped, forgotten, edited, read again after a crash."""

from __future__ import annotations

import asyncio

import pytest

from bots.phrases import say
from bots.surface import FileRef
from storage import keys
from storage.connection import Client
from storage.messages import Ask
from tests.bots.album import Album, dead, numbers, settled, shown, waiting, with_photos, work
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_photos(desk)


@pytest.mark.parametrize("state", ["waiting", "running", "finished"])
async def test_a_late_photo_leaves_a_stopped_question_stopped(door: Door, state: str) -> None:
    album, queue = Album(door), door.desk.stores.queue
    door.start()
    await album.photos(1)
    await settled(door)
    claim = await door.desk.claim() if state != "waiting" else None
    await queue.cancel("telegram:1", id=album.id)
    if claim and state == "finished":
        await queue.release(claim)
    await album.photos(2)
    await settled(door)
    if claim and state == "running":
        assert await queue.renew([claim]) == ["cancelled"]
        await queue.release(claim)
    assert await waiting(door) == []
    await shown(door, say("en", "stopped"))


@pytest.mark.parametrize("state", ["waiting", "running"])
async def test_a_question_stopped_while_its_late_photo_is_downloaded_stays_stopped(door: Door, state: str) -> None:
    album, queue = Album(door), door.desk.stores.queue
    door.start()
    await album.photos(1)
    await settled(door)
    claim = await door.desk.claim() if state == "running" else None
    slow = door.desk.board.slow["p2"] = asyncio.Event()
    await album.photos(2)
    await wait_until(lambda: "p2" in door.desk.board.fetched)
    await queue.cancel("telegram:1", id=album.id)
    slow.set()
    await settled(door)
    if claim:
        await queue.release(claim)
    assert await waiting(door) == []
    await shown(door, say("en", "stopped"))


@pytest.mark.parametrize("command", ["new", "forget"])
async def test_a_late_photo_of_a_forgotten_album_does_nothing(door: Door, command: str) -> None:
    album = Album(door)
    door.start()
    await album.photos(1, 2)
    await settled(door)
    await work(door)
    await wait_until(door.desk.delivered)
    await door.send(command=command)
    await settled(door)
    await album.photos(3)
    await settled(door)
    assert await waiting(door) == []
    await shown(door, "saw [1, 2]", say("en", f"command.{command}"))
    assert "p3" not in door.desk.board.fetched


async def test_forget_while_the_answer_runs_keeps_it_stopped_when_a_photo_comes_late(door: Door) -> None:
    door.start()
    await Album(door).photos(1)
    await settled(door)
    claim = await door.desk.claim()
    await door.send(command="forget")
    await Album(door).photos(2)
    await settled(door)
    assert await door.desk.stores.queue.renew([claim]) == ["cancelled"]
    assert "p2" not in door.desk.board.fetched


@pytest.mark.parametrize("state", ["gathering", "waiting", "finished"])
async def test_an_edited_caption_asks_the_whole_album_anew(door: Door, state: str) -> None:
    album = Album(door)
    if state != "gathering":
        door.start()
    await album.photos(1)
    await album.send(2, "what?")
    if state != "gathering":
        await settled(door)
    if state == "finished":
        await work(door)
        await shown(door, "saw [1, 2]")
    await album.send(2, "where?", edited=True)
    if state == "gathering":
        door.start()
    await settled(door)
    (ask,) = await waiting(door)
    assert [(photo.message, photo.caption) for photo in ask.question.photos] == [(1, ""), (2, "where?")]
    await shown(door, "saw [1, 2]")
    await album.send(2, "where?", edited=True)
    await settled(door)
    assert await waiting(door) == [], "nothing was changed"


async def test_another_photo_in_the_place_of_one_is_asked_about_in_its_place(door: Door) -> None:
    album = Album(door)
    door.start()
    await album.photos(1, 2)
    await settled(door)
    before = await work(door)
    await album.send(1, file=FileRef("p9", source="p9"), edited=True)
    await settled(door)
    (ask,) = await waiting(door)
    assert numbers(ask) == [1, 2]
    assert [photo.source for photo in ask.question.photos] == ["p9", "p2"]
    assert ask.question.photos[1] == before.question.photos[1]


@pytest.mark.parametrize("state", ["waiting", "finished"])
async def test_an_album_read_again_after_a_crash_neither_doubles_nor_loses_a_photo(
    door: Door, monkeypatch: pytest.MonkeyPatch, redis: Client, state: str
) -> None:
    album = Album(door)
    with monkeypatch.context() as patched:
        patched.setattr("storage.inbox.Inbox.done", dead)
        door.start()
        await album.photos(3, 1)
        await wait_until(lambda: redis.exists(keys.slots(album.id)))  # before that, a crash may leave an empty one
        if state == "finished":
            await work(door)
        await door.desk.crash()
    await album.photos(2, 4)
    door.start()
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2, 3, 4]]
    await shown(door, "saw [1, 2, 3, 4]")


async def test_a_crash_while_an_album_is_gathered_or_downloaded_loses_no_photo(door: Door) -> None:
    album = Album(door)
    door.desk.board.slow["p2"] = asyncio.Event()
    door.start()
    await album.photos(2, 1)
    await wait_until(lambda: len(door.desk.board.fetched) == 2)
    await album.photos(3)
    await door.desk.crash()
    door.desk.board.slow.clear()
    door.start()
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2, 3]]


async def test_a_late_photo_whose_amending_was_not_confirmed_is_shown(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    album, queue = Album(door), door.desk.stores.queue
    real, lost = queue.amend, [True]

    async def amend(ask: Ask, fence: int, *, newest: bool = False) -> str:
        done = await real(ask, fence, newest=newest)
        if lost.pop() if lost else False:
            raise ConnectionError("the answer was lost")
        return done

    monkeypatch.setattr(queue, "amend", amend)
    door.start()
    await album.photos(1)
    await settled(door)
    await work(door)
    await wait_until(door.desk.delivered)
    await album.photos(2)
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 2]]
    await shown(door, "saw [1, 2]")
