"""One ask, top to bottom, over a real store and a played engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from inference.answer import COALESCE, FenceLost, Stop
from inference.prompt import GONE, OPENING, SYSTEM
from inference.stream import EngineDown
from storage.messages import Cancelled, Done, Failed, Quote, Turn
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.inference.desk import Desk, open_desk
from tests.inference.turns import picture
from tests.waiting import wait_until

ANSWER = "A blue square."
ONE, ONE_BYTES = picture(64, 64, 1)
TWO, TWO_BYTES = picture(320, 192, 2)


def texts(messages: list[Json]) -> list[Any]:
    """Roles and texts of a request, without the system prompt; a photo is None."""
    return [
        (m["role"], m["content"] if isinstance(m["content"], str) else [part.get("text") for part in m["content"]])
        for m in messages[1:]
    ]


def talk(desk: Desk) -> None:
    """Let the engine say "word" a thousand times, which takes ten seconds."""
    desk.stub.reply = lambda _: ["word "] * 1000
    desk.stub.delay = 0.01


async def keep(desk: Desk, *photos: Any, person: str = "telegram:1") -> None:
    for photo, data in photos:
        await desk.stores.images.put(person, photo, data)


async def test_an_engine_that_is_down_closes_nothing(desk: Desk):
    await desk.ask("a")
    claim, model = await desk.claim(), await desk.engine.probe()
    await desk.stub.stop()
    with pytest.raises(EngineDown):
        await desk.answerer.answer(claim, model, Stop())
    assert await desk.finals() == {}
    assert await desk.stores.queue.renew([claim]) == ["ok"]


async def test_an_engine_that_refuses_is_no_answer_and_no_turn(desk: Desk):
    desk.stub.fail("bad_request")
    assert await desk.run("a") == Failed("engine_refused")
    assert await desk.history() == []


async def test_a_question_that_is_too_long_is_told_by_how_much(desk: Desk):
    desk.stub.context = 1024
    assert await desk.run("a", "x" * 600) == Done(ANSWER, tokens=3, seconds=pytest.approx(0, abs=2))  # pyright: ignore[reportArgumentType] : approx has no types
    failed = await desk.run("b", "x" * 2000)
    assert isinstance(failed, Failed) and failed.code == "too_long"
    fits = 2000 - int(failed.args["over"])
    assert isinstance(await desk.run("c", "x" * fits), Done)
    assert isinstance(await desk.run("d", "x" * (fits + 1)), Failed)


async def test_an_answer_may_take_every_token_that_the_prompt_leaves(store_url: str, redis: Any):
    class Words(StubEngine):
        async def _tokenize(self, http: web.Request) -> web.Response:
            return web.json_response({"tokens": (await http.json())["prompt"].split()})

    async with Words() as stub, open_desk(store_url, stub) as desk:
        await desk.run("a", "Hello there")
    system, opening = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", OPENING
    question = "<|im_start|>user\nHello there<|im_end|>\n"
    prompt = sum(len(text.split()) for text in (system, opening, question))
    assert stub.requests[0].body["max_tokens"] == stub.context - prompt


async def test_a_photo_that_is_gone_is_told(desk: Desk):
    await keep(desk, (ONE, ONE_BYTES))
    assert await desk.run("a", photos=(ONE, TWO)) == Failed("photo_gone")
    assert await desk.run("b", quote=Quote("look", (TWO,))) == Failed("photo_gone")
    assert not desk.stub.requests


async def test_another_persons_photo_is_never_sent(desk: Desk):
    await keep(desk, (ONE, ONE_BYTES), person="telegram:2")
    assert await desk.run("a", photos=(ONE,)) == Failed("photo_gone")


async def test_an_earlier_photo_that_is_gone_leaves_a_mark(desk: Desk):
    await keep(desk, (ONE, ONE_BYTES))
    await desk.run("a", photos=(ONE,))
    await desk.stores.images.forget("telegram:1")
    await desk.run("b", "and now?")
    assert texts(desk.stub.requests[-1].body["messages"])[0] == ("user", f"{GONE}\nquestion a")


async def test_photos_and_words_reach_the_engine_in_their_order(desk: Desk):
    await keep(desk, (ONE, ONE_BYTES), (TWO, TWO_BYTES))
    await desk.run("a", "Which?", photos=(TWO, ONE), quote=Quote("these", (ONE,)))
    request = desk.stub.requests[0]
    assert request.pictures() == [ONE_BYTES, TWO_BYTES, ONE_BYTES]
    quoted = "They quote this message:\nthese\n\n"
    assert texts(request.body["messages"]) == [("user", [None, quoted, None, None, "Which?"])]


async def test_the_conversation_so_far_goes_before_the_question(desk: Desk):
    await desk.run("a", "one")
    await desk.run("b", "two")
    asked = texts(desk.stub.requests[-1].body["messages"])
    assert asked == [("user", "one"), ("assistant", ANSWER), ("user", "two")]
    assert [turn.text for turn in await desk.history()] == ["one", ANSWER, "two", ANSWER]


async def test_an_ask_from_before_a_fresh_start_sees_and_leaves_nothing(desk: Desk):
    await desk.run("a", "one")
    await desk.ask("b", "two")
    await desk.stores.history.restart("telegram:1:chat")
    await desk.answerer.answer(await desk.claim(), await desk.engine.probe(), Stop())
    assert isinstance(await desk.final("b"), Done)
    assert texts(desk.stub.requests[-1].body["messages"]) == [("user", "two")]
    assert await desk.stores.history.read("telegram:1:chat", 1) == []


async def test_a_full_context_drops_the_oldest_turns(desk: Desk):
    desk.stub.context = 1024
    for number in range(8):
        assert isinstance(await desk.run(str(number), f"{number}" * 100), Done)
    request = desk.stub.requests[-1]
    asked = texts(request.body["messages"])
    assert asked[0][0] == "user" and asked[-1] == ("user", "7" * 100)
    assert 1 < len(asked) < 15
    assert len(await desk.history()) == len(asked) + 1


async def test_an_answer_that_fills_the_context_is_marked_as_cut(store_url: str, redis: Any):
    class Cutting(StubEngine):
        def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
            return super()._chunk(delta, finish and "length")

    async with Cutting() as stub, open_desk(store_url, stub) as desk:
        done = await desk.run("a")
    assert isinstance(done, Done) and done.cut and done.text == ANSWER


async def test_a_model_with_nothing_to_say_is_done_and_leaves_no_turn(desk: Desk):
    desk.stub.reply = lambda _: ()
    done = await desk.run("a")
    assert isinstance(done, Done) and done.text == ""
    assert await desk.history() == []


async def test_the_first_piece_goes_out_at_once(desk: Desk):
    gate = asyncio.Event()

    async def reply(_: Json) -> AsyncGenerator[str]:
        yield "first"
        await gate.wait()
        yield " second"

    desk.stub.reply = reply
    await desk.ask("a")
    claim = await desk.claim()
    answering = asyncio.create_task(desk.answerer.answer(claim, await desk.engine.probe(), Stop()))
    await desk.begun(claim)
    assert await desk.text(claim) == "first"
    await wait_until(lambda: [delta.text for _, delta in desk.deltas("a")] == ["first"])
    gate.set()
    figures = await answering
    assert figures.first is not None and figures.first < figures.seconds
    assert (figures.generation.tokens, figures.generation.finish) == (2, "stop")
    assert await desk.final("a") == Done("first second", tokens=2, seconds=figures.seconds)


async def test_later_pieces_are_put_together(desk: Desk):
    pieces = [f"{number} " for number in range(60)]
    desk.stub.reply = lambda _: pieces
    desk.stub.delay = 0.01
    done = await desk.run("a")
    deltas = desk.deltas("a")
    assert isinstance(done, Done) and done.text == "".join(pieces)
    assert 2 <= len(deltas) <= done.seconds / COALESCE + 2
    assert deltas[0][1].text == pieces[0]
    offset = 0
    for _, delta in deltas:  # no byte twice and none left out
        assert delta.offset == offset
        offset += len(delta.text.encode())
    assert done.text.startswith("".join(delta.text for _, delta in deltas))


async def test_a_stop_in_mid_answer_keeps_the_text_and_frees_the_engine(desk: Desk):
    talk(desk)
    ask = await desk.ask("a", "Tell me")
    claim, stop = await desk.claim(), Stop()
    answering = asyncio.create_task(desk.answerer.answer(claim, await desk.engine.probe(), stop))
    await wait_until(lambda: len(desk.deltas("a")) > 1)
    began = time.monotonic()
    for _ in range(50):  # by the channel, by a renewal, by an impatient thumb: at any moment of the way out
        stop.request()
        await asyncio.sleep(0)
    await desk.stub.until(lambda: desk.stub.disconnects and desk.stub.aborts, 1)
    await answering
    stop.request()
    assert time.monotonic() - began < 1
    cancelled = await desk.final("a")
    assert isinstance(cancelled, Cancelled) and cancelled.text.startswith("word word")
    asked = structs.replace(ask.question, ask="a")
    assert await desk.history() == [asked, Turn("assistant", cancelled.text, stopped=True, ask="a")]
    assert desk.stub.aborts == [desk.stub.requests[0].body["rid"]]
    assert cancelled.text.startswith("".join(delta.text for _, delta in desk.deltas("a")))


async def test_a_stop_before_the_first_word_leaves_no_turn(desk: Desk):
    desk.stub.first_delay = 30
    await desk.ask("a")
    stop = Stop()
    answering = asyncio.create_task(desk.answerer.answer(await desk.claim(), await desk.engine.probe(), stop))
    await desk.stub.until(lambda: desk.stub.running)
    stop.request()
    await answering
    assert await desk.final("a") == Cancelled("")
    assert await desk.history() == []
    await desk.stub.until(lambda: not desk.stub.running, 1)


async def test_a_stop_before_the_engine_is_reached_is_felt(desk: Desk):
    desk.stub.first_delay = 30
    await desk.ask("a")
    stop = Stop()
    stop.request()
    await desk.answerer.answer(await desk.claim(), await desk.engine.probe(), stop)
    assert await desk.final("a") == Cancelled("")


async def test_an_ask_that_another_worker_took_is_left_alone(desk: Desk):
    talk(desk)
    await desk.ask("a")
    claim = await desk.claim()
    answering = asyncio.create_task(desk.answerer.answer(claim, await desk.engine.probe(), Stop()))
    await desk.begun(claim)
    await desk.stores.queue.release(claim)
    other = await desk.claim("another")
    with pytest.raises(FenceLost):
        await answering
    await desk.stub.until(lambda: desk.stub.disconnects and not desk.stub.running, 1)
    assert other.fence > claim.fence
    assert await desk.text(other) == "" and await desk.finals() == {}
    assert await desk.history() == []


async def test_a_fence_that_is_lost_at_the_very_end_closes_nothing(desk: Desk):
    gate = asyncio.Event()

    async def reply(_: Json) -> AsyncGenerator[str]:
        await gate.wait()
        for _ in ():
            yield ""

    desk.stub.reply = reply
    await desk.ask("a")
    claim = await desk.claim()
    answering = asyncio.create_task(desk.answerer.answer(claim, await desk.engine.probe(), Stop()))
    await desk.stub.until(lambda: desk.stub.running)
    await desk.stores.queue.release(claim)
    gate.set()
    with pytest.raises(FenceLost):
        await answering
    assert await desk.finals() == {}


async def test_a_retried_request_is_a_new_one_to_the_engine_and_persons_are_kept_apart(desk: Desk):
    await desk.ask("a")
    await desk.stores.queue.release(await desk.claim())
    await desk.answerer.answer(await desk.claim(), await desk.engine.probe(), Stop())
    await desk.run("b", person="telegram:2")
    await desk.run("c", person="telegram:2")
    rids = [request.body["rid"] for request in desk.stub.requests]
    salts = [request.body["cache_salt"] for request in desk.stub.requests]
    assert len(set(rids)) == 3 and {len(rid) for rid in rids} == {32}
    assert salts[0] != salts[1] == salts[2]
    assert not any("telegram" in salt for salt in salts)
