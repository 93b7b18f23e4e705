"""What is pressed on Discord: buttons under answers, the menu of a message, and the forms that they show."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.phrases import say
from bots.results import LONG_TEXT
from storage import keys
from tests.canary import canary
from tests.emulators.discord_emulator import DOWNLOAD
from tests.emulators.discord_person import User
from tests.emulators.discord_places import THINKING, Channel
from tests.emulators.discord_shapes import EPHEMERAL
from tests.emulators.server import Json
from tests.road import newest
from tests.street import Street, Tap, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, AGAIN, FOLLOW, FILE = (say("en", f"button.{code}") for code in ("stop", "again", "follow", "file"))
MENU, STOPPED = say("en", "discord.name_menu"), say("en", "stopped")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("buttons")) as street:
        yield street


async def begun(street: Street, ann: User, channel: Channel, *, private: bool = False) -> tuple[Json, Tap]:
    """An answer in its midst."""
    tap = street.tap()
    asked = await ann.slash("ask", channel, question=tap.name, image=canary(7), private=private)
    tap.say("one ")
    await ann.reads_when(channel, lambda texts: texts == ["one …"])
    assert asked.original
    return asked.original, tap


async def answered(street: Street, ann: User, channel: Channel, *, private: bool = False) -> Json:
    """A whole answer."""
    asked = await ann.slash("ask", channel, question="what?", image=canary(7), private=private)
    await ann.reads_when(channel, lambda texts: "saw 7: what?" in texts)
    return await offering(street, asked.original, FOLLOW)


async def offering(street: Street, answer: Json | None, label: str) -> Json:
    """An answer as soon as it has a button."""
    assert answer
    await street.discord.until(lambda: label in str(answer["components"]))
    return answer


async def told(user: User, channel: Channel, sentence: str) -> None:
    """Wait until somebody alone was told something."""
    await user.reads_when(channel, lambda texts: sentence in texts)
    assert sentence not in channel.texts()


async def test_its_asker_stops_an_answer_and_nobody_else_does(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    answer, tap = await begun(street, ann, channel)
    await ben.press(answer, STOP)
    await told(ben, channel, say("en", "button.not_yours"))
    await ann.press(answer, STOP)
    await channel.wait_for(lambda texts: texts == [f"one\n\n{STOPPED}"])
    await told(ann, channel, say("en", "button.stopping"))
    assert tap.asked == 1


async def test_the_command_stops_its_sender_s_answers_here(street: Street) -> None:
    ann, ben, channel, other = street.person(), street.person(), street.channel(), street.channel()
    await begun(street, ann, channel)
    _, tap = await begun(street, ben, other)
    given = await ann.slash("stop", channel)
    await channel.wait_for(lambda texts: texts == [f"one\n\n{STOPPED}"])
    assert (await given.shows())["content"] == say("en", "button.stopping")
    await ann.slash("stop", other)
    await told(ann, other, say("en", "command.stop_nothing"))
    tap.say("two", end=True)
    await other.wait_for(lambda texts: texts == ["one two"])


async def test_an_admin_stops_anybody_s_answer(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    answer, _ = await begun(street, ann, channel)
    await street.admin.press(answer, STOP)
    await channel.wait_for(lambda texts: texts == [f"one\n\n{STOPPED}"])


async def test_a_private_answer_is_stopped_and_asked_anew_by_its_token(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    answer, tap = await begun(street, ann, channel, private=True)
    await ann.press(answer, STOP)
    await ann.reads_when(channel, lambda texts: f"one\n\n{STOPPED}" in texts)
    await offering(street, answer, AGAIN)
    tap.say("fresh", end=True)
    await ann.press(answer, AGAIN)
    await ann.reads_when(channel, lambda texts: "fresh" in texts)
    assert not channel.bot_messages()


async def test_regenerate_long_after_the_command_goes_on_in_the_same_message(street: Street) -> None:
    ann, ben, channel, tap = street.person(), street.person(), street.channel(), street.tap()
    asked = await ann.slash("ask", channel, question=tap.name, image=canary(7))
    tap.say("one", end=True)
    answer = await offering(street, await asked.shows(), AGAIN)
    await ben.press(answer, AGAIN)
    await told(ben, channel, say("en", "button.not_yours"))
    street.discord.expire_token(asked)
    tap.say("fresh", end=True)
    await ann.press(answer, AGAIN)
    await channel.wait_for(lambda texts: texts == ["fresh"])
    await told(ann, channel, say("en", "again"))


async def test_a_follow_up_goes_on_with_its_asker_s_conversation(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    clicked = await ann.press(await answered(street, ann, channel), FOLLOW)
    await clicked.shows_modal()
    await ann.submit(clicked, {"question": "and why?"})
    await channel.wait_for(lambda texts: texts == ["saw 7: what?", "saw nothing: and why?"])
    turns = street.road.asked()[-1].body["messages"]
    assert [turn["role"] for turn in turns if turn["role"] != "system"] == ["user", "assistant", "user"]
    assert newest(street.road.asked()[-1].body)[1] == "and why?", "no quote: the conversation knows it"


async def test_a_follow_up_by_another_brings_the_answer_as_a_quote(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    clicked = await ben.press(await answered(street, ann, channel), FOLLOW)
    await clicked.shows_modal()
    await ben.submit(clicked, {"question": "is that so?"})
    await channel.wait_for(lambda texts: len(texts) == 2 and "is that so?" in texts[1] and not texts[1].endswith("…"))
    words = newest(street.road.asked()[-1].body)[1]
    assert "saw 7: what?" in words
    assert len(street.road.asked()[-1].body["messages"]) <= 2, "of Ann's conversation Ben gets nothing else"


async def test_a_follow_up_of_a_private_answer_is_private(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    clicked = await ann.press(await answered(street, ann, channel, private=True), FOLLOW)
    await clicked.shows_modal()
    await ann.submit(clicked, {"question": "and why?"})
    await ann.reads_when(channel, lambda texts: "saw nothing: and why?" in texts)
    assert not channel.bot_messages()


async def test_a_very_long_answer_is_sent_as_a_file_once_more_where_that_may_have_failed(street: Street) -> None:
    ann, channel, tap = street.person(), street.channel(), street.tap()
    asked = await ann.slash("ask", channel, question=tap.name, image=canary(7))
    answer = await asked.shows()
    link = f"[here](https://example.org/{'x' * 580}) "
    street.discord.drop_next("POST /webhooks/{app_id}/{token}", after_processing=False)  # its message stands: the file
    tap.say(link * (LONG_TEXT // len(link) + 1), end=True)
    await ann.press(await offering(street, answer, FILE), FILE)
    await told(ann, channel, say("en", "button.file"))
    assert len([message for message in channel.bot_messages() if message["attachments"]]) == 1


async def test_buttons_and_forms_of_before_a_restart_work_after_it(street: Street) -> None:
    ann, ben, cid, dora = (street.person() for _ in range(4))
    places = [street.channel() for _ in range(4)]
    running, _ = await begun(street, ann, places[0])
    whole = await answered(street, ben, places[1])
    picture = await ben.says(places[2], "look", [("a.jpg", canary(9))])
    menu = await cid.context(MENU, picture)
    follow = await dora.press(whole, FOLLOW)
    await menu.shows_modal()
    await follow.shows_modal()
    await street.restart("discord")
    await ben.press(running, STOP)
    await told(ben, places[0], say("en", "button.not_yours"))
    await ann.press(running, STOP)
    await places[0].wait_for(lambda texts: STOPPED in texts[0])
    await cid.submit(menu, {"question": "whose?", "seen": ["public"]})
    await places[2].wait_for(lambda texts: texts and texts[-1].startswith("saw 9: ") and "whose?" in texts[-1])
    await dora.submit(follow, {"question": "really?"})
    await places[1].wait_for(lambda texts: len(texts) == 2 and "really?" in texts[1])
    asked = len(street.road.asked())
    await ben.press(whole, AGAIN)
    await wait_until(lambda: len(street.road.asked()) > asked)
    await told(ben, places[1], say("en", "again"))


async def test_a_message_without_a_picture_is_said_to_have_none(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(locale="zh-TW"), street.channel()
    said = await ann.says(channel, "no picture", [("a.zip", b"PK")])
    await ann.context(MENU, said)
    await told(ann, channel, say("en", "discord.no_picture"))
    await ben.context(MENU, said)
    await told(ben, channel, say("zh", "discord.no_picture"))


async def test_every_picture_of_a_message_is_asked_about_in_private_or_in_public(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    discord, files = street.discord, [("a.jpg", canary(1)), ("b.zip", b"PK")]
    replied = await ben.says(channel, "before", [("c.jpg", canary(2))])
    said = await ben.says(
        channel, "look", files, replied,
        embeds=[discord.embed(canary(3))], sticker_items=[discord.sticker(canary(4))],
    )  # fmt: skip
    for seen in ("private", "public"):
        clicked = await ann.context(MENU, said)
        await clicked.shows_modal()
        await ann.submit(clicked, {"question": seen} | ({"seen": ["public"]} if seen == "public" else {}))
        await ann.reads_when(channel, lambda texts, seen=seen: any(text.split()[-1:] == [seen] for text in texts))
        numbers, words = newest(street.road.asked()[-1].body)
        assert sorted(numbers) == [1, 3, 4], "of what it replies to nothing is told without the intent"
        assert "look" in words
        assert bool(channel.bot_messages()) is (seen == "public"), seen
    downloaded = [call.path for call in discord.calls if call.path.startswith(("/external", "/stickers"))]
    assert downloaded, "Discord's own copies"


async def test_a_forwarded_picture_is_asked_about(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    original = await ben.says(channel, "look", [("a.jpg", canary(5))])
    snapshot = street.discord.world.show(original, whole=True)
    forwarded = await ben.says(channel, message_snapshots=[{"message": snapshot}])
    clicked = await ann.context(MENU, forwarded)
    await clicked.shows_modal()
    await ann.submit(clicked, {"question": "what is it?", "seen": ["public"]})
    await channel.wait_for(lambda texts: texts and texts[-1].startswith("saw 5: "))


async def test_a_form_that_is_sent_too_late_says_so(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    clicked = await ann.context(MENU, await ann.says(channel, "", [("a.jpg", canary(1))]))
    await clicked.shows_modal()
    await street.road.askpix.redis.delete(keys.draft("discord", str(clicked.id)))  # as after an hour
    sent = await ann.submit(clicked, {"question": "what?"})
    await told(ann, channel, say("en", "discord.menu_old"))
    assert THINKING not in ann.reads(channel)
    assert sent.original and sent.original["flags"] & EPHEMERAL


async def test_the_menu_works_where_the_bot_is_no_member(street: Street) -> None:
    ann, ben = street.person(installed=True), street.person()
    place = street.discord.dm_between(ann, ben)
    before = len(street.discord.called(DOWNLOAD))
    clicked = await ann.context(MENU, await ben.says(place, "look", [("a.jpg", canary(6))]))
    await clicked.shows_modal()
    await ann.submit(clicked, {"question": "what?", "seen": ["public"]})
    await ben.reads_when(place, lambda texts: bool(texts) and texts[-1].startswith("saw 6: "))
    assert len(street.discord.called(DOWNLOAD)) == before + 1
