"""Who may ask on Discord, and what the bot is shown of what others write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bots.phrases import say
from tests.canary import canary
from tests.emulators.discord_emulator import DiscordEmulator
from tests.road import newest, open_road
from tests.street import Street, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
FRIEND, FOE, SERVER = 31, 32, 33
MENU = say("en", "discord.name_menu")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """A bot for a few, which reads along."""

    def allowed(discord: DiscordEmulator) -> dict[str, str]:
        channel = discord.guild(SERVER + 1).channel("one")
        return {"ALLOW": f"discord:{FRIEND} discord:chat:{SERVER} discord:chat:{channel.id}"}

    async with open_street(
        tmp_path_factory.mktemp("people"), message_content=True, before=allowed,
        DENY=f"discord:{FOE}", OPEN="0", DISCORD_MESSAGE_CONTENT="1",
    ) as street:  # fmt: skip
        yield street


async def test_a_stranger_s_command_is_answered_privately_and_a_mention_is_left(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    sentence = say("en", "command.stranger", person=f"discord:{ann.id}")
    for _ in range(2):
        asked = await ann.slash("ask", channel, question="what?", image=canary(7), private=True)
        await asked.shows()
    assert ann.reads(channel) == [sentence] * 2
    await ann.says(channel, "what?", mention=True)
    await ann.dm("what?")
    await ann.private.wait_for(lambda texts: texts == [sentence])
    await ann.dm("what?")
    friend = street.discord.user(FRIEND)
    await friend.says(channel, "Hello", mention=True)
    await channel.wait_for(lambda texts: texts == ["saw nothing: Hello"])
    assert ann.private.texts() == [sentence], "once a day"


async def test_a_server_and_a_channel_can_be_allowed_and_a_person_denied(street: Street) -> None:
    ann, foe = street.person(), street.discord.user(FOE)
    inside, one = street.discord.guild(SERVER).channel("any"), street.discord.guild(SERVER + 1).channel("one")
    for place in (inside, inside.thread(), one):
        await foe.says(place, "Hello", mention=True)
        await ann.says(place, "Hello", mention=True)
        await place.wait_for(lambda texts: texts == ["saw nothing: Hello"])
    two = street.discord.guild(SERVER + 1).channel("two")
    refused = await ann.slash("ask", two, question="what?", image=canary(7), private=True)
    await refused.shows()
    assert ann.reads(two) == [say("en", "command.stranger", person=f"discord:{ann.id}")]


async def test_with_the_intent_a_reply_to_another_s_picture_is_about_that(street: Street) -> None:
    ann, friend = street.person(), street.discord.user(FRIEND)
    channel, other = street.channel(), street.channel()
    picture = await ann.says(channel, "look", [("a.jpg", canary(9))])
    await friend.says(channel, "what is it?", reply_to=picture, mention=True)
    (text,) = await channel.wait_for(
        lambda texts: texts and texts[-1].startswith("saw 9: ") and "what is it?" in texts[-1]
    )
    assert "look" in text
    asked = await friend.slash("ask", other, question="what?", image=canary(8))
    await other.wait_for(lambda texts: texts == ["saw 8: what?"])
    await friend.says(other, "and why?", reply_to=await asked.shows(), ping=False)
    await other.wait_for(lambda texts: len(texts) == 2 and "and why?" in texts[1])
    clicked = await friend.context(MENU, await ann.says(channel, "me too", reply_to=picture))
    await clicked.shows_modal()
    await friend.submit(clicked, {"question": "whose?", "seen": ["public"]})
    await channel.wait_for(lambda texts: any("whose?" in text for text in texts))
    assert newest(street.road.asked()[-1].body)[0] == [9]


async def test_the_first_admin_comes_by_the_code_and_without_the_intent_a_reply_is_pointed_to_the_menu(
    tmp_path: Path,
) -> None:
    async with DiscordEmulator() as discord, open_road(tmp_path, discord=discord, OPEN="0", ADMINS="") as road:
        await wait_until(lambda: bool(discord.commands()), 20)
        ann, ben, channel = discord.user(1), discord.user(2), discord.guild().channel()
        code = (await road.askpix.said(r"/start (\S+) on Discord"))[1]
        first = await ann.slash("start", channel, code="wrong")
        await first.shows()
        given = await ann.slash("start", channel, code=code)
        await given.shows()
        assert ann.reads(channel) == [say("en", "command.stranger", person="discord:1"), say("en", "command.admin")]
        late = await ben.slash("start", channel, code=code)
        await late.shows()
        assert ben.reads(channel) == [say("en", "command.stranger", person="discord:2")]
        picture = await ben.says(channel, "look", [("a.jpg", canary(9))])
        await ann.says(channel, "what is it?", reply_to=picture, mention=True)
        await channel.wait_for(lambda texts: texts == [say("en", "discord.use_menu")])
        await ann.dm("", [("a.jpg", canary(8))])
        await ann.private.wait_for(lambda texts: texts == [f"saw 8: {say('en', 'default_question')}"])
        assert discord.unknown == []
        assert code not in road.askpix.logs()
