"""An edited question is answered again in the same place, whatever it was doing; one without a change is ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from bots.phrases import say
from bots.surface import FileRef, Incoming
from storage.messages import Ask, Cancelled, Done, Failed, encode
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import answer, ask, claim, codes, is_state, press, remembered, slots, turns
from tests.bots.pictures import encoded, halves, noise
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    desk.board.files = {"p1": encoded(halves()), "p2": encoded(noise(64, 64)), "junk": b"no picture"}
    return Door(desk)


async def edit(door: Door, incoming: Incoming, text: str | None = None, *files: FileRef) -> Incoming:
    """Edit a message and wait until that is taken in; what is not given stays."""
    changed = structs.replace(
        incoming, text=incoming.text if text is None else text, photos=files or incoming.photos, edited=True
    )
    await door.put(encode(changed))
    await wait_until(door.settled)
    return changed


async def waits(door: Door) -> None:
    """The ask is left as it is."""


async def runs(door: Door) -> None:
    held = await claim(door)
    await door.desk.stores.replies.emit(held, "half")
    await wait_until(lambda: door.desk.board.texts() == ["half …"])


async def is_answered(door: Door) -> None:
    await answer(door, "old")


async def fails(door: Door) -> None:
    await answer(door, event=Failed("gave_up"))


async def is_stopped(door: Door) -> None:
    await press(door, "stop")
    await wait_until(door.desk.delivered)


async def is_stopped_in_mid_answer(door: Door) -> None:
    await answer(door, "half", Cancelled("half"))


async def is_being_stopped(door: Door) -> None:
    await claim(door)
    await press(door, "stop")


EVERY_STATE = pytest.mark.parametrize(
    "happens", [waits, runs, is_answered, fails, is_stopped, is_stopped_in_mid_answer, is_being_stopped]
)


@EVERY_STATE
async def test_an_edited_question_is_answered_once_more_in_its_place(
    door: Door, happens: Callable[[Door], Awaitable[None]]
) -> None:
    door.start()
    incoming = await ask(door, "what is it?", FileRef("p1", source="s1"))
    place = slots(door)
    await happens(door)
    await edit(door, incoming, "and now?")
    await wait_until(lambda: door.desk.board.texts() == ["…"])
    assert codes(door) == [["stop"]]
    held = await answer(door, "new")
    assert (held.ask.question.text, len(held.ask.question.photos)) == ("and now?", 1)
    assert (door.desk.board.texts(), slots(door)) == (["new"], place)
    assert await remembered(door) == ["and now?", "new"]
    assert door.desk.board.fetched == ["p1"], "the photo is here already"
    assert await door.queued() == []


@EVERY_STATE
async def test_an_edit_without_a_change_is_ignored(door: Door, happens: Callable[[Door], Awaitable[None]]) -> None:
    door.start()
    incoming = await ask(door, "what is it?", FileRef("p1", source="s1"))
    await happens(door)
    before = await door.desk.stores.queue.find(incoming.id)
    await edit(door, incoming)
    assert await door.desk.stores.queue.find(incoming.id) == before
    assert len(slots(door)) == 1


@pytest.mark.parametrize("happens", [waits, runs, is_answered])
async def test_a_photo_that_was_replaced_is_the_one_that_is_asked_about(
    door: Door, happens: Callable[[Door], Awaitable[None]]
) -> None:
    door.start()
    incoming = await ask(door, "", FileRef("p1", source="s1"))
    await happens(door)
    former = await door.desk.stores.queue.find(incoming.id)
    assert former
    await edit(door, incoming, None, FileRef("p2", source="s2"))
    held = await answer(door, "blue")
    (photo,) = held.ask.question.photos
    assert photo.sha256 != former.ask.question.photos[0].sha256
    assert held.ask.question.text == say("en", "default_question")
    assert door.desk.board.texts() == ["blue"]


async def test_a_photo_that_is_no_longer_kept_is_fetched_again(door: Door) -> None:
    door.start()
    incoming = await ask(door, "what is it?", FileRef("p1", source="s1"))
    await answer(door, "red")
    await door.desk.stores.images.forget("telegram:1")
    await edit(door, incoming, "and now?")
    held = await answer(door, "new")
    assert None not in await door.desk.stores.images.get("telegram:1", [held.ask.question.photos[0].sha256])


async def test_an_older_question_is_not_answered_again_and_that_is_said_once(door: Door) -> None:
    door.start()
    older = await ask(door, "older")
    await answer(door, "one")
    await ask(door, "newest")
    await answer(door, "two")
    await edit(door, older, "changed")
    assert door.desk.board.texts() == ["one", "two", say("en", "edit_old")]
    assert await remembered(door) == ["older", "one", "newest", "two"]
    assert await door.queued() == []


@pytest.mark.parametrize("command", ["new", "forget"])
async def test_a_question_of_before_a_fresh_start_is_not_answered_again(door: Door, command: str) -> None:
    door.start()
    incoming = await ask(door, "secret")
    await answer(door, "one")
    await door.send(command=command)
    await edit(door, incoming, "changed")
    assert door.desk.board.texts()[2:] == [say("en", "edit_old")]
    assert await door.queued() == []


async def test_a_file_that_was_refused_and_is_replaced_by_a_good_one_is_asked_about(door: Door) -> None:
    door.start()
    incoming = await door.send("what is it?", FileRef("junk", source="s0"))
    await wait_until(door.settled)
    assert door.desk.board.texts() == [say("en", "not_an_image")]
    await edit(door, incoming, None, FileRef("p1", source="s1"))
    await answer(door, "red")
    assert door.desk.board.texts() == [say("en", "not_an_image"), "red"]


async def test_a_good_file_that_is_replaced_by_a_bad_one_leaves_its_answer(door: Door) -> None:
    door.start()
    incoming = await ask(door, "what is it?", FileRef("p1", source="s1"))
    await answer(door, "red")
    await edit(door, incoming, None, FileRef("junk", source="s0"))
    assert door.desk.board.texts() == ["red", say("en", "not_an_image")]
    assert await remembered(door) == ["what is it?", "red"]


async def test_a_message_that_was_not_for_us_is_asked_when_an_edit_addresses_us(door: Door) -> None:
    door.start()
    incoming = await door.send("hello", chat="-100")  # stands for one that nobody read: another id
    unseen = structs.replace(incoming, id="telegram:-100:77", text="hello bot")
    await edit(door, unseen)
    await wait_until(lambda: len(slots(door, "-100")) == 2)
    assert await door.queued() == ["hello", "hello bot"]


async def test_too_many_edits_are_refused_and_the_last_answer_stays(door: Door) -> None:
    door.asks_a_minute = 2
    door.start()
    incoming = await ask(door, "one")
    await edit(door, incoming, "two")
    await answer(door, "of two")
    await edit(door, incoming, "three")
    assert door.desk.board.texts()[0] == "of two"
    assert door.desk.board.texts()[1].startswith("That was quick!")
    assert await is_state(door, incoming) == "done"


async def test_several_edits_in_a_row_are_answered_as_the_last_one_says(door: Door) -> None:
    door.start()
    incoming = await ask(door, "one")
    held = await claim(door)
    for text in ("two", "three", "four"):
        await edit(door, incoming, text)
    assert not await door.desk.stores.queue.finish(held, Done("of one"), turns(incoming.id))
    assert (await answer(door, "of four")).ask.question.text == "four"
    assert door.desk.board.texts() == ["of four"]


async def test_an_edit_that_is_read_again_after_a_crash_is_asked_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.start()
    incoming = await ask(door, "one")
    await answer(door, "of one")
    changed = structs.replace(incoming, text="two", edited=True)

    async def is_open() -> bool:
        return await is_state(door, incoming) == "queued"

    with monkeypatch.context() as patched:
        patched.setattr("bots.delivery.Delivery.redo", hang)
        await door.put(encode(changed))
        await wait_until(is_open)
        await door.desk.crash()
    door.start()
    await wait_until(door.settled)
    await wait_until(lambda: door.desk.board.texts() == ["…"])
    await answer(door, "of two")
    assert door.desk.board.texts() == ["of two"]
    assert await remembered(door) == ["two", "of two"]


async def hang(*_: object) -> None:
    await asyncio.Event().wait()


async def test_an_edit_that_crosses_a_claim_is_tried_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.start()
    incoming = await ask(door, "one")
    amend = door.desk.stores.queue.amend

    async def late(ask: Ask, fence: int, *, newest: bool = False) -> str:
        if fence == 0:
            await claim(door)
        return await amend(ask, fence, newest=newest)

    monkeypatch.setattr(door.desk.stores.queue, "amend", late)
    await edit(door, incoming, "two")
    assert (await answer(door, "of two")).ask.question.text == "two"
    assert door.desk.board.texts() == ["of two"]
