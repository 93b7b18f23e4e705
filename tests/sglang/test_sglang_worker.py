"""The worker on real SGLang, from the queue to the replies: the same worker that the played engine tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inference import engine as module
from storage.messages import Cancelled, Done, Failed, Photo, Started
from tests.emulators.telegram import TelegramEmulator
from tests.inference.desk import Desk
from tests.inference.test_worker import engine_is, working
from tests.inference.turns import picture
from tests.service import askpix_up
from tests.sglang.server import SLOTS, SGLang
from tests.sglang.test_sglang_engine import plain
from tests.test_conversation import picture as photo_file
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # the first test waits for the server, one of them for its return

COLOURS = ("red", "green", "blue", "yellow")
ANSWERED = 60.0  # seconds; two slots, and a machine with other work


async def keep(desk: Desk, *photos: tuple[Photo, bytes], person: str = "telegram:1") -> tuple[Photo, ...]:
    """Store these photos as the intake does."""
    for photo, data in photos:
        await desk.stores.images.put(person, photo, data)
    return tuple(photo for photo, _ in photos)


async def done(desk: Desk, id: str, seconds: float = ANSWERED) -> Done:
    """The whole answer of this ask."""
    event = await desk.final(id, seconds)
    assert isinstance(event, Done), event
    return event


def fences(desk: Desk, id: str) -> list[int]:
    """The lives of one ask, as a platform hears of them."""
    return [notice.event.fence for _, notice in desk.notices if notice.id == id and isinstance(notice.event, Started)]


def last_text(desk: Desk, id: str) -> str:
    """What a platform that listens has read of the newest life."""
    deltas = [delta for _, delta in desk.deltas(id)]
    return "".join(delta.text for delta in deltas if delta.fence == deltas[-1].fence)


def begun(desk: Desk, *ids: str) -> bool:
    return all(desk.deltas(id) for id in ids)


async def test_asks_are_answered_and_the_model_that_runs_is_known(sglang: SGLang, desk: Desk):
    ids = [str(number) for number in range(3 * SLOTS)]
    for id in ids:
        photos = await keep(desk, picture(320, 192, int(id)), person=f"telegram:{id}")
        await desk.ask(id, "What is this?", person=f"telegram:{id}", photos=photos)
    async with working(desk) as worker:
        for id in ids:
            answer = await done(desk, id)
            assert answer.tokens > 0 and answer.text.startswith(last_text(desk, id))
            assert fences(desk, id) == [1]
        assert engine_is(worker, "up") and worker.figures()["slots"] == SLOTS
    model = await desk.stores.health.model()
    assert model and (model.context, model.min_pixels, model.max_pixels) == (sglang.context, *sglang.pixels)


@pytest.mark.usefixtures("demo")
async def test_everybody_is_told_of_their_own_photo(desk: Desk):
    wrong: list[str] = []
    async with working(desk):
        for number, colour in enumerate(4 * COLOURS):
            person = f"telegram:{number}"
            photos = await keep(desk, plain(colour), person=person)
            await desk.ask(person, "What colour is this?", person=person, photos=photos)
        for number, colour in enumerate(4 * COLOURS):
            text = (await done(desk, f"telegram:{number}")).text.lower()
            if [name for name in COLOURS if name in text] != [colour]:
                wrong.append(f"{colour}: {text}")
    assert wrong == []


@pytest.mark.usefixtures("demo")
async def test_a_follow_up_still_sees_the_photo(desk: Desk):
    async with working(desk):
        await desk.ask("a", "What colour is this?", photos=await keep(desk, plain("blue")))
        await desk.ask("b", "What colour was it?")
        assert "blue" in (await done(desk, "a")).text.lower()
        assert "blue" in (await done(desk, "b")).text.lower()
    assert len(await desk.history()) == 4


@pytest.mark.usefixtures("endless")
async def test_who_stops_keeps_what_was_written_and_frees_the_slot(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    ids = [str(number) for number in range(SLOTS)]
    async with working(desk):
        for id in ids:
            await desk.ask(id, "Hello", person=f"telegram:{id}")
        await wait_until(lambda: begun(desk, *ids), ANSWERED)
        monkeypatch.undo()
        await desk.ask("next", "Hello", person="telegram:next")
        assert await desk.stores.queue.cancel("telegram:0", id="0") == 1
        cancelled = await desk.final("0", 5)
        assert isinstance(cancelled, Cancelled) and cancelled.text.startswith(last_text(desk, "0"))
        await done(desk, "next")
        assert "1" not in await desk.finals(), "its neighbour goes on"
        await desk.stores.queue.cancel("telegram:1", id="1")
        await desk.final("1", 5)


async def test_a_bad_photo_is_one_asks_end_and_not_the_next_ones(desk: Desk):
    photo, _ = picture(64, 64, 1)
    photos = await keep(desk, (photo, b"no picture"))
    async with working(desk):
        await desk.ask("bad", "What is this?", photos=photos)
        await desk.ask("good", "Hello")
        assert await desk.final("bad", ANSWERED) == Failed("engine_refused")
        await done(desk, "good")
    assert fences(desk, "bad") == [1]


async def test_the_longest_question_is_served_and_one_token_more_is_told_at_once(sglang: SGLang, desk: Desk):
    async with working(desk):
        await desk.ask("long", " a" * sglang.context)
        failed = await desk.final("long", ANSWERED)
        assert isinstance(failed, Failed) and failed.code == "too_long"
        fits = sglang.context - int(failed.args["over"])
        await desk.ask("over", " a" * (fits + 1))
        assert await desk.final("over", ANSWERED) == Failed("too_long", {"over": 1})
        await desk.ask("fits", " a" * fits)
        await wait_until(lambda: begun(desk, "fits"), ANSWERED)
        await desk.stores.queue.cancel("telegram:1", id="fits")  # what it makes of this would take a while
        assert isinstance(await desk.final("fits", 5), Cancelled | Done)


@pytest.mark.usefixtures("endless")
async def test_a_server_that_is_killed_in_mid_answer_and_comes_back_costs_no_answer(
    sglang: SGLang, desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    ids = [str(number) for number in range(SLOTS + 1)]
    async with working(desk) as worker:
        for id in ids:
            await desk.ask(id, "Hello", person=f"telegram:{id}")
        await wait_until(lambda: begun(desk, *ids[:SLOTS]), ANSWERED)
        sglang.kill()
        try:
            monkeypatch.delitem(module.SAMPLING, "ignore_eos")  # the next answers may end
            await wait_until(lambda: engine_is(worker, "down"), 5)
            assert await desk.finals() == {}
        finally:
            sglang.start()
            await asyncio.to_thread(sglang.wait)
        for id in ids:
            answer = await done(desk, id, ANSWERED)
            assert answer.text.startswith(last_text(desk, id))
        assert engine_is(worker, "up")
    assert [len(fences(desk, id)) for id in ids] == [2] * SLOTS + [1]
    assert (await desk.stores.queue.counts())["done"] == len(ids)


@pytest.mark.usefixtures("demo")
async def test_a_red_photo_sent_on_telegram_is_called_red(sglang: SGLang, tmp_path: Path):
    async with (
        TelegramEmulator() as telegram,
        askpix_up(
            tmp_path, TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1",
            ENGINE_URL=sglang.address.url, ENGINE_KEY=sglang.address.key or "",
        ),
    ):  # fmt: skip
        ann = telegram.user(1001)
        await ann.send_photo(ann.private, photo_file("red"), caption="What colour is this?")
        await ann.private.wait_for(lambda texts: any("red" in text.lower() for text in texts), 30)
