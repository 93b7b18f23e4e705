"""Ways around admission: forwards, edits, buttons that no message has, commands that are another's."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from bots.files import OWN
from bots.phrases import say
from bots.surface import FileRef, Incoming
from bots.tasks import TASKS
from storage import keys
from storage.connection import Client
from storage.limits import Rules
from storage.messages import Address, encode
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import answer, ask, codes, press, slots, with_admin
from tests.bots.life import Life
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")

FORGED = (
    "", "cell", "cell0", "cell10", "cell-1", "cellx", "cell1 ", "cell٣", "closer", "code\0", "again;", "STOP", "follow",
    "__class__", "../again", "a" * 64,
)  # fmt: skip


@pytest.fixture
def door(desk: Desk) -> Door:
    return with_admin(desk)


async def test_who_forwards_what_an_admin_wrote_is_still_a_stranger(life: Life) -> None:
    await life.start(open=False, admins=frozenset({"telegram:1001"}))
    said = await life.ann.send_text(life.ann.private, "what is the plan?")
    await wait_until(lambda: bool(life.ann.private.texts()))
    for hidden in (False, True):
        await life.ben.forward(life.ben.private, said, hidden=hidden)
    await life.settled()
    assert await life.stores.redis.exists(keys.lane("telegram:1002")) == 0
    assert life.ben.private.texts() == [say("zh", "command.stranger", person="telegram:1002")]


async def test_a_channel_s_posts_and_an_anonymous_admin_are_heard_by_nobody(life: Life) -> None:
    await life.start(privacy=False, admins=frozenset({"telegram:1087968824", "telegram:777000"}))
    group = life.telegram.group(-100)
    channel = {"id": -100200, "type": "channel", "title": "News"}
    for sender in (channel, {"id": -100, "type": "supergroup", "title": "here"}):
        await life.ann.send_text(group, "/forget", sender_chat=sender)
        await life.ann.send_text(group, "@askpix_bot what?", sender_chat=sender)
    await life.settled()
    assert group.texts() == []
    assert await life.stores.queue.counts() == {"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0}


@pytest.mark.parametrize("where", ["1", "-100"])
async def test_a_stranger_s_edit_is_a_stranger_s_message(door: Door, where: str) -> None:
    door.rules = Rules()
    door.start()
    group = where != "1"
    address = Address("telegram", where, "5", group=group)
    for text, command in (("what?", ""), ("", "forget")):
        edited = Incoming(f"telegram:{where}:5", "telegram:1", f"telegram:{where}:1", address, "en", text, edited=True)
        await door.put(encode(structs.replace(edited, command=command)))
    await wait_until(door.settled)
    assert door.desk.board.texts(where) == ([] if group else [say("en", "command.stranger", person="telegram:1")])
    assert await door.queued() == []


async def test_who_was_denied_since_cannot_have_an_old_question_answered_anew_by_an_edit(door: Door) -> None:
    door.start()
    asked = await ask(door, "one")
    await answer(door, "x")
    await door.desk.crash()
    door.rules = Rules(deny=frozenset({"telegram:1"}), open=True)
    door.start()
    await door.put(encode(structs.replace(asked, text="two", edited=True)))
    await wait_until(door.settled)
    assert await door.queued() == []


@pytest.mark.parametrize("forged", FORGED)
async def test_what_no_button_says_does_nothing_and_is_said(
    door: Door, forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    door.start()
    await ask(door)
    await answer(door, "x")
    before = codes(door)
    if forged:
        assert await press(door, forged) == [say("en", "button.unknown")]
    assert await press(door, "no-such", slot="9999") == [say("en", "button.unknown")]
    assert codes(door) == before
    assert await door.queued() == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_button_under_another_chat_s_message_finds_nothing(door: Door) -> None:
    door.start()
    await ask(door)
    (slot,) = slots(door)
    assert await press(door, "stop", user=1, chat="2", slot=slot) == [say("en", "button.unknown")]
    assert codes(door) == [["stop"]]


async def test_a_press_that_is_replayed_asks_once(door: Door) -> None:
    door.start()
    await ask(door, "what?", FileRef("p1"))
    held = await answer(door, "x")
    photo = structs.replace(held.ask.photos()[0], full=(4000, 3000))
    await door.desk.stores.images.put_original("telegram:1", photo, door.desk.board.files["p1"])
    told = await press(door, "cell1", times=3)
    assert set(told) == {say("en", "button.looking")}
    assert len(await door.queued()) == 1
    today, _ = await door.limits.usage("telegram:1")
    assert (today.asks, today.photos, today.cost) == (2, 2, 4), "and it counts once, with its photo"
    await door.desk.stores.health.set_mode("draining")
    assert await press(door, "cell2") == [say("en", "draining")]
    assert (await door.limits.usage("telegram:1"))[0] == today, "what was not taken does not count"


async def test_who_sends_many_files_that_take_long_leaves_room_for_others(door: Door) -> None:
    door.start()
    many = [FileRef(f"slow{number}") for number in range(10)]
    for file in many:
        door.desk.board.files[file.id] = door.desk.board.files["p1"]
        door.desk.board.slow[file.id] = asyncio.Event()
    await door.send("all of these?", *many)
    await wait_until(lambda: len(door.desk.board.fetched) == OWN)
    await ask(door, "and this?", FileRef("p1"), user=2)
    assert len(door.desk.board.fetched) == OWN + 1
    for file in many:
        door.desk.board.slow[file.id].set()
    await wait_until(door.settled)
    assert sorted(await door.queued()) == ["all of these?", "and this?"]


async def test_in_a_group_nobody_s_command_touches_another_s(door: Door, redis: Client) -> None:
    door.start()
    await door.send("mine", user=1, chat="-100")
    for command in ("stop", "new", "forget"):
        await door.send(user=2, chat="-100", command=command)
    await wait_until(door.settled)
    assert await redis.llen(keys.lane("telegram:1")) == 1
    assert await door.queued() == ["mine"]


async def test_a_code_is_guessed_by_nobody_and_makes_no_group_admin(door: Door, redis: Client) -> None:
    door.rules = Rules(allow=frozenset({"telegram:chat:-100"}))
    await door.limits.offer_admin()
    door.start()
    for guess in ("", "0", "*", "a" * 22, "../", "telegram:1", "é" * 4000):
        await door.send(user=3, chat="-100", command="start", argument=guess)
        await door.send(user=3, chat="-100", command="link", argument=guess or "x")
    await wait_until(door.settled)
    assert not await redis.exists(keys.ADMINS)
    assert not await redis.exists(keys.JOINED)


async def test_a_word_that_names_a_task_is_no_way_to_format_a_sentence(door: Door) -> None:
    """What stands behind a task's name goes into a sentence of ours: it is put in, not read."""
    door.start()
    for name in TASKS:
        await door.send(f"/{name} {{argument}} {{0.__class__}} %s", FileRef("p1"))
    await wait_until(door.settled)
    asked = await door.queued()
    assert len(asked) == len(TASKS)
    assert any("{argument} {0.__class__} %s" in text for text in asked)
