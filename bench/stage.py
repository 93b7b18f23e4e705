"""The whole service between emulated platforms, with a bad network in between: what chaos and the claims play on.

The roles are real processes under the real supervisor, on an embedded Valkey of their own. Each way out of a role leads
through a Proxy: to Telegram, to Discord, to the store, and to the engine, real or scripted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import structs

from bench.proxy import Proxy
from inference.embedded import read_address, write_private
from storage.connection import StoreDown
from storage.embedded import Store
from storage.messages import encode
from storage.roles import Role, Supervisor, environment
from storage.stores import Stores, open_stores
from storage.tasks import end
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator

WAYS = ("telegram", "discord", "engine", "store")  # that lead through a proxy
CHATS = ("telegram", "discord")
PATIENCE = 60.0  # seconds for all to be ready
READY = 3.0  # seconds from discord.py's session to its first look at what was missed; it waits two for its servers
MIRROR = 0.05  # seconds until the workers hear of another engine


class NotReady(Exception):
    """The service did not start; says which roles were missing."""


@dataclass
class Stage:
    """A running service: both platforms, the network, the store, the processes by role.

    front is the workers' data folder and the logs', back the real engine's. died: how often each role did.
    """

    telegram: TelegramEmulator
    discord: DiscordEmulator
    engine: StubEngine | None
    proxies: dict[str, Proxy]
    stores: Stores
    front: Path
    back: Path
    pids: dict[str, int] = field(default_factory=dict[str, int])
    ready: set[str] = field(default_factory=set[str])
    died: dict[str, int] = field(default_factory=dict[str, int])

    async def pid(self, role: str) -> int | None:
        """The process of a role, of the store's server ("valkey") or of the real engine's child ("llama")."""
        if role == "llama":
            address = read_address(self.back)
            return address.pid if address else None
        if role == "valkey":
            with suppress(*StoreDown):
                async with asyncio.timeout(1):
                    info: dict[str, Any] = await self.stores.redis.info("server")
                    return info["process_id"]
            return None
        return self.pids.get(role)

    async def signal(self, role: str, number: int = signal.SIGKILL) -> int | None:
        """Send a signal to a role's process; its id, None if it has none at the moment."""
        pid = await self.pid(role)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                return pid
        return None

    async def back_again(self, *roles: str) -> None:
        """Wait until these roles are ready."""
        await until(lambda: set(roles) <= self.ready, f"{roles} ready")

    async def restart(self, role: str) -> None:
        """Kill -9 a role, and wait until it is ready again."""
        former = await self.signal(role)
        await until(lambda: self.pids.get(role) not in (None, former) and role in self.ready, f"{role} back")

    def logs(self) -> str:
        """Everything that was logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.front.glob("logs/*")))

    def changed(self, role: str, state: str, details: Mapping[str, Any]) -> None:
        """What the supervisor says of its roles."""
        if state == "starting":
            self.pids[role] = details["pid"]
        elif state == "ready":
            self.ready.add(role)
        elif state in ("died", "stopped"):
            self.pids.pop(role, None)
            self.ready.discard(role)
            self.died[role] = self.died.get(role, 0) + (state == "died")


async def until(predicate: Callable[[], object], what: str, seconds: float = PATIENCE, *, every: float = 0.02) -> None:
    """Look every 20 ms until it is so; raises TimeoutError, which names what was waited for."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(every)


@asynccontextmanager
async def open_stage(
    *, engine: StubEngine | None = None, chats: Sequence[str] = CHATS, workers: int = 1, seed: int = 0,
    rates: bool = False, twins: bool = False, **settings: str,
) -> AsyncGenerator[Stage]:  # fmt: skip
    """Everything runs and is ready, everybody may ask; it all ends and goes afterwards.

    Without a scripted engine the real embedded one runs. Settings are ASKPIX_… without the prefix; rates: the
    platforms hold theirs; twins: every worker has a data folder of its own, and so all have the same name.
    """
    with tempfile.TemporaryDirectory(prefix="askpix-") as folder:
        front, back = Path(folder) / "front", Path(folder) / "back"
        async with (
            Store(back) as url, open_stores(url) as stores, TelegramEmulator(enforce_rates=rates) as telegram,
            DiscordEmulator(enforce_rates=rates) as discord,
            _network(telegram, discord, engine, back, url, seed) as proxies,
        ):  # fmt: skip
            stage = Stage(telegram, discord, engine, proxies, stores, front, back)
            wanted = _wanted(stage, url, chats, settings) + _workers(stage, workers, settings, twins=twins)
            supervisor = asyncio.create_task(Supervisor(wanted, front, stores.redis, stage.changed).run())
            mirror = asyncio.create_task(_mirror(stage))
            try:
                await until(lambda: len(stage.ready) == len(wanted), "all roles", PATIENCE)
                if "discord" in chats:
                    await discord.until(lambda: discord.commands() and discord.gateway.live(), PATIENCE)
                    await asyncio.sleep(READY)
                yield stage
            finally:
                await end([supervisor, mirror])


@asynccontextmanager
async def _network(
    telegram: TelegramEmulator, discord: DiscordEmulator, engine: StubEngine | None, back: Path, url: str, seed: int
) -> AsyncGenerator[dict[str, Proxy]]:
    """The four proxies. Discord's own addresses, which it tells its bot, lead through one too."""

    def engine_port() -> int | None:
        found = None if engine else read_address(back)
        return engine.port if engine else found and urlsplit(found.url).port

    socket = unquote(urlsplit(url).path)
    ends: dict[str, Callable[[], str | int | None]] = {
        "telegram": lambda: telegram.port, "discord": lambda: discord.port, "engine": engine_port,
        "store": lambda: socket,
    }  # fmt: skip
    made = {name: Proxy(ends[name], seed + number) for number, name in enumerate(WAYS)}
    async with made["telegram"], made["discord"], made["engine"], made["store"]:
        port = made["discord"].port
        discord.gateway.url = f"ws://127.0.0.1:{port}/resume/"
        discord.rest.gateway_url = f"ws://127.0.0.1:{port}/gateway/"
        discord.world.cdn_url = f"http://127.0.0.1:{port}"
        yield made


def _wanted(stage: Stage, url: str, chats: Sequence[str], settings: Mapping[str, str]) -> list[Role]:
    discord = stage.proxies["discord"]
    platforms = {
        "telegram": {"TELEGRAM_TOKEN": stage.telegram.token, "TELEGRAM_API_URL": stage.proxies["telegram"].url},
        "discord": {
            "DISCORD_TOKEN": stage.discord.token, "DISCORD_API_URL": discord.url,
            "DISCORD_GATEWAY_URL": f"ws://127.0.0.1:{discord.port}/gateway/",
        },
    }  # fmt: skip
    wanted = [_role(stage, name, name, {"OPEN": "1", **platforms[name], **settings}) for name in chats]
    if not stage.engine:
        wanted.append(_role(stage, "engine", "engine", {"DATA_DIR": str(stage.back), "REDIS_URL": url}))
    return wanted


def _workers(stage: Stage, count: int, settings: Mapping[str, str], *, twins: bool) -> list[Role]:
    engine = {"ENGINE_URL": stage.proxies["engine"].url} if stage.engine else {}
    own = [{"DATA_DIR": f"{stage.front}-{number}"} if twins else {} for number in range(count)]
    return [
        _role(stage, f"worker{number + 1 if number else ''}", "worker", {**engine, **own[number], **settings})
        for number in range(count)
    ]


def _role(stage: Stage, name: str, command: str, own: Mapping[str, str]) -> Role:
    common = {"DATA_DIR": str(stage.front), "REDIS_URL": f"redis://127.0.0.1:{stage.proxies['store'].port}"}
    env = environment(os.environ, frozenset()) | {f"ASKPIX_{key}": value for key, value in {**common, **own}.items()}
    return Role(name, [sys.executable, "-P", "-m", "askpix", command], env)


async def _mirror(stage: Stage) -> None:
    """Tell the workers of the real engine under the proxy's address, as long as it is there."""
    told = None
    while True:
        found = read_address(stage.back)
        if found and found != told:
            write_private(stage.front / "engine.json", encode(structs.replace(found, url=stage.proxies["engine"].url)))
        elif told and not found:
            (stage.front / "engine.json").unlink(missing_ok=True)
        told = found
        await asyncio.sleep(MIRROR)
