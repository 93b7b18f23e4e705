"""Where an answer is shown when its place is closed to us: it moves, or waits until its asker speaks to us again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from bots.delivery import Delivery
from bots.phrases import say
from bots.surface import Gone, Later, Moved, SurfaceError, Unreachable
from storage.messages import Address, Ask, Delta, Done
from storage.tasks import end
from tests.bots.conftest import Desk
from tests.bots.test_follower import Shown
from tests.storage.asks import make_ask
from tests.waiting import wait_until

NEXT = Address("telegram", "8", via="a way")


@pytest_asyncio.fixture
async def shown(desk: Desk) -> AsyncIterator[Shown]:
    """A follower whose first message is placed."""
    await desk.stores.replies.open_outbox("telegram")
    await desk.stores.queue.enqueue(make_ask("a"))
    found = Shown(desk, await desk.claim())
    await wait_until(lambda: bool(found.follower._slots))  # pyright: ignore[reportPrivateUsage] : the store has it too
    yield found
    await end([found.task])


async def ended(shown: Shown, text: str = "end") -> None:
    """The answer is whole."""
    await shown.desk.stores.queue.finish(shown.claim, Done(text))
    (finished,) = await shown.desk.stores.replies.finished("telegram", wait=1)
    shown.follower.end(finished)


def shut(shown: Shown, *faults: SurfaceError, chat: str = "1") -> None:
    """The chat raises these at its next calls of each kind."""
    for method in ("place", "edit"):
        shown.desk.board.faults[f"{method} {chat}"].extend(faults)


def held(shown: Shown) -> bool:
    return shown.follower._held  # pyright: ignore[reportPrivateUsage] : nothing is seen of it


async def test_an_answer_that_moves_goes_on_there_in_a_message_of_its_own(shown: Shown) -> None:
    shut(shown, Moved("7"))
    await ended(shown, "a cat")
    await asyncio.wait_for(shown.task, 5)
    board, replies = shown.desk.board, shown.desk.stores.replies
    assert (board.texts("1"), board.texts("7")) == (["…"], ["a cat"])
    (slot,) = (slot for slot, chat in board.chats.items() if chat == "7")
    assert await replies.ask_of("telegram", "7", slot) == "a", "its buttons know it"
    assert await shown.desk.delivered()


async def test_after_a_crash_a_moved_answer_is_found_where_it_is(shown: Shown) -> None:
    shut(shown, Moved("7"))
    shown.tell(Delta(1, 0, "half"))
    await wait_until(lambda: shown.desk.board.texts("7") == ["half …"])
    await end([shown.task])
    found = await shown.desk.stores.replies.progress("a")
    assert found
    assert (found.ask.where.chat, found.ask.where.message) == ("7", "")
    assert [shown.desk.board.chats[slot] for slot in found.slots] == ["7"]


async def test_an_answer_for_later_is_kept_until_its_asker_speaks(shown: Shown) -> None:
    shut(shown, Later())
    await ended(shown)
    await wait_until(lambda: held(shown))
    assert not await shown.desk.delivered()
    assert not shown.task.done()
    calls = len(shown.desk.board.calls)
    shown.follower.refresh()
    await shown.follower.reach(NEXT)
    await asyncio.wait_for(shown.task, 5)
    assert shown.desk.board.texts("8") == ["end"]
    assert {call.chat for call in shown.desk.board.calls[calls:]} == {"8"}
    assert await shown.desk.delivered()


async def test_while_it_is_kept_nothing_is_tried(shown: Shown) -> None:
    shut(shown, Later())
    shown.tell(Delta(1, 0, "half"))
    await wait_until(lambda: held(shown))
    calls = len(shown.desk.board.calls)
    shown.tell(Delta(1, 4, " more"))
    await ended(shown)
    await shown.desk.stores.redis.ping()
    assert len(shown.desk.board.calls) == calls
    await shown.follower.reach(NEXT)
    await asyncio.wait_for(shown.task, 5)
    assert shown.desk.board.texts("8") == ["end"]


async def test_who_spoke_just_before_is_answered_there(shown: Shown) -> None:
    await shown.follower.reach(NEXT)
    shut(shown, Later())
    await ended(shown)
    await asyncio.wait_for(shown.task, 5)
    assert shown.desk.board.texts("8") == ["end"]


async def test_who_speaks_elsewhere_while_all_is_well_changes_nothing(shown: Shown) -> None:
    await shown.follower.reach(NEXT)
    await ended(shown)
    await asyncio.wait_for(shown.task, 5)
    assert (shown.desk.board.texts("1"), shown.desk.board.texts("8")) == (["end"], [])


async def test_an_answer_that_cannot_be_shown_there_either_is_kept_again(shown: Shown) -> None:
    shut(shown, Later())
    await ended(shown)
    await wait_until(lambda: held(shown))
    shut(shown, Later(), chat="8")
    await shown.follower.reach(NEXT)
    await wait_until(lambda: held(shown))
    await shown.follower.reach(Address("telegram", "9"))
    await asyncio.wait_for(shown.task, 5)
    assert (shown.desk.board.texts("8"), shown.desk.board.texts("9")) == ([], ["end"])


async def test_delivery_reaches_the_asker_s_answers_and_nobody_else_s(desk: Desk) -> None:
    desk.board.faults["place 1"].append(Later())
    desk.board.faults["place 2"].append(Later())
    delivery: Delivery = desk.start()
    asks = [make_ask(n, f"telegram:{n}", where=Address("telegram", n)) for n in ("1", "2")]
    for ask in asks:
        await desk.answer(ask, Done(f"for {ask.person}"))
        delivery.follow(ask)
    await wait_until(lambda: len(desk.board.calls) == 2)
    await delivery.reach("telegram:1", NEXT)
    await wait_until(lambda: desk.board.texts("8") == ["for telegram:1"])
    assert len(await desk.stores.replies.open_asks("telegram")) == 1


async def test_every_message_has_a_nonce_of_its_own_and_a_repeated_one_the_same(desk: Desk) -> None:
    ask: Ask = make_ask("a")
    desk.board.faults["place"].extend([Unreachable("lost"), Unreachable("lost")])
    desk.start().follow(ask)
    await desk.answer(ask, Done("x" * 9000))
    await wait_until(desk.delivered)
    assert desk.board.nonces == ["a:0"] * 3 + ["a:1", "a:2"]


async def test_a_message_in_the_place_of_a_deleted_one_has_another_nonce(shown: Shown) -> None:
    """With the same one Discord would answer with the deleted message."""
    shut(shown, Gone())
    shown.desk.board.faults["place 1"].clear()
    await ended(shown)
    await asyncio.wait_for(shown.task, 5)
    assert shown.desk.board.nonces == ["a:0", "a:1"]


async def test_after_a_crash_the_next_message_has_the_nonce_it_would_have_had(shown: Shown) -> None:
    await end([shown.task])
    delivery = shown.desk.start()
    await delivery.resume("a")
    await shown.desk.stores.queue.finish(shown.claim, Done("x" * 6000))
    await wait_until(shown.desk.delivered)
    assert shown.desk.board.nonces == ["a:0", "a:1"]


async def test_a_sentence_follows_its_asker_but_does_not_wait_for_them(desk: Desk) -> None:
    delivery = desk.start()
    desk.board.faults["place 1"].extend([Moved("7"), Later()])
    for text in ("one", "two"):
        await delivery.tools.say(Address("telegram", "1"), say("en", "file_name") + text)
    assert desk.board.texts("7") == [say("en", "file_name") + "one"]
    assert desk.board.texts("1") == []


@pytest.mark.usefixtures("quick")
async def test_a_slot_whose_storing_seemed_to_fail_is_one_slot_in_the_next_life(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = desk.stores.replies.add_slot, [RedisConnectionError()]

    async def add_slot(ask: Ask, message: str) -> None:
        await real(ask, message)
        if failures:  # it was stored, but its answer was lost with the connection
            raise failures.pop()

    monkeypatch.setattr(desk.stores.replies, "add_slot", add_slot)
    await desk.stores.queue.enqueue(make_ask("a"))
    desk.start().follow(make_ask("a"))
    claim = await desk.claim()
    await desk.stores.replies.emit(claim, "half")
    await wait_until(lambda: desk.board.texts() == ["half …"])
    await desk.crash()
    await desk.stores.queue.finish(claim, Done("whole"))
    desk.start()
    await wait_until(desk.delivered)
    assert not failures
    assert desk.board.texts() == ["whole"]
