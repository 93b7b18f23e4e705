"""From the inbox to the queue: nothing is lost, nothing asked twice, each person's order kept, each refusal said."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bots.phrases import say
from bots.surface import Closed, FileRef, Flooded, Gone, Unreachable
from storage import keys
from storage.connection import Client
from storage.limits import Rules
from storage.messages import Ask, Model, Refused, encode
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.pictures import encoded, halves
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")

PICTURE = encoded(halves())


@pytest.fixture
def door(desk: Desk) -> Door:
    desk.board.files = {"p1": PICTURE, "p2": PICTURE, "junk": b"no picture", "empty": b""}
    return Door(desk)


def shows(door: Door, code: str, **args: object) -> bool:
    return door.desk.board.texts() == [say("en", code, **args)]


@pytest.mark.parametrize(
    ("file", "code", "args"),
    [
        (FileRef("p1", 20_000_001), "too_large", {"limit": 20}),
        (FileRef("p1", 100, "application/zip"), "unsupported_image", {"kind": "zip"}),
        (FileRef("p1", 100, "audio/ogg"), "unsupported_image", {"kind": "ogg"}),
        (FileRef("p1", 100, "video/mp4", seconds=601), "video_too_long", {"limit": 10}),
    ],
)
async def test_what_its_platform_calls_unfit_is_refused_before_the_download(
    door: Door, file: FileRef, code: str, args: dict[str, object]
) -> None:
    door.start()
    await door.send("what is it?", file)
    await wait_until(lambda: shows(door, code, **args))
    await wait_until(door.settled)
    assert door.desk.board.fetched == []
    assert await door.queued() == []


@pytest.mark.parametrize(("file", "code"), [("junk", "not_an_image"), ("empty", "empty")])
async def test_what_turns_out_to_be_no_picture_is_refused(door: Door, file: str, code: str) -> None:
    door.start()
    await door.send("what is it?", FileRef(file, 20_000_000, "application/octet-stream"))
    await wait_until(lambda: shows(door, code))
    await wait_until(door.settled)
    assert await door.queued() == []


async def test_a_refusal_of_the_platform_s_own_has_its_sentence(door: Door) -> None:
    async def refuse(file: FileRef) -> bytes:
        raise Refused("too_large", limit=20)

    door.desk.board.fetch = refuse
    door.start()
    await door.send("what is it?", FileRef("p1"))
    await wait_until(lambda: shows(door, "too_large", limit=20))


async def test_a_message_without_words_and_photos_is_answered_with_what_can_be_read(door: Door) -> None:
    door.start()
    await door.send()
    await wait_until(lambda: shows(door, "ask_what"))
    await wait_until(door.settled)


async def test_a_download_that_fails_is_tried_again_and_then_asked_once(door: Door) -> None:
    door.desk.board.faults["fetch p1"].append(Unreachable("502"))
    door.start()
    await door.send("what is it?", FileRef("p1"))
    await wait_until(door.settled)
    assert door.desk.board.fetched == ["p1", "p1"]
    assert await door.queued() == ["what is it?"]


async def test_a_download_that_never_works_is_given_up_and_said(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.files.DOWNLOAD_TRIES", 2)
    door.desk.board.faults["fetch p1"].extend([Unreachable()] * 2)
    door.start()
    await door.send("what is it?", FileRef("p1"))
    await wait_until(lambda: shows(door, "download_failed"))
    assert door.desk.board.fetched == ["p1", "p1"]


async def test_a_file_that_is_gone_is_not_tried_again(door: Door) -> None:
    door.desk.board.faults["fetch p1"].append(Gone())
    door.start()
    await door.send("what is it?", FileRef("p1"))
    await wait_until(lambda: shows(door, "download_failed"))
    assert door.desk.board.fetched == ["p1"]


async def test_downloads_that_wait_for_another_try_hold_no_others(door: Door) -> None:
    door.start()
    for user in range(10, 18):  # as many as may be downloaded at once
        door.desk.board.faults[f"fetch bad{user}"].extend([Unreachable()] * 5)
        await door.send("bad", FileRef(f"bad{user}"), user=user)
    await wait_until(lambda: len(door.desk.board.fetched) == 8)
    await door.send("good", FileRef("p1"), user=2)
    await wait_until(lambda: "p1" in door.desk.board.fetched, 0.4)  # the second tries come after 0.5 s


async def test_the_queue_s_refusals_are_said(door: Door) -> None:
    door.asks_a_minute = 2
    door.start()
    for n in range(3):
        await door.send(f"q{n}")
    await wait_until(lambda: any("quick" in text for text in door.desk.board.texts()))
    await wait_until(door.settled)
    assert await door.queued() == ["q0", "q1"]


async def test_what_an_outage_held_back_is_no_flood(door: Door) -> None:
    door.asks_a_minute = 1
    for n in range(3):
        await door.send(f"q{n}", sent=100.0 * n + 1)
    door.start()
    await wait_until(door.settled)
    assert await door.queued() == ["q0", "q1", "q2"]


async def test_one_person_s_order_is_kept_behind_a_slow_download_and_others_pass(door: Door) -> None:
    slow = door.desk.board.slow["p1"] = asyncio.Event()
    door.start()
    await door.send("first", FileRef("p1"))
    await door.send("second", FileRef("p2"))
    await door.send("third")
    await door.send("another's", user=2)
    await wait_until(lambda: bool(door.desk.board.texts("2")))
    assert door.desk.board.fetched == ["p1"]
    assert await door.queued() == ["another's"]
    slow.set()
    await wait_until(door.settled)
    assert await door.queued() == ["first", "second", "third"]


async def test_photos_words_and_a_quote_become_one_ask(door: Door) -> None:
    await door.desk.stores.health.publish_model(Model("m", 4096, 2, 4096, 65_536))
    door.start()
    incoming = await door.send(
        "and this?", FileRef("p1", mime="image/png"), quote="look", quoted=(FileRef("p2"),), language="zh"
    )
    await wait_until(door.settled)
    ask = (await door.desk.claim()).ask
    assert (ask.id, ask.person, ask.lane, ask.language) == (incoming.id, "telegram:1", "telegram:1", "zh")
    assert (ask.conversation, ask.where, ask.outbox) == (incoming.conversation, incoming.where, "telegram")
    assert ask.question.text == "and this?"
    assert ask.question.quote is not None
    assert ask.question.quote.text == "look"
    (photo,) = ask.question.photos
    assert ask.question.quote.photos == (photo,)
    assert photo.width * photo.height <= 65_536
    (data,) = await door.desk.stores.images.get("telegram:1", [photo.sha256])
    assert data is not None
    assert len(data) == photo.size


async def test_a_photo_without_a_question_gets_one_in_the_asker_s_language(door: Door) -> None:
    door.start()
    await door.send("", FileRef("p1"), language="zh")
    await wait_until(door.settled)
    assert await door.queued() == [say("zh", "default_question")]


async def test_the_same_update_ten_times_is_asked_once(door: Door) -> None:
    door.start()
    incoming = await door.send("once")
    for _ in range(10):
        await door.put(encode(incoming))  # past the inbox's own tombstone: under ten other numbers
    await wait_until(door.settled)
    await wait_until(lambda: door.desk.board.texts() != [])
    assert await door.queued() == ["once"]
    await wait_until(door.desk.delivered)
    assert door.desk.board.texts() == ["x"]


async def test_an_update_that_cannot_be_read_is_put_away(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    door.start()
    for raw in (b"{", b"\xff", b'{"id": 1}', b"[]", b"null"):
        await door.put(raw)
    await door.send("good")
    await wait_until(door.settled)
    assert await door.queued() == ["good"]


async def test_a_reader_s_own_bug_is_put_away_too(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    def broken(raw: bytes) -> None:
        raise AttributeError("no such field")

    door.desk.board.read = broken
    door.start()
    await door.send("x")
    await wait_until(door.settled)


async def test_a_bug_on_one_message_is_apologised_for_and_stops_no_other(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    door.start()
    await door.send("bad", FileRef("no such file"))  # a KeyError in the board
    await wait_until(lambda: shows(door, "went_wrong"))
    await door.send("good")
    await wait_until(door.settled)
    assert await door.queued() == ["good"]


async def test_a_crash_while_downloading_loses_nothing(door: Door) -> None:
    door.desk.board.slow["p1"] = asyncio.Event()
    door.start()
    await door.send("first", FileRef("p1"))
    await door.send("second")
    await wait_until(lambda: door.desk.board.fetched == ["p1"])
    await door.desk.crash()
    assert not await door.settled()
    door.desk.board.slow.clear()
    door.start()
    await wait_until(door.settled)
    assert await door.queued() == ["first", "second"]
    await wait_until(door.desk.delivered)
    assert door.desk.board.texts() == ["x", "x"]


async def test_a_crash_between_enqueuing_and_acknowledging_gives_one_ask(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr("storage.inbox.Inbox.done", dead)
        door.start()
        await door.send("once")
        await wait_until(lambda: door.desk.board.texts() == ["…"])
        await door.desk.crash()
    door.start()
    await wait_until(door.settled)
    assert await door.queued() == ["once"]
    await wait_until(door.desk.delivered)
    assert door.desk.board.texts() == ["x"]


async def test_an_ask_whose_enqueuing_was_not_confirmed_is_still_shown(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = door.desk.stores.queue.enqueue, [True]

    async def enqueue(ask: Ask, *, priority: int) -> bool:
        done = await real(ask, priority=priority)
        if lost.pop() if lost else False:
            raise ConnectionError("the answer was lost")
        return done

    monkeypatch.setattr(door.desk.stores.queue, "enqueue", enqueue)
    door.start()
    await wait_until(lambda: door.desk.stores.redis.exists(keys.outbox("telegram")))
    await door.send("once")
    await wait_until(lambda: door.desk.board.texts() == ["…"])
    assert await door.queued() == ["once"]


async def test_an_outage_of_the_store_behind_a_flooded_chat_holds_nobody_up(door: Door, redis: Client) -> None:
    door.desk.board.faults["place 1"].append(Flooded(60))
    door.start()
    await door.send()  # its refusal cannot be said for a minute
    await wait_until(lambda: bool(door.desk.board.calls))
    for client in await redis.client_list():
        if client["cmd"].startswith("xreadgroup"):
            await redis.client_kill_filter(_id=client["id"])
    await door.send("another's", user=2)
    await wait_until(lambda: door.desk.board.texts("2") == ["…"])
    assert await door.queued() == ["another's"]
    assert [call.chat for call in door.desk.board.calls].count("1") == 1


async def test_a_stranger_is_not_asked_for_and_a_closed_chat_loses_its_refusal_only(door: Door) -> None:
    door.rules = Rules(allow=frozenset({"telegram:2"}))
    door.desk.board.faults["place 1"].append(Closed())
    door.start()
    await door.send("hello", FileRef("p1"))
    await door.send("hello", FileRef("p1"), user=2)
    await wait_until(door.settled)
    assert door.desk.board.fetched == ["p1"]
    assert await door.queued() == ["hello"]
