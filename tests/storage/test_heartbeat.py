from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from storage import keys
from storage.connection import connect
from storage.embedded import Store
from storage.heartbeat import Heartbeat, RoleRecord, Schedule, roles
from tests.waiting import wait_until


async def one(redis: Redis) -> RoleRecord:
    (record,) = await roles(redis)
    return record


async def test_a_role_says_who_it_is_and_how_it_fares(redis: Redis) -> None:
    async with Schedule() as schedule, Heartbeat(redis, schedule, "h:worker:1", "worker", "0.1", lambda: {"slots": 4}):
        record = await one(redis)
    assert (record.instance, record.role, record.version) == ("h:worker:1", "worker", "0.1")
    assert (record.pid, record.host, record.figures) == (os.getpid(), socket.gethostname(), {"slots": "4"})
    assert abs(record.started - time.time()) < 5


async def test_a_role_that_leaves_is_gone_at_once(redis: Redis) -> None:
    async with Schedule() as schedule:
        async with Heartbeat(redis, schedule, "h:web:1", "web", "0.1", dict):
            pass
        assert await roles(redis) == []
        assert await redis.exists(keys.ROLES) == 0, "its name is dropped"


async def test_a_role_that_fell_silent_expires(redis: Redis) -> None:
    async with Schedule() as schedule, Heartbeat(redis, schedule, "h:web:1", "web", "0.1", dict):
        assert 0 < await redis.ttl(keys.role("h:web:1")) <= keys.ROLE_TTL


async def test_figures_follow_and_vanish(redis: Redis) -> None:
    figures: list[dict[str, str | int | float]] = [{"engine": "down", "error": "refused"}]
    async with (
        Schedule() as schedule,
        Heartbeat(redis, schedule, "h:worker:1", "worker", "0.1", lambda: figures[-1]),
    ):
        figures.append({"engine": "up"})

        async def up() -> bool:
            return (await one(redis)).figures == {"engine": "up"}

        await wait_until(up)


async def test_a_figure_cannot_pass_for_the_identity(redis: Redis) -> None:
    async with Schedule() as schedule, Heartbeat(redis, schedule, "h:worker:1", "worker", "0.1", lambda: {"pid": 1}):
        assert (await one(redis)).pid == os.getpid()


async def test_beats_outlive_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    async with store as url, Schedule() as schedule:
        redis: Any = connect(url)
        async with Heartbeat(redis, schedule, "h:web:1", "web", "0.1", dict):
            server = (await redis.info("server"))["process_id"]
            os.kill(server, signal.SIGKILL)
            await store.revive()
            await redis.delete(keys.role("h:web:1"))

            async def back() -> bool:
                return len(await roles(redis)) == 1

            await wait_until(back)
        await redis.aclose()


async def test_a_role_may_start_and_stop_while_the_store_is_away(tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nobody")
    async with Schedule() as schedule, Heartbeat(redis, schedule, "h:web:1", "web", "0.1", dict):
        pass
    await redis.aclose()


async def test_a_job_that_fails_is_logged_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)
        raise ValueError("this job is broken")

    async with Schedule() as schedule:
        schedule.every(0.02, job)
        await wait_until(lambda: len(runs) > 2)
    assert "this job is broken" in caplog.text


async def test_what_runs_when_the_schedule_ends_is_cancelled_quietly(caplog: pytest.LogCaptureFixture) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        async with Schedule() as schedule:
            schedule.every(0.02, job)
            await started.wait()
    assert ended.is_set()
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []
