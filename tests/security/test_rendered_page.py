"""A page that a model wrote, and that tries everything to get out of its picture."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from bots.rendering import render
from tests.browser import needed

PAGE = """<html><head><meta http-equiv="refresh" content="0;url={url}/meta"><link rel="stylesheet" href="{url}/css">
<link rel="prefetch" href="{url}/prefetch"><link rel="dns-prefetch" href="//spy.example"></head>
<body style="background:url({url}/background)"><h1>hello</h1><img src="{url}/img"><iframe src="{url}/frame"></iframe>
<iframe src="file://{file}"></iframe><object data="{url}/object"></object><video src="{url}/video"></video>
<script>fetch("{url}/fetch"); new WebSocket("{url}".replace("http", "ws")); navigator.sendBeacon("{url}/beacon");
location = "{url}/location"; parent.location = "{url}/parent"; open("{url}/open"); new Image().src = "{url}/image";
new RTCPeerConnection({{iceServers: [{{urls: "stun:{host}"}}]}}).createDataChannel("x");
fetch("file://{file}").then(r => r.text()).then(t => document.body.textContent = t);
</script><form action="{url}/form"></form><script>document.forms[0].submit()</script></body></html>"""


@needed
async def test_a_page_that_is_drawn_reaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKPIX_TELEGRAM_TOKEN", "1:secret")
    (file := tmp_path / "secret").write_text("secret words")
    reached: list[bytes] = []

    async def serve(coming: asyncio.StreamReader, going: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            reached.append(await coming.readline())
        going.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        shot = await render(PAGE.format(url=f"http://{host}", host=host, file=file))
    assert reached == []
    assert shot is None or shot.startswith(b"\x89PNG")  # None: this kernel allows no user namespaces
