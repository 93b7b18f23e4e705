"""Replies on their way into a chat: nothing is shown twice, nothing is lost, and nobody waits for another's chat."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bots.phrases import say
from bots.surface import Closed, Flooded, Unfit, Unreachable
from storage import keys
from storage.connection import Client
from storage.messages import Address, Cancelled, Done, Failed
from storage.queue import Claim
from tests.bots.board import Board, worker
from tests.bots.conftest import Desk
from tests.storage.asks import make_ask
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")

ELSEWHERE = Address("telegram", "2", "8")


async def is_cancelled(desk: Desk, claim: Claim) -> bool:
    return await desk.stores.queue.renew([claim]) == ["cancelled"]


@pytest.mark.parametrize("running", [False, True])
async def test_an_ask_of_a_blocked_chat_costs_one_call_and_leaves_the_engine_to_others(
    desk: Desk, running: bool
) -> None:
    desk.board.faults["place"].append(Closed())
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    claim = await desk.claim() if running else None
    delivery.follow(make_ask("a"))
    if claim:
        await wait_until(lambda: is_cancelled(desk, claim))
        await desk.stores.queue.finish(claim, Cancelled("text"))
    await wait_until(desk.delivered)
    assert (await desk.stores.queue.counts())["queued"] == 0
    assert [call.method for call in desk.board.calls if call.method != "typing"] == ["place"]


async def test_an_unreachable_platform_is_tried_until_it_is_back(desk: Desk) -> None:
    desk.board.faults["place"].extend([Unreachable(), Unreachable()])
    desk.board.faults["edit"].append(Unreachable())
    desk.start()
    await desk.answer(make_ask("a"), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_a_deleted_message_is_placed_anew(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    await desk.stores.replies.emit(claim, "half")
    await wait_until(lambda: desk.board.texts() == ["half …"])
    (first,) = desk.board.shown
    del desk.board.shown[first]
    await desk.stores.queue.finish(claim, Done("whole"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["whole"]
    assert [slot.decode() for slot in await desk.stores.redis.lrange(keys.slots("a"), 0, -1)] == list(desk.board.shown)


async def test_content_that_is_refused_is_shown_without_its_formatting(desk: Desk) -> None:
    desk.board.faults["edit"].append(Unfit("can't parse entities"))
    desk.start()
    await desk.answer(make_ask("a"), Done("**bold** words"))
    await wait_until(desk.delivered)
    (page,) = desk.board.shown.values()
    assert (page.text, page.format) == ("bold words", ())


async def test_content_that_is_refused_even_plain_is_given_up_after_two_tries(desk: Desk) -> None:
    desk.board.faults["edit"].extend([Unfit("no")] * 10)
    desk.start()
    await desk.answer(make_ask("a"), Done("**bold** words"))
    await wait_until(desk.delivered)
    assert len(desk.board.edits()) == 2


async def test_a_flood_holds_one_chat_and_nobody_else(desk: Desk) -> None:
    desk.board.faults["edit 1"].append(Flooded(0.4))
    desk.start()
    begun = asyncio.get_running_loop().time()
    await desk.answer(make_ask("a"), Done("one"))
    await wait_until(lambda: desk.board.edits("1") == ["one"])  # which was refused
    await desk.answer(make_ask("b", "telegram:2", where=ELSEWHERE), Done("two"))
    await wait_until(lambda: desk.board.texts("2") == ["two"])
    assert desk.board.texts("1") == ["…"]
    assert [reply.id for reply in await desk.pending()] == ["a"]  # not acknowledged before it is shown
    await wait_until(desk.delivered)
    assert asyncio.get_running_loop().time() - begun >= 0.4
    assert desk.board.texts("1") == ["one"]


async def test_a_flood_while_the_placeholder_is_placed_loses_nothing(desk: Desk) -> None:
    desk.board.faults["place"].append(Flooded(0.1))
    desk.start()
    await desk.answer(make_ask("a"), Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_a_code_without_a_sentence_is_an_apology(desk: Desk) -> None:
    desk.start()
    await desk.answer(make_ask("a"), Failed("no_such_sentence"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == [say("en", "went_wrong")]


async def test_a_reply_that_cannot_be_shown_stops_no_other_and_stays_in_the_outbox(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # it is logged as the bug it is
    desk.start()
    await desk.answer(make_ask("a"), Failed("too_large"))  # without the limit that its sentence names
    await desk.answer(make_ask("b", "telegram:2", where=ELSEWHERE), Done("fine"))
    await wait_until(lambda: desk.board.texts("2") == ["fine"])
    assert [reply.id for reply in await desk.pending()] == ["a"]


async def test_a_reply_of_which_nothing_is_known_any_more_is_put_away(desk: Desk, redis: Client) -> None:
    await desk.answer(make_ask("a"), Done("yes"))
    await redis.delete(keys.job("a"))
    desk.start()
    await wait_until(desk.delivered)
    assert desk.board.calls == []


async def test_placeholder_growth_and_end_are_one_message_that_answers_the_question(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    await wait_until(lambda: desk.board.texts() == ["…"])
    claim = await desk.claim()
    for piece, shown in (("Grüß ", "Grüß …"), ("你好 🙂", "Grüß 你好 🙂 …"), ("\n\n```py\nx", "Grüß 你好 🙂\n\nx …")):
        await desk.stores.replies.emit(claim, piece)
        await wait_until(lambda shown=shown: desk.board.texts() == [shown])
    await desk.stores.queue.finish(claim, Done("Grüß 你好 🙂\n\n```py\nx = 1\n```"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["Grüß 你好 🙂\n\nx = 1"]
    assert list(desk.board.answered.values()) == ["7"]
    assert await desk.pending() == []


async def test_an_answer_that_is_final_before_anybody_looked_is_one_message(desk: Desk) -> None:
    await desk.answer(make_ask("a"), Done("yes"))
    desk.start()
    await wait_until(desk.delivered)
    assert [(call.method, call.page.text) for call in desk.board.calls] == [("place", "…"), ("edit", "yes")]


async def test_an_end_that_is_read_before_its_ask_is_followed_is_shown_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = desk.start()
    await wait_until(lambda: desk.stores.redis.exists(keys.outbox("telegram")))
    real = desk.stores.replies.progress
    ask = make_ask("a")

    async def slow(id: str) -> object:
        found = await real(id)
        delivery.follow(ask)  # intake hears only now that its ask was enqueued
        return found

    monkeypatch.setattr(desk.stores.replies, "progress", slow)
    await desk.answer(ask, Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_a_former_life_s_messages_are_edited_on_not_placed_again(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    await desk.stores.replies.emit(claim, "first ")
    await wait_until(lambda: desk.board.texts() == ["first …"])
    await desk.crash()
    await desk.stores.replies.emit(claim, "second ")
    desk.start()
    await wait_until(lambda: desk.board.texts() == ["first second …"])
    await desk.stores.replies.emit(claim, "third")
    await wait_until(lambda: desk.board.texts() == ["first second third …"])
    await desk.crash()
    await desk.stores.queue.finish(claim, Done("first second third."))
    desk.start()
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["first second third."]
    assert sum(call.method == "place" for call in desk.board.calls) == 1


async def test_a_reply_that_was_read_but_not_shown_is_shown_after_a_crash(desk: Desk) -> None:
    desk.board.faults["edit"].append(Flooded(60))
    desk.start()
    await desk.answer(make_ask("a"), Done("yes"))
    await wait_until(lambda: desk.board.edits() == ["yes"])
    await desk.crash()
    assert [reply.id for reply in await desk.pending()] == ["a"]
    desk.start()
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_many_replies_of_a_former_life_are_all_shown(desk: Desk) -> None:
    for n in range(70):  # more than one page of the outbox
        await desk.answer(make_ask(f"a{n}", where=Address("telegram", str(n), "7")), Done(str(n)))
    for _ in range(2):
        await desk.stores.replies.open_outbox("telegram")
        await desk.stores.replies.finished("telegram", wait=0.01)
    desk.start()
    await wait_until(desk.delivered)
    assert [desk.board.texts(str(n)) for n in range(70)] == [[str(n)] for n in range(70)]


async def test_an_ask_of_a_former_life_that_waits_still_is_followed_again(desk: Desk) -> None:
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery = desk.start()
    await wait_until(lambda: desk.board.texts() != [])
    await delivery.resume("a")  # as intake does when it reads the same update again
    await desk.stores.queue.finish(await desk.claim(), Done("yes"))
    await wait_until(desk.delivered)
    await delivery.resume("a")
    await delivery.resume("never heard of")
    assert desk.board.texts() == ["yes"]


async def test_a_ten_thousand_character_answer_fills_several_messages_in_order(desk: Desk) -> None:
    desk.start()
    text = "\n".join(f"line {n} 好" for n in range(1000))
    assert len(text) > 10_000
    await desk.answer(make_ask("a"), Done(text))
    await wait_until(desk.delivered)
    assert "\n".join(desk.board.texts()) == text
    assert len(desk.board.shown) == 3
    assert [slot.decode() for slot in await desk.stores.redis.lrange(keys.slots("a"), 0, -1)] == list(desk.board.shown)


async def test_of_several_messages_one_that_was_deleted_is_replaced_and_the_order_is_kept(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    text = "\n".join(f"line {n} 好" for n in range(1000))
    await desk.stores.replies.emit(claim, text)
    await wait_until(lambda: len(desk.board.shown) == 3 and desk.board.texts()[2].endswith(" …"))
    del desk.board.shown[list(desk.board.shown)[1]]
    await desk.stores.queue.finish(claim, Done(text.upper()))
    await wait_until(desk.delivered)
    assert "\n".join(desk.board.texts()) == text.upper()


async def test_a_shorter_second_try_leaves_no_dead_words(desk: Desk) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    await desk.stores.replies.emit(claim, "dead words " * 600)
    await wait_until(lambda: len(desk.board.shown) == 2)
    await desk.stores.queue.release(claim)
    claim = await desk.claim()
    await desk.stores.queue.finish(claim, Done("short"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["short"]
    assert desk.board.calls[-1].method == "remove"


async def test_a_stopped_answer_keeps_what_was_written_and_says_so(desk: Desk) -> None:
    desk.start()
    await desk.answer(make_ask("a"), Cancelled("half an ans"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == [f"half an ans\n\n{say('en', 'stopped')}"]


async def test_an_engine_that_is_down_is_said_and_taken_away_again(desk: Desk, redis: Client) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    await worker(redis, engine="down")
    await wait_until(lambda: desk.board.texts() == [say("en", "engine_down")])
    await redis.delete(keys.role("w"))
    await wait_until(lambda: desk.board.texts() == [say("en", "worker_down")])
    await worker(redis, slots="1")
    await wait_until(lambda: desk.board.texts() == [say("en", "next")])
    claim = await desk.claim()
    await wait_until(lambda: desk.board.texts() == ["…"])
    await desk.stores.queue.finish(claim, Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_place_and_time_are_said_while_an_ask_waits(desk: Desk, redis: Client) -> None:
    await worker(redis, slots="1", seconds="10.0")
    asks = [make_ask(f"a{n}", f"telegram:{n}", where=Address("telegram", str(n), "7")) for n in range(3)]
    delivery = desk.start()
    for ask in asks:
        await desk.stores.queue.enqueue(ask)
        delivery.follow(ask)
    for n, sentence in enumerate(("You are next, in about 10 s.", "Number 2 in line, about 20 s.")):
        await wait_until(lambda n=n, sentence=sentence: desk.board.texts(str(n)) == [sentence])
    await desk.stores.queue.finish(await desk.claim(), Done("x"))
    await wait_until(lambda: desk.board.texts("1") == ["You are next, in about 10 s."])
    await wait_until(lambda: desk.board.texts("2") == ["Number 2 in line, about 20 s."])


async def test_typing_is_shown_until_there_is_text_and_its_failure_is_nothing(desk: Desk) -> None:
    desk.board.faults["typing"].extend([Flooded(60), Closed()])
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    await wait_until(lambda: sum(call.method == "typing" for call in desk.board.calls) >= 3)
    await desk.stores.queue.finish(claim, Done("yes"))
    await wait_until(desk.delivered)
    assert desk.board.texts() == ["yes"]


async def test_progress_keeps_to_the_rate_and_the_end_does_not_wait_for_it(desk: Desk, slow_board: Board) -> None:
    delivery = desk.start()
    await desk.stores.queue.enqueue(make_ask("a"))
    delivery.follow(make_ask("a"))
    claim = await desk.claim()
    begun = asyncio.get_running_loop().time()
    text = ""
    for n in range(60):
        text += f"{n} "
        await desk.stores.replies.emit(claim, f"{n} ")
        await asyncio.sleep(0.005)
    seconds = asyncio.get_running_loop().time() - begun
    shown = sum(call.method != "typing" for call in slow_board.calls)
    assert shown <= 3 + seconds / 0.15 + 1
    await desk.stores.queue.finish(claim, Done(text))
    await wait_until(desk.delivered, 0.14)
    assert slow_board.texts() == [text.strip()]
