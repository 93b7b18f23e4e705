"""Who comes in, and what the commands do."""

from __future__ import annotations

import pytest

from bots.phrases import say
from bots.surface import FileRef
from storage import keys
from storage.connection import Client
from storage.limits import Rules
from storage.messages import Cancelled, Done, Turn, View
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.pictures import encoded, halves
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def door(desk: Desk) -> Door:
    desk.board.files = {"p1": encoded(halves())}
    return Door(desk)


@pytest.fixture
def closed(door: Door) -> Door:
    door.rules = Rules()
    return door


async def test_a_stranger_is_told_once_a_day_in_private_with_the_id_to_pass_on(closed: Door) -> None:
    closed.start()
    for text in ("hello", "is anybody there?"):
        await closed.send(text)
    await closed.send(command="forget")
    await wait_until(closed.settled)
    assert closed.desk.board.texts() == [say("en", "command.stranger", person="telegram:1")]
    assert await closed.queued() == []


async def test_a_group_of_strangers_hears_nothing(closed: Door) -> None:
    closed.start()
    await closed.send("hello", chat="-100")
    await closed.send(command="help", chat="-100")
    await closed.send(command="start", argument="guess", chat="-100")
    await wait_until(closed.settled)
    assert closed.desk.board.calls == []


async def test_an_allowed_group_admits_its_members_there_only(closed: Door) -> None:
    closed.rules = Rules(allow=frozenset({"telegram:chat:-100"}))
    closed.start()
    await closed.send("in the group", chat="-100")
    await closed.send("in private")
    await wait_until(closed.settled)
    assert await closed.queued() == ["in the group"]


async def test_the_link_makes_its_first_user_admin_and_says_so(closed: Door) -> None:
    code = await closed.limits.offer_admin()
    closed.start()
    await closed.send(command="start", argument=code)
    await closed.send("now I may ask")
    await wait_until(closed.settled)  # two people have no order
    await closed.send(command="start", argument=code, user=2)
    await wait_until(closed.settled)
    assert say("en", "command.admin") in closed.desk.board.texts()
    assert closed.desk.board.texts("2") == [say("en", "command.stranger", person="telegram:2")]
    assert await closed.queued() == ["now I may ask"]


async def test_a_link_that_its_admin_presses_again_still_says_who_they_are(closed: Door) -> None:
    code = await closed.limits.offer_admin()
    closed.start()
    for _ in range(2):  # or that is read again after a crash
        await closed.send(command="start", argument=code)
    await wait_until(closed.settled)
    assert closed.desk.board.texts() == [say("en", "command.admin")] * 2


async def test_an_old_link_is_explained_to_whoever_may_ask_and_to_strangers_like_any_word(closed: Door) -> None:
    closed.rules = Rules(allow=frozenset({"telegram:1"}))
    closed.start()
    await closed.send(command="start", argument="old")
    await closed.send(command="start", argument="old", user=2)
    await wait_until(closed.settled)
    assert closed.desk.board.texts("1") == [say("en", "command.admin_expired")]
    assert closed.desk.board.texts("2") == [say("en", "command.stranger", person="telegram:2")]


async def test_a_denied_person_cannot_become_admin(closed: Door, redis: Client) -> None:
    closed.rules = Rules(deny=frozenset({"telegram:1"}), open=True)
    code = await closed.limits.offer_admin()
    closed.start()
    await closed.send(command="start", argument=code)
    await wait_until(closed.settled)
    assert not await redis.exists(keys.ADMINS)
    assert closed.desk.board.texts() == [say("en", "command.stranger", person="telegram:1")]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("start", "start"),
        ("help", "help"),
        ("no_such_command", "help"),
        ("new", "new"),
        ("forget", "forget"),
        ("stop", "stop_nothing"),
        ("context", "context_empty"),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_command_says_something_in_the_asker_s_language(
    door: Door, command: str, code: str, language: str
) -> None:
    door.start()
    await door.send(command=command, language=language)
    await wait_until(door.settled)
    expected = [say(language, f"command.{code}")] + [say(language, "command.help_tasks")] * (code == "help")
    assert door.desk.board.texts() == ["\n\n".join(expected)]
    assert await door.queued() == []


async def test_start_in_a_group_says_how_to_ask_there(door: Door) -> None:
    door.start()
    await door.send(command="start", chat="-100")
    await wait_until(door.settled)
    assert door.desk.board.texts("-100") == [say("en", "command.added")]


async def test_new_starts_the_conversation_afresh_after_the_questions_before_it(door: Door) -> None:
    history = door.desk.stores.history
    door.start()
    incoming = await door.send("before")
    await wait_until(door.settled)
    await door.desk.stores.queue.finish(await door.desk.claim(), Done("x"), [Turn("user", "before")])
    assert await history.read(incoming.conversation, 0) == [Turn("user", "before")]
    await door.send(command="new")
    await door.send("after")
    await wait_until(door.settled)
    ask = (await door.desk.claim()).ask
    assert ask.epoch == 1
    assert await history.read(incoming.conversation, 1) == []


async def test_stop_ends_what_waits_and_runs_in_this_chat_past_a_download(door: Door) -> None:
    door.start()
    for text in ("runs", "waits"):
        await door.send(text, FileRef("p1"))
    await door.send("in a group", chat="-100")
    await wait_until(door.settled)
    claim = await door.desk.claim()
    await door.send(command="stop")
    await wait_until(door.settled)
    assert await door.desk.stores.queue.renew([claim]) == ["cancelled"]
    await door.desk.stores.queue.finish(claim, Cancelled("half"))
    stopped = say("en", "stopped")
    await wait_until(lambda: door.desk.board.texts() == [f"half\n\n{stopped}", stopped])
    assert await door.queued() == ["in a group"]


async def test_forget_ends_and_deletes_everything_of_one_person(door: Door, redis: Client) -> None:
    door.start()
    await door.send("mine", FileRef("p1"))
    await door.send("mine elsewhere", chat="-100")
    await door.send("another's", FileRef("p1"), user=2)
    await wait_until(door.settled)
    await door.send(command="forget")
    await wait_until(door.settled)
    assert await door.queued() == ["another's"]
    await wait_until(door.desk.delivered)
    photos = {name.decode() for name in await redis.keys("*img:*")}
    assert len(photos) == 1
    assert "telegram:2|" in photos.pop()
    for name in await redis.keys("*"):
        if await redis.type(name) == b"hash":
            assert b"mine" not in b" ".join(await redis.hvals(name))


async def see(door: Door, view: View, first: str = "") -> None:
    """Have a question answered that shows the engine this."""
    id = (await door.send("What is it?")).id
    await wait_until(door.settled)
    turns = [Turn("user", "What is it?", ask=id), Turn("assistant", "x", ask=id)]
    await door.desk.stores.queue.finish(await door.desk.claim(), Done("x"), turns, view, first)
    await wait_until(door.desk.delivered)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_context_says_what_is_remembered_and_what_had_to_go(door: Door, language: str) -> None:
    door.start()
    shown = [
        (View(3, 2, 410, 1000), {"bar": "▰▰▰▰▰▱▱▱▱▱", "percent": 41}),
        (View(1, 0, 0, 1000), {"bar": "▱▱▱▱▱▱▱▱▱▱", "percent": 0}),
        (View(9, 1, 1200, 1000), {"bar": "▰▰▰▰▰▰▰▰▰▰", "percent": 100}),  # the answer went past the mark
    ]
    for view, bar in shown:
        await see(door, view)
        await door.send(command="context", language=language)
        await wait_until(door.settled)
        said = {"tokens": view.tokens, "budget": 1000, "turns": view.turns, "photos": view.photos}
        assert door.desk.board.texts()[-1] == say(language, "command.context", **said, **bar).strip()
    for view, until in ((View(1, 0, 300, 1000, 7, "And {this}?"), "And {this}?"), (View(1, 0, 300, 1000, 7), "…")):
        await see(door, view, first="the first that stays")
        await door.send(command="context", language=language)
        await wait_until(door.settled)
        dropped = say(language, "command.context_dropped", dropped=7, until=until)
        assert door.desk.board.texts()[-1].endswith(f"\n\n{dropped}")


async def test_context_is_each_conversation_s_own_and_ends_with_it(door: Door) -> None:
    door.start()
    await see(door, View(3, 2, 410, 1000))
    for chat, user in (("-100", 1), ("", 2)):
        await door.send(command="context", chat=chat, user=user)
    for over in ("new", "forget"):
        await door.send(command="context")
        await door.send(command=over)
        await door.send(command="context")
        await wait_until(door.settled)
        empty, known = say("en", "command.context_empty"), "410"
        assert known in door.desk.board.texts("1")[-3]
        assert door.desk.board.texts("1")[-1] == empty
        await see(door, View(3, 2, 410, 1000))
    assert door.desk.board.texts("-100") == door.desk.board.texts("2") == [say("en", "command.context_empty")]
