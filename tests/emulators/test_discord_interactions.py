"""Interactions: how long they may be answered, by what, how often, and what the people see of it."""

from __future__ import annotations

import pytest

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_places import THINKING
from tests.emulators.discord_raw import RawBot
from tests.emulators.discord_shapes import (
    AUTOCOMPLETE,
    CHOICES,
    COMMAND,
    DEFER,
    DEFER_UPDATE,
    EPHEMERAL,
    LOADING,
    REPLY,
    UPDATE,
)
from tests.emulators.server import Json

EVERYWHERE: Json = {"contexts": [0, 1, 2], "integration_types": [0, 1]}
ASK: Json = {
    "name": "ask", "description": "Ask", **EVERYWHERE,
    "options": [
        {"type": 3, "name": "question", "description": "What", "required": True, "max_length": 20},
        {"type": 11, "name": "image", "description": "Picture"},
        {"type": 3, "name": "style", "description": "How", "autocomplete": True},
    ],
}  # fmt: skip
LOOK: Json = {"name": "Ask about this image", "type": 3, **EVERYWHERE}
STOP: Json = {"type": 1, "components": [{"type": 2, "style": 2, "label": "Stop", "custom_id": "stop:1"}]}


@pytest.fixture(autouse=True)
async def commands(raw: RawBot) -> None:
    await raw.sync(ASK, LOOK)


async def test_an_answer_after_three_seconds_comes_too_late(emulator: DiscordEmulator, raw: RawBot) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    assert not emulator.failed(asked)
    emulator.clock.shift += 3.1
    assert emulator.failed(asked)
    status, answer = await raw.answer(asked, DEFER)
    assert (status, answer["code"]) == (404, 10062)
    assert emulator.user(1001).private.messages == []


async def test_an_interaction_is_answered_once(emulator: DiscordEmulator, raw: RawBot) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    assert (await raw.code(f"POST {raw.hook(asked)}", {"content": "early"})) == (404, 10015)
    assert (await raw.answer(asked, DEFER))[0] == 200
    emulator.clock.shift += 5
    status, answer = await raw.answer(asked, REPLY, content="again")
    assert (status, answer["code"]) == (400, 40060)
    assert not emulator.failed(asked)


async def test_nobody_else_s_interaction_can_be_answered(emulator: DiscordEmulator, raw: RawBot) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    wrong = f"POST /interactions/{asked.id}/not-the-token/callback"
    assert await raw.code(wrong, {"type": DEFER}) == (404, 10062)
    assert await raw.code("POST /webhooks/1/x", {"content": "?"}) == (401, 50027)
    await raw.answer(asked, DEFER)
    assert await raw.code(f"POST /webhooks/1/{asked.token}", {"content": "?"}) == (404, 10015)


@pytest.mark.parametrize("by_order", [True, False])
async def test_after_fifteen_minutes_the_token_is_dead(
    emulator: DiscordEmulator, raw: RawBot, *, by_order: bool
) -> None:
    ann = emulator.user(1001)
    asked = await ann.slash("ask", question="?")
    await raw.answer(asked, DEFER)
    if by_order:
        emulator.expire_token(asked)
    else:
        emulator.clock.shift += 901
    for route in (f"PATCH {raw.hook(asked, '@original')}", f"POST {raw.hook(asked)}"):
        assert await raw.code(route, {"content": "late"}) == (401, 50027)
    assert await raw.code(f"DELETE {raw.hook(asked, '@original')}") == (401, 50027)
    assert ann.private.texts() == [THINKING]
    assert len(emulator.thinking()) == 1


@pytest.mark.parametrize("kind", [1, DEFER_UPDATE, UPDATE, CHOICES, 99])
async def test_a_command_is_not_answered_like_a_button(emulator: DiscordEmulator, raw: RawBot, kind: int) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    status, answer = await raw.answer(asked, kind, content="x")
    assert (status, answer["code"], list(answer["errors"])) == (400, 50035, ["type"])
    assert asked.callback == {}


async def test_thinking_becomes_the_answer_by_edit(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    asked = await ann.slash("ask", channel, question="?")
    status, answer = await raw.answer(asked, DEFER)
    assert (status, answer["interaction"]["response_message_loading"]) == (200, True)
    assert channel.texts() == [THINKING] and channel.messages[0]["flags"] == LOADING
    status, message = await raw(f"PATCH {raw.hook(asked, '@original')}", {"content": "a cat"})
    assert (status, message["content"], message["flags"], message["edited_timestamp"]) == (200, "a cat", 0, None)
    assert message["id"] == answer["interaction"]["response_message_id"]
    assert (message["type"], message["interaction_metadata"]["id"]) == (20, str(asked.id))
    await raw(f"PATCH {raw.hook(asked, message['id'])}", {"content": "two cats"})
    assert [edit["content"] for edit in channel.messages[0]["edits"]] == ["a cat", "two cats"]
    assert (await raw(f"GET {raw.hook(asked, '@original')}"))[1]["content"] == "two cats"
    assert emulator.thinking() == []


async def test_the_first_follow_up_fills_the_deferred_answer(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    asked = await ann.slash("ask", channel, question="?")
    await raw.answer(asked, DEFER, flags=EPHEMERAL)
    _, first = await raw(f"POST {raw.hook(asked)}", {"content": "one"}, wait="true")
    status, nothing = await raw(f"POST {raw.hook(asked)}", {"content": "two"})
    assert (status, nothing) == (204, None)
    for _ in range(5):  # more than a user's own application may
        assert (await raw(f"POST {raw.hook(asked)}", {"content": "more", "flags": EPHEMERAL}))[0] == 204
    assert asked.original and first["id"] == asked.original["id"]
    assert first["flags"] == EPHEMERAL
    assert channel.texts() == ["two"] and channel.texts(ann) == ["one", "two"] + ["more"] * 5


async def test_without_with_response_there_is_no_content(emulator: DiscordEmulator, raw: RawBot) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    route = f"POST /interactions/{asked.id}/{asked.token}/callback"
    assert await raw(route, {"type": REPLY, "data": {"content": "hi"}}) == (204, None)
    assert (await asked.shows())["content"] == "hi"


async def test_an_ephemeral_answer_is_only_for_the_asker(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, ben, channel = emulator.user(1001), emulator.user(1002), emulator.guild().channel()
    asked = await ann.slash("ask", channel, question="?")
    async with raw.gateway() as socket:
        await socket.ready()
        _, answer = await raw.answer(asked, REPLY, content="secret", flags=EPHEMERAL, components=[STOP])
        message = answer["resource"]["message"]
        assert (ann.reads(channel), ben.reads(channel)) == (["secret"], [])
        for method in ("GET", "DELETE"):
            route = f"{method} /channels/{channel.id}/messages/{message['id']}"
            assert await raw.code(route) == (404, 10008)
        assert await raw.code(f"PATCH /channels/{channel.id}/messages/{message['id']}", {"content": "x"}) == (
            404,
            10008,
        )
        assert (await raw(f"GET /channels/{channel.id}/messages"))[1] == []
        with pytest.raises(LookupError, match="cannot be seen"):
            await ben.press(channel.messages[0], "Stop")
        await raw(f"PATCH {raw.hook(asked, '@original')}", {"content": "still secret"})
        await raw.send(channel, "for all")
        assert (await socket.event("MESSAGE_CREATE"))["content"] == "for all"  # no event told of the secret one
    assert [each["content"] for each in ann.only_i_see(channel)] == ["still secret"]
    assert (await raw(f"DELETE {raw.hook(asked, '@original')}"))[0] == 204
    assert ann.only_i_see(channel) == []


async def test_a_deleted_answer_cannot_be_edited(emulator: DiscordEmulator, raw: RawBot) -> None:
    asked = await emulator.user(1001).slash("ask", emulator.guild().channel(), question="?")
    await raw.answer(asked, REPLY, content="here")
    assert asked.original
    await emulator.user(1002).deletes(asked.original)
    assert await raw.code(f"PATCH {raw.hook(asked, '@original')}", {"content": "x"}) == (404, 10008)
    assert (await raw(f"POST {raw.hook(asked)}", {"content": "after"}, wait="1"))[0] == 200


async def test_where_only_the_user_installed_it(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, ben = emulator.user(1001, installed=True), emulator.user(1002)
    guild = emulator.guild(8000, bot_inside=False)
    channel = guild.channel()
    with pytest.raises(LookupError, match="not offered here"):
        await ben.slash("ask", channel, question="?")
    asked = await ann.slash("ask", channel, question="?")
    assert (asked.payload["context"], asked.payload["authorizing_integration_owners"]) == (0, {"1": "1001"})
    assert (await raw.answer(asked, DEFER))[0] == 200
    for number in range(5):
        assert (await raw(f"POST {raw.hook(asked)}", {"content": f"{number}"}))[0] == 204
    assert await raw.code(f"POST {raw.hook(asked)}", {"content": "6"}) == (400, 40094)
    assert await raw.code(f"POST /channels/{channel.id}/messages", {"content": "x"}) == (403, 50001)
    assert (await raw(f"PATCH {raw.hook(asked, '@original')}", {"content": "edits go on"}))[0] == 200
    guild.external_apps = False
    quiet = await ann.slash("ask", channel, question="?")
    await raw.answer(quiet, REPLY, content="for her alone")
    assert quiet.original and quiet.original["only_for"] == 1001


async def test_group_messages_are_a_context_of_their_own(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, ben = emulator.user(1001, installed=True), emulator.user(1002)
    group = emulator.group_dm(ann, ben)
    photo = await ben.says(group, "look", [("cat.png", b"cat")])
    async with raw.gateway() as socket:
        await socket.ready()
        await ann.context("Ask about this image", photo)
        payload = await socket.event("INTERACTION_CREATE")  # and no MESSAGE_CREATE before it
    assert (payload["context"], payload["channel"]["type"], payload["user"]["id"]) == (2, 3, "1001")
    assert payload["data"]["resolved"]["messages"][photo["id"]]["content"] == "look"
    assert "member" not in payload and "guild_id" not in payload
    assert await raw.code(f"GET /channels/{group.id}/messages") == (403, 50001)
    with pytest.raises(LookupError, match="others' direct messages"):
        await emulator.user(1003, installed=True).slash("ask", group, question="?")


async def test_what_a_command_brings(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001, locale="zh-CN")
    channel = emulator.guild(7000, locale="en-GB").channel()
    async with raw.gateway() as socket:
        await socket.ready()
        asked = await ann.slash("ask", channel, question="what?", image=("cat.png", b"miaow"))
        payload = await socket.event("INTERACTION_CREATE")
        emulator.redeliver(asked)
        assert await socket.event("INTERACTION_CREATE") == payload
    assert payload == asked.payload
    assert (payload["type"], payload["locale"], payload["guild_locale"], payload["version"]) == (2, "zh-CN", "en-GB", 1)
    assert payload["attachment_size_limit"] == 10 * 1024**2 and int(payload["app_permissions"])
    assert payload["member"]["user"]["id"] == "1001" and "user" not in payload
    assert (payload["context"], payload["authorizing_integration_owners"]) == (0, {"0": "7000"})
    question, image = payload["data"]["options"]
    assert question == {"name": "question", "type": 3, "value": "what?"}
    attachment = payload["data"]["resolved"]["attachments"][image["value"]]
    assert (attachment["filename"], attachment["size"], attachment["ephemeral"]) == ("cat.png", 5, True)
    async with raw.session.get(attachment["url"]) as response:
        assert (response.status, await response.read()) == (200, b"miaow")


async def test_in_private_it_brings_a_user(emulator: DiscordEmulator) -> None:
    asked = await emulator.user(1001).slash("ask", question="?")
    assert (asked.payload["context"], asked.payload["user"]["id"]) == (1, "1001")
    assert asked.payload["authorizing_integration_owners"] == {"0": "0"} and "member" not in asked.payload


async def test_a_menu_s_command_shows_its_message_whole(emulator: DiscordEmulator) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    older = await ann.says(channel, "older", [("older.png", b"1")])
    photo = await emulator.user(1002).says(channel, "cat", [("cat.png", b"2")], reply_to=older)
    clicked = await ann.context("Ask about this image", photo)
    data = clicked.payload["data"]
    shown = data["resolved"]["messages"][data["target_id"]]
    assert (shown["content"], shown["attachments"][0]["filename"]) == ("cat", "cat.png")
    assert (shown["referenced_message"]["content"], shown["referenced_message"]["attachments"]) == ("", [])


async def test_choices_appear_while_typing(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001)
    with pytest.raises(LookupError, match="no autocomplete"):
        await ann.types("ask", "question", "w")
    typed = await ann.types("ask", "style", "po", question="?")
    assert typed.kind == AUTOCOMPLETE
    assert typed.payload["data"]["options"][-1] == {"name": "style", "type": 3, "value": "po", "focused": True}
    status, answer = await raw.answer(typed, CHOICES, choices=[{"name": "x" * 101, "value": "p"}])
    assert (status, answer["code"]) == (400, 50035)
    status, answer = await raw.answer(typed, CHOICES, choices=[{"name": "p", "value": "p"}] * 26)
    assert (status, answer["code"]) == (400, 50035)
    await raw.answer(typed, CHOICES, choices=[{"name": "poem", "value": "p"}])
    assert await typed.offers() == [{"name": "poem", "value": "p"}]
    assert await raw.code(f"GET {raw.hook(typed, '@original')}") == (404, 10008)


async def test_a_press_speaks_for_who_made_the_message_appear(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, ben = emulator.user(1001, installed=True), emulator.user(1002)
    channel = emulator.guild(8000, bot_inside=False).channel()
    asked = await ann.slash("ask", channel, question="?")
    await raw.answer(asked, REPLY, content="…", components=[STOP])
    pressed = await ben.press(channel.messages[0], "Stop")
    assert pressed.payload["authorizing_integration_owners"] == {"1": "1001"}
    assert asked.kind == COMMAND
