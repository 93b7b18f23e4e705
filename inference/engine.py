"""The only speaker to the engine: OpenAI-compatible HTTP, always streaming. Its errors are in stream.py."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakSet

import aiohttp
import msgspec

from inference.stream import EngineDown, Generation, events, read, refusal
from storage.messages import Model
from storage.vision import CHAT_LIMITS, PixelLimits

T = TypeVar("T")

FIRST_TOKEN = 300.0  # seconds; a long prompt on a CPU is read that slowly
NEXT_TOKEN = 60.0
PROBE = 3.0
LONGEST_TOKEN = 256  # characters; Qwen's has 128
DEFAULT_SLOTS = 8
DEFAULT_CONTEXT = 32_768

JSON = {"Content-Type": "application/json"}
SAMPLING = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0}


class _Listed(msgspec.Struct):
    """One entry of /v1/models; SGLang says the context here."""

    id: str
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Listed]


class _Tokens(msgspec.Struct):
    tokens: list[Any]


class _Pixels(msgspec.Struct):
    min_pixels: int | None = None
    max_pixels: int | None = None


class _Media(msgspec.Struct):
    image: _Pixels | None = None


class _Info(msgspec.Struct):
    """SGLang's /server_info."""

    context_length: int | None = None
    max_total_num_tokens: int | None = None  # its cache; one request cannot have more, whatever the context
    max_running_requests: int | None = None
    mm_process_config: _Media | None = None


class _Slot(msgspec.Struct):
    n_ctx: int


class _Props(msgspec.Struct):
    """llama.cpp's /props; n_ctx is one slot's share."""

    default_generation_settings: _Slot
    total_slots: int


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine is, its API key, and what it serves if that is known beforehand (the embedded engine)."""

    url: str
    key: str | None = field(default=None, repr=False)
    model: Model | None = None


@dataclass(slots=True)
class _Server:
    address: EngineAddress
    client: aiohttp.ClientSession
    name: str = ""
    served: Model | None = None  # None until it is known, and again after a failure
    counted: dict[bytes, int] = field(default_factory=dict[bytes, int])  # by a text's hash: texts may be long
    waiting: WeakSet[asyncio.Timeout] = field(default_factory=WeakSet[asyncio.Timeout])  # a scope that is left is gone

    def patience(self, seconds: float) -> asyncio.Timeout:
        """The stretch in which an answer waits for the engine; TimeoutError when it stalls, or moves."""
        scope = asyncio.timeout(0 if self.client.closed else seconds)
        self.waiting.add(scope)
        return scope

    async def close(self) -> None:
        """End every connection; aiohttp would leave who still reads on one waiting."""
        await self.client.close()
        for scope in self.waiting:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())


class Engine:
    """One engine at an address that may change while we run (the embedded engine's port). Owns one pooled client.

    model, slots and context go before what the engine says of itself.
    """

    def __init__(
        self, address: Callable[[], EngineAddress | None], *, model: str | None = None, slots: int | None = None,
        context: int | None = None,
    ) -> None:  # fmt: skip
        self._address = address
        self._model, self._slots, self._context = model, slots, context
        self._server: _Server | None = None

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server:
            await server.close()

    async def probe(self) -> Model:
        """Reach the engine and read what it serves. Raises EngineDown."""
        server = await self._reach()
        served, server.served = server.served, None
        models = await self._ask(server, "/v1/models", _Models)
        if models is None or not models.data:
            raise EngineDown("the engine serves no model")
        listed = models.data[0]
        name = self._model or listed.id
        if served is None or server.name != name:
            served = server.address.model or await self._describe(server, name, listed)
            server.name, server.counted = name, {}
        server.served = served
        context, slots = self._context or served.context, self._slots or served.slots
        return msgspec.structs.replace(served, context=context, slots=slots)

    async def count(self, text: str) -> int:
        """Tokens of a text by the model's own tokenizer, special tokens parsed. Raises EngineError."""
        server = await self._reach()
        key = hashlib.sha256(text.encode()).digest()
        if key not in server.counted:
            # llama.cpp reads the first three fields, SGLang the last two.
            body = {"content": text, "add_special": False, "parse_special": True, "prompt": text}
            answer = await self._ask(server, "/tokenize", _Tokens, body | {"add_special_tokens": False})
            if answer is None:
                raise EngineDown("the engine counts no tokens")
            if len(server.counted) > 10_000:
                server.counted.clear()
            server.counted[key] = len(answer.tokens)
        return server.counted[key]

    async def stream(
        self, messages: Sequence[dict[str, Any]], *, rid: str, salt: str, max_tokens: int, generation: Generation
    ) -> AsyncGenerator[str]:
        """Yield the answer's text as it comes; fills `generation`. Closing the generator frees the engine's slot.

        rid is the request's id at the engine (fixed length), salt keeps prefix caches apart. Raises EngineError.
        """
        server = await self._reach()
        body = {
            "model": server.name, "messages": messages, "stream": True, "stream_options": {"include_usage": True},
            "max_tokens": max_tokens, "rid": rid, "cache_salt": salt, **SAMPLING,
        }  # fmt: skip
        try:
            async with server.patience(FIRST_TOKEN):
                response = await _request(server, "/v1/chat/completions", body)
            with closing(response):
                if response.status != 200:
                    raise refusal(response.status)
                async with aclosing(events(response.content.iter_any())) as stream:
                    seconds, written = FIRST_TOKEN, 0
                    while True:
                        async with server.patience(seconds):  # the consumer's own time does not count
                            chunk = await anext(stream, None)
                        if chunk is None:
                            return
                        seconds = NEXT_TOKEN
                        if text := read(chunk, generation):
                            written += len(text)
                            yield text
                        if written > LONGEST_TOKEN * max_tokens:
                            raise EngineDown("the engine does not end", started=True)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise EngineDown(type(error).__name__) from error
        except (aiohttp.ClientError, ValueError, TimeoutError, RuntimeError) as error:  # no JSON, no UTF-8, our close
            # Engines send no headers before the first token: what breaks off earlier may have died of this request.
            raise EngineDown(type(error).__name__, started=True) from error

    async def abort(self, rid: str) -> None:
        """Free the engine's slot of a closed request; an engine without this call sees the close itself."""
        if (server := self._server) is not None:
            with suppress(aiohttp.ClientError, TimeoutError):  # a dead engine generates nothing
                (await _request(server, "/abort_request", {"rid": rid}, seconds=1.0)).close()

    async def _reach(self) -> _Server:
        if (address := self._address()) is None:
            raise EngineDown("no engine is running")
        server, old = self._server, self._server
        if server is None or server.address != address:
            headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
            # As many connections as there are asks; the queue is where asks wait, not the pool. None is used twice: a
            # kept one that the engine is just closing would lose a request that may not be sent again.
            pool = aiohttp.TCPConnector(limit=0, force_close=True)
            client = aiohttp.ClientSession(connector=pool, headers=headers, cookie_jar=aiohttp.DummyCookieJar())
            server = self._server = _Server(address, client)
            if old:
                await old.close()
        if server.client.closed:
            raise EngineDown("the engine moved")
        return server

    async def _ask(self, server: _Server, path: str, kind: type[T], body: Any = None) -> T | None:
        """The engine's answer as `kind`, None where it knows no such path; a body is posted. Raises EngineError."""
        if server.client.closed:
            raise EngineDown("the engine moved")
        try:
            async with await _request(server, path, body, seconds=PROBE) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise refusal(response.status)
                return msgspec.json.decode(await response.read(), type=kind)
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:  # ValueError: no JSON, or no UTF-8
            raise EngineDown(type(error).__name__) from error

    async def _describe(self, server: _Server, name: str, listed: _Listed) -> Model:
        """What SGLang or llama.cpp says of itself; another engine gets cautious figures."""
        context, slots, image = listed.max_model_len, None, None
        if info := await self._ask(server, "/server_info", _Info):
            sizes = (context or info.context_length, info.max_total_num_tokens)
            context, slots = min((size for size in sizes if size), default=None), info.max_running_requests
            image = info.mm_process_config.image if info.mm_process_config else None
        elif props := await self._ask(server, "/props", _Props):
            context, slots = props.default_generation_settings.n_ctx, props.total_slots
        least = (image and image.min_pixels) or CHAT_LIMITS.min_pixels
        most = min((image and image.max_pixels) or CHAT_LIMITS.max_pixels, PixelLimits().max_pixels)
        return Model(name, context or DEFAULT_CONTEXT, slots or DEFAULT_SLOTS, least, most)


async def _request(server: _Server, path: str, body: Any, seconds: float | None = None) -> aiohttp.ClientResponse:
    """Get, or post a body; `seconds` is for everything, without it only connecting has one."""
    patience = aiohttp.ClientTimeout(seconds, sock_connect=PROBE)
    data = io.BytesIO(msgspec.json.encode(body)) if body else None  # aiohttp warns of bytes as long as photos are
    call = server.client.post if body else server.client.get
    url = server.address.url.rstrip("/") + path
    return await call(url, data=data, headers=JSON, timeout=patience, allow_redirects=False)
