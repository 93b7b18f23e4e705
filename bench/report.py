"""What the benches have in common: quantiles, targets, and the JSON line at the end."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def stoppable() -> None:
    """Let SIGTERM end a bench as Ctrl-C does: what it started ends with it."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell lets its background jobs ignore the second
        signal.signal(number, signal.default_int_handler)


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest, in ms."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = {"p50": cuts[49], "p90": cuts[89], "p99": cuts[98], "max": max(seconds)}
    return {f"{name}_ms": round(value * 1000, 3) for name, value in figures.items()} | {"n": len(seconds)}


def target(measured: float, *, at_most: float = math.inf, at_least: float = -math.inf) -> dict[str, float | bool]:
    """One target, met or not."""
    bounds = {name: bound for name, bound in (("at_most", at_most), ("at_least", at_least)) if math.isfinite(bound)}
    return {"measured": round(measured, 3), **bounds, "ok": at_least <= measured <= at_most}


def finish(bench: str, results: Mapping[str, object], targets: Mapping[str, Mapping[str, float | bool]]) -> None:
    """Print the JSON line, on stdout. A missed target is a finding, not a failure: the exit status stays 0."""
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    when = datetime.now(UTC).isoformat(timespec="seconds")
    print(json.dumps({"bench": bench, "at": when, "machine": machine, **results, "targets": targets}))


def rss_mb(pids: Sequence[int]) -> float:
    """Resident memory of processes, in MB; shared pages count in each. Linux only."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far. Linux only."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
