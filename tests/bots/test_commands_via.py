"""Commands that are no message: who gives one waits for a word, and gets it alone, even among others."""

from __future__ import annotations

import pytest

from bots.phrases import say
from bots.surface import Incoming
from storage.limits import Rules
from storage.messages import Address, Cancelled, encode
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import answer, ask, claim, with_admin
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_admin(desk)


async def give(
    door: Door, command: str, argument: str = "", *, user: int = 1, chat: str = "-100", via: str = "a way",
    server: str = "", text: str = "", button: str = "", message: str = "",
) -> None:  # fmt: skip
    """Give a command in a chat, and wait until it is done."""
    where = Address("telegram", chat, message, group=chat != str(user), via=via)
    person, conversation = f"telegram:{user}", f"telegram:{chat}:{user}"
    incoming = Incoming(
        f"telegram:{chat}:{door.sent}:{command}", person, conversation, where, "en", text, command=command,
        argument=argument, server=server, button=button, press="a press",
    )  # fmt: skip
    await door.put(encode(incoming))
    await wait_until(door.settled)


async def test_a_stranger_gets_a_word_each_time_also_among_others(door: Door) -> None:
    door.rules = Rules()
    door.start()
    for _ in range(2):
        await give(door, "help")
    await give(door, "", text="what is it?")
    word = say("en", "command.stranger", person="telegram:1")
    assert door.desk.board.texts("-100") == [word] * 3
    await give(door, "help", via="")
    assert door.desk.board.texts("-100") == [word] * 3, "a message among others is passed over"
    assert await door.queued() == []


@pytest.mark.parametrize(
    ("allow", "admitted"), [("telegram:chat:-100", True), ("telegram:chat:55", True), ("telegram:chat:56", False)]
)
async def test_a_server_admits_whoever_is_in_one_of_its_channels(door: Door, allow: str, admitted: bool) -> None:
    door.rules = Rules(allow=frozenset({allow}))
    door.start()
    await give(door, "new", server="55")
    code = "command.new" if admitted else "command.stranger"
    assert door.desk.board.texts("-100") == [say("en", code, person="telegram:1")]


async def test_stop_says_that_it_stops_and_that_there_is_nothing_to_stop(door: Door) -> None:
    door.start()
    await give(door, "stop")
    assert door.desk.board.texts("-100") == [say("en", "command.stop_nothing")]
    await door.send("what?", chat="-100")
    held = await claim(door)
    await give(door, "stop")
    assert door.desk.board.texts("-100")[-1] == say("en", "button.stopping")
    await door.desk.stores.queue.finish(held, Cancelled())
    await wait_until(lambda: say("en", "stopped") in door.desk.board.texts("-100"))


@pytest.mark.parametrize(
    ("command", "code"), [("start", "command.start"), ("help", "command.help_discord"), ("new", "command.new")]
)
async def test_what_is_said_is_meant_for_one_person_among_others(door: Door, command: str, code: str) -> None:
    door.start()
    await give(door, command)
    expected = say("en", code) + ("\n\n" + say("en", "command.help_tasks")) * (command == "help")
    assert door.desk.board.texts("-100") == [expected]


async def test_a_link_s_code_is_shown_among_others_where_they_cannot_read_it(door: Door) -> None:
    door.start()
    await give(door, "link")
    await give(door, "link", via="")
    shown, refused = door.desk.board.texts("-100")
    assert "/link " in shown
    assert refused == say("en", "command.link_private")


async def test_the_admin_s_code_is_taken_from_a_command(door: Door) -> None:
    door.rules = Rules()
    code = await door.limits.offer_admin()
    door.start()
    await give(door, "start", code)
    assert door.desk.board.texts("-100") == [say("en", "command.admin")]
    assert await door.limits.is_admin("telegram:1")


async def test_an_answer_asked_anew_goes_by_the_fresh_way_of_its_asker_and_nobody_else_s(door: Door) -> None:
    door.start()
    incoming = await ask(door)
    await answer(door, "one")
    found = await door.desk.stores.queue.find(incoming.id)
    assert found
    assert found.ask.where.via == ""
    await give(door, "", text="what?", chat="1", via="former")
    first = await answer(door, "two")
    slot = list(door.desk.board.shown)[-1]
    for user, via in ((9, "former"), (1, "fresh")):  # an admin may press too, but the answer is not theirs
        await give(door, "", user=user, chat="1", via="fresh", button="again", message=slot)
        await wait_until(lambda: bool(door.desk.board.told))
        again = await answer(door, "anew")
        assert (again.ask.id, again.ask.where.via, again.ask.where.message) == (first.ask.id, via, "")
