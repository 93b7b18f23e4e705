"""Discord's bot killed with SIGKILL: whatever it was about to do is done once, and what it missed is made up for."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from storage import keys
from tests.canary import canary
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.road import newest
from tests.street import Street, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POST, CALLBACK = "POST /channels/{channel_id}/messages", "POST /interactions/{id}/{token}/callback"
HOUR = 3600.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("restarts")) as street:
        yield street


async def kill(street: Street) -> None:
    """Kill the bot, and do not wait for the next."""
    pid = await street.road.askpix.pid("discord")
    assert pid
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: not street.discord.gateway.live())


async def back(street: Street) -> None:
    """Wait until the bot is connected, and has nothing more to read."""
    await wait_until(lambda: bool(street.discord.gateway.live()), 30)

    async def idle() -> bool:
        return await street.road.askpix.redis.xlen(keys.inbox("discord")) == 0

    await wait_until(idle, 20)


async def test_answers_that_had_begun_go_on_in_their_messages(street: Street) -> None:
    channel = street.channel()
    asked: list[tuple[User, Channel]] = [
        (street.person(), place) for place in (street.channel(), street.channel(), channel, channel.thread())
    ]
    asked.append((dora := street.person(), dora.private))
    taps = [street.tap() for _ in asked]
    for number, (tap, (user, place)) in enumerate(zip(taps, asked, strict=True)):
        if number < 2:
            await user.slash("ask", place, question=tap.name, image=canary(7), private=number == 1)
        else:
            await user.says(place, tap.name, mention=True)
        tap.say("one ")
    late = street.tap(), street.tap()
    for user, place in asked:
        await user.reads_when(place, lambda texts: texts == ["one …"])
    # One is not acknowledged yet; of another the answer is placed, but the bot does not know where.
    street.discord.delay_next(CALLBACK, 10)  # until the bot is dead, however slow this machine is
    eve, fay, square = street.person(), street.person(), street.channel()
    unheard = await eve.slash("ask", square, question=late[0].name, image=canary(7))
    await street.discord.until(lambda: late[0].asked == 1)
    street.discord.drop_next(POST)
    await fay.dm(late[1].name)
    await fay.private.wait_for(lambda texts: len(texts) == 1)
    await kill(street)
    for tap in (*taps, *late):
        tap.say("two", end=True)
    for user, place in asked:
        await user.reads_when(place, lambda texts: texts == ["one two"], 30)
    assert not channel.bot_messages(street.person())[1:]
    await square.wait_for(lambda texts: texts == ["two"], 20)
    await fay.private.wait_for(lambda texts: texts == ["two"])
    assert len(street.discord.called(POST, str(fay.private.id))) == 2, "it was placed twice, and there is one"
    assert unheard.callback == {}
    assert [tap.asked for tap in (*taps, *late)] == [1] * 7


async def test_what_comes_twice_is_answered_once(street: Street) -> None:
    ann, channel, other = street.person(), street.channel(), street.channel()
    asked = await ann.slash("ask", channel, question="what?", image=canary(7))
    said = await ann.says(other, "and this?", [("a.jpg", canary(8))], mention=True)
    for _ in range(2):
        street.discord.redeliver(asked)
        street.discord.world.tell_message("MESSAGE_CREATE", said)
        await channel.wait_for(lambda texts: texts == ["saw 7: what?"])
        await other.wait_for(lambda texts: texts == ["saw 8: and this?"])
    await ann.dm("the end")
    await ann.private.wait_for(lambda texts: texts == ["saw nothing: the end"])
    assert len(channel.texts()) == len(other.texts()) == 1


async def test_mentions_that_were_missed_are_answered_once_the_oldest_first(street: Street) -> None:
    ann, ben, talker = street.person(), street.person(), street.person()
    busy, other, quiet = (street.channel() for _ in range(3))
    thread = other.thread()
    await ann.dm("known")
    await ann.private.wait_for(lambda texts: texts == ["saw nothing: known"])
    await ann.says(busy, "before", mention=True)
    await busy.wait_for(lambda texts: texts == ["saw nothing: before"])
    await kill(street)
    street.discord.clock.shift = -1.1 * HOUR
    await ann.says(other, "long ago", mention=True)
    street.discord.clock.shift = 0.0
    first = await ben.says(thread, "first", mention=True)
    for _ in range(205):
        await talker.says(busy, "chatter")
    await ann.says(quiet, "second", mention=True)
    await ann.says(quiet, "third", [("a.jpg", canary(3))], mention=True)
    await ann.says(busy, "fourth", mention=True)
    await ann.dm("fifth")
    await ann.says(other, "sixth", mention=True)
    await back(street)
    await quiet.wait_for(lambda texts: texts == ["saw nothing: second", "saw 3: third"], 20)
    await busy.wait_for(lambda texts: texts[1:] == ["saw nothing: fourth"])
    await ann.private.wait_for(lambda texts: texts[1:] == ["saw nothing: fifth"])
    await other.wait_for(lambda texts: texts == ["saw nothing: sixth"])
    await thread.wait_for(lambda texts: texts == ["saw nothing: first"])
    assert thread.bot_messages()[0]["message_reference"]["message_id"] == first["id"]
    words = [newest(request.body)[1] for request in street.road.asked()]
    assert words.index("second") < words.index("third")
    await kill(street)
    await ben.says(thread, "last", mention=True)
    await back(street)
    await thread.wait_for(lambda texts: texts[1:] == ["saw nothing: last"])
    counts = [len(place.bot_messages()) for place in (busy, other, quiet, thread, ann.private)]
    assert counts == [2, 1, 2, 2, 2], "none is answered again"
