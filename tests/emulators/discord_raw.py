"""A bot without a library: what the tests of the Discord emulator say to it, word by word."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_gateway import HELLO, IDENTIFY, RESUME
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import APP_ID, DIRECT_MESSAGES, GUILD_MESSAGES, GUILDS
from tests.emulators.server import Json

INTENTS = GUILDS | GUILD_MESSAGES | DIRECT_MESSAGES


class Socket:
    """A connection to the gateway after its hello; `seq` is of the newest event."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, token: str, compress: str) -> None:
        self._socket, self._token = socket, token
        self._stream = zlib.decompressobj() if compress else None
        self.seq = 0
        self.session_id = ""

    async def send(self, op: int, data: Any) -> None:
        """Send a frame."""
        await self._socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, intents: int = INTENTS, token: str = "") -> None:
        """Begin a session."""
        await self.send(IDENTIFY, {"token": token or self._token, "intents": intents, "properties": {}})

    async def ready(self, intents: int = INTENTS) -> Json:
        """Begin a session and wait for it."""
        await self.identify(intents)
        about = await self.event("READY")
        self.session_id = about["session_id"]
        return about

    async def resume(self, session_id: str, seq: int) -> None:
        """Go on with a session."""
        await self.send(RESUME, {"token": self._token, "session_id": session_id, "seq": seq})

    async def frame(self) -> Json:
        """The next frame."""
        message = await self._socket.receive(timeout=5)
        if message.type is aiohttp.WSMsgType.BINARY:
            assert self._stream and message.data.endswith(b"\x00\x00\xff\xff")
            found = json.loads(self._stream.decompress(message.data))
        else:
            assert message.type is aiohttp.WSMsgType.TEXT and not self._stream, message
            found = json.loads(message.data)
        self.seq = found["s"] or self.seq
        return found

    async def event(self, name: str) -> Json:
        """The next event of a kind; those before it are passed over."""
        while (frame := await self.frame())["t"] != name:
            pass
        return frame["d"]

    async def close_code(self) -> int | None:
        """The code with which the server closes; frames before it are passed over."""
        while (await self._socket.receive(timeout=5)).type not in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}:
            pass
        return self._socket.close_code

    async def leave(self, code: int = 1000) -> None:
        """Close the connection."""
        await self._socket.close(code=code)


class RawBot:
    """Calls routes with the bot's token; everything returns the status and the JSON of the answer."""

    def __init__(self, emulator: DiscordEmulator, session: aiohttp.ClientSession) -> None:
        self._emulator, self.session = emulator, session
        self.headers: dict[str, str] = {}  # of the newest answer

    async def __call__(
        self, route: str, body: Any = None, files: tuple[bytes, ...] = (), **query: str
    ) -> tuple[int, Any]:
        """Call a route: "POST /channels/1/messages". With files the body goes as payload_json of a form."""
        method, path = route.split(" ")
        headers = {"Authorization": f"Bot {self._emulator.token}"}
        sent: Any = {"json": body} if body is not None else {}
        if files:
            sent = {"data": aiohttp.FormData(quote_fields=False)}
            sent["data"].add_field("payload_json", json.dumps(body))
            for number, content in enumerate(files):
                sent["data"].add_field(f"files[{number}]", io.BytesIO(content), filename=f"{number}.png")
        url = f"{self._emulator.api_url}/api/v10{path}"
        async with self.session.request(method, url, params=query, headers=headers, **sent) as response:
            self.headers = dict(response.headers)
            assert response.status == 204 or self.headers["Content-Type"] == "application/json"
            return response.status, None if response.status == 204 else await response.json()

    async def code(self, route: str, body: Any = None, files: tuple[bytes, ...] = ()) -> tuple[int, int]:
        """The status and Discord's code of a refused call."""
        status, answer = await self(route, body, files)
        assert status >= 400, answer
        return status, answer["code"]

    async def answer(self, interaction: Interaction, kind: int, **data: Any) -> tuple[int, Any]:
        """The callback of an interaction."""
        route = f"POST /interactions/{interaction.id}/{interaction.token}/callback"
        return await self(route, {"type": kind, "data": data}, with_response="1")

    async def send(self, channel: Channel, content: str = "", **fields: Any) -> tuple[int, Any]:
        """A message to a channel."""
        return await self(f"POST /channels/{channel.id}/messages", {"content": content, **fields})

    def hook(self, interaction: Interaction, message: str = "") -> str:
        """The path of an interaction's webhook, or of a message of it."""
        return f"/webhooks/{APP_ID}/{interaction.token}" + (f"/messages/{message}" if message else "")

    async def sync(self, *commands: Json) -> None:
        """Register commands."""
        status, answer = await self(f"PUT /applications/{APP_ID}/commands", list(commands))
        assert status == 200, answer

    @asynccontextmanager
    async def gateway(self, url: str = "", *, compress: str = "") -> AsyncGenerator[Socket]:
        """A connection to the gateway, greeted and not identified."""
        query = {"v": "10", "encoding": "json"} | ({"compress": compress} if compress else {})
        async with self.session.ws_connect(url or self._emulator.gateway_url, params=query) as connected:
            socket = Socket(connected, self._emulator.token, compress)
            hello = await socket.frame()
            assert hello["op"] == HELLO and hello["d"]["heartbeat_interval"] == self._emulator.gateway.heartbeat_ms
            yield socket
