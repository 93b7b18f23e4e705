"""The queue: order, fairness, leases, fences, giving up, stopping."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from storage import keys
from storage.connection import Client, Scripts
from storage.history import History
from storage.messages import Cancelled, Done, Failed, Photo, Refused, Turn
from storage.queue import Claim, Queue
from storage.replies import Replies
from tests.storage.asks import make_ask
from tests.waiting import wait_until


@pytest_asyncio.fixture
async def queue(redis: Client) -> Queue:
    return Queue(redis, Scripts(redis), limit=50, lane_limit=20, lease=15.0)


@pytest_asyncio.fixture
async def replies(redis: Client) -> Replies:
    found = Replies(redis, Scripts(redis))
    await found.open_outbox("telegram")
    return found


async def claim(queue: Queue, n: int = 1, worker: str = "w1") -> list[Claim]:
    return (await queue.claim(worker, n))[0]


async def outbox(replies: Replies) -> list[tuple[str, object]]:
    return [(found.id, found.event) for found in await replies.finished("telegram", wait=0.01)]


async def test_an_ask_comes_out_as_it_went_in(queue: Queue) -> None:
    ask = make_ask("a")
    assert await queue.enqueue(ask)
    assert await claim(queue) == [Claim(ask, 1)]


async def test_the_same_id_is_enqueued_once_even_after_it_was_answered(queue: Queue) -> None:
    await queue.enqueue(make_ask("a"))
    assert not await queue.enqueue(make_ask("a"))
    (held,) = await claim(queue)
    await queue.finish(held, Done("yes"))
    assert not await queue.enqueue(make_ask("a"))
    assert await claim(queue) == []


async def test_a_full_lane_and_a_full_queue_refuse(redis: Client) -> None:
    queue = Queue(redis, Scripts(redis), limit=3, lane_limit=2)
    await queue.enqueue(make_ask("a1", "p:a"))
    await queue.enqueue(make_ask("a2", "p:a"))
    with pytest.raises(Refused) as refused:
        await queue.enqueue(make_ask("a3", "p:a"))
    assert (refused.value.code, refused.value.details) == ("lane_full", {"limit": 2})
    await queue.enqueue(make_ask("b1", "p:b"))
    with pytest.raises(Refused, match="queue_full"):
        await queue.enqueue(make_ask("c1", "p:c"))


async def test_one_person_has_one_running_ask_and_keeps_the_order(queue: Queue) -> None:
    for id in ("a1", "a2", "a3"):
        await queue.enqueue(make_ask(id, "p:a"))
    seen: list[str] = []
    while held := await claim(queue, 10):
        assert len(held) == 1
        seen.append(held[0].ask.id)
        await queue.finish(held[0], Done("x"))
    assert seen == ["a1", "a2", "a3"]


async def test_lanes_take_turns_behind_one_persons_flood(queue: Queue) -> None:
    for n in range(10):
        await queue.enqueue(make_ask(f"flood{n}", "p:flood"))
    for n in range(3):
        await queue.enqueue(make_ask(f"other{n}", f"p:{n}"))
    order: list[str] = []
    for _ in range(5):
        (held,) = await claim(queue)
        order.append(held.ask.id)
        await queue.finish(held, Done("x"))
    assert order == ["flood0", "other0", "other1", "other2", "flood1"]


async def test_places_say_the_order_in_which_asks_are_served(queue: Queue) -> None:
    for id, person in (("a1", "p:a"), ("a2", "p:a"), ("b1", "p:b"), ("a3", "p:a"), ("b2", "p:b"), ("c1", "p:c")):
        await queue.enqueue(make_ask(id, person))
    (first,) = await claim(queue)
    ids = ["a2", "a3", "b1", "b2", "c1"]
    places = dict(zip(ids, await queue.places(ids), strict=True))
    await queue.finish(first, Done("x"))
    served: list[str] = []
    while held := await claim(queue):
        served.append(held[0].ask.id)
        await queue.finish(held[0], Done("x"))
    assert [id for id, _ in sorted(places.items(), key=lambda item: item[1] or 0)] == served
    assert await queue.places(["a1", "nobody"]) == [None, None]


async def test_priority_passes_others_but_not_ones_own_lane(queue: Queue) -> None:
    await queue.enqueue(make_ask("a", "p:a"))
    await queue.enqueue(make_ask("b", "p:b"))
    await queue.enqueue(make_ask("admin", "p:admin"), priority=100)
    assert [held.ask.id for held in await claim(queue, 3)] == ["admin", "a", "b"]


async def test_a_waiting_claim_wakes_up_when_an_ask_comes(queue: Queue) -> None:
    waiting = asyncio.create_task(queue.claim("w1", 1, wait=5))
    await asyncio.sleep(0)
    await queue.enqueue(make_ask("a"))
    claims, _ = await asyncio.wait_for(waiting, 2)
    assert [held.ask.id for held in claims] == ["a"]


async def test_a_claim_survives_a_server_that_lost_its_scripts(queue: Queue, redis: Client) -> None:
    await queue.enqueue(make_ask("a"))
    await redis.script_flush()
    assert len(await claim(queue)) == 1


async def test_an_expired_lease_returns_the_ask_under_a_higher_fence(redis: Client, replies: Replies) -> None:
    queue = Queue(redis, Scripts(redis), lease=0.2)
    await queue.enqueue(make_ask("a"))
    (old,) = await claim(queue)
    fresh: list[Claim] = []

    async def reclaimed() -> bool:
        fresh.extend(await claim(queue, worker="w2"))
        return bool(fresh)

    await wait_until(reclaimed)
    assert (fresh[0].ask.id, fresh[0].fence) == ("a", 2)
    assert not await replies.emit(old, "dead")
    assert not await queue.finish(old, Done("dead"))
    assert await queue.renew([old, fresh[0]]) == ["lost", "ok"]
    assert await queue.finish(fresh[0], Done("alive"))
    assert await outbox(replies) == [("a", Done("alive"))]


async def test_after_an_outage_of_the_store_every_lease_is_granted_once_more(redis: Client) -> None:
    queue = Queue(redis, Scripts(redis), lease=10.0)
    await queue.enqueue(make_ask("a"))
    (held,) = await claim(queue)
    # Nobody could renew for longer than a lease.
    await redis.zadd(keys.LEASE, {"a": 1})
    await redis.hset(keys.COUNTS, "beat", 1)
    assert await claim(queue, worker="w2") == []
    assert await queue.renew([held]) == ["ok"]


async def test_a_restarted_worker_gives_back_what_it_held(queue: Queue) -> None:
    await queue.enqueue(make_ask("a", "p:a"))
    await queue.enqueue(make_ask("b", "p:b"))
    await claim(queue, 1, "w1")
    await claim(queue, 1, "w2")
    assert await queue.reset("w1", held=["a"]) == 0
    assert await queue.reset("w1") == 1
    assert [(held.ask.id, held.fence) for held in await claim(queue, 5, "w1")] == [("a", 2)]


async def test_a_released_ask_goes_back_in_front_and_its_text_is_dead(
    queue: Queue, replies: Replies, redis: Client
) -> None:
    await queue.enqueue(make_ask("a1"))
    await queue.enqueue(make_ask("a2"))
    (held,) = await claim(queue)
    await replies.emit(held, "half an ans")
    assert await queue.release(held)
    assert not await queue.release(held)
    assert await redis.exists(keys.text("a1", 1)) == 0
    assert [(next.ask.id, next.fence) for next in await claim(queue)] == [("a1", 2)]


async def test_a_delayed_ask_parks_its_lane_so_that_order_holds(queue: Queue) -> None:
    await queue.enqueue(make_ask("a1"))
    await queue.enqueue(make_ask("a2"))
    (held,) = await claim(queue)
    await queue.release(held, delay=0.15)
    claims, due = await queue.claim("w1", 1)
    assert claims == []
    assert due is not None
    assert 0 < due <= 0.15
    again: list[Claim] = []

    async def back() -> bool:
        again.extend(await claim(queue))
        return bool(again)

    await wait_until(back)
    assert again[0].ask.id == "a1"


async def test_an_ask_that_fails_again_and_again_waits_longer_each_time_and_is_given_up(
    redis: Client, replies: Replies
) -> None:
    queue = Queue(redis, Scripts(redis), failure_limit=3)
    await queue.enqueue(make_ask("a"))
    waits: list[float] = []
    for _ in range(3):
        (held,) = await claim(queue)
        await queue.release(held, failed=True)
        waits += [due for due in [(await queue.claim("w1", 1))[1]] if due]
        await redis.hset(keys.job("a"), "due", 0)
        for lane in await redis.zrange(keys.DELAYED, 0, -1):
            await redis.zadd(keys.DELAYED, {lane: 1})
    assert 0.4 < waits[0] <= 0.5 < waits[1] <= 1.0
    assert len(waits) == 2
    assert await outbox(replies) == [("a", Failed("gave_up"))]


async def test_finishing_twice_delivers_once(queue: Queue, replies: Replies) -> None:
    await queue.enqueue(make_ask("a"))
    (held,) = await claim(queue)
    assert await queue.finish(held, Done("yes"))
    assert not await queue.finish(held, Done("yes"))
    assert await outbox(replies) == [("a", Done("yes"))]


async def test_a_finished_ask_leaves_its_turns_in_the_history(queue: Queue, redis: Client) -> None:
    ask = make_ask("a")
    await queue.enqueue(ask)
    (held,) = await claim(queue)
    turns = [ask.question, Turn("assistant", "red")]
    await queue.finish(held, Done("red"), turns)
    assert await History(redis).read(ask.conversation, 0) == turns


async def test_an_answer_begun_before_a_fresh_start_leaves_no_turn(queue: Queue, redis: Client) -> None:
    history, ask = History(redis), make_ask("a")
    await queue.enqueue(ask)
    (held,) = await claim(queue)
    await history.restart(ask.conversation)
    await queue.finish(held, Done("red"), [ask.question])
    assert await history.read(ask.conversation, 1) == []


async def test_stopping_closes_what_waits_and_marks_what_runs(queue: Queue, replies: Replies) -> None:
    for id in ("a1", "a2"):
        await queue.enqueue(make_ask(id, "p:a", conversation="here"))
    await queue.enqueue(make_ask("a3", "p:a", conversation="elsewhere"))
    (running,) = await claim(queue)
    assert await queue.cancel("p:a", conversation="here") == 2
    assert await outbox(replies) == [("a2", Cancelled())]
    assert await queue.renew([running]) == ["cancelled"]
    await queue.finish(running, Cancelled("so far"))
    assert [held.ask.id for held in await claim(queue)] == ["a3"]


async def test_a_stopped_ask_whose_worker_died_is_closed_with_the_text_so_far(queue: Queue, replies: Replies) -> None:
    await queue.enqueue(make_ask("a"))
    (held,) = await claim(queue)
    await replies.emit(held, "half é")
    await queue.cancel("telegram:1")
    await queue.reset("w1")
    assert await outbox(replies) == [("a", Cancelled("half é"))]
    assert await claim(queue) == []


async def test_stopping_a_parked_head_frees_the_rest_of_its_lane(queue: Queue) -> None:
    await queue.enqueue(make_ask("a1"))
    await queue.enqueue(make_ask("a2"))
    (held,) = await claim(queue)
    await queue.release(held, delay=60)
    assert await queue.cancel("telegram:1", id="a1") == 1
    assert [held.ask.id for held in await claim(queue)] == ["a2"]


async def test_photos_are_in_use_from_enqueuing_until_the_end(queue: Queue, redis: Client) -> None:
    photo = Photo("aa", "image/png", 32, 32, 10)
    await queue.enqueue(make_ask("a", photos=(photo,)))
    assert await redis.hget(keys.PHOTO_USES, "telegram:1|aa") == b"1"
    (held,) = await claim(queue)
    await queue.finish(held, Done("x"))
    assert await redis.hgetall(keys.PHOTO_USES) == {}


async def test_places_are_exact_for_lanes_of_any_length(queue: Queue) -> None:
    asks = [(f"{person}{n}", f"p:{person}") for n in range(5) for person in "abcd" if n <= "dbca".index(person) + 1]
    for id, person in asks:
        await queue.enqueue(make_ask(id, person))
    (running,) = await claim(queue)
    waiting = [id for id, _ in asks if id != running.ask.id]
    places = dict(zip(waiting, await queue.places(waiting), strict=True))
    await queue.finish(running, Done("x"))
    served: list[str] = []
    while held := await claim(queue):
        served.append(held[0].ask.id)
        await queue.finish(held[0], Done("x"))
    assert places == {id: place for place, id in enumerate(served)}
