"""Regenerate: the newest answer is redone in its place, in the chat and in the history, whatever it was doing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bots.phrases import say
from bots.surface import FileRef, Gone, Incoming, Page
from bots.telegram_bot import TelegramSurface
from storage import keys
from storage.connection import Client
from storage.messages import Address, Cancelled, Done, Event, Failed, encode
from storage.queue import Claim
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import answer, ask, claim, codes, is_state, press, remembered, slots, turns, with_admin
from tests.emulators.telegram_world import User
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_admin(desk)


@pytest.mark.parametrize(
    "event", [Failed("photo_gone"), Failed("of a newer version"), Cancelled(), Cancelled("half"), Done("")]
)
async def test_an_answer_that_did_not_come_can_be_regenerated(door: Door, event: Event) -> None:
    door.start()
    await ask(door)
    await answer(door, event=event)
    assert codes(door) == [["again"]]
    assert await press(door, "again") == [say("en", "again")]
    await answer(door, "here it is")
    assert door.desk.board.texts() == ["here it is"]
    assert await remembered(door) == ["what is it?", "here it is"]


@pytest.mark.parametrize("crash", [False, True])
async def test_a_shorter_second_answer_leaves_no_message_of_the_first(door: Door, *, crash: bool) -> None:
    door.start()
    await ask(door)
    await answer(door, "word " * 2400)
    first = slots(door)
    assert len(first) == 3
    await press(door, "again")
    held = await claim(door)
    await door.desk.stores.replies.emit(held, "short")
    await wait_until(lambda: door.desk.board.texts() == ["short …", "…", "…"])
    assert codes(door) == [["stop"], [], []]
    if crash:
        await door.desk.crash()
        door.start()
    await door.desk.stores.queue.finish(held, Done("short"))
    await wait_until(door.desk.delivered)
    assert (door.desk.board.texts(), slots(door)) == (["short"], first[:1])


async def test_regenerate_redoes_it_in_place_and_in_the_history(door: Door) -> None:
    door.start()
    await ask(door, "older")
    await answer(door, "an older answer")
    await ask(door, "newest", FileRef("p1"))
    await answer(door, "red")
    places = slots(door)
    assert await press(door, "again") == [say("en", "again")]
    await wait_until(lambda: door.desk.board.texts()[1] == "…")
    held = await answer(door, "blue")
    assert (held.ask.question.text, len(held.ask.question.photos)) == ("newest", 1)
    assert (door.desk.board.texts(), slots(door)) == (["an older answer", "blue"], places)
    assert await remembered(door) == ["older", "an older answer", "newest", "blue"]
    assert door.desk.board.fetched == ["p1"]


async def test_regenerate_goes_on_after_a_crash_at_any_time(door: Door) -> None:
    door.start()
    await ask(door)
    await answer(door, "red")
    await door.desk.crash()
    door.start()
    assert await press(door, "again") == [say("en", "again")]
    await door.desk.crash()
    door.start()
    held = await claim(door)
    await door.desk.stores.replies.emit(held, "bl")
    await wait_until(lambda: door.desk.board.texts() == ["bl …"])
    await door.desk.crash()
    await door.desk.stores.queue.finish(held, Done("blue"), turns(held.ask.id))
    door.start()
    await wait_until(lambda: door.desk.board.texts() == ["blue"])
    assert codes(door) == [["again"]]


async def test_a_crash_between_asking_anew_and_showing_it_loses_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.start()
    incoming = await ask(door)
    await answer(door, "red")
    with monkeypatch.context() as patched:
        patched.setattr("bots.delivery.Delivery.redo", hang)
        where = Address("telegram", "1", slots(door)[0])
        await door.put(encode(Incoming("1:p", "telegram:1", "", where, "en", button="again", press="p")))
        await wait_until(lambda: is_open(door, incoming))
        await door.desk.crash()
    door.start()  # reads the press again
    await wait_until(lambda: door.desk.board.told == [("p", say("en", "button.open"))])
    await wait_until(lambda: door.desk.board.texts() == ["…"])
    await answer(door, "blue")
    assert door.desk.board.texts() == ["blue"]
    assert await door.queued() == []


async def hang(*_: object) -> None:
    await asyncio.Event().wait()


async def is_open(door: Door, incoming: Incoming) -> bool:
    return await is_state(door, incoming) == "queued"


async def test_regenerate_passes_one_s_own_questions_that_wait_but_not_the_one_that_runs(door: Door) -> None:
    door.start()
    await ask(door, "first")
    await answer(door, "one")
    await ask(door, "second")
    running = await claim(door)
    await ask(door, "third")
    assert await press(door, "again", slot=slots(door)[0]) == [say("en", "again")]
    await door.desk.stores.queue.finish(running, Done("two"), turns(running.ask.id))
    assert (await answer(door, "one again")).ask.question.text == "first"
    assert (await answer(door, "three")).ask.question.text == "third"
    assert door.desk.board.texts() == ["one again", "two", "three"]


async def test_what_is_being_answered_is_not_asked_anew_however_often_one_presses(door: Door) -> None:
    door.start()
    incoming = await ask(door)
    assert await press(door, "again") == [say("en", "button.open")]
    assert await is_state(door, incoming) == "queued"
    held = await claim(door)
    assert await press(door, "again") == [say("en", "button.open")]
    assert await is_state(door, incoming) == "running"
    await door.desk.stores.queue.finish(held, Done("x"), turns(incoming.id))
    await wait_until(door.desk.delivered)
    told = await press(door, "again", times=3)
    assert sorted(told) == sorted([say("en", "again"), *[say("en", "button.open")] * 2])
    assert await door.queued() == ["q"]


async def test_a_press_counts_as_a_question_and_is_refused_like_one(door: Door) -> None:
    door.asks_a_minute = 1
    door.start()
    await ask(door)
    await answer(door, "red")
    (told,) = await press(door, "again")
    assert told.startswith("That was quick!")
    assert door.desk.board.texts() == ["red"]
    assert await door.queued() == []


async def test_a_full_queue_refuses_a_press(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.start()
    await ask(door)
    await answer(door, "red")
    monkeypatch.setattr(door.desk.stores.queue, "_limit", 0)
    assert await press(door, "again") == [say("en", "queue_full")]
    assert door.desk.board.texts() == ["red"]


async def test_a_reply_that_was_read_before_its_ask_was_asked_anew_is_never_shown(
    door: Door, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.start()
    incoming = await ask(door)
    finished, read = door.desk.stores.replies.finished, asyncio.Event()

    async def late(*_: object) -> Sequence[object]:
        found = await finished("telegram", wait=0.05)
        if found and found[0].event == Done("dead"):
            await read.wait()
        return found

    monkeypatch.setattr(door.desk.stores.replies, "finished", late)
    await answer_unseen(door, "first")
    await wait_until(lambda: door.desk.board.texts() == ["first"])
    await press(door, "again")
    held = await answer_unseen(door, "dead")

    async def taken() -> bool:
        return bool(await redis.xpending_range(keys.outbox("telegram"), "delivery", "-", "+", 9))

    await wait_until(taken)
    await press(door, "again")
    await claim(door)
    read.set()
    await wait_until(lambda: door.desk.board.texts() == ["…"])
    await answer_of(door, held.ask.id, "alive")
    await wait_until(lambda: door.desk.board.texts() == ["alive"])
    assert "dead" not in door.desk.board.edits()
    assert await is_state(door, incoming) == "done"


async def answer_unseen(door: Door, text: str) -> Claim:
    held = await claim(door)
    await door.desk.stores.queue.finish(held, Done(text), turns(held.ask.id, text))
    return held


async def answer_of(door: Door, id: str, text: str) -> None:
    found = await door.desk.stores.queue.find(id)
    assert found
    await door.desk.stores.queue.finish(Claim(found.ask, found.fence), Done(text))


async def test_a_message_too_many_is_taken_away_at_telegram(surface: TelegramSurface, ann: User) -> None:
    where = Address("telegram", str(ann.id))
    slot = await surface.place(where, Page("too many"))
    await surface.remove(where, slot)
    assert ann.private.texts() == []
    with pytest.raises(Gone):
        await surface.remove(where, slot)
