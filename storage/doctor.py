"""What is wrong, as far as the store, the disk and the files can say; bots/doctor.py and inference/doctor.py go on."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
from redis.exceptions import RedisError

from storage.connection import Client, StoreDown
from storage.embedded import OLDEST
from storage.heartbeat import roles
from storage.settings import CannotRun, StorageSettings
from storage.stores import opened

ROOM = 2.0  # GB that photos, logs and the store's rewriting of itself want
FULL = 0.9  # of the server's maxmemory: it takes no more questions soon


class Finding(msgspec.Struct, frozen=True):
    """What one look found: ok, not ok, or None, which is worth saying and no trouble. `code` names the sentence."""

    what: str
    ok: bool | None
    code: str
    details: dict[str, str | int | float] = {}


async def examine(settings: StorageSettings, environ: Mapping[str, str]) -> list[Finding]:
    """Look at the data folder, its disk, the files of secrets, and the store."""
    return [*_folder(settings.data_dir), *_secrets(environ), *await _store(settings)]


async def alive(settings: StorageSettings, role: str) -> Finding:
    """Whether a process of this role lives on this host."""
    try:
        async with opened(settings) as stores:
            here = any(found.role == role and found.host == socket.gethostname() for found in await roles(stores.redis))
    except (CannotRun, *StoreDown):
        return Finding("store", False, "store_down")
    return Finding(role, here, "role_alive" if here else "role_gone", {"role": role})


def _folder(folder: Path) -> list[Finding]:
    path, there = str(folder), folder
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return [Finding("folder", False, "folder_closed", {"path": path})]
    free = round(shutil.disk_usage(there).free / 1e9, 1)
    disk = Finding("disk", free > ROOM, "disk_free" if free > ROOM else "disk_full", {"path": path, "gb": free})
    private = not folder.exists() or not folder.stat().st_mode & 0o077
    return [disk, Finding("folder", private, "folder_private" if private else "folder_open", {"path": path})]


def _secrets(environ: Mapping[str, str]) -> list[Finding]:
    """Files of secrets that others may read; a container's are its own, whatever their mode."""
    named = [
        Path(environ[name]).expanduser() for name in environ if name.startswith("ASKPIX_") and name[-5:] == "_FILE"
    ]
    known = [path for path in named if path.is_file() and not path.is_relative_to("/run/secrets")]
    return [
        Finding("secrets", False, "secret_open", {"path": str(path)}) for path in known if path.stat().st_mode & 0o077
    ]


async def _store(settings: StorageSettings) -> list[Finding]:
    try:
        async with opened(settings) as stores:
            return await _server(stores.redis)
    except CannotRun as error:
        return [Finding("store", False, f"cli.{error.code}", dict(error.details))]
    except (*StoreDown, RedisError):
        return [Finding("store", False, "cli.store_down")]


async def _server(redis: Client) -> list[Finding]:
    info = await redis.info()
    version = str(info.get("valkey_version", info["redis_version"]))
    sync = "always"
    try:
        sync = (await redis.config_get("appendfsync")).get("appendfsync", sync)
    except RedisError:
        pass  # it is somebody else's to say here
    share = info["used_memory"] / info["maxmemory"] if info.get("maxmemory") else 0.0
    wrong = {
        "store_old": tuple(map(int, info["redis_version"].split(".")[:2])) < OLDEST,
        "store_forgets": not info["aof_enabled"],
        "store_late": bool(info["aof_enabled"]) and sync != "always",
        "store_disk": info.get("aof_last_write_status", "ok") != "ok",
        "store_evicts": bool(info.get("maxmemory")) and info["maxmemory_policy"] != "noeviction",
        "store_full": share > FULL,
    }
    details = {"version": version, "sync": sync, "policy": info["maxmemory_policy"], "percent": round(share * 100)}
    found = [Finding("store", False, code, details) for code, true in wrong.items() if true]
    return found or [Finding("store", True, "store_well", details)]
