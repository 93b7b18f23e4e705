"""Albums of which something cannot be taken: one sentence a reason, and an answer about the rest."""

from __future__ import annotations

import asyncio
import random

import pytest

from bots.phrases import say
from bots.surface import FileRef, Flooded, Gone, Unreachable
from storage import keys
from storage.messages import Model
from tests.bots.album import Album, dead, numbers, settled, shown, waiting, with_photos, work
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_photos(desk)


async def test_a_late_one_that_is_bad_costs_the_others_nothing(door: Door) -> None:
    await door.desk.stores.health.publish_model(Model("m", 512, 2, 4096, 1_310_720))
    album = Album(door)
    door.start()
    await album.photos(1, 2)
    await settled(door)
    former = await work(door)
    await album.send(3, file=FileRef("junk"))
    await settled(door)
    assert await waiting(door) == [], "nothing to answer anew"
    await shown(door, "saw [1, 2]", say("en", "not_an_image"))
    found = await door.desk.stores.queue.find(former.id)
    assert found is not None
    assert found.ask.question.photos == former.question.photos


async def test_the_photos_of_an_album_are_downloaded_side_by_side_and_one_that_fails_loses_no_other(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.files.DOWNLOAD_TRIES", 1)
    board = door.desk.board
    board.slow = {f"p{n}": asyncio.Event() for n in range(1, 7)}
    board.faults["fetch p2"].append(Gone())
    board.faults["fetch p5"].append(Unreachable())
    door.start()
    await Album(door).photos(*range(1, 7))
    await wait_until(lambda: len(board.fetched) == 6)
    for number in random.Random(2).sample(range(1, 7), 6):
        board.slow[f"p{number}"].set()
    await settled(door)
    assert [numbers(ask) for ask in await waiting(door)] == [[1, 3, 4, 6]]
    await shown(door, "saw [1, 3, 4, 6]", say("en", "download_failed"))


BAD: list[tuple[FileRef | None, str, dict[str, object]]] = [
    (None, "no_voice", {}),
    (None, "no_document", {}),
    (FileRef("junk"), "not_an_image", {}),
    (FileRef("p2", 20_000_001), "too_large", {"limit": 20}),
]


@pytest.mark.parametrize(("file", "code", "args"), BAD)
async def test_a_bad_one_gets_one_sentence_and_the_rest_is_asked_about(
    door: Door, file: FileRef | None, code: str, args: dict[str, object]
) -> None:
    album = Album(door)
    await album.photos(1)
    for number in (2, 3):
        await album.send(number, file=file, refusal="" if file else code)
    await album.send(4, "what?")
    door.start()
    await settled(door)
    (ask,) = await waiting(door)
    assert numbers(ask) == [1, 4]
    await shown(door, "saw [1, 4]", say("en", code, **args))
    (slot,) = [slot for slot, page in door.desk.board.shown.items() if page.text == say("en", code, **args)]
    assert door.desk.board.answered[slot] in ("2", "3"), "it answers the bad one"


async def test_what_is_bad_is_said_once_also_when_it_comes_apart_or_is_read_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = Album(door)
    with monkeypatch.context() as patched:
        patched.setattr("storage.inbox.Inbox.done", dead)
        door.start()
        await album.photos(1)
        await album.send(2, refusal="no_voice")
        await wait_until(lambda: say("en", "no_voice") in door.desk.board.texts())
        await wait_until(lambda: "…" in door.desk.board.texts())
        await wait_until(lambda: door.desk.stores.redis.exists(keys.sent(album.id, 0, "no_voice")))
        await door.desk.crash()
    door.start()
    await settled(door)
    await album.send(3, refusal="no_voice")
    await settled(door)
    await waiting(door)
    await wait_until(door.desk.delivered)
    assert door.desk.board.texts().count(say("en", "no_voice")) == 1


async def test_a_bad_one_does_not_hold_up_the_question_about_the_rest(door: Door) -> None:
    door.desk.board.faults["place 1"].append(Flooded(60))  # the sentence cannot be said for a minute
    await Album(door).photos(1)
    await Album(door).send(2, refusal="no_voice")
    door.start()
    await wait_until(lambda: door.desk.stores.redis.exists(keys.job(Album(door).id)))


async def test_an_album_of_bad_ones_only_gets_one_sentence_for_each_reason(door: Door) -> None:
    album = Album(door)
    await album.send(1, file=FileRef("junk"))
    await album.send(2, "what is it?", refusal="no_voice")
    await album.send(3, file=FileRef("p3", 20_000_001))
    await album.send(4, file=FileRef("junk"))
    await album.send(5, refusal="no_voice")
    door.start()
    await settled(door)
    assert await waiting(door) == []
    sentences = say("en", "not_an_image"), say("en", "no_voice"), say("en", "too_large", limit=20)
    assert sorted(door.desk.board.texts()) == sorted(sentences)


@pytest.mark.parametrize(("file", "refusal"), [(None, "no_voice"), (FileRef("junk"), "")])
async def test_the_question_under_a_bad_one_is_asked_about_the_rest(
    door: Door, file: FileRef | None, refusal: str
) -> None:
    album = Album(door)
    await album.send(1, "what do you see?", file, refusal=refusal)
    await album.photos(2)
    door.start()
    await settled(door)
    await album.photos(3)
    await settled(door)
    await album.send(4, "and here?")
    await settled(door)
    (ask,) = await waiting(door)
    assert numbers(ask) == [2, 3, 4]
    assert ask.question.text == "what do you see?"
    assert ask.question.photos[2].caption == "and here?"
