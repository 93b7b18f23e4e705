"""A picture of a page that a model wrote: hostile pages get nowhere, and nothing is left of them."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from bots import rendering
from bots.rendering import render
from tests.browser import needed
from tests.waiting import wait_until

_NOBODY = rendering.AS_NOBODY if os.geteuid() == 0 else ()


def alone_possible() -> bool:
    """Whether this kernel gives an ordinary user namespaces, without which there are no pictures."""
    command = (*_NOBODY, *rendering.OFFLINE, "true")
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False, capture_output=True).returncode == 0


sandboxed = pytest.mark.skipif(not alone_possible(), reason="this kernel gives no user namespaces")
browser = [needed, sandboxed]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made; that none of them is left is held here, for every test."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # unlike pytest's own, nobody may enter it
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    folder.joinpath("red.html").unlink(missing_ok=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    folder.rmdir()


def pretend(place: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a browser first on PATH that does this instead."""
    file = place / "bin" / "chromium"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")


def running(place: Path) -> list[str]:
    """The commands of all processes that name this folder."""
    found: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text())
        except OSError:
            continue
    return [command for command in found if str(place) in command]


def seen(png: bytes | None) -> Image.Image:
    assert png
    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")


async def test_without_a_browser_there_is_no_picture(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    assert await render("<h1>Hello</h1>") is None


async def test_a_page_of_100_megabytes_starts_no_browser(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(place, f"touch {place}/red.html", monkeypatch)
    (place / "bin").chmod(0o777)
    assert await render("x" * 100_000_000) is None
    assert not (place / "red.html").exists()


@sandboxed
@pytest.mark.parametrize("script", ["exit 1", "echo no picture >shot.png", "ln -s /etc/passwd shot.png", "kill -9 $$"])
async def test_a_browser_that_fails_gives_no_picture(place: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(place, script, monkeypatch)
    assert await render("<h1>Hello</h1>") is None


@sandboxed
async def test_a_browser_gets_no_secret_no_network_and_no_root(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKPIX_TELEGRAM_TOKEN", "123:secret")
    pretend(place, "(printf '\\211PNG\\r\\n'; id -u; env; cat /proc/net/dev) >shot.png", monkeypatch)
    shown = (await render("<h1>Hello</h1>") or b"").partition(b"\r\n")[2].decode()
    assert int(shown.split()[0]) == (rendering.NOBODY if os.geteuid() == 0 else os.geteuid())
    assert "TMPDIR" in shown and "secret" not in shown
    assert [line.split(":")[0].strip() for line in shown.splitlines()[-1:]] == ["lo"]


@sandboxed
async def test_who_is_no_longer_waited_for_is_killed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(place, "sleep 1000 & sleep 1000", monkeypatch)
    task = asyncio.create_task(render("<h1>Hello</h1>"))
    await wait_until(lambda: any("/bin/chromium" in command for command in running(place)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until(lambda: not running(place))


@sandboxed
async def test_pages_take_turns(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each browser notes its start and its end; two at once would note two starts in a row."""
    notes = place / "bin" / "notes"
    pretend(place, f"echo start >>{notes}; sleep 0.1; echo end >>{notes}", monkeypatch)
    notes.touch()
    notes.chmod(0o666)
    await asyncio.gather(*(render("<h1>Hello</h1>") for _ in range(3)))
    assert notes.read_text().split() == ["start", "end"] * 3


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("for (;;);", marks=browser, id="an endless loop"),
        pytest.param("for (let a = [];;) a.push(new Uint8Array(1e8).fill(1))", marks=browser, id="all the memory"),
        pytest.param("for (;;) document.body.append('x'.repeat(1e6) + Math.random())", marks=browser, id="no end"),
    ],
)
async def test_a_page_that_takes_too_much_is_given_up(
    place: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "SECONDS", 2.0)
    monkeypatch.setattr(rendering, "HEAVIEST", 2_000_000_000)
    assert await render(f"<h1>Hello</h1><script>{script}</script>") is None
    await wait_until(lambda: not running(place))


_AWAY = """
<link rel=preconnect href='URL'><link rel=stylesheet href='URL'><link rel=prefetch href='URL'><img src='URL'>
<style>
  @import 'URL'; body { background: url('URL') } @font-face { font-family: x; src: url('URL') } h1 { font: 9px x }
</style>
<iframe src='URL'></iframe><object data='URL'></object><form action='URL'></form><script src='URL'></script>
<script>
  const at = 'URL', host = at.split('//')[1].replace('/', '')
  fetch(at).catch(() => 0)
  try { new WebSocket('ws://' + host) } catch {}
  try { new EventSource(at) } catch {}
  try { new Worker(at) } catch {}
  try { navigator.sendBeacon(at) } catch {}
  try { open(at) } catch {}
  try { top.location = at } catch {}
  const call = new RTCPeerConnection({iceServers: [{urls: 'stun:' + host}]})
  call.createDataChannel('x'); call.createOffer().then((offer) => call.setLocalDescription(offer))
  document.forms[0].submit()
  for (const end = Date.now() + 300; Date.now() < end;);
</script><h1>Hello</h1>
"""


class Listener(asyncio.DatagramProtocol):
    """Counts whoever comes to a port of 127.0.0.1, by TCP or UDP."""

    def __init__(self) -> None:
        self.heard = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard += 1

    def connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += 1
        writer.close()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(_AWAY, marks=browser, id="loads"),
        pytest.param("<h1>Hello</h1><script>location = 'URL'</script>", marks=browser, id="goes"),
        pytest.param("<meta http-equiv=refresh content='0;url=URL'><h1>Hello</h1>", marks=browser, id="is led"),
    ],
)
async def test_a_page_reaches_no_network_not_even_this_machine(page: str) -> None:
    listener = Listener()
    async with await asyncio.start_server(listener.connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: listener, ("127.0.0.1", port))
        with closing(transport):
            assert seen(await render(page.replace("URL", f"http://127.0.0.1:{port}/")))
        assert listener.heard == 0
        _, writer = await asyncio.open_connection("127.0.0.1", port)  # it does listen
        await wait_until(lambda: listener.heard == 1)
        writer.close()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("<body><iframe width=900 height=600 src='URL'></iframe>", marks=browser, id="frame"),
        pytest.param("<body><script>location = 'URL'</script>", marks=browser, id="script"),
        pytest.param("<meta http-equiv=refresh content='0;url=URL'>", marks=browser, id="refresh"),
        pytest.param("\"></iframe><iframe src='URL'></iframe><script>top.location='URL'</script>", marks=browser),
    ],
)  # fmt: skip
async def test_a_page_shows_no_file_of_this_machine(place: Path, page: str) -> None:
    file = place / "red.html"
    file.write_text("<body style='background: red'>secret")
    image = seen(await render(page.replace("URL", file.as_uri())))
    colours = image.getcolors(image.width * image.height) or []
    assert colours and (255, 0, 0) not in [colour for _, colour in colours]


@pytest.mark.parametrize("size", [pytest.param((640, 400), marks=browser), pytest.param((1280, 800), marks=browser)])
async def test_a_page_looks_as_it_is_written(size: tuple[int, int]) -> None:
    dot = io.BytesIO()
    Image.new("RGB", (1, 1), "blue").save(dot, "PNG")
    page = f"""<!doctype html><html><style>* {{ margin: 0 }} body {{ background: lime; height: 3000px }}</style>
        <img width=100 height=100 src="data:image/png;base64,{b64encode(dot.getvalue()).decode()}">
        <script>document.body.insertAdjacentHTML("afterbegin",
          '<p style="background: red; height: 100px">\ud800')</script>"""
    image = seen(await render(page, size))
    assert image.size == size
    colours = [image.getpixel(at) for at in ((90, 90), (50, 150), (size[0] - 1, 300))]
    assert colours == [(255, 0, 0), (0, 0, 255), (0, 255, 0)]
