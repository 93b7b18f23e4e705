"""Messages by HTTP: what is refused, what is blank without the message-content intent, whom they ping."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_raw import INTENTS, RawBot
from tests.emulators.discord_shapes import APP_ID, BOT_ID, COMPONENTS_V2, DEFER, EPHEMERAL, MESSAGE_CONTENT, REPLY
from tests.emulators.server import Json


def button(**fields: Any) -> Json:
    return {"type": 2, "style": 2, "label": "Go", "custom_id": "go"} | fields


def rows(*children: Json) -> list[Json]:
    return [{"type": 1, "components": list(children)}]


TEXT_DISPLAYS = [{"type": 10, "content": "x" * 2001}] * 2


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"content": "x" * 2001}, 50035, "content"),
        ({"content": 5}, 50035, "content"),
        ({"content": " \n"}, 50006, ""),
        ({"components": rows(button())}, 50006, ""),
        ({"content": "x", "components": rows(*[button(custom_id=str(n)) for n in range(6)])}, 50035, "components"),
        ({"content": "x", "components": rows(button()) * 6}, 50035, "components"),
        ({"content": "x", "components": rows()}, 50035, "components"),
        ({"content": "x", "components": [button()]}, 50035, "components"),
        ({"content": "x", "components": rows(button(custom_id="x" * 101))}, 50035, "components"),
        ({"content": "x", "components": rows(button(), button())}, 50035, "components"),
        ({"content": "x", "components": rows(button(label="x" * 81))}, 50035, "components"),
        ({"content": "x", "components": rows(button(label=""))}, 50035, "components"),
        ({"content": "x", "components": rows(button(style=9))}, 50035, "components"),
        ({"content": "x", "components": rows(button(style=5))}, 50035, "components"),
        ({"content": "x", "components": rows({"type": 3, "custom_id": "m", "options": []})}, 50035, "components"),
        ({"content": "x", "nonce": "n" * 26}, 50035, "nonce"),
        ({"embeds": [{"description": "x" * 4097}]}, 50035, "embeds"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, 50035, "embeds"),
        ({"embeds": [{"title": "x"}] * 11}, 50035, "embeds"),
        ({"content": "x", "flags": COMPONENTS_V2, "components": TEXT_DISPLAYS[:1]}, 50035, "content"),
        ({"flags": COMPONENTS_V2, "components": TEXT_DISPLAYS}, 50035, "components"),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1001"]}}, 50035, "allowed_mentions"),
        ({"content": "x", "message_reference": {"message_id": "5"}}, 50035, "message_reference"),
        ({"components": "none"}, 50035, "_"),
    ],
)
async def test_messages_that_discord_refuses(
    emulator: DiscordEmulator, raw: RawBot, body: Json, code: int, field: str
) -> None:
    channel = emulator.guild().channel()
    status, answer = await raw(f"POST /channels/{channel.id}/messages", body)
    assert (status, answer["code"], list(answer.get("errors", {}))) == (400, code, [field] if field else [])
    assert channel.messages == []
    asked = await emulator.user(1001).press((await said(emulator, raw))[0], "go")
    if "nonce" not in body and "message_reference" not in body:
        status, answer = await raw.answer(asked, REPLY, **body)
        assert (status, answer["code"]) == (400, code)


async def said(emulator: DiscordEmulator, raw: RawBot) -> list[Json]:
    """A private message of the bot with a button."""
    private = emulator.user(1001, installed=True).private
    await raw.send(private, "hello", components=rows(button()))
    return private.messages


async def test_an_edit_is_checked_like_a_message(emulator: DiscordEmulator, raw: RawBot) -> None:
    (message,) = await said(emulator, raw)
    path = f"PATCH /channels/{message['channel_id']}/messages/{message['id']}"
    for body, code in (({"content": "x" * 2001}, 50035), ({"content": ""}, 50006), ({"components": rows()}, 50035)):
        assert await raw.code(path, body) == (400, code)
    assert (message["content"], message["edits"]) == ("hello", [])
    status, edited = await raw(path, {"content": "hi"})
    assert (status, edited["content"], len(edited["components"])) == (200, "hi", 1)  # what is not named stays
    assert edited["edited_timestamp"]


async def test_what_is_not_there_or_not_ours(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    hers = await emulator.user(1001).says(channel, "mine")
    assert await raw.code("GET /channels/5") == (404, 10003)
    assert await raw.code("GET /channels/abc") == (400, 50035)
    assert await raw.code(f"GET /channels/{channel.id}/messages/5") == (404, 10008)
    assert await raw.code(f"PATCH /channels/{channel.id}/messages/{hers['id']}", {"content": "x"}) == (403, 50005)
    assert await raw.code(f"DELETE /channels/{channel.id}/messages/{hers['id']}") == (403, 50013)
    channel.remove()
    assert (await raw.code(f"POST /channels/{channel.id}/messages", {"content": "x"})) == (404, 10003)


@pytest.mark.parametrize(
    ("denied", "code"),
    [("view_channel", 50001), ("send_messages", 50013), ("attach_files", 50013), ("read_message_history", 160002)],
)
async def test_permissions_that_are_missing(emulator: DiscordEmulator, raw: RawBot, denied: str, code: int) -> None:
    channel = emulator.guild().channel()
    first = await emulator.user(1001).says(channel, "first")
    channel.deny(denied)
    body = {"content": "x", "message_reference": {"message_id": first["id"]}}
    assert await raw.code(f"POST /channels/{channel.id}/messages", body, (b"file",)) == (403, code)
    if denied == "read_message_history":
        assert await raw(f"GET /channels/{channel.id}/messages") == (200, [])


async def test_a_thread_is_written_to_by_a_permission_of_its_own(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    thread = channel.thread("cats")
    channel.deny("send_messages")
    assert (await raw.send(thread, "in the thread"))[0] == 200
    channel.deny("send_messages_in_threads")
    assert (await raw.send(thread, "no more"))[1]["code"] == 50013
    other = emulator.guild().channel("other").thread("locked")
    other.locked = True
    assert (await raw.send(other, "x"))[1]["code"] == 50083
    emulator.guild().kick_bot()
    assert (await raw.send(emulator.guild().channel("other"), "x"))[1]["code"] == 50001


async def test_direct_messages_to_who_cannot_be_reached(emulator: DiscordEmulator, raw: RawBot) -> None:
    stranger, ann = emulator.user(1009), emulator.user(1001)
    assert await raw.code("POST /users/@me/channels", {"recipient_id": "5"}) == (400, 50033)
    status, opened = await raw("POST /users/@me/channels", {"recipient_id": "1009"})
    assert (status, opened["type"], opened["recipients"][0]["id"]) == (200, 1, "1009")
    assert (await raw.send(stranger.private, "hi"))[1]["code"] == 50007
    await ann.says(emulator.guild().channel(), "hello")
    assert (await raw.send(ann.private, "hi"))[0] == 200
    ann.blocked = True
    assert await raw.code(f"POST /channels/{ann.private.id}/messages", {"content": "x"}) == (403, 50007)
    assert ann.private.texts() == ["hi"]


async def test_history_is_paged_newest_first(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    emulator.clock.shift = -7200
    sent = [await ann.says(channel, f"<@{BOT_ID}> {number}") for number in range(5)]
    emulator.clock.shift = 0
    sent.append(await ann.says(channel, f"<@{BOT_ID}> new"))
    ids = [message["id"] for message in sent]
    assert (int(ids[5]) - int(ids[4])) >> 22 >= 7_199_000
    path = f"GET /channels/{channel.id}/messages"
    pages: list[tuple[dict[str, str], list[str]]] = [
        ({}, ids[::-1]),
        ({"after": ids[0], "limit": "2"}, [ids[2], ids[1]]),
        ({"before": ids[4], "limit": "2"}, [ids[3], ids[2]]),
        ({"around": ids[2], "limit": "1"}, [ids[2]]),
        ({"after": ids[5]}, []),
    ]
    for query, found in pages:
        _, messages = await raw(path, None, (), **query)
        assert [message["id"] for message in messages] == found
    for limit in ("0", "101", "x"):
        assert (await raw(path, limit=limit))[1]["code"] == 50035


async def test_a_nonce_that_comes_again_sends_nothing(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    async with raw.gateway() as socket:
        await socket.ready()
        _, first = await raw.send(channel, "once", nonce="n1", enforce_nonce=True)
        status, again = await raw.send(channel, "twice", nonce="n1", enforce_nonce=True)
        assert (status, again["id"], again["content"]) == (200, first["id"], "once")
        await raw.send(channel, "other", nonce="n1")  # not enforced
        assert [(await socket.event("MESSAGE_CREATE"))["content"] for _ in range(2)] == ["once", "other"]
    emulator.clock.shift += 600
    await raw.send(channel, "much later", nonce="n1", enforce_nonce=True)
    assert channel.texts() == ["once", "other", "much later"]


async def test_files_come_as_a_form_and_go_to_the_cdn(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    about = {"attachments": [{"id": 0, "filename": "answer.md"}, {"id": 1, "description": "a cat"}]}
    status, sent = await raw(f"POST /channels/{channel.id}/messages", about, (b"# hi", b"cat"))
    assert status == 200
    assert [(each["filename"], each["size"]) for each in sent["attachments"]] == [("answer.md", 4), ("1.png", 3)]
    assert emulator.calls[-1].files == ("0.png", "1.png")
    path = f"PATCH /channels/{channel.id}/messages/{sent['id']}"
    kept = {"attachments": [{"id": sent["attachments"][1]["id"]}, {"id": 0, "filename": "more.md"}]}
    _, edited = await raw(path, kept, (b"more",))
    assert [each["filename"] for each in edited["attachments"]] == ["1.png", "more.md"]
    async with raw.session.get(edited["attachments"][1]["url"]) as response:
        assert await response.read() == b"more"
    big = (b"x" * (10 * 1024**2 + 1),)
    assert await raw.code(f"POST /channels/{channel.id}/messages", {"content": "big"}, big) == (413, 40005)
    assert await raw.code(f"POST /channels/{channel.id}/messages", {"content": "many"}, (b"x",) * 11) == (400, 50035)


async def test_typing_and_reactions(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    message = await ann.says(channel, "hello")
    assert (await raw(f"POST /channels/{channel.id}/typing"))[0] == 204 and len(channel.typing) == 1
    path = f"/channels/{channel.id}/messages/{message['id']}/reactions"
    assert await raw.code(f"PUT {path}/nonsense/@me") == (400, 10014)
    assert (await raw(f"PUT {path}/👀/@me"))[0] == 204
    assert [each["emoji"]["name"] for each in message["reactions"]] == ["👀"]
    assert (await raw(f"DELETE {path}/👀/@me"))[0] == 204 and message["reactions"] == []


BLANK: tuple[Any, ...] = ("", [], [], [])


def seen(message: Json) -> tuple[Any, ...]:
    return message["content"], message["attachments"], message["embeds"], message["components"]


async def test_without_the_intent_other_people_s_words_are_blank(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    sticker = emulator.sticker(b"png")
    async with raw.gateway() as socket:
        await socket.ready()
        photo = await ann.says(
            channel, "secret", [("cat.png", b"cat")], embeds=[emulator.embed(b"x")], sticker_items=[sticker], poll={}
        )
        event = await socket.event("MESSAGE_CREATE")
        assert (seen(event), event["sticker_items"], "poll" in event) == (BLANK, [sticker], False)
        await ann.edits(photo, "still secret")
        assert seen(await socket.event("MESSAGE_UPDATE")) == BLANK
        asking = await ann.says(channel, "what?", reply_to=photo, mention=True)
        event = await socket.event("MESSAGE_CREATE")
        assert event["content"] == f"<@{BOT_ID}> what?"
        assert (seen(event["referenced_message"]), event["referenced_message"]["id"]) == (BLANK, photo["id"])
        await ann.deletes(asking)
        assert (await socket.event("MESSAGE_DELETE"))["id"] == asking["id"]
    for path in (f"/channels/{channel.id}/messages/{photo['id']}", f"/channels/{channel.id}/messages"):
        _, found = await raw(f"GET {path}")
        assert seen(found if isinstance(found, dict) else found[0]) == BLANK  # pyright: ignore[reportUnknownArgumentType] : of JSON
    async with raw.session.get(f"{emulator.cdn_url}/stickers/{sticker['id']}.png") as response:
        assert await response.read() == b"png"


async def test_what_a_bot_without_the_intent_may_read(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    await raw.sync({"name": "ask", "description": "Ask"})
    async with raw.gateway() as socket:
        await socket.ready()
        await raw.send(channel, "I am the bot")
        ours = channel.messages[0]
        assert (await socket.event("MESSAGE_CREATE"))["content"] == "I am the bot"
        await ann.says(channel, "a reply that pings", reply_to=ours)
        assert (await socket.event("MESSAGE_CREATE"))["content"] == "a reply that pings"
        await ann.says(channel, "a reply that does not", reply_to=ours, ping=False)
        event = await socket.event("MESSAGE_CREATE")
        assert (event["content"], event["referenced_message"]["content"]) == ("", "I am the bot")
        asked = await ann.slash("ask", channel)
        await raw.answer(asked, REPLY, content="by webhook")
        await ann.says(channel, "a reply to a command's answer", reply_to=asked.original)
        event = await socket.event("MESSAGE_CREATE")
        assert (event["content"], event["webhook_id"]) == ("by webhook", str(APP_ID))
        assert (await socket.event("MESSAGE_CREATE"))["content"] == ""  # a webhook is never pinged
        await ann.dm("private", [("cat.png", b"cat")])
        event = await socket.event("MESSAGE_CREATE")
        assert (event["content"], event["attachments"][0]["filename"]) == ("private", "cat.png")


async def test_a_forwarded_message_is_a_copy_as_blank_as_any_other(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    photo = await ann.says(channel, "look", [("cat.png", b"cat")])
    async with raw.gateway() as socket:
        await socket.ready()
        await ann.forwards(channel, photo)
        event = await socket.event("MESSAGE_CREATE")
        assert seen(event["message_snapshots"][0]["message"]) == BLANK and "referenced_message" not in event
        await ann.forwards(ann.private, photo)
        (copy,) = (await socket.event("MESSAGE_CREATE"))["message_snapshots"]
        assert copy["message"]["content"] == "look" and "author" not in copy["message"]
        async with raw.session.get(copy["message"]["attachments"][0]["url"]) as response:
            assert await response.read() == b"cat"


async def test_with_the_intent_all_is_whole() -> None:
    async with DiscordEmulator(message_content=True) as emulator:
        async with aiohttp.ClientSession() as session:
            raw = RawBot(emulator, session)
            ann, channel = emulator.user(1001), emulator.guild().channel()
            assert (await raw("GET /oauth2/applications/@me"))[1]["flags"] == 1 << 19
            async with raw.gateway() as without, raw.gateway() as with_it:
                await without.ready()
                await with_it.ready(INTENTS | MESSAGE_CONTENT)
                first = await ann.says(channel, "words")
                await ann.says(channel, "more", reply_to=first)
                assert (await without.event("MESSAGE_CREATE"))["content"] == ""
                assert (await with_it.event("MESSAGE_CREATE"))["content"] == "words"
                event = await with_it.event("MESSAGE_CREATE")
                assert (event["content"], event["referenced_message"]["content"]) == ("more", "words")
            _, messages = await raw(f"GET /channels/{channel.id}/messages")
            assert [message["content"] for message in messages] == ["more", "words"]
            await ann.deletes(first)
            _, reply = await raw(f"GET /channels/{channel.id}/messages/{messages[0]['id']}")
            assert reply["referenced_message"] is None


WORDS = "<@1001> <@!1002> <@&9> @everyone `<@1003>`"


@pytest.mark.parametrize(
    ("allowed", "pings"),
    [
        (None, {1001, 1002, 1003, 1004}),  # 1004 is replied to, and everybody is in the role
        ({"parse": []}, set[int]()),
        ({"parse": ["users"]}, {1001, 1002}),
        ({"users": ["1002"], "parse": []}, {1002}),
        ({"parse": [], "replied_user": True}, {1004}),
        ({"parse": ["everyone"]}, {1001, 1002, 1003, 1004}),
    ],
)
async def test_whom_a_message_pings(
    emulator: DiscordEmulator, raw: RawBot, allowed: Json | None, pings: set[int]
) -> None:
    guild = emulator.guild()
    channel = guild.channel()
    guild.allow("mention_everyone")
    first = [await emulator.user(user).says(channel, "hi") for user in (1001, 1002, 1003, 1004)][-1]
    body: Json = {"message_reference": {"message_id": first["id"]}} | ({"allowed_mentions": allowed} if allowed else {})
    _, sent = await raw.send(channel, WORDS, **body)
    message = channel.bot_messages()[0]
    assert message["pings"] == pings
    assert {int(user["id"]) for user in sent["mentions"]} <= pings
    await raw(f"PATCH /channels/{channel.id}/messages/{sent['id']}", {"content": "<@1003>"})
    assert message["pings"] == pings  # an edit notifies nobody


async def test_an_answer_pings_when_it_is_there(emulator: DiscordEmulator, raw: RawBot) -> None:
    await raw.sync({"name": "ask", "description": "Ask"})
    ann, channel = emulator.user(1001), emulator.guild().channel()
    asked = await ann.slash("ask", channel)
    await raw.answer(asked, DEFER)
    await raw(f"PATCH {raw.hook(asked, '@original')}", {"content": "<@1001> @everyone done"})
    assert asked.original and asked.original["pings"] == {1001}  # @everyone needs a permission
    assert not asked.original["flags"] & EPHEMERAL
