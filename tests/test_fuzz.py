"""A slice of `make fuzz`, with numbers that its full runs do not use: bad input gets a word, and breaks nothing."""

from __future__ import annotations

import sys
from random import Random

import pytest

from bench.bad_input import DOORS
from bench.fuzz import Report, attempt, fuzz
from bots.confined import MEMORY

# What broke something once: door, seed and number.
CRASHERS = [("document", 1, 8), ("engine", 2, 150)]


@pytest.mark.skipif(sys.platform != "linux", reason="has no limit of the address space")
def test_some_hundreds_of_bad_inputs_at_every_door() -> None:
    report = fuzz(0, 20260, 300)
    assert report.crashes == []
    assert report.outcomes.keys() == DOORS.keys()
    assert max(report.peaks.values()) < MEMORY >> 20


@pytest.mark.parametrize(("door", "seed", "number"), CRASHERS)
def test_what_broke_something_once_does_so_no_more(door: str, seed: int, number: int) -> None:
    assert DOORS[door].knock(Random(f"{seed}:{door}:{number}"))


STAND_IN = """
import os, sys, time
for job in sys.argv[2:]:
    if job == "b:1":
        os.kill(os.getpid(), 11)
    if job == "c:2":
        time.sleep(60)
    print("crash ValueError 0.1" if job == "d:3" else "ok 0.1", flush=True)
"""


def test_a_crash_a_death_and_a_hang_are_each_noticed_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fuzz.HANG", 1.0)
    monkeypatch.setattr("bench.fuzz.CHILD", [sys.executable, "-c", STAND_IN])
    report = Report()
    attempt(report, 1, [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4)])
    assert report.crashes == [("b", 1, "died (-11)"), ("c", 2, "died (-9)"), ("d", 3, "ValueError")]
    assert report.inputs == 5
