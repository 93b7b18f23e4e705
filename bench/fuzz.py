"""Bad input by the thousand, at every door: `python -m bench.fuzz [SECONDS] [SEED]`, or `make fuzz`; JSON line last.

At least 20,000 inputs, more while there is time. Each is made from the seed, its door and its number, so that
`python -m bench.fuzz DOOR NUMBER SEED` tries one again. They are tried in children with the limits that readers of
files have: a death, an unforeseen exception and silence for HANG are crashes, and the run goes on behind them.
JSON: inputs, crashes (each as door, number, what), slow (over 5 s), slowest_s, peak_mb by door, outcomes by door.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.bad_input import DOORS
from bench.report import finish, say
from bots.confined import MEMORY

LEAST = 20_000
HANG = 60.0  # seconds without a word: then a reader is ended
SLOW = 5.0
CHILD = [sys.executable, "-m", "bench.fuzz", "--child"]


@dataclass
class Report:
    """What came of a run."""

    inputs: int = 0
    crashes: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    slow: list[tuple[str, int, float]] = field(default_factory=list[tuple[str, int, float]])
    slowest: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict[str, int])  # MB
    outcomes: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])

    def add(self, door: str, number: int, outcome: str, seconds: float) -> None:
        """One input that was tried."""
        self.inputs += 1
        self.outcomes.setdefault(door, Counter())[outcome.partition(" ")[0]] += 1
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOW:
            self.slow.append((door, number, round(seconds, 1)))
        if outcome.startswith("crash"):
            self.crashes.append((door, number, outcome.partition(" ")[2]))


def fuzz(seconds: float, seed: int, least: int = LEAST) -> Report:
    """Try at least so many inputs, each door its share of every thousand, and more for so many seconds."""
    report, until, done = Report(), time.monotonic() + seconds, 0
    while (left := least - report.inputs) > 0 or time.monotonic() < until:
        part = min(5.0, max(0.02, left / 1000)) if left > 0 else 1.0
        counts = {name: max(1, round(door.share * part)) for name, door in DOORS.items()}
        jobs = {name: [(name, number) for number in range(done, done + count)] for name, count in counts.items()}
        if left > 0 and part < 0.5:  # too few for a child each
            jobs = {"all": [job for each in jobs.values() for job in each]}
        for name, each in jobs.items():
            peak = attempt(report, seed, each)
            report.peaks[name] = max(report.peaks.get(name, 0), peak)
        done += 5000
        say(f"  {report.inputs} inputs, {len(report.crashes)} crashes, slowest {report.slowest:.1f} s")
    return report


def attempt(report: Report, seed: int, jobs: Sequence[tuple[str, int]]) -> int:
    """Try these inputs (door, number), in one child as long as it lives; the most memory that it took, in MB."""
    peak = 0
    while jobs:
        child = subprocess.Popen(
            [*CHILD, str(seed), *(f"{door}:{number}" for door, number in jobs)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for line in _lines(child):
            outcome, taken = line.rsplit(" ", 1)
            report.add(*jobs[0], outcome, float(taken))
            jobs = jobs[1:]
        os.kill(child.pid, signal.SIGKILL)  # not its own kill(): that would take away what wait4 tells
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        peak = max(peak, usage.ru_maxrss // 1024)
        if jobs:  # it died of the one in hand
            report.add(*jobs[0], f"crash died ({child.returncode})", 0.0)
            jobs = jobs[1:]
    return peak


def _lines(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """What a child says, until it ends or is silent for too long."""
    assert child.stdout
    with child.stdout as said, selectors.DefaultSelector() as waiting:
        waiting.register(said, selectors.EVENT_READ)
        rest = b""
        while waiting.select(HANG) and (part := os.read(said.fileno(), 1 << 16)):
            *lines, rest = (rest + part).split(b"\n")
            yield from (line.decode() for line in lines)


def _knock(door: str, seed: int, number: int) -> str:
    try:
        return DOORS[door].knock(Random(f"{seed}:{door}:{number}"))
    except Exception as error:  # noqa: BLE001 : that none comes is what is tested
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = " ".join(str(error).split())[:80]
        return f"crash {type(error).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}: {words}"


def _child(seed: str, jobs: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for job in jobs:
        door, _, number = job.partition(":")
        begun = time.monotonic()
        outcome = _knock(door, int(seed), int(number)).encode("ascii", "backslashreplace").decode()
        print(f"{outcome} {time.monotonic() - begun:.3f}", flush=True)


def main(args: list[str]) -> None:
    """Run as a fuzzer, as its child, or try one input again."""
    match args:
        case ["--child", seed, *jobs]:
            _child(seed, jobs)
        case [door, number, seed] if door in DOORS:
            print(DOORS[door].knock(Random(f"{seed}:{door}:{number}")))
        case _:
            seconds, seed = (*map(int, args), *(60, 1)[len(args) :])
            report = fuzz(seconds, seed)
            results = {
                "seed": seed, "inputs": report.inputs, "crashes": report.crashes, "slow": report.slow,
                "slowest_s": report.slowest, "peak_mb": report.peaks, "outcomes": report.outcomes,
            }  # fmt: skip
            finish("fuzz", results, {})
            sys.exit(bool(report.crashes))


if __name__ == "__main__":
    main(sys.argv[1:])
