"""The tasks on Discord, over the whole road: slash commands with a picture, mentions, and buttons under answers."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image

from bots.phrases import say
from bots.tasks import TASKS
from tests import exhibits
from tests.bots.papers import paper
from tests.emulators.discord_person import User
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import EPHEMERAL, every_component
from tests.emulators.server import Json
from tests.exhibits import drawn_on, encoded, shown
from tests.street import Street, open_street
from tests.waiting import wait_until


def files(street: Street, user: User, channel: Channel) -> dict[str, bytes]:
    """What the bot sent that this person sees, by name."""
    sent = [file for message in user.sees(channel) if message["author"].get("bot") for file in message["attachments"]]
    return {file["filename"]: street.discord.world.files[file["id"]].content for file in sent}


async def sent(street: Street, user: User, channel: Channel, name: str) -> bytes:
    """A file of the bot's, as soon as it is there."""
    await wait_until(lambda: name in files(street, user, channel), 20)
    return files(street, user, channel)[name]


def asked(street: Street, words: str) -> exhibits.Shown:
    """The one question in these words."""
    (found,) = [asked for request in street.road.asked() if words in (asked := shown(request)).words]
    return found


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def labels(message: Json) -> list[str]:
    """The words on the buttons under a message."""
    return [part["label"] for part in every_component(message["components"]) if "label" in part]


async def a_command_takes_a_picture_and_its_argument(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("find", channel, what="the cups", image=encoded(exhibits.cups()))
    await channel.wait_for(lambda texts: texts[:1] == ["1. red cup\n2. blue cup"])
    assert drawn_on([picture(await sent(street, ann, channel, "marked.png"))], exhibits.cups())


async def a_private_answer_s_files_are_private(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("table", channel, image=encoded(exhibits.receipt()), private=True)
    assert b"Espresso,2,4.40" in await sent(street, ann, channel, say("en", "file_table"))
    assert not channel.bot_messages() or all(message["flags"] & EPHEMERAL for message in channel.bot_messages())


async def a_mention_with_a_picture_and_a_task(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.says(channel, "/gui sign in", [("a.png", encoded(exhibits.form()))], mention=True)
    await channel.wait_for(lambda texts: texts and texts[0].splitlines()[-1:] == ["3. Sign in: sends the form 👈"])
    assert drawn_on([picture(await sent(street, ann, channel, "marked.png"))], exhibits.form())


async def without_a_picture_it_is_about_the_last_one_of_the_channel(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("ocr", channel)
    await channel.wait_for(lambda texts: texts == [say("en", "ask_what")])
    await ann.slash("describe", channel, image=encoded(exhibits.receipt()))
    await channel.wait_for(lambda texts: texts[1:] == [exhibits.DESCRIBED])
    await ann.slash("ocr", channel)
    await channel.wait_for(lambda texts: texts[2:] == [f"```\n{exhibits.OCR}\n```"])
    await ann.slash("translate", channel, language="German")
    await channel.wait_for(lambda texts: len(texts) == 4 and "Käsekuchen" in texts[3])
    assert asked(street, say("en", "task.translate", argument="German"))


async def a_page_comes_with_its_code_on_request(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("html", channel, image=encoded(exhibits.form()))
    assert (await sent(street, ann, channel, say("en", "file_page"))).startswith(b"<!DOCTYPE html>")
    answer = channel.bot_messages()[0]
    await wait_until(lambda: say("en", "button.code") in labels(answer))
    await ann.press(answer, say("en", "button.code"))
    await channel.wait_for(lambda texts: texts[-1].startswith("```html\n<!DOCTYPE"))


async def a_video_is_watched(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("video", channel, image=("film.mp4", exhibits.rolling(3)))
    await channel.wait_for(lambda texts: texts[:1] == [exhibits.EVENTS], 20)
    assert picture(await sent(street, ann, channel, say("en", "file_frames"))).width > 800
    assert len(asked(street, "frames of a video").pictures) == 6


async def a_document_is_read(street: Street) -> None:
    ann, channel = street.person(locale="zh-CN"), street.channel()
    await ann.says(channel, "苍鹭多重？", [("a.pdf", paper(exhibits.report(2, 2, "苍鹭重 1,742 克。")))], mention=True)
    await channel.wait_for(lambda texts: texts == ["0 seen: 苍鹭多重？"], 20)
    assert "苍鹭重 1,742 克。" in asked(street, "苍鹭多重？").words


async def a_shrunk_picture_is_looked_at_closer(street: Street) -> None:
    ann, ben, channel = street.person(), street.person(), street.channel()
    await ann.slash("ask", channel, question="Which colours?", image=encoded(exhibits.nine(), "JPEG"))
    await channel.wait_for(lambda texts: texts == ["1 seen: Which colours?"])
    answer, closer = channel.bot_messages()[0], say("en", "button.closer", seen="1280×1024", full="3000×2400")
    await wait_until(lambda: closer in labels(answer))
    await ann.press(answer, closer)
    await wait_until(lambda: len(channel.bot_messages()) == 2)
    grid = channel.bot_messages()[1]
    assert labels(grid) == list("123456789")
    await ben.press(grid, "7")
    await ben.reads_when(channel, lambda texts: say("en", "button.not_yours") in texts)
    await ann.press(grid, "7")
    question = say("en", "task.part", argument="Which colours?")
    await channel.wait_for(lambda texts: f"1 seen: {question}" in texts)
    (part,) = asked(street, question).pictures
    assert part.convert("RGB").getpixel((20, part.height // 2)) == pytest.approx(exhibits.NINE[6], abs=8)


async def a_part_is_found_and_looked_at_in_the_same_message(street: Street) -> None:
    ann, channel = street.person(), street.channel()
    await ann.slash("zoom", channel, where="bottom middle", image=encoded(exhibits.nine(), "JPEG"))
    question = say("en", "task.part", argument=say("en", "default_question"))
    await channel.wait_for(lambda texts: texts[:1] == [f"1 seen: {question}"])
    looked = picture(await sent(street, ann, channel, "part.png"))
    assert looked.getpixel((looked.width // 5, looked.height // 2)) == exhibits.NINE[7], "what was looked at is shown"
    assert channel.texts()[1:] == [""]


async def every_task_is_a_command_that_takes_a_picture(street: Street) -> None:
    commands = {command["name"]: command for command in street.discord.commands()}
    for task in TASKS.values():
        options = {option["name"]: option for option in commands[task.name]["options"]}
        assert options.keys() == {"image", "private"} | ({task.argument} if task.argument else set())
        assert options["image"]["type"] == 11
        assert not any(option.get("required") for option in options.values())


SCENES = (
    a_command_takes_a_picture_and_its_argument,
    a_private_answer_s_files_are_private,
    a_mention_with_a_picture_and_a_task,
    without_a_picture_it_is_about_the_last_one_of_the_channel,
    a_page_comes_with_its_code_on_request,
    a_video_is_watched,
    a_document_is_read,
    a_shrunk_picture_is_looked_at_closer,
    a_part_is_found_and_looked_at_in_the_same_message,
    every_task_is_a_command_that_takes_a_picture,
)


async def test_people_give_tasks_by_command_and_by_mention(tmp_path: Path) -> None:
    async with open_street(tmp_path, answer=exhibits.reply) as street, asyncio.TaskGroup() as scenes:
        for scene in SCENES:
            scenes.create_task(scene(street), name=scene.__name__)
