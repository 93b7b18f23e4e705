"""A store behind Sentinels: found, lost, found again; a primary that is killed takes nothing confirmed along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from storage import keys
from storage.connection import StoreDown, connect, forever, persist
from storage.messages import Done
from storage.settings import SENTINEL_PORT, redis_url, sentinels
from storage.stores import open_stores
from tests.storage.asks import make_ask
from tests.storage.sentinels import Watch, free_ports, watched
from tests.waiting import wait_until


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with watched(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    "value",
    [
        "redis+sentinel://", "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel:///name",
        "redis+sentinel://a:b/name", "redis+sentinel://a:0/name", "redis+sentinel://a:70000/name",
        "redis+sentinel://a,,b/name", "redis+sentinel://a/name/x",
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused(value: str):
    with pytest.raises(ValueError, match=r"."):
        redis_url(value)


def test_an_address_is_read():
    assert sentinels("redis://a") is None
    found = sentinels("redis+sentinel://u:p%40ss@a:1,b/main/2")
    assert found
    assert (found.places, found.name) == ((("a", 1), ("b", SENTINEL_PORT)), "main")
    assert found.login == {"username": "u", "password": "p@ss", "db": 2}
    nobody = {"username": None, "password": None, "db": 0}
    assert sentinels("redis+sentinel://a/main") == ((("a", SENTINEL_PORT),), "main", nobody)


async def test_without_a_sentinel_the_store_is_down_and_nothing_else():
    client = connect(f"redis+sentinel://127.0.0.1:{free_ports(1)[0]}/askpix")
    with pytest.raises(StoreDown):
        await client.ping()
    await client.aclose()


async def test_one_sentinel_of_three_is_enough_to_find_it_and_a_name_that_it_does_not_know_is_down(watch: Watch):
    for port in watch.watchers[:2]:
        watch.processes[port].kill()
        await watch.processes[port].wait()
    client = connect(watch.url)
    assert await client.ping()
    await client.aclose()
    stranger = connect(watch.url.replace("/askpix", "/other"))
    with pytest.raises(StoreDown):
        await stranger.ping()
    await stranger.aclose()


async def test_a_killed_primary_is_replaced_and_everything_goes_on(watch: Watch):
    async with open_stores(watch.url) as stores:
        await stores.replies.open_outbox("telegram")
        for number in range(20):
            await stores.queue.enqueue(make_ask(str(number), f"telegram:{number}"))
        held, _ = await stores.queue.claim("w", 3)
        heard: list[tuple[str, int]] = []

        async def hear() -> None:
            async for id, fence in stores.queue.cancelled():
                heard.append((id, fence))

        hearing = asyncio.create_task(forever(hear))
        waiting = asyncio.create_task(persist(partial(stores.inbox("telegram").read)))
        await stores.redis.wait(1, 1000)  # for the replica to have it: what it has not is what may be lost
        old = await watch.kill_primary()
        confirmed = [make_ask(f"late {number}", f"telegram:late {number}") for number in range(20)]
        await asyncio.gather(*(persist(partial(stores.queue.enqueue, ask)) for ask in confirmed))
        assert await watch.primary() != old
        for claim in held:
            assert await persist(partial(stores.queue.finish, claim, Done("yes")))
        await persist(partial(stores.inbox("telegram").open))
        found, _ = await persist(partial(stores.queue.claim, "w", 100))
        assert {claim.ask.id for claim in (*held, *found)} == {
            *map(str, range(20)), *(ask.id for ask in confirmed),
        }  # fmt: skip
        assert len({claim.ask.id for claim in found}) == len(found) == 37

        async def listens() -> bool:
            ((_, count),) = await stores.redis.pubsub_numsub(keys.CONTROL)
            return count == 1

        await wait_until(listens)
        await stores.queue.cancel(found[0].ask.lane)
        await wait_until(lambda: bool(heard))
        assert heard[0][0] == found[0].ask.id
        for task in (hearing, waiting):
            task.cancel()
        await asyncio.wait([hearing, waiting])
        await watch.start(old)  # it comes back as the other's replica, with nothing of its own
        await watch.settled()
        assert await stores.redis.hget(keys.COUNTS, "queued") == b"0"
