"""Everything that `/status` shows, gathered in four round trips, whoever runs and whoever does not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from storage import keys
from storage.connection import Client, Scripts
from storage.health import service_of
from storage.heartbeat import RoleRecord, roles
from storage.messages import Model, decode
from storage.metrics import date, merged, percentile

SHORT, HOUR = 5, 60  # minutes that figures are of
TOP = 5  # persons


class Speed(msgspec.Struct, frozen=True):
    """How answers went in a stretch of time: seconds to the first word, tokens a second of the whole service."""

    answered: int = 0
    failed: int = 0
    first_p50: float | None = None
    first_p95: float | None = None
    tokens_per_second: float = 0.0
    cached: float | None = None  # of the prompts' tokens, the share that the engine's cache had


class Gpu(msgspec.Struct, frozen=True):
    """A GPU (the worker's first): sizes in MiB, `busy` in percent, celsius, watts; 0 where the card does not say it."""

    name: str
    total: int
    used: int
    busy: int = 0
    celsius: int = 0
    watts: float = 0.0


class Instance(msgspec.Struct, frozen=True):
    """A process that lives: for how long, and how old its last sign of life is, in seconds."""

    name: str
    role: str
    up: float
    age: float


class Point(msgspec.Struct, frozen=True):
    """One minute or hour of the picture; None where nothing was measured."""

    at: float
    waiting: float | None = None
    first_p50: float | None = None
    first_p95: float | None = None
    tokens_per_second: float = 0.0
    gpu_busy: float | None = None
    gpu_memory: float | None = None  # percent


class Status(msgspec.Struct, frozen=True):
    """The service now: seconds, bytes and counts. `reason` is a phrase code when nobody answers, `mode` that of Health.

    saved: seconds since everything was on the disk, 0 where each write is; None when the last write failed.
    """

    at: float
    running: bool = False
    reason: str = ""
    mode: str = ""
    model: str = ""
    version: str = ""
    up: float = 0.0
    waiting: int = 0
    active: int = 0
    done: int = 0
    failed: int = 0
    oldest: float = 0.0
    eta: float | None = None
    minutes: Speed = Speed()
    hour: Speed = Speed()
    gpu: Gpu | None = None
    memory: int = 0
    memory_limit: int = 0
    saved: float | None = None
    instances: tuple[Instance, ...] = ()
    error: str = ""
    error_age: float = 0.0
    top: tuple[tuple[str, int], ...] = ()
    points: tuple[Point, ...] = ()


async def gather(redis: Client, scripts: Scripts, zone: tzinfo = UTC, minutes: int = HOUR) -> Status:
    """The service as the store knows it, with `minutes` of its past. Raises StoreDown."""
    now, alive = time.time(), await roles(redis)
    oldest = await scripts.call("oldest")
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hget(keys.COUNTS, "queued")
        pipe.hlen(keys.ACTIVE)
        pipe.get(keys.MODE)
        pipe.get(keys.MODEL)
        pipe.hgetall(keys.FAULT)
        pipe.hgetall(keys.day(date(now, zone)))
        pipe.zrevrange(keys.top(date(now, zone)), 0, TOP - 1, withscores=True)
        pipe.info("memory")
        pipe.info("persistence")
        for ago in reversed(range(minutes)):
            pipe.hgetall(keys.minute(int(now // 60) - ago))
        waiting, active, mode, model, fault, today, top, memory, disk, *past = await pipe.execute()
    begun = 60.0 * (now // 60)  # of this minute, which is not over yet
    measured, day, error = [counted(each) for each in past], counted(today), fault.get(b"error", b"").decode()
    service, queued, up = service_of(alive), int(waiting or 0), [now - role.started for role in alive]
    return Status(
        now, bool(alive), service.reason or "", (mode or b"").decode(),
        decode(model, Model).name if model else "", max((role.version for role in alive), default=""),
        max(up, default=0.0),
        queued, active, int(day.get("answers_total|done", 0)), int(day.get("answers_total|failed", 0)),
        now - float(oldest) if oldest else 0.0, None if service.reason else service.eta(queued),
        speed(merged(measured[-SHORT:]), 60 * (SHORT - 1) + now - begun),
        speed(merged(measured), 60 * (HOUR - 1) + now - begun), _gpu(alive),
        memory["used_memory"], memory.get("maxmemory") or memory.get("total_system_memory", 0), _saved(disk, now),
        tuple(Instance(role.instance, role.role, now - role.started, role.age) for role in alive),
        error, now - float(fault[b"at"]) if error else 0.0,
        tuple((person.decode(), int(asks)) for person, asks in top if asks > 0),
        tuple(
            point(each, begun - 60 * ago, 60 if ago else max(1.0, now - begun))
            for each, ago in zip(measured, reversed(range(minutes)), strict=True)
        ),
    )  # fmt: skip


async def past_day(redis: Client, until: float) -> tuple[Point, ...]:
    """The 24 hours before a moment, an hour each."""
    last = int(until // 3600)
    async with redis.pipeline(transaction=False) as pipe:
        for hour in range(last - 23, last + 1):
            pipe.hgetall(keys.hour(hour))
        found = await pipe.execute()
    return tuple(point(counted(each), 3600 * (last - 23 + at), 3600) for at, each in enumerate(found))


def counted(stored: Mapping[bytes, bytes]) -> dict[str, float]:
    """What was counted in a minute, an hour or a day."""
    return {name.decode(): float(value) for name, value in stored.items()}


def speed(found: Mapping[str, float], seconds: float) -> Speed:
    """The figures of what was counted in so many seconds."""
    prompt = found.get("tokens_total|prompt", 0.0)
    return Speed(
        int(found.get("answers_total|done", 0)), int(found.get("answers_total|failed", 0)),
        percentile(found, "first_token_seconds", 0.5), percentile(found, "first_token_seconds", 0.95),
        found.get("tokens_total|answer", 0.0) / seconds,
        found.get("tokens_total|cached", 0.0) / prompt if prompt else None,
    )  # fmt: skip


def point(found: Mapping[str, float], at: float, seconds: float) -> Point:
    """The figures of a stretch that began at `at`, with what was looked at in it (see storage/housekeeping.py)."""
    now = speed(found, seconds)
    looks = found.get("looks", 0.0)
    seen = {name: found[name] / looks if looks and name in found else None for name in ("waiting", "busy", "memory")}
    return Point(at, seen["waiting"], now.first_p50, now.first_p95, now.tokens_per_second, seen["busy"], seen["memory"])


def _gpu(alive: list[RoleRecord]) -> Gpu | None:
    found = [role.figures["gpu"] for role in alive if role.figures.get("gpu")]
    return decode(found[0].encode(), Gpu) if found else None


def _saved(disk: Mapping[str, Any], now: float) -> float | None:
    if disk.get("aof_enabled"):
        return 0.0 if disk.get("aof_last_write_status", "ok") == "ok" else None
    return now - disk["rdb_last_save_time"] if disk.get("rdb_last_bgsave_status", "ok") == "ok" else None
