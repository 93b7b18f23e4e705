"""Discord's gateway: hello, heartbeat, identify and resume over a WebSocket, plain or compressed as a stream."""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import WSMsgType, web

from tests.emulators.discord_shapes import APP_ID, GUILD_MEMBERS, GUILD_PRESENCES, GUILDS, MESSAGE_CONTENT
from tests.emulators.discord_world import Build, World, application_flags
from tests.emulators.server import Json, cut

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
_SILENT = {3, 4, 8}  # presence, voice, members: taken, and answered by nothing here
_ALL_INTENTS = (1 << 26) - 1


class Entry(NamedTuple):
    """One thing that happened: hello, identify, resume, close (with its code), drop, refused …"""

    at: float
    what: str
    data: Any


@dataclass(eq=False)
class Session:
    """A bot's session; `sent` is every event it got, of which it may ask again for those that it missed."""

    id: str
    intents: int
    sent: list[Json] = field(default_factory=list[Json])
    connection: Connection | None = None


class Connection:
    """One socket. Frames are queued, and written in their order by a task of its own."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request, self._socket = request, socket
        self._frames: asyncio.Queue[Json | int] = asyncio.Queue()
        self._compress = _compressor(request.query.get("compress", ""))
        self._pump = asyncio.create_task(self._write())
        self.session: Session | None = None
        self.shown_out = False

    def send(self, op: int, data: Any = None, **more: Any) -> None:
        """Queue a frame."""
        self._frames.put_nowait({"op": op, "d": data, "s": None, "t": None} | more)

    def close(self, code: int) -> None:
        """Close with a code, after what is queued."""
        self.shown_out = True
        self._frames.put_nowait(code)

    def abort(self) -> None:
        """Cut the socket without a close frame."""
        self._pump.cancel()
        cut(self._request)

    async def ended(self) -> None:
        """Let go of the socket."""
        self._pump.cancel()
        await asyncio.wait([self._pump])

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            try:
                if isinstance(frame, int):
                    await self._socket.close(code=frame)
                elif self._compress:
                    await self._socket.send_bytes(self._compress(json.dumps(frame).encode()))
                else:
                    await self._socket.send_str(json.dumps(frame))
            except ConnectionError:
                return  # the bot is gone: its session keeps what it missed


class Gateway:
    """All sessions. heartbeat_ms is asked of the bots; `log` is what happened; deaf: heartbeats stay unanswered."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.url = ""
        self.heartbeat_ms = 41_250
        self.deaf = False
        self.log: list[Entry] = []
        self.sessions: dict[str, Session] = {}
        self.connections: list[Connection] = []
        self.world: World
        self._refused = 0

    def refuse(self, times: int) -> None:
        """Fail the next connections before they are sockets."""
        self._refused = times

    def live(self) -> list[Session]:
        """The sessions whose bot is connected at this moment."""
        return [session for session in self.sessions.values() if session.connection]

    def drop(self) -> None:
        """Cut every socket without a close frame; sessions stay, and can be resumed."""
        self._each("drop", None, Connection.abort)

    def reconnect(self) -> None:
        """Ask every bot to come back (op 7)."""
        self._each("reconnect", None, lambda connection: connection.send(RECONNECT))

    def invalidate(self, *, resumable: bool = False) -> None:
        """Say that the session is no longer good (op 9); unless `resumable` it is forgotten."""
        if not resumable:
            self.sessions.clear()
            for connection in self.connections:
                connection.session = None
        self._each("invalidate", resumable, lambda connection: connection.send(INVALID, resumable))

    def close(self, code: int) -> None:
        """Close every socket with this code."""
        self._each("close", code, lambda connection: connection.close(code))

    def forget(self) -> None:
        """Forget every session that nobody is connected to: a resume gets op 9."""
        self.sessions = {session.id: session for session in self.live()}

    def tell(self, event: str, intents: int, build: Build) -> None:
        """An event for every session whose intents are fit for it, connected or not."""
        for session in self.sessions.values():
            if intents & session.intents == intents and (data := build(session.intents)) is not None:
                self._dispatch(session, event, data)

    def noted(self, what: str) -> list[Any]:
        """The data of all entries of the log of one kind, oldest first."""
        return [entry.data for entry in self.log if entry.what == what]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection of a bot, from hello to its end."""
        if self._refused:
            self._refused -= 1
            self._note("refused", request.path)
            return web.Response(status=503)  # not cut: aiohttp's client silently tries a cut GET once more
        wanted = request.query.get("v"), request.query.get("encoding")
        socket = web.WebSocketResponse(heartbeat=None, max_msg_size=4096)
        await socket.prepare(request)
        connection = Connection(request, socket)
        self.connections.append(connection)
        self._note("hello", dict(request.query))
        if wanted != ("10", "json"):
            connection.close(4012)
        connection.send(HELLO, {"heartbeat_interval": self.heartbeat_ms, "_trace": []})
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or not self._heard(connection, message.data):
                    connection.close(4002)
        finally:
            self.connections.remove(connection)
            self._left(connection, socket.close_code)
            await connection.ended()
        return socket

    def _left(self, connection: Connection, code: int | None) -> None:
        self._note("left", code)
        session = connection.session
        if session and session.connection is connection:
            session.connection = None
            if code in {1000, 1001} and not connection.shown_out:  # the bot said goodbye: there is nothing to resume
                self.sessions.pop(session.id, None)
        self.world.changes.notify()

    def _heard(self, connection: Connection, text: str) -> bool:
        """Do what a frame asks for; False if it is none."""
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError):
            return False
        if op == HEARTBEAT:
            self._note("heartbeat", data)
            if not self.deaf:
                connection.send(ACK)
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif connection.session is None:
            connection.close(4003)
        elif op not in _SILENT:
            connection.close(4001)
        return True

    def _identify(self, connection: Connection, data: Json) -> None:
        self._note("identify", {key: value for key, value in data.items() if key != "token"})
        intents = data.get("intents")
        if code := self._refusal(connection, data.get("token"), intents):
            connection.close(code)
            return
        session = Session(secrets.token_hex(16), intents or 0)
        self._join(connection, session)
        guilds = [guild for guild in self.world.guilds.values() if guild.bot_inside]
        ready: Json = {"v": 10, "user": self.world.bot, "session_type": "normal", "session_id": session.id}
        ready |= {"resume_gateway_url": self.url, "private_channels": [], "relationships": [], "presences": []}
        ready |= {"guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds], "user_settings": {}}
        ready |= {"application": {"id": str(APP_ID), "flags": application_flags(self.world)}, "_trace": []}
        self._dispatch(session, "READY", ready)
        for guild in guilds if session.intents & GUILDS else []:
            self._dispatch(session, "GUILD_CREATE", guild.describe())

    def _refusal(self, connection: Connection, token: Any, intents: Any) -> int:
        if connection.session:
            return 4005
        if token != self.token:
            return 4004
        if not isinstance(intents, int) or not 0 <= intents <= _ALL_INTENTS:
            return 4013
        privileged = GUILD_MEMBERS | GUILD_PRESENCES | (0 if self.world.message_content else MESSAGE_CONTENT)
        return 4014 if intents & privileged else 0

    def _resume(self, connection: Connection, data: Json) -> None:
        self._note("resume", {key: value for key, value in data.items() if key != "token"})
        session, seen = self.sessions.get(str(data.get("session_id"))), data.get("seq") or 0
        if connection.session or data.get("token") != self.token:
            connection.close(4005 if connection.session else 4004)
        elif session is None:
            connection.send(INVALID, False)
        elif seen > len(session.sent):
            connection.close(4007)
        else:
            missed = session.sent[seen:]
            self._join(connection, session)
            for frame in missed:
                connection.send(**frame)
            self._dispatch(session, "RESUMED", {"_trace": []})

    def _join(self, connection: Connection, session: Session) -> None:
        if session.connection:
            session.connection.close(4000)  # only one socket a session
        connection.session, session.connection = session, connection
        self.sessions[session.id] = session
        self.world.changes.notify()

    def _dispatch(self, session: Session, event: str, data: Json) -> None:
        frame: Json = {"op": DISPATCH, "data": data, "s": len(session.sent) + 1, "t": event}
        session.sent.append(frame)
        if session.connection:
            session.connection.send(**frame)

    def _note(self, what: str, data: Any) -> None:
        self.log.append(Entry(time.perf_counter(), what, data))
        self.world.changes.notify()

    def _each(self, what: str, data: Any, act: Callable[[Connection], None]) -> None:
        self._note(what, data)
        for connection in list(self.connections):
            act(connection)


def _compressor(kind: str) -> Callable[[bytes], bytes] | None:
    if kind == "zlib-stream":
        stream = zlib.compressobj()
        return lambda frame: stream.compress(frame) + stream.flush(zlib.Z_SYNC_FLUSH)
    if kind == "zstd-stream":  # discord.py asks for it on Python 3.14, and where zstandard is installed
        inside = sys.version_info >= (3, 14)
        library: Any = importlib.import_module("compression.zstd" if inside else "zstandard")
        packer: Any = library.ZstdCompressor() if inside else library.ZstdCompressor().compressobj()
        end: Any = packer.FLUSH_BLOCK if inside else library.COMPRESSOBJ_FLUSH_BLOCK
        return lambda frame: packer.compress(frame) + packer.flush(end)
    return None
