"""What was written while nobody of ours listened: read once, the oldest first, at most an hour back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest

from bots.discord_client import Client
from bots.surface import Incoming
from storage.connection import StoreDown
from storage.inbox import Inbox
from storage.messages import decode
from tests.bots.discord_town import Town, caught_up
from tests.emulators.discord_places import Channel
from tests.emulators.server import Json
from tests.waiting import wait_until

HISTORY = "GET /channels/{channel_id}/messages"

pytestmark = pytest.mark.usefixtures("quick_again")


@pytest.fixture
def quick_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.discord_client.AGAIN", 0.05)


@dataclass
class Watched:
    """What an inbox was told, in its order; no cursor may pass a message that is not in it."""

    inbox: Inbox
    put_in: list[str] = field(default_factory=list[str])
    passes: list[tuple[str, str, frozenset[str]]] = field(default_factory=list[tuple[str, str, frozenset[str]]])
    fails: int = 0  # puts that find the store away

    def __post_init__(self) -> None:
        self._put, self._pass = self.inbox.put, self.inbox.pass_by
        self.inbox.put, self.inbox.pass_by = self.put, self.pass_by

    async def put(self, update: str, raw: bytes) -> bool:
        if self.fails:
            self.fails -= 1
            raise StoreDown[0]("away")
        fresh = await self._put(update, raw)
        self.put_in.append(decode(raw, Incoming).where.message)
        return fresh

    async def pass_by(self, chat: str, message: str) -> None:
        self.passes.append((chat, message, frozenset(self.put_in)))
        await self._pass(chat, message)

    def check(self, channel: Channel, *for_us: Json) -> None:
        """Nothing for us lay unread behind the cursor of a channel."""
        for chat, message, known in self.passes:
            behind = {each["id"] for each in for_us if int(each["id"]) <= int(message)}
            assert chat != str(channel.id) or behind <= known, "the cursor went past what was not read"


@pytest.fixture
def watched(town: Town) -> Watched:
    return Watched(town.inbox)


async def said_in(town: Town, *channels: Channel) -> list[Json]:
    """Ann names us once in each channel."""
    return [await town.ann.says(channel, str(number), mention=True) for number, channel in enumerate(channels)]


async def heard(town: Town, count: int) -> list[str]:
    return [(await town.hears()).text for _ in range(count)]


async def test_what_named_us_meanwhile_is_read_once_the_oldest_first(town: Town, watched: Watched) -> None:
    said = await said_in(town, *[town.square] * 3)
    async with town.listening():
        assert await heard(town, 3) == ["0", "1", "2"]
        await town.hears_nothing()
    async with town.listening():
        await town.hears_nothing()
    watched.check(town.square, *said)
    assert (await town.inbox.passed())[str(town.square.id)] == said[-1]["id"]


async def test_what_did_not_name_us_meanwhile_is_not_for_us(town: Town) -> None:
    """What Discord says of a message on demand does not say in which server it stands."""
    town.sees = town.discord.world.message_content = True
    for channel in (town.square, town.square.thread("cats")):
        await town.ben.says(channel, "what a day")
    async with town.listening():
        await town.hears_nothing()


async def test_a_mention_meanwhile_says_its_server_like_any_other(town: Town) -> None:
    await said_in(town, town.square, town.square.thread("cats"))
    async with town.listening():
        for _ in range(2):
            incoming = await town.hears()
            assert incoming.where.group
            assert incoming.server == str(town.discord.guild().id)


async def test_a_thread_that_is_closed_by_now_is_still_of_its_server(town: Town) -> None:
    thread = town.square.thread("cats")
    async with town.listening():
        await said_in(town, thread)
        await heard(town, 1)
        await wait_until(partial(_passed, town, thread))
    await town.ben.says(thread, "not for us")
    town.discord.guild().channels.remove(thread)  # Discord does not list it any more
    async with town.listening():
        await town.hears_nothing()


async def _passed(town: Town, channel: Channel) -> bool:
    return str(channel.id) in await town.inbox.passed()


async def test_what_is_older_than_an_hour_is_let_be(town: Town) -> None:
    for shift, text in ((-3700.0, "long ago"), (-3500.0, "just now")):
        town.discord.clock.shift = shift
        await town.ann.says(town.square, text, mention=True)
    town.discord.clock.shift = 0.0
    async with town.listening():
        assert await heard(town, 1) == ["just now"]
        await town.hears_nothing()


async def test_a_channel_of_which_nothing_is_new_is_not_read(town: Town) -> None:
    await said_in(town, town.square)
    async with town.listening():
        await heard(town, 1)
    calls = len(town.discord.called(HISTORY))
    assert calls
    async with town.listening():
        pass
    assert len(town.discord.called(HISTORY)) == calls


async def test_a_word_in_private_to_which_nobody_listened_is_read_if_its_person_spoke_to_us_before(town: Town) -> None:
    async with town.listening():
        await town.ann.dm("hello")
        await heard(town, 1)
        await wait_until(partial(_passed, town, town.ann.private))
    await town.ann.dm("are you there?")
    async with town.listening():
        incoming = await town.hears()
        assert (incoming.text, incoming.where.group) == ("are you there?", False)
        await town.hears_nothing()


async def test_more_than_one_page_of_messages_is_read(town: Town) -> None:
    for number in range(120):
        await town.ann.says(town.square, f"chat {number}")
    await said_in(town, town.square)
    async with town.listening():
        assert await heard(town, 1) == ["0"]


async def test_a_channel_that_we_may_not_read_holds_up_no_other(town: Town) -> None:
    other = town.discord.guild().channel("other")
    await said_in(town, town.square, other)
    town.discord.fail_next(HISTORY, 403, 50001)
    async with town.listening():
        assert await heard(town, 1) == ["0"]  # the other is the older one, and is read first
        await town.hears_nothing()


async def test_a_channel_that_cannot_be_read_now_is_read_later_and_its_cursor_and_newer_messages_wait(
    town: Town, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("bots.discord_client.AGAIN", 0.5)
    (first,) = await said_in(town, town.square)
    town.discord.fail_next(HISTORY, 503)

    async def meanwhile() -> Json:
        await wait_until(lambda: bool(town.discord.called(HISTORY)))
        return await town.ann.says(town.square, "meanwhile", mention=True)

    speaking = asyncio.create_task(meanwhile())
    async with town.listening():
        assert await heard(town, 2) == ["0", "meanwhile"]
    watched.check(town.square, first, await speaking)
    assert (await town.inbox.passed())[str(town.square.id)] >= first["id"]


async def test_a_cut_connection_does_not_move_the_cursor_either(town: Town, watched: Watched) -> None:
    (first,) = await said_in(town, town.square)
    town.discord.drop_next(HISTORY)
    async with town.listening():
        assert await heard(town, 1) == ["0"]
        await town.hears_nothing()
    watched.check(town.square, first)


async def test_a_new_session_reads_what_nobody_told_us_of(town: Town, watched: Watched) -> None:
    async with town.listening() as client:
        before = await said_in(town, town.square)
        await heard(town, 1)
        town.discord.gateway.invalidate()
        missed = await town.ann.says(town.square, "missed", mention=True)
        await resessioned(client)
        assert await heard(town, 1) == ["missed"]
        await town.hears_nothing()
    watched.check(town.square, *before, missed)


async def resessioned(client: Client, sessions: int = 2) -> None:
    """Wait until the client has caught up with a later session."""
    await wait_until(lambda: client._session >= sessions and caught_up(client), 15)  # pyright: ignore[reportPrivateUsage] : Discord is told nothing


async def test_a_session_that_begins_while_we_catch_up_is_caught_up_with_too(town: Town, watched: Watched) -> None:
    async with town.listening() as client:
        town.discord.delay_next(HISTORY, 0.5)
        town.discord.gateway.invalidate()
        first = await town.ann.says(town.square, "first", mention=True)
        await wait_until(lambda: client._session == 2, 15)  # pyright: ignore[reportPrivateUsage] : Discord is told nothing
        town.discord.gateway.invalidate()
        second = await town.ann.says(town.square, "second", mention=True)
        await resessioned(client, 3)
        assert sorted(await heard(town, 2)) == ["first", "second"]
        await town.hears_nothing()
    watched.check(town.square, first, second)


async def test_messages_keep_their_order_when_the_store_comes_back(town: Town, watched: Watched) -> None:
    async with town.listening():
        watched.fails = 1
        said = await said_in(town, town.square, town.square)
        assert await heard(town, 2) == ["0", "1"]
    watched.check(town.square, *said)
