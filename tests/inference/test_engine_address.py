"""The engine client finds out where an engine is and what it serves, and believes nothing that makes no sense."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from inference.engine import DEFAULT_CONTEXT, DEFAULT_SLOTS, Engine, EngineAddress
from inference.stream import EngineDown
from storage.messages import Model
from storage.vision import CHAT_LIMITS
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json, LocalServer
from tests.inference.test_engine import WORDS, RawEngine, client, said

USUAL = (CHAT_LIMITS.min_pixels, CHAT_LIMITS.max_pixels)


class ToldEngine(LocalServer):
    """Answers GETs by this table, and 404 to the rest."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__([web.get("/{path:.*}", self._say)])
        self.answers = answers

    async def _say(self, http: web.Request) -> web.Response:
        found = self.answers.get(http.path)
        return web.json_response(found, status=found.pop("status", 200)) if found else web.Response(status=404)


async def test_an_address_that_changes_is_followed():
    async with StubEngine(model="one") as first, StubEngine(model="two") as second:
        now = first
        async with Engine(lambda: EngineAddress(now.url)) as engine:
            assert (await engine.probe()).name == "one"
            now = second
            assert (await engine.probe()).name == "two"
            assert tuple(await said(engine)) == WORDS
            assert len(second.requests) == 1 and not first.requests


async def test_an_address_that_changes_in_mid_answer_ends_that_answer_as_down():
    async with StubEngine(lambda _: ["x"] * 1000, delay=0.01) as first, StubEngine() as second:
        now = first
        async with Engine(lambda: EngineAddress(now.url)) as engine:
            task = asyncio.create_task(said(engine))
            await first.until(lambda: first.running)
            now = second
            await asyncio.gather(*(engine.probe() for _ in range(3)))
            with pytest.raises(EngineDown) as caught:
                await task
            assert caught.value.started
            await first.until(lambda: not first.running, 1)


async def test_an_engine_that_comes_back_is_reached_over_its_old_connections():
    async with StubEngine() as stub, client(stub.url) as engine:
        await engine.probe()
        for _ in range(3):
            await stub.stop()
            with pytest.raises(EngineDown):
                await engine.probe()
            await stub.start()
            await engine.probe()
            assert tuple(await said(engine)) == WORDS


SGLANG: Json = {
    "/v1/models": {"data": [{"id": "Qwen/Qwen3-VL-2B", "object": "model", "max_model_len": 65_536}]},
    "/server_info": {
        "context_length": None, "max_running_requests": 48, "version": "0.5.23",
        "mm_process_config": {"image": {"min_pixels": 65_536, "max_pixels": 1_048_576}},
    },
}  # fmt: skip
LLAMA: Json = {
    "/v1/models": {"models": [], "data": [{"id": "qwen", "object": "model", "meta": {"n_ctx": 4096}}]},
    "/props": {"default_generation_settings": {"n_ctx": 4096, "params": {}}, "total_slots": 3, "is_sleeping": False},
}


@pytest.mark.parametrize(
    ("answers", "model"),
    [
        (SGLANG, Model("Qwen/Qwen3-VL-2B", 65_536, 48, 65_536, 1_048_576)),
        (LLAMA, Model("qwen", 4096, 3, *USUAL)),
        (
            {"/v1/models": {"data": [{"id": "other"}]}},
            Model("other", DEFAULT_CONTEXT, DEFAULT_SLOTS, *USUAL),
        ),
        (
            {
                "/v1/models": {"data": [{"id": "bare"}]},
                "/server_info": {"context_length": 8192, "mm_process_config": {}},
            },
            Model("bare", 8192, DEFAULT_SLOTS, *USUAL),
        ),
        (
            {
                "/v1/models": {"data": [{"id": "poor", "max_model_len": 262_144}]},
                "/server_info": {"context_length": 262_144, "max_total_num_tokens": 254_034},
            },
            Model("poor", 254_034, DEFAULT_SLOTS, *USUAL),
        ),
    ],
)
async def test_an_engine_is_known_by_what_it_says_of_itself(answers: dict[str, Any], model: Model):
    async with ToldEngine(answers) as server, client(server.url) as engine:
        assert await engine.probe() == model
        assert await engine.probe() == model


@pytest.mark.parametrize(
    "answers",
    [
        {"/v1/models": {"data": []}},
        {"/v1/models": {"data": [{"object": "model"}]}},
        {"/v1/models": {"error": "no"}},
        {"/v1/models": {"status": 503}},
        {},
        # Busy for a moment: the context it had must not be replaced by a guess.
        {"/v1/models": {"data": [{"id": "busy"}]}, "/server_info": {"status": 503}},
    ],
)
async def test_an_engine_that_does_not_say_what_it_serves_is_down(answers: dict[str, Any]):
    async with ToldEngine(answers) as server, client(server.url) as engine:
        with pytest.raises(EngineDown):
            await engine.probe()


async def test_another_model_under_the_same_address_is_noticed():
    async with StubEngine(model="one", context=1000) as stub, client(stub.url) as engine:
        assert (await engine.probe()).context == 1000
        stub.model, stub.context = "two", 2000
        assert await engine.probe() == Model("two", 2000, 4, *USUAL)
        await stub.stop()
        with pytest.raises(EngineDown):
            await engine.probe()
        stub.context = 3000  # restarted with other flags
        await stub.start()
        assert (await engine.probe()).context == 3000


async def test_settings_go_before_what_the_engine_says():
    async with StubEngine(model="one") as stub:
        async with Engine(lambda: EngineAddress(stub.url), model="mine", slots=2, context=512) as engine:
            assert await engine.probe() == Model("mine", 512, 2, *USUAL)
            await said(engine)
            assert stub.requests[0].body["model"] == "mine"


async def test_an_engine_that_is_known_beforehand_is_not_asked():
    model = Model("stub", 4096, 2, 4096, 65_536)
    async with StubEngine() as stub, Engine(lambda: EngineAddress(stub.url, model=model)) as engine:
        assert await engine.probe() == model


async def test_tokens_are_counted_once_a_text_and_anew_for_another_engine():
    asked: list[Json] = []

    async def tokenize(http: web.Request) -> web.Response:
        asked.append(await http.json())
        return web.json_response({"tokens": [1, 2, 3]})

    server = LocalServer([web.post("/tokenize", tokenize)])
    address = EngineAddress("")
    async with server, Engine(lambda: address) as engine:
        address = EngineAddress(server.url)
        assert [await engine.count("<|im_end|>") for _ in range(3)] == [3, 3, 3]
        address = EngineAddress(server.url, "other")
        assert await engine.count("<|im_end|>") == 3
    # llama.cpp's names and SGLang's: either parses special tokens and adds none of its own.
    assert asked == 2 * [
        {
            "content": "<|im_end|>", "add_special": False, "parse_special": True,
            "prompt": "<|im_end|>", "add_special_tokens": False,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("part", [b"[]", b"{}", b"no", b"\xff"])
async def test_a_count_that_makes_no_sense_is_down(part: bytes):
    async with RawEngine(part, kind="application/json") as server, client(server.url) as engine:
        with pytest.raises(EngineDown):
            await engine.count("x")


async def test_the_key_travels_as_a_bearer_and_is_in_no_error():
    key = "secret-key"
    heard: list[str | None] = []

    async def refuse(http: web.Request) -> web.Response:
        heard.append(http.headers.get("Authorization"))
        return web.Response(status=401, text=f"wrong key {key}")

    address = EngineAddress("http://127.0.0.1:9", key)
    errors: list[BaseException | None] = []
    async with LocalServer([web.route("*", "/{path:.*}", refuse)]) as server, Engine(lambda: address) as engine:
        for url in (address.url, server.url):
            address = EngineAddress(url, key)
            for call in (engine.probe, lambda: engine.count("x"), lambda: said(engine)):
                with pytest.raises(EngineDown) as caught:
                    await call()
                errors += [caught.value, caught.value.__cause__]
    assert heard == [f"Bearer {key}"] * 3
    assert key not in f"{errors!r} {[str(error) for error in errors]} {address!r}"
