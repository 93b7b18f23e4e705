"""compose.yaml's services run as their image runs them, outside a container: command, settings, secrets, health."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import keys
from storage.backup import load, save
from storage.connection import Client, StoreDown, connect
from storage.stores import open_stores
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator
from tests.service import environment
from tests.storage.sentinels import binary, free_ports
from tests.test_compose import given, ours, services, words
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(120)  # a role imports much, and several start here


@dataclass
class Deployed:
    """The store of compose.yaml with the secrets of deploy/secrets.sh, and where they lie."""

    secrets: Path
    port: int

    def place(self, text: str) -> str:
        """A word of compose.yaml, with this machine's paths and ports."""
        return text.replace("/run/secrets", str(self.secrets)).replace("valkey:6379", f"127.0.0.1:{self.port}")


def make_secrets(folder: Path) -> None:
    """Run deploy/secrets.sh as if the checkout were `folder`."""
    (script := folder / "deploy" / "secrets.sh").parent.mkdir(exist_ok=True)
    script.write_bytes((ROOT / "deploy" / "secrets.sh").read_bytes())
    subprocess.run(["sh", script], check=True)


@pytest.fixture
async def deployed(tmp_path: Path) -> AsyncIterator[Deployed]:
    make_secrets(tmp_path)
    found = Deployed(tmp_path / "secrets", free_ports(1)[0])
    for name in ("telegram_token", "discord_token"):
        (found.secrets / name).write_text(name)
    (url := found.secrets / "redis_url").write_text(found.place(url.read_text()))
    program, *options = words(services()["valkey"]["command"])
    assert program == "valkey-server"
    (data := tmp_path / "store").mkdir()
    command = [str(data) if option == "/data" else found.place(option) for option in options]
    process = await asyncio.create_subprocess_exec(binary(), *command, "--port", str(found.port))
    try:
        yield found
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def store(deployed: Deployed) -> AsyncIterator[Client]:
    """A client with the rights that the services have."""
    client = connect((deployed.secrets / "redis_url").read_text())

    async def answers() -> bool:
        try:
            return bool(await client.ping())
        except StoreDown:
            return False

    await wait_until(answers, 20)
    yield client
    await client.aclose()


def environ(name: str, deployed: Deployed, folder: Path, **rest: str) -> dict[str, str]:
    """The whole environment of a service; its data folder is `folder`."""
    wanted = {each: deployed.place(given(str(value))) for each, value in services()[name]["environment"].items()}
    wanted |= {
        "ASKPIX_DATA_DIR": str(folder),
        "ASKPIX_METRICS_BIND": "127.0.0.1",
        **({"ASKPIX_BIND": "127.0.0.1"} if "ASKPIX_BIND" in wanted else {}),
    }
    bare = environment(folder, {})
    return {each: value for each, value in bare.items() if not each.startswith("ASKPIX_")} | wanted | rest


async def healthy(name: str, env: dict[str, str]) -> bool:
    """Whether the service's own health check passes."""
    kind, program, *arguments = services()[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "askpix")
    command = (sys.executable, "-P", "-m", "askpix", *arguments)
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=quiet, stderr=quiet)
    return await process.wait() == 0


def test_secrets_are_made_once_and_only_their_folder_is_closed(tmp_path: Path):
    make_secrets(tmp_path)
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert set(made) == {"grafana_password", "redis_url", "valkey_acl", "web_password"}
    assert all(len(re.findall(r"[0-9a-f]{48}", text)) == 1 for text in made.values())
    assert made["valkey_acl"].count(made["redis_url"].split(":")[2].split("@")[0]) == 1
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o644}
    make_secrets(tmp_path)
    assert {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()} == made


async def test_without_the_password_the_store_says_only_that_it_lives(deployed: Deployed, store: Client):
    stranger = connect(f"redis://127.0.0.1:{deployed.port}")
    assert await stranger.ping()
    for command in (("GET", "{askpix}:model"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("INFO",)):
        with pytest.raises(Exception, match="permission"):
            await stranger.execute_command(*command)
    await stranger.aclose()
    for command in (
        ("SET", "other", "1"),
        ("FLUSHALL",),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("CONFIG", "SET", "dir", "/"),
    ):
        with pytest.raises(Exception, match="permission"):
            await store.execute_command(*command)
    assert (await store.config_get("appendfsync"))["appendfsync"] == "always"


async def test_with_their_rights_everything_is_backed_up_and_restored(store: Client, tmp_path: Path):
    await store.set(keys.MODE, "paused")
    assert await save(store, tmp_path / "file") == 1
    await store.delete(keys.MODE)
    assert await load(store, tmp_path / "file") == 1
    assert await store.get(keys.MODE) == b"paused"


@pytest.mark.parametrize("name", sorted(ours()))
async def test_a_service_starts_is_healthy_and_stops(deployed: Deployed, store: Client, tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir(mode=0o700)
    async with StubEngine() as engine, TelegramEmulator() as telegram, DiscordEmulator() as discord:
        (deployed.secrets / "telegram_token").write_text(telegram.token)
        (deployed.secrets / "discord_token").write_text(discord.token)
        rest = {
            "telegram": {"ASKPIX_TELEGRAM_API_URL": telegram.url},
            "discord": {"ASKPIX_DISCORD_API_URL": discord.api_url, "ASKPIX_DISCORD_GATEWAY_URL": discord.gateway_url},
            "web": {"ASKPIX_WEB_PORT": str(free_ports(1)[0])},
            "worker": {"ASKPIX_ENGINE_URL": engine.url},
            "workers": {"ASKPIX_ENGINE_URL": f"{engine.url},{engine.url}"},
        }.get(name, {})
        env = environ(name, deployed, folder, **rest)
        program, *arguments = words(services()[name]["command"])
        assert program == "askpix"
        log = (tmp_path / f"{name}.log").open("wb")
        command = (sys.executable, "-P", "-m", "askpix", *arguments)
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log)
        try:
            assert not await healthy(name, env) or process.returncode is None
            await wait_until(lambda: healthy(name, env), 60)
            assert process.returncode is None, (tmp_path / f"{name}.log").read_text()
            if name in ("worker", "workers", "cpu"):
                await answers_an_ask(env["ASKPIX_REDIS_URL_FILE"])
        finally:
            process.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(process.wait(), 45)
            log.close()
    said = (tmp_path / f"{name}.log").read_text()
    assert status == 0, said
    assert "NOPERM" not in said and "Traceback" not in said
    assert not await healthy(name, env)


async def answers_an_ask(file: str) -> None:
    """Put a question in, and see it answered, with the rights of the services."""
    from tests.storage.asks import make_ask

    async with open_stores(Path(file).read_text()) as stores:
        await stores.replies.open_outbox("telegram")
        await stores.queue.enqueue(make_ask("1"))
        done: list[Any] = []

        async def answered() -> bool:
            done.extend(await stores.replies.finished("telegram", wait=0.1))
            return bool(done)

        await wait_until(answered, 30)
        await stores.replies.delivered("telegram", done[0])


def test_the_user_of_the_image_is_no_user_of_this_machine():
    assert os.getuid() != 10_001
