"""What asking anew does to the history: the newest pair of turns is replaced, and a question without one is kept."""

from __future__ import annotations

import pytest

from storage import keys
from storage.messages import Cancelled, Done, Event, Failed, Turn
from storage.stores import Stores
from tests.storage.anew import again, answered, claim, close, deliver, said, state
from tests.storage.asks import make_ask
from tests.storage.test_keys import PERMANENT, without_end


@pytest.mark.parametrize("event", [Failed("photo_gone"), Cancelled()])
async def test_a_question_without_an_answer_is_kept_until_a_fresh_start(stores: Stores, event: Event) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await close(stores, event)
    await deliver(stores)
    found = await stores.queue.find("a")
    assert found
    assert (found.ask.question.text, found.known) == ("question a", True)
    await stores.history.restart(make_ask("a").conversation)
    found = await stores.queue.find("a")
    assert found
    assert (found.ask.question, found.known, found.ask.where) == (Turn(), False, make_ask("a").where)


async def test_what_was_forgotten_is_known_by_its_place_only(stores: Stores) -> None:
    ask = make_ask("a")
    await stores.history.enter(ask.person, ask.conversation)
    await answered(stores, "a", "red")
    await stores.history.forget(ask.person)
    assert await state(stores, "a") == ("done", False, 1)
    assert await again(stores, "a", newest=True) == "older"


async def test_a_kept_question_that_is_answered_at_last_is_a_turn_and_no_longer_kept(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await close(stores, Failed("gave_up"))
    await deliver(stores)
    kept = keys.kept(make_ask("a").conversation)
    assert await stores.redis.smembers(kept) == {b"a"}
    assert 0 < await stores.redis.ttl(keys.job("a")) <= keys.JOB_TTL
    assert await again(stores, "a", newest=True) == "ok"
    assert not await stores.redis.exists(kept)
    await close(stores, Done("red"), text="red")
    await deliver(stores)
    assert await said(stores) == ["question a", "red"]
    assert not await stores.redis.hexists(keys.job("a"), "question"), "it is said once, in the history"
    assert await without_end(stores.redis) <= PERMANENT


async def test_turns_are_replaced_where_they_stood(stores: Stores) -> None:
    for id, text in (("a", "red"), ("b", "blue"), ("c", "green")):
        await answered(stores, id, text)
    assert await again(stores, "b", "changed") == "ok"  # a photo that came late
    await close(stores, Done("yellow"), text="yellow")
    assert await said(stores) == ["question a", "red", "changed", "yellow", "question c", "green"]


async def test_only_the_newest_is_asked_anew_when_that_is_asked_for(stores: Stores) -> None:
    for id in ("a", "b"):
        await answered(stores, id, f"answer {id}")
    assert await again(stores, "a", "new", newest=True) == "older"
    assert await state(stores, "a") == ("done", True, 1)
    assert await again(stores, "b", "new", newest=True) == "ok"
    await close(stores, Done("x"), text="x")
    assert await said(stores) == ["question a", "answer a", "new", "x"]


async def test_an_older_question_that_has_no_answer_yet_is_asked_after_what_came_since(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await close(stores, Failed("gave_up"))
    await deliver(stores)
    await answered(stores, "b", "blue")
    assert await again(stores, "a", newest=True) == "ok"
    await close(stores, Done("red"), text="red")
    assert await said(stores) == ["question b", "blue", "question a", "red"]


async def test_a_later_question_that_still_waits_or_runs_makes_none_older(stores: Stores) -> None:
    await answered(stores, "a", "red")
    await stores.queue.enqueue(make_ask("b"))
    running = await claim(stores)
    await stores.queue.enqueue(make_ask("c"))
    assert await again(stores, "a", newest=True) == "ok"
    await stores.queue.finish(running, Done("b"), [Turn("user", "b", ask="b"), Turn("assistant", "b", ask="b")])
    assert [(await close(stores, Done(text), text=text)).ask.id for text in ("blue", "c")] == ["a", "c"]
    assert await said(stores) == ["question a", "blue", "b", "b", "question c", "c"]


@pytest.mark.parametrize("event", [Failed("photo_gone"), Cancelled()])
async def test_a_second_try_without_an_answer_leaves_the_former_turns_and_may_be_tried_again(
    stores: Stores, event: Event
) -> None:
    await answered(stores, "a", "red")
    await again(stores, "a", newest=True)
    await close(stores, event)
    await deliver(stores)
    assert await said(stores) == ["question a", "red"]
    assert await again(stores, "a", newest=True) == "ok"
    await close(stores, Done("blue"), text="blue")
    await deliver(stores)
    assert await said(stores) == ["question a", "blue"]
    assert await without_end(stores.redis) <= PERMANENT


async def test_a_fresh_start_while_it_is_answered_anew_leaves_neither_turn_nor_question(stores: Stores) -> None:
    ask = make_ask("a")
    await answered(stores, "a", "red")
    await again(stores, "a", "secret")
    held = await claim(stores)
    await stores.history.restart(ask.conversation)
    await stores.queue.finish(held, Done("x"), [held.ask.question, Turn("assistant", "x", ask="a")])
    await deliver(stores)
    assert await stores.history.read(ask.conversation, 1) == []
    assert await state(stores, "a") == ("done", False, 3)
    assert await without_end(stores.redis) <= PERMANENT
