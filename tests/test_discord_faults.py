"""Discord at its limits: floods, what cannot be read, and places that go away in mid-answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from bots.phrases import say
from tests.canary import canary
from tests.emulators.discord_emulator import DOWNLOAD
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import Upload
from tests.street import Street, Tap, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POST = "POST /channels/{channel_id}/messages"
EDIT = "PATCH /channels/{channel_id}/messages/{message_id}"
NO_WORDS = say("en", "placeholder")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("faults"), enforce_rates=True) as street:
        yield street


async def begun(street: Street, ann: User, channel: Channel) -> Tap:
    """A mention whose answer has begun to be shown."""
    tap = street.tap()
    await ann.says(channel, tap.name, mention=True)
    tap.say("one ")
    await channel.wait_for(lambda texts: "one …" in texts)
    return tap


async def test_a_flooded_channel_waits_and_no_other_does(street: Street) -> None:
    ann, ben, flooded, free = street.person(), street.person(), street.channel(), street.channel()
    tap = await begun(street, ann, flooded)
    street.discord.flood(flooded, 3.0)
    tap.say("two ")
    await street.refused(EDIT, flooded)
    await ben.says(free, "Hello", mention=True)
    await free.wait_for(lambda texts: texts == ["saw nothing: Hello"])
    assert flooded.texts() == ["one …"]
    tap.say("three", end=True)
    await flooded.wait_for(lambda texts: texts == ["one two three"], 15)
    refused = [call for call in street.discord.called(EDIT, str(flooded.id)) if call.status == 429]
    assert len(refused) <= 2, "what was told to wait waits"


async def test_a_flooded_interaction_waits_and_is_answered(street: Street) -> None:
    ann, channel, tap = street.person(), street.channel(), street.tap()
    asked = await ann.slash("ask", channel, question=tap.name, image=canary(7))
    tap.say("one ")
    await channel.wait_for(lambda texts: texts == ["one …"])
    street.discord.flood(asked, 2.0)
    tap.say("two", end=True)
    await channel.wait_for(lambda texts: texts == ["one two"], 15)


async def test_three_answers_at_once_in_one_channel_keep_its_rate(street: Street) -> None:
    channel, people = street.channel(), [street.person() for _ in range(3)]
    taps = [await begun(street, user, channel) for user in people]
    for tap in taps:
        tap.say("two ", "three ", "four", end=True)
    await channel.wait_for(lambda texts: texts == ["one two three four"] * 3, 30)
    calls = [call for route in (POST, EDIT) for call in street.discord.called(route, str(channel.id))]
    assert 429 not in {call.status for call in calls}
    times = sorted(call.at for call in calls)
    assert [later - first for first, later in zip(times, times[4:], strict=False) if later - first < 4.5] == []


UNREADABLE: dict[str, tuple[Upload, str]] = {
    "26 MB": (Upload("big.png", canary(1), 26_000_000), say("en", "too_large", limit=20)),
    "a film": (Upload("film.mp4", b"\0" * 64), say("en", "not_an_image")),
    "a document": (Upload("paper.pdf", b"%PDF-1.7"), say("en", "document_broken")),
    "text that says it is a picture": (Upload("a.png", b"Hello"), say("en", "not_an_image")),
    "an empty file": (Upload("a.png", b""), say("en", "empty")),
}


@pytest.mark.parametrize(("upload", "sentence"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_picture_is_refused_in_one_sentence(street: Street, upload: Upload, sentence: str) -> None:
    ann, channel = street.person(), street.channel()
    asked = await ann.slash("ask", channel, question="what?", image=upload)
    await channel.wait_for(lambda texts: texts == [sentence])
    await asked.answered()


MENTIONED: dict[str, tuple[Upload, str]] = {
    "26 MB": (Upload("big.png", canary(1), 26_000_000), say("en", "too_large", limit=20)),
    "a film": (Upload("film.mp4", b"\0" * 64), say("en", "not_an_image")),
    "sound": (Upload("song.mp3", b"\0" * 64), say("en", "no_voice")),
    "a document": (Upload("paper.pdf", b"%PDF-1.7"), say("en", "document_broken")),
}


@pytest.mark.parametrize(("upload", "sentence"), MENTIONED.values(), ids=MENTIONED)
async def test_a_mention_with_what_is_no_picture_is_answered_in_one_sentence(
    street: Street, upload: Upload, sentence: str
) -> None:
    ann, channel = street.person(), street.channel()
    await ann.says(channel, "what?", [upload], mention=True)
    await channel.wait_for(lambda texts: texts == [sentence])


async def test_a_picture_that_is_too_large_is_not_even_downloaded(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    before = len(street.discord.called(DOWNLOAD))
    await ann.says(channel, "what?", [Upload("big.png", canary(1), 26_000_000)], mention=True)
    await channel.wait_for(lambda texts: texts == [say("en", "too_large", limit=20)])
    assert len(street.discord.called(DOWNLOAD)) == before


async def test_a_picture_that_is_larger_than_it_says_is_not_read_to_its_end(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("ask", channel, question="what?", image=Upload("a.png", b"\0" * 25_000_000, 1000))
    await channel.wait_for(lambda texts: texts == [say("en", "too_large", limit=20)])


async def test_a_picture_that_is_gone_is_said_to_be(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.delay_next(DOWNLOAD, 0.2)
    said = await ann.says(channel, "what?", [("a.png", canary(7))], mention=True)
    street.discord.lose_file(said["attachments"][0])
    await channel.wait_for(lambda texts: texts == [say("en", "download_failed")])


async def test_a_download_that_fails_once_is_tried_again(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.fail_next(DOWNLOAD, 503)
    await ann.slash("ask", channel, question="what?", image=canary(7))
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"])


CLOSED: dict[str, Callable[[Channel], object]] = {
    "no right to write": lambda channel: channel.deny("send_messages", "view_channel"),
    "channel deleted": lambda channel: channel.remove(),
    "kicked": lambda channel: channel.guild and channel.guild.kick_bot(),
}


@pytest.mark.parametrize("close", CLOSED.values(), ids=CLOSED)
async def test_where_nobody_reads_the_answer_the_engine_is_freed(
    street: Street, close: Callable[[Channel], object]
) -> None:
    ann, channel = street.person(), street.channel()
    tap = await begun(street, ann, channel)
    gone = len(street.road.engine.disconnects)
    close(channel)
    tap.say("two ")
    await wait_until(lambda: len(street.road.engine.disconnects) > gone, 15)
    await ann.dm("Hello")
    await ann.private.wait_for(lambda texts: texts == ["saw nothing: Hello"])


async def test_where_it_may_not_write_a_mention_is_left_and_a_command_is_answered(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    channel.deny("send_messages")
    await ben.says(channel, "Hello", mention=True)
    await street.refused(POST, channel)
    await ann.slash("ask", channel, question="what?", image=canary(7))
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"])


async def test_answers_deleted_by_a_moderator_come_again_once(street: Street) -> None:
    ann, ben, moderator = street.person(), street.person(), street.person()
    channel, square, tap, other = street.channel(), street.channel(), street.tap(), street.tap()
    await ann.slash("ask", channel, question=tap.name, image=canary(7))
    await ben.says(square, other.name, mention=True)
    for place in (channel, square):
        await place.wait_for(lambda texts: texts == [NO_WORDS])
        await moderator.deletes(place.bot_messages()[0])
    tap.say("one", end=True)
    other.say("one", end=True)
    for place in (channel, square):
        await place.wait_for(lambda texts: texts == ["one"])


async def test_who_blocks_the_bot_in_mid_answer_frees_the_engine(street: Street) -> None:
    ann = street.person()
    tap = await begun(street, ann, ann.private)
    ann.blocked = True
    gone = len(street.road.engine.disconnects)
    await ann.deletes(ann.private.bot_messages()[0])  # so that it is to be placed anew
    tap.say("two ")
    await wait_until(lambda: len(street.road.engine.disconnects) > gone, 15)
