"""What was asked in private stays so: in one channel a person has two conversations, and a command is for both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.phrases import say
from tests.canary import canary
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.street import Street, open_street

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("private")) as street:
        yield street


async def asked(street: Street, user: User, channel: Channel, question: str, *, private: bool) -> str:
    """Ask about a picture, and wait for the answer; all that the engine was given for it."""
    await user.slash("ask", channel, question=question, image=canary(7), private=private)
    await user.reads_when(channel, lambda texts: any(text.endswith(f"saw 7: {question}") for text in texts))
    return str(street.road.asked()[-1].body["messages"])


async def test_an_answer_for_everybody_knows_nothing_of_what_was_private(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await asked(street, ann, channel, "my secret", private=True)
    public = await asked(street, ann, channel, "for all", private=False)
    assert "my secret" not in public
    again = await asked(street, ann, channel, "go on", private=True)
    assert "my secret" in again and "for all" not in again
    assert "for all" in await asked(street, ann, channel, "and then", private=False)


async def test_a_fresh_start_is_one_of_both(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await asked(street, ann, channel, "my secret", private=True)
    await asked(street, ann, channel, "for all", private=False)
    await ann.slash("context", channel)
    await ann.reads_when(channel, lambda texts: any("▱" in text for text in texts))
    await ann.slash("new", channel)
    await ann.reads_when(channel, lambda texts: say("en", "command.new") in texts)
    for private in (True, False):
        given = await asked(street, ann, channel, f"afresh {private}", private=private)
        assert "my secret" not in given and "for all" not in given


async def test_in_direct_messages_there_is_one_conversation(street: Street) -> None:
    ann = street.person(installed=True)
    direct = ann.private
    await asked(street, ann, direct, "first", private=True)
    assert "first" in await asked(street, ann, direct, "second", private=False)
