"""A conversation over many questions: what the engine is given of it, byte by byte, and what its person is told."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from msgspec import structs

from inference import worker as module
from inference.engine import Engine, EngineAddress
from inference.prompt import GONE
from inference.worker import Worker
from storage import keys
from storage.messages import Done, Failed, Photo, Quote, View
from storage.settings import CannotRun
from tests.emulators.engine import StubEngine
from tests.emulators.server import Json
from tests.inference.counting import check_counts, counted
from tests.inference.desk import Desk, open_desk
from tests.inference.test_worker import working
from tests.inference.turns import conversation, picture
from tests.waiting import wait_until

ANSWER = "A blue square."
ONE, ONE_BYTES = picture(64, 64, 1)
CHAT = "telegram:1:chat"


async def keep(desk: Desk, kept: dict[str, bytes], person: str = "telegram:1") -> None:
    for sha256, data in kept.items():
        await desk.stores.images.put(person, Photo(sha256, "image/png", 64, 64, len(data)), data)


def sent(desk: Desk, at: int = -1) -> list[Json]:
    return desk.stub.requests[at].body["messages"]


@pytest.mark.parametrize("seed", range(6))
async def test_every_prompt_begins_with_the_one_before_it_until_whole_turns_are_dropped_at_once(desk: Desk, seed: int):
    """With photos, albums and quotes, whatever is asked: only then does the engine find all of it in its cache."""
    rng = random.Random(seed)
    desk.stub.context = rng.choice((2_000, 4_000))
    turns, kept = conversation(rng, 40)
    await keep(desk, kept)
    before: list[Json] = []
    trims = gone = 0
    for number, turn in enumerate(turns[::2]):
        asked = [photo for photo in turn.photos if photo.sha256 in kept]
        quoted = turn.quote and Quote(turn.quote.text, tuple(p for p in turn.quote.photos if p.sha256 in kept))
        event = await desk.run(str(number), turn.text, photos=tuple(asked), quote=quoted)
        assert isinstance(event, Done), event
        now, answer = sent(desk), {"role": "assistant", "content": ANSWER}
        whole = [*before, answer, now[-1]] if before else now
        view = await desk.stores.history.view(CHAT)
        assert view and view.turns == sum(message["role"] == "user" for message in now)
        if now != whole:
            trims += 1
            dropped = len(whole) - len(now)
            assert now == whole[:1] + whole[1 + dropped :], "from the front, and nothing is said in another way"
            assert dropped % 2 == 0 and view.dropped == dropped // 2
            gone = number - view.turns
        assert len(await desk.history()) == 2 * view.turns, "what is not given again is not kept"
        before = now
    assert trims > 1 and gone > 0, "the context was never full"


async def test_what_is_quoted_comes_into_the_newest_turn_and_changes_none_before(desk: Desk):
    await keep(desk, {ONE.sha256: ONE_BYTES})
    await desk.run("a", "one", photos=(ONE,))
    await desk.run("b", "two")
    await desk.run("c", "three", quote=Quote("one", (ONE,)))
    assert sent(desk)[:-1] == [*sent(desk, 1), {"role": "assistant", "content": ANSWER}]
    *_, newest = sent(desk)
    assert [part["type"] for part in newest["content"]] == ["image_url", "text"]
    assert newest["content"][1]["text"] == "They quote this message:\none\n\nthree"


async def test_a_photo_that_expires_is_told_in_the_same_words_from_then_on(desk: Desk):
    await keep(desk, {ONE.sha256: ONE_BYTES})
    await desk.run("a", "what is it?", photos=(ONE,))
    assert await desk.stores.history.view(CHAT) == await seen(desk, turns=1, photos=1)
    await desk.stores.redis.pexpire(keys.photo("telegram:1", ONE.sha256), 1)

    async def expired() -> bool:
        return not await desk.stores.redis.exists(keys.photo("telegram:1", ONE.sha256))

    await wait_until(expired)
    for id in "bc":
        await desk.run(id, "and now?")
        assert sent(desk)[1] == {"role": "user", "content": f"{GONE}\nwhat is it?"}
    assert sent(desk)[:4] == sent(desk, 1), "the engine's cache holds"
    assert await desk.stores.history.view(CHAT) == await seen(desk, turns=3, photos=0)


async def seen(desk: Desk, turns: int, photos: int) -> View:
    """The record of the newest prompt, counted again."""
    model = await desk.engine.probe()
    *prompt, _ = await desk.history()
    tokens = await counted(desk.engine, prompt, {ONE.sha256} if photos else ())
    return View(turns, photos, tokens + 3, model.context - 4096)  # the played engine's answer has three tokens


async def test_a_damaged_turn_takes_nothing_else_with_it(desk: Desk):
    await desk.run("a", "one")
    await desk.run("b", "two")
    await desk.stores.redis.lset(keys.history(CHAT), 2, b'{"role":"user","te')
    await desk.run("c", "three")
    assert [message["content"] for message in sent(desk)[1:]] == ["one", ANSWER, ANSWER, "three"]


async def test_two_questions_of_one_user_on_two_platforms_are_answered_at_once_and_apart(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PROBE_EVERY", 0.1)
    gate = asyncio.Event()

    async def reply(body: Json) -> AsyncGenerator[str]:
        await gate.wait()
        yield f"about {body['messages'][-1]['content']}"

    desk.stub.reply = reply
    async with working(desk):
        for person in ("telegram:1", "discord:1"):
            await desk.ask(person, person, person=person)
        await desk.stub.until(lambda: desk.stub.running == 2)
        gate.set()
        for person in ("telegram:1", "discord:1"):
            done = await desk.final(person)
            assert isinstance(done, Done) and done.text == f"about {person}"
            turns = await desk.stores.history.read(f"{person}:chat", 0)
            assert [turn.text for turn in turns] == [person, f"about {person}"]
    assert all(len(request.body["messages"]) == 2 for request in desk.stub.requests)


async def test_two_at_once_of_one_who_joined_two_platforms_are_answered_in_turn_and_apart(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """One lane, but two conversations: neither sees or trims the other's turns."""
    monkeypatch.setattr(module, "PROBE_EVERY", 0.1)
    chats = [f"{platform}:1:1" for platform in ("telegram", "discord")]
    async with working(desk):
        for chat in chats:
            await desk.ask(chat, chat, conversation=chat)
        for chat in chats:
            assert isinstance(await desk.final(chat), Done)
            assert [turn.text for turn in await desk.stores.history.read(chat, 0)] == [chat, ANSWER]
            view = await desk.stores.history.view(chat)
            assert view and view.turns == 1
    assert desk.stub.peak == 1


async def test_a_clock_that_jumps_moves_no_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    real = time.time
    for number, jump in enumerate((0, 400 * keys.DAY, -400 * keys.DAY, 0)):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        await desk.run(str(number), f"question {number}")
    asked = [message["content"] for message in sent(desk)[1:] if message["role"] == "user"]
    assert asked == [f"question {number}" for number in range(4)]


async def test_emoji_alone_and_a_hundred_thousand_characters(
    store_url: str, redis: Any, embedded_engine: EngineAddress
):
    async with open_desk(store_url, StubEngine(), embedded_engine) as desk:
        assert isinstance(await desk.run("a", "😀👩\u200d👩\u200d👧🏳️\u200d🌈" * 5), Done)
        for id, letters in (("b", "word " * 20_000), ("c", "😀" * 100_000), ("d", "照" * 100_000)):
            failed = await desk.run(id, letters)
            assert isinstance(failed, Failed) and failed.code == "too_long"
        assert isinstance(await desk.run("e", "Hello"), Done)
        view = await desk.stores.history.view(CHAT)
        assert view and view.turns == 2, "what was refused is no turn"


async def test_by_how_much_a_question_is_too_long_is_exact_on_the_engine(
    store_url: str, redis: Any, embedded_engine: EngineAddress
):
    async with open_desk(store_url, StubEngine(), embedded_engine) as desk:
        failed = await desk.run("a", "a" + " a" * 99_999)
        assert isinstance(failed, Failed)
        fits = 100_000 - int(failed.args["over"])
        assert await desk.run("b", "a" + " a" * fits) == Failed("too_long", {"over": 1})
        assert isinstance(await desk.run("c", "a" + " a" * (fits - 1)), Done)


async def test_every_prompt_with_up_to_six_photos_is_counted_exactly(embedded_engine: EngineAddress):
    async with Engine(lambda: embedded_engine) as engine:
        await check_counts(engine, seed=11, conversations=30)


async def test_a_context_below_the_system_prompt_stops_the_worker_before_it_takes_an_ask(desk: Desk):
    desk.stub.context = 20
    await desk.ask("a")
    worker = Worker("w", desk.engine, desk.stores.queue, desk.answerer, desk.stores.health)
    with pytest.raises(CannotRun, match="context_too_small") as caught:
        await asyncio.wait_for(worker.run(asyncio.Event()), 5)
    assert caught.value.details["context"] == "20"
    assert (await desk.stores.queue.counts())["queued"] == 1, "it waits for a worker that can"
    assert await desk.stores.health.model() is None
    model = structs.replace(await desk.engine.probe(), context=int(caught.value.details["least"]))
    await desk.answerer.check(model)
    with pytest.raises(CannotRun, match="context_too_small"):
        await desk.answerer.check(structs.replace(model, context=model.context - 1))
