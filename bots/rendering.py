"""How a page that a model wrote looks: a picture taken by a Chromium of this machine, if there is one.

The page is as hostile as whoever drew what it was rebuilt from. So it is a frame inside a page of ours:
- The frame is sandboxed and inherits our policy, which also lets nothing else be shown in it. (A policy in the page
  itself would let it go to another address, or to a file of this machine.)
- The kernel gives the browser no network, not even this machine's own (`unshare --net`); its flags say it once more.
- Chromium's own sandbox stays on, always. It refuses root, so root's (a container, CI) runs as nobody, where it works;
  with --no-sandbox a bug in the renderer would open our files. Where the kernel allows no user namespaces (Docker,
  unless told otherwise) neither layer starts, and there is no picture.
"""

from __future__ import annotations

import asyncio
import html as markup
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import WeakKeyDictionary

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LONGEST = 1_000_000  # characters of a page; a model writes a tenth of it at most
SECONDS = 15.0
HEAVIEST = 2_500_000_000  # bytes of all its processes, what they share counted in each: 1.2 GB for an empty page
NOBODY = 65534
TRIES = 3  # on a busy machine the frame, which is another process, may still be unpainted when the picture is taken
_BLANK = 200  # pixels a byte, and more, in a picture of one colour
_TICK = 0.2  # s between two looks at its weight

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:"
_OURS = (
    f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta charset="utf-8">'
    "<style>iframe{{position:fixed;inset:0;width:100%;height:100%;border:0}}</style>"
    '<iframe sandbox="allow-scripts" srcdoc="{page}"></iframe>'
)
# The kernel's out-of-memory killer takes the browser before anything else.
_HELD = ("nice", "-n", "19", "choom", "-n", "1000", "--")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
OFFLINE = ("unshare", "--map-current-user", "--net")
_FLAGS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=10000",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>",
    "--screenshot=shot.png", "--user-data-dir=profile",
)  # fmt: skip
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def render(html: str, size: tuple[int, int] = (1280, 800)) -> bytes | None:
    """A PNG of the top of this page in a window of `size` pixels, or None: no browser, a page too long, slow or heavy.

    Takes half a second, at most TRIES times SECONDS, and up to HEAVIEST bytes of memory: one page at a time, the next
    ones wait.
    """
    browser, shot = next(filter(None, map(shutil.which, BROWSERS)), None), None
    if not browser or len(html) > LONGEST:
        return None
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        for _ in range(TRIES):
            shot = await _shot(browser, html, size)
            if not shot or len(shot) * _BLANK > size[0] * size[1]:
                break
    return shot


async def _shot(browser: str, html: str, size: tuple[int, int]) -> bytes | None:
    with TemporaryDirectory(prefix="askpix-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        page = await asyncio.to_thread(_lay_out, folder, html)
        process = await asyncio.create_subprocess_exec(
            *_HELD, *(AS_NOBODY if os.geteuid() == 0 else ()), *OFFLINE,
            browser, *_FLAGS, "--window-size={},{}".format(*size), page,
            cwd=folder, env={"PATH": os.environ.get("PATH", os.defpath), "HOME": name, "TMPDIR": name},
            stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            await _watched(process)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # all of them have ended
            await process.wait()
        return await asyncio.to_thread(_taken, folder / "shot.png")


def _lay_out(folder: Path, html: str) -> str:
    """Write our page with this one in it; its address."""
    page = folder / "page.html"
    page.write_text(_OURS.format(page=markup.escape(html)), "utf-8", "replace")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return page.as_uri()


async def _watched(process: Process) -> None:
    """Until it ends, for at most SECONDS and while it is not too heavy."""
    for _ in range(round(SECONDS / _TICK)):
        try:
            async with asyncio.timeout(_TICK):
                await process.wait()
            return
        except TimeoutError:
            if await asyncio.to_thread(_weight, process.pid) > HEAVIEST:
                return


def _weight(group: int) -> int:
    """Bytes in memory of all the processes of this group."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pages += int(fields[21]) if int(fields[2]) == group else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _taken(shot: Path) -> bytes | None:
    """The picture; nothing but a PNG, whatever a browser that was broken into may have put in its place."""
    data = shot.read_bytes() if shot.is_file() else b""
    return data if data.startswith(b"\x89PNG\r\n") else None
