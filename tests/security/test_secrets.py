"""Where secrets could be seen: process lists, environments, logs, files of others. The whole service runs."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from tests.browser import free_port
from tests.canary import canary
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator
from tests.service import askpix_up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KEY, PASSWORD = "engine-key-5e7b", "page-word-91ac"


def descendants(pid: int) -> list[int]:
    """A process and all that it started, by what the kernel says of their parents."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def said(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b"\n").decode(errors="replace")
    except OSError:
        return ""


def reachable(root: Path) -> list[str]:
    """What other users of this machine can open below a folder, as far as they get."""
    found: list[str] = []
    for path in root.iterdir():
        mode = path.lstat().st_mode
        if path.is_dir():
            found += reachable(path) if mode & stat.S_IXOTH else []
        elif mode & (stat.S_IROTH | stat.S_IWOTH):
            found.append(path.relative_to(root.parents[0]).as_posix())
    return found


async def test_each_secret_is_known_to_its_role_alone_and_shown_to_nobody(tmp_path: Path) -> None:
    async with (
        TelegramEmulator() as telegram,
        DiscordEmulator() as discord,
        StubEngine(lambda _: ["seen"]) as engine,
        askpix_up(
            tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, DISCORD_TOKEN=discord.token,
            DISCORD_API_URL=discord.url, DISCORD_GATEWAY_URL=discord.gateway_url, ENGINE_URL=engine.url, ENGINE_KEY=KEY,
            WEB="1", WEB_PASSWORD=PASSWORD, WEB_PORT=str(free_port()), OPEN="1",
        ) as askpix,
    ):  # fmt: skip
        user = telegram.user(1001)
        await user.send_photo(user.private, canary(3), "what?")
        await user.private.wait_for(lambda texts: texts == ["seen"])
        secrets = {"telegram": telegram.token, "discord": discord.token, "worker": KEY, "web": PASSWORD}
        pids = descendants(askpix.process.pid)
        lists = {pid: said(pid, "cmdline") for pid in pids}
        assert sum("bots.confined" in line for line in lists.values()) == 1
        for pid in pids:
            known = {role for role, secret in secrets.items() if secret in said(pid, "environ")}
            role = lists[pid].split("\n-m\naskpix\n")[-1].strip()
            assert known == (set(secrets) if role == "up" else {role} & set(secrets)), lists[pid]
            assert not any(secret in lists[pid] for secret in secrets.values())
        assert reachable(tmp_path) == []
        assert not any(secret in askpix.logs() + "".join(askpix.lines) for secret in secrets.values())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"what?" in kept
    assert not any(secret.encode() in kept for secret in secrets.values())
