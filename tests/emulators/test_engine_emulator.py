"""The scripted engine and the slow proxy, driven over HTTP as the worker drives an engine."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.emulators.engine import SlowProxy, StubEngine

QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "what?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture
async def stub() -> AsyncIterator[StubEngine]:
    async with StubEngine() as stub:
        yield stub


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def ask(
    client: httpx.AsyncClient, url: str, body: dict[str, Any] = QUESTION, got: list[str] | None = None
) -> list[str]:
    """The data of each event; `got` keeps those that came before an error."""
    events: list[str] = [] if got is None else got
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            events += [line.removeprefix("data: ")] if line else []
    return events


def said(events: list[str]) -> str:
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])


async def test_the_stub_streams_an_answer_and_its_usage(stub: StubEngine, client: httpx.AsyncClient) -> None:
    stub.cached_tokens = 3
    events = await ask(client, stub.url)
    assert said(events) == "A blue square."
    assert events[-1] == "[DONE]"
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 3}}
    assert json.loads(events[-2])["usage"] == usage
    assert stub.requests[0].body == QUESTION
    assert stub.requests[0].finished


async def test_an_answer_may_depend_on_the_question_and_on_time(stub: StubEngine, client: httpx.AsyncClient) -> None:
    async def slowly(body: dict[str, Any]) -> AsyncIterator[str]:
        for word in ("you said ", body["messages"][-1]["content"]):
            await asyncio.sleep(0.001)
            yield word

    stub.reply = slowly
    assert said(await ask(client, stub.url)) == "you said what?"


async def test_the_stub_says_what_it_is(stub: StubEngine, client: httpx.AsyncClient) -> None:
    async def get(path: str) -> Any:
        return (await client.get(stub.url + path)).json()

    assert (await get("/v1/models"))["data"][0]["id"] == "stub"
    assert (await get("/props"))["total_slots"] == len(await get("/slots")) == 4
    assert (await get("/server_info"))["context_length"] == 32_768
    tokens = (await client.post(f"{stub.url}/tokenize", json={"content": "né"})).json()["tokens"]
    assert tokens == [110, 195, 169]
    stub.healthy = False
    assert (await client.get(f"{stub.url}/health")).status_code == 503
    await client.post(f"{stub.url}/abort_request", json={"rid": "a" * 32})
    assert stub.aborts == ["a" * 32]


@pytest.mark.parametrize(("kind", "status"), [("refuse", 503), ("bad_request", 400)])
async def test_a_fault_refuses_and_is_over(stub: StubEngine, client: httpx.AsyncClient, kind: Any, status: int) -> None:
    stub.fail(kind)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await ask(client, stub.url)
    assert refused.value.response.status_code == status
    assert await ask(client, stub.url)


async def test_a_stream_can_break_after_so_many_chunks(stub: StubEngine, client: httpx.AsyncClient) -> None:
    stub.fail("break", after=2)
    got: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(client, stub.url, got=got)
    assert len(got) == 2


@pytest.mark.parametrize(("kind", "last"), [("end", "blue"), ("garbage", "[DONE]"), ("no_done", "usage")])
async def test_a_stream_can_end_wrongly(stub: StubEngine, client: httpx.AsyncClient, kind: Any, last: str) -> None:
    stub.fail(kind, after=2)
    assert last in (await ask(client, stub.url))[-1]


async def test_a_client_that_goes_is_noticed_even_in_a_stall(stub: StubEngine, client: httpx.AsyncClient) -> None:
    stub.fail("stall", after=1)
    async with client.stream("POST", f"{stub.url}/v1/chat/completions", json=QUESTION) as response:
        async for _ in response.aiter_lines():
            assert stub.running == 1
            break
    await stub.until(lambda: stub.disconnects)
    assert stub.disconnects == stub.requests
    assert stub.running == 0


async def test_an_engine_that_goes_down_cuts_its_answers_and_comes_back_on_its_port(
    stub: StubEngine, client: httpx.AsyncClient
) -> None:
    stub.fail("stall", after=1)
    asked = asyncio.create_task(ask(client, stub.url))
    await stub.until(lambda: stub.running)
    await stub.stop()
    with pytest.raises(httpx.RemoteProtocolError):
        await asked
    with pytest.raises(httpx.ConnectError):
        await ask(client, stub.url)
    assert stub.disconnects == []
    await stub.start()
    assert said(await ask(client, stub.url)) == "A blue square."


async def test_the_proxy_slows_a_stream_and_keeps_what_the_engine_got(
    stub: StubEngine, client: httpx.AsyncClient
) -> None:
    photo = {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8").decode()},
    }
    body = QUESTION | {"messages": [{"role": "user", "content": [photo, {"type": "text", "text": "what?"}]}]}
    async with SlowProxy(stub.url, delay=0.02) as proxy:
        start = time.perf_counter()
        assert await ask(client, proxy.url, body) == await ask(client, stub.url, body)
        assert time.perf_counter() - start > 5 * 0.02
        assert (await client.get(f"{proxy.url}/v1/models")).json()["data"][0]["id"] == "stub"
        assert proxy.requests[0].pictures() == stub.requests[0].pictures() == [b"\xff\xd8"]


async def test_the_proxy_passes_on_that_a_client_went(stub: StubEngine, client: httpx.AsyncClient) -> None:
    words = ["word "] * 1000
    stub.reply = lambda _: words
    stub.delay = 0.01
    async with SlowProxy(stub.url) as proxy:
        async with client.stream("POST", f"{proxy.url}/v1/chat/completions", json=QUESTION) as response:
            async for _ in response.aiter_lines():
                break
        await stub.until(lambda: stub.disconnects)
        assert proxy.requests[0].disconnected


async def test_the_proxy_is_down_when_its_engine_is(stub: StubEngine, client: httpx.AsyncClient) -> None:
    async with SlowProxy(stub.url) as proxy:
        stub.fail("break", after=1)
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, proxy.url)
        await stub.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, proxy.url)
        await stub.start()
        assert said(await ask(client, proxy.url)) == "A blue square."


async def test_the_stub_runs_as_a_program(client: httpx.AsyncClient) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.emulators.engine", "--reply", "yes sir", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        url = (await process.stdout.readline()).decode().strip()
        assert said(await ask(client, url)) == "yes sir "
    finally:
        process.terminate()
        assert await process.wait() == 0
