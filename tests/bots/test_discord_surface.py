"""Discord's surface as a member of a channel: what it shows, and what Discord's refusals mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from bots.discord_bot import DiscordSurface
from bots.surface import (
    Button,
    Closed,
    Flooded,
    Gone,
    Page,
    SurfaceError,
    Unfit,
    Unreachable,
)
from storage.logs import describe
from tests.bots.discord_town import ASK_AGAIN, DELETE, HOOK, HOOK_PATCH, PATCH, POST, Town, there
from tests.emulators.discord_shapes import SUPPRESS_EMBEDS

# --- as a member of a channel


async def test_a_reply_stands_under_its_question_or_alone_when_that_is_gone(town: Town, hall: DiscordSurface) -> None:
    question = await town.ann.says(town.square, "what?", mention=True)
    slot = await hall.place(there(town.square, question["id"]), Page("…"))
    (reply,) = town.square.bot_messages()
    assert (reply["id"], reply["message_reference"]["message_id"]) == (slot, question["id"])
    await town.ann.deletes(question)
    await hall.place(there(town.square, question["id"]), Page("again"))
    assert town.square.texts() == ["…", "again"]


async def test_an_answer_notifies_nobody_it_names_and_looks_no_link_up(town: Town, hall: DiscordSurface) -> None:
    await hall.place(there(town.square), Page(f"@everyone <@{town.ben.id}> http://a.b"))
    (message,) = town.square.bot_messages()
    assert message["pings"] == set()
    assert message["flags"] & SUPPRESS_EMBEDS


async def test_the_same_nonce_is_the_same_message(town: Town, hall: DiscordSurface) -> None:
    where = there(town.square)
    long = "discord:1234567890123456789:1234567890123456789"
    first = [await hall.place(where, Page("…"), f"{long}:0") for _ in range(2)]
    other = await hall.place(where, Page("…"), f"{long}:1")
    free = [await hall.place(where, Page("…")) for _ in range(2)]
    assert first[0] == first[1]
    assert len({*first, other, *free}) == 4
    assert len(town.square.texts()) == 4


async def test_a_page_and_its_buttons_are_shown_and_twice_is_no_error(town: Town, hall: DiscordSurface) -> None:
    where = there(town.square)
    slot = await hall.place(where, Page("…", buttons=(Button("stop", "Stop"),)))
    for _ in range(2):
        await hall.edit(where, slot, Page("done", buttons=ASK_AGAIN))
    (message,) = town.square.bot_messages()
    assert message["content"] == "done"
    assert [button["custom_id"] for button in message["components"][0]["components"]] == [
        "askpix:again",
        "askpix:follow",
    ]
    await hall.edit(where, slot, Page("no buttons"))
    assert message["components"] == []


async def test_every_page_of_a_long_answer_is_accepted(town: Town, hall: DiscordSurface) -> None:
    where = there(town.square)
    slot = await hall.place(where, Page("…"))
    text = "".join(f"## {n}\n\n**b** 你好🙂\n\n```py\nx = {n}\n```\n\n" for n in range(60))
    for page in hall.pages(text):
        await hall.edit(where, slot, page)
    assert "x = 59" in town.square.texts()[0]


async def test_a_message_is_taken_away_once(town: Town, hall: DiscordSurface) -> None:
    where = there(town.square)
    slot = await hall.place(where, Page("…"))
    await hall.remove(where, slot)
    assert town.square.texts() == []
    with pytest.raises(Gone):
        await hall.remove(where, slot)
    with pytest.raises(Gone):
        await hall.edit(where, slot, Page("text"))


async def test_a_file_is_sent(town: Town, hall: DiscordSurface) -> None:
    slot = await hall.send(there(town.square), "answer.md", "你好".encode())
    (message,) = town.square.bot_messages()
    (attachment,) = message["attachments"]
    assert (message["id"], attachment["filename"]) == (slot, "answer.md")
    assert town.discord.world.files[attachment["id"]].content.decode() == "你好"


async def test_typing_is_shown_in_a_channel_and_a_command_s_answer_shows_thinking_by_itself(
    town: Town, hall: DiscordSurface
) -> None:
    await hall.typing(there(town.square))
    assert len(town.square.typing) == 1
    _, where = await town.asks()
    await hall.typing(where)
    assert len(town.square.typing) == 1


async def test_a_sign_is_put_changed_and_taken_away(town: Town, hall: DiscordSurface) -> None:
    question = await town.ann.says(town.square, "what?", mention=True)
    where = there(town.square, question["id"])
    for sign, shown in (("seen", ["👀"]), ("done", ["👌"])):
        await hall.sign(where, sign)
        assert [each["emoji"]["name"] for each in question["reactions"]] == shown
    question["reactions"] = []
    await hall.sign(where, "seen")
    await hall.sign(where, "")
    assert question["reactions"] == []


async def test_a_sign_is_changed_also_where_the_former_one_is_gone(town: Town, hall: DiscordSurface) -> None:
    question = await town.ann.says(town.square, "what?", mention=True)
    town.discord.fail_next("DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me", 404, 10014)
    with pytest.raises(SurfaceError):
        await hall.sign(there(town.square, question["id"]), "done")
    assert [each["emoji"]["name"] for each in question["reactions"]] == ["👌"]


async def test_no_sign_is_put_where_there_is_no_message_or_none_is_wanted(town: Town, hall: DiscordSurface) -> None:
    question = await town.ann.says(town.square, "what?", mention=True)
    await town.hears()
    _, by_command = await town.asks()
    await hall.sign(by_command, "seen")
    await hall.sign(there(town.square), "seen")
    async with aiohttp.ClientSession() as session:
        quiet = DiscordSurface(hall._client, session, "127.0.0.1", signs=False)  # pyright: ignore[reportPrivateUsage] : the same one
        await quiet.sign(there(town.square, question["id"]), "seen")
    assert not town.discord.called("PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me")


# --- what Discord's refusals mean


@pytest.mark.parametrize("how", ["silenced", "thrown out", "removed"])
async def test_a_channel_that_we_may_not_write_to_is_closed(town: Town, hall: DiscordSurface, how: str) -> None:
    where = there(town.square)
    if how == "silenced":
        town.square.deny("send_messages")
    elif how == "thrown out":
        town.discord.guild().kick_bot()
    else:
        town.square.remove()
    with pytest.raises(Closed):
        await hall.place(where, Page("x"))
    with pytest.raises(Closed):
        await hall.typing(where)


async def test_direct_messages_that_are_closed_to_us_are_closed(town: Town, hall: DiscordSurface) -> None:
    where = there(town.ann.private)
    town.ann.blocked = True
    with pytest.raises(Closed):
        await hall.place(where, Page("x"))


async def test_a_flood_says_for_how_long_and_a_short_one_is_waited_for(town: Town, hall: DiscordSurface) -> None:
    town.discord.limit_next(POST, 0.05)
    await hall.place(there(town.square), Page("waited"))
    assert town.square.texts() == ["waited"]
    town.discord.limit_next(POST, 45.0)
    with pytest.raises(Flooded) as flooded:
        await hall.place(there(town.square), Page("x"))
    assert 44 < flooded.value.seconds <= 45


@pytest.mark.parametrize("text", ["x" * 2001, "", " \n"])
async def test_content_that_discord_refuses_is_unfit(town: Town, hall: DiscordSurface, text: str) -> None:
    with pytest.raises(Unfit):
        await hall.place(there(town.square), Page(text))
    _, where = await town.asks()
    with pytest.raises(Unfit):
        await hall.place(where, Page(text))


async def test_trouble_of_discord_s_own_is_worth_another_try(town: Town, hall: DiscordSurface) -> None:
    where = there(town.square)
    slot = await hall.place(where, Page("…"))
    for route, call in (
        (POST, lambda: hall.place(where, Page("x"))),
        (PATCH, lambda: hall.edit(where, slot, Page("x"))),
        (DELETE, lambda: hall.remove(where, slot)),
    ):  # fmt: skip
        town.discord.fail_next(route, 503, html=True)
        with pytest.raises(Unreachable):
            await call()
        town.discord.drop_next(route, 1 + (route == DELETE), after_processing=False)  # that one is tried twice at once
        with pytest.raises(Unreachable):
            await call()
    await hall.edit(where, slot, Page("still there"))


async def test_a_cut_connection_of_a_token_s_is_worth_another_try(town: Town, hall: DiscordSurface) -> None:
    _, where = await town.asks()
    town.discord.drop_next(HOOK, after_processing=False)
    with pytest.raises(Unreachable):
        await hall.place(where, Page("x"))
    slot = await hall.place(where, Page("…"))
    town.discord.drop_next(HOOK_PATCH, after_processing=False)
    with pytest.raises(Unreachable):
        await hall.edit(where, slot, Page("x"))


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (404, 10008, Gone),
        (404, 10003, Closed),
        (403, 50001, Closed),
        (403, 50013, Closed),
        (403, 50007, Closed),
        (400, 50035, Unfit),
        (401, 0, Unreachable),
        (413, 40005, Unreachable),
    ],
)
async def test_every_refusal_has_its_meaning_and_no_error_holds_a_secret(
    town: Town, hall: DiscordSurface, status: int, code: int, meant: type[SurfaceError]
) -> None:
    secret = f"{town.discord.token} {town.discord.api_url}/x"
    for route, call in await calls(town, hall):
        town.discord.fail_next(route, status, code, secret)
        with pytest.raises(meant) as raised:
            await call()
        shown = f"{raised.value} {raised.value!r} {describe(raised.value)}"
        assert not any(word in shown for word in (town.discord.token, "http", "127.0.0.1", "/webhooks"))
        assert type(raised.value) is meant


async def calls(town: Town, hall: DiscordSurface) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Calls as a member of a channel, and the routes they take."""
    where = there(town.square)
    slot = await hall.place(where, Page("…"))
    return [
        (POST, lambda: hall.place(where, Page("x"))),
        (PATCH, lambda: hall.edit(where, slot, Page("x"))),
        (DELETE, lambda: hall.remove(where, slot)),
        (POST, lambda: hall.send(where, "a.md", b"x")),
        ("POST /channels/{channel_id}/typing", lambda: hall.typing(where)),
    ]
