"""Two engines: the worker's own choice beside SGLang Model Gateway's policies: `make bench-gateway`.

People come, show a photo and ask some questions each, and go. Affinity is the share of later questions that reach the
engine which answered the person's question before, whose cache holds the photo; the fuller engine's share says how
evenly they work. Then what of a request arrives behind the gateway. One JSON line last.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from asyncio.subprocess import DEVNULL
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench.report import finish, say
from inference.engine import EngineAddress, Generation
from inference.engines import Engines
from tests.emulators.engine import StubEngine
from tests.storage.sentinels import free_ports
from tests.waiting import wait_until

SLOTS = 16
TURNS = 5
SYSTEM = "You are a friendly assistant who looks at photos and answers questions about them, briefly. " * 4
POLICIES = {
    "manual, min_load": ("--policy", "manual", "--assignment-mode", "min_load"),
    "cache_aware": ("--policy", "cache_aware", "--balance-abs-threshold", "4"),
}

Send = Callable[[str, list[dict[str, Any]]], Awaitable[None]]


@asynccontextmanager
async def gateway(python: str, engines: list[StubEngine], *options: str) -> AsyncGenerator[str]:
    """The gateway in front of engines; its address."""
    port, metrics = free_ports(2)
    urls = [engine.url for engine in engines]
    command = (python, "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port))
    rest = ("--prometheus-port", str(metrics), "--worker-urls", *urls, *options)
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(*command, *rest, cwd=folder, stdout=DEVNULL, stderr=DEVNULL)
        try:
            async with aiohttp.ClientSession() as http:

                async def ready() -> bool:
                    with suppress(aiohttp.ClientError):
                        async with http.get(f"http://127.0.0.1:{port}/readiness") as response:
                            return response.status == 200
                    return False

                await wait_until(ready, 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            await process.wait()


async def post(http: aiohttp.ClientSession, url: str, person: str, messages: list[dict[str, Any]]) -> None:
    """One question through the gateway, with the header that keeps a person together."""
    body = {"model": "stub", "messages": messages, "stream": True, "max_tokens": 9}
    async with http.post(f"{url}/v1/chat/completions", json=body, headers={"X-SMG-Routing-Key": person}) as response:
        await response.read()


async def direct(engines: Engines, person: str, messages: list[dict[str, Any]]) -> None:
    """One question as the worker sends it."""
    stream = engines.stream(messages, rid="0" * 32, salt=person, max_tokens=9, generation=Generation())
    async for _ in stream:
        pass


async def visit(send: Send, person: str, at: float, chance: random.Random) -> None:
    """One person's conversation."""
    await asyncio.sleep(at)
    photo = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{b64encode(person.encode()).decode()}"}}
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for turn in range(TURNS):
        words = {"type": "text", "text": f"{'What is this?' if turn == 0 else f'And {chance.random()}?'}"}
        messages.append({"role": "user", "content": [photo, words] if turn == 0 else [words]})
        await send(person, messages)
        messages.append({"role": "assistant", "content": f"An answer {chance.random()}."})
        await asyncio.sleep(chance.expovariate(5.0))


def judge(engines: list[StubEngine]) -> dict[str, float]:
    """Affinity and evenness of what the engines were asked."""
    asked = [(number, request) for number, engine in enumerate(engines) for request in engine.requests]
    seen = sorted((request.at, number, request.pictures()[0]) for number, request in asked)
    last: dict[bytes, int] = {}
    later = kept = 0
    for _, number, person in seen:
        if person in last:
            later, kept = later + 1, kept + (last[person] == number)
        last[person] = number
    counts = [len(engine.requests) for engine in engines]
    return {
        "affinity": round(kept / later, 4), "fuller_share": round(max(counts) / sum(counts), 3),
        "peak": max(engine.peak for engine in engines), "questions": len(seen),
    }  # fmt: skip


async def crowd(send: Send, people: int, seconds: float) -> None:
    """Everybody, arriving evenly at random."""
    chance = random.Random(7)
    visits = (visit(send, f"person {number}", chance.random() * seconds, chance) for number in range(people))
    await asyncio.gather(*visits)


async def arriving(http: aiohttp.ClientSession, url: str, engines: list[StubEngine]) -> dict[str, Any]:
    """What of our requests comes through."""
    fields = {"rid": "r", "cache_salt": "s", "temperature": 0.7, "top_k": 20, "min_p": 0, "max_tokens": 9}
    body = {"model": "stub", "messages": [{"role": "user", "content": "hi"}], "stream": True, **fields}
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        await response.read()
    (request,) = [request for engine in engines for request in engine.requests]
    paths: dict[str, int] = {}
    for path, sent in {"/tokenize": {"prompt": "x"}, "/abort_request": {"rid": "r"}, "/server_info": None}.items():
        call = http.post(url + path, json=sent) if sent else http.get(url + path)
        async with call as response:
            paths[path] = response.status
    for engine in engines:
        engine.requests.clear()
        engine.fail("refuse", times=10)
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        await response.read()
    tries = sum(len(engine.requests) for engine in engines)
    return {"dropped": sorted(fields.keys() - request.body.keys()), "statuses": paths, "tries_of_one": tries}


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=".venv-gateway/bin/python")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    python, found = str(Path(options.python).absolute()), dict[str, Any]()
    for name, flags in {"the worker": (), **POLICIES}.items():
        async with AsyncExitStack() as held:
            make = partial(StubEngine, delay=0.03, first_delay=0.1, slots=SLOTS)
            engines = [await held.enter_async_context(make()) for _ in range(2)]
            if flags:
                url = await held.enter_async_context(gateway(python, engines, *flags))
                http = await held.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
                send: Send = partial(post, http, url)
            else:
                both = Engines([partial(EngineAddress, engine.url) for engine in engines])
                await (await held.enter_async_context(both)).probe()
                send = partial(direct, both)
            await crowd(send, options.people, options.seconds)
            found[name] = judge(engines)
        say(f"{name}: {found[name]}")
    async with AsyncExitStack() as held:
        engines = [await held.enter_async_context(StubEngine()) for _ in range(2)]
        url = await held.enter_async_context(gateway(python, engines, "--policy", "round_robin"))
        http = await held.enter_async_context(aiohttp.ClientSession())
        arrived = await arriving(http, url, engines)
    finish("gateway", {"two_engines": found, "behind_the_gateway": arrived}, {})


if __name__ == "__main__":
    asyncio.run(main())
