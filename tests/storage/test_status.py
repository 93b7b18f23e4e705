"""The status: whole in a few round trips, whoever runs, and also when nobody does."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from storage import keys
from storage.connection import Client
from storage.heartbeat import Heartbeat, Schedule
from storage.messages import Done, Model, encode
from storage.metrics import Metrics, date
from storage.settings import StorageSettings
from storage.status import Gpu, Status
from storage.stores import Stores, looked_at
from tests.storage.asks import make_ask
from tests.storage.test_health import role


async def test_of_nothing_there_is_a_status_too(stores: Stores) -> None:
    now = await stores.status()
    assert (now.running, now.reason, now.waiting, now.gpu, now.top) == (False, "worker_down", 0, None, ())
    assert now.memory > 0 and now.saved == 0.0, "each write is on the disk"
    assert len(now.points) == 60
    assert b'"running":false' in msgspec.json.encode(now)


async def test_everything_that_is_known_is_in_it(stores: Stores, redis: Client) -> None:
    gpu = encode(Gpu("RTX 4090D", 24_000, 20_000, 87, 64, 300.0)).decode()
    await role(redis, "h:worker:1", engine="up", slots="2", seconds="4.0", gpu=gpu)
    await stores.health.publish_model(Model("qwen", 1, 2, 1, 1))
    metrics = Metrics()
    for seconds in (0.4, 0.4, 4.0):
        metrics.first.observe(seconds)
        metrics.answers.labels("done").inc()
    metrics.answers.labels("failed").inc()
    for kind, tokens in (("prompt", 1000), ("cached", 600), ("answer", 3000)):
        metrics.tokens.labels(kind).inc(tokens)
    metrics.fault("ClientConnectorError")
    async with Schedule() as schedule, Heartbeat(redis, schedule, "h:web:1", "web", "0.1.0", dict, metrics):
        pass
    now = time.time()
    for n in range(3):
        ask = msgspec.structs.replace(make_ask(f"a{n}", f"telegram:{n}"), asked_at=now - 10 * n)
        await stores.queue.enqueue(ask)
    await redis.zadd(keys.top(date(now, UTC)), {"telegram:1": 9, "telegram:2": 4})
    await stores.queue.claim("w", 1)
    found = await stores.status()
    assert (found.running, found.reason, found.model) == (True, "", "qwen")
    assert (found.waiting, found.active, found.done, found.failed) == (2, 1, 3, 1)
    assert 19 < found.oldest < 25
    assert found.eta == 8.0, "two before it, two at once, four seconds each: its own round is the second"
    assert found.minutes == msgspec.structs.replace(found.hour, tokens_per_second=found.minutes.tokens_per_second)
    assert 3000 / 300 <= found.minutes.tokens_per_second <= 3000 / 240, "four minutes and what there is of this one"
    assert found.hour.cached == 0.6 and found.hour.first_p50 is not None and 0.3 < found.hour.first_p50 <= 0.5
    assert found.gpu == Gpu("RTX 4090D", 24_000, 20_000, 87, 64, 300.0)
    assert [(each.name, each.role) for each in found.instances] == [("h:worker:1", "worker")]
    assert 0 <= found.instances[0].age < 3
    assert found.error == "ClientConnectorError" and found.error_age < 5
    assert found.top == (("telegram:1", 9), ("telegram:2", 4))


async def test_the_oldest_is_the_one_that_was_asked_first_also_behind_a_running_one(stores: Stores) -> None:
    now = time.time()
    for id, person, ago in (("a", "telegram:1", 50), ("b", "telegram:1", 40), ("c", "telegram:2", 30)):
        await stores.queue.enqueue(msgspec.structs.replace(make_ask(id, person), asked_at=now - ago))
    ((claim,), _) = await stores.queue.claim("w", 1)
    assert 40 <= (await stores.status()).oldest < 45, "b waits behind a"
    await stores.queue.finish(claim, Done("x"))
    await stores.queue.cancel("telegram:1")
    await stores.queue.cancel("telegram:2")
    assert (await stores.status()).oldest == 0.0


async def test_a_worker_that_is_gone_is_gone_within_three_seconds(stores: Stores, redis: Client) -> None:
    await role(redis, "h:worker:1", engine="up")
    assert 0 < await redis.ttl(keys.role("h:worker:1")) <= 3
    await redis.delete(keys.role("h:worker:1"))  # as its TTL does
    assert (await stores.status()).reason == "worker_down"


async def test_a_store_that_answers_late_is_waited_for(stores: Stores) -> None:
    await stores.redis.execute_command("CLIENT", "PAUSE", 1000, "ALL")
    begun = time.monotonic()
    assert isinstance(await asyncio.wait_for(stores.status(), 10), Status)
    assert time.monotonic() - begun > 0.8


async def test_looking_starts_no_store_and_makes_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    found = await looked_at(StorageSettings(data_dir=folder))
    assert (found.running, folder.exists()) == (False, False)
    unreachable = StorageSettings(data_dir=folder, redis_url=f"unix://{tmp_path}/nobody")
    assert not (await looked_at(unreachable)).running


@pytest.mark.parametrize("limit", [0, 1_000_000_000])
async def test_the_store_s_limit_is_its_own_or_the_machine_s(stores: Stores, limit: int) -> None:
    await stores.redis.config_set("maxmemory", limit)
    try:
        found = (await stores.status()).memory_limit
        assert found == limit or (not limit and found > 100_000_000)
    finally:
        await stores.redis.config_set("maxmemory", 0)
