"""Roles as processes: the supervisor that keeps them running, and what a role's own main needs to live under it."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redis.asyncio import Redis

from storage.connection import forever
from storage.embedded import open_lock, open_log, try_lock
from storage.heartbeat import roles

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # asked to end, Ctrl-C, the terminal was closed
PARENT = "ASKPIX_SUPERVISOR_FD"
FIRST_DELAY, LAST_DELAY = 0.2, 10.0  # seconds before a dead role's restart, doubling
STEADY = 30.0  # seconds of life after which a death counts as the first again
GRACE = 30.0  # seconds to drain after SIGTERM, more than the worker's own 25; what is cut off goes back to the queue

State = Literal["starting", "ready", "died", "restarting", "stopped"]
# Details by state: starting {pid}, ready {pid}, died {code} (negative: a signal) or {reason}, restarting {seconds}.
OnChange = Callable[[str, State, Mapping[str, str | int | float]], None]


@dataclass(frozen=True, slots=True)
class Role:
    """One process to keep running: its name, its command line and its whole environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


def environment(base: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
    """What a role may see of `base`: everything but the ASKPIX_ variables (and their _FILE forms) not in `allowed`."""
    return {
        name: value
        for name, value in base.items()
        if not name.startswith("ASKPIX_") or name in allowed or name.removesuffix("_FILE") in allowed
    }


class Supervisor:
    """Starts roles, says what becomes of them, restarts the ones that die, and stops them all when it is cancelled.

    A role is ready when its heartbeat is in the store. Its output goes to `data_dir/logs/<role>.log`. It leads a
    session of its own, with all its children, and holds a pipe that ends when the supervisor does.
    """

    def __init__(
        self, wanted: Sequence[Role], data_dir: Path, redis: Redis, on_change: OnChange, grace: float = GRACE
    ) -> None:
        self._roles = wanted
        self._logs = data_dir / "logs"
        self._redis = redis
        self._on_change = on_change
        self._grace = grace
        self._starting: dict[int, str] = {}

    async def run(self) -> None:
        """Keep the roles running until cancelled; a second cancellation kills what has not stopped yet."""
        child_end, our_end = os.pipe()
        tasks = [asyncio.create_task(self._keep(role, child_end)) for role in self._roles]
        tasks.append(asyncio.create_task(forever(self._watch_readiness)))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()  # none ends but by an error of ours
        finally:
            for task in reversed(tasks):
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                os.close(our_end)
                os.close(child_end)

    async def _keep(self, role: Role, pipe: int) -> None:
        delay = FIRST_DELAY
        try:
            while True:
                born = time.monotonic()
                self._on_change(role.name, "died", await self._live(role, pipe))
                if time.monotonic() - born > STEADY:
                    delay = FIRST_DELAY
                self._on_change(role.name, "restarting", {"seconds": delay})
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY)
        finally:
            self._on_change(role.name, "stopped", {})

    async def _live(self, role: Role, pipe: int) -> Mapping[str, str | int]:
        """One life of a role, and what it died of."""
        try:
            with open_log(self._logs / f"{role.name}.log") as output:
                process = await asyncio.create_subprocess_exec(
                    *role.argv, env={**role.env, PARENT: str(pipe)}, pass_fds=(pipe,), start_new_session=True,
                    stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                )  # fmt: skip
        except OSError as error:
            return {"reason": error.strerror or ""}
        self._starting[process.pid] = role.name
        self._on_change(role.name, "starting", {"pid": process.pid})
        try:
            return {"code": await process.wait()}
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=self._grace)
            raise
        finally:
            self._starting.pop(process.pid, None)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children too, whether it has died or would not stop
            await process.wait()

    async def _watch_readiness(self) -> None:
        here = socket.gethostname()
        while True:
            await asyncio.sleep(0.1)
            if not self._starting:
                continue
            alive = {record.pid for record in await roles(self._redis) if record.host == here}
            for pid in alive & self._starting.keys():
                self._on_change(self._starting.pop(pid), "ready", {"pid": pid})


@contextmanager
def instance(data_dir: Path, role: str) -> Generator[str]:
    """A name for this process among its equals, `host:role:N` with the lowest free N, held while entered.

    A restarted process gets its former name again, and with it finds what its former life held.
    Raises StoreUnavailable.
    """
    for number in itertools.count(1):
        with open_lock(data_dir, f"{role}-{number}") as lock:
            if try_lock(lock, fcntl.LOCK_EX):
                yield f"{socket.gethostname()}:{role}:{number}"
                return


async def run_until_signal(main: Callable[[asyncio.Event], Awaitable[None]], grace: float = GRACE) -> None:
    """Run `main` with an event that one of SIGNALS or the supervisor's end sets; `main` then drains and returns.

    A second signal cancels `main` (raising SystemExit), a third kills. Under a supervisor only the first counts: a
    service manager that stops everybody at once must not cut off a role that the supervisor also stops.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    supervised = watch_parent(stop.set, grace)
    task = asyncio.ensure_future(main(stop))
    numbers: list[int] = []

    def on_signal(number: int) -> None:
        numbers.append(number)
        stop.set()
        if len(numbers) > 1 and not supervised:
            task.cancel()
            for known in SIGNALS:
                loop.remove_signal_handler(known)
                signal.signal(known, signal.SIG_DFL)

    for known in SIGNALS:
        loop.add_signal_handler(known, on_signal, known)
    try:
        await task
    except asyncio.CancelledError:
        if len(numbers) > 1:
            raise SystemExit(128 + numbers[-1]) from None
        raise
    finally:
        for known in SIGNALS:
            loop.remove_signal_handler(known)


def watch_parent(gone: Callable[[], None], grace: float = GRACE) -> bool:
    """Call `gone` in the running loop when the supervisor has ended, and kill this process and its children `grace`
    seconds later; says whether there is a supervisor at all. The supervisor's own variable is taken out of the
    environment, since it means nothing to our children.
    """
    number = os.environ.pop(PARENT, None)
    if number is None:
        return False
    loop = asyncio.get_running_loop()

    def wait() -> None:
        os.read(int(number), 1)  # nobody ever writes: this is the end of the pipe, and of the supervisor
        with suppress(RuntimeError):  # the loop is closed: this process ends anyway
            loop.call_soon_threadsafe(gone)
        time.sleep(grace)
        os.killpg(0, signal.SIGKILL)

    # A thread, since a role whose loop hangs is the one that must not outlive its supervisor.
    threading.Thread(target=wait, name="supervisor", daemon=True).start()
    return True
