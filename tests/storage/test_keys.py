"""Every key but a few has its end: a store that is used for years does not grow."""

from __future__ import annotations

import re
from pathlib import Path
from types import BuiltinFunctionType

import pytest

from storage import keys
from storage.connection import Client
from storage.heartbeat import Heartbeat, Schedule
from storage.limits import Rules
from storage.messages import Cancelled, Done, Model, Photo, Turn, View
from storage.queue import Claim, Queue
from storage.stores import Stores, open_stores
from tests.storage.asks import make_ask

# These live as long as the store. None of them grows with the number of asks that were answered.
PERMANENT = {
    keys.COUNTS,
    keys.MODEL,
    keys.SECRET,
    keys.ADMINS,
    keys.JOINED,  # grows with the persons who joined
    keys.ROLES,
    keys.PHOTO_INDEX,  # these two hold the photos that are kept, which the cap bounds
    keys.PHOTO_SIZES,
    keys.WAKE,  # one token
    keys.inbox("telegram"),  # empty streams with their groups
    keys.outbox("telegram"),
}


async def without_end(redis: Client) -> set[str]:
    """The names of the keys that never expire."""
    return {name.decode() for name in await redis.keys("*") if await redis.ttl(name) == -1}


async def live(stores: Stores, id: str, person: str, *, outbox: str = "telegram", passing: bool = False) -> None:
    """A whole ask: received, admitted, enqueued, tried twice, streamed, answered, shown."""
    inbox = stores.inbox("telegram")
    await inbox.open()
    await inbox.put(id, b"raw")
    (entry,) = await inbox.read(wait=0.01)
    limits = stores.limits(Rules())
    await limits.first_visit_today(person)
    await limits.redeem(await limits.offer_admin(), person)
    await limits.take(person)
    await stores.people.join(await stores.people.offer("discord:1"), person)
    photo = Photo(f"sha{id}", "image/png", 32, 32, 10)
    await stores.images.put(person, photo, b"0123456789")
    ask = make_ask(id, person, photos=(photo,), outbox=outbox)
    await stores.history.enter(person, ask.conversation)
    await stores.replies.open_outbox(outbox, passing=passing)
    await stores.queue.enqueue(ask, passing=passing)
    await inbox.done(entry)
    await stores.replies.add_slot(ask, "100")
    claim = await claimed(stores)
    await stores.replies.emit(claim, "half")
    await stores.queue.release(claim)
    claim = await claimed(stores)
    await stores.replies.emit(claim, "whole")
    await stores.replies.set_slots(id, ["101"])
    turns = [ask.question, Turn("assistant", "whole")]
    await stores.queue.finish(claim, Done("whole"), turns, View(1, 1, 10, 100), id)
    await shown(stores, outbox)


async def claimed(stores: Stores) -> Claim:
    ((claim,), _) = await stores.queue.claim("w1", 1)
    return claim


async def shown(stores: Stores, outbox: str) -> None:
    (finished,) = await stores.replies.finished(outbox, wait=0.01)
    await stores.replies.delivered(outbox, finished)


async def test_after_whole_lives_only_permanent_keys_have_no_end(redis: Client, server_url: str) -> None:
    async with open_stores(server_url) as stores, Schedule() as schedule:
        async with Heartbeat(redis, schedule, "host:worker:1", "worker", "1", dict):
            await stores.health.publish_model(Model("m", 1, 1, 1, 1))
            await live(stores, "a", "telegram:1")
            after_one = await without_end(redis)
            for n in range(5):
                await live(stores, f"b{n}", f"telegram:{n}")
            await live(stores, "t", "terminal:owner", outbox="terminal:1", passing=True)
            await stores.history.restart("telegram:1:chat")
            await stores.history.forget("telegram:2")
            assert after_one == await without_end(redis)
            assert after_one <= PERMANENT


async def test_stopped_and_given_up_asks_leave_nothing_either(redis: Client, server_url: str) -> None:
    async with open_stores(server_url) as stores:
        await stores.replies.open_outbox("telegram")
        for id in ("a", "b"):
            await stores.queue.enqueue(make_ask(id))
        claim = await claimed(stores)
        await stores.queue.cancel("telegram:1")
        await stores.queue.finish(claim, Cancelled("half"))
        for _ in range(2):
            await shown_any(stores)
        await stores.queue.enqueue(make_ask("c"))
        await Queue(redis, stores.scripts, failure_limit=1).release(await claimed(stores), failed=True)
        await shown_any(stores)
        assert await without_end(redis) <= PERMANENT


async def shown_any(stores: Stores) -> None:
    (finished,) = await stores.replies.finished("telegram", n=1, wait=0.01)
    await stores.replies.delivered("telegram", finished)


async def test_a_terminal_that_dies_at_any_step_leaves_nothing_for_ever(redis: Client, server_url: str) -> None:
    async with open_stores(server_url) as stores:
        await stores.replies.open_outbox("terminal:1", passing=True)
        assert await without_end(redis) == set()
        await stores.replies.open_outbox("terminal:2", passing=True)
        await stores.queue.enqueue(make_ask("a", outbox="terminal:2"), passing=True)
        await stores.queue.finish(await claimed(stores), Done("nobody reads this"))
        assert await without_end(redis) <= PERMANENT


async def test_an_outbox_of_a_terminal_outlives_a_long_wait(redis: Client, server_url: str) -> None:
    async with open_stores(server_url) as stores:
        await stores.replies.open_outbox("terminal:1", passing=True)
        assert await redis.ttl(keys.outbox("terminal:1")) > keys.PASSING_TTL


def test_every_key_lies_in_one_slot() -> None:
    for name, value in vars(keys).items():
        if name.isupper() and isinstance(value, str):
            assert value.startswith("{askpix}:")
        elif isinstance(value, BuiltinFunctionType):  # a str.format
            with pytest.raises(IndexError):
                value()
            assert str(value("a", "b", "c")).startswith("{askpix}:")


def test_the_scripts_know_the_same_names_and_lifetimes() -> None:
    folder = Path(keys.__file__).parent / "scripts"
    lua = "\n".join(file.read_text() for file in folder.glob("*.lua"))
    ours = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    ours |= {
        keys.lane(""), keys.job(""), keys.text("", 0)[:-2], keys.inbox(""), keys.seen("", "")[:-1], keys.outbox(""),
        keys.events(""), keys.open_asks(""), keys.history(""), keys.epoch(""), keys.photo("", "")[:-1],
        keys.kept(""), keys.view(""), keys.link_code(""), keys.link_open(""), keys.used("", "")[:-1], keys.top(""),
        keys.rate(""), keys.taken(""),
    }  # fmt: skip
    named = {keys.PREFIX + name for name in re.findall(r"P \.\. '([^']+)'", lua)}
    assert named <= ours
    lifetimes = keys.PASSING_TTL, keys.JOB_TTL, keys.SLOTS_TTL, keys.PHOTO_TTL
    assert f"PASSING_TTL, JOB_TTL, SLOTS_TTL, PHOTO_TTL = {', '.join(map(str, lifetimes))}" in lua
