"""The queue beside arq, taskiq-redis and saq, each with its own worker and all on one kind of server: part of
`make bench-queue`. `python -m bench.peers [KIND…]` measures them alone.

For each: latency (enqueue → the job's first line, the worker waits), jobs a second (2,000 jobs of nothing), and what
two deaths cost: of a worker with 16 jobs of 2 s in hand (another takes its place at once), and of the server in
mid-run. A kind that does no job at all is an error of this bench, and ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report import say, spread, stoppable
from storage.connection import connect
from storage.embedded import Store

ROOT = Path(__file__).parent.parent
KINDS = ("askpix", "arq", "taskiq", "saq")
ENVIRONMENTS = {"arq": ".venv-bench", "taskiq": ".venv-bench-taskiq", "saq": ".venv-bench"}
TRICKLE, LATER = 5.0, 1_000_000  # seconds between jobs that come after a worker's death, and their first number
PROBES, MANY, IN_HAND, LASTING = 300, 2000, 16, 2.0
RUN, EACH = 600, 0.2  # jobs of the run in which the server dies; seconds of each
PATIENCE = 15.0  # seconds after which a worker counts as dead, where that can be set: as long as our lease
LONGEST = 100.0  # seconds that any of it is waited for
STILL = 20.0  # seconds without a line after which nothing more is expected of a server's death
Notes = dict[str, dict[int, list[float]]]


@dataclass
class Bench:
    """One kind on a server and in a folder of its own."""

    kind: str
    folder: Path
    url: str
    patience: float
    workers: list[asyncio.subprocess.Process] = field(default_factory=list[asyncio.subprocess.Process])

    async def start(self, what: str, *more: object) -> asyncio.subprocess.Process:
        """A worker or a producer."""
        ours = self.kind == "askpix"
        python = sys.executable if ours else str(ROOT / ENVIRONMENTS[self.kind] / "bin/python")
        where = {"PYTHONPATH": str(ROOT)} if ours else {}
        log = (self.folder / "log").open("ab")
        with log:
            return await asyncio.create_subprocess_exec(
                python, "-P", str(ROOT / "bench/peer.py"), what, self.kind, self.url, str(self.folder / "notes"),
                str(self.patience), *map(str, more), env={**os.environ, **where}, stdout=log, stderr=log,
            )  # fmt: skip

    async def work(self) -> None:
        """Start a worker; returns when it has begun to work."""
        before = len(self.notes()["ready"].get(0, []))
        self.workers.append(await self.start("work"))
        await self.until(lambda notes: len(notes["ready"].get(0, [])) > before)
        await asyncio.sleep(0.5)

    async def put(self, count: int, seconds: float, pause: float = 0.0, first: int = 0) -> None:
        """Enqueue jobs."""
        await asyncio.wait_for((await self.start("put", count, seconds, pause, first)).wait(), LONGEST)

    def notes(self) -> Notes:
        """The times of every note, by what it says and which job it is of."""
        found: Notes = {name: {} for name in ("put", "taken", "began", "done", "ready")}
        file = self.folder / "notes"
        for line in file.read_text().splitlines() if file.exists() else ():
            what, number, at = line.split()
            found[what].setdefault(int(number), []).append(float(at))
        return found

    async def until(self, predicate: Callable[[Notes], bool], seconds: float = LONGEST, still: float = LONGEST) -> bool:
        """Wait until the notes say so; False when they do not, or do not change any more."""
        begun = changed = time.monotonic()
        size = -1
        while time.monotonic() < begun + seconds and time.monotonic() < changed + still:
            if predicate(self.notes()):
                return True
            if (now := (self.folder / "notes").stat().st_size if (self.folder / "notes").exists() else 0) != size:
                size, changed = now, time.monotonic()
            await asyncio.sleep(0.05)
        return False

    def forget(self) -> None:
        """Begin a fresh page."""
        (self.folder / "notes").unlink(missing_ok=True)

    async def end(self) -> None:
        """Kill the workers."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
        self.workers.clear()


@asynccontextmanager
async def opened(kind: str, patience: float) -> AsyncGenerator[Bench]:
    """A bench; what it started ends."""
    with tempfile.TemporaryDirectory(prefix="askpix-peers-") as folder:
        async with Store(Path(folder)) as url:
            bench = Bench(kind, Path(folder), url, patience)
            try:
                yield bench
            finally:
                await bench.end()


async def speed(kind: str) -> dict[str, Any]:
    """Latency and throughput."""
    async with opened(kind, 0) as bench:
        await bench.work()
        await bench.put(PROBES, 0.0, 0.02)
        if not await bench.until(lambda notes: len(notes["done"]) == PROBES, 60):
            raise RuntimeError(f"{kind} does not work: {(bench.folder / 'log').read_text()[-2000:]}")
        notes = bench.notes()
        waits = [notes["began"][number][0] - notes["put"][number][0] for number in notes["began"]]
        await bench.end()
    async with opened(kind, 0) as bench:
        await bench.put(MANY, 0.0)
        notes = bench.notes()
        times = [at for each in (*notes["put"].values(), *notes["taken"].values()) for at in each]
        await bench.work()
        await bench.until(lambda notes: len(notes["done"]) == MANY)
        done = [at for each in bench.notes()["done"].values() for at in each]
        rate = len(done) / (max(done) - min(done)) if len(done) > 1 else 0.0
    return {
        "enqueue_to_begin": spread(waits), "enqueued_per_s": round(MANY / (max(times) - min(times))),
        "done_per_s": round(rate), "done": len(done),
    }  # fmt: skip


def cost(notes: Notes, count: int, killed: float) -> dict[str, Any]:
    """What a death cost: jobs that never ended, that began or ended more than once, and the last end after it."""
    began, done = notes["began"], notes["done"]
    ends = [at for each in done.values() for at in each]
    return {
        "lost": count - len(done), "run_twice": sum(len(each) > 1 for each in began.values()),
        "done_twice": sum(len(each) > 1 for each in done.values()),
        "last_done_after_s": round(max(ends) - killed, 1) if ends else None,
    }  # fmt: skip


async def worker_dies(kind: str, patience: float) -> dict[str, Any]:
    """A worker is killed with all jobs in hand, and another takes its place; now and then another job comes."""
    async with opened(kind, patience) as bench:
        await bench.work()
        await bench.put(IN_HAND, LASTING)
        await bench.until(lambda notes: len(notes["began"]) == IN_HAND, 20)
        await asyncio.sleep(LASTING / 4)
        killed = time.perf_counter()
        await bench.end()
        await bench.work()
        after = LONGEST if patience else LONGEST / 2
        trickle = await bench.start("put", int(after / TRICKLE), 0.0, TRICKLE, LATER)
        await bench.until(lambda notes: sum(number < LATER for number in notes["done"]) == IN_HAND, after)
        trickle.kill()
        await trickle.wait()
        notes = bench.notes()
        ours = {what: {number: at for number, at in each.items() if number < LATER} for what, each in notes.items()}
        return cost(ours, IN_HAND, killed)


async def server_dies(kind: str) -> dict[str, Any]:
    """The server is killed in mid-run and is back within a second; a worker that dies of it is started again."""
    async with opened(kind, PATIENCE) as bench:
        await bench.put(RUN, EACH)
        await bench.work()
        restarts = 0

        async def keep() -> None:
            nonlocal restarts
            while True:
                await bench.workers[-1].wait()
                restarts += 1
                await asyncio.sleep(0.2)
                await bench.work()

        keeping = asyncio.create_task(keep())
        await bench.until(lambda notes: len(notes["done"]) > RUN // 4, 30)
        redis = connect(bench.url)
        pid: int = (await redis.info("server"))["process_id"]
        await redis.aclose()
        os.kill(pid, signal.SIGKILL)
        killed = time.perf_counter()
        await bench.until(lambda notes: len(notes["done"]) == RUN, LONGEST, 2 * STILL)
        keeping.cancel()
        await asyncio.wait([keeping])
        return cost(bench.notes(), RUN, killed) | {"worker_restarts": restarts}


async def measure(kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """All of it, kind by kind."""
    found: dict[str, Any] = {}
    for kind in kinds:
        found[kind] = {
            **await speed(kind),
            "worker_killed": await worker_dies(kind, PATIENCE),
            "worker_killed_by_default": await worker_dies(kind, 0),
            "server_killed": await server_dies(kind),
        }
        say(f"{kind}: {json.dumps(found[kind])}")
    return found


if __name__ == "__main__":
    stoppable()
    print(json.dumps(asyncio.run(measure(sys.argv[1:] or KINDS))))
