"""Discord's commands on their way into the inbox, and what goes wrong around them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from discord.utils import snowflake_time

from bots.admin import ADMIN_NAMES
from bots.commands import NAMES
from bots.discord_client import Client
from bots.discord_reading import Via
from bots.surface import Page
from bots.tasks import TASKS
from tests.bots.discord_town import CALLBACK, MENU, PICTURE, Away, Town, surface_of
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_shapes import DEFER, EPHEMERAL
from tests.emulators.server import Json
from tests.waiting import wait_until


def seen(asked: Interaction) -> tuple[int, bool]:
    """How an interaction was acknowledged, and whether that is for its person alone."""
    data: Json = asked.callback.get("data") or {}
    return asked.callback["type"], bool(data.get("flags", 0) & EPHEMERAL)


# --- commands


@pytest.mark.usefixtures("client")
async def test_every_command_is_told_in_three_languages_for_every_place(town: Town) -> None:
    told = {(command["type"], command["name"]): command for command in town.discord.commands()}
    assert {name for kind, name in told if kind == 1} == {"ask", "start", *TASKS, *NAMES, *ADMIN_NAMES}
    assert [name for kind, name in told if kind == 3] == [MENU]
    for command in told.values():
        assert sorted(command["contexts"]) == [0, 1, 2]
        assert sorted(command["integration_types"]) == [0, 1]
        assert {"zh-CN", "zh-TW"} <= set(command["name_localizations"])
        for each in (command, *command.get("options", ())):
            assert command["type"] == 3 or set(each["description_localizations"]) == {"zh-CN", "zh-TW"}
    (ask,) = (command for (_, name), command in told.items() if name == "ask")
    assert [(option["name"], bool(option.get("required"))) for option in ask["options"]] == [
        ("question", True), ("image", True), ("image2", False), ("image3", False), ("image4", False), ("private", False)
    ]  # fmt: skip
    assert ask["name_localizations"] == {"zh-CN": "提问", "zh-TW": "提問"}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("private", [False, True])
async def test_a_question_by_command_brings_its_pictures_and_who_may_read_the_answer(
    town: Town, private: bool
) -> None:  # fmt: skip
    pictures = {f"image{n}": (f"a{n}.png", PICTURE) for n in ("", 2, 4)}
    asked = await town.ann.slash("ask", town.square, question=" which? ", **pictures, private=private)
    incoming = await town.hears()
    assert (incoming.text, [file.mime for file in incoming.photos]) == ("which?", ["image/png"] * 3)
    assert (incoming.command, incoming.button, incoming.refusal) == ("", "", "")
    assert incoming.sent == snowflake_time(asked.id).timestamp()
    via = Via.read(incoming.where.via)
    assert via and via.seen == ("private" if private else "public")
    await asked.answered()
    assert seen(asked) == (DEFER, private)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", ["start", *NAMES])
async def test_other_commands_are_between_us_and_their_giver(town: Town, name: str) -> None:
    asked = await town.ann.slash(name, town.square)
    incoming = await town.hears()
    assert (incoming.command, incoming.argument, incoming.text) == (name, "", "")
    await asked.answered()
    assert seen(asked) == (DEFER, True)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", ["start", "link"])
async def test_a_code_travels_with_its_command(town: Town, name: str) -> None:
    await town.ann.slash(name, code=" a_b-C9 ")
    incoming = await town.hears()
    assert (incoming.command, incoming.argument) == (name, "a_b-C9")


@pytest.mark.usefixtures("client")
async def test_the_same_interaction_twice_is_taken_in_once(town: Town) -> None:
    asked = await town.ann.slash("help")
    await asked.answered()
    town.discord.redeliver(asked)
    await wait_until(lambda: len(town.discord.called(CALLBACK)) == 2)
    assert (await town.hears()).command == "help"
    await town.hears_nothing()


# --- acknowledgement


async def test_an_interaction_is_acknowledged_while_the_store_is_away(town: Town, away: Away) -> None:
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    await asked.answered()
    await wait_until(lambda: "put" in away.tried)
    away.back.set()
    assert (await town.hears()).text == "what?"


async def test_nothing_is_acknowledged_before_it_lies_in_the_inbox(town: Town, away: Away) -> None:
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    await wait_until(lambda: len(away.tried) == 3)
    assert not asked.callback, "our death would leave “thinking” for good"
    away.back.set()
    assert (await town.hears()).text == "what?"
    await asked.answered()


async def test_what_was_acknowledged_while_the_store_was_away_outlives_us(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.held.HOLD", 0.1)
    async with town.listening() as client:
        monkeypatch.setattr(client, "_inbox", Away(town.inbox))
        asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
        await asked.answered()
    for _ in range(2):
        async with town.listening():
            await wait_until(lambda: not [*town.held.folder.iterdir()])
    assert (await town.hears()).text == "what?"
    async with town.listening():
        await town.hears_nothing()


async def test_an_answer_waits_until_discord_knows_that_we_heard(town: Town, client: Client) -> None:
    town.discord.delay_next(CALLBACK, 0.4)
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    where = (await town.hears()).where  # in the inbox before the acknowledgement is through
    assert not asked.callback
    async with surface_of(client) as surface:
        await surface.place(where, Page("a cat"))
    assert asked.acked
    assert town.ann.reads(town.square) == ["a cat"], "it took the place of “thinking”"


@pytest.mark.parametrize(("status", "code"), [(404, 10062), (400, 40060), (503, 0)])
@pytest.mark.usefixtures("client")
async def test_an_acknowledgement_that_fails_loses_nothing(town: Town, status: int, code: int) -> None:
    town.discord.fail_next(CALLBACK, status, code)
    await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    assert (await town.hears()).text == "what?"
    await town.ann.slash("help")
    assert (await town.hears()).command == "help"


async def test_an_acknowledgement_whose_connection_is_cut_loses_nothing(town: Town, client: Client) -> None:
    town.discord.drop_next(CALLBACK, after_processing=False)
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    where = (await town.hears()).where
    assert not asked.callback
    async with surface_of(client) as surface:  # as a member of the channel
        await surface.place(where, Page("a cat"))
    assert town.square.texts() == ["a cat"]


# --- what goes wrong around them


async def test_commands_that_cannot_be_told_are_told_later(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep

    async def soon(seconds: float, *args: Any) -> None:
        await real(min(seconds, 0.01), *args)

    monkeypatch.setattr("bots.discord_client.asyncio.sleep", soon)
    town.discord.fail_next("PUT /applications/{app_id}/commands", 503, times=2)
    async with town.listening():
        assert len(town.discord.commands()) == len(NAMES) + len(TASKS) + len(ADMIN_NAMES) + 3


async def test_commands_that_discord_refuses_stop_nothing(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async with town.listening():
        pass
    town.discord.fail_next("PUT /applications/{app_id}/commands", 400, 30034)
    async with town.listening() as client:
        await wait_until(lambda: "does not take the commands" in caplog.text)
        await town.ann.slash("help")
        assert (await town.hears()).command == "help"
        assert client.is_ready()


async def test_messages_wait_for_the_store(town: Town, away: Away) -> None:
    await town.ann.dm("are you there?")
    await wait_until(lambda: "put" in away.tried)
    away.back.set()
    assert (await town.hears()).text == "are you there?"


async def test_a_client_that_ends_while_the_store_is_away_ends(town: Town) -> None:
    async with town.listening() as client:
        away = Away(town.inbox)
        client._inbox = away  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] : a store that is away
        await town.ann.slash("help")
        await wait_until(lambda: "put" in away.tried)
