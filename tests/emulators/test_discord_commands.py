"""Commands: what Discord takes as one, and what the app lets a person send."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_raw import RawBot
from tests.emulators.discord_shapes import APP_ID
from tests.emulators.server import Json


def command(**fields: Any) -> Json:
    return {"name": "ask", "description": "Ask"} | fields


def option(**fields: Any) -> Json:
    return {"type": 3, "name": "question", "description": "What"} | fields


LONG = [option(name=f"o{number}", description="x" * 100) for number in range(25)]


@pytest.mark.parametrize(
    "wrong",
    [
        command(name="Ask"),
        command(name="ask this"),
        command(name=""),
        command(name="x" * 33),
        command(name="ask", type=9),
        command(description=""),
        command(description="x" * 101),
        command(name_localizations={"zh-CN": "问 题"}),
        command(name_localizations={"zh": "问"}),
        command(description_localizations={"zh-TW": "x" * 101}),
        command(contexts=[0, 7]),
        command(contexts=[0, 0]),
        command(integration_types=[2]),
        command(options=[option(name="Question")]),
        command(options=[option(type=12)]),
        command(options=[option(), option()]),
        command(options=[option(), option(name="image", required=True)]),
        command(options=[option(name=f"o{number}") for number in range(26)]),
        command(options=[option(choices=[{"name": "", "value": "x"}])]),
        command(options=[option(choices=[{"name": "x", "value": "x"}], autocomplete=True)]),
        command(options=[option(choices=[{"name": f"{number}", "value": "x"} for number in range(26)])]),
        command(options=[option(type=1, name=f"s{number}", options=LONG) for number in range(4)]),
        command(type=3, name="Ask about this"),  # has a description
        command(type=3, name="x" * 33, description=""),
    ],
)
async def test_commands_that_discord_refuses(emulator: DiscordEmulator, raw: RawBot, wrong: Json) -> None:
    route = f"PUT /applications/{APP_ID}/commands"
    status, answer = await raw(route, [command(name="fine"), wrong])
    assert (status, answer["code"]) == (400, 50035)
    assert (emulator.commands(), emulator.synced) == ([], [])


@pytest.mark.parametrize(("kind", "most"), [(1, 100), (3, 15)])
async def test_how_many_commands_there_may_be(raw: RawBot, kind: int, most: int) -> None:
    words = "x" if kind == 1 else ""
    many = [command(name=f"c{number}", type=kind, description=words) for number in range(most + 1)]
    assert await raw.code(f"PUT /applications/{APP_ID}/commands", many) == (400, 50035)
    await raw.sync(*many[1:])
    assert await raw.code(f"PUT /applications/{APP_ID}/commands", [many[1]] * 2) == (400, 50035)


async def test_nobody_else_s_application_and_no_foreign_server(emulator: DiscordEmulator, raw: RawBot) -> None:
    emulator.guild(8000, bot_inside=False)
    assert await raw.code("PUT /applications/1/commands", []) == (403, 20012)
    assert await raw.code(f"PUT /applications/{APP_ID}/guilds/8000/commands", []) == (403, 50001)
    assert await raw.code(f"PUT /applications/{APP_ID}/commands", {}) == (400, 50035)


async def test_a_sync_replaces_all_and_keeps_the_ids_of_what_stays(emulator: DiscordEmulator, raw: RawBot) -> None:
    await raw.sync(command(name_localizations={"zh-CN": "提问"}), command(name="help"))
    before = {each["name"]: each for each in emulator.commands()}
    await raw.sync(command(description="Ask anew"), command(name="new"))
    after = {each["name"]: each for each in emulator.commands()}
    assert (set(after), after["ask"]["id"]) == ({"ask", "new"}, before["ask"]["id"])
    assert after["ask"]["version"] != before["ask"]["version"]
    assert (await raw(f"GET /applications/{APP_ID}/commands"))[1] == emulator.commands()
    assert [len(sync.commands) for sync in emulator.synced] == [2, 2]
    with pytest.raises(LookupError, match="no command 'help'"):
        await emulator.user(1001).slash("help")


async def test_a_server_s_own_commands_are_known_there(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild(7000).channel()
    await raw(f"PUT /applications/{APP_ID}/guilds/7000/commands", [command(name="local")])
    asked = await emulator.user(1001).slash("local", channel)
    assert asked.payload["data"]["guild_id"] == "7000"
    with pytest.raises(LookupError):
        await emulator.user(1001).slash("local")


OPTIONS = [
    option(required=True, min_length=2, max_length=5),
    option(type=4, name="count", min_value=1, max_value=3),
    option(type=5, name="private"),
    option(type=6, name="who"),
    option(type=10, name="heat"),
    option(name="style", choices=[{"name": "Short", "value": "s"}]),
]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "needs"),
        ({"question": "x"}, "not within"),
        ({"question": "xxxxxx"}, "not within"),
        ({"question": 5}, "cannot be"),
        ({"question": "xx", "count": 4}, "not within"),
        ({"question": "xx", "count": True}, "cannot be"),
        ({"question": "xx", "private": "yes"}, "cannot be"),
        ({"question": "xx", "style": "long"}, "has the choices"),
        ({"question": "xx", "other": "?"}, "has no option"),
    ],
)
async def test_options_that_the_app_does_not_send(
    emulator: DiscordEmulator, raw: RawBot, values: Json, why: str
) -> None:
    await raw.sync(command(options=OPTIONS))
    with pytest.raises(ValueError, match=why):
        await emulator.user(1001).slash("ask", **values)
    assert emulator.interactions.all == []


async def test_every_kind_of_option_arrives(emulator: DiscordEmulator, raw: RawBot) -> None:
    await raw.sync(command(options=OPTIONS))
    ben = emulator.user(1002)
    asked = await emulator.user(1001).slash("ask", question="why", count=2, private=True, who=ben, heat=0.5, style="s")
    data = asked.payload["data"]
    assert [each["value"] for each in data["options"]] == ["why", 2, True, "1002", 0.5, "s"]
    assert data["resolved"]["users"]["1002"]["username"] == "user_1002"


async def test_a_subcommand_is_named_after_a_space(emulator: DiscordEmulator, raw: RawBot) -> None:
    sub = option(type=1, name="allow", options=[option(name="who")])
    group = option(type=2, name="quota", options=[option(type=1, name="show")])
    await raw.sync(command(name="admin", options=[sub, group]))
    asked = await emulator.user(1001).slash("admin allow", who="ann")
    (chosen,) = asked.payload["data"]["options"]
    assert (chosen["name"], chosen["type"], chosen["options"][0]["value"]) == ("allow", 1, "ann")
    asked = await emulator.user(1001).slash("admin quota show")
    (outer,) = asked.payload["data"]["options"]
    assert (outer["type"], outer["options"]) == (2, [{"name": "show", "type": 1, "options": []}])


async def test_where_a_command_is_offered(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, ben = emulator.user(1001, installed=True), emulator.user(1002)
    channel, group = emulator.guild().channel(), emulator.group_dm(ann, ben)
    await raw.sync(command(contexts=[0]), command(name="anywhere", integration_types=[1]))
    assert await ben.slash("ask", channel)
    for place in (None, group):
        with pytest.raises(LookupError, match="not offered here"):
            await ann.slash("ask", place)
    assert await ann.slash("anywhere", group)
    assert await ann.slash("anywhere", emulator.dm_between(ann, ben))
    with pytest.raises(LookupError, match="not offered here"):
        await ben.slash("anywhere", channel)
