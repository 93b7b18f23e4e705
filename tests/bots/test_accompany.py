"""What goes with a reply: the file of a very long one, a note after a long wait, light signs; each at most once."""

from __future__ import annotations

import asyncio
import time

import pytest
from msgspec import structs

from bots.phrases import say
from bots.results import LONG_TEXT
from bots.surface import Closed, Flooded, Gone, Incoming, Moved, Rate, SurfaceError, Unfit, Unreachable
from storage.messages import Address, Ask, Cancelled, Done, Event, Failed, Turn, encode
from tests.bots.board import Board
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.storage.asks import make_ask
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")

LONG = "\n".join(f"line {n}: 好 and more" for n in range(2000))
NOTE, FILE = say("en", "ready_note"), say("en", "file_name")


def waited(seconds: float = 61) -> Ask:
    """An ask of so many seconds ago."""
    return structs.replace(make_ask("a"), asked_at=time.time() - seconds)


async def answer(desk: Desk, ask: Ask, event: Event, text: str = "") -> None:
    """Enqueue and answer at once; the turn holds `text`."""
    await desk.stores.queue.enqueue(ask)
    question = structs.replace(ask.question, ask=ask.id)
    await desk.stores.queue.finish(await desk.claim(), event, [question, Turn("assistant", text, ask=ask.id)])


def buttons(board: Board) -> list[str]:
    """The codes under the last message."""
    return [button.code for button in list(board.shown.values())[-1].buttons]


def count(board: Board, method: str) -> int:
    return sum(call.method == method for call in board.calls)


async def press(desk: Desk, code: str) -> None:
    """The asker presses a button under the last message; returns when what it does is done."""
    door = Door(desk)
    door.start()
    where = Address("telegram", "1", list(desk.board.shown)[-1])
    pressed = Incoming("telegram:press:1", "telegram:1", "telegram:1:1", where, "en", button=code, press="9")
    await door.put(encode(pressed))
    await wait_until(lambda: desk.board.told != [])


async def test_a_very_long_answer_comes_as_a_file_too(desk: Desk) -> None:
    desk.start()
    assert len(LONG) > LONG_TEXT
    await answer(desk, make_ask("a"), Done(LONG))
    await wait_until(desk.delivered)
    assert "\n".join(desk.board.texts()) == LONG
    assert desk.board.documents == [(FILE, LONG.encode())]
    assert buttons(desk.board) == ["again"]


async def test_a_file_follows_its_chat_where_that_moves(desk: Desk) -> None:
    desk.board.faults["send 1"].append(Moved("7"))
    desk.start()
    await answer(desk, make_ask("a"), Done(LONG))
    await wait_until(desk.delivered)
    assert desk.board.documents == [(FILE, LONG.encode())]
    assert [call.chat for call in desk.board.calls if call.method == "send"] == ["1", "7"]
    assert buttons(desk.board) == ["again"]


async def test_an_answer_of_no_more_than_that_does_not(desk: Desk) -> None:
    desk.start()
    await answer(desk, make_ask("a"), Done("x" * LONG_TEXT))
    await wait_until(desk.delivered)
    assert desk.board.documents == []


async def test_a_file_that_was_sent_before_a_crash_is_not_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = desk.board.sign
    monkeypatch.setattr(desk.board, "sign", hangs)
    desk.start()
    await answer(desk, waited(), Done(LONG))
    await wait_until(lambda: NOTE in desk.board.texts())
    await asyncio.sleep(0)
    await desk.crash()
    monkeypatch.setattr(desk.board, "sign", sign)
    desk.start()
    await wait_until(desk.delivered)
    assert len(desk.board.documents) == 1
    assert desk.board.texts().count(NOTE) == 1
    assert "\n".join(desk.board.texts()[:-1]) == LONG
    assert "file" not in [button.code for page in desk.board.shown.values() for button in page.buttons]


async def hangs(*_: object) -> str:
    return await asyncio.Future()


async def test_a_file_of_which_a_crash_hides_whether_it_was_sent_is_offered_by_a_button(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    async def half(where: Address, name: str, data: bytes, buttons: object = ()) -> str:
        tries.append(name)
        return await hangs()

    with monkeypatch.context() as patched:
        patched.setattr(desk.board, "send", half)
        desk.start()
        await answer(desk, make_ask("a"), Done(LONG), LONG)
        await wait_until(lambda: tries != [])
        await desk.crash()
    desk.start()
    await wait_until(desk.delivered)
    assert (tries, desk.board.documents) == ([FILE], [])
    assert "\n".join(desk.board.texts()) == LONG
    assert buttons(desk.board) == ["again", "file"]
    await press(desk, "file")
    assert desk.board.documents == [(FILE, LONG.encode())]
    assert desk.board.told == [("9", say("en", "button.file"))]


@pytest.mark.parametrize("trouble", [Unreachable("reset"), Unfit("bad request")])
async def test_a_file_that_fails_once_is_offered_by_a_button_too(desk: Desk, trouble: SurfaceError) -> None:
    desk.board.faults["send"].append(trouble)
    desk.start()
    await answer(desk, make_ask("a"), Done(LONG), LONG)
    await wait_until(desk.delivered)
    assert (count(desk.board, "send"), desk.board.documents) == (1, [])
    assert buttons(desk.board) == ["again", "file"]
    await press(desk, "file")
    assert len(desk.board.documents) == 1


async def test_a_flood_only_delays_a_file(desk: Desk) -> None:
    desk.board.faults["send"].extend([Flooded(0.05), Flooded(0.05)])
    desk.start()
    await answer(desk, make_ask("a"), Done(LONG))
    await wait_until(desk.delivered)
    assert len(desk.board.documents) == 1
    assert buttons(desk.board) == ["again"]


async def test_an_answer_that_was_long_waited_for_is_announced_once_under_its_question(desk: Desk) -> None:
    desk.start()
    await answer(desk, waited(), Done("yes", seconds=0.5))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes", NOTE]
    assert list(desk.board.answered.values()) == ["7", "7"]


@pytest.mark.parametrize(
    ("seconds", "event"),
    [(3, Done("yes")), (70, Done("yes", seconds=69)), (70, Cancelled("half"))],
    ids=["quick", "long written", "stopped"],
)
async def test_others_are_not_announced(desk: Desk, seconds: float, event: Event) -> None:
    desk.start()
    await answer(desk, waited(seconds), event)
    await wait_until(desk.delivered)
    assert len(desk.board.texts()) == 1


async def test_an_ask_of_an_older_askpix_which_knew_no_time_is_not_announced(desk: Desk) -> None:
    desk.start()
    await answer(desk, make_ask("a"), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


@pytest.mark.parametrize(("trouble", "noted"), [(Flooded(0.05), [NOTE]), (Unfit("no"), [])])
async def test_a_note_is_sent_in_spite_of_a_flood_and_its_refusal_is_nothing(
    desk: Desk, trouble: SurfaceError, noted: list[str]
) -> None:
    desk.board = Board(Rate(2, 0.2))
    desk.start()
    await answer(desk, waited(), Done("yes"))
    await wait_until(lambda: desk.board.texts() == ["yes"])  # the note waits for its turn
    desk.board.faults["place"].append(trouble)
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes", *noted]


async def test_signs_say_that_a_question_was_seen_and_answered(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    await wait_until(lambda: desk.board.signs == {"7": "seen"})
    await desk.stores.queue.finish(await desk.claim(), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.signs == {"7": "done"}


@pytest.mark.parametrize("event", [Failed("went_wrong"), Cancelled("half")])
async def test_a_sign_is_taken_away_when_there_is_no_answer(desk: Desk, event: Event) -> None:
    desk.start()
    await answer(desk, make_ask("a"), event)
    await wait_until(desk.delivered)
    assert desk.board.signs == {"7": ""}


@pytest.mark.parametrize("trouble", [Unfit("REACTION_INVALID"), Flooded(60), Unreachable("reset")])
async def test_refused_signs_are_nothing(desk: Desk, trouble: SurfaceError) -> None:
    desk.board.faults["sign"].extend([trouble] * 2)
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    await wait_until(lambda: len(desk.board.faults["sign"]) == 1)
    await desk.stores.queue.finish(await desk.claim(), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_signs_use_nothing_of_a_chat_s_rate(desk: Desk) -> None:
    desk.board = Board(Rate(2, 60.0))  # the placeholder and the end
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    await wait_until(lambda: desk.board.texts() == ["…"] and desk.board.signs != {})
    await desk.stores.queue.finish(await desk.claim(), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]
    assert desk.board.signs == {"7": "done"}


async def test_a_sentence_is_said_in_spite_of_floods_and_outages_but_not_into_a_closed_chat(desk: Desk) -> None:
    delivery = desk.start()
    desk.board.faults["place"].extend([Flooded(0.05), Unreachable()])
    await delivery.tools.say(make_ask("a").where, "hello")
    assert desk.board.texts() == ["hello"]
    for refusal in (Closed(), Unfit("no"), Gone()):
        desk.board.faults["place"].append(refusal)
        await delivery.tools.say(make_ask("a").where, "never")
    assert desk.board.texts() == ["hello"]
