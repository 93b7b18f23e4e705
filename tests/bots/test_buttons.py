"""The buttons under an answer: who may press which, what then happens, and why nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bots.phrases import say
from bots.surface import FileRef, Unfit
from storage import keys
from storage.limits import Rules
from storage.messages import Cancelled, Done
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import answer, ask, claim, codes, is_state, press, slots, turns, with_admin
from tests.storage.asks import make_ask
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_admin(desk)


async def test_stop_is_there_from_the_placeholder_on_and_regenerate_at_the_end(door: Door) -> None:
    door.start()
    await ask(door)
    assert codes(door) == [["stop"]]
    (placed,) = [call.page for call in door.desk.board.calls if call.method == "place"]
    assert [button.code for button in placed.buttons] == ["stop"]
    held = await claim(door)
    await ask(door, "another")
    await wait_until(lambda: door.desk.board.texts()[1] == "You are next.")
    await door.desk.stores.replies.emit(held, "half")
    await wait_until(lambda: door.desk.board.texts()[0] == "half …")
    assert codes(door) == [["stop"], ["stop"]]
    await door.desk.stores.queue.finish(held, Done("whole"))
    await wait_until(lambda: codes(door) == [["again"], ["stop"]])


async def test_of_several_messages_the_last_has_the_buttons(door: Door) -> None:
    door.start()
    await ask(door)
    held = await claim(door)
    await door.desk.stores.replies.emit(held, "word " * 1800)
    await wait_until(lambda: codes(door) == [[], [], ["stop"]])
    await door.desk.stores.queue.finish(held, Done("word " * 2600))
    await wait_until(door.desk.delivered)
    assert codes(door) == [[], [], [], ["again"]]


@pytest.mark.parametrize(("user", "language"), [(2, "en"), (3, "zh")])
@pytest.mark.parametrize("button", ["stop", "again", "file"])
async def test_others_are_told_that_it_is_not_theirs_and_nothing_happens(
    door: Door, user: int, language: str, button: str
) -> None:
    door.start()
    running = await ask(door, "first")
    waiting = await ask(door, "second")
    held = await claim(door)
    told = [await press(door, button, user=user, chat="1", slot=slot, language=language) for slot in slots(door)]
    assert told == [[say(language, "button.not_yours")]] * 2
    assert [await is_state(door, each) for each in (running, waiting)] == ["running", "queued"]
    await door.desk.stores.queue.finish(held, Done("x"), turns(running.id))
    assert await press(door, button, user=user, chat="1", slot=slots(door)[0], language=language) == told[0]
    assert await is_state(door, running) == "done"


async def test_an_admin_may_press(door: Door) -> None:
    door.start()
    first = await ask(door)
    assert await press(door, "stop", user=9, chat="1") == [say("en", "button.stopping")]
    await wait_until(lambda: door.desk.board.texts() == [say("en", "stopped")])
    assert await press(door, "again", user=9, chat="1", language="zh") == [say("zh", "again")]
    held = await answer(door, "x")
    assert (held.ask.id, held.ask.person, held.ask.language) == (first.id, "telegram:1", "en")


async def test_who_is_no_longer_admitted_may_stop_but_not_ask_anew(door: Door) -> None:
    door.start()
    incoming = await ask(door)
    await door.desk.crash()
    door.rules = Rules(deny=frozenset({"telegram:1"}), open=True)
    door.start()
    assert await press(door, "stop") == [say("en", "button.stopping")]
    await wait_until(door.desk.delivered)
    assert await press(door, "again") == [say("en", "button.not_yours")]
    assert await is_state(door, incoming) == "cancelled"


async def test_stop_ends_what_waits_before_any_worker_has_it(door: Door) -> None:
    door.start()
    await ask(door, "first")
    await ask(door, "second")
    assert await press(door, "stop") == [say("en", "button.stopping")]
    await wait_until(lambda: door.desk.board.texts()[1] == say("en", "stopped"))
    assert await door.queued() == ["first"]


async def test_stop_keeps_what_was_written_and_marks_it(door: Door) -> None:
    door.start()
    await ask(door)
    held = await claim(door)
    await door.desk.stores.replies.emit(held, "half a sen")
    await wait_until(lambda: door.desk.board.texts() == ["half a sen …"])
    assert await press(door, "stop", times=2) == [say("en", "button.stopping")] * 2
    assert await door.desk.stores.queue.renew([held]) == ["cancelled"]
    await door.desk.stores.queue.finish(held, Cancelled("half a sen"))
    await wait_until(lambda: door.desk.board.texts() == [f"half a sen\n\n{say('en', 'stopped')}"])
    assert await press(door, "stop") == [say("en", "button.finished")]


async def forget_message(door: Door) -> None:
    await door.desk.stores.redis.delete(keys.message("telegram", "1", slots(door)[0]))


async def forget_ask(door: Door) -> None:
    id = await door.desk.stores.replies.ask_of("telegram", "1", slots(door)[0])
    await door.desk.stores.redis.delete(keys.job(str(id)))


async def start_afresh(door: Door) -> None:
    await door.send(command="new")
    await wait_until(door.settled)


async def forget(door: Door) -> None:
    await door.send(command="forget")
    await wait_until(door.settled)


async def ask_another(door: Door) -> None:
    await ask(door, "another")
    await answer(door, "another answer")


async def lose_photo(door: Door) -> None:
    await door.desk.stores.images.forget("telegram:1")


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (forget_message, "button.unknown"),
        (forget_ask, "button.unknown"),
        (start_afresh, "button.older"),
        (forget, "button.older"),
        (ask_another, "button.older"),
        (lose_photo, "photo_gone"),
    ],
)
async def test_an_old_button_says_why_not_and_leaves_the_answer_as_it_is(
    door: Door, happens: Callable[[Door], Awaitable[None]], code: str
) -> None:
    door.start()
    await ask(door, "what is it?", FileRef("p1"))
    await answer(door, "red")
    await happens(door)
    await wait_until(door.desk.delivered)
    before = dict(door.desk.board.shown)
    assert await press(door, "again", slot=slots(door)[0]) == [say("en", code)]
    finished = "button.unknown" if code == "button.unknown" else "button.finished"
    assert await press(door, "stop", slot=slots(door)[0]) == [say("en", finished)]
    assert door.desk.board.shown == before
    assert await door.queued() == []


async def test_a_button_that_nobody_knows_or_a_message_of_nobody_s_is_explained(door: Door) -> None:
    door.start()
    await ask(door)
    assert await press(door, "of an older version") == [say("en", "button.unknown")]
    assert await press(door, "stop", slot="77") == [say("en", "button.unknown")]


async def test_a_press_that_came_too_late_to_be_told_is_done(door: Door) -> None:
    door.start()
    await ask(door)
    door.desk.board.faults["notify"].append(Unfit("query is too old"))
    await press(door, "stop")
    await wait_until(lambda: door.desk.board.texts() == [say("en", "stopped")])
    door.desk.board.faults["notify"].append(Unfit("query is too old"))
    await press(door, "again")
    await answer(door, "red")
    assert door.desk.board.texts() == ["red"]


async def test_stop_by_command_ends_one_s_own_questions_in_this_chat_and_no_others(door: Door) -> None:
    door.start()
    mine = [await door.send(f"mine {n}", chat="-100") for n in range(3)]
    private = await door.send("in private")
    theirs = await door.send("theirs", user=2, chat="-100")
    await wait_until(lambda: len(slots(door, "-100")) == 4)
    held, _ = await door.desk.stores.queue.claim("w", 2)
    (running,) = (each for each in held if each.ask.person == "telegram:1")
    assert running.ask.id == mine[0].id
    await door.send(command="stop", chat="-100")
    await wait_until(lambda: door.desk.board.texts("-100").count(say("en", "stopped")) == 2)
    assert dict(zip((each.ask.id for each in held), await door.desk.stores.queue.renew(held), strict=True)) == {
        running.ask.id: "cancelled", theirs.id: "ok",
    }  # fmt: skip
    await door.desk.stores.queue.finish(running, Cancelled())
    await wait_until(lambda: door.desk.board.texts("-100").count(say("en", "stopped")) == 3)
    assert await is_state(door, private) == "queued"
    assert await door.queued() == ["in private"]


async def test_stop_by_command_passes_the_line_and_stops_what_stands_in_it_too(door: Door) -> None:
    slow = door.desk.board.slow["p1"] = asyncio.Event()
    door.start()
    await ask(door, "runs")
    held = await claim(door)
    await door.send("still on its way", FileRef("p1"))
    await wait_until(lambda: door.desk.board.fetched == ["p1"])
    await door.send(command="stop")

    async def stopped() -> bool:
        return await door.desk.stores.queue.renew([held]) == ["cancelled"]

    await wait_until(stopped)
    await door.desk.stores.queue.finish(held, Cancelled())
    slow.set()
    await wait_until(door.settled)
    await wait_until(lambda: door.desk.board.texts() == [say("en", "stopped")] * 2)


async def test_stop_by_command_says_so_when_there_is_nothing_to_stop(door: Door) -> None:
    door.start()
    await ask(door, user=2)
    await door.send(command="stop")
    await wait_until(lambda: door.desk.board.texts() == [say("en", "command.stop_nothing")])
    assert await door.queued() == ["what is it?"]


async def test_the_long_answer_s_file_comes_again_on_demand(door: Door) -> None:
    door.start()
    await ask(door)
    await answer(door, "red")
    assert await press(door, "file") == [say("en", "button.file")]
    assert door.desk.board.documents == [(say("en", "file_name"), b"red")]
    door.desk.board.faults["send"].append(Unfit())
    assert await press(door, "file") == [say("en", "button.unknown")]
    await start_afresh(door)
    assert await press(door, "file", slot=slots(door)[0]) == [say("en", "button.unknown")]


async def test_a_terminal_s_ask_has_no_message_that_a_button_could_stand_under(door: Door) -> None:
    await door.desk.stores.queue.enqueue(make_ask("t", outbox="terminal:1"), passing=True)
    door.start()
    assert await press(door, "stop", slot="5") == [say("en", "button.unknown")]
