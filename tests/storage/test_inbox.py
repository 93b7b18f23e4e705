"""The inbox: an update lies there from its arrival until its ask does, whatever dies in between."""

from __future__ import annotations

import asyncio

import pytest_asyncio

from storage import keys
from storage.connection import Client, Scripts
from storage.inbox import Inbox


@pytest_asyncio.fixture
async def inbox(redis: Client) -> Inbox:
    found = Inbox(redis, Scripts(redis), "telegram")
    await found.open()
    return found


async def test_an_update_comes_out_as_it_went_in_once(inbox: Inbox) -> None:
    raw = '{"text": "\\u0000 é 🙂"}'.encode() + b"\xff"
    assert await inbox.put("1", raw)
    (entry,) = await inbox.read(wait=0.01)
    assert entry.raw == raw
    assert await inbox.read(wait=0.01) == []


async def test_the_same_update_ten_times_is_one_entry_even_after_it_was_done(inbox: Inbox) -> None:
    assert [await inbox.put("1", b"x") for _ in range(5)] == [True, False, False, False, False]
    (entry,) = await inbox.read(wait=0.01)
    await inbox.done(entry)
    assert not any([await inbox.put("1", b"x") for _ in range(5)])
    assert await inbox.read(wait=0.01) == []


async def test_the_same_update_at_the_same_moment_is_one_entry(inbox: Inbox) -> None:
    assert sum(await asyncio.gather(*(inbox.put("1", b"x") for _ in range(10)))) == 1


async def test_updates_of_two_platforms_do_not_meet(inbox: Inbox, redis: Client) -> None:
    other = Inbox(redis, Scripts(redis), "discord")
    await other.open()
    assert await inbox.put("1", b"t")
    assert await other.put("1", b"d")
    assert [entry.raw for entry in await other.read(wait=0.01)] == [b"d"]


async def test_order_is_kept_over_many_reads(inbox: Inbox) -> None:
    for n in range(100):
        await inbox.put(str(n), str(n).encode())
    seen: list[bytes] = []
    while entries := await inbox.read(n=16, wait=0.01):
        assert len(entries) <= 16
        seen += [entry.raw for entry in entries]
    assert seen == [str(n).encode() for n in range(100)]


async def test_what_came_before_the_first_start_is_read(redis: Client) -> None:
    inbox = Inbox(redis, Scripts(redis), "telegram")
    await inbox.put("1", b"early")
    await inbox.open()
    await inbox.open()  # a second start
    assert [entry.raw for entry in await inbox.read(wait=0.01)] == [b"early"]


async def test_what_was_read_but_not_done_is_pending_after_a_crash_in_order_page_by_page(redis: Client) -> None:
    before = Inbox(redis, Scripts(redis), "telegram")
    await before.open()
    for n in range(7):
        await before.put(str(n), str(n).encode())
    await before.done((await before.read(n=5, wait=0.01))[2])
    after = Inbox(redis, Scripts(redis), "telegram")
    await after.open()
    seen: list[bytes] = []
    at = "0"
    while page := await after.pending(at, n=3):
        seen += [entry.raw for entry in page]
        at = page[-1].id
    assert seen == [b"0", b"1", b"3", b"4"]
    assert [entry.raw for entry in await after.read(wait=0.01)] == [b"5", b"6"]


async def test_a_done_entry_leaves_nothing_but_its_tombstone(inbox: Inbox, redis: Client) -> None:
    await inbox.put("1", b"x")
    (entry,) = await inbox.read(wait=0.01)
    await inbox.done(entry)
    await inbox.done(entry)  # its acknowledgement was repeated
    assert await inbox.pending() == []
    assert await redis.xlen(keys.inbox("telegram")) == 0
    assert 0 < await redis.ttl(keys.seen("telegram", "1")) <= keys.SEEN_TTL


async def test_an_entry_that_somebody_deleted_hides_no_other(inbox: Inbox, redis: Client) -> None:
    for n in range(4):
        await inbox.put(str(n), str(n).encode())
    entries = await inbox.read(wait=0.01)
    for entry in entries[:2]:
        await redis.xdel(keys.inbox("telegram"), entry.id)
    assert [entry.raw for entry in await inbox.pending(n=2)] == [b"2", b"3"]
    assert [entry.raw for entry in await inbox.pending()] == [b"2", b"3"]


async def test_a_waiting_read_wakes_up_when_an_update_comes(inbox: Inbox) -> None:
    waiting = asyncio.create_task(inbox.read(wait=5))
    await asyncio.sleep(0)
    await inbox.put("1", b"x")
    assert [entry.raw for entry in await asyncio.wait_for(waiting, 2)] == [b"x"]


async def test_a_server_that_lost_its_scripts_takes_updates(inbox: Inbox, redis: Client) -> None:
    await inbox.put("1", b"x")
    await redis.script_flush()
    assert await inbox.put("2", b"y")
    assert len(await inbox.read(wait=0.01)) == 2


async def test_what_a_form_asks_about_is_kept_for_each_platform(inbox: Inbox, redis: Client) -> None:
    other = Inbox(redis, Scripts(redis), "discord")
    raw = b"\x00 draft \xff"
    await other.keep("1", raw)
    assert [await other.kept("1"), await other.kept("1"), await other.kept("2")] == [raw, raw, None]
    assert await inbox.kept("1") is None
    assert 0 < await redis.ttl(keys.draft("discord", "1")) <= keys.DRAFT_TTL


async def test_a_chat_is_known_up_to_the_message_that_was_read_last(inbox: Inbox, redis: Client) -> None:
    other = Inbox(redis, Scripts(redis), "discord")
    assert await other.passed() == {}
    for chat, message in (("7", "100"), ("8", "101"), ("7", "102")):
        await other.pass_by(chat, message)
    assert await other.passed() == {"7": "102", "8": "101"}
    assert await inbox.passed() == {}
    assert await redis.ttl(keys.passed("discord")) > 0


async def test_a_chat_that_is_met_is_known_from_there_unless_it_was_known_before(inbox: Inbox, redis: Client) -> None:
    await inbox.pass_by("7", "100")
    await inbox.meet("7", "105")
    await inbox.meet("8", "106")
    assert await inbox.passed() == {"7": "100", "8": "106"}
    assert await redis.ttl(keys.passed("telegram")) > 0
