"""Discord's surface by an interaction's token, and where an answer goes when that is over."""

from __future__ import annotations

import pytest

from bots.discord_bot import DiscordSurface
from bots.discord_reading import Via
from bots.surface import (
    Closed,
    Gone,
    Later,
    Moved,
    Page,
    SurfaceError,
    Unfit,
    Unreachable,
)
from storage.logs import describe
from storage.messages import Address
from tests.bots.discord_town import ASK_AGAIN, HOOK, HOOK_PATCH, PATCH, POST, Town
from tests.emulators.discord_places import THINKING
from tests.emulators.discord_shapes import EPHEMERAL


async def test_the_first_answer_takes_the_place_of_thinking_and_others_follow(town: Town, hall: DiscordSurface) -> None:
    asked, where = await town.asks()
    assert town.ben.reads(town.square) == [THINKING]
    slot = await hall.place(where, Page("…"))
    second = await hall.place(where, Page("more"))
    await hall.edit(where, slot, Page("a cat", buttons=ASK_AGAIN))
    await hall.edit(where, second, Page("more of it"))
    assert town.ben.reads(town.square) == ["a cat", "more of it"]
    await hall.remove(where, second)
    await hall.send(where, "answer.md", b"x")
    assert [each["attachments"][0]["filename"] for each in asked.followups[1:]] == ["answer.md"]
    assert not town.discord.called(POST)


async def test_a_private_answer_is_seen_by_its_asker_alone(town: Town, hall: DiscordSurface) -> None:
    _, where = await town.asks(private=True)
    await hall.place(where, Page("a cat"))
    await hall.place(where, Page("more"))
    await hall.send(where, "answer.md", b"x")
    assert town.ann.reads(town.square)[:2] == ["a cat", "more"]
    assert town.ben.reads(town.square) == []


@pytest.mark.parametrize("late", [False, True])
async def test_when_its_token_is_over_a_public_answer_goes_on_as_a_member(
    town: Town, hall: DiscordSurface, late: bool
) -> None:
    if late:  # by the clock, without asking Discord
        town.discord.clock.shift = -880.0
        town.discord.interactions.token_seconds = 1e9
    asked, where = await town.asks()
    town.discord.clock.shift = 0.0
    if not late:
        slot = await hall.place(where, Page("…"))
        town.discord.expire_token(asked)
        await hall.edit(where, slot, Page("a cat"))
        assert town.ben.reads(town.square) == ["a cat"]
    hooks = len(town.discord.called(HOOK))
    later = await hall.place(where, Page("more"))
    await hall.edit(where, later, Page("more of it"))
    assert town.square.texts()[-1] == "more of it"
    assert len(town.discord.called(HOOK)) == hooks + (not late)


async def test_when_its_token_is_over_a_private_answer_moves_to_direct_messages(
    town: Town, hall: DiscordSurface
) -> None:
    asked, where = await town.asks(private=True)
    slot = await hall.place(where, Page("…"))
    town.discord.expire_token(asked)
    for call in (hall.place(where, Page("x")), hall.edit(where, slot, Page("x")), hall.remove(where, slot)):
        with pytest.raises(Moved) as moved:
            await call
        assert moved.value.chat == str(town.ann.private.id)
    assert town.square.texts() == [], "nobody else reads of it"
    moved_to = where.moved(str(town.ann.private.id))
    again = await hall.place(moved_to, Page("…"))
    await hall.edit(moved_to, again, Page("a cat"))
    assert town.ann.private.texts() == ["a cat"]


@pytest.mark.parametrize(("status", "code"), [(404, 10015), (401, 50027), (404, 10062), (400, 40094)])
async def test_a_token_can_be_over_in_more_than_one_way(
    town: Town, hall: DiscordSurface, status: int, code: int
) -> None:
    _, where = await town.asks()
    town.discord.fail_next(HOOK, status, code)
    slot = await hall.place(where, Page("…"))
    town.discord.fail_next(HOOK_PATCH, status, code)
    await hall.edit(where, slot, Page("a cat"))
    assert town.square.texts()[-1] == "a cat"


@pytest.mark.parametrize(
    ("status", "code", "meant"), [(403, 50013, Closed), (400, 50035, Unfit), (403, 50001, Closed), (404, 10008, Gone)]
)
async def test_other_refusals_of_a_token_s_are_what_they_are_and_hold_no_secret(
    town: Town, hall: DiscordSurface, status: int, code: int, meant: type[SurfaceError]
) -> None:
    asked, where = await town.asks(private=True)
    slot = await hall.place(where, Page("…"))
    for route, call in ((HOOK, hall.place(where, Page("x"))), (HOOK_PATCH, hall.edit(where, slot, Page("x")))):
        town.discord.fail_next(route, status, code, f"{asked.token} {town.discord.token}")
        with pytest.raises(meant) as raised:
            await call
        shown = f"{raised.value} {raised.value!r} {describe(raised.value)}"
        assert not any(secret in shown for secret in (asked.token, town.discord.token, "http"))


async def test_where_we_are_no_member_a_late_answer_moves_to_direct_messages(town: Town, hall: DiscordSurface) -> None:
    elsewhere = town.discord.guild(8, "Else", bot_inside=False).channel("hall")
    group, pair = town.discord.group_dm(town.ann, town.ben), town.discord.dm_between(town.ann, town.ben)
    for channel in (elsewhere, group, pair):
        asked, where = await town.asks(channel)
        town.discord.expire_token(asked)
        with pytest.raises(Moved) as moved:
            await hall.place(where, Page("x"))
        assert moved.value.chat == str(town.ann.private.id)


async def test_where_we_may_not_write_any_more_a_late_answer_moves_too(town: Town, hall: DiscordSurface) -> None:
    asked, where = await town.asks()
    town.discord.expire_token(asked)
    town.square.deny("send_messages")
    with pytest.raises(Moved):
        await hall.place(where, Page("x"))


async def test_whose_direct_messages_are_closed_is_answered_later(town: Town, hall: DiscordSurface) -> None:
    asked, where = await town.asks(private=True)
    town.discord.expire_token(asked)
    town.ann.blocked = True
    with pytest.raises(Moved) as moved:
        await hall.place(where, Page("x"))
    moved_to = where.moved(moved.value.chat)
    with pytest.raises(Later):
        await hall.place(moved_to, Page("x"))
    with pytest.raises(Later):
        await hall.send(moved_to, "answer.md", b"x")


@pytest.mark.parametrize("private", [False, True])
async def test_in_direct_messages_a_late_answer_stays_where_it_is(
    town: Town, hall: DiscordSurface, private: bool
) -> None:
    """It cannot move to where it is already."""
    asked, where = await town.asks(town.ann.private, private=private)
    town.discord.expire_token(asked)
    slot = await hall.place(where, Page("…"))
    await hall.edit(where, slot, Page("a cat"))
    assert town.ann.private.texts()[-1] == "a cat"
    town.ann.blocked = True
    with pytest.raises(Later):
        await hall.place(where, Page("x"))


async def test_in_a_moved_answer_a_message_that_is_deleted_is_gone(town: Town, hall: DiscordSurface) -> None:
    asked, where = await town.asks(private=True)
    town.discord.expire_token(asked)
    moved_to = where.moved(str(town.ann.private.id))
    slot = await hall.place(moved_to, Page("…"))
    await town.ann.deletes(town.ann.private.messages[-1])
    with pytest.raises(Gone):
        await hall.edit(moved_to, slot, Page("x"))


async def test_a_message_that_a_moderator_deleted_is_gone(town: Town, hall: DiscordSurface) -> None:
    for private in (False, True):
        _, where = await town.asks(private=private)
        slot = await hall.place(where, Page("…"))
        await town.ben.deletes(town.square.messages[-1])
        with pytest.raises(Gone):
            await hall.edit(where, slot, Page("x"))


async def test_an_answer_of_a_former_token_is_edited_as_a_member(town: Town, hall: DiscordSurface) -> None:
    first, where = await town.asks()
    await hall.place(where, Page("one", buttons=ASK_AGAIN))
    slot = await hall.place(where, Page("two"))
    pressed = await town.ann.press(await first.shows(), "Again")
    fresh = (await town.hears()).where
    await pressed.answered()
    await hall.edit(fresh, fresh.message, Page("anew"))
    await hall.edit(fresh, slot, Page("and more"))
    assert town.square.texts() == ["anew", "and more"]
    assert len(town.discord.called(PATCH)) == 1


async def test_more_messages_than_a_token_takes_move_to_direct_messages(town: Town, hall: DiscordSurface) -> None:
    """An application that only its user installed has five."""
    elsewhere = town.discord.guild(8, "Else", bot_inside=False).channel("hall")
    _, where = await town.asks(elsewhere)
    for number in range(5):
        await hall.place(where, Page(str(number)))
    with pytest.raises(Moved):
        await hall.place(where, Page("5"))


async def test_a_whisper_is_for_its_person_alone_and_waits_for_the_public_answer(
    town: Town, hall: DiscordSurface
) -> None:
    _, where = await town.asks()
    via = Via.read(where.via)
    assert via
    whisper = Address("discord", where.chat, group=True, via=str(via._replace(seen="whisper")))
    with pytest.raises(Unreachable):
        await hall.place(whisper, Page("psst"))
    assert town.ben.reads(town.square) == [THINKING]
    await hall.place(where, Page("for all"))
    await hall.place(whisper, Page("psst"))
    assert town.ann.reads(town.square) == ["for all", "psst"]
    assert town.ben.reads(town.square) == ["for all"]


# --- telling the one who pressed


async def test_the_one_who_pressed_is_told_and_nobody_else(town: Town, hall: DiscordSurface) -> None:
    asked, where = await town.asks()
    await hall.place(where, Page("a cat", buttons=ASK_AGAIN))
    pressed = await town.ben.press(await asked.shows(), "Again")
    incoming = await town.hears()
    await hall.notify(incoming.press, "not yours")
    assert town.ben.reads(town.square) == ["a cat", "not yours"]
    assert town.ann.reads(town.square) == ["a cat"]
    assert pressed.followups[0]["flags"] & EPHEMERAL
    town.discord.expire_token(pressed)
    with pytest.raises(SurfaceError):
        await hall.notify(incoming.press, "too late")
    await hall.notify("", "to nobody")
