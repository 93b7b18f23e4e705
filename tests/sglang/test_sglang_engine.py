"""The engine's client on real SGLang: what the played engine says in its tests is what the real one does."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from PIL import Image

from inference.engine import Engine, EngineAddress
from inference.prompt import SYSTEM, messages
from inference.stream import EngineDown, EngineRefused, Generation
from storage.messages import Model, Photo, Quote, Turn
from storage.vision import PixelLimits, fit, image_tokens
from tests.emulators.server import Json
from tests.inference.counting import check_counts, counted
from tests.inference.turns import picture
from tests.sglang.server import SLOTS, SGLang

pytestmark = pytest.mark.timeout(300)  # the first test waits for the server

ROOM = 100  # tokens of an answer that goes on and on
NOISE = random.Random(5).randbytes(3 * 128 * 128)


def streaming(
    engine: Engine, sent: Sequence[Json], *, salt: str = "", rid: str = "", tokens: int = 16,
    generation: Generation | None = None,
) -> AsyncGenerator[str]:  # fmt: skip
    """An answer's stream; without a salt the request finds no other one's cache."""
    return engine.stream(
        sent, rid=rid or uuid.uuid4().hex, salt=salt or uuid.uuid4().hex, max_tokens=tokens,
        generation=generation or Generation(),
    )  # fmt: skip


async def told(engine: Engine, sent: Sequence[Json], **options: Any) -> tuple[str, Generation]:
    """The whole answer and its figures."""
    generation = Generation()
    async with aclosing(streaming(engine, sent, generation=generation, **options)) as stream:
        return "".join([text async for text in stream]), generation


def asked(text: str, *photos: tuple[Photo, bytes]) -> list[Json]:
    """A question as the worker sends it."""
    turn = Turn("user", text, tuple(photo for photo, _ in photos))
    return messages([turn], {photo.sha256: data for photo, data in photos})


def plain(colour: str, size: tuple[int, int] = (320, 192)) -> tuple[Photo, bytes]:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return Photo(colour, "image/png", *size, len(file.getvalue())), file.getvalue()


async def test_it_says_of_itself_what_it_serves(sglang: SGLang, engine: Engine):
    assert await engine.probe() == Model("askpix-demo", sglang.context, SLOTS, *sglang.pixels)


async def test_a_wrong_key_may_be_mended_and_is_no_fault_of_the_asks(sglang: SGLang):
    async with Engine(lambda: EngineAddress(sglang.address.url, "wrong")) as engine:
        for call in (engine.probe, lambda: told(engine, asked("Hello"))):
            with pytest.raises(EngineDown) as caught:
                await call()
            assert (str(caught.value), caught.value.started) == ("HTTP 401", False)


@pytest.mark.usefixtures("endless")
async def test_an_answer_comes_piece_by_piece_with_its_figures(engine: Engine):
    generation, sent = Generation(), asked("Hello")
    async with aclosing(streaming(engine, sent, tokens=40, generation=generation)) as stream:
        pieces = [text async for text in stream]
    assert len(pieces) > 10 and all(pieces)
    prompt = await counted(engine, [Turn("user", "Hello")], {})
    assert generation == Generation(prompt, 0, 40, "length")


@pytest.mark.usefixtures("demo")
async def test_an_answer_that_is_said_ends_with_stop(engine: Engine):
    text, generation = await told(engine, asked("Hello"), tokens=200)
    assert text and generation.finish == "stop" and generation.tokens < 200


async def test_every_prompt_with_up_to_six_photos_is_counted_exactly(engine: Engine):
    await check_counts(engine, seed=7, conversations=60)  # its photos have sizes that the rule gives


@pytest.mark.parametrize("shape", [(20, 20), (4000, 3000), (20, 3000), (3000, 20), (300, 1000), (100, 100)])
async def test_a_photo_of_any_shape_costs_what_the_rule_says(sglang: SGLang, engine: Engine, shape: tuple[int, int]):
    size = fit(*shape, PixelLimits(*sglang.pixels))  # as the intake does
    shown = plain("red", size)
    _, bare = await told(engine, asked("x"), tokens=1)
    _, with_photo = await told(engine, asked("x", shown), tokens=1)
    assert with_photo.prompt_tokens - bare.prompt_tokens == image_tokens(*size)


@pytest.mark.usefixtures("demo")
async def test_two_photos_are_seen_in_their_order(engine: Engine):
    for first, second in (("red", "blue"), ("blue", "red")):
        text, _ = await told(engine, asked("What colours are these?", plain(first), plain(second)), tokens=100)
        assert 0 <= text.lower().find(first) < text.lower().find(second), text


async def test_a_follow_up_finds_all_that_came_before_in_the_cache(engine: Engine):
    photo, data = picture(320, 192, 3)
    turns, kept, salt = [Turn("user", "What is this?", (photo,))], {photo.sha256: data}, uuid.uuid4().hex
    text, first = await told(engine, messages(turns, kept), salt=salt)
    assert first.cached_tokens == 0
    turns += [Turn("assistant", text), Turn("user", "And now?")]
    _, second = await told(engine, messages(turns, kept), salt=salt)
    assert second.cached_tokens >= first.prompt_tokens - 1


async def test_what_is_quoted_comes_behind_all_that_is_cached(engine: Engine):
    photo, data = picture(320, 192, 3)
    other, other_data = picture(256, 256, 4)
    turns, kept = [Turn("user", "What is this?", (photo,))], {photo.sha256: data, other.sha256: other_data}
    salt = uuid.uuid4().hex
    text, first = await told(engine, messages(turns, kept), salt=salt)
    turns += [Turn("assistant", text), Turn("user", "And this?", quote=Quote("look", (other, photo)))]
    _, second = await told(engine, messages(turns, kept), salt=salt)
    assert second.cached_tokens >= first.prompt_tokens - 1
    assert second.prompt_tokens == await counted(engine, turns, kept)


async def test_the_cache_knows_another_person_and_another_photo(engine: Engine):
    salt, sent = uuid.uuid4().hex, asked("What is this?", picture(320, 192, 3))
    await told(engine, sent, salt=salt)
    _, stranger = await told(engine, sent)
    assert stranger.cached_tokens == 0
    _, other = await told(engine, asked("What is this?", picture(320, 192, 5)), salt=salt)
    before = await engine.count(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|vision_start|>")
    assert other.cached_tokens <= before


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("how", ["close", "cancel", "abort"])
async def test_the_slot_of_an_answer_that_nobody_wants_goes_to_the_next(engine: Engine, how: str):
    sent = asked("Hello")

    async def begun(stream: AsyncGenerator[str]) -> str:
        return await anext(stream)

    async def read(stream: AsyncGenerator[str]) -> None:
        async for _ in stream:
            pass

    rid = uuid.uuid4().hex
    async with (
        aclosing(streaming(engine, sent, rid=rid, tokens=5 * ROOM)) as left,
        aclosing(streaming(engine, sent, tokens=5 * ROOM)) as stays,
        aclosing(streaming(engine, sent, tokens=ROOM)) as waits,
    ):
        await begun(left)
        await begun(stays)
        waiting = asyncio.create_task(begun(waits))
        for _ in range(ROOM):
            await anext(stays)
        assert not waiting.done(), "there were slots for all three"
        if how == "close":
            await left.aclose()
        elif how == "cancel":
            reading = asyncio.create_task(read(left))
            await asyncio.sleep(0)  # let it begin to read
            reading.cancel()
            await asyncio.wait([reading])
        else:
            await engine.abort(rid)
            with pytest.raises(EngineDown):
                await read(left)
        assert await waiting
        assert await anext(stays), "the neighbour goes on"


@pytest.mark.usefixtures("endless")
async def test_a_full_queue_does_not_count_against_the_ask(engine: Engine):
    async with asyncio.timeout(60):
        results = await asyncio.gather(
            *(told(engine, asked("Hello"), tokens=ROOM) for _ in range(8)), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, EngineDown)]
    assert {(str(error), error.started) for error in refused} == {("HTTP 503", False)}
    assert all(isinstance(result, tuple) for result in results if result not in refused)


def cut_short(kind: str) -> bytes:
    """A photo whose second half is missing."""
    file = io.BytesIO()
    Image.frombytes("RGB", (128, 128), NOISE).save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


@pytest.mark.parametrize(
    "data", [b"no picture", b"", b"GIF89a", cut_short("PNG"), cut_short("JPEG")],
    ids=["text", "nothing", "a head", "half a PNG", "half a JPEG"],
)  # fmt: skip
async def test_a_bad_photo_is_refused_for_good_and_the_next_ask_is_served(engine: Engine, data: bytes):
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    sent = [*asked("x")[:1], {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    with pytest.raises(EngineRefused):
        await told(engine, sent)
    _, generation = await told(engine, asked("x"), tokens=1)
    assert generation.tokens == 1


async def test_a_prompt_over_the_context_is_refused_for_good_and_one_below_it_is_served(sglang: SGLang, engine: Engine):
    most = sglang.context - 8
    words = " a" * (most - await counted(engine, [Turn("user", "")], {}))
    size = await counted(engine, [Turn("user", words)], {})
    assert size == most
    _, generation = await told(engine, asked(words), tokens=8)
    assert generation.prompt_tokens == most and 0 < generation.tokens <= 8
    for more in (8, 9, 10_000):
        with pytest.raises(EngineRefused):
            await told(engine, asked(words + " a" * more), tokens=1)
