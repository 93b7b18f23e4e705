"""Conversations: turns survive, a fresh start cuts off what is under way, forgetting leaves nothing."""

from __future__ import annotations

import uuid
from functools import partial

import pytest
import pytest_asyncio

from storage import keys
from storage.connection import Client, Scripts
from storage.history import History
from storage.messages import Ask, Done, Photo, Quote, Turn, View
from storage.queue import Queue
from storage.stores import open_stores
from tests.storage.asks import make_ask

PERSON = "telegram:1"


@pytest.fixture
def history(redis: Client) -> History:
    return History(redis)


@pytest_asyncio.fixture
async def queue(redis: Client) -> Queue:
    return Queue(redis, Scripts(redis))


async def answered(queue: Queue, ask: Ask, turns: list[Turn]) -> None:
    await queue.enqueue(ask)
    ((claim,), _) = await queue.claim("w1", 1)
    assert await queue.finish(claim, Done("x"), turns)


def ask_of(id: str, conversation: str, epoch: int) -> Ask:
    ask = make_ask(id, PERSON, conversation=conversation)
    return Ask(
        id=ask.id, person=ask.person, conversation=conversation, lane=ask.lane, outbox=ask.outbox, where=ask.where,
        question=ask.question, epoch=epoch,
    )  # fmt: skip


async def test_a_conversation_begins_empty_at_epoch_zero(history: History) -> None:
    assert await history.enter(PERSON, "c") == 0
    assert await history.read("c", 0) == []
    assert await history.latest(PERSON) == "c"
    assert await history.latest("telegram:2") is None


async def test_turns_keep_their_order_photos_quotes_and_the_mark_of_a_stop(history: History, queue: Queue) -> None:
    photo = Photo("ab", "image/png", 32, 64, 10)
    first = [Turn("user", "what? 🙂", (photo,), Quote("said", (photo,))), Turn("assistant", "half", stopped=True)]
    second = [Turn("user", "and?"), Turn("assistant", "")]
    epoch = await history.enter(PERSON, "c")
    await answered(queue, ask_of("a", "c", epoch), first)
    await answered(queue, ask_of("b", "c", epoch), second)
    assert await history.read("c", epoch) == first + second


async def test_a_fresh_start_hides_the_past_from_new_asks_and_the_future_from_old_ones(
    history: History, queue: Queue
) -> None:
    old = await history.enter(PERSON, "c")
    await answered(queue, ask_of("a", "c", old), [Turn("user", "before")])
    await history.restart("c")
    new = await history.enter(PERSON, "c")
    assert new == old + 1
    assert await history.read("c", new) == []
    await answered(queue, ask_of("late", "c", old), [Turn("user", "asked before, answered after")])
    await answered(queue, ask_of("b", "c", new), [Turn("user", "after")])
    assert await history.read("c", new) == [Turn("user", "after")]
    assert await history.read("c", old) == []


async def test_one_conversation_starts_afresh_without_touching_another(history: History, queue: Queue) -> None:
    for name in ("c", "d"):
        await answered(queue, ask_of(name, name, await history.enter(PERSON, name)), [Turn("user", name)])
    await history.restart("c")
    assert await history.read("d", 0) == [Turn("user", "d")]


async def test_forgetting_deletes_every_conversation_of_one_person_only(
    history: History, queue: Queue, redis: Client
) -> None:
    for name in ("c", "d"):
        await answered(queue, ask_of(name, name, await history.enter(PERSON, name)), [Turn("user", name)])
    await answered(queue, ask_of("e", "e", await history.enter("telegram:2", "e")), [Turn("user", "e")])
    await history.forget(PERSON)
    await history.forget(PERSON)  # nothing is left to forget
    assert not await redis.exists(keys.history("c"), keys.history("d"), keys.conversations(PERSON))
    assert await history.latest(PERSON) is None
    assert await history.read("e", 0) == [Turn("user", "e")]


async def test_an_answer_under_way_while_everything_is_forgotten_leaves_no_turn(
    history: History, queue: Queue, redis: Client
) -> None:
    epoch = await history.enter(PERSON, "c")
    await queue.enqueue(ask_of("a", "c", epoch))
    ((claim,), _) = await queue.claim("w1", 1)
    await history.forget(PERSON)
    await queue.finish(claim, Done("x"), [Turn("user", "forget me")])
    assert not await redis.exists(keys.history("c"))


async def test_an_epoch_outlives_every_turn_of_it(history: History, queue: Queue, redis: Client) -> None:
    epoch = await history.enter(PERSON, "c")
    await answered(queue, ask_of("a", "c", epoch), [Turn("user", "x")])
    assert await redis.ttl(keys.history("c")) <= keys.HISTORY_TTL
    await history.restart("c")
    assert await redis.ttl(keys.epoch("c")) > keys.HISTORY_TTL


def pair(id: str) -> list[Turn]:
    return [Turn("user", f"question {id}", ask=id), Turn("assistant", f"answer {id}", ask=id)]


DAMAGE = [b"", b"{", b"[]", b'{"role":1}', b'{"text":"\xff"}', b'{"role":"user","text":"cut o']


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_entry_is_skipped_and_told_once_and_the_rest_serves(
    history: History, queue: Queue, redis: Client, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    name = uuid.uuid4().hex  # it is told once in a process's life
    epoch = await history.enter(PERSON, name)
    await answered(queue, ask_of("a", name, epoch), pair("a"))
    await redis.rpush(keys.history(name), damage)
    await answered(queue, ask_of("b", name, epoch), pair("b"))
    for _ in range(3):
        assert await history.read(name, epoch) == pair("a") + pair("b")
        assert await history.answer(ask_of("b", name, epoch)) == pair("b")[1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert name in caplog.text
    await answered(queue, ask_of("d", name, epoch), pair("d"))
    assert await history.read(name, epoch) == pair("a") + pair("b") + pair("d")


async def test_what_the_engine_is_no_longer_given_is_dropped_with_the_answer(history: History, queue: Queue) -> None:
    epoch = await history.enter(PERSON, "c")
    views = [View(1, 0, 10, 100), View(2, 1, 50, 100), View(1, 0, 30, 100, dropped=2, until="question b")]
    for id, first, view in zip("abc", ("", "no such ask", "c"), views, strict=True):
        await queue.enqueue(ask_of(id, "c", epoch))
        ((claim,), _) = await queue.claim("w1", 1)
        await queue.finish(claim, Done("x"), pair(id), view, first)
        assert await history.view("c") == view
    assert await history.read("c", epoch) == pair("c")
    await queue.enqueue(ask_of("d", "c", epoch))
    ((claim,), _) = await queue.claim("w1", 1)
    await queue.finish(claim, Done("x"), pair("d"), View(2, 0, 40, 100))
    assert await history.read("c", epoch) == pair("c") + pair("d")
    assert await history.view("c") == View(2, 0, 40, 100, dropped=2, until="question b"), "what was dropped last"


async def test_what_was_seen_is_forgotten_with_the_conversation(history: History, queue: Queue, redis: Client) -> None:
    for epoch, over in enumerate((partial(history.restart, "c"), partial(history.forget, PERSON))):
        assert await history.enter(PERSON, "c") == epoch
        for id in ("a", "b"):
            await queue.enqueue(ask_of(f"{id}{epoch}", "c", epoch))
        ((claim,), _) = await queue.claim("w1", 1)
        await queue.finish(claim, Done("x"), pair("a"), View(1, 0, 10, 100), "a")
        assert await history.view("c")
        ((late,), _) = await queue.claim("w1", 1)
        await over()
        await queue.finish(late, Done("x"), pair("b"), View(1, 0, 10, 100), "b")
        assert await history.view("c") is None
        assert not await redis.exists(keys.view("c"))


async def test_a_record_of_what_was_seen_that_cannot_be_read_is_none(history: History, redis: Client) -> None:
    await redis.hset(keys.view("c"), mapping={"now": "{", "dropped": "["})
    assert await history.view("c") is None


async def test_conversations_live_as_long_as_the_setting_says(redis: Client, server_url: str) -> None:
    async with open_stores(server_url, history_ttl=3 * keys.DAY) as stores:
        epoch = await stores.history.enter(PERSON, "c")
        await stores.queue.enqueue(ask_of("a", "c", epoch))
        ((claim,), _) = await stores.queue.claim("w1", 1)
        await stores.queue.finish(claim, Done("x"), pair("a"), View(1, 0, 10, 100), "a")
    for key in (keys.history("c"), keys.view("c"), keys.conversations(PERSON), keys.latest(PERSON)):
        assert 3 * keys.DAY - 60 < await redis.ttl(key) <= 3 * keys.DAY, key
