"""The whole service as a person starts it: `askpix up` as a process, with its roles, store and engine."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.embedded import read_address
from storage.connection import Client, StoreDown, connect
from storage.embedded import Store
from storage.heartbeat import roles
from tests.waiting import wait_until


@dataclass
class Service:
    """A running `askpix up`: what it printed, and its processes."""

    data_dir: Path
    process: asyncio.subprocess.Process
    redis: Client
    lines: list[str] = field(default_factory=list[str])

    async def pid(self, role: str) -> int | None:
        """The process of a role, of the store's server ("valkey") or of the engine's child ("llama")."""
        if role == "llama":
            address = read_address(self.data_dir)
            return address.pid if address else None
        try:
            if role == "valkey":
                info: dict[str, Any] = await self.redis.info("server")
                return info["process_id"]
            return next((record.pid for record in await roles(self.redis) if record.role == role), None)
        except StoreDown:
            return None

    async def kill(self, role: str) -> None:
        """Kill -9 one process, and wait until another has taken its place."""
        old = await self.pid(role)
        assert old, f"{role} does not run"
        os.kill(old, signal.SIGKILL)

        async def replaced() -> bool:
            return await self.pid(role) not in (None, old)

        await wait_until(replaced, 20)

    async def said(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Wait until a printed line matches."""
        await wait_until(lambda: any(re.search(pattern, line) for line in self.lines), seconds)
        return next(found for line in self.lines if (found := re.search(pattern, line)))

    def logs(self) -> str:
        """Everything that was logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted((self.data_dir / "logs").iterdir()))


def environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """A person's environment with these settings, English, and no page but for those who ask for it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASKPIX_")}
    named = {f"ASKPIX_{name}": value for name, value in settings.items()}
    ours = {"ASKPIX_DATA_DIR": str(data_dir), "ASKPIX_WEB": "0", "ASKPIX_METRICS_PORT": "0"}
    return inherited | {"LC_ALL": "C.UTF-8"} | ours | named


@asynccontextmanager
async def askpix_up(data_dir: Path, **settings: str) -> AsyncGenerator[Service]:
    """Run `askpix up` until it says that it is ready; at the end stop it as Ctrl-C does."""
    async with Store(data_dir) as url:
        redis = connect(url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "askpix", "up", env=environment(data_dir, settings),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        service = Service(data_dir, process, redis)
        reading = asyncio.create_task(_read(service))
        try:
            await service.said("is ready")
            yield service
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), 40)
            await reading
            await redis.aclose()


async def _read(service: Service) -> None:
    assert service.process.stdout
    async for line in service.process.stdout:
        service.lines.append(line.decode().rstrip())
