"""What an admin reads: the service's status line by line, and what one person used."""

from __future__ import annotations

from collections.abc import Iterator

from bots.phrases import say
from storage.limits import Usage
from storage.status import SHORT, Speed, Status

MEGA = 1_000_000


def status_lines(language: str, now: Status) -> Iterator[str]:
    """The whole status, whatever of it there is."""
    if not now.running:
        yield say(language, "status.nothing")
    else:
        yield say(language, f"status.{now.reason or 'engine_up'}", model=now.model)
        if now.mode:
            yield say(language, f"status.{now.mode}")
        yield say(language, "status.up", version=now.version, up=span(language, now.up))
    yield say(language, "status.queue", waiting=now.waiting, active=now.active, done=now.done, failed=now.failed)
    if now.waiting:
        eta = "–" if now.eta is None else span(language, now.eta)
        yield say(language, "status.oldest", oldest=span(language, now.oldest), eta=eta)
    yield _speed(language, SHORT, now.minutes)
    yield _speed(language, 60, now.hour)
    if now.hour.cached is not None:
        yield say(language, "status.cached", percent=round(100 * now.hour.cached))
    yield from _machine(language, now)
    if now.error:
        yield say(language, "status.error", error=now.error, ago=span(language, now.error_age))
    if now.top:
        yield say(language, "status.top", top=", ".join(f"{person} ({asks})" for person, asks in now.top))


def _machine(language: str, now: Status) -> Iterator[str]:
    """The GPU, the store, the processes."""
    if gpu := now.gpu:
        yield say(
            language, "status.gpu", name=gpu.name, used=f"{gpu.used / 1024:.1f}", total=f"{gpu.total / 1024:.1f}",
            busy=gpu.busy, celsius=gpu.celsius, watts=round(gpu.watts),
        )  # fmt: skip
    elif now.running:
        yield say(language, "status.no_gpu")
    if now.memory:
        code = "failed" if now.saved is None else "ago" if now.saved else "each"
        saved = say(language, f"status.saved_{code}", ago=span(language, now.saved or 0))
        yield say(language, "status.store", memory=round(now.memory / MEGA), saved=saved)
    if now.instances:
        beats = (f"{each.name.partition(':')[2] or each.name} ({each.age:.1f} s)" for each in now.instances)
        yield say(language, "status.instances", instances=", ".join(beats))


def _speed(language: str, minutes: int, speed: Speed) -> str:
    if speed.first_p50 is None or speed.first_p95 is None:
        return say(language, "status.quiet", minutes=minutes)
    return say(
        language, "status.speed", minutes=minutes, p50=f"{speed.first_p50:.2f}", p95=f"{speed.first_p95:.2f}",
        tokens=f"{speed.tokens_per_second:.1f}",
    )  # fmt: skip


def usage_lines(language: str, today: Usage, month: Usage, quota: int, cost: int) -> Iterator[str]:
    """What one person used, and what is left of today's asks and cost (0: without limit)."""
    for code, used in (("today", today), ("month", month)):
        yield say(language, f"usage.{code}", asks=used.asks, photos=used.photos, tokens=used.tokens)
    if quota:
        yield say(language, "usage.left", left=max(0, quota - today.asks), quota=quota)
    if cost:
        yield say(language, "usage.cost_left", left=max(0, cost - today.cost), quota=cost)
    if not quota and not cost:
        yield say(language, "usage.free")


def span(language: str, seconds: float) -> str:
    """How long something lasted, in its largest unit."""
    if seconds < 90:
        return say(language, "seconds", n=round(seconds))
    if seconds < 5400:
        return say(language, "minutes", n=round(seconds / 60))
    return say(language, "hours", n=f"{seconds / 3600:.1f}")
