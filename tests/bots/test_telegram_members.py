"""What befalls the bot in a chat: added, removed, silenced, blocked, and a group that becomes a supergroup."""

from __future__ import annotations

import logging

import pytest

from bots.phrases import say
from storage.messages import Done
from storage.queue import Claim
from tests.bots.life import Life
from tests.emulators.server import Json
from tests.emulators.telegram_world import Chat
from tests.waiting import wait_until


async def test_who_adds_the_bot_is_greeted_once_and_strangers_are_not(life: Life) -> None:
    ours = life.telegram.group(-102, bot_inside=False)
    await life.start(open=False, allow=frozenset({"telegram:1001", "telegram:chat:-102"}))
    theirs, mine = [life.telegram.group(id, bot_inside=False) for id in (-100, -101)]
    await life.ben.add_bot(theirs)
    await life.ann.add_bot(mine)
    await life.ann.promote_bot(mine)
    await life.ben.add_bot(ours)  # a stranger, in a chat that is allowed
    await mine.wait_for(lambda texts: texts == [say("en", "command.added")])
    await ours.wait_for(lambda texts: texts == [say("zh", "command.added")])
    await life.settled()
    assert (theirs.texts(), len(mine.texts())) == ([], 1)
    await life.ben.send_text(theirs, "/ask what?")
    await life.ann.send_text(theirs, "/ask@askpix_bot may I?")
    assert (await life.answer("yes")).question.text == "may I?"
    await theirs.wait_for(lambda texts: texts == ["yes"])


async def test_removed_restricted_or_blocked_it_frees_the_engine_and_the_log_stays_short(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    await life.start()
    caplog.set_level(logging.INFO, "bots")
    group = life.telegram.group(-100)
    for leave in (life.ann.remove_bot, life.ann.restrict_bot):
        for user in (life.ann, life.ben):
            await user.send_text(group, "/ask what?")
            await life.settled()
        claim = await life.claim()
        await leave(group)
        await life.engine_is_free(claim)
        await wait_until(life.nothing_waits)  # Ben's, which waited, too
        await life.stores.queue.finish(claim, Done("late"))
        await life.ann.add_bot(group)
    await life.settled()
    await life.ann.send_text(life.ann.private, "what?")
    claim = await life.claim()
    await life.stores.replies.emit(claim, "half")
    await life.ann.private.wait_for(lambda texts: texts == ["half …"])
    await life.ann.block_bot()
    await life.stores.replies.emit(claim, " an answer")
    await life.engine_is_free(claim)
    await life.stores.queue.finish(claim, Done("late"))
    await wait_until(life.delivered)
    assert len(caplog.records) < 12, [record.getMessage() for record in caplog.records]
    await life.ann.unblock_bot()
    await life.ann.send_text(life.ann.private, "still there?")
    await life.answer("yes")
    await life.ann.private.wait_for(lambda texts: texts == ["half …", "yes"])


async def test_without_the_right_to_write_it_is_silent_and_with_it_back_it_answers_without_a_greeting(
    life: Life,
) -> None:
    await life.start()
    group = life.telegram.group(-100)
    await life.ann.restrict_bot(group)
    await life.ann.send_text(group, "/help")
    await life.ann.send_text(group, "/ask into the void")
    await life.engine_is_free(await life.claim())
    await life.ann.demote_bot(group)
    await life.ben.send_text(group, "/ask and now?")
    await life.answer("yes")
    await group.wait_for(lambda texts: texts == ["yes"])


# --- migration


async def grown_with_an_open_ask(life: Life, group: Chat) -> tuple[Chat, Claim]:
    """A conversation of one turn after a fresh start, an open question, and then the group becomes a supergroup."""
    await life.ann.send_text(group, "/new")
    await life.ann.send_text(group, "/ask before")
    assert (await life.answer("one")).epoch == 1
    await life.ann.send_text(group, "/ask meanwhile")
    claim = await life.claim()
    await life.stores.replies.emit(claim, "tw")
    await group.wait_for(lambda texts: texts[-1:] == ["tw …"])
    grown = await life.ann.migrate(group)
    await life.settled()
    return grown, claim


@pytest.mark.parametrize("refused", [[], ["message to edit not found"]])
async def test_a_migrated_group_is_answered_once_and_knows_what_was_said(life: Life, refused: list[str]) -> None:
    await life.start(open=False, allow=frozenset({"telegram:chat:-77"}))
    group = life.telegram.group(-77, kind="group")
    grown, claim = await grown_with_an_open_ask(life, group)
    for words in refused:  # what an edit in the old chat may be told instead
        life.telegram.fail_next("editMessageText", 400, f"Bad Request: {words}")
    await life.finish(claim, "two")
    await grown.wait_for(lambda texts: texts == ["two"])
    await wait_until(life.delivered)
    await life.ann.send_text(grown, "/ask after")
    ask = await life.answer("three")
    await grown.wait_for(lambda texts: texts == ["two", "three"])
    assert await life.turns(ask) == ["before", "one", "meanwhile", "two", "after", "three"]
    await life.ann.press_button(grown.bot_messages()[-1], "again")
    assert (await life.answer("four")).question.text == "after"
    await grown.wait_for(lambda texts: texts == ["two", "four"])
    await life.ann.send_text(grown, "/new")
    await grown.wait_for(lambda texts: texts[-1:] == [say("en", "command.new")])
    await life.ann.send_text(grown, "/ask afresh")
    ask = await life.answer("five")
    assert await life.turns(ask) == ["afresh", "five"]
    await life.ann.send_text(grown, "/forget")
    await grown.wait_for(lambda texts: texts[-1:] == [say("en", "command.forget")])
    assert await life.turns(ask) == []
    assert len(group.texts()) == 3, "nothing more was said in the old chat"


async def test_in_a_migrated_group_stop_and_removal_reach_what_was_asked_before(life: Life) -> None:
    await life.start()
    grown, claim = await grown_with_an_open_ask(life, life.telegram.group(-77, kind="group"))
    await life.ann.send_text(grown, "/stop")
    await life.engine_is_free(claim)
    await life.stores.queue.finish(claim, Done("two"))
    grown, claim = await grown_with_an_open_ask(life, life.telegram.group(-78, kind="group"))
    await life.stores.replies.emit(claim, "o")
    await grown.wait_for(lambda texts: texts == ["two …"])
    await life.ann.remove_bot(grown)
    await life.engine_is_free(claim)


async def test_a_group_that_moves_is_not_greeted_whichever_news_comes_first(life: Life) -> None:
    await life.start()
    group = life.telegram.group(-77, kind="group")
    push = life.telegram.world.push
    held: list[tuple[str, Json]] = []
    life.telegram.world.push = lambda kind, payload: held.append((kind, payload))
    grown = await life.ann.migrate(group)
    life.telegram.world.push = push
    for kind, payload in reversed(held):
        push(kind, payload)
    await life.settled()
    assert grown.texts() == group.texts() == []
    other = life.telegram.group(-99, bot_inside=False)
    await life.ann.add_bot(other)
    await other.wait_for(lambda texts: texts == [say("en", "command.added")])
