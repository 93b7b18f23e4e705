"""What the worker measures: how each ask ended, its tokens and whose they were, and the GPU where there is one."""

from __future__ import annotations

import json
import time
from datetime import UTC

import pytest

from inference import gpu
from inference.worker import Worker
from storage import keys
from storage.metrics import periods
from storage.status import gather
from tests.inference.desk import Desk
from tests.inference.test_worker import working
from tests.waiting import wait_until


def value(desk: Desk, name: str, **labels: str) -> float:
    """One sample of what Prometheus would see."""
    return desk.stores.health.metrics.registry.get_sample_value(f"askpix_{name}", labels) or 0.0


async def test_an_answer_is_counted_with_its_seconds_and_its_tokens(desk: Desk) -> None:
    async with working(desk):
        await desk.ask("a")
        await wait_until(lambda: value(desk, "answers_total", outcome="done") == 1)
    for name in ("first_token_seconds", "answer_seconds"):
        assert value(desk, f"{name}_count") == 1
    assert value(desk, "tokens_total", kind="answer") > 0
    async with desk.stores.redis.pipeline() as pipe:
        desk.stores.health.metrics.write_on(pipe)
        await pipe.execute()
    used = await desk.stores.redis.hget(keys.used("telegram:1", periods(time.time(), UTC)[0]), "tokens")
    assert int(used) == sum(value(desk, "tokens_total", kind=kind) for kind in ("prompt", "answer"))


async def test_an_engine_that_goes_down_is_the_last_error(desk: Desk) -> None:
    async with working(desk) as worker:
        await wait_until(lambda: worker.figures()["engine"] == "up")
        await desk.stub.__aexit__(None, None, None)
        await wait_until(lambda: worker.figures()["engine"] == "down")
    assert value(desk, "engine_errors_total") == 1


@pytest.mark.parametrize("there", [False, True])
async def test_the_gpu_is_in_the_heartbeat_where_there_is_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    looks: list[int] = []

    def seen() -> gpu.Gpu | None:
        looks.append(1)
        return gpu.Gpu("card", 1000, 500, 80, 60, 300.0) if there else None

    monkeypatch.setattr("inference.worker.gpu.seen", seen)
    monkeypatch.setattr("inference.worker.LOOK", 0.01)
    async with working(desk) as worker:
        await wait_until(lambda: len(looks) > 2 or (not there and bool(looks)))
        await whole_figures(desk, worker, there=there)
    assert there or len(looks) == 1, "where none is, none is looked for again"


async def whole_figures(desk: Desk, worker: Worker, *, there: bool) -> None:
    """What the status makes of the heartbeat."""
    figures = {name: str(value) for name, value in worker.figures().items()}
    assert ("gpu" in figures) is there
    record = {"role": "worker", "pid": "1", "host": "here", "version": "1", "started": "1.0", **figures}
    await desk.stores.redis.hset(keys.role("w"), mapping=record)
    await desk.stores.redis.sadd(keys.ROLES, "w")
    found = (await gather(desk.stores.redis, desk.stores.scripts)).gpu
    assert (found is not None and (found.name, found.busy, found.celsius) == ("card", 80, 60)) is there
    assert not there or json.loads(figures["gpu"])["total"] == 1000
