"""The emulated Discord under the library that the real bot uses: nothing of it may be strange to discord.py."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.emulators.discord_client import connected, new_client, pointed_at
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_places import THINKING
from tests.emulators.discord_shapes import APP_ID, BOT_ID
from tests.waiting import wait_until

EVERYWHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
BY_BOTH = app_commands.AppInstallationType(guild=True, user=True)


class Form(discord.ui.Modal, title="Ask about this image"):
    question: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Question", max_length=20)
    pictures: discord.ui.Label[Form] = discord.ui.Label(
        text="Pictures", component=discord.ui.FileUpload(required=False, max_values=2)
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        upload: Any = self.pictures.component
        sizes = [len(await picture.read()) for picture in upload.values]
        await interaction.followup.send(f"{self.question.value}: {sizes}")


class Stop(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"stop:(?P<id>\d+)"):
    def __init__(self, number: int) -> None:
        super().__init__(discord.ui.Button(label="Stop", custom_id=f"stop:{number}"))
        self.number = number

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: Any, /) -> Stop:
        return cls(int(match["id"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content=f"stopped {self.number}", view=None)


class Bot(discord.Client):
    """A bot that does a little of everything, and notes what it heard."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default(), guild_ready_timeout=0.02)
        self.heard: list[discord.Message] = []
        self.resumed = 0
        self.tree = app_commands.CommandTree(self, allowed_contexts=EVERYWHERE, allowed_installs=BY_BOTH)
        self.tree.add_command(app_commands.Command(name="ask", description="Ask", callback=self.ask))
        self.tree.add_command(app_commands.ContextMenu(name="Ask about this image", callback=self.about))
        self.add_dynamic_items(Stop)

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library's own waits 5 s before every session but the first."""

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)

    async def on_resumed(self) -> None:
        self.resumed += 1

    async def ask(self, interaction: discord.Interaction, question: str, image: discord.Attachment) -> None:
        await interaction.response.defer()
        view = discord.ui.View(timeout=None).add_item(Stop(7))
        size = len(await image.read())
        await interaction.edit_original_response(content=f"{question} {size}", view=view)
        await interaction.followup.send("as a file", file=discord.File(io.BytesIO(b"# hi"), "answer.md"))

    async def about(self, interaction: discord.Interaction, message: discord.Message) -> None:
        form = Form()
        form.question.default = message.content
        await interaction.response.send_modal(form)


@pytest.fixture
def bot() -> Bot:
    return Bot()


async def test_a_wrong_token_is_told(emulator: DiscordEmulator) -> None:
    emulator.token = "another"
    client = new_client()
    with pointed_at(emulator):
        async with client:
            with pytest.raises(discord.LoginFailure):
                await client.login("wrong")


async def test_an_intent_that_is_not_enabled_is_told(emulator: DiscordEmulator) -> None:
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with connected(emulator, new_client(message_content=True)):
            pass
    assert emulator.gateway.noted("close") == [] and len(emulator.gateway.noted("identify")) == 1


async def test_a_first_connect_that_fails_ends_the_library(emulator: DiscordEmulator) -> None:
    emulator.refuse_connections(1)
    with pytest.raises(AttributeError):  # of discord.py 2.7.1, which the bot has to answer
        async with connected(emulator, new_client()):
            pass
    async with connected(emulator, new_client()) as client:
        assert client.user and client.user.id == BOT_ID


async def test_a_command_with_a_picture_a_button_and_a_file(emulator: DiscordEmulator, bot: Bot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    async with connected(emulator, bot):
        asked = await ann.slash("ask", channel, question="what?", image=("cat.png", b"miaow"))
        assert (await asked.answered())["type"] == 5
        answer = await asked.shows()
        assert await ann.reads_when(channel, lambda texts: len(texts) == 2) == ["what? 5", "as a file"]
        pressed = await ann.press(answer, "Stop")
        await pressed.answered()
        assert (answer["content"], answer["components"]) == ("stopped 7", [])
    (file,) = asked.followups[0]["attachments"]
    assert emulator.world.files[file["id"]].content == b"# hi"
    assert emulator.thinking() == []


async def test_a_form_on_somebody_s_picture_with_files_of_one_s_own(emulator: DiscordEmulator, bot: Bot) -> None:
    ann, ben = emulator.user(1001, installed=True), emulator.user(1002)
    channel = emulator.guild(8000, bot_inside=False).channel()
    photo = await ben.says(channel, "look", [("cat.png", b"cat")])
    async with connected(emulator, bot):
        clicked = await ann.context("Ask about this image", photo)
        modal = await clicked.shows_modal()
        assert modal["title"] == "Ask about this image"
        sent = await ann.submit(clicked, {"Question": "why?", "Pictures": [b"12", b"345"]})
        assert (await sent.answered())["data"]["flags"] == 64
        answer = await sent.shows()
    assert (answer["content"], ann.only_i_see(channel), ben.reads(channel)) == ("why?: [2, 3]", [answer], ["look"])


async def test_messages_come_blank_or_whole(emulator: DiscordEmulator, bot: Bot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    thread = channel.thread("cats")
    async with connected(emulator, bot):
        await ann.says(channel, "secret", [("cat.png", b"cat")])
        await ann.says(thread, "what?", [("cat.png", b"cat")], mention=True)
        await ann.dm("hello")
        await ann.forwards(ann.private, channel.messages[0])
        await wait_until(lambda: len(bot.heard) == 4)
    blank, asked, private, forwarded = bot.heard
    (copy,) = forwarded.message_snapshots
    assert (copy.content, [each.filename for each in copy.attachments]) == ("secret", ["cat.png"])
    assert (blank.content, blank.attachments, str(blank.channel)) == ("", [], "general")
    assert bot.user in asked.mentions and isinstance(asked.channel, discord.Thread)
    assert [each.filename for each in asked.attachments] == ["cat.png"]
    assert private.guild is None and private.content == "hello"


async def test_a_dropped_socket_is_resumed_and_misses_nothing(emulator: DiscordEmulator, bot: Bot) -> None:
    ann = emulator.user(1001)
    async with connected(emulator, bot):
        for number in range(3):
            await emulator.until(emulator.gateway.live)
            emulator.drop() if number != 1 else emulator.gateway.reconnect()
            await emulator.until(lambda: not emulator.gateway.live())
            await ann.dm(f"missed {number}")
            await wait_until(lambda number=number: bot.resumed == number + 1 and len(bot.heard) == number + 1)
    assert [message.content for message in bot.heard] == ["missed 0", "missed 1", "missed 2"]
    assert len(emulator.gateway.noted("identify")) == 1
    assert {entry["compress"] for entry in emulator.gateway.noted("hello")} <= {"zlib-stream", "zstd-stream"}


async def test_a_forgotten_session_begins_anew(emulator: DiscordEmulator, bot: Bot) -> None:
    async with connected(emulator, bot):
        emulator.gateway.invalidate()
        await emulator.until(lambda: len(emulator.gateway.noted("identify")) == 2 and emulator.gateway.live())
        await emulator.user(1001).dm("hello again")
        await wait_until(lambda: len(bot.heard) == 1)


async def test_a_flood_is_waited_out_and_other_channels_go_on(emulator: DiscordEmulator, bot: Bot) -> None:
    one, other = emulator.guild().channel("one"), emulator.guild().channel("other")
    async with connected(emulator, bot):
        emulator.flood(one, 0.3)
        slow: Any = bot.get_channel(one.id)
        quick: Any = bot.get_channel(other.id)
        waiting = asyncio.create_task(slow.send("late"))
        await emulator.until(lambda: [call.status for call in emulator.calls[-1:]] == [429])
        await quick.send("at once")
        assert (one.texts(), other.texts()) == ([], ["at once"])
        await waiting
    assert one.texts() == ["late"]


async def test_what_the_library_says_of_refusals(emulator: DiscordEmulator, bot: Bot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    async with connected(emulator, bot):
        place: Any = bot.get_channel(channel.id)
        with pytest.raises(discord.HTTPException, match="2000 or fewer") as refused:
            await place.send("x" * 2001)
        assert refused.value.code == 50035
        sent = await place.send("hello", nonce=7)
        await ann.deletes(channel.messages[0])
        with pytest.raises(discord.NotFound, match="Unknown Message"):
            await sent.edit(content="x")
        channel.deny("send_messages")
        await wait_until(lambda: not place.permissions_for(place.guild.me).send_messages)
        with pytest.raises(discord.Forbidden, match="Missing Permissions"):
            await place.send("x")
        stranger = await bot.fetch_user(emulator.user(1009).id)
        with pytest.raises(discord.Forbidden, match="Cannot send messages to this user"):
            await stranger.send("x")


async def test_an_answer_by_a_stored_token_and_one_too_late(emulator: DiscordEmulator, bot: Bot) -> None:
    ann = emulator.user(1001)
    async with connected(emulator, bot):
        asked = await ann.slash("ask", question="what?", image=b"png")
        await asked.shows()
        hook = discord.Webhook.partial(APP_ID, asked.token, client=bot)
        original: Any = "@original"
        await hook.edit_message(original, content="by another process")
        assert ann.private.texts()[0] == "by another process"
        emulator.expire_token(asked)
        with pytest.raises(discord.HTTPException) as late:
            await hook.edit_message(original, content="x")
        assert (late.value.status, late.value.code) == (401, 50027)


async def test_history_typing_reactions_and_direct_messages(emulator: DiscordEmulator, bot: Bot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    said = [await ann.says(channel, f"{number}", mention=True) for number in range(120)]
    async with connected(emulator, bot):
        place: Any = bot.get_channel(channel.id)
        found = [message async for message in place.history(after=discord.Object(int(said[0]["id"])), limit=None)]
        assert [message.id for message in found] == [int(each["id"]) for each in said[1:]]
        async with place.typing():
            await found[0].add_reaction("👀")
        assert channel.typing and said[1]["reactions"]
        await found[0].reply("here", mention_author=False)
        await (await bot.fetch_user(1001)).send("in private")
        await wait_until(lambda: len(bot.heard) == 2)
    replied = channel.bot_messages()[0]
    assert (replied["message_reference"]["message_id"], replied["pings"]) == (said[1]["id"], set())
    assert ann.private.texts() == ["in private"]


async def test_a_bot_that_never_answers_leaves_the_asker_alone(emulator: DiscordEmulator, bot: Bot) -> None:
    ann = emulator.user(1001)
    async with connected(emulator, bot):
        emulator.delay_next("POST /interactions/{id}/{token}/callback", 0.02)
        emulator.interactions.ack_seconds = 0.01
        asked = await ann.slash("ask", question="what?", image=b"png")
        callback = "POST /interactions/{id}/{token}/callback"
        await emulator.until(lambda: [call.code for call in emulator.called(callback)] == [10062])
        assert emulator.failed(asked) and THINKING not in ann.reads(ann.private)


def test_the_library_is_left_as_it_was() -> None:
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE
    with pointed_at(DiscordEmulator()):
        assert before[0] != Route.BASE
    assert before == (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE)
