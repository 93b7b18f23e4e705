"""One ask on its surface: what counts of what is announced, whatever order or gap it comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.delivery import Delivery
from bots.follower import Follower
from bots.phrases import say
from bots.surface import Page, Rate, Unfit
from storage import keys
from storage.messages import Address, Delta, Done, Event, Queued, Started, Waiting
from storage.queue import Claim
from storage.replies import Finished
from storage.tasks import end
from tests.bots.conftest import Desk
from tests.storage.asks import make_ask
from tests.waiting import wait_until


class Shown:
    """A follower that runs, without a delivery that tells it anything."""

    def __init__(self, desk: Desk, claim: Claim) -> None:
        self.desk = desk
        self.claim = claim
        self.follower = Follower(Delivery(desk.board, desk.stores).tools, claim.ask)
        self.task = asyncio.create_task(self.follower.run())

    def tell(self, *events: Event) -> None:
        for event in events:
            self.follower.notice(event)

    async def shows(self, *texts: str) -> None:
        await wait_until(lambda: self.desk.board.texts() == list(texts))


@pytest_asyncio.fixture
async def shown(desk: Desk) -> AsyncIterator[Shown]:
    await desk.stores.replies.open_outbox("telegram")
    await desk.stores.queue.enqueue(make_ask("a"))
    found = Shown(desk, await desk.claim())
    await found.shows("…")
    await wait_until(lambda: bool(found.follower._slots))  # pyright: ignore[reportPrivateUsage] : the store has it too
    yield found
    await end([found.task])


async def test_a_gap_in_the_deltas_is_read_again_from_the_store(shown: Shown) -> None:
    await shown.desk.stores.replies.emit(shown.claim, "zero é ")
    await shown.desk.stores.replies.emit(shown.claim, "one ")
    shown.tell(Delta(1, 8, "one "))  # the first was never heard of
    await shown.shows("zero é one …")


async def test_a_gap_that_the_store_cannot_fill_yet_shows_nothing_wrong(shown: Shown) -> None:
    shown.tell(Delta(1, 0, "zero "), Delta(1, 50, "far away"))
    await shown.shows("zero …")
    shown.tell(Delta(1, 5, "one"))
    await shown.shows("zero one …")


async def test_deltas_that_were_read_already_or_come_twice_change_nothing(shown: Shown) -> None:
    await shown.desk.stores.replies.emit(shown.claim, "zéro one two")
    shown.follower.refresh()
    await shown.shows("zéro one two …")
    shown.tell(Delta(1, 0, "zéro "), Delta(1, 6, "one "), Delta(1, 6, "one two three"))
    await shown.shows("zéro one two three …")


async def test_words_of_a_lower_fence_are_dead(shown: Shown) -> None:
    shown.tell(Started(2), Delta(2, 0, "new"), Delta(1, 0, "old old old"), Started(1))
    await shown.shows("new …")


async def test_a_new_fence_restarts_the_text_even_if_its_start_was_not_heard(shown: Shown) -> None:
    shown.tell(Delta(1, 0, "a long first try"))
    await shown.shows("a long first try …")
    shown.tell(Delta(2, 0, "second"))
    await shown.shows("second …")
    shown.tell(Waiting("again"))
    await shown.shows(say("en", "again"))
    shown.tell(Started(3))
    await shown.shows("…")


async def test_text_that_is_read_again_takes_the_place_of_what_was_waited_for(shown: Shown) -> None:
    shown.follower.status(Waiting("engine_down"))
    await shown.shows(say("en", "engine_down"))
    await shown.desk.stores.replies.emit(shown.claim, "here")
    shown.follower.refresh()
    await shown.shows("here …")


async def test_a_character_that_is_cut_in_two_waits_for_its_other_half(shown: Shown) -> None:
    await shown.desk.stores.redis.set(keys.text("a", 1), "a🙂".encode()[:3])
    shown.follower.refresh()
    await shown.shows("a …")


async def test_the_same_state_is_written_once(shown: Shown) -> None:
    for _ in range(20):
        shown.follower.status(Queued(1))
        shown.follower.refresh()
        await asyncio.sleep(0.002)
    await shown.shows("Number 2 in line.")
    assert shown.desk.board.edits() == ["Number 2 in line."]


async def test_many_changes_at_once_are_one_write(shown: Shown) -> None:
    shown.tell(*(Delta(1, n, "x") for n in range(100)))
    await shown.shows(f"{'x' * 100} …")
    assert len(shown.desk.board.edits()) == 1


async def test_nothing_that_comes_after_the_end_changes_it(shown: Shown) -> None:
    await shown.desk.stores.queue.finish(shown.claim, Done("end"))
    (finished,) = await shown.desk.stores.replies.finished("telegram", wait=0.01)
    shown.follower.end(finished)
    shown.tell(Started(9), Delta(9, 0, "late"), Waiting("again"))
    shown.follower.refresh()
    await asyncio.wait_for(shown.task, 2)
    assert shown.desk.board.texts() == ["end"]
    assert await shown.desk.delivered()


async def test_asked_anew_it_shows_nothing_of_before(shown: Shown) -> None:
    shown.tell(Delta(1, 0, "old"))
    await shown.shows("old …")
    shown.follower.redo(shown.claim.ask, 2)
    await shown.shows("…")
    shown.tell(Delta(1, 3, " and dead"))
    assert not shown.follower.end(Finished("1-0", "a", Done("dead"), 1))
    shown.tell(Started(3), Delta(3, 0, "new"))
    await shown.shows("new …")


async def test_what_a_worker_says_before_we_hear_that_it_is_asked_anew_stays(shown: Shown) -> None:
    shown.tell(Started(3), Delta(3, 0, "new"))
    shown.follower.redo(shown.claim.ask, 2)
    await shown.shows("new …")


@pytest.mark.parametrize("fence", [2, 3])  # stopped while it waited, or answered
async def test_an_end_that_comes_before_we_hear_that_it_is_asked_anew_is_shown(shown: Shown, fence: int) -> None:
    shown.follower.end(Finished("1-0", "a", Done("new"), fence))
    shown.follower.redo(shown.claim.ask, 2)
    await asyncio.wait_for(shown.task, 2)
    assert shown.desk.board.texts() == ["new"]


async def test_asked_anew_while_its_end_is_shown_it_goes_on(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()
    edit = shown.desk.board.edit

    async def slowly(where: Address, slot: str, page: Page) -> None:
        await edit(where, slot, page)
        await held.wait()

    monkeypatch.setattr(shown.desk.board, "edit", slowly)
    shown.follower.end(Finished("1-0", "a", Done("old"), 1))
    await wait_until(lambda: shown.desk.board.calls[-1].method == "edit")
    shown.follower.redo(shown.claim.ask, 2)
    held.set()
    await shown.shows("…")
    shown.follower.end(Finished("2-0", "a", Done("new"), 3))
    await asyncio.wait_for(shown.task, 2)
    assert shown.desk.board.texts() == ["new"]


async def test_an_answer_whose_formatting_was_refused_says_nothing_of_the_next_one(shown: Shown) -> None:
    shown.desk.board.faults["edit"].append(Unfit("can't parse entities"))
    shown.tell(Delta(1, 0, "**bold**"))
    await wait_until(lambda: shown.desk.board.texts() == ["bold …"])
    assert [page.format for page in shown.desk.board.shown.values()] == [()]
    shown.follower.redo(shown.claim.ask, 2)
    shown.tell(Started(3), Delta(3, 0, "**bold** too"))
    await shown.shows("bold too …")
    assert [len(page.format) for page in shown.desk.board.shown.values()] == [1]


@pytest.mark.parametrize("text", ["**bold and", "```py\nprint(", "| a | b |\n|-", "[link](http://", "_", "# "])
async def test_a_half_written_text_is_shown_whatever_it_is_in_the_middle_of(shown: Shown, text: str) -> None:
    shown.tell(Delta(1, 0, text), Delta(1, len(text), "X"))
    await wait_until(lambda: shown.desk.board.texts()[0].endswith(" …"))
    shown.follower.end(Finished("1-0", "a", Done(text)))
    await asyncio.wait_for(shown.task, 2)


async def test_an_answer_given_anew_takes_the_place_of_the_old_one_also_before_anybody_said_that_it_was_asked_anew(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = asyncio.Event()

    async def delivered(*_: object) -> None:
        await hold.wait()

    monkeypatch.setattr(shown.desk.stores.replies, "delivered", delivered)
    assert shown.follower.end(Finished("1-0", "a", Done("old"), 1))
    await shown.shows("old")
    assert shown.follower.end(Finished("2-0", "a", Done("new"), 2))
    shown.follower.redo(shown.claim.ask, 2)
    hold.set()
    await shown.shows("new")


async def test_an_end_that_comes_while_the_chat_s_turn_is_awaited_is_what_that_turn_shows(desk: Desk) -> None:
    desk.board._rate = Rate(2, 0.2)  # pyright: ignore[reportPrivateUsage] : two calls at once, and one each 0.2 s
    await desk.stores.replies.open_outbox("telegram")
    await desk.stores.queue.enqueue(make_ask("a"))
    shown = Shown(desk, await desk.claim())
    await shown.shows("…")
    shown.tell(Delta(1, 0, "one "))
    await shown.shows("one …")
    shown.tell(Delta(1, 4, "two "))
    await wait_until(lambda: not shown.follower._changed.is_set())  # pyright: ignore[reportPrivateUsage] : it waits
    shown.follower.end(Finished("1-0", "a", Done("one two three"), 1))
    await asyncio.wait_for(shown.task, 4)
    assert desk.board.edits() == ["one …", "one two three"], "no part of an answer has the buttons of a whole one"
