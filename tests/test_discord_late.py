"""Answers on Discord that come after their interaction's fifteen minutes: they arrive, and only where they may."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.phrases import say
from tests.canary import canary
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import EPHEMERAL, text_of
from tests.street import Street, Tap, open_street

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("late")) as street:
        yield street


async def begun(street: Street, ann: User, channel: Channel, *, private: bool = False) -> tuple[Interaction, Tap]:
    """A question whose answer has its place."""
    tap = street.tap()
    asked = await ann.slash("ask", channel, question=tap.name, image=canary(7), private=private)
    await ann.reads_when(channel, lambda texts: texts == [say("en", "placeholder")])
    return asked, tap


async def test_a_public_answer_goes_on_in_its_message(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    asked, tap = await begun(street, ann, channel)
    tap.say("one ")
    await channel.wait_for(lambda texts: texts == ["one …"])
    street.expire(asked)
    tap.say("two", end=True)
    await channel.wait_for(lambda texts: texts == ["one two"])
    assert not ann.private.bot_messages()


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
async def test_in_direct_messages_it_goes_on_where_it_is(street: Street, *, private: bool) -> None:
    ann = street.person(installed=True)
    asked, tap = await begun(street, ann, ann.private, private=private)
    street.expire(asked)
    tap.say("two", end=True)
    await ann.reads_when(ann.private, lambda texts: "two" in texts)
    assert ann.private.texts() == ["two"]


async def test_further_messages_of_a_public_answer_follow_in_the_channel(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    asked, tap = await begun(street, ann, channel)
    street.expire(asked)
    tap.say("two " * 600, end=True)
    texts = await channel.wait_for(lambda texts: " ".join(texts).split() == ["two"] * 600)
    assert len(texts) == 2


async def test_where_the_bot_is_no_member_a_public_answer_comes_by_direct_message(street: Street) -> None:
    ann, channel = street.person(installed=True), street.channel(bot_inside=False)
    asked, tap = await begun(street, ann, channel)
    street.expire(asked)
    tap.say("two", end=True)
    await ann.private.wait_for(lambda texts: texts == ["two"])


async def test_more_messages_than_a_user_s_own_application_may_send_come_by_direct_message(street: Street) -> None:
    ann, channel = street.person(installed=True), street.channel(bot_inside=False)
    asked, tap = await begun(street, ann, channel)
    asked.posts = 5
    tap.say("two " * 600, end=True)
    await ann.private.wait_for(lambda texts: " ".join(texts).split() == ["two"] * 600)


async def test_a_private_answer_comes_by_direct_message(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    asked, tap = await begun(street, ann, channel, private=True)
    street.expire(asked)
    tap.say("two", end=True)
    await ann.private.wait_for(lambda texts: texts == ["two"])
    assert not channel.bot_messages(), "it was for nobody else"


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_a_private_answer_that_cannot_be_sent_waits_for_the_asker_s_next_word(
    street: Street, *, restarted: bool
) -> None:
    ann, channel, square = street.person(), street.channel(), street.channel()
    ann.blocked = True
    asked, tap = await begun(street, ann, channel, private=True)
    street.expire(asked)
    secret = f"secret of {tap.name}"
    tap.say(secret, end=True)
    await street.refused("POST /channels/{channel_id}/messages", ann.private)
    if restarted:
        await street.restart("discord")
    await ann.slash("ask", square, question="and this?", image=canary(9))
    await square.wait_for(lambda texts: texts == ["saw 9: and this?"])
    await ann.reads_when(square, lambda texts: sorted(texts) == ["saw 9: and this?", secret])
    for place in street.discord.world.channels.values():
        for message in place.messages:
            shown = text_of(message) + "".join(edit["content"] for edit in message["edits"])
            if secret in shown:
                assert message["flags"] & EPHEMERAL and message["only_for"] == ann.id
    ann.blocked = False
    await ann.slash("new", square)
    await ann.reads_when(square, lambda texts: say("en", "command.new") in texts)
    assert [text for text in ann.reads(square) if secret in text] == [secret], "once"


async def test_a_private_answer_that_could_not_be_sent_comes_when_its_asker_writes(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    ann.blocked = True
    asked, tap = await begun(street, ann, channel, private=True)
    street.expire(asked)
    tap.say("two", end=True)
    await street.refused("POST /channels/{channel_id}/messages", ann.private)
    ann.blocked = False
    await ann.dm("Hello")
    await ann.private.wait_for(lambda texts: sorted(texts) == ["saw nothing: Hello", "two"])


async def test_a_command_s_sentence_finds_its_way_too(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.fail_next("POST /webhooks/{app_id}/{token}", 401, 50027)
    given = await ann.slash("new", channel)
    await ann.private.wait_for(lambda texts: texts == [say("en", "command.new")])
    street.expire(given)
    assert not channel.bot_messages()
