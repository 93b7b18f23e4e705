"""Replies: text grows under a fence, nothing that is announced is lost for good, an outbox entry stays until it is
delivered, and slots outlive the process that placed them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest_asyncio

from storage import keys
from storage.connection import Client, Scripts
from storage.messages import Delta, Done, Event, Failed, Started, Waiting
from storage.queue import Claim, Queue
from storage.replies import Notice, Replies
from tests.storage.asks import make_ask


@pytest_asyncio.fixture
async def queue(redis: Client) -> Queue:
    return Queue(redis, Scripts(redis))


@pytest_asyncio.fixture
async def replies(redis: Client) -> Replies:
    found = Replies(redis, Scripts(redis))
    await found.open_outbox("telegram")
    return found


async def started(queue: Queue, id: str = "a", person: str = "telegram:1") -> Claim:
    await queue.enqueue(make_ask(id, person))
    ((claim,), _) = await queue.claim("w1", 1)
    return claim


async def take(notices: AsyncGenerator[Notice | None], n: int) -> list[Event]:
    """The next n events; quiet waits are skipped."""
    events: list[Event] = []
    async with asyncio.timeout(5):
        while len(events) < n:
            notice = await anext(notices)
            if notice is not None:
                events.append(notice.event)
    return events


async def test_a_lost_fence_emits_nothing(queue: Queue, replies: Replies) -> None:
    claim = await started(queue)
    assert not await replies.emit(Claim(claim.ask, 0), "old")
    assert not await replies.emit(Claim(claim.ask, 2), "from the future")
    await queue.finish(claim, Done("x"))
    assert not await replies.emit(claim, "late")


async def test_an_ask_that_nobody_knows_emits_nothing_and_has_no_progress(replies: Replies) -> None:
    assert not await replies.emit(Claim(make_ask("ghost"), 1), "x")
    assert await replies.progress("ghost") is None


async def test_offsets_are_bytes_of_text_with_characters_of_several_bytes(queue: Queue, replies: Replies) -> None:
    pieces = ["héllo ", "你好", "🙂", "\n", "end"]
    async with aclosing(replies.listen("telegram")) as notices:
        assert await anext(notices) is None
        claim = await started(queue)
        for piece in pieces:
            assert await replies.emit(claim, piece)
        events = await take(notices, 1 + len(pieces))
    assert events[0] == Started(1)
    text = b""
    for event in events[1:]:
        assert isinstance(event, Delta)
        assert event.offset == len(text)
        text += event.text.encode()
    found = await replies.progress("a")
    assert found is not None
    assert (found.open, found.fence, found.text) == (True, 1, text)
    assert text.decode() == "".join(pieces)


async def test_nothing_is_missed_after_the_first_none(queue: Queue, replies: Replies) -> None:
    for n in range(20):
        async with aclosing(replies.listen("telegram")) as notices:
            assert await anext(notices) is None
            await started(queue, f"a{n}", f"p:{n}")
            assert await take(notices, 1) == [Started(1)]


async def test_a_quiet_channel_says_none_now_and_then(replies: Replies) -> None:
    async with aclosing(replies.listen("telegram", wait=0.02)) as notices:
        assert [await anext(notices) for _ in range(3)] == [None, None, None]


async def test_readers_of_another_outbox_hear_nothing(queue: Queue, replies: Replies) -> None:
    async with aclosing(replies.listen("discord", wait=0.05)) as notices:
        await anext(notices)
        await started(queue)
        assert await anext(notices) is None


async def test_a_released_ask_says_so_and_begins_again_at_byte_zero(queue: Queue, replies: Replies) -> None:
    async with aclosing(replies.listen("telegram")) as notices:
        await anext(notices)
        claim = await started(queue)
        await replies.emit(claim, "first try")
        await queue.release(claim)
        ((again,), _) = await queue.claim("w1", 1)
        await replies.emit(again, "second")
        events = await take(notices, 5)
    assert events[2:] == [Waiting("again"), Started(2), Delta(2, 0, "second")]
    found = await replies.progress("a")
    assert found is not None
    assert (found.fence, found.text) == (2, b"second")


async def test_a_finished_reply_stays_until_it_is_delivered_also_over_a_crash(
    queue: Queue, replies: Replies, redis: Client
) -> None:
    await queue.finish(await started(queue), Done("yes"))
    (first,) = await replies.finished("telegram", wait=0.01)
    assert (first.id, first.event) == ("a", Done("yes"))
    assert await replies.finished("telegram", wait=0.01) == []
    after = Replies(redis, Scripts(redis))
    await after.open_outbox("telegram")
    assert await after.pending("telegram") == [first]
    await after.delivered("telegram", first)
    await after.delivered("telegram", first)  # its acknowledgement was repeated
    assert await after.pending("telegram") == []
    assert await redis.xlen(keys.outbox("telegram")) == 0


async def test_many_pending_replies_come_page_by_page(queue: Queue, replies: Replies) -> None:
    for n in range(5):
        await queue.finish(await started(queue, f"a{n}"), Done(str(n)))
    await replies.finished("telegram", wait=0.01)
    seen: list[str] = []
    after = "0"
    while page := await replies.pending("telegram", after, n=2):
        seen += [found.id for found in page]
        after = page[-1].entry
    assert seen == ["a0", "a1", "a2", "a3", "a4"]


async def test_a_failure_keeps_its_code_and_arguments(queue: Queue, replies: Replies) -> None:
    event = Failed("too_long", {"over": 12, "factor": 1.5, "name": "x"})
    await queue.finish(await started(queue), event)
    assert [found.event for found in await replies.finished("telegram", wait=0.01)] == [event]


async def test_an_ask_is_open_from_enqueuing_until_it_is_delivered(queue: Queue, replies: Replies) -> None:
    assert await replies.open_asks("telegram") == []
    claim = await started(queue)
    assert await replies.open_asks("telegram") == ["a"]
    await queue.finish(claim, Done("yes"))
    assert await replies.open_asks("telegram") == ["a"]
    found = await replies.progress("a")
    assert found is not None
    assert (found.open, found.text) == (False, b"")
    (finished,) = await replies.finished("telegram", wait=0.01)
    await replies.delivered("telegram", finished)
    assert await replies.open_asks("telegram") == []


async def test_a_delivered_ask_keeps_its_tombstone_but_none_of_its_words(
    queue: Queue, replies: Replies, redis: Client
) -> None:
    claim = await started(queue)
    await queue.finish(claim, Done("a secret answer"), [claim.ask.question])
    (finished,) = await replies.finished("telegram", wait=0.01)
    await replies.delivered("telegram", finished)
    assert b"question a" not in b" ".join((await redis.hgetall(keys.job("a"))).values())
    assert not await queue.enqueue(make_ask("a"))
    assert 0 < await redis.ttl(keys.job("a")) <= keys.SLOTS_TTL


async def test_slots_are_kept_in_order_and_can_be_replaced(queue: Queue, replies: Replies, redis: Client) -> None:
    claim = await started(queue)
    for message in ("11", "12", "13"):
        await replies.add_slot(claim.ask, message)
    await replies.set_slots("a", ["11", "13"])
    await replies.add_slot(claim.ask, "14")
    found = await replies.progress("a")
    assert found is not None
    assert found.slots == ["11", "13", "14"]
    assert await redis.get(keys.message("telegram", "1", "13")) == b"a"
    await replies.set_slots("a", [])
    found = await replies.progress("a")
    assert found is not None
    assert found.slots == []


async def test_an_outbox_can_be_opened_twice_and_shows_what_came_before(queue: Queue, redis: Client) -> None:
    await queue.finish(await started(queue), Done("early"))
    replies = Replies(redis, Scripts(redis))
    await replies.open_outbox("telegram")
    await replies.open_outbox("telegram")
    assert [found.event for found in await replies.finished("telegram", wait=0.01)] == [Done("early")]
