"""One process keeps house: once each time, also when two race, one dies, clocks change or the store is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as moment
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage import keys
from storage.connection import Client
from storage.heartbeat import Schedule
from storage.housekeeping import Chore, Housekeeper, Run, due
from storage.messages import decode, encode
from storage.settings import StorageSettings
from storage.status import Gpu, Speed, Status
from storage.stores import Stores
from storage.tasks import end
from tests.storage.asks import make_ask
from tests.storage.test_health import role
from tests.waiting import wait_until

CHORES = "storage.housekeeping.Housekeeper.records"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.housekeeping.BEAT", 0.02)


def keeper(
    stores: Stores, name: str, folder: Path, chore: Callable[[], Awaitable[object]] | None = None
) -> Housekeeper:
    """Somebody who keeps house; whose looks are this chore, if one is given."""
    made = Housekeeper(stores, name, StorageSettings(data_dir=folder))
    if chore:
        made.chores["look"] = chore
    return made


@asynccontextmanager
async def at_work(*keepers: Housekeeper) -> AsyncGenerator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(each.run()) for each in keepers]
    try:
        yield tasks
    finally:
        await end(tasks)


def only(monkeypatch: pytest.MonkeyPatch, **chores: Chore) -> None:
    """Only these are to be done."""

    async def records(_: object) -> dict[str, Chore]:
        return chores

    monkeypatch.setattr(CHORES, records)


async def test_of_two_that_race_one_does_each_chore(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, look=Chore(1))
    done: dict[str, list[int]] = {"a": [], "b": []}

    def chore(name: str) -> Callable[[], Awaitable[object]]:
        async def look() -> None:
            done[name].append(int(time.time()))

        return look

    async with at_work(*(keeper(stores, name, tmp_path, chore(name)) for name in done)):
        await wait_until(lambda: len(done["a"] + done["b"]) >= 3, 8)
    assert [] in done.values(), "one leads"
    both = done["a"] + done["b"]
    assert len(set(both)) == len(both), "and does nothing twice"
    assert not await stores.redis.exists(keys.LEADER), "and leaves the house to others at once"


async def test_when_the_one_that_leads_falls_silent_another_takes_over_and_the_first_knows_it(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, look=Chore(1))
    first, second = (keeper(stores, name, tmp_path) for name in "ab")
    assert await first.leads()
    assert not await second.leads()
    assert 0 < await stores.redis.ttl(keys.LEADER) <= keys.LEADER_TTL
    await stores.redis.pexpire(keys.LEADER, 1)
    await wait_until(second.leads)
    assert not await first.leads()
    assert not await first.leads(1, "look", b"too late"), "what it still wanted to note is dead"
    assert not await stores.redis.hexists(keys.DONE, "look")
    assert await second.leads(1, "look", encode(Run(1.0)))


async def test_a_new_leader_does_once_what_was_missed(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    at = (now - timedelta(minutes=5)).strftime("%H:%M")
    only(monkeypatch, look=Chore(at=at))
    await stores.redis.hset(keys.DONE, "look", encode(Run((now - timedelta(days=3)).timestamp())))
    done: list[int] = []

    async def look() -> None:
        done.append(1)

    for name in "ab":  # a second one finds nothing left to do
        async with at_work(keeper(stores, name, tmp_path, look)):

            async def recent() -> bool:
                return decode(await stores.redis.hget(keys.DONE, "look"), Run).at > now.timestamp() - 60

            await wait_until(recent)
    assert done == [1]


async def test_a_chore_that_fails_is_noted_and_stops_no_other(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only(monkeypatch, look=Chore(1), news=Chore(1))

    async def look() -> None:
        raise KeyError("Ann's words")

    async with at_work(keeper(stores, "a", tmp_path, look)):

        async def noted() -> bool:
            return await stores.redis.hlen(keys.DONE) == 2

        await wait_until(noted)
    failed = decode(await stores.redis.hget(keys.DONE, "look"), Run)
    assert failed.error.startswith("KeyError at test_housekeeping.py:")
    assert decode(await stores.redis.hget(keys.DONE, "news"), Run).error == ""


BERLIN = "Europe/Berlin"


def fires(chore: Chore, last: str, now: str) -> str:
    """When a chore that ran last then is due, in its zone."""
    trigger, since = due(chore, Run(datetime.fromisoformat(last).timestamp()), datetime.fromisoformat(now))
    found: Any = trigger.get_next_fire_time(since, datetime.fromisoformat(now))
    return found.astimezone(UTC).astimezone(ZoneInfo(chore.zone)).isoformat()


@pytest.mark.parametrize(
    ("at", "last", "now", "next"),
    [
        # an ordinary day, in time and missed
        ("09:00", "2026-05-01T07:00:00Z", "2026-05-01T08:00:00Z", "2026-05-02T09:00:00+02:00"),
        ("09:00", "2026-05-01T07:00:00Z", "2026-05-04T08:00:00Z", "2026-05-02T09:00:00+02:00"),
        # the day on which clocks go forward, and a time that it does not have
        ("09:00", "2026-03-28T08:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T09:00:00+02:00"),
        ("02:30", "2026-03-28T01:30:00Z", "2026-03-28T12:00:00Z", "2026-03-29T03:30:00+02:00"),
        # the day on which they go back, and a time that it has twice
        ("09:00", "2026-10-24T07:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T09:00:00+01:00"),
        ("02:30", "2026-10-24T00:30:00Z", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00"),
        # the clock was a year ahead when it ran last
        ("09:00", "2027-05-01T07:00:00Z", "2026-05-01T06:00:00Z", "2026-05-01T09:00:00+02:00"),
    ],
)
def test_a_time_of_the_day_is_kept_over_clock_changes(at: str, last: str, now: str, next: str) -> None:
    assert fires(Chore(at=at, zone=BERLIN), last, now) == next


def test_what_is_done_each_so_many_seconds_does_not_wait_for_a_clock_that_was_set_back() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    trigger, since = due(Chore(300), Run((now + timedelta(days=400)).timestamp()), now)
    assert since is None
    found: Any = trigger.get_next_fire_time(since, now)
    assert found <= now + timedelta(seconds=300)


async def test_jobs_go_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from apscheduler.schedulers import base  # pyright: ignore[reportMissingTypeStubs] : it has no types

    shift = timedelta()

    class Clock(datetime):
        """The wall clock, shifted."""

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    real = time.time
    for place in (base, "storage.heartbeat"):
        monkeypatch.setattr(place, "datetime", Clock) if place is base else monkeypatch.setattr(
            f"{place}.datetime", Clock
        )
    monkeypatch.setattr("storage.heartbeat.time.time", lambda: real() + shift.total_seconds())
    monkeypatch.setattr("storage.heartbeat.PERIOD", 0.05)
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)

    async with Schedule() as schedule:
        schedule.every(0.1, job)
        await wait_until(lambda: bool(runs))
        shift = timedelta(days=-1)
        former = len(runs)
        await wait_until(lambda: len(runs) > former + 2)


async def test_the_digest_is_put_once_a_day_whatever_the_clock_does(stores: Stores, tmp_path: Path) -> None:
    settings = StorageSettings(data_dir=tmp_path, digest_at=moment(9), timezone=ZoneInfo(BERLIN))
    yesterday = (datetime.now(ZoneInfo(BERLIN)).date() - timedelta(days=1)).isoformat()
    await stores.redis.hset(keys.day(yesterday), mapping={"answers_total|done": 12, "tokens_total|answer": 340})
    await stores.redis.zadd(keys.top(yesterday), {"telegram:1": 7, "telegram:2": 5})
    house = Housekeeper(stores, "a", settings)
    assert (await house.records())["digest"] == Chore(at="09:00", zone=BERLIN)
    for _ in range(3):
        await house.digest()
    (notice,) = await stores.notices.read("telegram", 0.01)
    assert (notice.note.code, notice.picture) == ("digest", True)
    assert {"date": yesterday, "done": 12, "tokens": 340, "people": 2}.items() <= notice.note.args.items()
    assert [each.id for each in await stores.notices.read("discord", 0.01)] == [notice.id], "each platform has it"


WELL = Status(at=1000.0, running=True, memory=1, memory_limit=100)


@pytest.mark.parametrize(
    ("name", "wrong", "hold"),
    [
        ("engine", {"reason": "engine_down"}, 30),
        ("engine", {"reason": "worker_down"}, 30),
        ("queue", {"oldest": 121.0}, 0),
        ("gpu", {"gpu": Gpu("x", 1000, 990)}, 30),
        ("memory", {"memory": 91}, 30),
        ("errors", {"minutes": Speed(answered=4, failed=6)}, 0),
    ],
)
async def test_admins_hear_once_of_an_incident_and_once_of_its_end(
    stores: Stores, tmp_path: Path, name: str, wrong: dict[str, Any], hold: float
) -> None:
    import msgspec

    first, second = (keeper(stores, each, tmp_path) for each in "ab")

    async def judge(house: Housekeeper, seconds: float, **figures: Any) -> list[str]:
        await house.judge(msgspec.structs.replace(WELL, at=1000.0 + seconds, **figures))
        found = await stores.notices.read("telegram", 0.001)
        for notice in found:
            await stores.notices.done("telegram", notice)
        return [notice.note.code for notice in found if "disk" not in notice.note.code]

    assert await judge(first, 0, **wrong) == ([] if hold else [f"alert.{name}"])
    if hold:
        assert await judge(first, hold - 1, **wrong) == []
        assert await judge(second, hold + 1, **wrong) == [f"alert.{name}"], "also of another that took over"
    assert await judge(first, 500, **wrong) == []
    assert await judge(second, 600) == [f"alert.{name}_over"]
    assert await judge(first, 601) == []
    assert await judge(first, 700, **wrong) == ([] if hold else [f"alert.{name}"])


async def test_what_is_well_again_in_time_or_wanted_is_no_incident(stores: Stores, tmp_path: Path) -> None:
    import msgspec

    house = keeper(stores, "a", tmp_path)
    for at, figures in ((0, {"reason": "engine_down"}), (20, {}), (40, {"reason": "engine_down"}), (60, {})):
        await house.judge(msgspec.structs.replace(WELL, at=1000.0 + at, **figures))
    await house.judge(msgspec.structs.replace(WELL, oldest=500.0, mode="paused"))
    await house.judge(msgspec.structs.replace(WELL, minutes=Speed(answered=100, failed=6)))
    assert [each for each in await stores.notices.read("telegram", 0.01) if "disk" not in each.id] == []


async def test_a_look_leaves_what_the_minute_shows_and_shows_prometheus_the_service(
    stores: Stores, redis: Client, tmp_path: Path
) -> None:
    await role(redis, "w", engine="up", slots="2", gpu=encode(Gpu("card", 1000, 500, 80, 60, 300.0)).decode())
    await stores.queue.enqueue(make_ask("a"))
    await keeper(stores, "a", tmp_path).look()
    point = (await stores.status()).points[-1]
    assert (point.waiting, point.gpu_busy, point.gpu_memory) == (1, 80, 50)
    service = stores.health.metrics.service
    assert service["askpix_queue_asks", "waiting"] == 1
    assert service["askpix_gpu_memory_bytes", "used"] == 500 * 2**20


async def test_hours_are_made_of_minutes_however_often_that_is_done(stores: Stores, tmp_path: Path) -> None:
    hour = int(time.time() // 3600)
    for minute in (60 * hour, 60 * hour - 1):
        await stores.redis.hset(keys.minute(minute), mapping={"tokens_total|answer": 30, "looks": 1, "waiting": 4})
    for _ in range(3):
        await keeper(stores, "a", tmp_path).roll_up()
    for each in (hour, hour - 1):
        assert await stores.redis.hget(keys.hour(each), "tokens_total|answer") == b"30.0"
    assert 0 < await stores.redis.ttl(keys.hour(hour)) <= keys.HOUR_TTL


async def test_messages_of_asks_that_the_store_has_lost_are_taken_away(stores: Stores, tmp_path: Path) -> None:
    for id in ("telegram:5:1", "telegram:5:2"):
        ask = replace_id(id)
        await stores.queue.enqueue(ask)
        await stores.replies.add_slot(ask, id[-1] * 3)
    await stores.redis.delete(keys.job("telegram:5:1"))
    house = keeper(stores, "a", tmp_path)
    await house.reclaim()
    (notice,) = await stores.notices.read("telegram", 0.01)
    assert (notice.platform, notice.chat, notice.slots) == ("telegram", "5", ("111",))
    assert await stores.replies.open_asks("telegram") == ["telegram:5:2"]


def replace_id(id: str) -> Any:
    return make_ask(id)


async def test_the_house_is_kept_again_when_the_store_comes_back(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, look=Chore(1))
    done: list[float] = []

    async def look() -> None:
        done.append(time.monotonic())

    async with at_work(keeper(stores, "a", tmp_path, look)):
        await wait_until(lambda: bool(done), 3)
        await stores.redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        paused = time.monotonic()
        await wait_until(lambda: done[-1] > paused + 2, 10)
