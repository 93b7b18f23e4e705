"""Asking on Discord: in everybody's language, of any length, with as many pictures as a command takes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bots.phrases import say
from bots.results import LONG_TEXT
from tests.canary import canary
from tests.emulators.discord_shapes import EPHEMERAL
from tests.emulators.server import Json
from tests.road import newest
from tests.street import Street, open_street
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHINESE = {"zh-CN": "zh", "zh-TW": "zh-TW"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_street(tmp_path_factory.mktemp("asking")) as street:
        yield street


async def test_pings_in_an_answer_reach_nobody(street: Street) -> None:
    ann, ben, channel, tap = street.person(), street.person(), street.channel(), street.tap()
    assert channel.guild
    channel.guild.allow("mention_everyone")
    await ben.says(channel, "I am here")
    await ann.says(channel, tap.name, mention=True)
    tap.say(f"@everyone, @here, <@{ben.id}> and <@&{channel.guild.bot_role}> are called.", end=True)
    (text,) = await channel.wait_for(lambda texts: any(text.endswith("called.") for text in texts))
    await ann.slash("ask", channel, question=tap.name, image=canary(7))
    tap.say("@everyone <@1>", end=True)
    await wait_until(lambda: len(channel.bot_messages()) == 2)
    assert "everyone" in text
    assert [message["pings"] for message in channel.bot_messages()] == [set(), set()]


async def test_a_long_answer_is_complete_over_several_messages(street: Street) -> None:
    ann, channel, tap = street.person(), street.channel(), street.tap()
    code = [f"line_{number} = {number}" for number in range(160)]
    row = "| a | b |\n|---|---|\n| 1 | 2 |"
    words = [f"word{number}" for number in range(80)]
    await ann.slash("ask", channel, question=tap.name, image=canary(7))
    tap.say("```python\n" + "\n".join(code) + f"\n```\n\n{row}\n\n" + " ".join(words) + " The end.", end=True)
    texts = await channel.wait_for(lambda texts: texts and texts[-1].endswith("The end."))
    assert max(map(len, texts)) <= 2000
    assert len(texts) == 2
    assert [text.count("```") % 2 for text in texts] == [0] * len(texts)
    shown = "\n".join(texts)
    assert [line for line in code if line not in shown] == []
    assert [word for word in words if word not in shown] == []
    assert not street.discord.called("POST /channels/{channel_id}/messages", str(channel.id)), "all by the command"


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
async def test_a_very_long_answer_also_comes_as_a_file(street: Street, *, private: bool) -> None:
    ann, channel, tap = street.person(), street.channel(), street.tap()
    await ann.slash("ask", channel, question=tap.name, image=canary(7), private=private)
    # Of a link that fits no message only the words are shown: this is one page.
    link = f"[here](https://example.org/{'x' * 580}) "
    answer = link * (LONG_TEXT // len(link) + 1)
    tap.say(answer, end=True)
    await wait_until(lambda: any(message["attachments"] for message in ann.sees(channel)), 10)
    (sent,) = [message for message in ann.sees(channel) if message["attachments"]]
    (file,) = sent["attachments"]
    assert file["filename"] == say("en", "file_name")
    assert street.discord.world.files[file["id"]].content.decode() == answer
    assert bool(sent["flags"] & EPHEMERAL) is private


async def test_four_pictures_and_a_question_are_one_question(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    images = {name: canary(number) for number, name in enumerate(("image", "image2", "image3", "image4"), 1)}
    await ann.slash("ask", channel, question="what?", **images)
    await channel.wait_for(lambda texts: texts == ["saw 1, 2, 3, 4: what?"])


async def test_a_command_is_acknowledged_before_anything_is_downloaded(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    street.discord.delay_next("GET /attachments", 1.0)
    asked = await ann.slash("ask", channel, question="what?", image=canary(7))
    await asked.answered(0.9)
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"])
    (download,) = [call for call in street.discord.called("GET /attachments") if call.at > asked.acked - 1][-1:]
    assert asked.acked < download.answered


@pytest.mark.parametrize(("locale", "language"), [("zh-CN", "zh"), ("zh-TW", "zh"), ("en-GB", "en"), ("de", "en")])
async def test_everybody_is_answered_in_their_own_language(street: Street, locale: str, language: str) -> None:
    ann, channel = street.person(locale=locale), street.channel()
    given = await ann.slash("new", channel)
    await given.shows()
    assert ann.reads(channel) == [say(language, "command.new")]
    asked = await ann.slash("ask", channel, question="what?", image=canary(7))
    shown = await asked.shows()
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"])
    labels = [part["label"] for row in shown["components"] for part in row["components"]]
    assert labels[0] in {say(language, "button.again"), say(language, "button.stop")}


async def test_a_mention_in_chinese_is_answered_in_chinese(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.says(channel, "这是什么？", [("a.zip", b"PK")], mention=True)
    await channel.wait_for(lambda texts: texts == [say("zh", "no_document")])


async def test_people_direct_messages_threads_and_channels_have_conversations_of_their_own(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    thread = channel.thread()
    for user, place in ((ann, channel), (ann, thread), (ben, ben.private), (ann, ann.private)):
        await user.says(place, f"{user.id} {place.id}", mention=bool(place.guild))
        await place.wait_for(lambda texts, user=user, place=place: f"saw nothing: {user.id} {place.id}" in texts)
        (request,) = [each for each in street.road.asked() if newest(each.body)[1] == f"{user.id} {place.id}"]
        assert len([turn for turn in request.body["messages"] if turn["role"] == "user"]) == 1
    await ann.slash("ask", thread, question="go on", image=canary(7))
    await thread.wait_for(lambda texts: texts[-1] == "saw 7: go on")
    request = street.road.asked()[-1]
    assert [turn["role"] for turn in request.body["messages"] if turn["role"] != "system"] == [
        "user",
        "assistant",
        "user",
    ]


async def test_an_edited_question_is_answered_anew_in_its_message(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    said = await ann.says(channel, "what?", [("a.jpg", canary(7))], mention=True)
    await channel.wait_for(lambda texts: texts == ["saw 7: what?"])
    await ann.edits(said, f"{said['content']} And why?")
    await channel.wait_for(lambda texts: texts == ["saw 7: what? And why?"])


async def test_a_group_chat_and_other_people_s_direct_messages_can_ask_too(street: Street) -> None:
    ann, ben = street.person(installed=True), street.person()
    for place in (street.discord.group_dm(ann, ben), street.discord.dm_between(ann, ben)):
        await ann.slash("ask", place, question="what?", image=canary(7))
        await place.wait_for(lambda texts: texts == ["saw 7: what?"])


async def test_every_command_is_offered_everywhere_in_three_languages(street: Street) -> None:
    commands: list[Json] = street.discord.commands()
    names = {command["name"] for command in commands}
    assert names >= {"ask", "new", "stop", "forget", "context", "link", "help", "start", say("en", "discord.name_menu")}
    for command in commands:
        assert (command["contexts"], command["integration_types"]) == ([0, 1, 2], [0, 1])
        menu = command["type"] == 3
        code = "discord.name_menu" if menu else f"discord.name_{command['name']}"
        for locale, language in CHINESE.items():
            assert command["name_localizations"][locale] == say(language, code)
            if not menu:
                about = f"menu.{command['name']}"
                assert command["description_localizations"][locale] == say(language, about) != say("en", about)
            for option in command.get("options", []):
                assert set(option["description_localizations"]) >= {locale}
