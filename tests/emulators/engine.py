"""Stand-ins for the engine over real HTTP: a scripted one, and a proxy that slows a real one down.

`python -m tests.emulators.engine --port 8100 --delay 0.01` serves the scripted one until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aiohttp
from aiohttp import web

from tests.emulators.server import Json, LocalServer, cut

FaultKind = Literal["refuse", "bad_request", "too_large", "break", "stall", "garbage", "end", "no_done"]
Reply = Callable[[Json], Sequence[str] | AsyncIterator[str]]

_STATUS = {"refuse": 503, "bad_request": 400, "too_large": 413}
_SSE = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


@dataclass(eq=False)
class Request:
    """One request; times are time.perf_counter(), None until it happened. The body of a GET is empty."""

    at: float
    path: str
    body: Json = field(default_factory=Json)
    finished: float | None = None  # the whole answer was written
    disconnected: float | None = None  # the client went away before that

    def pictures(self) -> list[bytes]:
        """The photos of a chat request, in order, as the engine got them."""
        parts: list[Json] = []
        for message in self.body.get("messages", []):
            if isinstance(message["content"], list):
                parts += message["content"]
        urls = [str(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
        return [base64.b64decode(url.partition("base64,")[2]) for url in urls]


@dataclass
class _Fault:
    kind: FaultKind
    after: int  # chunks of text that still get through
    times: float


class StubEngine(LocalServer):
    """An OpenAI-compatible engine that says what `reply` makes of the request's body; an async context manager.

    `delay` is seconds before every chunk but the first, `first_delay` before the first; `healthy` turns /health and
    /ready; `cached_tokens` is what the usage says of the prefix cache. More than `slots` requests at once are all
    served: `running` and `peak` show how many there were. stop() and start() play an engine that goes down.
    """

    def __init__(
        self,
        reply: Reply = lambda _: ("A ", "blue ", "square."),
        *,
        delay: float = 0.0,
        first_delay: float = 0.0,
        port: int = 0,
        model: str = "stub",
        slots: int = 4,
        context: int = 32_768,
    ) -> None:
        routes = [
            web.post("/v1/chat/completions", self._chat),
            web.post("/abort_request", self._abort),
            web.post("/tokenize", self._tokenize),
            *(web.get(path, self._about) for path in ("/v1/models", "/props", "/server_info", "/slots")),
            *(web.get(path, self._health) for path in ("/health", "/ready")),
        ]
        super().__init__(routes, port=port, cancel_on_disconnect=True)
        self.reply: Reply = reply
        self.delay, self.first_delay = delay, first_delay
        self.model, self.slots, self.context = model, slots, context
        self.healthy = True
        self.cached_tokens = 0
        self.token_bytes = 1  # of a text, by /tokenize
        self.requests: list[Request] = []  # chat requests only, refused ones too
        self.disconnects: list[Request] = []
        self.aborts: list[str] = []  # the rid of each /abort_request
        self.running = self.peak = 0
        self._faults: deque[_Fault] = deque()

    def fail(self, kind: FaultKind, *, after: int = 0, times: float = 1) -> None:
        """Spoil the next `times` chat requests (math.inf: until heal).

        refuse (503), bad_request (400) and too_large (413) answer at once; the others let `after` chunks through, then:
        break cuts the connection, stall says nothing more, garbage sends a chunk that is no JSON, end closes the
        stream cleanly.
        no_done sends the whole answer but its [DONE].
        """
        self._faults.append(_Fault(kind, after, times))

    def heal(self) -> None:
        """Forget every fault that is still to come."""
        self._faults.clear()

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        request = Request(time.perf_counter(), http.path, await http.json())
        self.requests.append(request)
        fault = self._take_fault()
        if fault and (status := _STATUS.get(fault.kind)):
            error = {"message": fault.kind, "type": "exceed_context_size_error", "code": status}
            self.changes.notify()
            return web.json_response({"error": error}, status=status)
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.changes.notify()
        try:
            return await self._answer(http, request, fault)
        except (asyncio.CancelledError, ConnectionResetError):
            if not self.stopping:
                request.disconnected = time.perf_counter()
                self.disconnects.append(request)
            raise
        finally:
            self.running -= 1
            self.changes.notify()

    async def _answer(self, http: web.Request, request: Request, fault: _Fault | None) -> web.StreamResponse:
        response = web.StreamResponse(headers=_SSE)
        await response.prepare(http)
        said = 0
        async for text in self._paced(request.body):
            if fault and fault.kind != "no_done" and said == fault.after:
                return await self._spoil(http, response, fault.kind)
            said += 1
            await response.write(self._chunk({"content": text}))
        if fault and fault.kind != "no_done":  # the answer was shorter than that
            return await self._spoil(http, response, fault.kind)
        await response.write(self._chunk({}, "stop"))
        if request.body.get("stream_options", {}).get("include_usage"):
            await response.write(_event({"choices": [], "usage": self._usage(request.body, said)}))
        if not fault:
            await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        request.finished = time.perf_counter()
        return response

    async def _spoil(self, http: web.Request, response: web.StreamResponse, kind: FaultKind) -> web.StreamResponse:
        if kind == "break":
            return cut(http)
        if kind == "stall":
            await asyncio.Event().wait()  # until the client goes, or stop()
        if kind == "garbage":
            await response.write(b'data: {"choices": [{"delta"\n\ndata: [DONE]\n\n')
        await response.write_eof()
        return response

    async def _paced(self, body: Json) -> AsyncIterator[str]:
        """The texts of the answer, each after its delay."""
        texts = self.reply(body)
        wait = self.first_delay
        async for text in _each(texts) if isinstance(texts, Sequence) else texts:
            if wait:
                await asyncio.sleep(wait)
            wait = self.delay
            yield text

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event({"object": "chat.completion.chunk", "model": self.model, "choices": [choice]})

    def _usage(self, body: Json, said: int) -> Json:
        """Counts by our own tokenizer, one token a byte; a chunk of the answer is one token, a photo is none."""
        prompt = 0
        for message in body["messages"]:
            content: Any = message["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            prompt += sum(len(part.get("text", "").encode()) for part in parts)
        details = {"cached_tokens": self.cached_tokens}
        return {"prompt_tokens": prompt, "completion_tokens": said, "prompt_tokens_details": details}

    def _take_fault(self) -> _Fault | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        fault.times -= 1
        if fault.times <= 0:
            self._faults.popleft()
        return fault

    async def _abort(self, http: web.Request) -> web.Response:
        self.aborts.append((await http.json()).get("rid", ""))
        self.changes.notify()
        return web.json_response({})

    async def _tokenize(self, http: web.Request) -> web.Response:
        body = await http.json()
        tokens = list(str(body["content"] if "content" in body else body["prompt"]).encode()[:: self.token_bytes])
        return web.json_response({"tokens": tokens, "count": len(tokens)})

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok" if self.healthy else "loading"}, status=200 if self.healthy else 503)

    async def _about(self, http: web.Request) -> web.Response:
        listed = {"id": self.model, "object": "model", "max_model_len": self.context}
        answers: dict[str, Any] = {
            "/v1/models": {"object": "list", "data": [listed]},
            "/props": {"default_generation_settings": {"n_ctx": self.context}, "total_slots": self.slots},
            "/server_info": {"context_length": self.context, "max_running_requests": self.slots},
            "/slots": [{"id": slot, "is_processing": slot < self.running} for slot in range(self.slots)],
        }
        return web.json_response(answers[http.path])


class SlowProxy(LocalServer):
    """Passes every request on to the engine at `upstream` and its streams back, each event after `delay` seconds.

    `upstream` and `delay` may be changed at any time. When the engine is down or breaks off, so does the connection
    to the client; when the client goes, so does the one to the engine.
    """

    def __init__(self, upstream: str, delay: float = 0.0, *, port: int = 0) -> None:
        super().__init__([web.route("*", "/{path:.*}", self._pass_on)], port=port, cancel_on_disconnect=True)
        self.upstream = upstream
        self.delay = delay
        self.requests: list[Request] = []

    async def start(self) -> None:
        """Listen, with connections to the engine of our own."""
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        await super().start()

    async def stop(self) -> None:
        """Close the port and both sides of every connection."""
        await super().stop()
        await self._client.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def _pass_on(self, http: web.Request) -> web.StreamResponse:
        content = await http.read()
        request = Request(time.perf_counter(), http.path, _body(content))
        self.requests.append(request)
        self.changes.notify()
        headers = {key: value for key, value in http.headers.items() if key in {"Content-Type", "Authorization"}}
        url = self.upstream.rstrip("/") + http.path_qs
        try:
            async with self._client.request(http.method, url, data=content or None, headers=headers) as answer:
                response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
                await response.prepare(http)
                async for part in _events(answer):
                    if answer.content_type == "text/event-stream":
                        await asyncio.sleep(self.delay)
                    await response.write(part)
                await response.write_eof()
        except asyncio.CancelledError:
            request.disconnected = None if self.stopping else time.perf_counter()
            raise
        except (aiohttp.ClientError, ConnectionResetError):
            return cut(http)
        else:
            request.finished = time.perf_counter()
            return response
        finally:
            self.changes.notify()


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body, in whole server-sent events when it is a stream of them."""
    rest = b""
    async for data in answer.content.iter_any():
        *whole, rest = re.split(rb"(?<=\n\n)", rest + data)
        for event in whole:
            yield event
    if rest:
        yield rest


async def _each(texts: Sequence[str]) -> AsyncIterator[str]:
    for text in texts:
        yield text


def _event(data: Json) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _body(content: bytes) -> Json:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}  # pyright: ignore[reportUnknownVariableType] : JSON's keys are texts


async def _serve(stub: StubEngine) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stub:
        sys.stdout.write(f"{stub.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM; the first line of standard output is the URL."""
    parser = argparse.ArgumentParser(description="An engine that answers by script.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between two chunks")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--reply", default="A blue square.", help="the answer, one chunk a word")
    given = parser.parse_args()
    words = [word + " " for word in given.reply.split()]
    asyncio.run(_serve(StubEngine(lambda _: words, delay=given.delay, port=given.port, slots=given.slots)))


if __name__ == "__main__":
    main()
