"""The engine client over real HTTP: whatever an engine does, the client says what that means for the ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from inference import engine as module
from inference.engine import Engine, EngineAddress
from inference.stream import EngineDown, EngineRefused, Generation
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json, LocalServer

HELLO: list[Json] = [{"role": "user", "content": "Hello"}]
WORDS = ("A ", "blue ", "square.")


class RawEngine(LocalServer):
    """Sends these bytes, as they are, to every request of any path."""

    def __init__(self, *parts: bytes, kind: str = "text/event-stream", status: int = 200) -> None:
        super().__init__([web.route("*", "/{path:.*}", self._say)], cancel_on_disconnect=True)
        self.parts = parts
        self.kind, self.status = kind, status

    async def _say(self, http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status, headers={"Content-Type": self.kind})
        await response.prepare(http)
        for part in self.parts:
            await response.write(part)
            await asyncio.sleep(0.001)  # so that parts arrive apart
        await response.write_eof()
        return response


def chunk(text: str | None = None, **fields: Any) -> bytes:
    """One event as engines write it: JSON with its letters unescaped."""
    data = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} | fields
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def client(url: str, key: str | None = None) -> Engine:
    return Engine(lambda: EngineAddress(url, key))


def streaming(
    engine: Engine, messages: Sequence[Json] = HELLO, generation: Generation | None = None
) -> AsyncGenerator[str]:
    return engine.stream(messages, rid="r" * 32, salt="s", max_tokens=64, generation=generation or Generation())


async def said(engine: Engine, generation: Generation | None = None) -> list[str]:
    async with aclosing(streaming(engine, generation=generation)) as stream:
        return [text async for text in stream]


async def raw(*parts: bytes, **options: Any) -> list[str]:
    """What the client makes of these bytes."""
    async with RawEngine(*parts, **options) as server, client(server.url) as engine:
        return await said(engine)


async def test_an_engine_that_does_not_listen_is_down_and_had_no_request():
    async with client("http://127.0.0.1:9") as engine:
        for call in (engine.probe, lambda: engine.count("x"), lambda: said(engine)):
            with pytest.raises(EngineDown) as caught:
                await call()
            assert not caught.value.started


async def test_no_engine_at_all_is_down():
    async with Engine(lambda: None) as engine:
        with pytest.raises(EngineDown):
            await engine.probe()
        await engine.abort("r")


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 502, 503, 504])
async def test_a_refusal_that_may_pass_is_down_and_does_not_count_against_the_ask(status: int):
    with pytest.raises(EngineDown) as caught:
        await raw(b'{"error": "the prompt"}', kind="application/json", status=status)
    assert (str(caught.value), caught.value.started) == (f"HTTP {status}", False)


async def test_an_error_500_may_be_the_requests_own_fault():
    with pytest.raises(EngineDown) as caught:
        await raw(b"{}", status=500)
    assert caught.value.started


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_cannot_be_served_is_refused_for_good(status: int):
    with pytest.raises(EngineRefused):
        await raw(b"{}", status=status)


async def test_a_broken_connection_counts_as_started_before_and_after_the_first_token():
    async with StubEngine() as stub, client(stub.url) as engine:
        for after in (0, 2):
            stub.fail("break", after=after)
            with pytest.raises(EngineDown) as caught:
                await said(engine)
            assert caught.value.started


async def test_a_connection_cut_before_any_header_counts_as_started():
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client(f"http://127.0.0.1:{port}") as engine:
        with pytest.raises(EngineDown) as caught:
            await said(engine)
    assert caught.value.started  # a photo that kills the engine must not be tried for ever


async def test_a_stalled_stream_is_given_up_and_its_slot_freed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "NEXT_TOKEN", 0.05)
    async with StubEngine() as stub, client(stub.url) as engine:
        stub.fail("stall", after=1)
        with pytest.raises(EngineDown) as caught:
            await said(engine)
        assert caught.value.started
        await stub.until(lambda: stub.disconnects and not stub.running, 1)


async def test_an_engine_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_TOKEN", 0.05)
    async with StubEngine() as stub, client(stub.url) as engine:
        stub.fail("stall")
        with pytest.raises(EngineDown):
            await said(engine)
        await stub.until(lambda: stub.disconnects, 1)


async def test_a_consumer_that_takes_its_time_is_no_stall(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "NEXT_TOKEN", 0.05)
    async with StubEngine() as stub, client(stub.url) as engine, aclosing(streaming(engine)) as stream:
        got: list[str] = []
        async for text in stream:
            got.append(text)
            await asyncio.sleep(0.08)  # the consumer's own time: what is tested, not a wait for something
    assert tuple(got) == WORDS


@pytest.mark.parametrize("fault", ["garbage", "end", "no_done"])
async def test_a_stream_that_does_not_end_well_is_no_answer(fault: Any):
    async with StubEngine() as stub, client(stub.url) as engine:
        stub.fail(fault, after=1)
        with pytest.raises(EngineDown) as caught:
            await said(engine)
        assert caught.value.started
        assert tuple(await said(engine)) == WORDS  # the next one is whole


@pytest.mark.parametrize(
    "parts",
    [
        [chunk("a"), b'data: {"error": {"message": "the prompt", "code": 500}}\n\n', DONE],
        [b'data: {"error": {"message": "the prompt", "code": "invalid"}}\n\n', DONE],
        [b'data: {"error": {"message": "the prompt", "code": 42}}\n\n', DONE],
        [b'data: {"error": "the prompt"}\n\n', DONE],
        [chunk("a"), chunk(choices=[{"delta": {}, "finish_reason": "abort"}]), DONE],
        [b"<html>log in</html>"],
        [b'data: {"choices": "no"}\n\n', DONE],
        [b"data: \xff\xfe\n\n", DONE],
        [],
    ],
)
async def test_what_is_no_answer_is_never_taken_for_one(parts: list[bytes]):
    with pytest.raises(EngineDown) as caught:
        await raw(*parts)
    assert caught.value.started and "prompt" not in str(caught.value)


async def test_a_full_queue_behind_a_status_of_200_does_not_count_against_the_ask():
    with pytest.raises(EngineDown) as caught:
        await raw(b'data: {"error": {"message": "The request queue is full.", "code": 503}}\n\n', DONE)
    assert (str(caught.value), caught.value.started) == ("HTTP 503", False)


async def test_a_refusal_behind_a_status_of_200_is_one_for_good():
    refusal = b'data: {"error": {"object": "error", "message": "the prompt", "type": "BAD_REQUEST", "code": 400}}\n\n'
    with pytest.raises(EngineRefused) as caught:
        await raw(refusal, chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1}), DONE)
    assert str(caught.value) == "HTTP 400"


async def test_comments_empty_deltas_and_foreign_fields_are_passed_over():
    empty = [
        b": keep alive\n\n", chunk(None, id="x", usage=None), b"event: ping\nid: 3\n\n",
        b'data: {"choices": [{"index": 0}]}\n\n', b'data: {"choices": null}\n\n', b'data: {"choices": []}\n\n',
        b'data:{"choices": [{"delta": {"content": "no space", "role": "assistant", "tool_calls": []}}]}\r\n\r\n',
    ]  # fmt: skip
    assert await raw(*empty, chunk("!"), DONE) == ["no space", "!"]


async def test_line_separators_inside_a_text_do_not_part_the_line():
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    assert await raw(b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n", DONE)
    assert await raw(chunk(text), DONE) == [text]


async def test_a_letter_that_arrives_in_two_parts_is_whole():
    event = chunk("你好")
    cut = event.index("好".encode()) + 1
    assert await raw(event[:cut], event[cut:-1], b"\n" + DONE[:7], DONE[7:]) == ["你好"]


async def test_an_answer_comes_piece_by_piece_with_its_figures():
    async with StubEngine() as stub, client(stub.url, "key") as engine:
        stub.cached_tokens = 3
        generation = Generation()
        assert tuple(await said(engine, generation)) == WORDS
        assert generation == Generation(prompt_tokens=5, cached_tokens=3, tokens=3, finish="stop")
        body = stub.requests[0].body
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    assert (body["rid"], body["cache_salt"], body["max_tokens"], body["min_p"]) == ("r" * 32, "s", 64, 0)


async def test_pieces_are_handed_on_as_they_come():
    gate = asyncio.Event()

    async def slowly(_: Json) -> AsyncGenerator[str]:
        yield "first"
        await gate.wait()
        yield "second"

    async with StubEngine(slowly) as stub, client(stub.url) as engine, aclosing(streaming(engine)) as stream:
        assert await anext(stream) == "first"
        gate.set()
        assert await anext(stream) == "second"


async def test_closing_the_stream_frees_the_engines_slot():
    async with StubEngine(lambda _: ["x"] * 1000, delay=0.01) as stub, client(stub.url) as engine:
        async with aclosing(streaming(engine)) as stream:
            assert await anext(stream) == "x"
            assert stub.running == 1
        await stub.until(lambda: stub.disconnects and not stub.running, 1)


async def test_cancelling_a_reader_frees_the_engines_slot_even_before_the_first_token():
    async with StubEngine(first_delay=30) as stub, client(stub.url) as engine:
        task = asyncio.create_task(said(engine))
        await stub.until(lambda: stub.running)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stub.until(lambda: stub.disconnects and not stub.running, 1)


async def test_an_abort_names_the_request_and_never_fails():
    async with StubEngine() as stub, client(stub.url) as engine:
        await engine.abort("never probed")
        await engine.probe()
        await engine.abort("r1")
        assert stub.aborts == ["r1"]
        await stub.stop()
        await engine.abort("r2")


async def test_many_answers_at_once_need_no_turn_at_a_pool():
    together = asyncio.Barrier(150)

    async def reply(_: Json) -> AsyncGenerator[str]:
        await together.wait()
        yield "ok"

    async with StubEngine(reply) as stub, client(stub.url) as engine:
        answers = await asyncio.gather(*(said(engine) for _ in range(150)))
        assert answers == [["ok"]] * 150
