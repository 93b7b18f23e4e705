"""What makes the card fast: `python -m bench.gpu.speed [SPEED.toml [SECONDS]]`, many engines on one card, in turns.

All engines of a wave start together, small, and sleep; then one after another is asked while the others are idle. What
is known by SECONDS (440) is printed; each step is also written to $OUT/speed.json. $MODEL, $DEMO and $INT8 are folders;
$WAVES (all) says which waves, $SKIP which tries are left out.
"""

from __future__ import annotations

import json
import os
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.gpu import inside, load
from bench.report import finish, say, target

SECONDS = 440.0
START = float(os.environ.get("START", "0.5"))  # of that, at most, for a start: the first one compiles kernels
RESERVE = 20.0  # for what comes after the measures of a wave
GRACE = float(os.environ.get("GRACE", "60"))  # seconds that the slower half may take longer
CROWD = int(os.environ.get("CROWD", "320"))  # photos
EXAM = int(os.environ.get("EXAM", "30"))  # questions a task and language
PORT = 11_000


def _filled(text: str) -> str:
    return string.Template(text).safe_substitute(os.environ)


class Try(msgspec.Struct, frozen=True):
    """One engine of speed.toml."""

    name: str
    change: str
    predicted: str
    flags: list[str]
    measure: list[str]
    later: list[str] = []
    again: list[str] = []
    model: str = "large"
    env: dict[str, str] = {}
    wave: int = 1


class Kind(msgspec.Struct, frozen=True):
    """What engines of one model have in common."""

    flags: list[str]


class Tries(msgspec.Struct, frozen=True):
    """speed.toml."""

    common: list[str]
    model: dict[str, Kind]
    tries: list[Try] = msgspec.field(name="try")


@dataclass
class Engine:
    """A running one."""

    tried: Try
    url: str
    log: Path
    process: subprocess.Popen[bytes]
    begun: float = field(default_factory=time.monotonic)

    def ready(self) -> bool:
        """Whether it serves."""
        return b"ready to roll" in self.log.read_bytes()

    def waiting(self) -> bool:
        """Whether it is still worth waiting for."""
        return self.process.poll() is None and not self.ready()

    def words(self) -> str:
        """The line that says most of what broke it."""
        lines = self.log.read_text(errors="replace").splitlines()
        compiling = [line for line in lines if "fatal error" in line]
        errors = [line for line in lines if "Error" in line or "Exception" in line]
        return (compiling or errors or lines or [""])[-1][-300:]

    def stop(self) -> None:
        """At once, with all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Bench:
    """The tries, the engines, the time that is left, what was found so far."""

    tries: Tries
    out: Path
    end: float
    pool: ProcessPoolExecutor
    photos: list[bytes]
    results: dict[str, Any] = field(default_factory=dict[str, Any])

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def start(self, tries: Iterable[Try]) -> list[Engine]:
        """Their engines, not ready yet."""
        python = os.environ.get("ENGINE_PYTHON", sys.executable)
        started: list[Engine] = []
        for number, tried in enumerate(tries):
            port = PORT + 1500 * number  # SGLang takes more of them nearby
            flags = [*self.tries.common, *self.tries.model[tried.model].flags, *tried.flags, "--port", str(port)]
            flags = [_filled(flag) for flag in flags]
            env = os.environ | {name: _filled(value) for name, value in tried.env.items()}
            log = self.out / f"{tried.name}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [python, "-m", "sglang.launch_server", *flags], env=env,
                    stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            started.append(Engine(tried, f"http://127.0.0.1:{port}", log, process))
            time.sleep(0.5)  # the first one's locks on what it compiles
        return started

    def wait(self, engines: list[Engine], share: float) -> None:
        """Until all are ready or have ended, or so much of the time is gone; for the slower half a minute at most."""
        end, waiting = time.monotonic() + min(share * self.left(), self.left() - RESERVE), list(engines)
        grace = end
        while waiting and time.monotonic() < min(end, grace):
            time.sleep(0.5)
            if grace == end and 2 * sum(each.ready() for each in engines) >= len(engines):
                grace = time.monotonic() + GRACE
            for each in [each for each in waiting if not each.waiting()]:
                waiting.remove(each)
                if each.ready():
                    self.keep(each, "ready_s", round(time.monotonic() - each.begun))
        for each in engines:
            if not each.ready():
                self.keep(each, "failed", each.words())

    def keep(self, engine: Engine, name: str, value: object) -> None:
        """Write down a figure."""
        found = self.results.setdefault(engine.tried.name, {})
        found[name] = value
        say(f"{-self.left():5.0f} {engine.tried.name} {name}: {json.dumps(value)[:1500]}")
        (self.out / "speed.json").write_text(json.dumps(self.results))

    def measure(self, engine: Engine, parts: Sequence[str], mark: str = "") -> None:
        """These of this one, while there is time; `mark` goes behind their names."""
        if not engine.ready():
            return
        self.results.get(engine.tried.name, {}).pop("failed", None)  # it came late
        for name in parts:
            if name not in MEASURES:
                continue
            if self.left() < RESERVE:
                self.keep(engine, name + mark, "no time")
                continue
            try:
                self.keep(engine, name + mark, MEASURES[name](self, engine))
            except Exception as error:  # noqa: BLE001 : a bench goes on past a part that fails, and says so
                self.keep(engine, name + mark, {"failed": f"{type(error).__name__}: {error}"[:300]})

    def warm(self, engine: Engine) -> str:
        """The first photos compile kernels; they count nowhere."""
        begun = time.monotonic()
        load.crowd(self.pool, engine.url, self.photos[-24:], 8, 16)
        return f"{time.monotonic() - begun:.1f} s"

    def mib(self, engine: Engine) -> dict[str, int]:
        """What it holds of the card."""
        return inside.memory(engine.process.pid)

    def alone(self, engine: Engine) -> dict[str, Any]:
        """One person, words and photos in turns."""
        return load.alone(self.pool, engine.url, self.photos[-40:-32])

    def crowd(self, engine: Engine) -> dict[str, Any]:
        """64 people, every photo new, 128 tokens; and who was busy meanwhile."""
        with inside.busy(engine.process.pid) as shares:
            found = load.crowd(self.pool, engine.url, self.photos[:CROWD], 64, 128)
        return found | {"busy": shares}

    def streams(self, engine: Engine) -> dict[str, Any]:
        """64 people without photos."""
        return load.crowd(self.pool, engine.url, [b""] * 128, 64, 256)

    def inside(self, engine: Engine) -> dict[str, Any]:
        """Where the two processes' time goes while photos come in."""
        job = self.pool.submit(load.one_crowd, engine.url, self.photos[-160:-40], 40, 64)
        found = inside.stacks(engine.process.pid, self.out / engine.tried.name)
        job.result()
        return found

    def kernels(self, engine: Engine) -> dict[str, Any]:
        """What the card does for one stream."""
        job = self.pool.submit(load.one_crowd, engine.url, [b""], 1, 700)
        found = inside.kernels(engine.url, self.out / f"{engine.tried.name}.trace", self.left() - RESERVE)
        job.result()
        return found

    def loaded(self, engine: Engine, tokens: int = 128, steps: int = 60) -> dict[str, Any]:
        """What the card does while 64 people send photos."""
        shares = [self.photos[start::4] for start in range(4)]
        jobs = [self.pool.submit(load.one_crowd, engine.url, share[:40], 16, tokens) for share in shares]
        time.sleep(1)
        folder = self.out / f"{engine.tried.name}.loaded"
        found = inside.kernels(engine.url, folder, self.left() - RESERVE, steps)
        for job in jobs:
            job.result()
        return found

    def reading(self, engine: Engine) -> dict[str, Any]:
        """What it does when they hardly write: photos and prompts alone."""
        return self.loaded(engine, tokens=3, steps=16)

    def formats(self, engine: Engine) -> dict[str, Any]:
        """The same photo as PNG, and as a JPEG that the engine must scale."""
        found: dict[str, Any] = {}
        for name, width, height in (("png", 1024, 768), ("odd", 1010, 760)):
            drawn = load.redrawn(self.pool, self.photos[:56], name, width, height)
            alone = load.alone(self.pool, engine.url, drawn[:8], texts=0)
            found[name] = {"alone": alone["photo_first_ms"], **load.crowd(self.pool, engine.url, drawn[8:], 32, 64)}
        return found

    def exams(self, engines: list[Engine]) -> None:
        """The demo model's questions to each of its engines, all at once: no timing counts here."""
        engines = [each for each in engines if "exam" in each.tried.measure and each.ready()]
        if self.left() < RESERVE or not engines:
            return
        found = load.exams(self.pool, {each.tried.name: each.url for each in engines}, EXAM, min(75, self.left() - 15))
        for each in engines:
            self.keep(each, "exam", found[each.tried.name])


MEASURES: dict[str, Callable[[Bench, Engine], Any]] = {
    "warm": Bench.warm, "alone": Bench.alone, "crowd": Bench.crowd, "streams": Bench.streams, "inside": Bench.inside,
    "kernels": Bench.kernels, "loaded": Bench.loaded, "reading": Bench.reading,
    "formats": Bench.formats, "mib": Bench.mib,
}  # fmt: skip


def waves(bench: Bench) -> None:
    """One wave after another; the demo models are examined when the others are measured."""
    numbers = sorted({each.wave for each in bench.tries.tries})
    wanted = os.environ.get("WAVES", "").split() or [str(number) for number in numbers]
    numbers = [number for number in numbers if str(number) in wanted]
    engines: list[Engine] = []
    try:
        for number in numbers:
            if bench.left() < 4 * RESERVE:  # a start alone takes that
                break
            left_out = os.environ.get("SKIP", "").split()
            tries = [each for each in bench.tries.tries if each.wave == number and each.name not in left_out]
            started = bench.start(tries)
            engines += started
            bench.wait(started, START)
            if not any(each.ready() for each in started):
                break  # what keeps them all from starting keeps the next ones too
            demos = [each for each in started if "exam" in each.tried.measure]
            for each in started:
                bench.measure(each, () if each in demos else ("warm", *each.tried.measure, "mib"))
                if not (each in demos or each.tried.later or each.tried.again):
                    each.stop()
            for each in started:
                bench.measure(each, each.tried.again, " again")
            bench.exams(demos)
            for each in started:
                bench.measure(each, each.tried.later)
            for each in started:
                each.stop()
    finally:
        for each in engines:
            each.stop()


def _figure(found: dict[str, Any], part: str, name: str) -> float:
    figures: dict[str, Any] = found[part] if isinstance(found.get(part), dict) else {}
    return float(figures.get(name, 0))


def targets(results: dict[str, Any]) -> dict[str, dict[str, float | bool]]:
    """The best try of each, and against the base."""

    def best(part: str, name: str) -> float:
        return max((_figure(found, part, name) for found in results.values()), default=0.0)

    def least(part: str, name: str) -> float:
        return min((each for found in results.values() if (each := _figure(found, part, name))), default=0.0)

    def gain(part: str, name: str) -> float:
        return best(part, name) / (_figure(results.get("base", {}), part, name) or 1e9)

    return {
        "photos_per_second_against_base": target(gain("crowd", "per_second"), at_least=3),
        "photos_per_second": target(best("crowd", "per_second"), at_least=75),
        "one_stream_against_base": target(gain("alone", "tokens_per_second"), at_least=1.3),
        "photo_first_ms_alone": target(least("alone", "photo_first_ms"), at_most=60),
        "first_p50_ms_at_64": target(least("crowd", "first_p50_ms"), at_most=1000),
    }


def main() -> None:
    """All waves, then the JSON line."""
    arguments = sys.argv[1:]
    file = Path(arguments[0]) if arguments else Path(__file__).with_name("speed.toml")
    seconds = float(arguments[1]) if len(arguments) > 1 else SECONDS
    out = Path(os.environ.get("OUT", "build/speed"))
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    tries = msgspec.toml.decode(file.read_bytes(), type=Tries)
    with ProcessPoolExecutor(max_workers=min(12, 2 * (os.cpu_count() or 1))) as pool:
        drawn = load.drawn(pool, int(os.environ.get("PHOTOS", str(CROWD + 200))))
        bench = Bench(tries, out, end, pool, drawn)
        waves(bench)
        predicted = {each.name: {"change": each.change, "predicted": each.predicted} for each in tries.tries}
        found = {name: predicted[name] | figures for name, figures in bench.results.items()}
        how = {name: os.environ.get(name, "") for name in ("ATTENTION", "TEMPERATURE")}
        finish("gpu.speed", {**how, "tries": found}, targets(bench.results))


if __name__ == "__main__":
    main()
