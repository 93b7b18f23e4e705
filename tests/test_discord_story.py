"""The story of Discord with the demo model: a picture, a question, and how one goes on.

Everything is real but Discord itself: `askpix up` as a process with its store, its engine, its worker and its bot.
"""

from __future__ import annotations

from pathlib import Path

from bots.phrases import say
from tests.emulators.discord_emulator import DiscordEmulator
from tests.road import on_discord
from tests.service import askpix_up
from tests.test_conversation import picture
from tests.waiting import wait_until


async def test_a_picture_is_asked_about_by_command_menu_mention_and_form(tmp_path: Path) -> None:
    async with (
        DiscordEmulator() as discord,
        askpix_up(tmp_path, ALLOW="discord:1 discord:chat:7000", **on_discord(discord)) as askpix,
    ):
        await askpix.said("discord.com/oauth2/authorize")
        await wait_until(lambda: bool(discord.commands()), 20)
        ann, ben, channel = discord.user(1), discord.user(2, locale="zh-CN"), discord.guild(7000).channel()
        asked = await ann.slash("ask", channel, question="What colour is this?", image=picture("red"))
        await channel.wait_for(lambda texts: texts == ["The picture is red."], 20)
        answer = await asked.shows()
        await wait_until(lambda: say("en", "button.follow") in str(answer["components"]))
        clicked = await ann.press(answer, say("en", "button.follow"))
        await clicked.shows_modal()
        await ann.submit(clicked, {"question": "What colour was it?"})
        await channel.wait_for(lambda texts: len(texts) == 2 and "red" in texts[1])
        blue = await ben.says(channel, "look", [("blue.png", picture("blue", form="PNG"))])
        menu = await ann.context(say("en", "discord.name_menu"), blue)
        await menu.shows_modal()
        await ann.submit(menu, {"question": "What colour is this?"})
        await ann.reads_when(channel, lambda texts: "The picture is blue." in texts)
        assert "The picture is blue." not in channel.texts(), "only she sees it"
        await ben.says(channel, "这是什么颜色？", [("green.png", picture("green", form="PNG"))], mention=True)
        await channel.wait_for(lambda texts: any("绿色" in text for text in texts))
        await ann.dm("What colour is this?", [("yellow.png", picture("yellow", form="PNG"))])
        await ann.private.wait_for(lambda texts: texts == ["The picture is yellow."])
        assert discord.unknown == []
