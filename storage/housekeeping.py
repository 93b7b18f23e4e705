"""What is done for the whole service from time to time, by one process of all: whichever leads.

A lock in the store says who leads; it is renewed each two seconds and taken over when its holder is silent. Who leads
builds its schedule from the store's records, does at once what was missed, once, and notes how each run went. Every
chore may be done twice without harm: what it puts down has a name.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger  # pyright: ignore[reportMissingTypeStubs] : APScheduler 3 has no types
from apscheduler.triggers.interval import IntervalTrigger  # pyright: ignore[reportMissingTypeStubs] : as above

from storage import keys
from storage.connection import StoreDown, forever
from storage.heartbeat import Schedule
from storage.logs import describe
from storage.messages import Note, Record, decode, encode
from storage.metrics import date, merged
from storage.notices import Notice
from storage.settings import StorageSettings
from storage.status import Status, counted, speed

if TYPE_CHECKING:
    from storage.stores import Stores

log = logging.getLogger(__name__)

BEAT = 2.0  # seconds between looks at who leads
LOOK = 5.0  # seconds between looks at the service
PLATFORMS = ("telegram", "discord")
FEW = 5  # failures in five minutes that no rate is made of

# An incident: for how many seconds it must last before admins are told, and when a status shows it.
INCIDENTS: dict[str, tuple[float, Callable[[Status], bool]]] = {
    "engine": (30, lambda now: bool(now.reason)),
    "queue": (0, lambda now: now.oldest > 120 and not now.mode),
    "gpu": (30, lambda now: bool(now.gpu and now.gpu.used > 0.98 * now.gpu.total)),
    "memory": (30, lambda now: now.memory > 0.9 * now.memory_limit > 0),
    "errors": (0, lambda now: now.minutes.failed > max(FEW, 0.2 * (now.minutes.answered + now.minutes.failed))),
}
DISK = 0.95  # of the data folder's disk in use


class Chore(Record, frozen=True):
    """What is done each `seconds`, or each day at a time of a zone."""

    seconds: float = 0.0
    at: str = ""
    zone: str = "UTC"


class Run(Record, frozen=True):
    """How a chore went last: when it began (s since 1970), how long it took, and what it failed of."""

    at: float
    seconds: float = 0.0
    error: str = ""


def due(chore: Chore, last: Run | None, now: datetime) -> tuple[Any, datetime | None]:
    """A chore's trigger, and since when what it says counts: its last good run, unless that lies in the future."""
    if chore.at:
        hour, minute = chore.at.split(":")[:2]
        trigger: Any = CronTrigger(
            hour=hour, minute=minute, timezone=ZoneInfo(chore.zone) if chore.zone != "UTC" else UTC
        )
    else:
        trigger = IntervalTrigger(seconds=int(chore.seconds), start_date=datetime(2020, 1, 1, tzinfo=UTC), timezone=UTC)
    since = datetime.fromtimestamp(last.at, UTC) if last and not last.error else None
    return trigger, since if since and since <= now else None


class Housekeeper:
    """One process's part in it."""

    def __init__(self, stores: Stores, name: str, settings: StorageSettings) -> None:
        self._stores = stores
        self._redis = stores.redis
        self._token = f"{name} {secrets.token_hex(4)}"
        self._settings = settings
        self.chores: dict[str, Callable[[], Awaitable[object]]] = {
            "look": self.look, "rollup": self.roll_up, "photos": stores.images.sweep, "placeholders": self.reclaim,
            "news": lambda: stores.notices.trim(time.time()), "digest": self.digest,
        }  # fmt: skip

    async def run(self) -> None:
        """Take part until cancelled."""
        try:
            await forever(self._take_part)
        finally:
            self._stores.health.metrics.service = {}
            try:
                async with asyncio.timeout(1):
                    await self.leads(0)
            except StoreDown:
                pass  # it expires by itself

    async def _take_part(self) -> None:
        while True:
            if await self.leads():
                await self._lead()
            await asyncio.sleep(BEAT)

    async def leads(self, seconds: float = keys.LEADER_TTL, *note: str | bytes) -> bool:
        """Whether we keep house for the next `seconds` (0: no more), with a note of a run if one is given."""
        return await self._stores.scripts.call("lead", self._token, int(seconds * 1000), *note) == 1

    async def _lead(self) -> None:
        """Keep house as long as nobody else does."""
        log.debug("this process keeps house")
        async with Schedule() as schedule:
            for name, chore in (await self.records()).items():
                last = await self._redis.hget(keys.DONE, name)
                trigger, since = due(chore, decode(last, Run) if last else None, datetime.now(UTC))
                schedule.at(trigger, partial(self._do, name), since)
            while await self.leads():  # noqa: ASYNC110 : the store has no event for it
                await asyncio.sleep(BEAT)
        self._stores.health.metrics.service = {}

    async def records(self) -> dict[str, Chore]:
        """What is done and when, as the settings say it and the store keeps it."""
        wanted = {
            "look": Chore(LOOK), "rollup": Chore(300), "photos": Chore(3600), "placeholders": Chore(600),
            "news": Chore(3600),
        }  # fmt: skip
        if self._settings.digest_at:
            wanted["digest"] = Chore(
                at=self._settings.digest_at.isoformat("minutes"), zone=str(self._settings.timezone)
            )
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.CHORES)
            pipe.hset(keys.CHORES, mapping={name: encode(chore) for name, chore in wanted.items()})
            pipe.hgetall(keys.CHORES)
            *_, found = await pipe.execute()
        return {name.decode(): decode(chore, Chore) for name, chore in found.items()}

    async def _do(self, name: str) -> None:
        """Do one chore, if we still lead, and note how it went."""
        began, error = time.time(), ""
        try:
            if not await self.leads():
                return
            await self.chores[name]()
        except StoreDown:
            return  # it is not noted as done, and done again
        except Exception as failure:  # the last guard: one chore's bug must not stop the others
            log.exception("%s failed", name, exc_info=failure)
            error = describe(failure)
        try:
            await self.leads(keys.LEADER_TTL, name, encode(Run(began, time.time() - began, error)))
        except StoreDown:
            return

    async def look(self) -> None:
        """Note what the minute shows, show Prometheus the service, and tell admins of what is wrong."""
        now = await self._stores.status(5)
        key, gpu = keys.minute(int(now.at // 60)), now.gpu
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hincrby(key, "looks", 1)
            pipe.hincrby(key, "waiting", now.waiting)
            for name, value in (("busy", gpu.busy), ("memory", 100 * gpu.used / gpu.total)) if gpu else ():
                pipe.hincrbyfloat(key, name, value)
            pipe.expire(key, keys.MINUTE_TTL)
            await pipe.execute()
        self._stores.health.metrics.service = dict(_gauges(now))
        await self.judge(now)

    async def judge(self, now: Status) -> None:
        """Tell admins once when something has been wrong for long enough, and once when it is well again."""
        disk = await asyncio.to_thread(shutil.disk_usage, self._settings.data_dir)
        wrong = {name: (hold, shows(now)) for name, (hold, shows) in INCIDENTS.items()}
        wrong["disk"] = 30, disk.used > DISK * (disk.used + disk.free)
        known = {name.decode(): float(at) for name, at in (await self._redis.hgetall(keys.INCIDENTS)).items()}
        for name, (hold, bad) in wrong.items():
            since, told = known.get(name), known.get(f"told:{name}")
            if bad and since is None:
                since = now.at
                await self._redis.hset(keys.INCIDENTS, name, since)
            if bad and since is not None and told is None and not 0 <= now.at - since < hold:
                await self._tell(now, f"alert.{name}", since)
                await self._redis.hset(keys.INCIDENTS, f"told:{name}", now.at)
            elif not bad and since is not None:
                if told is not None:
                    await self._tell(now, f"alert.{name}_over", since)
                await self._redis.hdel(keys.INCIDENTS, name, f"told:{name}")

    async def _tell(self, now: Status, code: str, since: float) -> None:
        minutes = max(1, round((now.at - since) / 60))
        await self._stores.notices.put(Notice(f"{code}:{since}", Note(code, {"minutes": minutes}), now.at))

    async def roll_up(self) -> None:
        """Hours out of minutes: the present one, and those whose minutes are still there."""
        last = int(time.time() // 3600)
        for hour in range(last - 1, last + 1):
            async with self._redis.pipeline(transaction=False) as pipe:
                for minute in range(60 * hour, 60 * hour + 60):
                    pipe.hgetall(keys.minute(minute))
                found = merged([counted(each) for each in await pipe.execute()])
            if found:
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hset(keys.hour(hour), mapping=found)
                    pipe.expire(keys.hour(hour), keys.HOUR_TTL)
                    await pipe.execute()

    async def reclaim(self) -> None:
        """Have messages taken away that wait for an answer of which the store knows nothing any more."""
        for platform in PLATFORMS:
            for id in await self._stores.replies.open_asks(platform):
                if not await self._redis.exists(keys.job(id)):
                    slots = await self._redis.lrange(keys.slots(id), 0, -1)
                    await self._stores.notices.put(Notice(
                        f"slots:{id}", Note(""), time.time(), platform, chat=id.split(":")[1],
                        slots=tuple(slot.decode() for slot in slots),
                    ))  # fmt: skip
                    await self._redis.srem(keys.open_asks(platform), id)

    async def digest(self) -> None:
        """Tell admins of the day that is over, once a day whatever the clock does."""
        now, zone = time.time(), self._settings.timezone
        today, over = date(now, zone), datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
        found = counted(await self._redis.hgetall(keys.day(over.isoformat())))
        day, people = speed(found, keys.DAY), await self._redis.zcard(keys.top(over.isoformat()))
        args: dict[str, str | int | float] = {
            "date": over.isoformat(), "done": day.answered, "failed": day.failed, "people": people,
            "tokens": int(found.get("tokens_total|answer", 0)), "p50": round(day.first_p50 or 0, 2),
            "p95": round(day.first_p95 or 0, 2),
        }  # fmt: skip
        await self._stores.notices.put(Notice(f"digest:{today}", Note("digest", args), now, picture=True))


def _gauges(now: Status) -> Iterator[tuple[tuple[str, str], float]]:
    gpu, mib = now.gpu, 2**20
    yield ("askpix_queue_asks", "waiting"), now.waiting
    yield ("askpix_queue_asks", "running"), now.active
    yield ("askpix_queue_oldest_seconds", ""), now.oldest
    yield ("askpix_engine_up", ""), float(not now.reason)
    yield ("askpix_store_memory_bytes", ""), now.memory
    for role in {each.role for each in now.instances}:
        yield ("askpix_instances", role), sum(each.role == role for each in now.instances)
    yield ("askpix_gpu_memory_bytes", "used"), gpu.used * mib if gpu else nan
    yield ("askpix_gpu_memory_bytes", "total"), gpu.total * mib if gpu else nan
    yield ("askpix_gpu_utilization_ratio", ""), gpu.busy / 100 if gpu else nan
    yield ("askpix_gpu_temperature_celsius", ""), gpu.celsius if gpu else nan
    yield ("askpix_gpu_power_watts", ""), gpu.watts if gpu else nan
