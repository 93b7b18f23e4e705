"""The connection to Discord refused, broken, closed and resumed: the bot stays, and nothing is lost or said twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bots.phrases import say
from tests.canary import canary
from tests.emulators.discord_emulator import DiscordEmulator
from tests.road import open_road
from tests.street import Street, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POST, LOGIN, PLACE = "POST /channels/{channel_id}/messages", "GET /users/@me", "POST /webhooks/{app_id}/{token}"


def bumpy(discord: DiscordEmulator) -> None:
    """The API fails once, then the gateway does."""
    discord.fail_next(LOGIN, 503, html=True)
    discord.refuse_connections(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("gateway"), before=bumpy) as street:
        await wait_until(lambda: bool(street.discord.gateway.live()), 20)
        yield street


async def test_it_survives_an_api_and_a_gateway_that_fail_at_first(street: Street) -> None:
    assert len(street.discord.called(LOGIN)) == 2
    assert len(street.discord.gateway.noted("refused")) == 1
    assert not [line for line in street.road.askpix.lines if "died" in line]
    ann = street.person()
    await ann.dm("Hello")
    await ann.private.wait_for(lambda texts: texts == ["saw nothing: Hello"])


BREAKS: dict[str, Callable[[Street], None]] = {
    "op 7": lambda street: street.discord.gateway.reconnect(),
    "op 9, resumable": lambda street: street.discord.gateway.invalidate(resumable=True),
    "op 9": lambda street: street.discord.gateway.invalidate(),
    "a dropped socket": lambda street: street.discord.gateway.drop(),
    "close 4000": lambda street: street.discord.gateway.close(4000),
    "close 1000": lambda street: street.discord.gateway.close(1000),
}


@pytest.mark.parametrize("break_it", BREAKS.values(), ids=BREAKS)
async def test_what_came_meanwhile_is_answered_once(street: Street, break_it: Callable[[Street], None]) -> None:
    ann, channel, square = street.person(), street.channel(), street.channel()
    tap, gateway = street.tap(), street.discord.gateway
    await ann.says(channel, tap.name, mention=True)
    tap.say("one ")
    await channel.wait_for(lambda texts: texts == ["one …"])
    pid, connected = await street.road.askpix.pid("discord"), len(gateway.noted("hello"))
    break_it(street)
    ben, cid = street.person(), street.person()
    await ben.says(square, "missed", mention=True)
    tap.say("two", end=True)
    await channel.wait_for(lambda texts: texts == ["one two"], 20)
    await square.wait_for(lambda texts: texts == ["saw nothing: missed"], 20)
    await wait_until(lambda: len(gateway.noted("hello")) > connected and bool(gateway.live()), 20)
    await cid.dm("Hello")
    await cid.private.wait_for(lambda texts: texts == ["saw nothing: Hello"])
    assert len(channel.bot_messages()) == len(square.bot_messages()) == 1
    assert await street.road.askpix.pid("discord") == pid, "the same process"


async def test_it_resumes_where_it_can(street: Street) -> None:
    gateway = street.discord.gateway
    identified, resumed = len(gateway.noted("identify")), len(gateway.noted("resume"))
    gateway.drop()
    await wait_until(lambda: len(gateway.noted("resume")) > resumed and bool(gateway.live()), 20)
    assert len(gateway.noted("identify")) == identified


@pytest.mark.parametrize("status", [502, 503])
async def test_a_failing_api_holds_an_answer_up_but_does_not_lose_it(street: Street, status: int) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.fail_next(POST, status, html=True)
    street.discord.fail_next(PLACE, status, html=True)
    await ann.slash("ask", channel, question="what?", image=canary(7))
    await ann.dm("Hello")
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"], 20)
    await ann.private.wait_for(lambda texts: texts == ["saw nothing: Hello"], 20)


async def test_a_placed_message_whose_reply_was_lost_is_found_again(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.drop_next(POST)
    await ann.says(channel, "Hello", mention=True)
    await channel.wait_for(lambda texts: texts == ["saw nothing: Hello"], 20)
    assert len(street.discord.called(POST, str(channel.id))) == 2


async def test_what_keeps_it_from_starting_is_said_in_one_sentence_until_it_is_mended(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        await discord.stop()  # Discord cannot even be reached
        async with open_road(tmp_path, discord=discord, DISCORD_MESSAGE_CONTENT="1") as road:
            said = road.askpix.said
            await wait_until(lambda: "Discord cannot be reached" in road.askpix.logs())
            await discord.start()
            await said(say("en", "cli.no_intent"))
            discord.world.message_content = True
            await wait_until(lambda: bool(discord.gateway.live()), 20)
            discord.gateway.token = "another"
            discord.gateway.close(4004)
            await said(say("en", "cli.bad_discord_token"))
        assert discord.token not in road.askpix.logs()
        assert "Traceback" not in road.askpix.logs()


async def test_an_acknowledgement_whose_reply_is_lost_costs_nothing(street: Street) -> None:
    callback = "POST /interactions/{id}/{token}/callback"
    for lost in (True, False):
        ann, channel = street.person(), street.channel()
        if lost:
            street.discord.drop_next(callback)
        else:
            street.discord.fail_next(callback, 502, html=True)
        await ann.slash("ask", channel, question="what?", image=canary(7))
        await channel.wait_for(lambda texts: texts == ["saw 7: what?"])
