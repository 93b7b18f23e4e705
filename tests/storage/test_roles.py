from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from storage import keys
from storage.embedded import LOG_LIMIT
from storage.heartbeat import roles
from storage.roles import Role, State, Supervisor, environment, instance
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def shell(name: str, script: str, env: Mapping[str, str] = os.environ) -> Role:
    return Role(name, ("/bin/sh", "-c", script), env)


def beating(url: str, note: Path, *manner: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.storage.role", url, str(note), *manner)


def words(note: Path) -> list[str]:
    return note.read_text().split("\n") if note.exists() else []


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits for somebody to take note of its end does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return Path("/proc/self").exists() is False


class Changes(list[tuple[str, State, Mapping[str, Any]]]):
    """What a supervisor says, in order."""

    def __call__(self, role: str, state: State, detail: Mapping[str, Any]) -> None:
        self.append((role, state, detail))

    def of(self, state: State) -> list[Mapping[str, Any]]:
        return [detail for _, known, detail in self if known == state]


@asynccontextmanager
async def supervised(
    redis: Redis, data_dir: Path, *wanted: Role, grace: float = 5
) -> AsyncGenerator[tuple[Changes, asyncio.Task[None]]]:
    changes = Changes()
    task = asyncio.create_task(Supervisor(wanted, data_dir, redis, changes, grace).run())
    try:
        yield changes, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_role_that_keeps_dying_is_restarted_ever_more_slowly(redis: Redis, tmp_path: Path) -> None:
    async with supervised(redis, tmp_path, shell("bad", "echo again; exit 3")) as (changes, _):
        await wait_until(lambda: len(changes.of("starting")) == 4)
    assert [detail["seconds"] for detail in changes.of("restarting")][:3] == [0.2, 0.4, 0.8]
    assert changes.of("died")[:3] == [{"code": 3}] * 3
    assert (tmp_path / "logs" / "bad.log").read_text().startswith("again\n" * 3)


async def test_a_program_that_is_missing_is_said_and_tried_again(redis: Redis, tmp_path: Path) -> None:
    async with supervised(redis, tmp_path, Role("gone", ("/no/such/program",), {})) as (changes, _):
        await wait_until(lambda: len(changes.of("died")) == 2)
    assert changes.of("died")[0] == {"reason": "No such file or directory"}


async def test_one_dying_role_leaves_the_others_alone(redis: Redis, tmp_path: Path) -> None:
    async with supervised(redis, tmp_path, shell("bad", "exit 1"), shell("good", "exec sleep 60")) as (changes, _):
        await wait_until(lambda: len(changes.of("died")) == 2)
        assert [role for role, state, _ in changes if state == "starting"].count("good") == 1
    assert [role for role, state, _ in changes if state == "stopped"] == ["bad", "good"]


async def test_a_role_is_ready_when_its_heart_beats_and_again_after_a_kill(
    redis: Redis, server_url: str, tmp_path: Path
) -> None:
    role = Role("worker", beating(server_url, tmp_path / "worker"), ENV)
    async with supervised(redis, tmp_path, role) as (changes, _):
        await wait_until(lambda: len(changes.of("ready")) == 1, 20)
        first = changes.of("ready")[0]["pid"]
        os.kill(first, signal.SIGKILL)
        await wait_until(lambda: len(changes.of("ready")) == 2, 20)
        assert changes.of("died") == [{"code": -signal.SIGKILL}]
        assert changes.of("ready")[1]["pid"] != first
        assert [record.pid for record in await roles(redis)] == [changes.of("ready")[1]["pid"]]
    assert [state for _, state, _ in changes] == [
        *("starting", "ready", "died", "restarting"),
        *("starting", "ready", "stopped"),
    ]
    assert words(tmp_path / "worker")[-2:] == ["drained", ""]
    assert await roles(redis) == []


async def test_a_role_that_will_not_stop_is_killed_with_its_children(redis: Redis, tmp_path: Path) -> None:
    stubborn = shell("stubborn", f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; wait; sleep 60")
    async with supervised(redis, tmp_path, stubborn, grace=0.2) as (changes, task):
        await wait_until((tmp_path / "child").exists)
        await wait_until(lambda: (tmp_path / "child").read_text().endswith("\n"))
        task.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([task])
    child = int((tmp_path / "child").read_text())
    await wait_until(lambda: not lives(child))
    assert not lives(changes.of("starting")[0]["pid"])


async def test_a_second_cancellation_kills_at_once(redis: Redis, tmp_path: Path) -> None:
    stubborn = shell("stubborn", f"trap '' TERM; touch {tmp_path}/up; sleep 60")
    async with supervised(redis, tmp_path, stubborn, grace=60) as (changes, task):
        await wait_until((tmp_path / "up").exists)
        task.cancel()
        assert await asyncio.wait([task], timeout=0.1) == (set(), {task})
        task.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([task])
    assert not lives(changes.of("starting")[0]["pid"])


async def test_what_a_dead_role_leaves_behind_is_ended_before_its_restart(redis: Redis, tmp_path: Path) -> None:
    orphaning = shell("orphaning", f"sleep 60 & echo $! >> {tmp_path}/children; exit 1")
    async with supervised(redis, tmp_path, orphaning) as (changes, _):
        await wait_until(lambda: len(changes.of("died")) == 2)
        children = [int(line) for line in words(tmp_path / "children") if line]
        await wait_until(lambda: not any(lives(child) for child in children))


def test_a_role_sees_only_its_own_settings() -> None:
    base = {
        "PATH": "/bin",
        "ASKPIX_TELEGRAM_TOKEN": "1:a",
        "ASKPIX_TELEGRAM_TOKEN_FILE": "/run/token",
        "ASKPIX_ENGINE_KEY_FILE": "/run/key",
        "ASKPIX_REDIS_URL": "redis://h",
        "ASKPIX_SUPERVISOR_FD": "9",
    }
    assert environment(base, frozenset({"ASKPIX_ENGINE_KEY", "ASKPIX_REDIS_URL"})) == {
        "PATH": "/bin",
        "ASKPIX_ENGINE_KEY_FILE": "/run/key",
        "ASKPIX_REDIS_URL": "redis://h",
    }


async def test_a_child_gets_nothing_but_its_own_environment(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKPIX_DISCORD_TOKEN", "secret")
    role = shell("role", "env; exec sleep 60", environment(os.environ, frozenset({"ASKPIX_DATA_DIR"})))
    output = tmp_path / "logs" / "role.log"
    async with supervised(redis, tmp_path, role):
        await wait_until(lambda: output.exists() and "PATH=" in output.read_text())
    assert [line.partition("=")[0] for line in words(output) if line.startswith("ASKPIX_")] == ["ASKPIX_SUPERVISOR_FD"]


async def test_a_log_that_grew_too_long_is_put_aside_at_a_start(redis: Redis, tmp_path: Path) -> None:
    output = tmp_path / "logs" / "role.log"
    output.parent.mkdir()
    output.write_bytes(b"x" * (LOG_LIMIT + 1))
    async with supervised(redis, tmp_path, shell("role", "echo fresh >&2; exec sleep 60")):
        await wait_until(lambda: output.exists() and output.read_text() == "fresh\n")
    assert output.with_name("role.log.1").stat().st_size == LOG_LIMIT + 1


async def supervisor_to_kill(tmp_path: Path, url: str, *manner: str) -> tuple[Process, int]:
    """A supervisor process, and the pid of its one role, which runs."""
    note = tmp_path / "note"
    command = (sys.executable, "-m", "tests.storage.supervised", str(tmp_path), url, *beating(url, note, *manner))
    process = await asyncio.create_subprocess_exec(*command, env=ENV)
    await wait_until(lambda: len(words(note)) == 2, 20)
    return process, int(words(note)[0])


async def test_roles_drain_when_their_supervisor_is_killed(redis: Redis, server_url: str, tmp_path: Path) -> None:
    supervisor, role = await supervisor_to_kill(tmp_path, server_url)
    supervisor.kill()
    await supervisor.wait()
    await wait_until(lambda: not lives(role))
    assert words(tmp_path / "note")[1:] == ["asked to stop", "drained", ""]


async def test_a_role_that_does_not_drain_dies_after_its_supervisor_all_the_same(
    redis: Redis, server_url: str, tmp_path: Path
) -> None:
    supervisor, role = await supervisor_to_kill(tmp_path, server_url, "stubborn")
    supervisor.kill()
    await supervisor.wait()
    await wait_until(lambda: not lives(role))
    assert words(tmp_path / "note")[1:] == ["asked to stop", ""]


async def test_under_a_supervisor_only_the_first_signal_counts(redis: Redis, server_url: str, tmp_path: Path) -> None:
    role = Role("worker", beating(server_url, tmp_path / "worker", "stubborn"), ENV)

    async def beats() -> bool:
        return bool(await redis.exists(keys.role("host:worker:1")))

    async with supervised(redis, tmp_path, role, grace=0.2) as (changes, _):
        await wait_until(lambda: len(changes.of("ready")) == 1, 20)
        for _again in range(2):
            os.kill(changes.of("ready")[0]["pid"], signal.SIGTERM)
            await wait_until(lambda: "asked to stop" in words(tmp_path / "worker"))
        await redis.delete(keys.role("host:worker:1"))
        await wait_until(beats)
        assert changes.of("died") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_alone_the_first_signal_drains_and_the_second_ends(
    redis: Redis, server_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    note = tmp_path / "worker"
    process = await asyncio.create_subprocess_exec(*beating(server_url, note, "stubborn"), env=ENV)
    await wait_until(lambda: len(words(note)) == 2, 20)
    process.send_signal(number)
    await wait_until(lambda: "asked to stop" in words(note))
    process.send_signal(number)
    assert await process.wait() == 128 + number


async def test_alone_one_signal_is_enough(redis: Redis, server_url: str, tmp_path: Path) -> None:
    note = tmp_path / "worker"
    process = await asyncio.create_subprocess_exec(*beating(server_url, note), env=ENV)
    await wait_until(lambda: len(words(note)) == 2, 20)
    process.terminate()
    assert await process.wait() == 0
    assert words(note)[1:] == ["asked to stop", "drained", ""]


def test_equals_get_the_lowest_free_name_and_a_restarted_one_its_own_again(tmp_path: Path) -> None:
    with instance(tmp_path, "worker") as first, instance(tmp_path, "web") as web:
        with instance(tmp_path, "worker") as second:
            assert [name.split(":")[1:] for name in (first, second, web)] == [
                ["worker", "1"],
                ["worker", "2"],
                ["web", "1"],
            ]
        with instance(tmp_path, "worker") as again:
            assert again == second


async def test_a_killed_process_gives_its_name_back(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from storage.roles import instance\n"
        "with instance(Path(sys.argv[1]), 'worker') as name: print(name, flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path)),
        env=ENV,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    name = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()
    with instance(tmp_path, "worker") as again:
        assert again == name
