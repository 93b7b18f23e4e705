"""Asking anew: an ask is found by its id and answered once more, whatever it was doing, and what it brought is dead."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from storage import keys
from storage.connection import Client, Scripts
from storage.history import History
from storage.messages import Ask, Done, Photo, Refused
from storage.queue import Found, Queue
from storage.stores import Stores
from tests.storage.anew import again, answered, claim, close, deliver, read, state
from tests.storage.asks import make_ask
from tests.storage.test_keys import PERMANENT, without_end
from tests.waiting import wait_until

OLD, NEW = Photo("aa", "image/png", 32, 32, 10), Photo("bb", "image/png", 32, 32, 10)


async def test_of_an_unknown_id_nothing_is_found(stores: Stores) -> None:
    assert await stores.queue.find("never") is None


async def test_an_ask_is_found_whole_whatever_it_does(stores: Stores) -> None:
    ask = make_ask("a", photos=(OLD,))
    await stores.queue.enqueue(ask)
    assert await stores.queue.find("a") == Found(ask, known=True, state="queued", fence=0)
    held = await claim(stores)
    assert await stores.queue.find("a") == Found(ask, known=True, state="running", fence=1)
    await stores.queue.release(held)
    asked = structs.replace(ask, question=structs.replace(ask.question, ask="a"))
    await close(stores, Done("x"), text="x")
    for _ in range(2):
        assert await stores.queue.find("a") == Found(asked, known=True, state="done", fence=2)
        await deliver(stores)


async def test_a_waiting_ask_keeps_its_place_and_is_answered_once_as_it_is_now(stores: Stores) -> None:
    for id in ("a", "b", "c"):
        await stores.queue.enqueue(make_ask(id))
    assert await again(stores, "b", "new") == "ok"
    held = [await close(stores, Done("x")) for _ in range(3)]
    assert [(each.ask.id, each.ask.question.text, each.fence) for each in held] == [
        ("a", "question a", 1), ("b", "new", 2), ("c", "question c", 1),
    ]  # fmt: skip
    assert (await stores.queue.counts())["queued"] == 0


async def test_a_running_ask_starts_again_in_front_and_all_of_its_former_life_is_dead(stores: Stores) -> None:
    for id in ("a", "b"):
        await stores.queue.enqueue(make_ask(id))
    former = await claim(stores)
    await stores.replies.emit(former, "half")
    assert await again(stores, "a", "new") == "ok"
    assert not await stores.redis.exists(keys.text("a", 1))
    assert await stores.queue.renew([former]) == ["lost"]
    assert not await stores.replies.emit(former, "dead")
    assert not await stores.queue.finish(former, Done("dead"), [former.ask.question])
    assert not await stores.queue.release(former)
    held = await claim(stores, "w2")
    assert (held.ask.id, held.ask.question.text, held.fence) == ("a", "new", 3)
    assert not await stores.queue.finish(former, Done("dead"))
    assert await stores.queue.finish(held, Done("alive"))
    assert [(each.event, each.fence) for each in await read(stores)] == [(Done("alive"), 3)]


async def test_the_worker_of_a_running_ask_hears_of_it_at_once(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    former = await claim(stores)
    heard: list[tuple[str, int]] = []

    async def hear() -> None:
        async for each in stores.queue.cancelled():
            heard.append(each)  # noqa: PERF401 : the list is read while it grows

    async def subscribed() -> bool:
        return (await stores.redis.pubsub_numsub(keys.CONTROL))[0][1] == 1

    hearing = asyncio.create_task(hear())
    await wait_until(subscribed)
    await again(stores, "a")
    await wait_until(lambda: heard == [("a", former.fence)])
    hearing.cancel()


async def test_a_reply_that_nobody_has_read_yet_leaves_the_outbox(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await close(stores, Done("old"), text="old")
    await again(stores, "a")
    assert await read(stores) == []
    await close(stores, Done("new"), text="new")
    assert [each.event for each in await read(stores)] == [Done("new")]


async def test_a_reply_that_was_read_but_not_shown_is_not_read_again_after_a_crash(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await close(stores, Done("old"), text="old")
    assert len(await read(stores)) == 1
    await again(stores, "a")
    assert await stores.replies.pending("telegram") == []


async def test_the_acknowledgement_of_a_former_reply_closes_nothing(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a", photos=(OLD,)))
    await close(stores, Done("old"), text="old")
    (former,) = await read(stores)
    await again(stores, "a")
    await stores.replies.delivered("telegram", former)
    assert await stores.replies.open_asks("telegram") == ["a"], "after a crash it is followed again"
    assert await stores.redis.ttl(keys.job("a")) == -1, "what waits does not expire"
    await close(stores, Done("new"), text="new")
    await stores.replies.delivered("telegram", former)
    assert await stores.replies.open_asks("telegram") == ["a"]
    await deliver(stores)
    assert await stores.replies.open_asks("telegram") == []
    assert await stores.redis.hgetall(keys.PHOTO_USES) == {}
    assert await without_end(stores.redis) <= PERMANENT


async def test_a_tombstone_lives_while_its_ask_is_open_again_and_ends_after_it(stores: Stores) -> None:
    await answered(stores, "a", "red")
    assert 0 < await stores.redis.ttl(keys.job("a")) <= keys.SLOTS_TTL
    await again(stores, "a")
    assert await stores.redis.ttl(keys.job("a")) == -1
    assert await stores.replies.open_asks("telegram") == ["a"]
    assert not await stores.queue.enqueue(make_ask("a"))
    await close(stores, Done("blue"), text="blue")
    await deliver(stores)
    assert 0 < await stores.redis.ttl(keys.job("a")) <= keys.SLOTS_TTL
    assert await without_end(stores.redis) <= PERMANENT


async def test_a_stopped_answer_that_is_asked_anew_is_no_longer_stopped(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await claim(stores)
    await stores.queue.cancel("telegram:1")
    assert await again(stores, "a") == "changed", "a photo that came late is no wish to go on"
    assert await again(stores, "a", newest=True) == "ok"
    held = await claim(stores)
    assert await stores.queue.renew([held]) == ["ok"]
    await stores.queue.release(held)
    assert await state(stores, "a") == ("queued", True, 3)


async def test_a_parked_ask_that_is_asked_anew_is_due_at_once_and_has_all_its_tries(redis: Client) -> None:
    queue = Queue(redis, Scripts(redis), failure_limit=2)
    await queue.enqueue(make_ask("a"))
    (held,), _ = await queue.claim("w1", 1)
    await queue.release(held, failed=True)
    found = await queue.find("a")
    assert found
    assert await queue.amend(found.ask, found.fence) == "ok"
    (held,), due = await queue.claim("w1", 1)
    assert due is None
    await queue.release(held, failed=True)
    assert await History(redis).read(held.ask.conversation, 0) == []
    found = await queue.find("a")
    assert found
    assert found.state == "queued", "its first failure, not its second"


async def test_a_full_queue_takes_back_what_waits_or_runs_but_nothing_that_is_closed(redis: Client) -> None:
    queue = Queue(redis, Scripts(redis), limit=1)
    await queue.enqueue(make_ask("done", "p:a"))
    (held,), _ = await queue.claim("w1", 1)
    await queue.finish(held, Done("x"))
    await queue.enqueue(make_ask("running", "p:b"))
    await queue.claim("w1", 1)
    await queue.enqueue(make_ask("waits", "p:c"))
    for id in ("running", "waits"):
        found = await queue.find(id)
        assert found
        assert await queue.amend(found.ask, found.fence) == "ok"
    found = await queue.find("done")
    assert found
    with pytest.raises(Refused, match="queue_full"):
        await queue.amend(found.ask, found.fence)
    assert await queue.find("done") == found


@pytest.mark.parametrize("steps", ["waiting", "running", "closed", "shown"])
async def test_the_photos_of_the_present_question_are_in_use_and_no_others(stores: Stores, steps: str) -> None:
    ask = make_ask("a", photos=(OLD,))
    await stores.queue.enqueue(ask)
    if steps == "running":
        await claim(stores)
    elif steps in ("closed", "shown"):
        await close(stores, Done("x"), text="x")
    if steps == "shown":
        await deliver(stores)
    found = await stores.queue.find("a")
    assert found
    changed: Ask = structs.replace(found.ask, question=structs.replace(found.ask.question, photos=(NEW,)))
    assert await stores.queue.amend(changed, found.fence) == "ok"
    assert await stores.redis.hgetall(keys.PHOTO_USES) == {b"telegram:1|bb": b"1"}
    assert (await close(stores, Done("x"), text="x")).ask.question.photos == (NEW,)
    assert await stores.redis.hgetall(keys.PHOTO_USES) == {}


async def test_of_two_at_once_one_is_taken(stores: Stores) -> None:
    await answered(stores, "a", "red")
    found = await stores.queue.find("a")
    assert found
    answers = await asyncio.gather(*(stores.queue.amend(found.ask, found.fence) for _ in range(2)))
    assert sorted(answers) == ["changed", "ok"]
    assert (await stores.queue.counts())["queued"] == 1


async def test_who_saw_another_fence_changes_nothing(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    found = await stores.queue.find("a")
    assert found
    await claim(stores)
    assert await stores.queue.amend(found.ask, found.fence) == "changed"
    assert await stores.queue.amend(make_ask("never"), 0) == "changed"
    assert not await stores.redis.exists(keys.job("never"))


async def test_a_terminal_s_ask_that_is_asked_anew_leaves_nothing_for_ever(stores: Stores) -> None:
    await stores.replies.open_outbox("terminal:1", passing=True)
    await stores.queue.enqueue(make_ask("a", outbox="terminal:1"), passing=True)
    await close(stores, Done("old"), text="old")
    (finished,) = await stores.replies.finished("terminal:1", wait=0.01)
    await stores.replies.delivered("terminal:1", finished)
    await again(stores, "a")
    await close(stores, Done("nobody reads this"))
    assert await without_end(stores.redis) <= PERMANENT
